#!/bin/bash
# As an action: no arguments. With arguments the image is the command: docker run IMAGE doctor
# bash, because Debian's sh takes variables like INPUT_GITHUB-TOKEN out of the environment that it hands on.
set -eu
[ "$#" -gt 0 ] || set -- action
exec /usr/local/bin/test-repair "$@"
