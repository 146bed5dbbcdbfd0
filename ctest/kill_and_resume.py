#!/usr/bin/env python3
"""Kills `derate measure` (or calibrate) at random moments until it has been killed often enough, lets
it end, and compares what it wrote with an undisturbed run.

With --bench it starts a program that follows derate-bench's protocol with drawn times, so that an
undisturbed run can be told apart from a resumed one to the last digit. Without, derate-bench itself
times small models: then the same repetitions must be there and the same files of the same form; what
they say depends on the times.
Fails when a line of a samples file does not parse, an output file is half-written, a repetition is
there twice, or the ends differ.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time


def repetitions(samples):
    """Every step by launch and sequence number; fails on a line that does not parse."""
    found = {}
    text = samples.read_bytes()
    whole, _, torn = text.rpartition(b"\n")
    for number, line in enumerate(whole.split(b"\n"), 1):
        record = json.loads(line)
        if "sequence" not in record:
            continue
        place = record["launch"], record["sequence"]
        assert place not in found, f"{samples}:{number}: step {place} is there twice"
        found[place] = record.get("case"), record.get("model"), record.get("time_ms")
    return found, bool(torn)


DATE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")  # a campaign's id is one


def without_dates(value):
    """A measurement or curve file without what tells two visits apart."""
    if isinstance(value, dict):
        apart = {"date", "campaign", "environment_hash", "samples_sha256", "sha256", "load_average"}
        return {key: without_dates(item) for key, item in value.items() if key not in apart}
    if isinstance(value, list):
        return [without_dates(item) for item in value]
    return "date" if isinstance(value, str) and DATE.fullmatch(value) else value


def read_outputs(folder):
    """Every JSON file by its name, compressed ones too; fails on one that does not parse."""
    found = {}
    for path in sorted(folder.rglob("*.json*")):
        # A temporary name ends otherwise: what lies under one was never an output.
        if path.name.endswith((".json", ".json.gz")):
            text = path.read_bytes()
            found[path.relative_to(folder)] = json.loads(
                gzip.decompress(text) if path.suffix == ".gz" else text)
    return found


def outputs(folder, drawn):
    return {name: without_dates(value) if drawn else sorted(value)
            for name, value in read_outputs(folder).items()}


def check_nothing_is_half_written(folder):
    read_outputs(folder)
    for path in folder.rglob("*.samples.jsonl"):
        if path.stat().st_size:
            repetitions(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--derate", required=True)
    parser.add_argument("--bench", help="the synthetic bench program; without it, derate-bench")
    parser.add_argument("--command", choices=["measure", "calibrate"], default="measure")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = random.Random(given.seed)
    drawn = given.bench is not None
    # Drawn times calibrate to some verdict or other.
    finished = [0] if given.command == "measure" else [0, 1, 3]

    with tempfile.TemporaryDirectory(prefix="derate_kill_") as temporary:
        temporary = pathlib.Path(temporary)

        def command(folder):
            if given.command == "measure":
                return [given.derate, "measure", "--model", "squeezenet1_1", "--runs", "8",
                        "--launches", "4", "--quiet", "--output", str(folder / "m.json")]
            return [given.derate, "calibrate", "--models", "resnet18,squeezenet1_1,mobilenet_v2",
                    "--test-models", "resnet34", "--runs-per-model", "6", "--launches", "3",
                    "--quiet", "--output", str(folder)]

        def run(folder, pause_us, kill_after=None):
            environment = dict(os.environ, SYNTHETIC_PAUSE_US=str(pause_us))
            if given.bench:
                environment["DERATE_BENCH"] = given.bench
            process = subprocess.Popen(command(folder), env=environment,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            try:
                _, words = process.communicate(timeout=kill_after)
                return process.returncode, words.decode()
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                return None, ""

        undisturbed = temporary / "undisturbed"
        undisturbed.mkdir()
        began = time.monotonic()
        code, words = run(undisturbed, 0)
        if code not in finished:
            sys.exit(f"the undisturbed run ended with {code}: {words}")
        fastest = time.monotonic() - began

        disturbed = temporary / "disturbed"
        disturbed.mkdir()
        kills = 0
        # Pauses stretch the run, so that every part of it is likely to be hit.
        steps = sum(len(repetitions(path)[0]) for path in undisturbed.rglob("*.samples.jsonl"))
        pause_us = int(3e6 * given.kills / 10 / steps)
        while kills < given.kills:
            longest = fastest + 4.0 / 10
            code, words = run(disturbed, pause_us, draw.uniform(0.01, longest))
            check_nothing_is_half_written(disturbed)
            if code is None:
                kills += 1
            elif code == 4:
                time.sleep(0.05)  # the killed run's child still holds the lock for a moment
            elif code not in finished:
                sys.exit(f"a resumed run ended with {code}: {words}")
            else:
                # It got to the end before the next kill: begin again, keep counting.
                compare(undisturbed, disturbed, drawn)
                for path in sorted(disturbed.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
        for attempt in range(100):
            code, words = run(disturbed, 0)
            if code != 4:
                break
            time.sleep(0.05)
        if code not in finished:
            sys.exit(f"the last run ended with {code}: {words}")
        compare(undisturbed, disturbed, drawn)
        print(f"{kills} kills: every line parses, nothing is half-written, the end is the same")


def compare(undisturbed, disturbed, drawn):
    for path in undisturbed.rglob("*.samples.jsonl"):
        other = disturbed / path.relative_to(undisturbed)
        expected, _ = repetitions(path)
        found, torn = repetitions(other)
        assert not torn, f"{other}: ends in a torn line"
        if not drawn:
            expected, found = ({place: step[:2] for place, step in steps.items()}
                               for steps in (expected, found))
        assert expected == found, f"{other}: other repetitions than undisturbed"
    differing = differences(outputs(undisturbed, drawn), outputs(disturbed, drawn))
    assert not differing, "the output files differ: " + "; ".join(differing[:5])


def differences(expected, found, where=""):
    """Places in which two JSON values differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        return [place for key in {**expected, **found}
                for place in differences(expected.get(key), found.get(key), f"{where}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        return [place for i, (a, b) in enumerate(zip(expected, found))
                for place in differences(a, b, f"{where}/{i}")]
    return [] if expected == found else [f"{where}: {str(expected)[:80]}, {str(found)[:80]}"]


if __name__ == "__main__":
    main()
