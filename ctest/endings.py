#!/usr/bin/env python3
"""How commands end: what a verdict makes of them, and what they say when the file system says no.

Measuring goes through the program that follows derate-bench's protocol with drawn times.
Usage: endings.py DERATE SYNTHETIC_BENCH SOURCE
"""
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

DERATE, BENCH, SOURCE = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
EXAMPLE = SOURCE / "docs/examples/resnet18_orin.json"
MODELS = "alexnet,vgg11,resnet18,squeezenet1_1,mobilenet_v2,densenet121,shufflenet_v2_x1_0,mnasnet0_5"


class Ending(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="derate_endings_")
        cls.root = pathlib.Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def setUp(self):
        self.folder = self.root / self.id().split(".")[-1]
        self.folder.mkdir()

    def derate(self, *words, environment={}, prefix=(), **options):
        inherited = {name: value for name, value in os.environ.items()
                     if name not in ("DERATE_REGISTRY", "DERATE_REGISTRY_ONLY", "GITHUB_STEP_SUMMARY")}
        return subprocess.run([*prefix, DERATE, *map(str, words)], cwd=self.folder, text=True,
                              stdout=options.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
                              env={**inherited, "DERATE_BENCH": BENCH, "XDG_DATA_HOME": str(self.root / "nobody"),
                                   **environment}, timeout=300, **options)

    def calibrate(self, output, models, *more, **options):
        return self.derate("calibrate", "--quiet", "--models", models, "--test-models", "resnet34",
                           "--runs-per-model", "6", "--launches", "3", "--output", output, *more, **options)

    def next_steps(self, printed):
        return [shlex.split(line) for line in printed.splitlines() if line.lstrip().startswith("derate ")]

    def assert_refused(self, run, *words):
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertEqual(len(run.stderr.strip().splitlines()), 1, run.stderr)
        for word in words:
            self.assertIn(word, run.stderr)

    def files(self, folder):
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


