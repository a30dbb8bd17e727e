#!/usr/bin/env python3
"""Records what CI prints after the fix of each case of a corpus: python3 tests/after_fix_logs.py CORPUS OUT [CASE...]

What is detected in such a log is a false alarm, of the very projects and tools that the failures are of.
For every case of CORPUS/cases and CORPUS/wild that has a fix (one with an empty fix.patch is left out), or for those
named (by folder name, or as `wild/NAME`): unpacks repo.tar.gz, applies and commits fix.patch, makes an environment with
the recorded Python (~/.pyenv/versions/PYTHON_FULL), runs the install and then each test command, and writes
OUT/cases-NAME.log or OUT/wild-NAME.log: a job log of GitHub Actions as the case's own ci.log is one. Beginning and end
are read from that ci.log and stamped anew, a day later; between them is what the commands print now.

- Tree, home, environment and temporary folder lie under one temporary folder as they would under a runner's root, so
  the paths in a log, relative ones too, become a runner's when that folder's name is taken out.
- The commands see few of the caller's variables, but are not sandboxed: run this where third-party code may run.
- A case whose command fails all the same (or takes longer than 15 minutes) gets no log; at the end it is listed on
  standard error with the reason and the end of the output, and the exit code is 1.
- A log that is there is not made again. A line of progress names the case, its seconds, and how many lines of the
  commands' output read like a failure (the first few follow): those logs are the hardest to be silent about.
- Nothing of a corpus may be copied into the project: OUT belongs into target/, or out of the tree.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

TIMEOUT = 15 * 60
KEPT_VARIABLES = re.compile(r"PATH|TERM|TZ|PIP_\w+|\w*(CERT|CAINFO|CA_BUNDLE)\w*|(https?|no|all)_proxy", re.IGNORECASE)
ALARMING = re.compile(r"FAILED|FAIL:|ERROR|[Ee]rror:|Traceback")
CAPTURED = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
GIT = ["git", "-c", "core.hooksPath=/dev/null", "-c", "user.name=ci", "-c", "user.email=ci@localhost"]


class Skipped(Exception):
    """Why a case gets no log."""


class Log:
    """Lines with the seven-digit times of a runner: from `start` on, and each later than the one before."""

    def __init__(self, start):
        self.start, self.began, self.last, self.lines = start, time.perf_counter_ns(), -1, []

    def write(self, line):
        self.last = max(self.last + 1, (time.perf_counter_ns() - self.began) // 100)
        seconds, ticks = divmod(self.last, 10_000_000)
        self.lines.append(f"{self.start + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{ticks:07}Z {line}\n")


def checked(*command, **options):
    done = subprocess.run(command, **CAPTURED, **options)
    if done.returncode:
        raise Skipped(f"`{' '.join(map(str, command))}` exited with {done.returncode}:\n{done.stdout[-1000:]}")
    return done.stdout


def run_step(script, place, env, shown_env, to_runner, log):
    """Runs one step as a runner does, and returns the lines of its output that read like a failure."""
    shown, printed = script.splitlines(), []
    header = [f"##[group]Run {shown[0]}", *(f"\x1b[36;1m{line}\x1b[0m" for line in shown)]
    header += ["shell: /usr/bin/bash -e {0}", "env:", *(f"  {name}: {value}" for name, value in shown_env.items())]
    for line in (*header, "##[endgroup]"):
        log.write(line)
    # It ends the step's whole process group, and itself with it.
    limited = ["timeout", "--signal=KILL", str(TIMEOUT), "bash", "-e", "-c", script]
    with subprocess.Popen(limited, cwd=place, env=env, stdin=subprocess.DEVNULL, **CAPTURED) as step:
        for line in step.stdout:
            printed.append(to_runner(line.rstrip("\n")))
            log.write(printed[-1])
    if step.returncode:
        why = f"was killed (the limit is {TIMEOUT} s)" if step.returncode == -9 else f"exited with {step.returncode}"
        raise Skipped("\n    ".join([f"`{script}` {why}; its output ends:", *printed[-25:]]))
    return [line for line in printed if ALARMING.search(line)]


def record(folder, root):
    """The log of a case after its fix, and the lines in it that read like a failure."""
    case = json.loads((folder / "case.json").read_text())
    python = Path("~/.pyenv/versions").expanduser() / case["python_full"]
    if not (python / "bin/python").exists():
        raise Skipped(f"no Python {case['python_full']} under {python.parent}")
    place, on_runner = root + case["workdir"], f"/opt/hostedtoolcache/Python/{case['python_full']}/x64"
    checked("mkdir", "-p", place, f"{root}/tmp")
    checked("tar", "xzf", folder / "repo.tar.gz", "--no-same-owner", "--strip-components=1", "-C", place)
    checked(*GIT, "apply", "--whitespace=nowarn", folder / "fix.patch", cwd=place)
    checked(*GIT, "add", "--all", cwd=place)
    checked(*GIT, "commit", "--quiet", "--amend", "--no-edit", cwd=place)
    head = checked(*GIT, "rev-parse", "HEAD", cwd=place).strip()
    checked(python / "bin/python", "-m", "venv", root + on_runner)

    env = {name: value for name, value in os.environ.items() if KEPT_VARIABLES.fullmatch(name)}
    # The Python itself as well: uv looks past an environment, for "only-system" ones.
    env["PATH"] = f"{root}{on_runner}/bin:{python}/bin:{os.environ['PATH']}"
    env |= {"VIRTUAL_ENV": root + on_runner, "HOME": f"{root}/home/runner", "TMPDIR": f"{root}/tmp", "LANG": "C.UTF-8"}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
    env |= {"CI": "true", "GITHUB_ACTIONS": "true", **case["env"]}
    of_setup = {"pythonLocation": on_runner, "Python_ROOT_DIR": on_runner, "LD_LIBRARY_PATH": f"{on_runner}/lib"}

    own = [line.partition(" ")[::2] for line in (folder / "ci.log").read_text().split("\n")]
    first = next(n for n, (_, text) in enumerate(own) if text == f"##[group]Run {case['install'].splitlines()[0]}")
    cleanup = max(n for n, (_, text) in enumerate(own) if text == "Post job cleanup.")
    log = Log(datetime.fromisoformat(own[0][0][:19]) + timedelta(days=1))
    for _, text in own[:first]:
        log.write(head if re.fullmatch(r"[0-9a-f]{40}", text) else text)
    alarming, to_runner = [], lambda line: line.replace(root, "").replace(str(python), on_runner)
    for script in (case["install"], *case["test"]):
        alarming += run_step(script, place, env, case["env"] | of_setup, to_runner, log)
    for _, text in own[cleanup:-1]:
        log.write(text)
    return "".join(log.lines), alarming


def main(corpus, out, *names):
    corpus = Path(corpus).resolve()
    found = {f"{kind}/{d.name}": d for kind in ("cases", "wild") for d in sorted((corpus / kind).iterdir())}
    if unknown := set(names) - set(found) - {d.name for d in found.values()}:
        sys.exit(f"no such case: {', '.join(sorted(unknown))}")
    Path(out).mkdir(parents=True, exist_ok=True)
    skipped = []
    for key, folder in found.items():
        if names and not {key, folder.name} & set(names):
            continue
        target = Path(out) / f"{key.replace('/', '-')}.log"
        if not (folder / "fix.patch").stat().st_size or target.exists():
            print(f"{key}: {'recorded before' if target.exists() else 'has no fix'}", flush=True)
            continue
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix="after-", ignore_cleanup_errors=True) as root:
                text, alarming = record(folder, os.path.realpath(root))
        except Skipped as reason:
            skipped.append(f"skipped {key}: {reason}\n")
            print(f"{key}: {time.monotonic() - began:.1f} s, skipped", flush=True)
            continue
        target.with_suffix(".part").write_text(text)
        target.with_suffix(".part").rename(target)
        done = f"{key}: {time.monotonic() - began:.1f} s, {len(alarming)} alarming line(s)"
        print(done, *alarming[:5], sep="\n    ", flush=True)
    sys.exit("".join(skipped) or 0)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
