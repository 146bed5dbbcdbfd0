#!/usr/bin/env python3
"""Prints the build table of CONTRIBUTING.md: how long this tree and another commit take to build.

Each round clones both, one after the other, the order alternating, and builds without ccache: the first command
(`./derate --version`), then everything with tests; then it touches source files one by one, and the header
that most files include, and builds everything again. CPU is user and system time of all processes. A figure
is the median over rounds; that of "one .cpp" is the median, and the worst, over files of the median over rounds.

usage: time_builds.py BASELINE_COMMIT [--rounds 3] [--sources 20] [--folder DIR]

Wants a quiet machine, an hour or two, and what `./derate test` installs. Only committed changes are timed.
"""

import argparse
import collections
import os
import pathlib
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "CCACHE_DISABLE": "1", "DERATE_NO_SETUP": "1"}
INCLUDE = re.compile(r'^#include "([^"]+)"', re.M)


def seconds_of(tree, *commands):
    """(CPU, wall) of the commands together; ends the program where one fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    for command in commands:
        run = subprocess.run(command, cwd=tree, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            sys.exit(f"{tree}: {' '.join(command)} failed\n{run.stdout.decode(errors='replace')[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - began)


def commonest_header(tree, sources):
    counts = collections.Counter()
    for source in sources:
        counts.update(set(INCLUDE.findall((tree / source).read_text())))
    return counts.most_common(1)[0][0]


def sources_of(tree):
    """Those that the build depends on, also those that are compiled together with others."""
    deps = subprocess.run(["ninja", "-C", tree / "build/release", "-t", "deps"], check=True, capture_output=True,
                          text=True).stdout
    inside = {pathlib.Path(os.path.normpath(tree / "build/release" / line.strip())) for line in deps.splitlines()
              if line.startswith(" ") and line.endswith(".cpp")}
    return sorted(str(path.relative_to(tree)) for path in inside
                  if path.is_relative_to(tree) and not path.is_relative_to(tree / "build"))


def times_of(tree, count):
    """What one round measures of one tree: name of a row -> (CPU, wall)."""
    configure = ["cmake", "-S", ".", "--preset", "release", "-D", "DERATE_ENABLE_TORCH=ON",
                 "-D", "DERATE_BUILD_TESTS=ON", "-D", "DERATE_BUILD_BENCHMARKS=ON"]
    build = ["cmake", "--build", "build/release"]
    first = seconds_of(tree, ["./derate", "--version"])
    rest = seconds_of(tree, configure, build)
    times = {"first command": first, "everything with tests": (first[0] + rest[0], first[1] + rest[1])}
    sources = sources_of(tree)
    header = commonest_header(tree, sources)
    chosen = random.Random(1).sample(sources, min(count, len(sources)))
    for row, file in [("commonest header", header), *((f".cpp {file}", file) for file in chosen)]:
        (tree / file).touch()
        times[row] = seconds_of(tree, build)
    return times


def summary_of(rounds):
    """Rows of the table: name -> (CPU, wall)."""
    medians = {row: tuple(statistics.median(times[row][i] for times in rounds) for i in (0, 1)) for row in rounds[0]}
    files = [medians.pop(row) for row in list(medians) if row.startswith(".cpp ")]
    for name, choose in (("one .cpp, median", statistics.median), ("one .cpp, worst", max)):
        if files:
            medians[name] = tuple(choose(file[i] for file in files) for i in (0, 1))
    return medians


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("baseline")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", type=int, default=20)
    parser.add_argument("--folder", type=pathlib.Path, default=None, help="where the clones lie for a while")
    arguments = parser.parse_args()
    commits = {"baseline": arguments.baseline, "now": "HEAD"}
    commits = {name: subprocess.run(["git", "-C", ROOT, "rev-parse", "--verify", f"{commit}^{{commit}}"], check=True,
                                    capture_output=True, text=True).stdout.strip() for name, commit in commits.items()}
    measured = {name: [] for name in commits}
    for number in range(arguments.rounds):
        for name in list(commits)[::1 if number % 2 == 0 else -1]:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="derate_build_", dir=arguments.folder)).resolve()
            tree = folder / "derate"
            try:
                subprocess.run(["git", "clone", "--quiet", "--no-checkout", ROOT, tree], check=True)
                subprocess.run(["git", "-C", tree, "checkout", "--quiet", "--detach", commits[name]], check=True)
                measured[name].append(times_of(tree, arguments.sources))
            finally:
                shutil.rmtree(folder)
            print(f"round {number + 1}, {name}: first command {measured[name][-1]['first command'][0]:.0f} s of CPU",
                  file=sys.stderr, flush=True)
    old, new = summary_of(measured["baseline"]), summary_of(measured["now"])
    print(f"| build, {os.cpu_count()} CPUs | CPU s, {commits['baseline'][:7]} | CPU s, {commits['now'][:7]} | ratio "
          "| wall s | wall s | ratio |\n|---|---|---|---|---|---|---|")
    for row in old:
        cells = []
        for i in (0, 1):
            cells += [f"{old[row][i]:.1f}", f"{new[row][i]:.1f}", f"{new[row][i] / old[row][i]:.2f}"]
        print(f"| {row} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
