#!/usr/bin/env python3
"""Two kinds of decoder with a static cache of keys and values, and their exports of any size.

    python decoders.py llama --prefill p.pt2 --decode d.pt2 --width 768 --layers 6 --heads 12 --key-heads 4
    python decoders.py gpt2  --prefill p.pt2 --decode d.pt2 --width 512 --layers 8 --heads 8

A decoder is exported twice. The prefill takes token ids (batch, prompt) and returns the logits after the last
of them, with the keys and values of each layer (batch, key heads, prompt, head size). The decode step takes one
token of each sequence (batch, 1), the position that it has (1), and of each layer a cache of keys and one of
values (batch, key heads, cache length, head size); it writes the new ones to that position in place and
attends to the whole cache under a mask. Batch, prompt and cache length are free.

Weights are random. On the meta device (--device meta) there are none, and the size of the model is no limit;
a file made on the CPU can be loaded and run.
"""

from __future__ import annotations

import argparse
import dataclasses

import torch
from torch import nn
from torch.export import Dim
from torch.nn.functional import scaled_dot_product_attention


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Of a decoder."""

    width: int
    layers: int
    heads: int
    key_heads: int  # of them, each shared by heads / key_heads; GPT-2 has as many as heads
    hidden: int  # of the feed-forward part
    vocabulary: int
    longest: int  # positions

    @property
    def head_size(self) -> int:
        return self.width // self.heads


def attended(query, key, value, mask, grouped: bool):
    """(batch, heads, new, head size) as (batch, new, width); without a mask each token sees those before it."""
    y = scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=grouped)
    return y.transpose(1, 2).flatten(2)


def stored(cache, position, key, value):
    """What a step attends to: its own keys and values, or the whole of a cache that they are written into."""
    if cache is None:
        return key, value
    cache[0].index_copy_(2, position, key)
    cache[1].index_copy_(2, position, value)
    return cache


def rotated(x, cosine, sine):
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


class LlamaLayer(nn.Module):
    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        key_width = sizes.key_heads * sizes.head_size
        self.attention_norm = nn.RMSNorm(sizes.width, eps=1e-5)
        self.query = nn.Linear(sizes.width, sizes.width, bias=False)
        self.key = nn.Linear(sizes.width, key_width, bias=False)
        self.value = nn.Linear(sizes.width, key_width, bias=False)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)
        self.feed_norm = nn.RMSNorm(sizes.width, eps=1e-5)
        self.gate = nn.Linear(sizes.width, sizes.hidden, bias=False)
        self.up = nn.Linear(sizes.width, sizes.hidden, bias=False)
        self.down = nn.Linear(sizes.hidden, sizes.width, bias=False)

    def forward(self, x, angles, position, mask, cache):
        normed = self.attention_norm(x)
        by_heads = (x.shape[0], x.shape[1], -1, self.sizes.head_size)
        query = rotated(self.query(normed).view(by_heads).transpose(1, 2), *angles)
        key = rotated(self.key(normed).view(by_heads).transpose(1, 2), *angles)
        value = self.value(normed).view(by_heads).transpose(1, 2)
        key, value = stored(cache, position, key, value)
        x = x + self.out(attended(query, key, value, mask, self.sizes.key_heads < self.sizes.heads))
        normed = self.feed_norm(x)
        return x + self.down(nn.functional.silu(self.gate(normed)) * self.up(normed)), key, value


class Llama(nn.Module):
    """Grouped queries, RMS norm, rotary embedding, gated SiLU."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.layers = nn.ModuleList(LlamaLayer(sizes) for _ in range(sizes.layers))
        self.norm = nn.RMSNorm(sizes.width, eps=1e-5)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        exponents = torch.arange(0, sizes.head_size, 2) / sizes.head_size
        self.register_buffer("frequencies", 1e4 ** -exponents, persistent=False)

    def angles(self, position):
        angle = position.to(self.frequencies.dtype)[:, None] * self.frequencies
        angle = torch.cat((angle, angle), dim=-1)
        return angle.cos(), angle.sin()

    def forward(self, ids, position, mask, caches):
        x = self.embedding(ids)
        angles = self.angles(position)
        keys_and_values = []
        for layer, cache in zip(self.layers, caches):
            x, *kept = layer(x, angles, position, mask, cache)
            keys_and_values += kept
        return self.head(self.norm(x[:, -1])), keys_and_values


class Gpt2Layer(nn.Module):
    def __init__(self, sizes: Sizes):
        super().__init__()
        self.sizes = sizes
        self.attention_norm = nn.LayerNorm(sizes.width)
        self.query_key_value = nn.Linear(sizes.width, 3 * sizes.width)
        self.out = nn.Linear(sizes.width, sizes.width)
        self.feed_norm = nn.LayerNorm(sizes.width)
        self.up = nn.Linear(sizes.width, sizes.hidden)
        self.down = nn.Linear(sizes.hidden, sizes.width)

    def forward(self, x, position, mask, cache):
        by_heads = (x.shape[0], x.shape[1], -1, self.sizes.head_size)
        query, key, value = (
            part.view(by_heads).transpose(1, 2)
            for part in self.query_key_value(self.attention_norm(x)).chunk(3, dim=-1))
        key, value = stored(cache, position, key, value)
        x = x + self.out(attended(query, key, value, mask, grouped=False))
        hidden = nn.functional.gelu(self.up(self.feed_norm(x)), approximate="tanh")
        return x + self.down(hidden), key, value


