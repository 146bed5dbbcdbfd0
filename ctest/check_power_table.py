#!/usr/bin/env python3
"""Fails when docs/statistics.md shows other figures of the gate's power than gate_power prints.

The whole tables take minutes; the rows of the fewest models take seconds and change whenever a rule, a
limit or the simulation does. Usage: check_power_table.py GATE_POWER STATISTICS_MD
"""
import re
import subprocess
import sys

MODELS = 5


def cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def main():
    program, page = sys.argv[1:]
    text = open(page, encoding="utf-8").read()
    runs = re.search(r"(\d+) calibrations a row", text)
    if not runs:
        sys.exit(f"{page}: does not say how many calibrations a row has ('N calibrations a row')")
    shown = [cells(line) for line in text.splitlines() if line.startswith("|")]
    printed = subprocess.run([program, runs.group(1), "--models", str(MODELS)], check=True,
                             capture_output=True, text=True).stdout
    rows = [cells(line) for line in printed.splitlines() if line.startswith("|")]
    missing = [row for row in rows if "---" not in row[0] and row not in shown]
    for row in missing:
        print("not in the page: | " + " | ".join(row) + " |")
    if missing or len(rows) < 10:
        sys.exit(f"{page}: run {program} {runs.group(1)} and put its tables in")
    print(f"{len(rows)} rows of {MODELS} models are as {program} prints them")


if __name__ == "__main__":
    main()
