#!/usr/bin/env python3
"""Writes workloads/testdata/contraction_golden.json: calls that multiply, and the FLOPs of each.

Each call is exported by torch.export and written down as derate's descriptor. Its FLOPs are those that
torch.utils.flop_counter counts while the exported program runs on the CPU; where the counter knows no formula (it
counts 0), the number is the hand count that stands beside the call here. 1 multiply-add = 2 FLOP.

    {"torch_version": ..., "calls": [{"name": ..., "counted_by": "flop_counter" | "hand", "flops": N,
                                      "descriptor": ...}, ...]}

Environment: Python 3.11, torch 2.15.0 (torch_notes of workloads/models/requirements.txt).
"""

import json
import pathlib
import sys

import torch
import torch._export.serde.serialize as serde
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

ROOT = pathlib.Path(__file__).resolve().parent.parent
ATEN = torch.ops.aten

SCALAR_TYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64",
    12: "bool", 13: "bfloat16",
}


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


def f(*sizes):
    return torch.randn(*sizes)


def b(*sizes):
    return torch.randn(*sizes, dtype=torch.bfloat16)


def i8(*sizes):
    return torch.randint(-8, 8, sizes, dtype=torch.int8)


def einsum(equation, *shapes, path=None):
    """As the function hands it to LibTorch: with a path where one is given."""
    operands = [f(*shape) for shape in shapes]
    return (lambda *tensors: ATEN.einsum(equation, list(tensors), path=path)), operands, None


def layer(module, *inputs, hand=None):
    return module.eval(), list(inputs), hand


def call(function, *inputs, hand=None):
    return function, list(inputs), hand


def lstm_flops(size, hidden, steps, batch, layers=1, directions=1, projection=0):
    total = 0
    state = projection or hidden
    for index in range(layers):
        width = size if index == 0 else state * directions
        total += directions * 2 * steps * batch * (4 * hidden * (width + state) + projection * hidden)
    return total


