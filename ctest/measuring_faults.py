#!/usr/bin/env python3
"""What `derate measure` does when its surroundings fail: a second run on the same output, a full disk,
a folder that vanishes, a kill, a case that cannot be timed.

It starts the program that follows derate-bench's protocol with drawn times. Usage:
measuring_faults.py DERATE SYNTHETIC_BENCH
"""
import json
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

DERATE, BENCH = sys.argv[1:3]


def is_running(process_id):
    try:
        status = pathlib.Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


def children_of(process_id):
    listed = pathlib.Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(word) for word in listed.split()]


class Faults(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="derate_faults_")
        self.folder = pathlib.Path(self.temporary.name) / "out"
        self.output = self.folder / "m.json"
        self.samples = self.folder / "m.samples.jsonl"

    def tearDown(self):
        self.temporary.cleanup()

    def start(self, *, output=None, launches=3, environment={}, **options):
        command = [DERATE, "measure", "--model", "squeezenet1_1", "--runs", "6", "--launches",
                   str(launches), "--quiet", "--output", str(output or self.output)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "DERATE_BENCH": BENCH, **environment},
                                **options)

    def run_to_end(self, **given):
        process = self.start(**given)
        out, words = process.communicate(timeout=120)
        return process.returncode, out, words

    def slow(self):
        return {"SYNTHETIC_PAUSE_US": "3000"}

    def wait_for_lines(self, count):
        for _ in range(2000):
            if self.samples.exists() and self.samples.read_bytes().count(b"\n") >= count:
                return
            time.sleep(0.01)
        self.fail("no samples came")

    def times(self):
        """Every timed step by its place; fails on a line that does not parse."""
        records = map(json.loads, self.samples.read_text().splitlines())
        return {(r["launch"], r["sequence"]): r["time_ms"] for r in records if "time_ms" in r}

    def assert_one_line(self, words, part):
        self.assertEqual(len(words.strip().splitlines()), 1, words)
        self.assertIn(part, words)

    def test_second_run_on_one_output_is_told_and_ends_with_4(self):
        first = self.start(environment=self.slow())
        self.wait_for_lines(5)
        code, _, words = self.run_to_end()
        self.assertEqual(code, 4, words)
        self.assert_one_line(words, "another run is writing to it")
        _, words = first.communicate(timeout=120)
        self.assertEqual(first.returncode, 0, words)

    def test_kill_takes_the_bench_down_and_frees_the_output(self):
        first = self.start(environment=self.slow())
        self.wait_for_lines(5)
        bench = children_of(first.pid)
        self.assertEqual(len(bench), 1)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        for _ in range(500):
            if not is_running(bench[0]):
                break
            time.sleep(0.01)
        else:
            os.kill(bench[0], signal.SIGKILL)
            self.fail("the bench outlived derate")
        code, _, words = self.run_to_end()
        self.assertEqual(code, 0, words)

    def test_bench_holds_the_lock_while_derate_does_not_run(self):
        # A derate that is stopped, not killed, leaves its bench at work: the output is still taken.
        first = self.start(environment=self.slow())
        self.wait_for_lines(5)
        bench = children_of(first.pid)[0]
        held = [pathlib.Path(f"/proc/{bench}/fd/{fd}").resolve()
                for fd in os.listdir(f"/proc/{bench}/fd")]
        self.assertIn(self.samples.resolve(), held)
        inode = str(self.samples.stat().st_ino)
        locks = [line for line in pathlib.Path("/proc/locks").read_text().splitlines()
                 if f":{inode} " in line]
        self.assertTrue(any("FLOCK" in line and "WRITE" in line for line in locks), locks)
        first.kill()
        first.communicate()

    def test_full_disk_is_told_and_costs_no_line(self):
        undisturbed = self.folder.parent / "whole"
        code, _, words = self.run_to_end(output=undisturbed / "m.json")
        self.assertEqual(code, 0, words)
        room = (undisturbed / "m.samples.jsonl").stat().st_size * 2 // 3

        # A limit on the size of files stands in for the disk: a write past it is cut short, the
        # next one fails. Python ignores the signal that would come with it; so do its children.
        code, _, words = self.run_to_end(
            restore_signals=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)))
        self.assertIn(code, (2, 4), words)
        self.assert_one_line(words, self.samples.name)
        self.assertTrue(self.samples.read_bytes().endswith(b"\n"))
        self.assertGreater(len(self.times()), 10)
        self.assertEqual([path.name for path in self.folder.iterdir() if path.suffix == ".json"], [])

        code, _, words = self.run_to_end()  # there is room again
        self.assertEqual(code, 0, words)
        resumed = self.times()
        self.samples = undisturbed / "m.samples.jsonl"
        self.assertEqual(resumed, self.times())

    def test_vanished_folder_is_told_and_not_made_again(self):
        for launches in (1, 3):  # in the last launch, and before another one
            process = self.start(launches=launches, environment=self.slow())
            self.wait_for_lines(5)
            shutil.rmtree(self.folder)
            _, words = process.communicate(timeout=120)
            self.assertEqual(process.returncode, 2, words)
            self.assert_one_line(words, "gone")
            self.assertFalse(self.folder.exists())

    def test_case_that_fails_is_a_result(self):
        code, _, words = self.run_to_end(launches=1)
        self.assertEqual(code, 0, words)
        keys = [json.loads(line).get("case") for line in self.samples.read_text().splitlines()]
        key = next(key for key in keys if key)
        shutil.rmtree(self.folder)
        code, out, words = self.run_to_end(environment={"SYNTHETIC_FAIL_CASE": key})
        self.assertEqual(code, 0, words)
        self.assertIn("synthetic failure", out)
        measured = json.loads(self.output.read_text())["subgraphs"]
        failures = [part["failure"] for part in measured]
        self.assertIn("synthetic failure", failures)
        self.assertIn(None, failures)

    def test_reference_blas_is_not_calibrated_unless_asked_for(self):
        command = [DERATE, "calibrate", "--models", "squeezenet1_1", "--test-models", "alexnet",
                   "--runs-per-model", "2", "--launches", "2", "--quiet", "--output", self.folder]
        environment = {**os.environ, "DERATE_BENCH": BENCH, "SYNTHETIC_BLAS": "reference"}
        run = subprocess.run(command, capture_output=True, text=True, env=environment)
        self.assertEqual(run.returncode, 4, run.stderr)
        self.assert_one_line(run.stderr, "reference BLAS")
        self.assertFalse(self.folder.exists())
        run = subprocess.run([*command, "--reference-blas"], capture_output=True, text=True,
                             env=environment)
        self.assertEqual(run.returncode, 3, run.stderr)  # one model: no verdict on drawn times
        self.assertIn("gate                         INCONCLUSIVE", run.stdout)

    def test_build_without_the_bench_says_what_is_missing_with_4(self):
        alone = pathlib.Path(self.temporary.name) / "derate"
        shutil.copy(DERATE, alone)
        environment = {name: value for name, value in os.environ.items() if name != "DERATE_BENCH"}
        run = subprocess.run([alone, "measure", "--model", "squeezenet1_1", "--output", self.output],
                             capture_output=True, text=True, env=environment)
        self.assertEqual(run.returncode, 4, run.stderr)
        self.assert_one_line(run.stderr, "this build cannot measure")
        self.assertFalse(self.folder.exists())

    def test_bench_that_is_no_program_is_told_with_4(self):
        code, _, words = self.run_to_end(environment={"DERATE_BENCH": "/nonexistent/derate-bench"})
        self.assertEqual(code, 4, words)
        self.assert_one_line(words, "is not a program")
        self.assertFalse(self.folder.exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
