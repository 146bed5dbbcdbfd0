#!/usr/bin/env python3
"""derate-bench's Google Benchmark reports give `derate aggregate` evidence: a launch a file.

Two reports that derate-bench wrote are read as they are; from times that the program in its place
draws, reports are written as Google Benchmark writes them and held against the samples of the same
times. Usage: reports_are_evidence.py DERATE SYNTHETIC_BENCH EXAMPLES
"""
import copy
import gzip
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

DERATE, BENCH = sys.argv[1:3]
EXAMPLES = pathlib.Path(sys.argv[3])
REPORTS = [EXAMPLES / f"squeezenet1_1_launch_{launch}.json" for launch in (1, 2)]


def derate(*arguments):
    done = subprocess.run([DERATE, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "DERATE_BENCH": BENCH})
    return done.returncode, done.stdout + done.stderr


def by_descriptor(report):
    """Repetitions of each kernel in ms, as the report's rows say."""
    times = {}
    for row in report["benchmarks"]:
        if row["run_type"] == "iteration" and "label" in row:
            scale = {"ns": 1e-6, "us": 1e-3, "ms": 1, "s": 1e3}[row["time_unit"]]
            times.setdefault(row["label"].split(" ", 2)[2], []).append(row["real_time"] * scale)
    return times


def hash_of(descriptor):
    """FNV-1a, 64 bits."""
    value = 0xcbf29ce484222325
    for byte in descriptor.encode():
        value = (value ^ byte) * 0x100000001b3 % 2**64
    return f"{value:016x}"


