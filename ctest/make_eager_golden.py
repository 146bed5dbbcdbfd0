#!/usr/bin/env python3
"""Writes benchmarks/testdata/eager_golden.json: what PyTorch eager computes for shipped exports.

Weights and inputs follow rule seeded_values_2 (seeded_values.py), so they need not be in the tree. The
models run on the CPU with one thread, in inference mode, with PyTorch's fused multi-head-attention fast
path off, because an export never takes it.

    {"values": "seeded_values_2", "torch_version": ..., "threads": 1, "cpu_capability": ...,
     "models": [{"file": name in workloads/models, "model", "batch", "precision",
                 "input": {"name", "shape", "dtype", "bound": rows of the embedding table or null},
                 "output": {"shape", "dtype", "max_abs", "sha256", "samples": [[index, value], ...]}}]}

sha256 is of the output's bytes, row-major, little endian; equal bytes are expected only where
cpu_capability and the libraries are the same. Samples are 32 elements evenly spread over the row-major
output. A test asks max|a - b| / max_abs <= 1e-5 over the samples in fp32.

Environment: workloads/models/requirements.txt.
"""

import dataclasses
import hashlib
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workloads" / "models"))

import torch

import export_models
import seeded_values

SAMPLES = 32
RUNS = (
    ("resnet18", 1, "fp32"),
    ("resnet18", 1, "bf16"),
    ("alexnet", 4, "fp32"),
    ("bert_small", 4, "fp32"),
    ("convnext_tiny", 1, "fp32"),
    ("densenet121", 1, "fp32"),
    ("efficientnet_b0", 4, "fp32"),
    ("googlenet", 1, "fp32"),
    ("gpt2", 1, "fp32"),
    ("maxvit_t", 1, "fp32"),
    ("mobilenet_v3_small", 1, "fp32"),
    ("regnet_y_400mf", 1, "fp32"),
    ("shufflenet_v2_x0_5", 1, "fp32"),
    ("squeezenet1_1", 1, "fp32"),
    ("swin_t", 1, "fp32"),
    ("swin_v2_t", 1, "fp32"),
    ("vit_b_32", 1, "fp32"),
)


def fill(module: torch.nn.Module, document: dict) -> None:
    """Gives every floating-point weight that the export reads its seeded values."""
    filled: dict[int, str] = {}
    for spec in document["graph_module"]["signature"]["input_specs"]:
        ((kind, fields),) = spec.items()
        if kind == "parameter":
            name = fields["parameter_name"]
            tensor = module.get_parameter(name)
        elif kind == "buffer":
            name = fields["buffer_name"]
            tensor = module.get_buffer(name)
        else:
            continue
        if name in document["derate_constants"]:
            continue
        if tensor.data_ptr() in filled:
            raise SystemExit(f"{name} and {filled[tensor.data_ptr()]} are one tensor with two names")
        filled[tensor.data_ptr()] = name
        tensor.data.copy_(torch.from_numpy(seeded_values.weight(name, tuple(tensor.shape))))


def embedding_rows(graph: dict, input_name: str) -> int:
    """Bound of an integer input that reaches a table directly, as those of the shipped models do."""
    same = {input_name}
    for node in graph["nodes"]:
        arguments = {a["name"]: a["arg"].get("as_tensor", {}).get("name") for a in node["inputs"]}
        operator = node["target"].split(".")[-2]
        if operator == "embedding" and arguments["indices"] in same:
            return graph["tensor_values"][arguments["weight"]]["sizes"][0]["as_int"]
        if operator in ("view", "reshape", "alias") and arguments["self"] in same:
            same.add(node["outputs"][0]["as_tensor"]["name"])
    return 2


@dataclasses.dataclass(frozen=True)
class Subject:
    """An eager model with seeded weights, and its input."""

    module: torch.nn.Module
    values: torch.Tensor
    input_name: str
    bound: int | None  # of the values of an integer input


def subject(model: export_models.Model, batch: int, precision: str) -> Subject:
    module = export_models.prepared(model, precision)
    program = export_models.exported(model, module, precision)
    document = export_models.weight_free(program)
    fill(module, document)
    if isinstance(module, export_models.LogitsOnly):
        module.model.config._attn_implementation = "sdpa"

    (name,) = program.graph_signature.user_inputs
    (sample,) = export_models.sample_inputs(model, batch, precision)
    shape, bound = tuple(sample.shape), None
    if sample.is_floating_point():
        values = torch.from_numpy(seeded_values.map_input(name, shape)).to(sample.dtype)
    else:
        bound = embedding_rows(document["graph_module"]["graph"], name)
        values = torch.from_numpy(seeded_values.integer_input(name, shape, bound))
    return Subject(module, values, name, bound)


def golden(model: export_models.Model, batch: int, precision: str) -> dict:
    run = subject(model, batch, precision)
    with torch.inference_mode():
        output = run.module(run.values).contiguous()

    if not torch.isfinite(output).all() or output.abs().max() == 0:
        raise SystemExit(f"{model.name}: the output is zero or not finite and would prove nothing")
    flat = output.flatten()
    indices = [k * flat.numel() // SAMPLES for k in range(min(SAMPLES, flat.numel()))]
    return {
        "file": export_models.file_name(f"{model.name}_b{batch}", precision),
        "model": model.name,
        "batch": batch,
        "precision": precision,
        "input": {
            "name": run.input_name,
            "shape": list(run.values.shape),
            "dtype": str(run.values.dtype).removeprefix("torch."),
            "bound": run.bound,
        },
        "output": {
            "shape": list(output.shape),
            "dtype": str(output.dtype).removeprefix("torch."),
            "max_abs": output.abs().max().item(),
            "sha256": hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest(),
            "samples": sorted({index: flat[index].item() for index in indices}.items()),
        },
    }


def main() -> None:
    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)
    models = {model.name: model for model in export_models.MODELS}
    entries = []
    for name, batch, precision in RUNS:
        entry = golden(models[name], batch, precision)
        print(entry["file"], entry["output"]["shape"], entry["output"]["max_abs"], flush=True)
        entries.append(entry)
    header = {
        "values": "seeded_values_2",
        "torch_version": torch.__version__.split("+")[0],
        "threads": 1,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    target = ROOT / "benchmarks" / "testdata" / "eager_golden.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(header)[:-1] + f', "models": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
