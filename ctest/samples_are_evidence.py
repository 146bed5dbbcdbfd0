#!/usr/bin/env python3
"""The samples that measure and calibrate write give `derate aggregate` the curves of the run itself.

It starts the program that follows derate-bench's protocol with drawn times. Usage:
samples_are_evidence.py DERATE SYNTHETIC_BENCH TESTDATA_OF_WORKLOADS
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

DERATE, BENCH, TESTDATA = sys.argv[1:4]


def derate(*arguments):
    done = subprocess.run([DERATE, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "DERATE_BENCH": BENCH})
    return done.returncode, done.stdout + done.stderr


def the_one(folder, pattern):
    found = sorted(path for path in folder.rglob(pattern) if "evidence" not in path.parts)
    assert len(found) == 1, found
    return found[0]


def curves(folder):
    return json.loads(the_one(folder, "efficiency_curves*.json").read_text())["efficiency_curves"]


class SamplesAreEvidence(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="derate_samples_")
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def aggregate(self, *inputs):
        output = self.folder / "aggregated"
        code, said = derate("aggregate", *(word for path in inputs for word in ("--input", path)),
                            "--output", output, "--quiet")
        self.assertEqual(code, 0, said)
        return output

    def test_of_calibrate_probes_and_held_out_models_included(self):
        run = self.folder / "run"
        # All kernels of resnet34 are resnet18's: only what the samples say tells that it is held out.
        _, said = derate("calibrate", "--models", "resnet18,squeezenet1_1", "--test-models",
                         "resnet34", "--runs-per-model", "6", "--launches", "3", "--threads", "1",
                         "--quiet", "--output", run)
        samples = the_one(run, "*.samples.jsonl")
        self.assertTrue(curves(run), said)
        self.assertEqual(curves(self.aggregate(samples)), curves(run))

    def test_of_measure(self):
        output = self.folder / "m.json"
        code, said = derate("measure", "--model", "squeezenet1_1", "--runs", "6", "--launches", "3",
                            "--threads", "1", "--quiet", "--output", output)
        self.assertEqual(code, 0, said)
        of_measurement = curves(self.aggregate(output))
        self.assertTrue(of_measurement)
        self.assertEqual(curves(self.aggregate(self.folder / "m.samples.jsonl")), of_measurement)

    def test_of_models_whose_inputs_share_no_batch(self):
        graph = pathlib.Path(TESTDATA) / "no_batch_graph.pt2"
        # Nothing but its name is the shipped probes': a model like any other.
        named_so = self.folder / "probes_b1.pt2"
        shutil.copy(graph, named_so)
        for model in graph, named_so:
            run = self.folder / f"run_{model.stem}"
            code, said = derate("measure", "--model", f"{model},squeezenet1_1", "--runs", "6",
                                "--launches", "3", "--threads", "1", "--quiet", "--output", run)
            self.assertEqual(code, 0, said)
            measured = json.loads((run / f"{model.stem}.json").read_text())
            self.assertIsNone(measured["batch"])
            self.assertGreater(measured["whole_model_latency_ms"]["mean"], 0)
            files = sorted(run.glob("*.json"))
            of_files = curves(self.aggregate(*files))
            self.assertTrue(of_files)
            self.assertEqual(curves(self.aggregate(the_one(run, "*.samples.jsonl"))), of_files)
        code, said = derate("estimate", "--model", self.folder / "run_no_batch_graph" /
                            "no_batch_graph.json", "--batch", "2", "--hardware",
                            "kvm-intel-xeon-2c")
        self.assertEqual(code, 2)
        self.assertIn("share no batch", said)

    def test_calibrates_on_such_models(self):
        graph = pathlib.Path(TESTDATA) / "no_batch_graph.pt2"
        run = self.folder / "run"
        _, said = derate("calibrate", "--models", f"squeezenet1_1,{graph}", "--test-models",
                         "resnet18", "--runs-per-model", "6", "--launches", "3", "--threads", "1",
                         "--quiet", "--output", run)
        self.assertTrue(curves(run), said)
        self.assertEqual(curves(self.aggregate(the_one(run, "*.samples.jsonl"))), curves(run))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