CALLS = {
    # einsum, all forms
    "einsum implicit": einsum("ij,jk", (8, 16), (16, 8)),
    "einsum implicit sorted": einsum("ba,bc", (5, 3), (5, 7)),
    "einsum explicit": einsum("ij,jk->ik", (8, 16), (16, 8)),
    "einsum spaces": einsum("b i d , b j d -> b i j", (2, 3, 5), (2, 4, 5)),
    "einsum ellipsis": einsum("...ij,...jk->...ik", (2, 8, 4), (2, 4, 8)),
    "einsum ellipsis of one": einsum("...ij,jk->...ik", (2, 3, 8, 4), (4, 8)),
    "einsum ellipsis broadcast": einsum("...ij,...jk->...ik", (2, 1, 8, 4), (3, 4, 8)),
    "einsum ellipsis implicit": einsum("...ij,...jk", (2, 8, 4), (2, 4, 8)),
    "einsum ellipsis summed": einsum("...ij,...jk->ik", (2, 8, 4), (2, 4, 8)),
    "einsum capital labels": einsum("aB,Bc->ac", (3, 5), (5, 7)),
    "einsum transposed result": einsum("bij,bkj->kib", (2, 3, 5), (2, 4, 5)),
    "einsum three": einsum("ij,jk,kl->il", (8, 4), (4, 16), (16, 8)),
    "einsum three, path": einsum("ij,jk,kl->il", (8, 4), (4, 16), (16, 2), path=[1, 2, 0, 1]),
    "einsum three, no path": einsum("ij,jk,kl->il", (8, 4), (4, 16), (16, 2)),
    "einsum four": einsum("ab,bc,cd,de->ae", (2, 3), (3, 5), (5, 7), (7, 11)),
    "einsum four, path": einsum("ab,bc,cd,de->ae", (2, 3), (3, 5), (5, 7), (7, 11), path=[0, 1, 0, 1, 0, 1]),
    # without a sum it is multiplications: 20 for each of the two
    "einsum outer of three": (*einsum("i,j,ij->ij", (4,), (5,), (4, 5))[:2], 40),
    "einsum outer": (*einsum("i,j->ij", (4,), (5,))[:2], 20),
    "einsum sums": (*einsum("ij->j", (4, 5))[:2], 20),
    "einsum trace": (*einsum("ii->", (4, 4))[:2], 4),
    "einsum diagonal alone": (*einsum("ii->i", (4, 4))[:2], 0),
    "einsum transposes": (*einsum("bij->jbi", (2, 3, 4))[:2], 0),
    "einsum bilinear": einsum("bn,anm,bm->ba", (3, 5), (4, 5, 6), (3, 6)),
    "einsum one-sided sum": einsum("ij,jk->k", (8, 4), (4, 6)),
    "einsum size one": einsum("bij,bjk->bik", (1, 3, 5), (4, 5, 7)),
    "einsum contracted size one": (*einsum("ij,jk->ik", (3, 1), (5, 7))[:2], 5 * 7 + 3 * 7),
    "einsum diagonal": einsum("iij,jk->ik", (4, 4, 5), (5, 6)),
    "einsum batch contraction": einsum("bhid,bhjd->bhij", (2, 3, 4, 8), (2, 3, 5, 8)),
    "einsum dot": einsum("i,i->", (16,), (16,)),
    "einsum all summed": einsum("ij,ij->", (4, 6), (4, 6)),
    "einsum repeated operand": (lambda x: torch.einsum("ij,kj->ik", x, x), [f(6, 5)], None),
    # products by name
    "matmul vector": call(torch.matmul, f(5), f(5, 7)),
    "matmul by vector": call(torch.matmul, f(4, 3, 5), f(5), hand=2 * 4 * 3 * 5),
    "matmul broadcast": call(torch.matmul, f(4, 1, 3, 5), f(2, 5, 7)),
    "linalg.matmul": call(torch.linalg.matmul, f(8, 16), f(16, 8)),
    "mm": call(torch.mm, f(3, 5), f(5, 7)),
    "bmm": call(torch.bmm, f(2, 3, 5), f(2, 5, 7)),
    "mv": call(torch.mv, f(3, 5), f(5), hand=2 * 3 * 5),
    "dot": call(torch.dot, f(7), f(7), hand=2 * 7),
    "vdot": call(torch.vdot, f(7), f(7), hand=2 * 7),
    "linalg.vecdot": call(torch.linalg.vecdot, f(4, 7), f(4, 7), hand=2 * 4 * 7),
    "inner": call(torch.inner, f(8, 16), f(8, 16)),
    "inner of three": call(torch.inner, f(2, 3, 5), f(4, 5)),
    "tensordot": call(lambda x, y: torch.tensordot(x, y, dims=([1], [0])), f(8, 16), f(16, 8)),
    "tensordot two": call(lambda x, y: torch.tensordot(x, y, dims=([1, 2], [1, 0])), f(3, 4, 5), f(5, 4, 6)),
    "tensordot none": call(lambda x, y: torch.tensordot(x, y, dims=0), f(3, 4), f(5)),
    "addmm": call(torch.addmm, f(7), f(3, 5), f(5, 7)),
    "addmv": call(torch.addmv, f(3), f(3, 5), f(5), hand=2 * 3 * 5),
    "addr": call(torch.addr, f(3, 5), f(3), f(5), hand=2 * 3 * 5),
    "baddbmm": call(torch.baddbmm, f(2, 3, 7), f(2, 3, 5), f(2, 5, 7)),
    "addbmm": call(torch.addbmm, f(4, 8), f(4, 4, 8), f(4, 8, 8), hand=2 * 4 * 4 * 8 * 8),
    "multi_dot": call(lambda *x: torch.linalg.multi_dot(x), f(4, 8), f(8, 4), f(4, 16)),
    "multi_dot four": call(lambda *x: torch.linalg.multi_dot(x), f(10, 3), f(3, 20), f(20, 2), f(2, 9)),
    "multi_dot of vectors": call(lambda *x: torch.linalg.multi_dot(x), f(6), f(6, 5), f(5)),
    "chain_matmul": call(torch.chain_matmul, f(3, 40), f(40, 5), f(5, 6)),
    "matrix_power 2": call(lambda x: torch.matrix_power(x, 2), f(6, 6)),
    "matrix_power 5": call(lambda x: torch.linalg.matrix_power(x, 5), f(3, 6, 6)),
    "matrix_power 7": call(lambda x: torch.linalg.matrix_power(x, 7), f(6, 6)),
    "matrix_power 8": call(lambda x: torch.linalg.matrix_power(x, 8), f(6, 6)),
    "bilinear": layer(nn.Bilinear(5, 6, 4), f(3, 5), f(3, 6), hand=2 * 3 * 4 * (5 * 6 + 6)),
    "linear": layer(nn.Linear(5, 7), f(2, 3, 5)),
    "linear of a vector": layer(nn.Linear(5, 7), f(5)),
    "_addmm_activation": call(lambda *x: ATEN._addmm_activation(*x), f(7), f(3, 5), f(5, 7), hand=2 * 3 * 5 * 7),
    "kron": call(torch.kron, f(2, 3), f(4, 5), hand=2 * 3 * 4 * 5),
    # 2.15: the distance is a product for more than 25 rows, else three operations an element
    "cdist": call(lambda x, y: torch.cdist(x, y), f(30, 8), f(40, 8), hand=2 * 30 * 40 * (8 + 2)),
    "cdist of few": call(lambda x, y: torch.cdist(x, y), f(4, 8), f(5, 8), hand=3 * 4 * 5 * 8),
    "cdist, p = 1": call(lambda x, y: torch.cdist(x, y, p=1.0), f(2, 30, 8), f(2, 40, 8), hand=3 * 2 * 30 * 40 * 8),
    # convolutions
    "conv1d": layer(nn.Conv1d(4, 6, 3, padding=1), f(2, 4, 9)),
    "conv1d unbatched": layer(nn.Conv1d(4, 6, 3), f(4, 9)),
    "conv2d grouped": layer(nn.Conv2d(4, 6, 3, groups=2), f(2, 4, 9, 7)),
    "conv2d same": layer(nn.Conv2d(4, 6, 3, padding="same"), f(2, 4, 9, 7)),
    "conv3d": layer(nn.Conv3d(2, 3, 2, stride=2), f(1, 2, 6, 6, 6)),
    "conv_transpose1d": layer(nn.ConvTranspose1d(4, 6, 3, stride=2), f(2, 4, 9)),
    "conv_transpose2d": layer(nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), f(2, 4, 5, 7)),
    "conv_transpose3d": layer(nn.ConvTranspose3d(2, 3, 2, stride=2), f(1, 2, 3, 4, 5)),
    "conv_tbc": call(lambda x, w, c: torch.conv_tbc(x, w, c, 1), f(9, 2, 4), f(3, 4, 6), f(6),
                     hand=2 * 9 * 2 * 3 * 4 * 6),
    "convolution": call(lambda x, w: ATEN.convolution(x, w, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
                        f(1, 3, 8, 8), f(4, 3, 3, 3)),
    "_convolution transposed": call(
        lambda x, w: ATEN._convolution(x, w, None, [2, 2], [0, 0], [1, 1], True, [0, 0], 1, False, False, False, False),
        f(1, 3, 5, 5), f(3, 4, 2, 2)),
    # recurrent layers and cells
    "lstm": layer(nn.LSTM(5, 7), f(4, 3, 5), hand=lstm_flops(5, 7, 4, 3)),
    "lstm of two layers, both directions": layer(
        nn.LSTM(5, 7, 2, bidirectional=True), f(4, 3, 5), hand=lstm_flops(5, 7, 4, 3, 2, 2)),
    "lstm with projection": layer(
        nn.LSTM(5, 7, 2, proj_size=3), f(4, 6, 5), hand=lstm_flops(5, 7, 4, 6, 2, 1, 3)),
    "lstm unbatched": layer(nn.LSTM(5, 7), f(4, 5), hand=lstm_flops(5, 7, 4, 1)),
    "gru": layer(nn.GRU(5, 7, batch_first=True), f(3, 4, 5), hand=lstm_flops(5, 7, 4, 3) * 3 // 4),
    "rnn": layer(nn.RNN(5, 7), f(4, 3, 5), hand=lstm_flops(5, 7, 4, 3) // 4),
    "lstm_cell": layer(nn.LSTMCell(5, 7), f(3, 5), hand=lstm_flops(5, 7, 1, 3)),
    "gru_cell": layer(nn.GRUCell(10, 20), f(3, 10), hand=10800),
    "rnn_tanh_cell": layer(nn.RNNCell(5, 7), f(3, 5), hand=lstm_flops(5, 7, 1, 3) // 4),
    "rnn_relu_cell": layer(nn.RNNCell(5, 7, nonlinearity="relu"), f(3, 5), hand=lstm_flops(5, 7, 1, 3) // 4),
    # integer and weight-only products
    "_int_mm": call(torch._int_mm, i8(24, 16), i8(16, 8), hand=2 * 24 * 16 * 8),
    "_weight_int8pack_mm": call(torch._weight_int8pack_mm, b(3, 32), i8(16, 32), b(16), hand=2 * 3 * 32 * 16),
    "_weight_int4pack_mm_for_cpu": call(
        lambda x, w, s: ATEN._weight_int4pack_mm_for_cpu(x, w, 32, s), b(3, 64),
        torch.randint(0, 255, (16, 32), dtype=torch.uint8), b(2, 16, 2), hand=2 * 3 * 64 * 16),
    "_grouped_mm": call(lambda x, w, o: torch._grouped_mm(x, w, offs=o), b(12, 16), b(3, 16, 8),
                        torch.tensor([4, 8, 12], dtype=torch.int32), hand=2 * 12 * 16 * 8),
    "_grouped_mm batched": call(lambda x, w: torch._grouped_mm(x, w), b(3, 8, 16), b(3, 16, 8), hand=2 * 3 * 8 * 16 * 8),
    # attention
    "attention": call(torch.nn.functional.scaled_dot_product_attention, f(2, 4, 3, 8), f(2, 4, 5, 8), f(2, 4, 5, 8)),
    "attention, query of one": call(
        torch.nn.functional.scaled_dot_product_attention, f(1, 2, 16, 8), f(4, 2, 16, 8), f(4, 2, 16, 8)),
    "attention, keys of one": call(
        torch.nn.functional.scaled_dot_product_attention, f(4, 2, 16, 8), f(1, 2, 16, 8), f(1, 2, 16, 8)),
    "attention, heads broadcast": call(
        torch.nn.functional.scaled_dot_product_attention, f(2, 1, 6, 8), f(2, 4, 5, 8), f(2, 4, 5, 8)),
    "attention, value of one": call(
        torch.nn.functional.scaled_dot_product_attention, f(2, 4, 6, 8), f(2, 4, 5, 8), f(1, 1, 5, 8)),
    "attention, mask of a larger batch": call(
        lambda q, k, v, mask: torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask),
        f(1, 2, 5, 8), f(1, 2, 6, 8), f(1, 2, 6, 8), f(3, 1, 5, 6)),
    "attention, grouped keys": call(
        lambda q, k, v: torch.nn.functional.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        f(2, 8, 6, 16), f(2, 2, 5, 16), f(2, 2, 5, 16)),
    "attention without heads": call(
        torch.nn.functional.scaled_dot_product_attention, f(2, 3, 8), f(2, 5, 8), f(2, 5, 8)),
    "attention of matrices": call(
        torch.nn.functional.scaled_dot_product_attention, f(3, 8), f(5, 8), f(5, 8)),
    "_scaled_dot_product_flash_attention_for_cpu": call(
        lambda q, k, v: ATEN._scaled_dot_product_flash_attention_for_cpu(q, k, v)[0],
        f(2, 4, 3, 8), f(2, 4, 5, 8), f(2, 4, 5, 8), hand=2 * 2 * 4 * 3 * 5 * (8 + 8)),
    "_scaled_dot_product_attention_math": call(
        lambda q, k, v: ATEN._scaled_dot_product_attention_math(q, k, v)[0],
        f(2, 4, 3, 8), f(2, 4, 5, 8), f(2, 4, 5, 8)),
    "_native_multi_head_attention": call(
        lambda x, w, c, o, p: ATEN._native_multi_head_attention(x, x, x, 8, 2, w, c, o, p, None, False)[0],
        f(2, 5, 8), f(24, 8), f(24), f(8, 8), f(8), hand=2 * 2 * 5 * 8 * (24 + 8) + 2 * 2 * 5 * 5 * (8 + 8)),
    "_transformer_encoder_layer_fwd": call(
        lambda x, w, c, o, p, n, m, n2, m2, g, h, k, l: ATEN._transformer_encoder_layer_fwd(
            x, 8, 2, w, c, o, p, False, False, 1e-5, n, m, n2, m2, g, h, k, l),
        f(2, 5, 8), f(24, 8), f(24), f(8, 8), f(8), f(8), f(8), f(8), f(8), f(12, 8), f(12), f(8, 12), f(8),
        hand=2 * 2 * 5 * 8 * (24 + 8 + 2 * 12) + 2 * 2 * 5 * 5 * (8 + 8)),
}


def text_of_number(value):
    text = repr(float(value)).replace("e-0", "e-").replace("e+", "e")
    return text


def text_of_string(value):
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Descriptor:
    """derate's descriptor of a serialised graph: docs/taxonomy.md."""

    def __init__(self, exported):
        graph = exported.graph_module.graph
        self.tensors = graph.tensor_values
        self.names = {}
        inputs = []
        for index, argument in enumerate(exported.graph_module.signature.input_specs):
            kind = argument.type
            name = getattr(argument, kind).arg
            name = name.as_tensor.name if kind == "user_input" else name.name
            prefix = "x" if kind == "user_input" else "w"
            count = sum(1 for known in self.names.values() if known.startswith(prefix))
            self.names[name] = f"{prefix}{count}"
            inputs.append(self.declared(name))
        parts = [" ".join(inputs)]
        for node in graph.nodes:
            made = ",".join(self.result(output) for output in node.outputs)
            target = node.target.removeprefix("torch.ops.").removesuffix(".default")
            arguments = ",".join(f"{given.name}={self.value(given.arg)}" for given in node.inputs)
            parts.append(f"{made}={target}({arguments})")
        parts.append(",".join(self.names[output.as_tensor.name] for output in graph.outputs))
        self.text = " | ".join(parts)

    def declared(self, name):
        meta = self.tensors[name]
        sizes = [size.as_int for size in meta.sizes]
        strides = [stride.as_int for stride in meta.strides]
        dense, step = [], 1
        for size in reversed(sizes):
            dense.insert(0, step)
            step *= max(size, 1)
        listed = lambda values: "[" + ",".join(map(str, values)) + "]"
        text = f"{self.names[name]}:{SCALAR_TYPES[int(meta.dtype)]}{listed(sizes)}"
        return text if strides == dense else text + "/" + listed(strides)

    def result(self, output):
        if output.type == "as_none":
            return "_"
        made = output.as_tensors if output.type == "as_tensors" else [output.as_tensor]
        for tensor in made:
            count = sum(1 for known in self.names.values() if known.startswith("t"))
            self.names[tensor.name] = f"t{count}"
        texts = [self.declared(tensor.name) for tensor in made]
        return "{" + ",".join(texts) + "}" if output.type == "as_tensors" else texts[0]

    def value(self, argument):
        kind, value = argument.type, argument.value
        if kind == "as_none":
            return "none"
        if kind == "as_tensor":
            return self.names[value.name]
        if kind == "as_tensors":
            return "{" + ",".join(self.names[tensor.name] for tensor in value) + "}"
        if kind == "as_optional_tensors":
            return "?{" + ",".join("_" if one.type == "as_none" else self.names[one.value.name] for one in value) + "}"
        if kind == "as_bool":
            return "true" if value else "false"
        if kind == "as_int":
            return str(value)
        if kind == "as_float":
            return text_of_number(value)
        if kind == "as_string":
            return text_of_string(value)
        if kind == "as_ints":
            return "[" + ",".join(map(str, value)) + "]"
        if kind == "as_bools":
            return "b[" + ",".join("true" if one else "false" for one in value) + "]"
        if kind == "as_floats":
            return "f[" + ",".join(map(text_of_number, value)) + "]"
        if kind == "as_device":
            return "device:" + value.type
        if kind == "as_scalar_type":
            return "dtype:" + SCALAR_TYPES[int(value)]
        raise ValueError(f"argument of kind {kind}")


def measured(function, inputs):
    module = function if isinstance(function, nn.Module) else Call(function).eval()
    with torch.no_grad():
        exported = torch.export.export(module, tuple(inputs))
        counter = FlopCounterMode(display=False)
        with counter:
            exported.module()(*inputs)
    serialised = serde.serialize(exported).exported_program
    graph = json.loads(serialised)
    from torch._export.serde.schema import ExportedProgram

    typed = serde._dict_to_dataclass(ExportedProgram, graph)
    return counter.get_total_flops(), Descriptor(typed).text


def main() -> None:
    lines = []
    for name, (function, inputs, hand) in CALLS.items():
        try:
            flops, descriptor = measured(function, inputs)
        except Exception as error:
            print(f"{name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
            continue
        by = "flop_counter" if flops > 0 and hand is None else "hand"
        print(f"{name}: {flops} {hand}", flush=True)
        entry = {"name": name, "counted_by": by, "flops": flops if by == "flop_counter" else hand or 0,
                 "descriptor": descriptor}
        lines.append(json.dumps(entry))
    version = torch.__version__.split("+")[0]
    target = ROOT / "workloads" / "testdata" / "contraction_golden.json"
    target.write_text(f'{{"torch_version": "{version}", "calls": [\n' + ",\n".join(lines) + "\n]}\n")


if __name__ == "__main__":
    main()