class ReportsAreEvidence(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="derate_reports_")
        self.folder = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def aggregate(self, *inputs, hardware="machine-x"):
        output = self.folder / f"out{len(list(self.folder.iterdir()))}"
        code, said = derate("aggregate", *(word for path in inputs for word in ("--input", path)),
                            "--output", output, *(["--hardware", hardware] if hardware else []))
        return code, said, output

    def evidence(self, *inputs, hardware="machine-x"):
        code, said, output = self.aggregate(*inputs, hardware=hardware)
        self.assertEqual(code, 0, said)
        (file,) = output.rglob("evidence/*.json.gz")
        return json.loads(gzip.decompress(file.read_bytes()))

    def changed(self, change, source=REPORTS[1], name="changed.json"):
        report = json.loads(source.read_text())
        change(report)
        path = self.folder / name
        path.write_text(json.dumps(report))
        return path

    def test_two_files_are_two_launches_of_each_kernel(self):
        evidence = self.evidence(*REPORTS)
        times = [by_descriptor(json.loads(path.read_text())) for path in REPORTS]
        self.assertEqual(len(evidence["campaigns"]), 1)
        timed = [case for case in evidence["cases"] if case.get("timing")]
        self.assertEqual({case["subgraph"]["descriptor"] for case in timed}, set(times[0]))
        for case in timed:
            launches = case["timing"]["launches"]
            self.assertEqual(len(launches), 2)
            wanted = [one[case["subgraph"]["descriptor"]] for one in times]
            for launch in launches:
                repetitions = min(wanted, key=lambda one: abs(min(one) - launch["min"]))
                self.assertEqual(launch["count"], len(repetitions))
                self.assertTrue(math.isclose(launch["min"], min(repetitions), rel_tol=1e-12))
                self.assertTrue(math.isclose(launch["max"], max(repetitions), rel_tol=1e-12))
                self.assertEqual(launch["least"], launch["min"])
        (model,) = evidence["models"]
        self.assertEqual((model["name"], model["family"], model["batch"]),
                         ("squeezenet1_1", "squeezenet", 1))
        self.assertEqual(len(model["whole_model"]["launches"]), 2)
        # Every subgraph of the shipped model, those that the filter left out too.
        self.assertGreater(len(model["cases"]), len(timed))
        self.assertEqual(evidence["precision"], "FP32")
        self.assertEqual(evidence["threads"], 1)

    def test_neither_order_nor_copies_change_anything(self):
        both = self.evidence(*REPORTS)
        self.assertEqual(self.evidence(*reversed(REPORTS)), both)
        compressed = self.folder / "copy.json.gz"
        compressed.write_bytes(gzip.compress(REPORTS[0].read_bytes()))
        written_anew = self.changed(lambda report: None)
        self.assertEqual(self.evidence(*REPORTS, compressed, written_anew), both)

    def test_merged_later_is_merged_at_once(self):
        both = self.evidence(*REPORTS)
        _, _, first = self.aggregate(REPORTS[0])
        (file,) = first.rglob("evidence/*.json.gz")
        self.assertEqual(self.evidence(file, REPORTS[1]), both)

    def test_what_differs_is_refused(self):
        for key, value, words in [("precision", "BF16", "precision is"),
                                  ("threads", "2", "thread count is"),
                                  ("cache_state", "hot", "cache state is")]:
            path = self.changed(lambda report: report["context"].update({key: value}))
            code, said, _ = self.aggregate(REPORTS[0], path)
            self.assertEqual(code, 2, said)
            self.assertIn(words, said)
            self.assertIn(str(path), said)
        path = self.changed(lambda report: report["context"].pop("malloc_thresholds_bytes"))
        code, said, _ = self.aggregate(REPORTS[0], path)
        self.assertEqual(code, 2)
        self.assertIn("allocator is", said)

    def test_the_machine_is_asked_for_or_named_in_the_context(self):
        code, said, _ = self.aggregate(*REPORTS, hardware=None)
        self.assertEqual(code, 2)
        self.assertIn("does not name its machine (--hardware NAME)", said)
        path = self.changed(lambda report: report["context"].update({"hardware_id": "machine-y"}))
        code, said, output = self.aggregate(path, hardware=None)
        self.assertEqual(code, 0, said)
        self.assertTrue((output / "cpu" / "machine-y" / "hardware.json").exists())

    def test_counters_that_are_not_finite_and_failed_rows(self):
        text = REPORTS[1].read_text()
        row = json.loads(text)["benchmarks"][0]
        flops = text[text.index('"flops": ') + 9:].split(",")[0]
        path = self.folder / "nan.json"
        path.write_text(text.replace('"flops": ' + flops, '"flops": NaN', 1))
        self.assertIn("NaN", path.read_text())
        kernel = row["label"].split(" ", 2)[2]

        def times_of(evidence):
            (case,) = [case for case in evidence["cases"] if case["subgraph"]["descriptor"] == kernel]
            return case.get("timing"), case.get("failure")
        self.assertIsNotNone(times_of(self.evidence(path))[0])

        def fail(report):
            for one in report["benchmarks"]:
                if one["run_name"] == row["run_name"]:
                    one.pop("label")
                    one.update({"error_occurred": True, "error_message": "no memory"})
        other = self.changed(fail)
        timing, _ = times_of(self.evidence(REPORTS[0], other))
        self.assertEqual(len(timing["launches"]), 1)

    def test_faults_of_a_report_are_named(self):
        def first(report):
            return report["benchmarks"][0]
        for change, words in [
                (lambda report: first(report).pop("label"), "no kernel in its label"),
                (lambda report: first(report).update(
                    label=first(report)["label"].replace("float32[1,", "float32[2,")),
                 "its name is not that of the kernel"),
                (lambda report: report["benchmarks"].append(first(report)), "for the second time"),
                (lambda report: report.update(benchmarks=[]), "holds no case"),
                (lambda report: report.update(benchmarks=[
                    row for row in report["benchmarks"] if row["run_type"] == "aggregate"]),
                 "holds aggregates alone"),
                (lambda report: report["context"].update(threads=1), "another type"),
                (lambda report: report["context"].update(precision="FP33"), "got 'FP33'"),
                (lambda report: report["context"].update(partition="other"), "its partition is"),
                (lambda report: report["context"].update(hardware_id="../x"), "got '../x'"),
                (lambda report: report["context"].update(derate_benchmark_format="2"),
                 "its keys are of version '2'")]:
            path = self.changed(change)
            code, said, _ = self.aggregate(path)
            self.assertEqual(code, 2, words + said)
            self.assertIn(words, said)
            self.assertIn(str(path), said)

    def test_a_model_that_is_not_shipped_becomes_its_kernels(self):
        def rename(report):
            for row in report["benchmarks"]:
                for key in ("name", "run_name", "label"):
                    if key in row:
                        row[key] = row[key].replace("squeezenet1_1/b1", "my net/b1")
            report["context"]["models"] = "my net/b1"
        path = self.changed(rename)
        code, said, _ = self.aggregate(path)
        self.assertEqual(code, 0, said)
        self.assertIn("my net/b1 is no shipped model: its time as a whole is left out", said)
        (model,) = self.evidence(path)["models"]
        self.assertEqual((model["name"], model["family"]), ("my net", "my net"))
        self.assertEqual(len(model["cases"]),
                         len(by_descriptor(json.loads(REPORTS[1].read_text()))))

    def test_end_to_end_equals_the_samples_of_the_same_times(self):
        """calibrate on drawn times -> its samples, and reports of the same times -> equal curves."""
        run = self.folder / "run"
        _, said = derate("calibrate", "--models", "squeezenet1_1,alexnet", "--test-models",
                         "resnet34", "--runs-per-model", "8", "--launches", "3", "--threads", "1",
                         "--quiet", "--output", run)
        (samples,) = run.rglob("*.samples.jsonl")  # else: what `said` says
        lines = [json.loads(line) for line in samples.read_text().splitlines()]
        (folder,) = [path.parent for path in run.rglob("hardware.json")]
        (old,) = folder.rglob("evidence/*.json.gz")
        evidence = json.loads(gzip.decompress(old.read_bytes()))
        # Google Benchmark does not say whether a repetition was steady: the same is asked of the
        # samples.
        steady = self.folder / "steady.samples.jsonl"
        kept = [{**line, "steady": True} if "steady" in line else line for line in lines]
        steady.write_text("".join(json.dumps(line) + "\n" for line in kept))
        kernels = {hash_of(case["subgraph"]["descriptor"]): case["subgraph"]
                   for case in evidence["cases"]}
        launches = sorted({line["launch"] for line in lines if line["kind"] == "isolated"})
        context = json.loads(REPORTS[0].read_text())["context"]
        context["value_rule"] = evidence["campaigns"][0]["value_rule"]
        context["models"] = "squeezenet1_1/b1,alexnet/b1"
        reports = []
        for launch in launches:
            rows, count = [], {}
            for line in lines:
                if line.get("launch") != launch or line["kind"] not in ("isolated", "whole"):
                    continue
                if line.get("model") == "resnet34":  # held out, which a report cannot say
                    continue
                if line["kind"] == "isolated":
                    hashed = line["case"].split("/")[0]
                    kernel = kernels[hashed]
                    model = "probes_b1" if line["model"] == "probes" else line["model"]
                    name = f"{kernel['operation_type']}/{hashed}"
                    label = {"label": f"{kernel['fusion_pattern']} {model}/b{line['batch']}/"
                                      f"{line['subgraph']} {kernel['descriptor']}"}
                else:
                    name, label = f"whole/{line['model']}/b{line['batch']}", {}
                name += "/manual_time"
                count[name] = count.get(name, -1) + 1
                rows.append({"name": name, "run_name": name, "run_type": "iteration",
                             "repetition_index": count[name], "real_time": line["time_ms"],
                             "time_unit": "ms", **label})
                if "fast_ms" in line:
                    rows[-1]["faster_half_ms"] = line["fast_ms"]
            reports.append(folder / f"launch{launch}.json")  # beside hardware.json
            reports[-1].write_text(json.dumps({"context": context, "benchmarks": rows}))
        self.assertEqual(len(reports), 3)

        def curves(*inputs, hardware):
            code, said, output = self.aggregate(*inputs, hardware=hardware)
            self.assertEqual(code, 0, said)
            (file,) = [path for path in output.rglob("efficiency_curves*.json")]
            return json.loads(file.read_text())["efficiency_curves"], output
        of_samples, _ = curves(steady, hardware=None)
        of_reports, output = curves(*reports, hardware=evidence["hardware"]["id"])
        self.assertTrue(of_samples)
        self.assertEqual(of_reports, of_samples)
        code, said = derate("estimate", "--model", "alexnet", "--registry", output, "--hardware",
                            evidence["hardware"]["id"], "--threads", "1")
        self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
