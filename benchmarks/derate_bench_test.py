#!/usr/bin/env python3
"""Runs derate-bench as people and campaigns do. Usage: derate_bench_test.py DERATE_BENCH MODELS_DIR"""

import fcntl
import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM, MODELS = sys.argv[1], pathlib.Path(sys.argv[2])


def bench(*arguments, **options):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, **options)


def batch_symbol(model):
    """The one symbol of an image model's export."""
    (symbol,) = json.loads(gzip.decompress((MODELS / f"{model}.json.gz").read_bytes()))["range_constraints"]
    return symbol


def plan(steps, cases=(), *, models=("squeezenet1_1",), **changes):
    repetition = {"min_timed_ms": 0.5, "min_iterations": 1, "max_iterations": 100,
                  "max_warmup_ms": 5, "min_warmup_iterations": 1}
    return {"format": "derate_plan", "version": 1, "campaign": "test", "launch": 0, "seed": 1,
            "value_rule": "derate_2", "threads": 1, "cpus": [], "device": "cpu",
            "repetition": repetition, "time_limit_s": 0, "peaks": False, "cases": list(cases), "steps": steps, "done": [],
            "models": [{"name": m, "file": str(MODELS / f"{m}.json.gz"), "batch": 1,
                        "dimensions": {batch_symbol(m): 1}, "precision": "FP32"} for m in models]} | changes


def case(key, subgraph, state="cold_all", model=0):
    return {"key": key, "model": model, "subgraph": subgraph, "state": state}


class Standalone(unittest.TestCase):
    def test_writes_google_benchmarks_json_with_derates_keys(self):
        run = bench("--model", "squeezenet1_1", "--benchmark_filter=^conv2d/|whole",
                    "--benchmark_min_time=0.001", "--benchmark_format=json")
        self.assertEqual(run.returncode, 0, run.stderr)
        report = json.loads(run.stdout)
        context = report["context"]
        self.assertEqual(context["precision"], "FP32")
        self.assertEqual(context["cache_state"], "cold_all")
        self.assertEqual(context["models"], "squeezenet1_1/b1")
        self.assertEqual(context["malloc_thresholds_bytes"], "2000000000")
        *cases, whole = report["benchmarks"]
        self.assertEqual(whole["name"], "whole/squeezenet1_1/b1/manual_time")
        for row in cases:
            self.assertRegex(row["name"], r"^conv2d/[0-9a-f]{16}/manual_time$")
            self.assertGreater(row["flops"], 0)
            self.assertGreater(row["input_bytes"] * row["weight_bytes"] * row["output_bytes"], 0)
            self.assertRegex(row["label"], r"^Conv2d_ReLU squeezenet1_1/b1/\d+ x0:float32\[")
            self.assertGreater(row["real_time"], 0)

    def test_lists_every_distinct_subgraph_once(self):
        run = bench("--model", "squeezenet1_1", "--benchmark_list_tests=true")
        names = run.stdout.split()
        self.assertEqual(len(names), len(set(names)))
        self.assertGreater(len(names), 20)

    def test_no_match_is_no_success(self):
        run = bench("--model", "squeezenet1_1", "--benchmark_filter=nothing_like_it")
        self.assertEqual(run.returncode, 2)
        self.assertIn("no case matches", run.stderr)

    def test_bad_input_is_one_line_and_2(self):
        for arguments in (["--model", "squeezenet1_11"], ["--model", "no_such_file.pt2"], [],
                          ["--model", "squeezenet1_1", "--benchmark_no_such_flag=1"],
                          ["--plan", "/nonexistent", "--samples", "/tmp/x"]):
            run = bench(*arguments)
            self.assertEqual(run.returncode, 2, arguments)
            self.assertEqual(len(run.stderr.strip().splitlines()), 1, run.stderr)

    def test_peaks_and_environment_are_json(self):
        environment = json.loads(bench("--environment").stdout)
        self.assertEqual(environment["build_type"], "Release")
        self.assertEqual(environment["malloc_mmap_threshold_bytes"], 2e9)


class Planned(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.plan_file = pathlib.Path(self.folder.name) / "plan.json"
        self.samples = pathlib.Path(self.folder.name) / "x.samples.jsonl"

    def tearDown(self):
        self.folder.cleanup()

    def arguments(self, content):
        self.plan_file.write_text(json.dumps(content))
        return ["--plan", self.plan_file, "--samples", self.samples]

    def records(self):
        return [json.loads(line) for line in self.samples.read_text().splitlines()]

    def test_a_line_a_step_in_the_plans_order(self):
        steps = [["drift", 1], ["isolated", 1], ["whole", 0], ["in_context", 0], ["isolated", 0]]
        run = bench(*self.arguments(plan(steps, [case("a", 0), case("b", 1, "hot")])), "--progress")
        self.assertEqual(run.returncode, 0, run.stderr)
        records = self.records()
        self.assertEqual([r["kind"] for r in records],
                         ["environment", "drift", "isolated", "whole", "in_context", "isolated",
                          "launch_end"])
        self.assertEqual([r["sequence"] for r in records[1:-1]], [0, 1, 2, 3, 4])
        self.assertEqual([records[2]["case"], records[5]["case"]], ["b", "a"])
        self.assertTrue(all(r["warmup"] >= 1 for r in records if "warmup" in r))
        self.assertEqual(records[-1]["reason"], "complete")
        self.assertEqual(run.stderr.splitlines()[-1], "progress 5 5")

    def test_a_case_that_cannot_be_timed_is_a_record(self):
        run = bench(*self.arguments(plan([["isolated", 0], ["isolated", 1]],
                                         [case("a", 10_000), case("b", 1)])))
        self.assertEqual(run.returncode, 0, run.stderr)
        kinds = [(r["kind"], r.get("case")) for r in self.records()]
        self.assertEqual(kinds[1:3], [("failure", "a"), ("isolated", "b")])

    def test_a_locked_samples_file_is_refused_with_4(self):
        with open(self.samples, "w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            run = bench(*self.arguments(plan([["drift", 0]])))
        self.assertEqual(run.returncode, 4)
        self.assertIn("another run is writing", run.stderr)
        self.assertEqual(self.samples.read_text(), "")

    def test_it_dies_with_its_parent(self):
        arguments = self.arguments(plan([["whole", 0]] * 100_000))
        script = f"{PROGRAM} --plan {arguments[1]} --samples {arguments[3]} & echo $!; wait"
        parent = subprocess.Popen(["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True)
        child = int(parent.stdout.readline())
        while parent.poll() is None and not (
                self.samples.exists() and self.samples.read_text().count("\n") > 1):
            time.sleep(0.05)
        self.assertIsNone(parent.poll(), "derate-bench ended before its plan did")
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        parent.stdout.close()
        for _ in range(200):
            try:
                os.kill(child, 0)
                status = pathlib.Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[0]
            except (ProcessLookupError, FileNotFoundError):
                break
            if status == "Z":
                break
            time.sleep(0.05)
        else:
            os.kill(child, signal.SIGKILL)
            self.fail("derate-bench outlived its parent")
        for line in self.samples.read_text().splitlines()[:-1]:
            json.loads(line)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
