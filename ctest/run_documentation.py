#!/usr/bin/env python3
"""Runs every command a page of documentation shows, and compares what it shows of the output.

usage: run_documentation.py PAGE.md --program-folder DIR --source DIR

Fenced blocks of the page are read in order and run in one temporary folder:

    ```sh           each command must end with exit 0 (or with what "# exit 2", "# exit 0 or 3" behind it says)
    ```console      lines after "$ " are commands; the lines below one are its output
    ```             and ```text, ```json, ...: not run; but a line of a plain block that starts with
                    "derate " or "./derate " is run too, so that no command can hide there

Output is compared line by line with numbers, paths of this machine and runs of blanks made equal; a
line "..." stands for any lines. A command that measures is run with two small models and --quick; without
derate-bench it is left out, with what follows in its block.
A block below "<!-- not run: REASON -->" is left alone, and counted. A block below "<!-- from FILE -->"
must stand in that file of the tree.

With DERATE_UPDATE_DOCS=1 the numbers shown in console blocks become those that were printed now.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^```(\w*)\s*$")
NUMBER = re.compile(r"[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?")
SMALL = "--models squeezenet1_1,mnasnet0_5 --test-models mobilenet_v3_small --quick --budget 60s"
TIMEOUT_S = 420


def blocks_of(page):
    """Yields (language, first line's number, lines, reason not to run it)."""
    language, start, lines, reason = None, 0, [], None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = FENCE.match(line.strip())
        if fence and language is None:
            language, start, lines = fence.group(1), number, []
        elif fence:
            yield language, start, lines, reason
            language, reason = None, None
        elif language is not None:
            lines.append(line)
        elif line.strip().startswith(("<!-- not run:", "<!-- from ")):
            reason = line.strip()
        elif line.strip():
            reason = None


def commands_of(language, lines):
    """Yields (command, expected output lines or None, expected exit codes)."""
    if language == "console":
        command, output = None, []
        for line in lines + ["$ "]:
            if line.startswith("$ "):
                if command:
                    yield with_exit(command, output)
                command, output = line[2:], []
            elif command and command.endswith("\\"):
                command = command[:-1] + line.strip()
            else:
                output.append(line)
    elif language in ("", "sh"):
        joined = "\n".join(lines).replace("\\\n", " ").splitlines()
        for line in joined:
            line = line.strip()
            ours = line.startswith(("derate ", "./derate "))
            if line and not line.startswith("#") and (language == "sh" or ours):
                yield with_exit(line, None)


def with_exit(command, output):
    match = re.search(r"\s+#\s*exit (\d+(?: or \d+)*)\s*$", command)
    codes = [int(code) for code in match.group(1).split(" or ")] if match else [0]
    return re.sub(r"\s+#\s.*$", "", command), output, codes


def small(command):
    """The same command, measuring little."""
    words = command.split()
    if "calibrate" in words[:3] and "--dry-run" not in words:
        keep = re.sub(r"--(models|test-models|budget|runs-per-model)[= ]\S+", "", command)
        keep = keep.replace("--quick", "")
        at = keep.index("calibrate") + len("calibrate")
        return f"{keep[:at]} {SMALL} {keep[at:]}"
    if "measure" in words[:3] and "--quick" not in words and "--dry-run" not in words:
        return command.replace("measure", "measure --quick --budget 60s", 1)
    return command


def same_for_all(line, folder):
    line = line.replace(str(folder), ".")
    line = NUMBER.sub("#", line)
    line = re.sub(r"[#%]*#%?", "#", line)
    return re.sub(r"[\s|─━-]+", " ", line).strip()


def compare(expected, printed, folder):
    """Matches shown lines with printed ones in order; "..." skips printed lines.

    Returns ({index in expected: index in printed}, the first shown line that is not printed in its
    place, or None).
    """
    have = [(i, same_for_all(line, folder)) for i, line in enumerate(printed)]
    have = [(i, line) for i, line in have if line]
    places, at, free = {}, 0, False
    for index, line in enumerate(same_for_all(line, folder) for line in expected):
        if not line:
            continue
        if line == "...":
            free = True
            continue
        if free:
            while at < len(have) and have[at][1] != line:
                at += 1
        if at >= len(have) or have[at][1] != line:
            now = f"printed: {have[at][1]}" if at < len(have) else "the output ended"
            return places, f"{line}   ({now})"
        places[index] = have[at][0]
        at, free = at + 1, False
    if not free and at < len(have):
        return places, f"(nothing more)   (printed: {have[at][1]})"
    return places, None


def with_numbers_of(page_lines, start, command, expected, printed, places, folder):
    """The page with the output below `command`, in the block that starts at line `start`, as printed."""
    at = start + next(i for i, line in enumerate(page_lines[start:])
                      if line.startswith("$ ") and command.startswith(line[2:].rstrip("\\ ").split("  #")[0]))
    while page_lines[at].endswith("\\"):
        at += 1
    for index, place in places.items():
        assert page_lines[at + 1 + index] == expected[index]
        page_lines[at + 1 + index] = printed[place].replace(str(folder) + "/", "").rstrip()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--program-folder", type=pathlib.Path, required=True)
    parser.add_argument("--source", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    arguments.program_folder, arguments.source = arguments.program_folder.resolve(), arguments.source.resolve()
    can_measure = (arguments.program_folder / "derate-bench").exists()

    folder = pathlib.Path(tempfile.mkdtemp(prefix="derate-docs-"))
    # What a reader in a fresh clone has beside him: the launcher's name and the tree's data.
    (folder / "derate").symlink_to(arguments.program_folder / "derate")
    for name in ("hardware_registry", "docs", "workloads", "cmake"):
        if (arguments.source / name).exists():
            (folder / name).symlink_to(arguments.source / name)
    (folder / "build").mkdir()
    (folder / "build/release").symlink_to(arguments.program_folder.parent)
    environment = dict(os.environ, PATH=f"{arguments.program_folder}:{os.environ['PATH']}", NO_COLOR="1",
                       COLUMNS="100", XDG_DATA_HOME=str(folder / "data"))
    run, left_out, failures = 0, 0, []
    update = os.environ.get("DERATE_UPDATE_DOCS") == "1"
    page_lines = arguments.page.read_text().splitlines()
    try:
        for language, start, lines, reason in blocks_of(arguments.page):
            quoted = re.match(r"<!-- from (\S+) -->", reason or "")
            if quoted and "\n".join(lines) not in (arguments.source / quoted.group(1)).read_text():
                failures.append(f"{arguments.page.name}:{start}: does not stand in {quoted.group(1)}")
            lacks_measurement = False
            for command, expected, codes in commands_of(language, lines):
                where = f"{arguments.page.name}:{start}: {command}"
                measures = "--dry-run" not in command and re.search(
                    r"\b(calibrate|measure|--test-models|derate-bench)\b", command)
                # What follows in a block may need what was measured before it.
                lacks_measurement = lacks_measurement or bool(measures and not can_measure)
                if reason or lacks_measurement or command.startswith(("./derate test", "git clone", "cd ")):
                    left_out += 1
                    continue
                run += 1
                try:
                    done = subprocess.run(["bash", "-c", small(command)], cwd=folder, env=environment,
                                          capture_output=True, text=True, timeout=TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    failures.append(f"{where}\n    took longer than {TIMEOUT_S} s")
                    continue
                if small(command) != command and "calibrate" in command:
                    codes = [*codes, 1, 3]  # the verdict on so little is not the page's
                if done.returncode not in codes:
                    wanted = " or ".join(map(str, codes))
                    failures.append(f"{where}\n    exit {done.returncode}, the page says {wanted}\n"
                                    f"    {(done.stderr or done.stdout).strip()[-600:]}")
                elif expected is not None:
                    printed = (done.stdout + (done.stderr if done.returncode else "")).splitlines()
                    places, difference = compare(expected, printed, folder)
                    if difference:
                        failures.append(f"{where}\n    the page shows: {difference}")
                    elif update:
                        with_numbers_of(page_lines, start, command, expected, printed, places, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if update:
        arguments.page.write_text("\n".join(page_lines) + "\n")
    print("\n".join(failures))
    print(f"{arguments.page.name}: {run} commands run, {left_out} left out, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