class Verdicts(Ending):
    """What a verdict makes of calibrate; the drawn times decide on the one by how many models there are."""

    def verdict_of(self, folder):
        report = next(folder.rglob("report*.md")).read_text()
        return re.search(r"gate (PASS|FAIL|INCONCLUSIVE)", report).group(1)

    def test_after_fail_nothing_is_promoted_and_every_remedy_is_named(self):
        run = self.calibrate("out", MODELS)
        self.assertEqual(self.verdict_of(self.folder / "out"), "FAIL")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertNotIn("promote", run.stdout)
        failed = re.findall(r"^  (?:FAIL|INCONCLUSIVE) (\w+): ", run.stdout, re.M)
        self.assertTrue(failed)
        self.assertEqual(run.stdout.count("to mend it: "), len(failed))
        for step in self.next_steps(run.stdout):
            self.assertEqual(self.derate(*step[1:]).returncode, 1, step)

        # Again over the finished output: nothing is measured, and it says how to measure anew.
        samples = next((self.folder / "out").rglob("*.samples.jsonl"))
        before = samples.read_bytes()
        again = self.calibrate("out", MODELS)
        self.assertEqual(again.returncode, 1)
        self.assertEqual(samples.read_bytes(), before)
        self.assertIn("nothing was measured", again.stdout)
        self.assertIn("another --output or delete that file", again.stdout)
        self.assertNotIn("nothing was measured", run.stdout)
        as_json = json.loads(self.calibrate("out", MODELS, "--json").stdout)
        self.assertFalse(as_json["measured_now"])
        self.assertEqual(as_json["verdict"], "FAIL")
        self.assertTrue(all(rule["remedy"] for rule in as_json["gate"] if rule["verdict"] != "PASS"))

        # An estimate by it says what it rests on.
        curves = next((self.folder / "out").rglob("efficiency_curves.json"))
        estimate = self.derate("estimate", "--model", "resnet34", "--calibration", curves)
        self.assertRegex(estimate.stdout, r"efficiency_curves.json: trust grade [A-D], gate FAIL")
        estimate = json.loads(
            self.derate("estimate", "--model", "resnet34", "--calibration", curves, "--json").stdout)
        self.assertEqual(estimate["verdict"], "FAIL")
        self.assertIn(estimate["trust_grade"], "ABCD")
        self.assertEqual(estimate["calibrations"][0]["verdict"], "FAIL")

    def test_next_steps_of_every_kind_of_calibration_run(self):
        for name, models, more, environment in (
                ("plain", "squeezenet1_1", [], {}),
                ("blank in it", "squeezenet1_1", ["--batch", "4"], {}),
                ("bf16", "resnet18,vgg16", ["--precision", "bf16", "--test-models", "resnet50"], {}),
                ("quick", "squeezenet1_1", ["--quick"], {}),
                ("named", "squeezenet1_1", ["--hardware-name", "my-server"], {})):
            with self.subTest(name):
                words = ["calibrate", "--quiet", "--models", models, "--runs-per-model", "2", "--launches", "2",
                         "--output", name, *more]
                if "--test-models" not in more:
                    words += ["--test-models", "resnet34"]
                run = self.derate(*words, environment=environment)
                self.assertEqual(run.returncode, 3, run.stderr)  # too few models for a verdict
                steps = self.next_steps(run.stdout)
                self.assertEqual([step[1] for step in steps], ["estimate", "promote"])
                registry = self.folder / f"registry of {name}"
                registry.mkdir()
                for step in steps:
                    more_words = ["--registry", registry] if step[1] == "promote" else []
                    done = self.derate(*step[1:], *more_words)
                    self.assertEqual(done.returncode, 0, f"{step}: {done.stderr}")
        estimate = json.loads(self.derate("estimate", "--model", "resnet34", "--registry",
                                          self.folder / "registry of named", "--hardware", "my-server",
                                          "--json").stdout)
        self.assertTrue(estimate["provisional"])
        self.assertIsNone(estimate["verdict"])  # of one model, which cannot be left out

    def test_next_steps_of_aggregate_run(self):
        measured = self.derate("measure", "--quiet", "--model", "resnet18", "--precision", "bf16", "--runs", "2",
                               "--launches", "2", "--output", "m.json")
        self.assertEqual(measured.returncode, 0, measured.stderr)
        for source in (EXAMPLE, "m.json"):
            run = self.derate("aggregate", "--quiet", "--input", source, "--output", "a tree")
            self.assertEqual(run.returncode, 0, run.stderr)
            steps = [shlex.split(line.replace("next:", "")) for line in run.stdout.splitlines()
                     if "derate validate" in line or "derate estimate" in line]
            self.assertEqual(len(steps), 2)
            for step in steps:
                self.assertIn(self.derate(*step[1:]).returncode, (0, 1, 3) if step[1] == "validate" else (0,), step)

    def test_test_models_are_timed_on_the_machine_that_the_calibration_names(self):
        run = self.calibrate("out", "squeezenet1_1", "--hardware-name", "my-server")
        self.assertEqual(run.returncode, 3, run.stderr)
        curves = next((self.folder / "out").rglob("efficiency_curves.json"))
        words = ["validate", "--quiet", "--calibration", curves, "--test-models", "alexnet", "--runs", "2",
                 "--launches", "2"]
        self.assertIn(self.derate(*words).returncode, (0, 1, 3))
        other = self.derate(*words, "--hardware-name", "another")
        self.assertEqual(other.returncode, 4)
        self.assertIn("this machine is another, the calibration is of my-server", other.stderr)

    def test_a_model_of_which_nothing_could_be_timed_is_no_success(self):
        for models in ("squeezenet1_1", "squeezenet1_1,alexnet", "alexnet"):
            run = self.derate("measure", "--quiet", "--model", models, "--runs", "2", "--launches", "2",
                              "--output", f"of {models}", environment={"SYNTHETIC_FAIL_ALL": "1"})
            self.assertEqual(run.returncode, 3, run.stderr)
            self.assertEqual(len(run.stderr.splitlines()), models.count(",") + 1)
            self.assertIn("squeezenet1_1: nothing of it could be timed" if "squeeze" in models else
                          "alexnet: nothing of it could be timed", run.stderr)
        run = self.calibrate("none", "squeezenet1_1", environment={"SYNTHETIC_FAIL_ALL": "1"})
        self.assertNotIn(run.returncode, (0, 70), run.stderr)


