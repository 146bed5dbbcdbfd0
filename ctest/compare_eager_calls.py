#!/usr/bin/env python3
"""Do the shipped exports hold the operators that PyTorch eager calls? Counts both, model by model.

    python compare_eager_calls.py [NAME...]

The calls of eager mode are the profiler's top-level ATen events of one forward pass in inference mode,
batch 1. Prints one line a model: nodes of the export, calls of eager mode, and the operators whose
counts differ. The eager models are the library's own: attention fast path on, masks as they come.

Environment: workloads/models/requirements.txt.
"""

import collections
import gzip
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "workloads" / "models"))

import torch

import export_models


def exported_calls(model: export_models.Model) -> collections.Counter:
    name = export_models.file_name(model.name, "fp32")
    document = json.loads(gzip.decompress((export_models.FOLDER / name).read_bytes()))
    nodes = document["graph_module"]["graph"]["nodes"]
    names = (node["target"].split(".")[-2] for node in nodes if node["target"].startswith("torch.ops."))
    return collections.Counter(name for name in names if not name.startswith("sym_"))


def eager_calls(model: export_models.Model) -> collections.Counter:
    module = export_models.prepared(model, "fp32")
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data.fill_(0.01)
    if isinstance(module, export_models.LogitsOnly):
        module.model.config._attn_implementation = "sdpa"
    inputs = model.sample(1)
    with torch.inference_mode():
        module(*inputs)
        with torch.profiler.profile() as profile:
            module(*inputs)
    top = [event.name for event in profile.events() if event.cpu_parent is None]
    return collections.Counter(x.removeprefix("aten::") for x in top if x.startswith("aten::"))


def main() -> None:
    torch.set_num_threads(1)
    asked = sys.argv[1:]
    for model in export_models.MODELS:
        if asked and model.name not in asked:
            continue
        exported, eager = exported_calls(model), eager_calls(model)
        line = f"{model.name}: {exported.total()} nodes, {eager.total()} eager calls"
        for title, excess in (("export", exported - eager), ("eager", eager - exported)):
            if excess:
                line += f"; only in the {title}: "
                line += ", ".join(f"{count} {name}" for name, count in excess.most_common())
        print(line, flush=True)


if __name__ == "__main__":
    main()
