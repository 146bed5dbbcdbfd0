#!/usr/bin/env python3
"""The shipped exports are what docs/models.md says of them; prints every way in which they are not.

usage: check_exports.py SOURCE_ROOT
"""

import gzip
import json
import pathlib
import re
import sys

LARGEST_FILE = 80 * 1024
LARGEST_SET = 3 * 1024 * 1024
MOST_CALIBRATION_MODELS = 14
FEWEST_HELD_OUT_MODELS = 15
# What export_probes.py writes: single kernels, no model, so neither in the catalogue nor in the golden file.
PROBES = ("probes_b1.json.gz", "probes_b1_bf16.json.gz")
MACHINE_PATH = re.compile(r"site-packages|/home/|/root/|/tmp/|/usr/|stack_trace")


def problems_of_file(name, text, document):
    if found := MACHINE_PATH.search(text):
        yield f"{name}: holds {found.group()}"
    module = document["graph_module"]
    if bool(document["range_constraints"]) == (name in PROBES):
        yield f"{name}: its batch is not free" if name not in PROBES else f"{name}: has dynamic shapes"
    if name not in PROBES and '"nn_module_stack":",' not in text:
        yield f"{name}: says of no call which module makes it"
    values = module["graph"]["tensor_values"]
    for spec in module["signature"]["input_specs"]:
        (fields,) = spec.values()
        target = fields.get("buffer_name") or fields.get("tensor_constant_name")
        if target is None:
            continue
        constant = document["derate_constants"].get(target)
        if constant is None:
            # torch.export's numbers: 1 to 5 integers, 12 boolean
            if values[fields["arg"]["name"]]["dtype"] in (1, 2, 3, 4, 5, 12):
                yield f"{name}: the values of {target} are missing"
            continue
        count = 1
        for size in constant["shape"]:
            count *= size
        if len(constant["values"]) != count:
            yield f"{name}: {target} has {len(constant['values'])} values, its shape {count}"


def problems(root):
    models = root / "workloads" / "models"
    catalogue = json.loads((models / "catalogue.json").read_text())
    golden = json.loads((root / "workloads" / "testdata" / "flop_golden.json").read_text())["files"]
    page = (root / "docs" / "models.md").read_text()

    roles = [entry["role"] for entry in catalogue]
    if roles.count("calibration") > MOST_CALIBRATION_MODELS:
        yield f"{roles.count('calibration')} calibration models (at most {MOST_CALIBRATION_MODELS})"
    if roles.count("held_out") < FEWEST_HELD_OUT_MODELS:
        yield f"{roles.count('held_out')} held-out models (at least {FEWEST_HELD_OUT_MODELS})"

    listed = set()
    for entry in catalogue:
        role = entry["role"].replace("_", " ")
        row = re.search(rf"^\| (\S+) \| `{entry['name']}` \|.*\| ([a-z ]+) \|$", page, re.MULTILINE)
        if not row or row.groups() != (entry["family"], role):
            yield f"docs/models.md does not list {entry['name']} ({entry['family']}, {role})"
        variants = {file["precision"] for file in entry["files"]}
        wanted = {"fp32", "bf16"} if entry["role"] == "calibration" else {"fp32"}
        if missing := wanted - variants:
            yield f"{entry['name']}: no export for {sorted(missing)}"
        for file in entry["files"]:
            listed.add(file["file"])

    versions, total = set(), 0
    for name in sorted(listed | set(PROBES)):
        path = models / name
        if not path.exists():
            yield f"{name}: is not there"
            continue
        total += path.stat().st_size
        if path.stat().st_size > LARGEST_FILE:
            yield f"{name}: {path.stat().st_size} bytes (at most {LARGEST_FILE})"
        text = gzip.decompress(path.read_bytes()).decode()
        document = json.loads(text)
        yield from problems_of_file(name, text, document)
        versions.add(document["torch_version"])
    if total > LARGEST_SET:
        yield f"the exports take {total} bytes (at most {LARGEST_SET})"
    if len(versions) != 1:
        yield f"exported with different versions of PyTorch: {', '.join(sorted(versions))}"
    for path in models.glob("*.json.gz"):
        if path.name not in listed and path.name not in PROBES:
            yield f"{path.name}: the catalogue does not list it"
    counted = {re.sub(r"_b[0-9]+(?=(_bf16)?\.json)", "", name) for name in golden}
    if counted != listed:
        yield f"flop_golden.json and the catalogue differ in {sorted(counted ^ listed)}"


def main():
    found = list(problems(pathlib.Path(sys.argv[1])))
    print("\n".join(found) or "the exports are in order")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
