#!/usr/bin/env python3
"""Writes symbolic_graphs.json.gz: small graphs exported with free dimensions, and at fixed sizes.

    python make_symbolic_graphs.py

Each entry is one model: its export with symbols ("symbolic"), and for five bindings ("static") what is given
to --dim and the export at those sizes. Needs the environment pinned in ../models/requirements.txt.
The file is what symbolic_program_test.cpp compares: a bound graph must do the work of the static one.
"""

import gzip
import io
import json
import math
import pathlib
import sys
import warnings

import torch
import transformers
from torch.export import Dim
from transformers.integrations.executorch import TorchExportableModuleWithStaticCache

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "models"))
from export_models import weight_free  # noqa: E402

AUTO = Dim.AUTO


class Of(torch.nn.Module):
    """A function with layers of its own."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def normal(*sizes):
    return torch.randn(*sizes)


def tokens(*sizes):
    return torch.zeros(*sizes, dtype=torch.int64)


class TwoInputs(torch.nn.Module):
    def forward(self, x, y):
        return x @ x.transpose(1, 2), y * 2


class Derived(torch.nn.Module):
    def forward(self, x, y):
        return x + y[::2]


class Attention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(32, 96)
        self.out = torch.nn.Linear(32, 32)

    def forward(self, x):
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, 4, 8).permute(2, 0, 3, 1, 4)
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(1, 2).reshape(batch, length, width))


class StaticCache(torch.nn.Module):
    """One decode step: index_copy_ on buffers, a boolean mask, keys repeated by expand and reshape."""

    def __init__(self, length=24, heads=4, key_heads=2, size=8):
        super().__init__()
        self.heads, self.key_heads, self.size = heads, key_heads, size
        self.q = torch.nn.Linear(32, heads * size)
        self.k = torch.nn.Linear(32, key_heads * size)
        self.v = torch.nn.Linear(32, key_heads * size)
        self.register_buffer("keys", torch.zeros(1, key_heads, length, size))
        self.register_buffer("values", torch.zeros(1, key_heads, length, size))

    def forward(self, x, position):
        new = x.shape[1]
        q = self.q(x).view(1, new, self.heads, self.size).transpose(1, 2)
        k = self.k(x).view(1, new, self.key_heads, self.size).transpose(1, 2)
        v = self.v(x).view(1, new, self.key_heads, self.size).transpose(1, 2)
        self.keys.index_copy_(2, position, k)
        self.values.index_copy_(2, position, v)
        mask = torch.arange(self.keys.shape[2])[None, :] <= position[:, None]
        groups = self.heads // self.key_heads

        def repeated(cache):
            b, h, n, d = cache.shape
            return cache[:, :, None].expand(b, h, groups, n, d).reshape(b, h * groups, n, d)

        y = torch.nn.functional.scaled_dot_product_attention(
            q, repeated(self.keys), repeated(self.values), attn_mask=mask[None, None])
        return y.transpose(1, 2).reshape(1, new, -1)


class Decode(torch.nn.Module):
    """One step of a decoder whose caches are inputs: grouped queries, RMS norm, rotary embedding, SiLU.

    Caches grow by cat, or are written in place under a mask."""

    def __init__(self, grows):
        super().__init__()
        self.grows = grows
        self.norm = torch.nn.RMSNorm(32)
        self.q = torch.nn.Linear(32, 32, bias=False)
        self.k = torch.nn.Linear(32, 16, bias=False)
        self.v = torch.nn.Linear(32, 16, bias=False)
        self.words = torch.nn.Embedding(50, 32)
        self.gate = torch.nn.Linear(32, 64, bias=False)

    def forward(self, ids, position, keys, values):
        batch, new = ids.shape
        x = self.norm(self.words(ids))
        q, k, v = (part(x).view(batch, new, -1, 8).transpose(1, 2) for part in (self.q, self.k, self.v))
        angle = position[:, None] * torch.arange(4) * 0.1
        angle = torch.cat((angle, angle), dim=-1)

        def rotated(t):
            half = torch.cat((-t[..., 4:], t[..., :4]), dim=-1)
            return t * angle.cos() + half * angle.sin()

        q, k = rotated(q), rotated(k)
        mask = None
        if self.grows:
            keys, values = torch.cat((keys, k), dim=2), torch.cat((values, v), dim=2)
        else:
            keys.index_copy_(2, position, k)
            values.index_copy_(2, position, v)
            mask = torch.arange(keys.shape[2]) <= position[:, None]
        y = torch.nn.functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask, enable_gqa=True)
        return torch.nn.functional.silu(self.gate(y.transpose(1, 2).flatten(2))), keys, values


class WithStaticCache(torch.nn.Module):
    """As transformers.integrations.executorch.convert_and_export_with_cache makes it of a model: keys and values
    in buffers, index_copy_, a boolean mask; Llama's norm and rotary embedding by hand, its keys repeated by
    expand and reshape."""

    def __init__(self, model, length=48):
        super().__init__()
        model.generation_config = transformers.GenerationConfig(
            use_cache=True, cache_implementation="static", cache_config={"batch_size": 1, "max_cache_len": length})
        self.model = TorchExportableModuleWithStaticCache(model.eval())

    def forward(self, input_ids, cache_position):
        return self.model(input_ids=input_ids, cache_position=cache_position)


def transformers_llama():
    return WithStaticCache(transformers.LlamaForCausalLM(transformers.LlamaConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64,
        vocab_size=64, max_position_embeddings=64, attn_implementation="sdpa")))


def transformers_gpt2():
    return WithStaticCache(transformers.GPT2LMHeadModel(transformers.GPT2Config(
        n_embd=32, n_layer=1, n_head=4, vocab_size=64, n_positions=64, attn_implementation="sdpa",
        bos_token_id=0, eos_token_id=0)))


def convolutions():
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.BatchNorm2d(8), torch.nn.ReLU(),
        torch.nn.MaxPool2d(2), torch.nn.Conv2d(8, 16, 3, stride=2, padding=1), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(16, 10))


def cases():
    """(name, module, inputs at sizes, dynamic shapes, [(sizes, what --dim gets)])"""
    yield ("mlp_batch", torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)),
           lambda b: (normal(b, 8),), ({0: Dim("batch")},),
           [((b,), {"input[0]": b}) for b in (1, 2, 3, 16, 33)])
    yield ("cnn_batch", convolutions(), lambda b: (normal(b, 3, 32, 32),), ({0: Dim("batch")},),
           [((b,), {"input[0]": b}) for b in (1, 2, 6, 16, 24)])
    yield ("cnn_space", convolutions(), lambda b, h, w: (normal(b, 3, h, w),), ({0: AUTO, 2: AUTO, 3: AUTO},),
           [((b, h, w), {"input[0]": b, "input[2]": h, "input[3]": w})
            for b, h, w in ((2, 32, 32), (1, 40, 56), (3, 33, 47), (2, 64, 31), (5, 50, 50))])
    yield ("views", Of(lambda s, x: torch.relu(x.view(x.shape[0], -1, 4).transpose(1, 2).reshape(x.shape[0], 4, -1)) + 1),
           lambda b, n: (normal(b, 4 * n),), ({0: AUTO},),
           [((b, 6), {"inputs_0[0]": b}) for b in (2, 3, 4, 7, 11)])
    yield ("slices", Of(lambda s, x: torch.nn.functional.softmax(x[:, 1:], dim=1) * x[:, :-1]),
           lambda b, n: (normal(b, n),), ({0: AUTO, 1: AUTO},),
           [((b, n), {"inputs_0[0]": b, "inputs_0[1]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    yield ("new_axes", Of(lambda s, x: torch.relu(x[:, None, :] * 2) + x[None, :, :].sum()),
           lambda b, n: (normal(b, n),), ({0: AUTO, 1: AUTO},),
           [((b, n), {"inputs_0[0]": b, "inputs_0[1]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    yield ("interpolate", Of(lambda s, x: torch.nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")),
           lambda b, h, w: (normal(b, 3, h, w),), ({0: AUTO, 2: AUTO, 3: AUTO},),
           [((b, h, w), {"inputs_0[0]": b, "inputs_0[2]": h, "inputs_0[3]": w})
            for b, h, w in ((2, 8, 8), (3, 9, 10), (2, 15, 7), (4, 20, 20), (5, 6, 31))])
    yield ("interpolate_fraction", Of(lambda s, x: torch.nn.functional.interpolate(x, scale_factor=1.5, mode="nearest")),
           lambda h: (normal(2, 3, h, 8),), ({2: AUTO},),
           [((h,), {"inputs_0[2]": h}) for h in (8, 9, 10, 13, 31)])
    yield ("arange", Of(lambda s, x: x + torch.arange(x.shape[1], dtype=torch.float32)),
           lambda b, n: (normal(b, n),), ({0: AUTO, 1: AUTO},),
           [((b, n), {"inputs_0[0]": b, "inputs_0[1]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    yield ("cat", Of(lambda s, x, y: torch.relu(torch.cat([x, y], dim=1))),
           lambda a, b: (normal(2, a), normal(2, b)), ({1: AUTO}, {1: AUTO}),
           [((a, b), {"inputs_0[1]": a, "inputs_1[1]": b}) for a, b in ((3, 4), (5, 5), (7, 2), (20, 31), (4, 90))])
    yield ("floor_division", Of(lambda s, x: torch.nn.functional.avg_pool1d(x, 3, stride=2) + 1),
           lambda n: (normal(2, 4, n),), ({2: AUTO},),
           [((n,), {"inputs_0[2]": n}) for n in (9, 10, 11, 30, 101)])
    yield ("derived_dimension", Derived(), lambda n: (normal(n), normal(2 * n)),
           {"x": {0: Dim("n")}, "y": {0: 2 * Dim("n")}},
           [((n,), {"y[0]": 2 * n}) for n in (4, 5, 8, 33, 100)])
    yield ("equal_hints", TwoInputs(), lambda a, b: (normal(2, a, a), normal(b)),
           {"x": {1: AUTO, 2: AUTO}, "y": {0: AUTO}},
           [((a, b), {"x[1]": a, "x[2]": a, "y[0]": b}) for a, b in ((6, 6), (7, 5), (12, 90), (3, 3), (20, 21))])
    yield ("guard_of_one", Of(lambda s, x: torch.relu(s.conv(x)).mean(-1), conv=torch.nn.Conv1d(2, 4, 3, stride=2, padding=1)),
           lambda n: (normal(2, 2, n),), ({2: AUTO},),
           [((n,), {"inputs_0[2]": n}) for n in (8, 9, 17, 64, 3)])
    yield ("attention", Attention(), lambda b, n: (normal(b, n, 32),), ({0: Dim("batch"), 1: Dim("seq", max=512)},),
           [((b, n), {"batch": b, "seq": n}) for b, n in ((2, 7), (3, 64), (4, 130), (2, 512), (9, 33))])
    yield ("embedding_positions",
           Of(lambda s, ids: s.norm(s.words(ids) + s.places.weight[: ids.shape[1]]),
              words=torch.nn.Embedding(50, 16), places=torch.nn.Embedding(64, 16), norm=torch.nn.LayerNorm(16)),
           lambda b, n: (tokens(b, n),), ({0: AUTO, 1: AUTO},),
           [((b, n), {"batch": b, "seq": n}) for b, n in ((2, 7), (3, 64), (4, 33), (2, 12), (9, 3))])
    yield ("static_cache", StaticCache(), lambda n: (normal(1, n, 32), torch.arange(n)),
           {"x": {1: AUTO}, "position": {0: AUTO}},
           [((n,), {"x[1]": n}) for n in (2, 3, 5, 11, 24)])
    for grows in (True, False):
        yield ("growing_cache" if grows else "grouped_cache", Decode(grows),
               lambda b, n: (tokens(b, 1), torch.arange(1), normal(b, 2, n, 8), normal(b, 2, n, 8)),
               {"ids": {0: AUTO}, "position": None, "keys": {0: AUTO, 2: AUTO}, "values": {0: AUTO, 2: AUTO}},
               [((b, n), {"ids[0]": b, "keys[2]": n, "values[2]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    for model in (transformers_llama, transformers_gpt2):
        yield (model.__name__, model(), lambda n: (tokens(1, n), torch.arange(n)),
               {"input_ids": {1: AUTO}, "cache_position": {0: AUTO}},
               [((n,), {"input_ids[1]": n, "cache_position[0]": n}) for n in (7, 2, 3, 16, 48)])
    yield ("masked", Of(lambda s, x: torch.triu(torch.ones(x.shape[1], x.shape[1])).to(torch.bool).unsqueeze(0) & (x.unsqueeze(1) > 0)),
           lambda b, n: (normal(b, n),), ({0: AUTO, 1: AUTO},),
           [((b, n), {"inputs_0[0]": b, "inputs_0[1]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    yield ("pad_and_fold", Of(lambda s, x: torch.nn.functional.pad(x, (0, (4 - x.shape[1] % 4) % 4)).view(x.shape[0], -1, 4).sum(1)),
           lambda n: (normal(2, n),), ({1: Dim.DYNAMIC},),
           [((n,), {"inputs_0[1]": n}) for n in (5, 6, 7, 9, 21)])
    yield ("channels_last", Of(lambda s, x: torch.relu(s.conv(x.contiguous(memory_format=torch.channels_last))),
                               conv=torch.nn.Conv2d(4, 8, 3, padding=1).to(memory_format=torch.channels_last)),
           lambda b, h: (normal(b, 4, h, 16),), ({0: AUTO, 2: AUTO},),
           [((b, h), {"inputs_0[0]": b, "inputs_0[2]": h}) for b, h in ((2, 8), (3, 9), (4, 32), (7, 10), (2, 31))])
    yield ("group_norm_repeat", Of(lambda s, x: s.norm(x.repeat(1, 2, 1)).flatten(1), norm=torch.nn.GroupNorm(2, 8)),
           lambda b, n: (normal(b, 4, n),), ({0: AUTO, 2: AUTO},),
           [((b, n), {"inputs_0[0]": b, "inputs_0[2]": n}) for b, n in ((2, 5), (3, 9), (4, 17), (2, 100), (8, 3))])
    yield ("integer_argument", Of(lambda s, x, n: x.new_zeros(n).add(1) * x.sum()),
           lambda n: (normal(3), n), (None, AUTO),
           [((n,), {"inputs_1": n}) for n in (2, 3, 8, 50, 1000)])


class Nonzero(torch.nn.Module):
    def forward(self, x):
        return torch.nonzero(x).to(torch.float32) * 2


class Item(torch.nn.Module):
    def forward(self, x, n):
        length = n.item()
        torch._check(length >= 2)
        torch._check(length <= 64)
        return x[:length] * 2


class NestedNames(torch.nn.Module):
    """An input and a member of a dictionary have one name; the guard is on the member."""

    def forward(self, x, d):
        return x.sum() + d["x"].reshape(2, -1)


class StrictArguments(torch.nn.Module):
    """strict=True names inputs by position, numbers among them."""

    def forward(self, n: int, x, y):
        return x.sum() * n + y.reshape(2, -1)


class FoldedFloats(torch.nn.Module):
    """The file says TruncToInt(1.5*n); the product of the two doubles is a little less at some n."""

    def forward(self, x):
        return torch.zeros(math.trunc(x.shape[0] * 0.6 * 2.5)) + 1


def special():
    """Exports alone: what follows from the data, and where a file contradicts itself."""
    yield "nonzero", Nonzero(), (torch.eye(3),), ({0: AUTO},)
    yield "item", Item(), (normal(64), torch.tensor(5)), (None, None)
    yield "folded_floats", FoldedFloats(), (normal(7),), ({0: AUTO},)
    yield "nested_names", NestedNames(), (normal(6), {"x": normal(8)}), {"x": {0: AUTO}, "d": {"x": {0: AUTO}}}
    yield "strict_arguments", StrictArguments(), (3, normal(6), normal(8)), {"n": AUTO, "x": {0: AUTO}, "y": {0: AUTO}}


def serialised(module, inputs, shapes=None, **options):
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return weight_free(torch.export.export(module.eval(), inputs, dynamic_shapes=shapes, **options))


def main():
    entries = {}
    for name, module, inputs, shapes, bindings in cases():
        print(name, flush=True)
        if isinstance(shapes, tuple) and isinstance(module, Of):
            shapes = {"inputs": shapes}
        entries[name] = {
            "symbolic": serialised(module, inputs(*bindings[0][0]) if bindings[0][0][0] != 1 else inputs(*bindings[1][0]), shapes),
            "static": [{"dims": dims, "program": serialised(module, inputs(*sizes))} for sizes, dims in bindings],
        }
    for name, module, inputs, shapes in special():
        print(name, flush=True)
        entries[name] = {"symbolic": serialised(module, inputs, shapes, strict=name.startswith("strict")), "static": []}
    text = json.dumps(entries, separators=(",", ":"), allow_nan=False).encode()
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, compresslevel=9, mtime=0) as out:
        out.write(text)
    (FOLDER / "symbolic_graphs.json.gz").write_bytes(buffer.getvalue())
    print(len(buffer.getvalue()), "bytes")


if __name__ == "__main__":
    main()