class Gpt2(nn.Module):
    """Learnt positions, layer norm, a GELU; the head is the embedding."""

    def __init__(self, sizes: Sizes):
        super().__init__()
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.width)
        self.places = nn.Embedding(sizes.longest, sizes.width)
        self.layers = nn.ModuleList(Gpt2Layer(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.head = nn.Linear(sizes.width, sizes.vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids, position, mask, caches):
        x = self.embedding(ids) + self.places(position)
        keys_and_values = []
        for layer, cache in zip(self.layers, caches):
            x, *kept = layer(x, position, mask, cache)
            keys_and_values += kept
        return self.head(self.norm(x[:, -1])), keys_and_values


class Prefill(nn.Module):
    """ids -> logits after the last, keys and values of each layer."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, ids):
        position = torch.arange(ids.shape[1], device=ids.device)
        logits, keys_and_values = self.decoder(ids, position, None, [None] * len(self.decoder.layers))
        return logits, *keys_and_values


class DecodeStep(nn.Module):
    """One token of each sequence -> the logits after it; the caches are changed in place."""

    def __init__(self, decoder: nn.Module):
        super().__init__()
        self.decoder = decoder

    def forward(self, ids, position, caches):
        mask = torch.arange(caches[0].shape[2], device=ids.device) <= position[:, None]
        pairs = list(zip(caches[::2], caches[1::2]))
        return self.decoder(ids, position, mask, pairs)[0]


KINDS = {"llama": Llama, "gpt2": Gpt2}
EXAMPLE_BATCH, EXAMPLE_LENGTH = 2, 16  # an example of 1 is taken for a constant


def prefill_inputs(sizes: Sizes, batch: int, length: int) -> tuple:
    return (torch.zeros(batch, length, dtype=torch.int64),)


def prefill_dimensions(sizes: Sizes, batch: Dim) -> tuple:
    return ({0: batch, 1: Dim("prompt", max=sizes.longest)},)


def decode_inputs(sizes: Sizes, batch: int, length: int, dtype=torch.float32) -> tuple:
    caches = [torch.zeros(batch, sizes.key_heads, length, sizes.head_size, dtype=dtype)
              for _ in range(2 * sizes.layers)]
    return (torch.zeros(batch, 1, dtype=torch.int64), torch.tensor([length - 1]), caches)


def decode_dimensions(sizes: Sizes, batch: Dim) -> tuple:
    cache = Dim("cache", max=sizes.longest)
    return ({0: batch}, None, [{0: batch, 2: cache}] * (2 * sizes.layers))


def exported(kind: str, sizes: Sizes) -> tuple[torch.export.ExportedProgram, torch.export.ExportedProgram]:
    """Prefill and decode step, on the default device."""
    decoder = KINDS[kind](sizes).eval()
    batch = Dim("batch")
    with torch.no_grad():
        prefill = torch.export.export(
            Prefill(decoder), prefill_inputs(sizes, EXAMPLE_BATCH, EXAMPLE_LENGTH),
            dynamic_shapes=prefill_dimensions(sizes, batch))
        decode = torch.export.export(
            DecodeStep(decoder), decode_inputs(sizes, EXAMPLE_BATCH, EXAMPLE_LENGTH),
            dynamic_shapes=decode_dimensions(sizes, batch))
    return prefill, decode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("--prefill", required=True, metavar="FILE.pt2")
    parser.add_argument("--decode", required=True, metavar="FILE.pt2")
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--key-heads", type=int, help="llama: default a quarter of the heads")
    parser.add_argument("--hidden", type=int, help="default: 4 x width (gpt2), 11/4 x width (llama)")
    parser.add_argument("--vocabulary", type=int, default=32000)
    parser.add_argument("--longest", type=int, default=4096, help="positions")
    parser.add_argument("--device", choices=("cpu", "meta"), default="cpu")
    given = parser.parse_args()
    is_llama = given.kind == "llama"
    if given.key_heads and not is_llama:
        parser.error("--key-heads: GPT-2 has as many as heads (no such option)")
    sizes = Sizes(
        width=given.width,
        layers=given.layers,
        heads=given.heads,
        key_heads=(given.key_heads or max(given.heads // 4, 1)) if is_llama else given.heads,
        hidden=given.hidden or (given.width * 11 // 4 if is_llama else given.width * 4),
        vocabulary=given.vocabulary,
        longest=given.longest,
    )
    if sizes.width % sizes.heads or sizes.heads % sizes.key_heads or sizes.head_size % 2:
        parser.error("--heads: must divide --width into even parts, and --key-heads must divide --heads")
    with torch.device(given.device):
        prefill, decode = exported(given.kind, sizes)
    torch.export.save(prefill, given.prefill)
    torch.export.save(decode, given.decode)


if __name__ == "__main__":
    main()
