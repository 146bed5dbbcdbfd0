#!/usr/bin/env python3
"""Compares `derate measure --export gbench FILE` with what Google Benchmark itself writes: every field
of its context and of its iteration rows is there with the same kind of value, and what a row has
besides are numbers, as Google Benchmark's counters are.

Also reads the file as github-action-benchmark and Bencher do. Usage:
check_google_benchmark_export.py DERATE SYNTHETIC_BENCH GOOGLE_BENCHMARK_PROGRAM
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

DERATE, BENCH, REFERENCE = sys.argv[1:4]
# Names the machine's owner; nobody who follows times over commits needs it.
LEFT_OUT = {"host_name"}


def kind_of(value):
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "text", list: "list", dict: "object"}[type(value)]


def check_fields(where, found, reference):
    for name, value in reference.items():
        if name in LEFT_OUT:
            continue
        assert name in found, f"{where}: {name} is missing"
        assert kind_of(found[name]) == kind_of(value), f"{where}: {name} is {found[name]!r}"


def read_reference():
    run = subprocess.run([REFERENCE, "--benchmark_format=json", "--benchmark_min_time=0.001",
                          "--benchmark_filter=/0$"],
                         capture_output=True, text=True, check=True)
    report = json.loads(run.stdout)
    rows = [row for row in report["benchmarks"] if row["run_type"] == "iteration"]
    assert rows, "the reference wrote no row"
    # A label is each case's own affair.
    return report["context"], {name: value for name, value in rows[0].items() if name != "label"}


def measure(*arguments):
    return subprocess.run([DERATE, "measure", "--model", "squeezenet1_1", "--runs", "4",
                           "--launches", "2", "--quiet", *arguments],
                          capture_output=True, text=True, env={**os.environ, "DERATE_BENCH": BENCH})


def main():
    context, row = read_reference()
    with tempfile.TemporaryDirectory(prefix="derate_gbench_") as temporary:
        folder = pathlib.Path(temporary)
        file = folder / "gbench.json"
        run = measure("--output", folder / "m.json", "--export", "gbench", file)
        assert run.returncode == 0, run.stderr
        report = json.loads(file.read_text())

        for bad in (["--export", "junit", folder / "x"], ["--export", "gbench"]):
            run = measure("--output", folder / "n.json", *bad)
            assert run.returncode == 2 and not (folder / "n.json").exists(), (bad, run.stderr)

    check_fields("context", report["context"], context)
    rows = report["benchmarks"]
    names = [found["name"] for found in rows]
    assert len(rows) > 10 and len(set(names)) == len(names), names
    for found in rows:
        check_fields(found["name"], found, row)
        assert found["run_type"] == "iteration" and found["repetitions"] == 1, found
        # Two launches give every row its interval.
        assert found["ci_95_lower_ms"] < found["real_time"] < found["ci_95_upper_ms"], found
        for name in found.keys() - row.keys():
            assert kind_of(found[name]) == "number", f"{name} is no counter"

    # github-action-benchmark: date of the context; name, real_time, time_unit, iterations, cpu_time
    # and threads of every row. Bencher: caches of the context, a list; the first three of a row.
    assert report["context"]["date"] and isinstance(report["context"]["caches"], list)
    assert all(found["time_unit"] in ("ns", "us", "ms", "s") and found["iterations"] >= 1
               and found["threads"] >= 1 for found in rows)
    print(f"{len(rows)} rows with all {len(row)} fields of Google Benchmark's")


if __name__ == "__main__":
    main()
