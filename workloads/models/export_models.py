#!/usr/bin/env python3
"""Writes the default model set: weight-free torch.export graphs and their catalogue.

    python export_models.py                    every model of the set, and catalogue.json
    python export_models.py resnet18 swin_t    these models only; the catalogue stays as it is
    python export_models.py --catalogue        catalogue.json only, from the files that are there
    python export_models.py --table            the table of docs/models.md, from the files too

Needs the environment pinned in requirements.txt; whoever only uses the exports needs no Python.

A shipped file `<name>[_bf16].json.gz` is the gzip of the `models/model.json` that
`torch.export.save` puts into a .pt2, for any batch (and any sequence length, of text models), changed
in four ways:

  * of node metadata only the path of the innermost module stays, and of `module_call_graph` the root
    entry, because no consumer runs on it and the stack traces hold paths of this machine;
  * parameters, buffers and constants that no node reads are dropped from `inputs`,
    `tensor_values` and the signature (BatchNorm's num_batches_tracked, mostly);
  * `torch_version` loses its local build label;
  * one key is added, `derate_constants`: the values of every integer or boolean buffer and of every
    lifted constant that a node reads (relative position indices, for example), which no random
    fill may replace. It maps the name the signature gives the tensor (`buffer_name`,
    `tensor_constant_name`) to {"dtype", "shape", "values"}: dtype is the name PyTorch prints
    without "torch.", values is the flat list in row-major order; booleans are 0 and 1, and
    non-finite floats are the strings "inf", "-inf" and "nan".

Weights are never written: the graph is serialised without its state. The models are built with
random weights (nothing is downloaded), in eval mode, and
`run_decompositions` is not called, so that operators stay the ones eager mode dispatches.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import io
import json
import math
import pathlib
import sys
from collections.abc import Callable

import torch
import torchvision
import transformers
import transformers.integrations.sdpa_attention
from torch._export.serde.serialize import serialize
from torch.utils._pytree import tree_map_only

import decoders

FOLDER = pathlib.Path(__file__).resolve().parent
EXAMPLE_BATCH = 2  # an example of 1 is taken for a constant
LARGEST_FILE = 80 * 1024
SEQUENCE_LENGTH = 128

# Eager mode finds at run time that nothing is padded and hands no mask to the attention kernel;
# under export the library cannot know, and would build one. It builds none for an attention function
# that has registered no mask of its own.
SDPA_WITHOUT_MASK = "sdpa_without_mask"
transformers.AttentionInterface.register(
    SDPA_WITHOUT_MASK, transformers.integrations.sdpa_attention.sdpa_attention_forward
)

CALIBRATION, HELD_OUT, EXTRA = "calibration", "held_out", "extra"


@dataclasses.dataclass(frozen=True)
class Model:
    """One model of the set: how to build it and the tensor it takes."""

    name: str
    family: str
    role: str
    build: Callable[[], torch.nn.Module]
    sample: Callable[[int], tuple]  # batch size -> inputs
    # Of each input what is free beside the batch, by axis; None: not even that.
    free: tuple = ({},)
    # What is meant where nobody says a size: sequence length, and by axis of an input.
    sequence: int | None = None
    sizes: dict[str, int] = dataclasses.field(default_factory=dict)

    def precisions(self) -> list[str]:
        """Of the shipped files."""
        return ["fp32", "bf16"] if self.role == CALIBRATION else ["fp32"]


def file_name(name: str, precision: str) -> str:
    return f"{name}{'' if precision == 'fp32' else '_' + precision}.json.gz"


class LogitsOnly(torch.nn.Module):
    """A Hugging Face model as a function of token ids alone, without a cache of keys and values."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids).logits


def image_model(name: str, family: str, role: str, *, size: int = 224, **options) -> Model:
    def build() -> torch.nn.Module:
        return torchvision.models.get_model(name, weights=None, **options)

    return Model(name, family, role, build, lambda batch: (torch.zeros(batch, 3, size, size),))


def text_model(
    name: str,
    family: str,
    role: str,
    architecture: type,
    config: transformers.PretrainedConfig,
) -> Model:
    def build() -> torch.nn.Module:
        config._attn_implementation = SDPA_WITHOUT_MASK
        return LogitsOnly(architecture(config))

    return Model(
        name,
        family,
        role,
        build,
        lambda batch: (torch.zeros(batch, SEQUENCE_LENGTH, dtype=torch.int64),),
        free=({1: torch.export.Dim("sequence", max=config.max_position_embeddings)},),
        sequence=SEQUENCE_LENGTH,
    )


