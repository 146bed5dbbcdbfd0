#!/usr/bin/env python3
"""Reads the table of docs/migration.md and fails on a row whose right side does not exist.

usage: check_migration.py SOURCE_DIR PATH_OF_DERATE

    kind                what must hold
    class, function     the named file holds the named identifier
    script              the subcommand exists
    flag                the subcommand has the flag
    file                the path exists
    field               the schema of the named format has a property of that name
    result              the named header declares a member of that name

Every class, script, flag, file and field that the roadmap names must have a row, once.
"""

import json
import pathlib
import re
import subprocess
import sys

ROW = re.compile(r"^\| (.+?) \| (class|function|script|flag|file|field|result) \| (.+?) \|$")

ROADMAP = {
    "class": "RooflineAnalyzer EfficiencyCurve EfficiencyCurveLoader LatencyEstimate"
    " LatencyDescriptor TimingInterpreter",
    "function": "_analyze_subgraph() _get_compute_efficiency_scale()"
    " _get_bandwidth_efficiency_scale()",
    "script": "measure_efficiency.py aggregate_efficiency.py analyze_efficiency_distribution.py"
    " calibrate_hardware.py validate_calibration.py visualize_efficiency.py audit_calibration.py",
    "flag": "--model --hardware --device --runs --output --input --calibration --hardware-name"
    " --models --runs-per-model --test-models",
    "file": "roofline.py efficiency_calibration_v1.json docs/schemas/efficiency_calibration.md"
    " hardware_registry/gpu/jetson_orin_agx/efficiency_curves.json"
    " hardware_registry/cpu/i7-12700K/efficiency_curves.json",
    "field": "$schema hardware_id precision calibration_metadata date tool_version models_used"
    " num_samples efficiency_curves data_points flops efficiency_mean efficiency_std"
    " efficiency_min efficiency_max num_observations source_subgraphs fitted_curve type parameters"
    " r_squared residual_std source subgraph_id fusion_pattern operation_type"
    " theoretical_peak_flops measured_latency_ms mean std min max samples achieved_flops"
    " efficiency ci_95_lower ci_95_upper",
    "result": "latency_ms latency_std_ms ci_95_lower_ms ci_95_upper_ms efficiency_used"
    " efficiency_std",
}


def rows_of(page):
    """Yields (line number, what the roadmap calls it, kind, where it is)."""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        match = ROW.match(line)
        if match:
            name, kind, place = match.groups()
            yield number, name.strip("`"), kind, place


def properties_of(node, found):
    """Names of all properties of a JSON Schema, at any depth."""
    if isinstance(node, dict):
        found.update(node.get("properties", {}))
        for child in node.values():
            properties_of(child, found)
    elif isinstance(node, list):
        for child in node:
            properties_of(child, found)
    return found


class Tree:
    def __init__(self, source, program):
        self.source, self.program = source, program
        self.helps = {}

    def text(self, path):
        file = self.source / path
        return file.read_text() if file.is_file() else None

    def help_of(self, command):
        """What `derate COMMAND --help` prints, or None where there is no such command."""
        if command not in self.helps:
            run = subprocess.run([self.program, command, "--help"], capture_output=True, text=True)
            self.helps[command] = run.stdout if run.returncode == 0 else None
        return self.helps[command]

    def fault(self, name, kind, place):
        """Why the row is wrong, or None."""
        quoted = re.findall(r"`([^`]+)`", place)
        if kind in ("class", "function"):
            path, identifier = quoted[0], quoted[-1]
            text = self.text(path)
            if text is None:
                return f"{path} does not exist"
            if not re.search(rf"\b{re.escape(identifier)}\b", text):
                return f"{path} does not hold {identifier}"
        elif kind == "script":
            if self.help_of(quoted[0].removeprefix("derate ")) is None:
                return f"{quoted[0]} is no command"
        elif kind == "flag":
            _, command, flag = quoted[0].split()
            if not re.search(rf"(?<![\w-]){flag}(?![\w-])", self.help_of(command) or ""):
                return f"derate {command} has no {flag}"
        elif kind == "file":
            if not (self.source / quoted[0]).exists():
                return f"{quoted[0]} does not exist"
        elif kind == "field":
            schema = self.text(f"hardware_registry/schema/{place}_v1.json")
            if schema is None:
                return f"there is no schema {place}_v1.json"
            if name not in properties_of(json.loads(schema), set()):
                return f"{place}_v1.json has no field {name}"
        elif not re.search(rf"\b{name}\b", self.text(quoted[0]) or ""):
            return f"{quoted[0]} has no {name}"
        return None


def main():
    source, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    page = source / "docs/migration.md"
    tree = Tree(source, program)
    faults, seen = [], {}
    for number, name, kind, place in rows_of(page):
        if (kind, name) in seen:
            faults.append(f"{page}:{number}: {name} stands in line {seen[kind, name]} already")
        seen[kind, name] = number
        fault = tree.fault(name, kind, place)
        if fault:
            faults.append(f"{page}:{number}: {name}: {fault}")
    for kind, names in ROADMAP.items():
        for name in names.split():
            if (kind, name) not in seen:
                faults.append(f"{page}: no row for the roadmap's {kind} {name}")
    print("\n".join(faults) or f"{len(seen)} rows, all there")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
