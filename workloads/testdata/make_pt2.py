#!/usr/bin/env python3
"""Writes the .pt2 files that the reader's tests read: torch.export.save of small models.

Environment: ../models/requirements.txt. Stack traces are dropped before saving, because they hold
paths of the machine; everything else is as torch writes it.

    tiny_cnn.pt2             convolutions (full, depthwise, pointwise), norm, linear, attention; an
                             index table as a stored buffer, one that is not stored, and a lifted
                             constant
    tiny_cnn_bf16.pt2        the same in bfloat16
    tiny_cnn_float64.pt2     the same in float64, which cannot be timed
    complex_signal.pt2       complex64 tensors, which cannot be timed
    dynamic_batch.pt2        the first dimension is symbolic
    any_batch_cnn.pt2        convolutions for batches up to 64
    branch.pt2               torch.cond, whose branch depends on a value
    autocast.pt2             float32 tensors, exported under torch.autocast in bfloat16
    training.pt2             dropout and norm, exported without eval()
    subclass_weights.pt2     INT8 weights of torchao 0.18.0 in tensors of a class of its own
    batch_*.pt2              inputs whose first dimension is a batch of 5, or is none ("no_batch_"):
    no_batch_*.pt2           time steps, tokens, nodes of a graph, channels of one image

Names as arguments write these alone.
"""

import pathlib
import sys

import torch
from torch import nn

FOLDER = pathlib.Path(__file__).resolve().parent


class TinyCnn(nn.Module):
    """About 2,000 parameters; takes (batch, 3, 16, 16)."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.pointwise = nn.Conv2d(8, 16, 1)
        self.query_key_value = nn.Linear(16, 48)
        self.head = nn.Linear(16, 10)
        self.register_buffer("column_order", torch.tensor([3, 2, 1, 0, 7, 6, 5, 4]))
        self.register_buffer("row_order", torch.arange(7, -1, -1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = x + self.depthwise(x)
        x = self.pointwise(x)[:, :, self.row_order][:, :, :, self.column_order]
        tokens = x.flatten(2).transpose(1, 2)
        query, key, value = self.query_key_value(tokens).unflatten(-1, (3, 2, 8)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + mixed.transpose(1, 2).flatten(2)
        weights = torch.tensor([0.5, 0.25]).to(tokens.dtype)
        pooled = torch.stack([tokens.mean(1), tokens.amax(1)], -1) @ weights
        return self.head(pooled)


class ComplexSignal(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.view_as_complex(x) * 2


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x).relu()


class Branch(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,))


class Trained(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.norm(self.conv(x)).relu())


class Tokens(nn.Module):
    """A recurrent network, then attention, over tokens along the first or the second dimension."""

    def __init__(self, kind: str, batch_first: bool):
        super().__init__()
        if kind == "gru":
            self.layer = nn.GRU(8, 8, batch_first=batch_first)
        else:
            self.layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=batch_first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layer(x)
        return x[0] if isinstance(x, tuple) else x


class GraphNetwork(nn.Module):
    """One convolution on a graph whose edges belong to the model."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("edges", torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 0]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)
        return torch.zeros_like(x).index_add(0, self.edges[1], x.index_select(0, self.edges[0]))


def quantised() -> nn.Module:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 8))
    quantize_(model, Int8WeightOnlyConfig())
    return model


def save(name: str, model: nn.Module, sample: torch.Tensor, is_training: bool = False, **options) -> None:
    if sys.argv[1:] and name not in sys.argv[1:]:
        return
    program = torch.export.export(model.train(is_training), (sample,), **options)
    for module in program.graph_module.modules():
        for node in module.graph.nodes:
            node.meta.pop("stack_trace", None)
    torch.export.save(program, FOLDER / f"{name}.pt2")
    print(f"{name}.pt2", (FOLDER / f"{name}.pt2").stat().st_size)


def main() -> None:
    torch.manual_seed(1)
    image = torch.randn(2, 3, 16, 16)
    save("tiny_cnn", TinyCnn(), image)
    save("tiny_cnn_bf16", TinyCnn().to(torch.bfloat16), image.to(torch.bfloat16))
    save("tiny_cnn_float64", TinyCnn().to(torch.float64), image.to(torch.float64))
    save("complex_signal", ComplexSignal(), torch.randn(4, 2))
    batch = torch.export.Dim("batch", min=2, max=64)
    save("dynamic_batch", Scale(), torch.randn(8, 4), dynamic_shapes=({0: batch},))
    convolutions = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10),
    )
    any_batch = torch.export.Dim("batch", max=64)
    save("any_batch_cnn", convolutions, torch.randn(2, 3, 32, 32), dynamic_shapes=({0: any_batch},))
    save("branch", Branch(), torch.randn(4))
    save("training", Trained(), torch.randn(2, 2, 8, 8), is_training=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        save("autocast", Scale(), torch.randn(8, 4))
    for kind in ("gru", "attention"):
        save(f"batch_{kind}", Tokens(kind, True), torch.randn(5, 3, 8))
        save(f"no_batch_{kind}", Tokens(kind, False), torch.randn(5, 3, 8))
    save("no_batch_graph", GraphNetwork(), torch.randn(5, 4))
    save("no_batch_image", nn.Conv2d(3, 4, 3), torch.randn(3, 8, 8))
    if not sys.argv[1:] or "subclass_weights" in sys.argv[1:]:
        save("subclass_weights", quantised(), torch.randn(4, 32))


if __name__ == "__main__":
    main()
