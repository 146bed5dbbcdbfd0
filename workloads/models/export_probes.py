#!/usr/bin/env python3
"""Writes probes_b1.json.gz and probes_b1_bf16.json.gz: single kernels in regimes that few models show.

A calibration can only price what it has seen. Whole models show each type of kernel at the shapes their
authors chose; beside them a calibration times these probes, chosen for what models of other families do:
depthwise convolutions of one element or with a channel multiplier, reductions over a strided dimension,
normalisation in training mode or on permuted input, mixed memory layouts, and shapes at the ends of the
range. Each probe is one operator call on tensors of its own; together they are one torch.export graph.

Needs the environment pinned in requirements.txt, as export_models.py does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from export_models import FOLDER, LARGEST_FILE, NoInitialisation, compressed, weight_free


class Probes(nn.Module):
    """Runs every probe on its own inputs and returns all results."""

    def __init__(self) -> None:
        super().__init__()
        self.modules_of_probes = nn.ModuleList()
        self.calls = []  # (callable of tensors, number of inputs)
        self.samples = []

    def add(self, call, *samples: torch.Tensor) -> None:
        if isinstance(call, nn.Module):
            self.modules_of_probes.append(call)
        self.calls.append((call, len(samples)))
        self.samples.extend(samples)

    def forward(self, *inputs: torch.Tensor):
        results, begin = [], 0
        for call, count in self.calls:
            results.append(call(*inputs[begin:begin + count]))
            begin += count
        return tuple(results)


def image(channels: int, size: int, *, last: bool = False) -> torch.Tensor:
    tensor = torch.zeros(1, channels, size, size)
    return tensor.contiguous(memory_format=torch.channels_last) if last else tensor


def add_convolutions(probes: Probes) -> None:
    # Depthwise of one element, and with a channel multiplier.
    for channels, size in ((32, 112), (96, 56), (192, 28), (512, 14), (960, 7)):
        probes.add(nn.Conv2d(channels, channels, 1, groups=channels, bias=False),
                   image(channels, size))
    for channels, size in ((16, 112), (32, 56), (64, 28), (192, 14)):
        probes.add(nn.Conv2d(channels, 2 * channels, 3, padding=1, groups=channels, bias=False),
                   image(channels, size))
    for channels, size, kernel, stride in ((64, 56, 3, 1), (64, 112, 3, 2), (240, 28, 5, 1),
                                           (480, 14, 5, 2), (768, 14, 7, 1), (96, 56, 7, 1),
                                           (384, 14, 3, 1), (1152, 7, 5, 1)):
        probes.add(nn.Conv2d(channels, channels, kernel, stride, kernel // 2, groups=channels,
                             bias=False), image(channels, size))
    # Depthwise whose channels fill no vector register.
    for channels, size, stride in ((20, 56, 2), (40, 28, 1), (56, 28, 1), (104, 14, 1), (200, 7, 1)):
        probes.add(nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False),
                   image(channels, size))
    # Grouped, dilated, asymmetric, channels-last.
    for channels, size, groups in ((128, 56, 2), (128, 28, 32), (256, 14, 8), (336, 14, 14),
                                   (64, 56, 4), (72, 56, 3), (144, 28, 6), (384, 14, 8)):
        probes.add(nn.Conv2d(channels, channels, 3, padding=1, groups=groups, bias=False),
                   image(channels, size))
    probes.add(nn.Conv2d(128, 128, 3, padding=2, dilation=2, bias=False), image(128, 28))
    probes.add(nn.Conv2d(192, 192, (1, 7), padding=(0, 3), bias=False), image(192, 17))
    probes.add(nn.Conv2d(192, 192, (7, 1), padding=(3, 0), bias=False), image(192, 17))
    probes.add(nn.Conv2d(64, 64, 3, padding=1, bias=False), image(64, 56, last=True))
    probes.add(nn.Conv2d(256, 64, 1, bias=False), image(256, 56, last=True))
    probes.add(nn.Conv2d(96, 96, 3, padding=1, groups=96, bias=False), image(96, 56, last=True))
    # Large and small ends of full and 1x1 convolutions.
    for inputs, outputs, size in ((64, 64, 224), (64, 128, 112), (256, 256, 56), (512, 512, 28),
                                  (512, 512, 14), (16, 16, 28), (32, 16, 7)):
        probes.add(nn.Conv2d(inputs, outputs, 3, padding=1), image(inputs, size))
    # Images so small that LibTorch leaves them to another library.
    for inputs, outputs, size in ((64, 192, 13), (96, 160, 14), (160, 256, 7), (32, 64, 14)):
        probes.add(nn.Conv2d(inputs, outputs, 3, padding=1), image(inputs, size))
    probes.add(nn.Conv2d(3, 96, 11, 4, 2), image(3, 224))
    probes.add(nn.Conv2d(3, 768, 16, 16), image(3, 224))
    probes.add(nn.Conv2d(3, 96, 4, 4), image(3, 224))
    for inputs, outputs, size in ((16, 64, 112), (512, 2048, 7), (1024, 256, 14), (2048, 512, 7),
                                  (32, 192, 56), (960, 160, 7), (8, 32, 1), (480, 20, 1)):
        probes.add(nn.Conv2d(inputs, outputs, 1), image(inputs, size))
    probes.add(nn.Conv2d(256, 512, 1, 2, bias=False), image(256, 56))
    # With an activation that computes an exponential, which few models of the default set have.
    for inputs, outputs, size, kernel, stride, groups in (
            (3, 48, 224, 3, 2, 1), (24, 64, 112, 1, 1, 1), (40, 160, 56, 1, 1, 1),
            (80, 320, 28, 1, 1, 1), (192, 768, 7, 1, 1, 1), (64, 64, 112, 3, 1, 64),
            (128, 128, 56, 5, 2, 128), (320, 320, 28, 3, 1, 320), (512, 512, 14, 5, 1, 512),
            (960, 960, 7, 3, 1, 960), (64, 128, 56, 3, 1, 1)):
        probes.add(nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2,
                                           groups=groups, bias=False),
                                 nn.BatchNorm2d(outputs), nn.SiLU(inplace=True)),
                   image(inputs, size))


def add_products(probes: Probes) -> None:
    for rows, inputs, outputs in ((1, 25088, 4096), (1, 4096, 4096), (1, 4096, 1000), (1, 512, 1000),
                                  (128, 768, 3072), (128, 3072, 768), (197, 1024, 4096),
                                  (196, 1280, 1280), (512, 512, 512), (3136, 96, 384),
                                  (784, 192, 576), (49, 768, 2304), (16, 512, 512), (4, 64, 16),
                                  (1024, 1024, 1024), (128, 512, 8192)):
        probes.add(nn.Linear(inputs, outputs), torch.zeros(rows, inputs))
    for heads, rows, columns, inner in ((12, 128, 128, 64), (12, 197, 64, 197), (3, 3136, 49, 32),
                                        (64, 49, 49, 32), (8, 512, 512, 64), (1, 1024, 1024, 1024)):
        probes.add(torch.matmul, torch.zeros(heads, rows, inner), torch.zeros(heads, inner, columns))
    for heads, length, size in ((12, 128, 64), (12, 197, 64), (8, 512, 64), (4, 64, 32), (16, 256, 80),
                                (8, 1024, 128)):
        tensors = [torch.zeros(1, heads, length, size) for _ in range(3)]
        probes.add(F.scaled_dot_product_attention, *tensors)
    probes.add(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
               *[torch.zeros(1, 12, 128, 64) for _ in range(3)])


def add_reductions(probes: Probes) -> None:
    for shape in ((12, 197, 197), (64, 49, 49), (1, 1000), (4096, 64)):
        probes.add(lambda x: F.softmax(x, -1), torch.zeros(shape))
    for shape, dim in (((64, 197, 64), 1), ((1, 21, 128, 128), 1), ((12, 128, 128), 0)):
        probes.add(lambda x, dim=dim: F.softmax(x, dim), torch.zeros(shape))
    for rows, size in ((3136, 96), (784, 192), (197, 768), (128, 1024), (49, 768), (1, 512)):
        probes.add(nn.LayerNorm(size), torch.zeros(1, rows, size))
    # The input is a permuted view, as models that switch layouts have it.
    for channels, size in ((96, 56), (192, 28), (768, 7)):
        probes.add(nn.LayerNorm(channels), image(channels, size).permute(0, 2, 3, 1))
    probes.add(nn.GroupNorm(32, 256), image(256, 28))
    probes.add(nn.GroupNorm(1, 64), image(64, 56))
    for channels, size in ((64, 112), (256, 28), (1024, 7)):
        probes.add(nn.BatchNorm2d(channels), image(channels, size))
        probes.add(TrainingNorm(channels), image(channels, size))
    probes.add(nn.BatchNorm2d(128), image(128, 28, last=True))
    probes.add(lambda x: x.mean((2, 3)), image(512, 14))
    probes.add(lambda x: x.mean(1), torch.zeros(1, 196, 768))


class TrainingNorm(nn.Module):
    """Batch normalisation by the batch's own statistics, without running ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True)


