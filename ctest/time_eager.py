#!/usr/bin/env python3
"""Times whole models in Python eager, for comparison with `derate measure` on the same machine.

    python time_eager.py [--threads 1] [--batch 1] [--precision fp32] [--runs 20] [--rounds 5] [NAME...]

Prints JSON: per model the median, quartiles and number of forward passes in milliseconds, and what ran
them. Weights and input follow seeded_values_2. Every round visits all models, so that a slow minute of
the host falls on all of them; the first three passes of each visit are not counted. PyTorch's
multi-head-attention fast path is off, as in the exports; --fast-path leaves it on. Python eager runs the
same kernels as derate and adds the interpreter's own time, about 10 us an operator.

The C library's allocation thresholds are pinned as derate-bench pins them, because memory returned to the
kernel after every pass costs some models up to a fifth of their time.

Environment: workloads/models/requirements.txt.
"""

import argparse
import ctypes
import json
import pathlib
import platform
import statistics
import sys
import time

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
libc = ctypes.CDLL(None)
libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workloads" / "models"))

import torch

import export_models
import make_eager_golden

WARM_UP_PASSES = 3


def time_visit(module: torch.nn.Module, values: torch.Tensor, runs: int) -> list[float]:
    milliseconds = []
    with torch.inference_mode():
        for run in range(WARM_UP_PASSES + runs):
            start = time.perf_counter_ns()
            module(values)
            elapsed = time.perf_counter_ns() - start
            if run >= WARM_UP_PASSES:
                milliseconds.append(elapsed / 1e6)
    return milliseconds


def processor_name() -> str | None:
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return None
    return next((x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", metavar="NAME", help="default: the calibration set")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--runs", type=int, default=20, help="passes a visit (default: 20)")
    parser.add_argument("--rounds", type=int, default=5, help="visits to each model (default: 5)")
    parser.add_argument("--fast-path", action="store_true", help="leave the attention fast path on")
    arguments = parser.parse_args()

    known = {model.name: model for model in export_models.MODELS}
    default = [m.name for m in known.values() if m.role == export_models.CALIBRATION]
    names = arguments.models or default
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"no such model: {', '.join(unknown)}")

    torch.set_num_threads(arguments.threads)
    torch.backends.mha.set_fastpath_enabled(arguments.fast_path)
    subjects = {}
    for name in names:
        print(f"preparing {name}", file=sys.stderr)
        subjects[name] = make_eager_golden.subject(
            known[name], arguments.batch, arguments.precision
        )
    times = {name: [] for name in names}
    for _ in range(arguments.rounds):
        for name, subject in subjects.items():
            times[name] += time_visit(subject.module, subject.values, arguments.runs)

    results = []
    for name, milliseconds in times.items():
        lower, median, upper = statistics.quantiles(milliseconds, n=4)
        results.append(
            {
                "model": name,
                "median_ms": round(median, 4),
                "lower_quartile_ms": round(lower, 4),
                "upper_quartile_ms": round(upper, 4),
                "passes": len(milliseconds),
            }
        )
    print(
        json.dumps(
            {
                "torch_version": torch.__version__.split("+")[0],
                "processor": processor_name(),
                "system": platform.system(),
                "threads": arguments.threads,
                "batch": arguments.batch,
                "precision": arguments.precision,
                "attention_fast_path": arguments.fast_path,
                "models": results,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
