#!/bin/sh
# As an action: no arguments. With arguments the image is the command: docker run IMAGE doctor
set -eu
[ "$#" -gt 0 ] || set -- action
exec /usr/local/bin/test-repair "$@"
