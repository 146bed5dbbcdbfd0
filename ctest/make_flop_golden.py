#!/usr/bin/env python3
"""Writes workloads/testdata/flop_golden.json: the contraction FLOPs of every shipped export.

Counted by torch.utils.flop_counter while the eager model runs on the meta device, under the math
backend of scaled_dot_product_attention, because the counter knows no formula for the fused CPU kernel
and would count 0. What is counted: convolutions, matrix products, and attention as the two matrix
products it consists of; 1 multiply-add = 2 FLOP. Nothing elementwise is.

    {"torch_version": ..., "files": {"resnet18_b1.json.gz": {"total": N, "operators": {"convolution": N, ...}}}}

Environment: workloads/models/requirements.txt.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workloads" / "models"))

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map_only
from torch.utils.flop_counter import FlopCounterMode

import export_models


def contraction_flops(model: export_models.Model, batch: int, precision: str) -> dict:
    inputs = export_models.sample_inputs(model, batch, precision)
    inputs = tree_map_only(torch.Tensor, lambda value: value.to("meta"), inputs)
    module = export_models.prepared(model, precision).to("meta")
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        module(*inputs)
    operators = {
        str(operator).removeprefix("aten."): flops
        for operator, flops in counter.get_flop_counts()["Global"].items()
    }
    return {"total": counter.get_total_flops(), "operators": dict(sorted(operators.items()))}


def main() -> None:
    torch.backends.mha.set_fastpath_enabled(False)
    files = {}
    for model in export_models.MODELS:
        variants = [(batch, "fp32") for batch in (1, 4, 16)]
        if "bf16" in model.precisions():
            variants.append((1, "bf16"))
        for batch, precision in variants:
            name = export_models.file_name(f"{model.name}_b{batch}", precision)
            files[name] = contraction_flops(model, batch, precision)
            print(name, files[name], flush=True)
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in files.items())
    version = torch.__version__.split("+")[0]
    target = ROOT / "workloads" / "testdata" / "flop_golden.json"
    target.write_text(f'{{"torch_version": "{version}", "files": {{\n{lines}\n}}}}\n')


if __name__ == "__main__":
    main()
