#!/usr/bin/env python3
"""Writes torch_<major>_<minor>.pt2 with the PyTorch that runs it: one file a minor version.

The archive's layout and the form of the weights changed several times between 2.6 and 2.15; every
file holds the same model, so that one test reads them all and compares with values written down
there. 2.5 wrote another major version of the schema and is kept to be refused.

    for version in 2.5.1 2.6.0 2.7.1 2.8.0 2.9.1 2.10.0 2.11.0 2.12.1 2.13.0 2.14.1 2.15.0; do
        python3.11 -m venv env && env/bin/pip install torch==$version numpy
        env/bin/python workloads/testdata/make_version_exports.py && rm -r env
    done

Besides, some versions write

    meta_device_<version>.pt2    a model on the meta device, so without weights (2.7 and 2.15)
    pickle_protocol_<3..5>.pt2   the same tables in other protocols than 2 (2.8)

Stack traces are dropped before saving, because they hold paths of the machine; everything else is as
torch writes it.
"""

import pathlib

import torch
from torch import nn

FOLDER = pathlib.Path(__file__).resolve().parent


class Tables(nn.Module):
    """Integer and boolean tensors in every form that a file may hold them in, each read by a node."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 4)
        self.head = nn.Linear(4, 12, bias=False)
        self.head.weight = self.embedding.weight  # tied
        self.register_buffer("order", torch.arange(5, -1, -1))
        self.register_buffer("transposed", torch.arange(12, dtype=torch.int32).view(3, 4).t())
        shared = torch.arange(20, dtype=torch.int16)  # one storage, two buffers, two offsets
        self.register_buffer("window", shared[2:8])
        self.register_buffer("every_third", shared[1::3])
        self.register_buffer("signed_bytes", torch.tensor([-128, -1, 0, 127], dtype=torch.int8))
        self.register_buffer("bytes", torch.tensor([0, 1, 254, 255], dtype=torch.uint8))
        self.register_buffer("mask", torch.tensor([True, False, True]).view(3, 1).expand(3, 4))
        self.register_buffer("one_row", torch.tensor([7]).expand(6))
        self.register_buffer("unsaved", torch.tensor([3, 1, 2]), persistent=False)

    def forward(self, tokens: torch.Tensor, x: torch.Tensor, y: torch.Tensor):
        lifted = torch.tensor([1, 0, 2])
        hidden = self.embedding(tokens[self.order]) + self.embedding(self.one_row)
        x = x.masked_fill(self.mask, 0.0)[lifted] + y[self.unsaved]
        integers = self.window.sum() + self.every_third.sum() + self.signed_bytes.sum()
        integers = integers + self.bytes.sum() + self.transposed.sum()
        return self.head(hidden), x + integers


class Order(nn.Module):
    """An index table and what makes a tensor on the device of the export."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.register_buffer("order", torch.tensor([2, 0, 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.linear(x)[:, self.order]
        return x + torch.arange(3, device=x.device)


def export(model: nn.Module, args: tuple) -> torch.export.ExportedProgram:
    program = torch.export.export(model.eval(), args)
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program


def main() -> None:
    version = "_".join(torch.__version__.split(".")[:2])
    torch.manual_seed(1)
    args = (torch.zeros(6, dtype=torch.long), torch.randn(3, 4), torch.randn(4, 4))
    torch.export.save(export(Tables(), args), FOLDER / f"torch_{version}.pt2")
    print(f"torch_{version}.pt2")
    order = Order(), (torch.zeros(2, 4),)
    if version == "2_8":
        for protocol in (3, 4, 5):
            file = FOLDER / f"pickle_protocol_{protocol}.pt2"
            torch.export.save(export(*order), file, pickle_protocol=protocol)
    if version in ("2_7", "2_15"):
        with torch.device("meta"):
            order = Order(), (torch.zeros(2, 4),)
        torch.export.save(export(*order), FOLDER / f"meta_device_{version}.pt2")


if __name__ == "__main__":
    main()
