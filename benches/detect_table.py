#!/usr/bin/env python3
"""Time and memory of `test-repair detect` on logs of 1 to 1,000 MB, on one core, against ripgrep over the same file.

    cargo build --release && python3 benches/detect_table.py [--program PATH] [--sizes 1,10,100,200,1000] [LOG...]

Without LOG the logs are made: a long green run with installs and builds, and a failure at its end, again and again. With
LOGs, these are repeated to each size. Needs Linux, `taskset` and `rg`. Each figure is the best of three runs with the
file in the page cache; the ratio is of the whole programs' wall times.
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

PATTERN = "error|failed|exception|warning"


def job(number):
    """The log of one job, about a megabyte."""
    stamp = f"2026-11-06T07:{number % 60:02}:00.0000017Z "
    lines = ["##[group]Run python -m pytest -v", "\x1b[36;1mpython -m pytest -v\x1b[0m", "shell: /usr/bin/bash -e {0}", "##[endgroup]"]
    for n in range(200):
        lines.append(f"Collecting package-{n}>=1.{n} (from -r requirements.txt (line {n}))")
        lines.append(f"  Downloading package_{n}-1.{n}.0-py3-none-any.whl (12 kB)")
    lines += [f"tests/unit/test_{n % 50}.py::TestClass{n % 7}::test_case_{n}[p-{n}] PASSED [ {n % 100}%]" for n in range(6000)]
    lines += [f"[{n}/600] Building CXX object CMakeFiles/shop.dir/src/part_{n}.cpp.o" for n in range(600)]
    lines += [f"2026-11-06 07:30:00,{n:03} INFO shop.worker: processed order {n} for customer c{n}" for n in range(600)]
    lines += ["=== short test summary info ===", "FAILED tests/unit/test_1.py::test_x - AssertionError: assert 1 == 2"]
    lines += ["##[error]Process completed with exit code 1."]
    return "".join(stamp + line + "\n" for line in lines).encode()


def fill(path, megabytes, sources):
    """A file of about so many megabytes."""
    left, number = megabytes * 1_000_000, 0
    with open(path, "wb") as file:
        while left > 0:
            piece = sources[number % len(sources)].read_bytes() if sources else job(number)
            file.write(piece)
            left -= len(piece)
            number += 1


def measured(command):
    """The best wall time of three runs, in seconds, and the largest peak of memory, in MB (never less than this script's)."""
    best, peak = float("inf"), 0
    for _ in range(3):
        begun = time.perf_counter()
        child = subprocess.Popen(["taskset", "-c", "0", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        best = min(best, time.perf_counter() - begun)
        peak = max(peak, usage.ru_maxrss / 1024)
    return best, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/test-repair")
    parser.add_argument("--sizes", default="1,10,100,200,1000")
    parser.add_argument("logs", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    print("| MB | detect, s | MB/s | peak, MB | rg, s | ratio |")
    print("|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        for size in map(int, arguments.sizes.split(",")):
            fill(path, size, arguments.logs)
            size = os.path.getsize(path) / 1e6
            rg, _ = measured(["rg", "-ci", PATTERN, path])
            ours, peak = measured([arguments.program, "detect", path])
            print(f"| {size:.0f} | {ours:.3f} | {size / ours:.0f} | {peak:.0f} | {rg:.3f} | {ours / rg:.1f} |", flush=True)


if __name__ == "__main__":
    main()
