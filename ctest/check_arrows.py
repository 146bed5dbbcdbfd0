#!/usr/bin/env python3
"""Fails on an #include that docs/architecture.md does not draw.

usage: check_arrows.py SOURCE_DIR [--self-test]

The table under "## Arrows" is the rule; this script holds none of its own but the spelling of the
third parties' headers.
"""

import pathlib
import re
import sys

THIRD_PARTY_HEADERS = {
    "Boost.Math": r"boost/",
    "CLI11": r"CLI/",
    "CUDA": r"cuda|nvml|cupti",
    "Eigen": r"Eigen/|unsupported/Eigen/",
    "fmt": r"fmt/",
    "GoogleTest": r"gtest/|gmock/",
    "Google Benchmark": r"benchmark/",
    "LibTorch": r"ATen/|c10/|torch/|caffe2/",
    "libzip": r"zip\.h$|zipconf\.h$",
    "nlohmann_json": r"nlohmann/",
    "OpenSSL": r"openssl/",
    "simdjson": r"simdjson",
    "valijson": r"valijson/",
    "zlib": r"zlib\.h$",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:<([^>]+)>|"([^"]+)")')


def read_rules(page):
    """Maps module -> (modules it may include, third parties it may include)."""
    rules = {}
    section = page.split("## Arrows", 1)[1].split("\n## ", 1)[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) != 3 or not cells[0].startswith("`"):
            continue
        split = lambda cell: {name.strip() for name in cell.split(",") if name.strip()}
        rules[cells[0].strip("`")] = (split(cells[1]), split(cells[2]))
    unknown = {p for _, parties in rules.values() for p in parties} - THIRD_PARTY_HEADERS.keys()
    if not rules or unknown:
        sys.exit(f"docs/architecture.md: no arrow table, or unknown third parties {sorted(unknown)}")
    return rules


def module_of(path, rules):
    """The most specific module whose folder holds `path` (relative to the root), or None."""
    holders = [m for m in rules if path == m or path.startswith(m + "/")]
    return max(holders, key=len, default=None)


def third_party_of(header):
    for party, pattern in THIRD_PARTY_HEADERS.items():
        if re.match(pattern, header):
            return party
    return None


def violations(name, text, rules):
    module = module_of(name, rules)
    modules, parties = rules[module]
    parties = set(parties)
    if name.endswith("_test.cpp"):
        parties |= {"GoogleTest", "nlohmann_json"}
        modules = {*modules, "ctest"}
    if name.endswith("_benchmark.cpp"):
        parties |= {"Google Benchmark"}
    if name.endswith(("_test.cpp", "_benchmark.cpp")):
        modules = {*modules, "storage"}
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        header = match.group(1) or match.group(2)
        # A header such as "benchmark/benchmark.h" is a third party's; ours start at a module's folder.
        target = module_of(header, rules) if match.group(2) else None
        party = None if target else third_party_of(header)
        if target and target != module and target not in modules:
            yield f"{name}:{number}: {module} includes {header} (docs/architecture.md draws no arrow {module} -> {target})"
        if party and party not in parties:
            yield f"{name}:{number}: {module} includes {header} (docs/architecture.md does not allow {party} in {module})"


def self_test(rules):
    """A planted wrong arrow must be seen, and a right one not."""
    planted = [
        ("estimator/a.cpp", '#include "calibration/fit_calibration.hpp"', 1),
        ("estimator/a.cpp", "#include <Eigen/Dense>", 1),
        ("core/a.hpp", "#include <nlohmann/json.hpp>", 1),
        ("statistics/a.cpp", '#include "core/quantity.hpp"', 1),
        ("storage/a.cpp", "#include <nlohmann/json.hpp>", 0),
        ("calibration/a_benchmark.cpp", "#include <benchmark/benchmark.h>", 0),
        ("cli/a.cpp", "#include <ATen/core/Tensor.h>", 1),
        ("calibration/a.cpp", '#include "estimator/latency_estimate.hpp"', 0),
        ("cli/a.cpp", '#include "ctest/program_run.hpp"', 1),
        ("cli/a_test.cpp", '#include "ctest/program_run.hpp"', 0),
    ]
    return [f"self-test: {name} with {text} gave {found} violations (expected {expected})"
            for name, text, expected in planted
            if (found := len(list(violations(name, text, rules)))) != expected]


def main():
    root = pathlib.Path(sys.argv[1])
    rules = read_rules((root / "docs/architecture.md").read_text())
    found, files = self_test(rules), 0
    for folder in sorted({m.split("/")[0] for m in rules}):
        if not (root / folder).is_dir():
            found.append(f"docs/architecture.md: module {folder} has no folder")
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".hpp", ".cpp", ".cu", ".cuh"}:
                files += 1
                name = path.relative_to(root).as_posix()
                found += violations(name, path.read_text(), rules)
    print("\n".join(found))
    print(f"{files} files read, {len(found)} arrows that docs/architecture.md does not draw")
    sys.exit(1 if found or not files else 0)


if __name__ == "__main__":
    main()