def decoder_models(name: str, kind: str, sizes: decoders.Sizes) -> tuple[Model, Model]:
    """Its prefill, and one step of it with a static cache of keys and values."""
    def decoder() -> torch.nn.Module:
        return decoders.KINDS[kind](sizes)

    cache = torch.export.Dim("cache", max=sizes.longest)
    return (
        Model(
            f"{name}_decode",
            kind,
            EXTRA,
            lambda: decoders.DecodeStep(decoder()),
            lambda batch: decoders.decode_inputs(sizes, batch, SEQUENCE_LENGTH),
            free=({}, None, [{2: cache}] * (2 * sizes.layers)),
            sizes={"caches_0[2]": SEQUENCE_LENGTH},
        ),
        Model(
            f"{name}_prefill",
            kind,
            EXTRA,
            lambda: decoders.Prefill(decoder()),
            lambda batch: decoders.prefill_inputs(sizes, batch, SEQUENCE_LENGTH),
            free=({1: torch.export.Dim("sequence", max=sizes.longest)},),
            sequence=SEQUENCE_LENGTH,
        ),
    )


MODELS = (
    image_model("alexnet", "alexnet", HELD_OUT),
    text_model(
        "bert_base",
        "bert",
        HELD_OUT,
        transformers.BertForSequenceClassification,
        transformers.BertConfig(),
    ),
    text_model(
        "bert_small",
        "bert",
        HELD_OUT,
        transformers.BertForSequenceClassification,
        transformers.BertConfig(
            hidden_size=512,
            num_hidden_layers=4,
            num_attention_heads=8,
            intermediate_size=2048,
        ),
    ),
    image_model("convnext_small", "convnext", HELD_OUT),
    image_model("convnext_tiny", "convnext", CALIBRATION),
    image_model("densenet121", "densenet", CALIBRATION),
    image_model("densenet169", "densenet", HELD_OUT),
    text_model(
        "distilbert",
        "bert",
        HELD_OUT,
        transformers.DistilBertForSequenceClassification,
        transformers.DistilBertConfig(),
    ),
    image_model("efficientnet_b0", "efficientnet", HELD_OUT),
    image_model("efficientnet_b1", "efficientnet", HELD_OUT),
    image_model("efficientnet_b2", "efficientnet", HELD_OUT),
    image_model("efficientnet_v2_s", "efficientnet", HELD_OUT),
    image_model("googlenet", "inception", HELD_OUT, aux_logits=False, init_weights=False),
    text_model(
        "gpt2",
        "gpt2",
        CALIBRATION,
        transformers.GPT2LMHeadModel,
        transformers.GPT2Config(use_cache=False),
    ),
    *decoder_models(
        "gpt2_small",
        "gpt2",
        decoders.Sizes(
            width=768, layers=12, heads=12, key_heads=12, hidden=3072, vocabulary=50257, longest=1024
        ),
    ),
    image_model(
        "inception_v3", "inception", CALIBRATION, size=299, aux_logits=False, init_weights=False
    ),
    *decoder_models(
        "llama_small",
        "llama",
        decoders.Sizes(
            width=1024, layers=8, heads=16, key_heads=4, hidden=2816, vocabulary=32000, longest=4096
        ),
    ),
    image_model("maxvit_t", "maxvit", HELD_OUT),
    image_model("mnasnet0_5", "mnasnet", CALIBRATION),
    image_model("mnasnet1_0", "mnasnet", HELD_OUT),
    image_model("mobilenet_v2", "mobilenet", CALIBRATION),
    image_model("mobilenet_v3_large", "mobilenet", CALIBRATION),
    image_model("mobilenet_v3_small", "mobilenet", HELD_OUT),
    image_model("regnet_x_800mf", "regnet", HELD_OUT),
    image_model("regnet_y_1_6gf", "regnet", HELD_OUT),
    image_model("regnet_y_400mf", "regnet", CALIBRATION),
    image_model("resnet101", "resnet", HELD_OUT),
    image_model("resnet152", "resnet", EXTRA),
    image_model("resnet18", "resnet", CALIBRATION),
    image_model("resnet34", "resnet", HELD_OUT),
    image_model("resnet50", "resnet", CALIBRATION),
    image_model("resnext50_32x4d", "resnet", CALIBRATION),
    image_model("shufflenet_v2_x0_5", "shufflenet", HELD_OUT),
    image_model("shufflenet_v2_x1_0", "shufflenet", HELD_OUT),
    image_model("shufflenet_v2_x1_5", "shufflenet", HELD_OUT),
    image_model("squeezenet1_0", "squeezenet", HELD_OUT),
    image_model("squeezenet1_1", "squeezenet", HELD_OUT),
    image_model("swin_s", "swin", EXTRA),
    image_model("swin_t", "swin", CALIBRATION),
    image_model("swin_v2_t", "swin", HELD_OUT, size=256),
    image_model("vgg11", "vgg", HELD_OUT),
    image_model("vgg13_bn", "vgg", HELD_OUT),
    image_model("vgg16", "vgg", CALIBRATION),
    image_model("vgg19", "vgg", EXTRA),
    image_model("vit_b_16", "vit", CALIBRATION),
    image_model("vit_b_32", "vit", HELD_OUT),
    image_model("wide_resnet50_2", "resnet", HELD_OUT),
)


