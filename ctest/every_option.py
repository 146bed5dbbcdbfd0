#!/usr/bin/env python3
"""Every option of every command does something, or is refused with a sentence.

The options are those that `derate reference markdown` prints, which is made from the program itself: an
option that ROWS below does not know fails the test, and so does a row of an option that is gone. A row is
run on each path of its command (a file or a registry's hardware, text or JSON):

  changes  the same command with and without the option differs in what it prints, writes or returns
  refused  exit code 2, nothing on standard output, one line that holds these words
  kept     a promise that the path keeps anyway, e.g. --quiet where nothing is printed

Measuring goes through the program that follows derate-bench's protocol with drawn times.
Usage: every_option.py DERATE SYNTHETIC_BENCH SOURCE
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DERATE, BENCH, SOURCE = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
MEASURED = "kvm-amd-epyc-zen5-2c"  # of the shipped registry: at one and two threads
IMPORTED = "i7-12700K"             # curves that do not say for how many threads, and legacy rules

EXAMPLE = SOURCE / "docs/examples/resnet18_orin.json"
ESTIMATE = f"estimate --model resnet18 --hardware {MEASURED}"
SWEEP = f"{ESTIMATE} --dim batch=1,2"
PAIR = "generate-time --model gpt2_small --prompt 32 --new 4"
GENERATE = f"{PAIR} --hardware {MEASURED}"
BY_FILE = "estimate --model resnet18 --calibration {curves}"
CALIBRATE = "calibrate --models squeezenet1_1 --test-models alexnet --dry-run"
CALIBRATE_NOW = ("calibrate --models squeezenet1_1 --test-models alexnet --runs-per-model 2 --launches 2 "
                 "--quiet --output {out}")
MEASURE = "measure --model squeezenet1_1 --dry-run"
MEASURE_NOW = "measure --model squeezenet1_1 --runs 2 --launches 2 --quiet --output {out}/m.json"
AGGREGATE = f"aggregate --quiet --input {EXAMPLE} --output {{out}}"
VALIDATE = "validate --calibration {curves}"
TEST_MODELS = "validate --calibration {curves} --test-models resnet34 --dry-run"
AUDIT = "audit --calibration {curves}"
VISUALIZE = "visualize --calibration {curves} --ascii"
COMPARE = "compare {gbench} {slower}"

# (command without the option, the option with its value, "changes" | "refused" | "kept", words)
ROWS = [
    (ESTIMATE, "--json", "changes"),
    (f"estimate --model resnet18 --hardware {IMPORTED} --source legacy", "--quiet", "changes"),
    (ESTIMATE, "--registry {tmp}/none", "changes"),
    (BY_FILE, "--registry {tmp}", "refused", "--registry requires --hardware"),
    ("estimate --hardware " + MEASURED, "--model resnet18", "changes"),
    ("estimate --model resnet18", f"--hardware {MEASURED}", "changes"),
    (BY_FILE, f"--hardware {MEASURED}", "refused", " excludes "),
    ("estimate --model resnet18", "--calibration {curves}", "changes"),
    (ESTIMATE, "--batch 4", "changes"),
    (ESTIMATE, "--batch 1..3", "changes"),
    (ESTIMATE, "--batch 4..1", "refused", "a range that grows"),
    (ESTIMATE, "--batch many", "refused", "--batch: got 'many' (a number, or several: 1..64 or 1,8,64)"),
    (ESTIMATE, "--dim batch=4", "changes"),
    (ESTIMATE, "--dim batch=1,4", "changes"),
    (ESTIMATE, "--dim x[1]=4", "refused", "has no such dimension (one of"),
    (ESTIMATE, "--dim batch=many", "refused", "a whole number from 0"),
    (ESTIMATE, "--seq 4", "refused", "none of the second dimensions"),
    (f"estimate --model bert_small --hardware {MEASURED}", "--seq 64", "changes"),
    (ESTIMATE + " --quiet --dim images=4", "--axis images=x[0]", "kept"),
    (ESTIMATE + " --dim images=4", "--axis images=x[3]", "changes"),
    (ESTIMATE, "--axis images", "refused", "NAME=x[0], an axis of an input"),
    (SWEEP, "--target 100ms", "changes"),
    (SWEEP, "--target soon", "refused", "a time such as 10ms or 0.5s"),
    (ESTIMATE, "--target 100ms", "refused", "there is one size alone"),
    (SWEEP, "--csv", "changes"),
    (SWEEP + " --json", "--csv", "refused", "--json is there too"),
    (ESTIMATE, "--csv", "refused", "there is one size alone"),
    (SWEEP, "--ascii", "changes"),
    (ESTIMATE, "--ascii", "refused", "there is one size alone"),
    (SWEEP, "--output {out}/sweep.svg", "changes"),
    (SWEEP, "--output {tmp}/sweep.png", "refused", "a page FILE.html or a picture FILE.svg"),
    (ESTIMATE, "--output {tmp}/sweep.svg", "refused", "there is one size alone"),
    (SWEEP, "--explain 3", "refused", "a sweep has no one subgraph to explain"),
    (ESTIMATE, "--precision bf16", "changes"),
    (BY_FILE, "--precision bf16", "refused", "BF16"),
    (ESTIMATE, "--threads 2", "changes"),
    (ESTIMATE, "--threads 64", "refused", "is not calibrated for it"),
    (BY_FILE, "--threads 8", "refused", "--threads requires --hardware"),
    (f"estimate --model resnet18 --hardware {IMPORTED}", "--threads 8", "refused", "threads it holds"),
    (f"estimate --model resnet18 --hardware {IMPORTED} --source legacy", "--threads 1", "refused",
     "threads it holds"),
    (f"estimate --model resnet18 --hardware {MEASURED} --source default", "--threads 2", "refused",
     "threads it holds"),
    (f"estimate --model resnet18 --hardware {IMPORTED}", "--source legacy", "changes"),
    (BY_FILE, "--source legacy", "refused", "--source requires --hardware"),
    (ESTIMATE, "--allocator default", "changes"),
    (ESTIMATE, "--allocator other", "refused", "got 'other'"),
    (ESTIMATE, "--explain 3", "changes"),
    (ESTIMATE + " --json", "--explain 3", "changes"),

    (GENERATE, "--json", "changes"),
    (GENERATE, "--quiet", "changes"),
    (f"{PAIR} --hardware {IMPORTED}", "--registry {tmp}/none", "changes"),
    (f"{PAIR} --calibration {{curves}}", "--registry {tmp}", "refused", "--registry requires --hardware"),
    (GENERATE.replace(" --model gpt2_small", ""), "--model gpt2_small", "changes"),
    (GENERATE, "--prefill gpt2_small_prefill", "refused", "names prefill and decode step both"),
    (GENERATE.replace("--model gpt2_small", "--decode gpt2_small_decode"), "--prefill gpt2_small_prefill", "changes"),
    (GENERATE.replace("--model gpt2_small", "--prefill gpt2_small_prefill"), "--decode gpt2_small_decode", "changes"),
    (GENERATE.replace(" --prompt 32", ""), "--prompt 32", "changes"),
    (GENERATE.replace(" --new 4", ""), "--new 4", "changes"),
    (GENERATE, "--batch 4", "changes"),
    (GENERATE, "--cache-length 512", "changes"),
    (GENERATE, "--cache-length 8", "refused", "shorter than the 35 keys"),
    (GENERATE + " --quiet", "--prompt-dim ids[1]", "kept"),
    (GENERATE, "--prompt-dim words", "refused", "has no such dimension (one of"),
    (GENERATE + " --quiet", "--cache-dim caches_0[2]", "kept"),
    (GENERATE, "--cache-dim ids[0]", "changes"),
    (GENERATE + " --quiet", "--dim ids[0]=1", "kept"),
    (GENERATE, "--dim pixels=3", "refused", "neither export has such a dimension"),
    (PAIR, f"--hardware {MEASURED}", "changes"),
    (PAIR, "--calibration {curves}", "changes"),
    (GENERATE, "--precision bf16", "refused", "is not shipped with"),
    (GENERATE, "--threads 2", "changes"),
    (f"{PAIR} --hardware {IMPORTED}", "--source legacy", "changes"),
    (f"{PAIR} --calibration {{curves}}", "--allocator default", "changes"),
    (GENERATE + " --quiet", "--csv", "changes"),
    (GENERATE + " --json", "--csv", "refused", "--json is there too"),
    (GENERATE, "--ascii", "changes"),
    (GENERATE, "--output {out}/steps.svg", "changes"),
    (GENERATE, "--output {tmp}/steps.png", "refused", "a page FILE.html or a picture FILE.svg"),

    (CALIBRATE, "--json", "changes"),
    ("calibrate --models squeezenet1_1 --test-models alexnet --runs-per-model 2 --launches 2 "
     "--output {out}", "--quiet", "changes"),
    (CALIBRATE_NOW, "--hardware-name my-server", "changes"),
    (CALIBRATE, "--hardware-name ../../evil", "refused", "got '../../evil' (1 to 128 letters"),
    ("calibrate --test-models alexnet --dry-run", "--models squeezenet1_1", "changes"),
    ("calibrate --models squeezenet1_1 --dry-run", "--test-models alexnet", "changes"),
    ("calibrate --dry-run", "--no-probes", "changes"),
    (CALIBRATE, "--probes", "refused", "--probes: goes with the default models"),
    (CALIBRATE, "--no-probes", "refused", "--no-probes: goes with the default models"),
    ("calibrate --precision fp16 --dry-run", "--probes", "refused", "none are shipped in FP16"),
    ("SYNTHETIC_BLAS=reference " + CALIBRATE_NOW, "--reference-blas", "changes"),
    (CALIBRATE + " --device cuda", "--reference-blas", "refused", "no BLAS of the host"),
    (CALIBRATE_NOW.replace(" --output {out}", ""), "--output {out}", "changes"),
    (CALIBRATE, "--device cuda", "changes"),
    (CALIBRATE, "--batch 4", "changes"),
    (CALIBRATE, "--batch 1,4", "changes"),
    # A static export has its own batch: it is held out at that one, whatever the calibration's are.
    ("calibrate --dry-run", f"--test-models {SOURCE}/workloads/testdata/tiny_cnn.pt2", "changes"),
    (CALIBRATE, "--batch 4,4", "refused", "--batch 4: is named twice (each batch size once)"),
    (CALIBRATE, "--dim batch=4", "changes"),
    (CALIBRATE, "--seq 4", "refused", "none of the second dimensions"),
    (CALIBRATE + " --dim images=4", "--axis images=x[3]", "changes"),
    ("calibrate --models resnet18 --test-models resnet50 --dry-run", "--precision bf16", "changes"),
    (CALIBRATE, "--threads 2", "changes"),
    (CALIBRATE + " --device cuda", "--threads 2", "refused", "a GPU's kernels have none"),
    (CALIBRATE, "--runs-per-model 4", "changes"),
    (CALIBRATE, "--launches 9", "changes"),
    (CALIBRATE, "--budget 60s", "changes"),
    (CALIBRATE, "--cache-state hot", "changes"),
    (CALIBRATE, "--cache-state hot,cold_all", "refused", "curves are fitted to one state"),
    (CALIBRATE + " --json", "--allocator default", "changes"),
    (CALIBRATE + " --device cuda", "--allocator default", "refused", "a GPU's memory is not malloc's"),
    (CALIBRATE, "--seed 7", "changes"),
    (CALIBRATE, "--quick", "changes"),
    (CALIBRATE, "--publish", "changes"),
    (CALIBRATE + " --quick", "--publish", "refused", " excludes "),
    (CALIBRATE + " --runs-per-model 4", "--publish", "refused", " excludes "),
    (CALIBRATE.replace(" --dry-run", " --output /proc/no"), "--dry-run", "changes"),

    ("inspect --model resnet18", "--json", "changes"),
    ("inspect --model resnet18", "--quiet", "kept"),
    ("inspect", "--model resnet18", "changes"),
    ("inspect --model resnet18", "--batch 4", "changes"),
    ("inspect --model resnet18", "--dim batch=4", "changes"),
    ("inspect --model bert_small", "--seq 64", "changes"),
    ("inspect --model resnet18 --dim images=4", "--axis images=x[3]", "changes"),
    ("inspect --model resnet18", "--modules", "changes"),
    ("inspect --model resnet18", "--precision bf16", "changes"),

    (MEASURE, "--json", "changes"),
    (MEASURE_NOW.replace(" --quiet", ""), "--quiet", "changes"),
    ("measure --dry-run", "--model squeezenet1_1", "changes"),
    (MEASURE_NOW, "--hardware my-server", "changes"),
    (MEASURE, "--hardware a/b", "refused", "got 'a/b' (1 to 128 letters"),
    (MEASURE_NOW, "--export gbench {out}/g.json", "changes"),
    (MEASURE, "--export csv g.csv", "refused", "got 'csv'"),
    (MEASURE_NOW.replace(" --output {out}/m.json", ""), "--output {out}/m.json", "changes"),
    (MEASURE, "--device cuda", "changes"),
    (MEASURE, "--batch 4", "changes"),
    (MEASURE, "--batch 1,4", "changes"),
    (MEASURE, "--batch 0", "refused", "--batch 0: not a batch size (1 or more)"),
    (MEASURE, "--dim batch=4", "changes"),
    ("measure --model bert_small --dry-run", "--seq 64", "changes"),
    (MEASURE + " --dim images=4", "--axis images=x[3]", "changes"),
    ("measure --model resnet18 --dry-run", "--precision bf16", "changes"),
    (MEASURE, "--threads 2", "changes"),
    (MEASURE + " --device cuda", "--threads 2", "refused", "a GPU's kernels have none"),
    (MEASURE, "--runs 4", "changes"),
    (MEASURE, "--launches 9", "changes"),
    (MEASURE, "--budget 60s", "changes"),
    (MEASURE, "--cache-state cold_all,hot", "changes"),
    (MEASURE, "--cache-state hot,hot", "refused", "names hot twice"),
    (MEASURE + " --json", "--allocator default", "changes"),
    (MEASURE + " --device cuda", "--allocator default", "refused", "a GPU's memory is not malloc's"),
    (MEASURE, "--seed 7", "changes"),
    (MEASURE, "--quick", "changes"),
    (MEASURE, "--publish", "changes"),
    (MEASURE + " --quick", "--publish", "refused", " excludes "),
    (MEASURE + " --runs 4", "--publish", "refused", " excludes "),
    (MEASURE.replace(" --dry-run", " --output /proc/no"), "--dry-run", "changes"),

    (AGGREGATE, "--json", "changes"),
    (AGGREGATE.replace(" --quiet", ""), "--quiet", "changes"),
    ("aggregate --output {out}", f"--input {EXAMPLE}", "changes"),
    (f"aggregate --input {EXAMPLE}", "--output {out}", "changes"),
    (AGGREGATE, "--hardware a/b", "refused", "got 'a/b' (1 to 128 letters"),
    (AGGREGATE, "--hardware other", "refused", "the input carries its name: jetson-orin-agx-maxn"),
    (AGGREGATE, "--noise-floor 2", "refused", "--noise-floor requires --noise-floor-source"),
    (AGGREGATE, "--noise-floor-source them", "refused",
     "--noise-floor-source requires --noise-floor"),
    (AGGREGATE, "--noise-floor 2 --noise-floor-source them", "changes"),
    (AGGREGATE + " --noise-floor 2", "--noise-floor-source them", "changes"),

    (VALIDATE, "--json", "changes"),
    (VALIDATE, "--quiet", "kept"),
    (f"validate --hardware {IMPORTED}", "--registry {tmp}/none", "changes"),
    (VALIDATE, "--registry {tmp}", "refused", "--registry requires --hardware"),
    ("validate", "--calibration {curves}", "changes"),
    ("validate", "--hardware nobody", "changes"),
    (VALIDATE, "--hardware " + MEASURED, "refused", " excludes "),
    (f"validate --hardware {IMPORTED}", "--precision int8", "changes"),
    (VALIDATE, "--precision fp32", "refused", "--precision requires --hardware"),
    (f"validate --hardware {IMPORTED}", "--threads 8", "refused", "no curves for FP32, threads 8"),
    (VALIDATE, "--threads 1", "refused", "--threads requires --hardware"),
    (VALIDATE, "--leave-out family", "changes"),
    (VALIDATE, "--leave-out batch", "changes"),
    (VALIDATE, "--campaign nobody", "changes"),
    (VALIDATE + " --leave-out family", f"--measurements {EXAMPLE}", "refused",
     " excludes "),
    (VALIDATE + " --campaign nobody", f"--measurements {EXAMPLE}", "refused", " excludes "),
    (TEST_MODELS, f"--measurements {EXAMPLE}", "refused", " excludes "),
    (VALIDATE, f"--measurements {EXAMPLE}", "changes"),
    (VALIDATE, "--test-models resnet34", "changes"),
    (TEST_MODELS, "--device cuda", "refused", "the calibration is of another kind"),
    (TEST_MODELS, "--batch 4", "changes"),
    (TEST_MODELS, "--batch 1,4", "changes"),
    (TEST_MODELS, "--dim batch=4", "changes"),
    (TEST_MODELS, "--seq 4", "refused", "none of the second dimensions"),
    (TEST_MODELS + " --dim images=4", "--axis images=x[3]", "changes"),
    (TEST_MODELS.replace(" --dry-run", " --runs 2 --launches 2 --quiet"), "--hardware-name other", "changes"),
    (TEST_MODELS, "--hardware-name ../x", "refused", "got '../x' (1 to 128 letters"),
    (TEST_MODELS, "--runs 4", "changes"),
    (TEST_MODELS, "--launches 9", "changes"),
    (TEST_MODELS, "--budget 60s", "changes"),
    (TEST_MODELS, "--quick", "changes"),
    (TEST_MODELS.replace(" --dry-run", " --hardware-name other"), "--dry-run", "changes"),
    (TEST_MODELS.replace(" --dry-run", " --runs 2 --launches 2 --quiet"),
     "--samples {out}/x.samples.jsonl", "changes"),
    *[(VALIDATE, option, "refused", "requires --test-models")
      for option in ("--device cpu", "--batch 1", "--hardware-name x", "--runs 2", "--launches 2",
                     "--budget 9s", "--quick", "--dry-run", "--samples x.samples.jsonl")],
    (VALIDATE, "--junit {out}/j.xml", "changes"),
    (VALIDATE, "--output {out}/v.md", "changes"),

    ("analyze --calibration {curves}", "--json", "changes"),
    ("analyze --calibration {curves} --output {out}/a.md", "--quiet", "changes"),
    (f"analyze --hardware {IMPORTED}", "--registry {tmp}/none", "changes"),
    ("analyze --calibration {curves}", "--registry {tmp}", "refused", "--registry requires --hardware"),
    ("analyze", "--calibration {curves}", "changes"),
    ("analyze", "--hardware nobody", "changes"),
    ("analyze --calibration {curves}", "--hardware x", "refused", " excludes "),
    (f"analyze --hardware {IMPORTED}", "--precision int8", "changes"),
    ("analyze --calibration {curves}", "--precision fp32", "refused", "--precision requires --hardware"),
    (f"analyze --hardware {IMPORTED}", "--threads 8", "refused", "no curves for FP32, threads 8"),
    ("analyze --calibration {curves}", "--threads 1", "refused", "--threads requires --hardware"),
    ("analyze --calibration {curves}", "--output {out}/a.md", "changes"),

    ("visualize --calibration {curves}", "--json", "changes"),
    (VISUALIZE, "--json", "refused", " excludes "),
    (VISUALIZE, "--quiet", "kept"),
    (f"visualize --hardware {IMPORTED} --json", "--registry {tmp}/none", "changes"),
    (VISUALIZE, "--registry {tmp}", "refused", "--registry requires --hardware"),
    ("visualize --ascii", "--calibration {curves}", "changes"),
    ("visualize --ascii", "--hardware nobody", "changes"),
    (VISUALIZE, "--model resnet18", "changes"),
    ("visualize --calibration {curves}", "--output {out}/page.txt", "changes"),
    ("visualize --calibration {curves}", "--ascii", "changes"),

    (AUDIT, "--json", "changes"),
    (AUDIT + " --output {out}/a.md", "--quiet", "changes"),
    ("audit --hardware nobody", "--registry {tmp}/none", "changes"),
    (AUDIT, "--registry {tmp}", "refused", "--registry requires --hardware"),
    ("audit", "--hardware nobody", "changes"),
    (AUDIT, "--hardware " + MEASURED, "refused", " excludes "),
    ("audit", "--calibration {curves}", "changes"),
    (AUDIT, "--legacy {registry}/cpu/i7-12700K/legacy_curves.json", "changes"),
    (AUDIT, "--samples {own_samples}", "changes"),
    (AUDIT, "--samples {samples}", "refused", "no campaign of the evidence was made from it"),
    (AUDIT, "--stale-days 0", "changes"),
    (AUDIT, "--output {out}/a.md", "changes"),

    ("check {curves}", "--json", "changes"),
    ("check {curves}", "--quiet", "changes"),
    ("check", "files... {curves}", "changes"),

    (COMPARE, "--json", "changes"),
    (COMPARE, "--quiet", "kept"),
    ("compare", "old {gbench} {gbench}", "changes"),
    ("compare", "new {gbench} {slower}", "changes"),
    (COMPARE, "--threshold 40", "changes"),
    (COMPARE, "--alpha 0.001", "changes"),
    (COMPARE, "--absolute", "changes"),
    (COMPARE, "--all", "changes"),

    ("promote {staged} --reason x --registry {out} --dry-run", "--json", "changes"),
    ("promote {staged} --reason x --registry {out} --dry-run", "--quiet", "kept"),
    ("promote {staged} --reason x --dry-run", "--registry {out}", "changes"),
    ("promote {staged} --reason x --dry-run --registry {out}", "--registry {tmp}", "refused", "--registry"),
    ("promote --reason x --registry {out} --dry-run", "staged {staged}", "changes"),
    ("promote {staged} --registry {out} --dry-run", "--reason x", "changes"),
    ("promote {inconclusive} --reason x --registry {out} --provisional", "--dry-run", "changes"),
    ("promote {inconclusive} --reason x --registry {out}", "--provisional", "changes"),

    ("list hardware", "--json", "changes"),
    ("list models", "--json", "changes"),
    ("list hardware --registry {broken}", "--quiet", "changes"),
    ("list hardware", "--registry {broken}", "changes"),
    ("list models", "--registry {broken}", "refused", "no registry holds models"),
    ("list", "what models", "changes"),

    ("doctor", "--json", "changes"),
    ("doctor", "--quiet", "kept"),

    ("reference bash", "--quiet", "kept"),
    ("reference", "form markdown", "changes"),
]


class Fixture:
    """Files that rows name, made with the program itself."""

    def __init__(self, folder):
        self.tmp = folder
        self.names = {"tmp": folder, "registry": SOURCE / "hardware_registry"}
        self.environment = {name: value for name, value in os.environ.items()
                            if name not in ("DERATE_REGISTRY", "DERATE_REGISTRY_ONLY", "GITHUB_STEP_SUMMARY")}
        self.environment |= {"DERATE_BENCH": BENCH, "XDG_DATA_HOME": str(folder / "nobody")}
        self.staged("staged", "squeezenet1_1,resnet18,alexnet,mobilenet_v2")
        self.staged("inconclusive", "squeezenet1_1,alexnet")
        staged = next(self.names["staged"].rglob("efficiency_curves.json"))
        self.names["curves"] = folder / "alone/curves.json"  # its samples are elsewhere
        shutil.copytree(staged.parent, folder / "alone", ignore=shutil.ignore_patterns("*.samples.jsonl"))
        (folder / "alone" / staged.name).rename(self.names["curves"])
        self.names["own_samples"] = staged.with_suffix(".samples.jsonl")
        self.run(f"measure --quiet --model squeezenet1_1 --runs 2 --launches 2 --output {folder}/m.json "
                 f"--export gbench {folder}/g.json")
        self.names |= {"samples": folder / "m.samples.jsonl", "gbench": folder / "old.json",
                       "slower": folder / "new.json"}
        self.benchmarks("old.json", 1.0)
        self.benchmarks("new.json", 1.3)
        broken = folder / "broken/cpu/broken-cpu"
        broken.mkdir(parents=True)
        (broken / "efficiency_curves.json").write_text("{")
        self.names["broken"] = folder / "broken"

    def staged(self, name, models):
        self.names[name] = self.tmp / name
        self.run(f"calibrate --quiet --models {models} --test-models shufflenet_v2_x1_0 --runs-per-model 6 "
                 f"--launches 3 --output {self.names[name]}")

    def benchmarks(self, name, factor):
        """Twelve cases, one of them slower by `factor`, another faster, all a little."""
        rows = []
        for case in range(12):
            for repetition in range(8):
                scale = 1.02 if factor > 1 else 1.0
                scale *= factor if case == 3 else 1 / factor if case == 5 else 1.0
                time = (case + 1) * scale * (1 + 0.002 * ((repetition * 7 + case) % 5))
                rows.append({"name": f"case_{case:02}", "run_name": f"case_{case:02}", "run_type": "iteration",
                             "repetition_index": repetition, "iterations": 10, "real_time": time,
                             "cpu_time": time, "time_unit": "ms"})
        (self.tmp / name).write_text(json.dumps({"context": {"date": "2026-01-01"}, "benchmarks": rows}))

    def run(self, line):
        """Exit code, standard output, standard error, and what was written into a fresh {out}."""
        out = self.tmp / "out"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        line = line.format(**self.names, out=out)
        words = line.split()
        environment = dict(self.environment)
        while "=" in words[0]:
            name, value = words.pop(0).split("=", 1)
            environment[name] = value
        done = subprocess.run([DERATE, *words], cwd=self.tmp, env=environment, capture_output=True, text=True,
                              timeout=300)
        written = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
        shutil.rmtree(self.tmp / "staged_elsewhere", ignore_errors=True)
        return done.returncode, done.stdout, done.stderr, written


def options():
    """{command: {option}} from the program's own reference."""
    page = subprocess.run([DERATE, "reference", "markdown"], capture_output=True, text=True, check=True).stdout
    found, command = {}, None
    for line in page.splitlines():
        if line.startswith("## derate "):
            command = line.split()[-1]
            found[command] = set()
        elif match := re.match(r"\| `([^` ]+)", line):
            found[command].add(match.group(1))
    return found


