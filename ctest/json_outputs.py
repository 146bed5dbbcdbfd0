#!/usr/bin/env python3
"""What every command prints as JSON is what its schema in hardware_registry/schema/ says.

The commands are those that the program itself lists with --json. A command without a run below fails the test,
so does a schema that no run prints, and a field that a schema names and no run prints.
Usage: json_outputs.py DERATE SYNTHETIC_BENCH SOURCE FITS_SCHEMA
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from every_option import (AGGREGATE, AUDIT, CALIBRATE, CALIBRATE_NOW, COMPARE, ESTIMATE, EXAMPLE, GENERATE, IMPORTED,
                          MEASURE, MEASURE_NOW, MEASURED, PAIR, SOURCE, TEST_MODELS, VALIDATE, Fixture, command_of, options)

FITS_SCHEMA = sys.argv[4]
SCHEMAS = SOURCE / "hardware_registry/schema"
REPEATED = "{tmp}/m.json {tmp}/again.json"  # two files of one content

MAY_BE_ABSENT = ("/coded_warnings/", "/reasons/[]/", "/*")  # as the machine is, or a key of any name

# (schema, line without --json, exit codes; None and 2: refused, nothing is printed)
RUNS = [
    ("estimate", ESTIMATE, {0}),
    ("estimate", ESTIMATE + " --explain 3", {0}),
    ("estimate", f"estimate --model {SOURCE}/workloads/testdata/dynamic_batch.pt2 --hardware {MEASURED} --batch 2", {0}),
    ("estimate_sweep", f"estimate --model {SOURCE}/workloads/testdata/dynamic_batch.pt2 --hardware {MEASURED},{IMPORTED} --dim x[0]=1..4 --target 1ms", {0}),
    ("estimate_sweep", f"estimate --model {SOURCE}/workloads/testdata/any_batch_cnn.pt2 --hardware {MEASURED} --batch 62..66", {0}),
    ("estimate", f"{ESTIMATE},{IMPORTED}", {0}),
    ("estimate", f"{ESTIMATE} --threads 2", {0}),
    ("estimate", f"estimate --model resnet18 --hardware {IMPORTED} --source legacy --explain 0", {0}),
    ("estimate", f"estimate --model resnet18 --hardware {MEASURED} --source default", {0}),
    ("estimate", f"estimate --model {SOURCE}/workloads/testdata/training.pt2 --calibration {{curves}}", {0}),
    ("estimate", f"estimate --model {EXAMPLE} --calibration {{curves}}", {0}),
    ("generate_time", GENERATE, {0}),
    ("generate_time", f"{GENERATE},{IMPORTED} --cache-length 64 --batch 2", {0}),
    ("generate_time", f"{PAIR} --hardware {IMPORTED} --source legacy", {0}),
    (None, GENERATE + " --cache-length 8", {2}),
    (None, ESTIMATE + " --threads 64", {2}),
    (None, ESTIMATE + " --allocator default", {2}),
    (None, "estimate --model resnet18 --hardware nobody", {2}),
    ("dry_run", CALIBRATE, {0}),
    ("calibrate", CALIBRATE_NOW, {3}),
    ("calibrate", "calibrate --models squeezenet1_1,mnasnet0_5,mobilenet_v3_small --test-models shufflenet_v2_x0_5 "
     "--batch 1,2,4 --runs-per-model 2 --launches 2 --output {tmp}/batches", {0, 1, 3}),
    ("calibrate", "calibrate --quiet --models squeezenet1_1,resnet18,alexnet,mobilenet_v2 --test-models "
                  "shufflenet_v2_x1_0 --runs-per-model 6 --launches 3 --output {staged}", {0, 1, 3}),
    ("inspect", "inspect --model resnet18", {0}),
    ("inspect", f"inspect --model {SOURCE}/workloads/testdata/training.pt2", {0}),
    ("inspect", f"inspect --model {SOURCE}/workloads/testdata/dynamic_batch.pt2 --batch 2", {0}),
    ("inspect", "inspect --model {tmp}/m.json", {0}),
    ("dry_run", MEASURE, {0}),
    ("measure", MEASURE_NOW, {0}),
    ("measure", "measure --model squeezenet1_1,alexnet --cache-state hot --runs 2 --launches 2 --quiet "
                "--output {out}/all", {0}),
    ("measure", "SYNTHETIC_FAIL_ALL=1 " + MEASURE_NOW, {3}),
    ("aggregate", AGGREGATE, {0}),
    ("aggregate", f"aggregate --quiet --input {REPEATED} --output {{out}}", {0}),
    ("aggregate", "aggregate --quiet --input {own_samples} --output {out}", {0}),
    ("validate", VALIDATE, {0, 1, 3}),
    ("validate", "validate --calibration {curves} --leave-out family", {0, 1, 3}),
    ("dry_run", TEST_MODELS, {0}),
    ("validate", f"validate --hardware {IMPORTED}", {0, 1, 3}),
    ("validate", f"validate --hardware {MEASURED}", {0, 1, 3}),
    ("analyze", "analyze --calibration {curves}", {0}),
    ("analyze", f"analyze --hardware {IMPORTED}", {0}),
    ("visualize", "visualize --calibration {curves} --model resnet18", {0}),
    ("audit", AUDIT, {0}),
    ("audit", f"audit --hardware {IMPORTED}", {0}),
    ("check", "check {curves}", {0}),
    ("check", "check {broken} {curves}", {2}),
    ("compare", COMPARE, {0, 1, 3}),
    ("compare", "compare {tmp}/m.json {tmp}/again.json", {0, 1, 3}),
    ("compare", "compare {curves} {curves}", {0, 1, 3}),
    ("compare", "compare {tmp}/g.json {tmp}/elsewhere.json", {0, 1, 3}),
    ("promote", "promote {staged} --reason x --registry {out} --dry-run", {0, 1, 3}),
    ("list_hardware", "list hardware", {0}),
    ("list_models", "list models", {0}),
    ("doctor", "doctor", {0}),
]


def named_fields(schema, node, path=""):
    """The paths that a schema names; parts that it defines once are one place."""
    if reference := node.get("$ref"):
        if reference == "#":
            return set()
        return named_fields(schema, schema["definitions"][reference.rsplit("/", 1)[1]], path)
    found = set()
    for name, child in node.get("properties", {}).items():
        found |= {f"{path}/{name}"} | named_fields(schema, child, f"{path}/{name}")
    if "items" in node:
        found |= named_fields(schema, node["items"], f"{path}/[]")
    if isinstance(node.get("additionalProperties"), dict):
        found |= named_fields(schema, node["additionalProperties"], f"{path}/*")
    return found


def printed_fields(value, path=""):
    if isinstance(value, list):
        return set().union(*(printed_fields(item, f"{path}/[]") for item in value))
    if not isinstance(value, dict):
        return set()
    return set().union(*({f"{path}/{name}"} | printed_fields(child, f"{path}/{name}")
                         for name, child in value.items()))


def prepare(folder):
    """The measurement again, and its export as another machine's with a case that took no time."""
    (folder / "again.json").write_bytes((folder / "m.json").read_bytes())
    export = json.loads((folder / "g.json").read_text())
    export["context"] = {key: value + " of another" if isinstance(value, str) else value
                         for key, value in export["context"].items()}
    for row in export["benchmarks"]:
        if row["run_name"] == export["benchmarks"][0]["run_name"]:
            row["real_time"] = 0
    (folder / "elsewhere.json").write_text(json.dumps(export))


