#!/usr/bin/env python3
"""Records the CI log of each example again: `python3 examples/record.py [NAME...]`.

The `run:` steps of the example's workflow are run for real, in a fresh copy and a fresh virtual environment; after one
that fails only those with `if: always()`. What they print is put into the envelope that GitHub's runner writes around it. Times are made up, so that
recording twice changes as little as possible. Needs bash, Python 3 with venv and pip, and a package index.
"""

import datetime
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
NAMES = sorted(path.parents[2].name for path in HERE.glob("*/.github/workflows/ci.yml"))


class Log:
    """Lines, each with the runner's time before it."""

    def __init__(self):
        self.lines = []
        self.now = datetime.datetime(2025, 3, 3, 9, 0, 0, 123456)

    def say(self, text):
        for line in text.split("\n"):
            self.now += datetime.timedelta(milliseconds=7, microseconds=31)
            self.lines.append(f"{self.now:%Y-%m-%dT%H:%M:%S.%f}7Z {line}")

    def group(self, title, *lines):
        self.say(f"##[group]{title}")
        for line in lines:
            self.say(line)
        self.say("##[endgroup]")


def record(name):
    workflow = (HERE / name / ".github/workflows/ci.yml").read_text()
    job = re.search(r"^jobs:\n  (\w+):", workflow, re.M).group(1)
    steps = re.findall(r"^      - run: (.+)(\n        if: always\(\))?$", workflow, re.M)
    version = platform.python_version()
    tools = f"/opt/hostedtoolcache/Python/{version}/x64"
    log = Log()
    header(log, name, job, version)
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary).resolve()
        tree, venv = temporary / name / name, temporary / "venv"
        shutil.copytree(HERE / name, tree, ignore=shutil.ignore_patterns("__pycache__", ".*_cache"))
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        names = {str(tree): f"/home/runner/work/{name}/{name}", str(venv): tools, sys.base_prefix: tools}
        env = {key: os.environ[key] for key in os.environ if key.startswith(("PIP_", "HTTP", "http", "SSL_"))}
        env.update(PATH=f"{venv}/bin:/usr/bin:/bin", HOME=str(temporary), LANG="C.UTF-8", CI="true", COLUMNS="80")
        failed = False
        for step, always in steps:
            if failed and not always:
                continue
            log.group(
                f"Run {step}",
                f"\x1b[36;1m{step}\x1b[0m",
                "shell: /usr/bin/bash -e {0}",
                "env:",
                f"  pythonLocation: {tools}",
                f"  Python_ROOT_DIR: {tools}",
                f"  LD_LIBRARY_PATH: {tools}/lib",
            )
            done = subprocess.run(
                ["bash", "-e", "-c", step],
                cwd=tree,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
            )
            # Where this machine's index is, is nobody's business.
            text = re.sub(r"(?m)^Looking in (links|indexes):.*\n", "", done.stdout)
            for real, shown in names.items():
                text = text.replace(real, shown)
            if text:
                log.say(text.rstrip("\n"))
            if done.returncode:
                log.say(f"##[error]Process completed with exit code {done.returncode}.")
                failed = True
    if not failed:
        sys.exit(f"{name}: every step passes")
    log.say("Post job cleanup.")
    log.say("Cleaning up orphan processes")
    (HERE / f"{name}.log").write_text("\n".join(log.lines) + "\n")
    print(f"{name}.log: {len(log.lines)} lines")


def header(log, name, job, version):
    log.say("Current runner version: '2.322.0'")
    log.group("Operating System", "Ubuntu", "24.04.2", "LTS")
    log.group("GITHUB_TOKEN Permissions", "Contents: read", "Metadata: read")
    log.say("Secret source: Actions")
    log.say("Prepare workflow directory")
    log.say("Prepare all required actions")
    log.say("Getting action download info")
    log.say(f"Complete job name: {job}")
    log.group("Run actions/checkout@v5", "with:", f"  repository: examples/{name}", "  clean: true", "  fetch-depth: 1")
    log.say(f"Syncing repository: examples/{name}")
    log.group("Run actions/setup-python@v6", "with:", f"  python-version: {version.rsplit('.', 1)[0]}")
    log.group("Installed versions", f"Successfully set up CPython ({version})")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or NAMES:
        record(wanted)