def command_of(line):
    return next(word for word in line.split() if "=" not in word)


def option_of(given):
    name = given.split()[0]
    return "--probes" if name == "--no-probes" else name


def fault_of(fixture, line, given, how, words):
    """Why a row does not hold; empty where it does."""
    by_position = not given.startswith("--")
    added = given.split(" ", 1)[1] if by_position else given
    code, printed, errors, written = fixture.run(f"{line} {added}")
    if code == 70 or "internal error" in errors:
        return f"exit {code}: {errors.strip()}"
    if how == "refused":
        if code != 2 or printed or len(errors.strip().splitlines()) != 1 or words not in errors:
            return f"not refused as '{words}': exit {code}, {errors.strip()[:300]}"
        return ""
    without = fixture.run(line)
    if how == "changes" and without == (code, printed, errors, written):
        return "changes nothing"
    if how == "kept" and (without[0] != code or errors):
        return f"not kept: exit {code}, {errors.strip()[:300]}"
    return ""


def main():
    failures = []
    known = {}
    for line, given, *_ in ROWS:
        known.setdefault(command_of(line), set()).add(option_of(given))
    for command, there in options().items():
        for option in sorted(there - known.get(command, set())):
            failures.append(f"{command} {option}: no row says what it changes or when it is refused")
        for option in sorted(known.get(command, set()) - there):
            failures.append(f"{command} {option}: the program has no such option")
    with tempfile.TemporaryDirectory(prefix="derate_options_") as folder:
        fixture = Fixture(pathlib.Path(folder))
        for line, given, how, *words in ROWS:
            if fault := fault_of(fixture, line, given, how, words[0] if words else ""):
                failures.append(f"{line}  +  {given}: {fault}")
    print("\n".join(failures))
    print(f"{len(ROWS)} rows, {len(failures)} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
