#!/usr/bin/env python3
"""Fails where an example of docs/commands.md uses a flag, model or hardware that there is not.

The examples speak of files a reader has (my.pt2, curves.json), so most end with "no such file". Every other
complaint about the command line is a stale example. Nothing is measured: derate-bench is hidden.

usage: check_examples.py DERATE ROOT
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

STALE = re.compile(r"no such (flag|command|model|precision)|no registry knows|\(see derate|^derate: --[\w-]+", re.M)
# What a machine of one CPU says of an example with two threads.
OF_THIS_MACHINE = re.compile(r"this process may use \d+ CPUs")
FILE_OF_READER = re.compile(r"(no such|not a|cannot read|readable) file|not there|is not a folder", re.I)


def main():
    program, root = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    examples = [line for block in re.findall(r"^```\n(.*?)^```", (root / "docs/commands.md").read_text(), re.S | re.M)
                for line in block.splitlines() if line.startswith("derate ")]
    stale = []
    environment = dict(os.environ, PATH=f"{program.parent}:{os.environ['PATH']}", DERATE_BENCH="/nonexistent")
    for example in examples:
        with tempfile.TemporaryDirectory(prefix="derate-examples-") as folder:
            (pathlib.Path(folder) / "hardware_registry").symlink_to(root / "hardware_registry")
            done = subprocess.run(["bash", "-c", example], cwd=folder, env=environment, capture_output=True,
                                  text=True, timeout=120)
        if OF_THIS_MACHINE.search(done.stderr):
            continue
        if done.returncode not in (0, 1, 3, 4) and (STALE.search(done.stderr) or not FILE_OF_READER.search(done.stderr)):
            stale.append(f"{example}\n    exit {done.returncode}: {done.stderr.strip()[-300:]}")
    print("\n".join(stale))
    print(f"{len(examples)} examples, {len(stale)} stale")
    sys.exit(1 if stale or len(examples) < 10 else 0)


if __name__ == "__main__":
    main()