def prepared(model: Model, precision: str) -> torch.nn.Module:
    """The model in eval mode and in its precision, its weights left uninitialised."""
    with NoInitialisation():
        module = model.build().eval()
    return module.to(torch.bfloat16) if precision == "bf16" else module


class NoInitialisation:
    """Makes the weight initialisers of torch.nn.init do nothing: their values are never used."""

    names = ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_",
             "xavier_uniform_", "xavier_normal_")

    def __enter__(self):
        self.saved = {name: getattr(torch.nn.init, name) for name in self.names}
        for name in self.names:
            setattr(torch.nn.init, name, lambda tensor, *args, **options: tensor)

    def __exit__(self, *_):
        for name, function in self.saved.items():
            setattr(torch.nn.init, name, function)


def sample_inputs(model: Model, batch: int, precision: str) -> tuple:
    def cast(value: torch.Tensor) -> torch.Tensor:
        is_cast = precision == "bf16" and value.is_floating_point()
        return value.to(torch.bfloat16) if is_cast else value

    return tree_map_only(torch.Tensor, cast, model.sample(batch))


def exported(
    model: Model, module: torch.nn.Module, precision: str
) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim("batch")}

    def dimensions(of_input):
        if isinstance(of_input, list):
            return [dimensions(item) for item in of_input]
        return None if of_input is None else batch | of_input

    with torch.no_grad():
        return torch.export.export(
            module,
            sample_inputs(model, EXAMPLE_BATCH, precision),
            dynamic_shapes=tuple(dimensions(of_input) for of_input in model.free),
        )


def read_tensors(graph: dict) -> set[str]:
    """Names of the tensors that a node or the graph's result reads."""
    names: set[str] = set()

    def visit(value) -> None:
        if isinstance(value, list):
            for item in value:
                visit(item)
        elif isinstance(value, dict):
            if set(value) == {"name"}:
                names.add(value["name"])
            for item in value.values():
                visit(item)

    for node in graph["nodes"]:
        visit([argument["arg"] for argument in node["inputs"]])
    visit(graph["outputs"])
    return names


def plain_values(tensor: torch.Tensor) -> list:
    flat = tensor.detach().contiguous().flatten()
    if flat.dtype == torch.bool:
        return flat.to(torch.int64).tolist()
    if flat.is_floating_point():
        return [x if math.isfinite(x) else str(x) for x in flat.to(torch.float64).tolist()]
    return flat.tolist()


def weight_free(program: torch.export.ExportedProgram) -> dict:
    """The program's graph as torch.export serialises it, changed as the module's text says."""
    document = json.loads(serialize(program).exported_program)
    document["torch_version"] = document["torch_version"].split("+")[0]
    module = document["graph_module"]
    graph, signature = module["graph"], module["signature"]
    module["module_call_graph"] = module["module_call_graph"][:1]
    for node in graph["nodes"]:
        innermost = node["metadata"].get("nn_module_stack", "").split(";")[-1].split(",")
        node["metadata"] = (
            {"nn_module_stack": f",{innermost[1]},"} if len(innermost) > 1 and innermost[1] else {}
        )

    read = read_tensors(graph)
    constants = {}
    kept = []
    for spec in signature["input_specs"]:
        (kind, fields), = spec.items()
        if kind in ("user_input", "constant_input"):
            kept.append(spec)
            continue
        name = fields["arg"]["name"]
        if name not in read:
            graph["inputs"] = [i for i in graph["inputs"] if i != {"as_tensor": {"name": name}}]
            del graph["tensor_values"][name]
            continue
        kept.append(spec)
        target = fields.get("buffer_name") or fields.get("tensor_constant_name")
        if target is None:
            continue
        tensor = program.state_dict.get(target)
        tensor = program.constants[target] if tensor is None else tensor
        if kind == "tensor_constant" or not tensor.is_floating_point():
            constants[target] = {
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "shape": list(tensor.shape),
                "values": plain_values(tensor),
            }
    signature["input_specs"] = kept
    document["derate_constants"] = constants
    return document


