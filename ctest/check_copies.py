"""Fails where the tree says a thing twice.

Usage: check_copies.py SOURCE_FOLDER

- The formula of the additive roofline stands in estimator/roofline.hpp alone: no other line multiplies one
  of its coefficients by a factor, but in tests, which check by hand.
- No run of six lines stands twice in C++, CUDA or Python; blank lines, includes, namespaces and lines of
  nothing but punctuation do not count.
"""
import collections
import pathlib
import re
import subprocess
import sys

RUN = 6
FORMULA = re.compile(r"(kernel_seconds|flop_coefficient|byte_coefficient|cache_byte_seconds)\s*\*(?!=)")
FORMULA_AT = "estimator/roofline.hpp"


def sources(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.cpp", "*.hpp", "*.cu", "*.py"],
                            capture_output=True, text=True)
    if listed.returncode == 0 and listed.stdout:
        return sorted(listed.stdout.split())
    skipped = {"build", ".git", "staged"}
    return sorted(str(path.relative_to(root)) for suffix in ("cpp", "hpp", "cu", "py")
                  for path in pathlib.Path(root).rglob(f"*.{suffix}")
                  if skipped.isdisjoint(path.relative_to(root).parts))


def counted_lines(text):
    """(number, text) of the lines that say something."""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if re.search(r"[A-Za-z0-9]", line) and not re.match(r"#include|import |from \w+ import|using |namespace ", line):
            yield number, line


def copies(files):
    runs = collections.defaultdict(list)
    for name, text in files.items():
        lines = list(counted_lines(text))
        for i in range(len(lines) - RUN + 1):
            runs[tuple(line for _, line in lines[i:i + RUN])].append((name, lines[i][0]))
    last = {}
    for run, places in runs.items():
        if len(places) < 2:
            continue
        # Of a longer copy only the first run is named.
        key = tuple(name for name, _ in places)
        numbers = [number for _, number in places]
        before = last.get(key)
        last[key] = numbers
        if before and all(0 < now - then <= RUN for now, then in zip(numbers, before)):
            continue
        yield " and ".join(f"{name}:{number}" for name, number in places)


def main():
    root = sys.argv[1]
    files = {name: (pathlib.Path(root) / name).read_text() for name in sources(root)
             if (pathlib.Path(root) / name).exists()}
    problems = [f"{place}: the same {RUN} lines (one function that both call)" for place in copies(files)]
    for name, text in files.items():
        if name == FORMULA_AT or name.endswith(("_test.cpp", ".py")):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if FORMULA.search(line) and not line.strip().startswith("//"):
                problems.append(f"{name}:{number}: prices by a formula of its own (roofline_seconds)")
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
