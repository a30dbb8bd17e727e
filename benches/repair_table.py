#!/usr/bin/env python3
"""Stage times of a repair with an empty cache and with a filled one, and what of them is test-repair's own.

    cargo build --release
    python3 benches/repair_table.py                        # the README's example
    python3 benches/repair_table.py ../shared/corpus/wild/slugify-uppercase-pretranslation ...

An argument is a case of the corpus: a folder with repo.tar.gz, ci.log and fix.patch. Its patch is judged by `verify`, which
goes through every stage but that of finding a fix. "Own" is what is left of the wall time (of the whole process, its start
included) when the commands of the repository are taken off; the second time is the median of five runs.
"""

import argparse
import collections
import json
import pathlib
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples"


def command(case, scratch):
    """The arguments for a case; its repository is unpacked below `scratch`."""
    if case is None:
        repository = scratch / "missing-import"
        shutil.copytree(EXAMPLE / "missing-import", repository)
        return ["fix", "--repo", repository, "--log", EXAMPLE / "missing-import.log", "--python", "3", "--rules-only"]
    with tarfile.open(case / "repo.tar.gz") as archive:
        archive.extractall(scratch, filter="tar")
    (repository,) = [path for path in scratch.iterdir() if path.is_dir()]
    return ["verify", "--repo", repository, "--log", case / "ci.log", "--patch", case / "fix.patch"]


def run(program, arguments, cache):
    """Seconds by stage, those of them that commands of the repository took, the wall time, and the verdict."""
    begun = time.perf_counter()
    said = subprocess.run(
        [program, *arguments, "--cache-dir", cache, "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    wall = time.perf_counter() - begun
    outcome = json.loads(said.stdout)
    stages, commands = collections.Counter(), collections.Counter()
    for timing in outcome["timings"]:
        stages[timing["stage"]] += timing["seconds"]
        commands[timing["stage"]] += timing["commands"]
    return stages, commands, wall, outcome.get("outcome") or outcome.get("verdict")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default="target/release/test-repair")
    parser.add_argument("cases", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    for case in arguments.cases or [None]:
        with tempfile.TemporaryDirectory() as folder:
            # Where other users may enter: what is confined runs as one.
            folder = pathlib.Path(folder)
            folder.chmod(0o755)
            (folder / "repository").mkdir()
            given = command(case, folder / "repository")
            cold = run(arguments.program, given, folder / "cache")
            warm = [run(arguments.program, given, folder / "cache") for _ in range(5)]
            print(f"\n{case.name if case else 'examples/missing-import'}: {warm[-1][3]}\n")
            print("| stage | empty cache, s | filled, s | of it own, ms |")
            print("|---|---:|---:|---:|")
            for stage in warm[-1][0]:
                seconds = statistics.median(one[0][stage] for one in warm)
                own = statistics.median(one[0][stage] - one[1][stage] for one in warm)
                print(f"| {stage} | {cold[0][stage]:.2f} | {seconds:.2f} | {own * 1000:.0f} |")
            wall = statistics.median(one[2] for one in warm)
            own = statistics.median(one[2] - sum(one[1].values()) for one in warm)
            print(f"| together | {cold[2]:.2f} | {wall:.2f} | {own * 1000:.0f} |", flush=True)


if __name__ == "__main__":
    main()