def fault_of(fixture, schema, line, codes, printed_by):
    code, printed, errors, _ = fixture.run(line + " --json")
    if code not in codes:
        return f"exit {code}: {errors.strip()[:300]}"
    if schema is None:
        return "refused, and printed something" if printed else ""
    document = json.loads(printed)
    file = fixture.tmp / "printed.json"
    file.write_text(printed)
    checked = subprocess.run([FITS_SCHEMA, SCHEMAS / f"output_{schema}_v1.json", file], capture_output=True, text=True)
    if checked.returncode != 0:
        return "\n  ".join((checked.stdout + checked.stderr).splitlines()[:5])
    printed_by.setdefault(schema, set()).update(printed_fields(document))
    return ""


def main():
    failures = []
    takes_json = {command for command, names in options().items() if "--json" in names}
    run = {command_of(line) for _, line, _ in RUNS}
    failures += [f"{command}: no run of it" for command in sorted(takes_json ^ run)]
    printed_by = {}
    with tempfile.TemporaryDirectory(prefix="derate_json_") as folder:
        fixture = Fixture(pathlib.Path(folder))
        prepare(fixture.tmp)
        for schema, line, codes in RUNS:
            if fault := fault_of(fixture, schema, line, codes, printed_by):
                failures.append(f"{line}: {fault}")
    measurement = json.loads((SCHEMAS / "measurement_v1.json").read_text())
    for file in sorted(SCHEMAS.glob("output_*.json")):
        name = re.fullmatch(r"output_(\w+)_v\d+", file.stem).group(1)
        schema = json.loads(file.read_text())
        unprinted = named_fields(schema, schema) - printed_by.get(name, set())
        if name == "measure":  # its codec has a test of its own
            unprinted -= named_fields(measurement, measurement)
        failures += [f"{file.name}: {path} is printed by no run" for path in sorted(unprinted)
                     if not any(part in path for part in MAY_BE_ABSENT)]
    print("\n".join(failures))
    print(f"{len(RUNS)} runs, {len(failures)} faults")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