def add_memory(probes: Probes) -> None:
    for channels, size in ((64, 112), (256, 28), (1024, 7)):
        probes.add(torch.add, image(channels, size), image(channels, size))
        probes.add(torch.add, image(channels, size), image(channels, size, last=True))
        probes.add(torch.mul, image(channels, size), image(channels, 1))
    probes.add(torch.add, image(64, 224), image(64, 224))
    probes.add(torch.add, torch.zeros(64), torch.zeros(64))
    probes.add(lambda x: x * 2, torch.zeros(1, 197, 768))
    for activation in (F.gelu, F.silu, F.hardswish, torch.sigmoid, torch.tanh, F.relu, F.relu6):
        probes.add(activation, image(96, 56))
    for activation in (F.gelu, F.silu, F.relu):
        probes.add(activation, image(256, 14, last=True))
    probes.add(F.gelu, torch.zeros(1, 197, 3072))
    probes.add(F.relu, image(64, 224))
    for channels, size, last in ((64, 112, False), (64, 112, True), (192, 28, False),
                                 (832, 7, False), (256, 13, False)):
        probes.add(nn.MaxPool2d(3, 2, 1), image(channels, size, last=last))
    for channels, size, stride, padding in ((32, 112, 2, 1), (128, 55, 2, 0), (256, 14, 1, 1),
                                            (320, 28, 1, 1)):
        probes.add(nn.MaxPool2d(3, stride, padding), image(channels, size))
    probes.add(nn.MaxPool2d(2, 2), image(64, 224))
    probes.add(nn.AvgPool2d(3, 1, 1), image(192, 35))
    probes.add(nn.AvgPool2d(2, 2), image(128, 56))
    for channels, size in ((512, 7), (1280, 7), (2048, 7), (96, 56)):
        probes.add(nn.AdaptiveAvgPool2d(1), image(channels, size))
    probes.add(nn.AdaptiveAvgPool2d(7), image(512, 14))
    probes.add(lambda a, b: torch.cat((a, b), 1), image(256, 28), image(32, 28))
    probes.add(lambda a, b: torch.cat((a, b), 1), image(64, 56), image(64, 56))
    probes.add(lambda a, b: torch.cat((a, b), 1), torch.zeros(1, 1, 768), torch.zeros(1, 196, 768))
    probes.add(lambda x: torch.roll(x, (3, 3), (1, 2)), torch.zeros(1, 56, 56, 96))
    probes.add(lambda x: F.pad(x, (0, 3, 0, 3)), image(64, 53))
    probes.add(lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest"), image(128, 28))
    probes.add(lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear"), image(128, 28))
    probes.add(nn.Embedding(30522, 768), torch.zeros(1, 128, dtype=torch.int64))
    probes.add(nn.Embedding(512, 768), torch.zeros(1, 512, dtype=torch.int64))


def make_probes() -> Probes:
    probes = Probes()
    add_convolutions(probes)
    add_products(probes)
    add_reductions(probes)
    add_memory(probes)
    return probes


def main() -> None:
    for precision in ("fp32", "bf16"):
        with NoInitialisation():
            probes = make_probes().eval()
        samples = tuple(probes.samples)
        if precision == "bf16":
            probes = probes.to(torch.bfloat16)
            samples = tuple(t.to(torch.bfloat16) if t.is_floating_point() else t for t in samples)
        with torch.no_grad():
            program = torch.export.export(probes, samples)
        data = compressed(weight_free(program))
        if len(data) > LARGEST_FILE:
            raise SystemExit(f"probes: {len(data)} bytes (at most {LARGEST_FILE})")
        name = "probes_b1.json.gz" if precision == "fp32" else "probes_b1_bf16.json.gz"
        (FOLDER / name).write_bytes(data)
        print(f"{name} {len(data)}, {len(probes.calls)} probes")


if __name__ == "__main__":
    main()