class OddInput(Ending):
    """Names and neighbours that nobody would choose and somebody has."""

    def measurement(self, path, **changes):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**json.loads(EXAMPLE.read_text()), **changes}))
        return path

    def test_places_are_told_from_paths_that_look_like_them(self):
        for name in ("a#/m.json", "b#/subgraphs/0#/m.json", "c (x): y/m.json", "d#m.json"):
            path = self.measurement(self.folder / name, batch=0)
            with self.subTest(name):
                self.assert_refused(self.derate("aggregate", "--input", path, "--output", "out"),
                                    f"{path}#/batch: got 0 (at least 1)")
                checked = json.loads(self.derate("check", path, "--json").stdout)[0]
                self.assertEqual({fault["pointer"] for fault in checked["violations"]}, {"/batch"})
                path.write_text("{")
                checked = json.loads(self.derate("check", path, "--json").stdout)[0]
                self.assertEqual([fault["pointer"] for fault in checked["violations"]], [""])

    def test_a_temporary_folder_with_quotes(self):
        curves = self.folder / "curves.json"
        self.derate("aggregate", "--quiet", "--input", EXAMPLE, "--output", curves)
        plain = self.derate("visualize", "--calibration", curves, "--ascii").stdout
        for name in ("it's", 'a "b"', "$(touch x)", "two  words", "#/x", "-n"):
            folder = self.folder / name
            folder.mkdir(parents=True)
            with self.subTest(name):
                run = self.derate("visualize", "--calibration", curves, "--ascii",
                                  environment={"TMPDIR": str(folder)})
                self.assertEqual((run.returncode, run.stdout), (0, plain), run.stderr)
                self.assertEqual(self.files(folder), [])
        gone = self.derate("visualize", "--calibration", curves, "--ascii",
                           environment={"TMPDIR": str(self.folder / "gone")})
        self.assert_refused(gone, "gone")

    def test_markdown_tables_keep_their_columns(self):
        names = ["a|b", "back\\slash|", "two\nlines", "<b>|`|`"]
        inputs = [self.measurement(self.folder / f"{i}.json", model=name, model_family=f"f|{i}")
                  for i, name in enumerate(names)]
        words = [word for path in inputs for word in ("--input", str(path))]
        self.assertEqual(self.derate("aggregate", "--quiet", *words, "--output", "curves.json").returncode, 0)
        for command in ("validate", "analyze", "audit"):
            self.derate(command, "--calibration", "curves.json", "--output", f"{command}.md")
            lines = (self.folder / f"{command}.md").read_text().splitlines()
            rows = 0
            for i, line in enumerate(lines):
                if not re.fullmatch(r"\|(-+:?\|)+", line):
                    continue
                columns = line.count("|")
                for row in lines[i - 1:i] + [*self.table(lines[i + 1:])]:
                    bare = re.sub(r"\\.", "", row)  # escaped characters end no cell
                    self.assertEqual(bare.count("|"), columns, f"{command}: {row}")
                    rows += 1
            self.assertGreater(rows, 5)

    def table(self, lines):
        for line in lines:
            if not line.startswith("|"):
                return
            yield line

    def test_a_broken_neighbour_is_named_and_passed_over(self):
        registry = self.folder / "registry"
        shutil.copytree(SOURCE / "hardware_registry/cpu/i7-12700K", registry / "cpu/i7-12700K")
        words = ["estimate", "--model", "resnet18", "--hardware", "i7-12700K", "--registry", registry, "--json"]
        good = json.loads(self.derate(*words).stdout)
        for name, text in (("efficiency_curves_t2.json", "{"), ("my_curves.json", "[1]"),
                           ("efficiency_curves_bf16.json", '{"$schema": "efficiency_calibration_v1.json"}')):
            broken = registry / "cpu/i7-12700K" / name
            broken.write_text(text)
            with self.subTest(name):
                run = self.derate(*words)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertEqual(run.stderr.count("warning: passed over: "), 1)
                self.assertIn(str(broken), run.stderr)
                answer = json.loads(run.stdout)
                self.assertEqual(answer["latency_ms"], good["latency_ms"])
                self.assertTrue(any(str(broken) in warning for warning in answer["warnings"]))
                listed = self.derate("list", "hardware", "--registry", registry)
                self.assertEqual(listed.returncode, 0)
                self.assertIn("i7-12700K", listed.stdout)
                self.assertIn(str(broken), listed.stderr)
                self.assertEqual(self.derate("validate", "--hardware", "i7-12700K", "--registry", registry
                                             ).returncode in (0, 1, 3), True)
            broken.unlink()

    def test_hardware_names_are_looked_at_before_anything_is_measured(self):
        for name in ("../../evil", "a/b", "/tmp/x", "..", ".", "", "a b", "x" * 129, "-x"):
            for words in (["calibrate", "--models", "squeezenet1_1", "--output", "out", f"--hardware-name={name}"],
                          ["measure", "--model", "squeezenet1_1", "--output", "m.json", f"--hardware={name}"]):
                with self.subTest(f"{words[0]} {name[:12]}"):
                    if name == "":
                        continue
                    run = self.derate(*words, environment={"DERATE_BENCH": "/bin/false"})
                    self.assert_refused(run, f"got '{name}'")
                    self.assertEqual(self.files(self.folder), [])
        damaged = self.measurement(self.folder / "m.json",
                                   hardware={**json.loads(EXAMPLE.read_text())["hardware"], "id": "../../evil"})
        self.assert_refused(self.derate("aggregate", "--input", damaged, "--output", "out"), "got \"../../evil\"")


