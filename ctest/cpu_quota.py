#!/usr/bin/env python3
"""A quota of a control group is seen by the program itself, whatever this machine's groups are.

Each case runs derate in a mount namespace of its own, where files of a temporary folder lie over
/sys/fs/cgroup and over the process's /proc/self/cgroup. Exit 77 where namespaces are not allowed.

usage: cpu_quota.py DERATE
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

ENTER = ["unshare", "--mount"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
SCRIPT = 'mount --bind "$1" /sys/fs/cgroup && mount --bind "$2" /proc/$$/cgroup && shift 2 && exec "$@"'

# What stands below /sys/fs/cgroup, what /proc/self/cgroup says, and the CPUs that are granted.
CASES = {
    "own group": ({"app.scope/cpu.max": "50000 100000"}, "0::/app.scope", 0.5),
    "group above": ({"batch.slice/cpu.max": "50000 100000",
                     "batch.slice/job.scope/cpu.max": "max 100000"}, "0::/batch.slice/job.scope", 0.5),
    "root": ({"cpu.max": "150000 100000"}, "0::/", 1.5),
    "version 1": ({"cpu/batch/cpu.cfs_quota_us": "50000", "cpu/batch/cpu.cfs_period_us": "100000"},
                  "4:cpu,cpuacct:/batch\n0::/", 0.5),
    "none": ({"batch.slice/cpu.max": "max 100000"}, "0::/batch.slice", None),
}


def run(derate, files, group, *arguments):
    with tempfile.TemporaryDirectory(prefix="derate_quota_") as folder:
        root = pathlib.Path(folder) / "cgroup"
        root.mkdir()
        for name, text in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")
        own = pathlib.Path(folder) / "self"
        own.write_text(group + "\n")
        return subprocess.run([*ENTER, "bash", "-c", SCRIPT, "bash", root, own, derate, *arguments],
                              capture_output=True, text=True, timeout=120)


def main():
    derate = sys.argv[1]
    if run("true", {}, "0::/").returncode != 0:
        print("this system allows no mount namespaces")
        return 77
    faults = 0
    for name, (files, group, granted) in CASES.items():
        def claim(holds, what):
            nonlocal faults
            if not holds:
                faults += 1
                print(f"{name}: {what}")

        told = json.loads(run(derate, files, group, "doctor", "--json").stdout)
        claim(told["environment"]["cgroup_cpus"] == granted, f"cgroup_cpus {told['environment']['cgroup_cpus']}")
        short = granted is not None and granted < 1
        claim(any("control group" in reason["what"] for reason in told["reasons"]) == short, told["reasons"])
        claim((told["best_trust_grade"] == "D") >= short, told["best_trust_grade"])
        text = run(derate, files, group, "doctor").stdout
        claim((f"{granted} CPUs (a control group)" in text) == (granted is not None), text)
        plan = ["measure", "--model", "squeezenet1_1", "--quick", "--dry-run"]
        listed = json.loads(run(derate, files, group, *plan, "--json").stdout)
        claim((len(listed["warnings"]) == 1) == short, listed["warnings"])
        claim(("trust grade D at best" in run(derate, files, group, *plan).stdout) == short, "dry run")
        if granted is not None:
            assert granted < 2
            for command in (plan, ["calibrate", "--quick", "--dry-run"]):
                refused = run(derate, files, group, *command, "--threads", "2")
                claim(refused.returncode == 2 and "CPUs, not 2 (no more threads than CPUs)" in refused.stderr,
                      refused.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
