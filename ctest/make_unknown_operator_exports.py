#!/usr/bin/env python3
"""Writes workloads/testdata/{unknown_small,unknown_large,calls_nothing}.json.gz: graphs without weights.

An operator of a library of one's own is a node like any other in an export, and nothing in it says what it computes:
`small` looks at one vector beside a large product, `large` is a layer of experts that holds most of the work.

Environment: Python 3.11, torch 2.15.0 (workloads/models/requirements.txt).
"""

import gzip
import json
import pathlib

import torch
import torch._export.serde.serialize as serde
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent


@torch.library.custom_op("own::wavelet", mutates_args=())
def wavelet(x: torch.Tensor) -> torch.Tensor:
    return x.clone()


@torch.library.custom_op("own::experts", mutates_args=())
def experts(x: torch.Tensor, routes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return x.clone()


wavelet.register_fake(lambda x: torch.empty_like(x))
experts.register_fake(lambda x, routes, weights: torch.empty_like(x))


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1024, 1024)

    def forward(self, x):
        return self.linear(x) + wavelet(x[:1, :64]).sum()


class Large(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(256, 8)
        self.experts = nn.Parameter(torch.zeros(8, 512, 256))

    def forward(self, x):
        return experts(x, self.router(x).softmax(-1), self.experts)


class Nothing(nn.Module):
    def forward(self, x):
        return x


def main() -> None:
    for name, module, sample in (
        ("unknown_small", Small(), torch.zeros(64, 1024)),
        ("unknown_large", Large(), torch.zeros(64, 256)),
        ("calls_nothing", Nothing(), torch.zeros(4, 3)),
    ):
        exported = torch.export.export(module.eval(), (sample,))
        graph = json.loads(serde.serialize(exported).exported_program)
        for node in graph["graph_module"]["graph"]["nodes"]:
            node["metadata"].pop("stack_trace", None)  # holds paths
        target = ROOT / "workloads" / "testdata" / f"{name}.json.gz"
        target.write_bytes(gzip.compress(json.dumps(graph).encode(), mtime=0))
        print(target.name, target.stat().st_size)


if __name__ == "__main__":
    main()