class FileSystem(Ending):
    """Every command that writes, where it cannot: one sentence, exit code 2, nothing left behind."""

    WRITERS = {  # words -> the file among them is OUT
        "measure": "measure --quiet --model squeezenet1_1 --runs 2 --launches 2 --output OUT",
        "measure_export": "measure --quiet --model squeezenet1_1 --runs 2 --launches 2 --output m.json "
                          "--export gbench OUT",
        "calibrate": "calibrate --quiet --models squeezenet1_1 --test-models alexnet --runs-per-model 2 "
                     "--launches 2 --output OUT",
        "aggregate": f"aggregate --quiet --input {EXAMPLE} --output OUT",
        "validate": "validate --calibration CURVES --output OUT",
        "validate_junit": "validate --calibration CURVES --junit OUT",
        "validate_samples": "validate --quiet --calibration CURVES --test-models alexnet --runs 2 --launches 2 "
                            "--hardware-name jetson_orin_agx --samples OUT",
        "analyze": "analyze --calibration CURVES --output OUT",
        "audit": "audit --calibration CURVES --output OUT",
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        subprocess.run([DERATE, "aggregate", "--quiet", "--input", EXAMPLE, "--output", cls.root / "curves.json"],
                       check=True, stdout=subprocess.DEVNULL)

    def write(self, name, out, **options):
        words = [str(self.root / "curves.json") if word == "CURVES" else str(out) if word == "OUT" else word
                 for word in self.WRITERS[name].split()]
        return self.derate(*words, **options)

    def assert_no(self, name, run):
        self.assertNotEqual(run.returncode, 70, f"{name}: {run.stderr}")
        self.assertNotIn("internal error", run.stderr)
        self.assertIn(run.returncode, (2, 4), f"{name}: {run.stderr}")
        self.assertEqual(len(run.stderr.strip().splitlines()), 1, f"{name}: {run.stderr}")

    def test_paths_that_cannot_be(self):
        (self.folder / "file").write_text("x")
        (self.folder / "folder.json").mkdir()
        (self.folder / "loop.json").symlink_to("loop.json")
        for name in self.WRITERS:
            for out in ("file/x.json", "/proc/none/x.json", "/sys/x.json", "loop.json", "a" * 300 + ".json",
                        "/" + "/".join("b" * 200 for _ in range(30)) + "/x.json", "nul/\tx/" + "c" * 256):
                if out == "loop.json" and name in ("measure_export",):
                    pass
                with self.subTest(f"{name} {out[:20]}"):
                    self.assert_no(name, self.write(name, out))
            if name not in ("calibrate", "aggregate", "measure"):
                with self.subTest(f"{name} into a folder"):
                    self.assert_no(name, self.write(name, "folder.json"))
        self.assertEqual([name for name in self.files(self.folder) if name.split("/")[-1].startswith(".")], [])

    def test_missing_parents_are_made(self):
        for name in self.WRITERS:
            if name.startswith("validate_samples"):
                continue
            with self.subTest(name):
                run = self.write(name, self.folder / name / "deep" / ("x" if name == "calibrate" else "x.json"))
                self.assertIn(run.returncode, (0, 1, 3), run.stderr)
                self.assertTrue((self.folder / name / "deep").exists())

    def test_a_limit_on_file_sizes_is_a_sentence(self):
        def limited():
            resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
        for name in self.WRITERS:
            with self.subTest(name):  # with the signal that would end the program, as a shell leaves it
                self.assert_no(name, self.write(name, self.folder / f"{name}.json", preexec_fn=limited,
                                                restore_signals=True))
        self.assertEqual([name for name in self.files(self.folder) if name.endswith(".tmp")], [])

    def test_a_full_device(self):
        for name in ("validate", "validate_junit", "analyze", "audit"):
            with self.subTest(name):
                self.assert_no(name, self.write(name, "/dev/full"))
        for words in ("list models", "list hardware", "doctor", "reference bash", "inspect --model resnet18",
                      "estimate --model resnet18 --hardware i7-12700K --json"):
            with self.subTest(words), open("/dev/full", "w") as full:
                run = self.derate(*words.split(), "--quiet", stdout=full)
                self.assert_refused(run, "standard output: cannot write: No space left on device")


class Promotion(Ending):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.staged = cls.root / "staged"
        subprocess.run([DERATE, "calibrate", "--quiet", "--models", "squeezenet1_1", "--test-models",
                        "resnet34", "--runs-per-model", "2", "--launches", "2", "--output", cls.staged,
                        "--hardware-name", "my-server"], env={**os.environ, "DERATE_BENCH": BENCH},
                       stdout=subprocess.DEVNULL)

    def mounted(self, script, registry):
        """`script` in a mount namespace of its own, with REGISTRY and PROMOTE for its words."""
        promote = shlex.join([DERATE, "promote", str(self.staged), "--reason", "x", "--provisional", "--registry",
                              str(registry)])
        run = subprocess.run(["unshare", "--mount", "--map-root-user", "bash", "-c",
                              script.replace("REGISTRY", shlex.quote(str(registry))).replace("PROMOTE", promote)],
                             capture_output=True, text=True)
        if "unshare" in run.stderr or "mount:" in run.stderr:
            self.skipTest(run.stderr.strip())
        return run

    def promoted(self, registry):
        done = self.derate("promote", self.staged, "--reason", "x", "--provisional", "--registry", registry)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_into_a_read_only_registry_is_refused_before_the_gate(self):
        for replaced in (False, True):
            registry = self.folder / f"registry{replaced}"
            registry.mkdir()
            if replaced:
                self.promoted(registry)
            before = self.files(registry)
            run = self.mounted("mount --bind REGISTRY REGISTRY && mount -o remount,ro,bind REGISTRY; PROMOTE",
                               registry)
            self.assert_refused(run, "cannot write: Read-only file system")
            self.assertEqual(run.stdout, "")
            self.assertEqual(self.files(registry), before)

    def test_into_a_full_registry_is_refused_before_the_gate(self):
        registry = self.folder / "registry"
        registry.mkdir()
        for room in ("32k", "64k"):
            run = self.mounted(f"mount -t tmpfs -o size={room} none REGISTRY && PROMOTE; code=$?; "
                               "find REGISTRY -mindepth 1; exit $code", registry)
            self.assert_refused(run, "has room for", "KiB")
            self.assertEqual(run.stdout, "")

    def test_a_registry_that_fills_while_it_works_is_left_as_it_was(self):
        registry = self.folder / "registry"
        registry.mkdir()
        self.promoted(registry)
        before = {name: (registry / name).read_bytes() for name in self.files(registry)
                  if (registry / name).is_file()}

        def limited():  # what is there fits, the evidence that is copied over it does not
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        run = self.derate("promote", self.staged, "--reason", "x", "--provisional", "--registry", registry,
                          preexec_fn=limited)
        self.assertEqual(run.returncode, 2, run.stderr)
        self.assertNotIn("internal error", run.stderr)
        self.assertEqual({name: (registry / name).read_bytes() for name in self.files(registry)
                          if (registry / name).is_file()}, before)

    def test_what_stands_in_its_place_is_named(self):
        for made in ("cpu", "cpu/my-server"):
            registry = self.folder / made.replace("/", "-")
            (registry / made).parent.mkdir(parents=True)
            (registry / made).write_text("a file")
            run = self.derate("promote", self.staged, "--reason", "x", "--provisional", "--registry", registry)
            self.assert_refused(run, str(registry / made))
            self.assertEqual(sorted(path.name for path in registry.rglob("*") if path.name.startswith(".")), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