def compressed(document: dict) -> bytes:
    """Gzip without name or time, so that equal graphs are equal files."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as out:
        out.write(text)
    return buffer.getvalue()


def write(model: Model) -> None:
    for precision in model.precisions():
        program = exported(model, prepared(model, precision), precision)
        data = compressed(weight_free(program))
        if len(data) > LARGEST_FILE:
            raise SystemExit(f"{model.name}: {len(data)} bytes (at most {LARGEST_FILE})")
        path = FOLDER / file_name(model.name, precision)
        path.write_bytes(data)
        print(f"{path.name} {len(data)}", flush=True)


def write_catalogue() -> None:
    entries = []
    for model in MODELS:
        files = [
            {"file": file_name(model.name, precision), "precision": precision}
            for precision in model.precisions()
            if (FOLDER / file_name(model.name, precision)).exists()
        ]
        if not files:
            continue
        entry = {"name": model.name, "family": model.family, "role": model.role, "files": files}
        if model.sequence is not None:
            entry["sequence"] = model.sequence
        if model.sizes:
            entry["sizes"] = model.sizes
        entries.append(entry)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (FOLDER / "catalogue.json").write_text(f"[\n{lines}\n]\n")


def parameter_count(document: dict) -> int:
    """Elements of the parameters that a node reads; a parameter with two names counts once."""
    module = document["graph_module"]
    count = 0
    for spec in module["signature"]["input_specs"]:
        if "parameter" in spec:
            meta = module["graph"]["tensor_values"][spec["parameter"]["arg"]["name"]]
            count += math.prod(size["as_int"] for size in meta["sizes"])
    return count


def call_count(document: dict) -> int:
    """Nodes of the graph that are no size arithmetic: what an export at one size has."""
    targets = [node["target"] for node in document["graph_module"]["graph"]["nodes"]]
    return sum(t.startswith("torch.ops.") and ".sym_size." not in t for t in targets)


def print_table() -> None:
    """Markdown, ordered by family; FLOPs come from flop_golden.json."""
    flops = json.loads((FOLDER.parent / "testdata" / "flop_golden.json").read_text())["files"]
    print("| family | model | input | parameters, million | GFLOP | nodes | role |")
    print("|---|---|---|---:|---:|---:|---|")
    for model in sorted(MODELS, key=lambda m: (m.family, m.name)):
        name = file_name(model.name, "fp32")
        document = json.loads(gzip.decompress((FOLDER / name).read_bytes()))
        sample = model.sample(1)[0]
        sizes = "x".join(str(size) for size in sample.shape[1:])
        shape = sizes if sample.is_floating_point() else f"{sizes} tokens"
        if model.sizes:
            shape = f"1 token, cache of {SEQUENCE_LENGTH}"
        print(
            f"| {model.family} | `{model.name}` | {shape} | {parameter_count(document) / 1e6:.1f} "
            f"| {flops[file_name(f'{model.name}_b1', 'fp32')]['total'] / 1e9:.2f} | {call_count(document)} "
            f"| {model.role.replace('_', ' ')} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--catalogue", action="store_true", help="write catalogue.json only")
    parser.add_argument("--table", action="store_true", help="print the table of docs/models.md")
    arguments = parser.parse_args()
    if arguments.table:
        print_table()
        return
    unknown = set(arguments.models) - {model.name for model in MODELS}
    if unknown:
        sys.exit(f"no such model: {', '.join(sorted(unknown))}")
    if not arguments.catalogue:
        for model in MODELS:
            if not arguments.models or model.name in arguments.models:
                write(model)
    if arguments.catalogue or not arguments.models:
        write_catalogue()


if __name__ == "__main__":
    main()
