#!/usr/bin/env bash
# torch.export gives keys and values of one attention two lengths that need not be equal.
#
# PyTorch 2.15.0 (PyPI). A decode step whose caches are inputs, their length left to Dim.AUTO: keys and values must be
# equally long, and other equalities of the same graph are found (two added tensors share one symbol). Those that
# scaled_dot_product_attention asks for are not: the file holds two symbols, each with its own range, and no guard that
# ties them. Who binds the file's dimensions has to know the operator to see that one of them is free only by name; a
# length given to one alone passes every check that the file has.
#
# Output seen:
#   attention: symbols of the key and value lengths are the same: False; guards: 0
#   addition: symbols of the two lengths are the same: True
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.3.4
cat > "$folder/try.py" <<'PYTHON'
import pathlib
import sys

import torch

free = torch.export.Dim.AUTO


class Step(torch.nn.Module):
    def forward(self, query, keys, values):
        return torch.nn.functional.scaled_dot_product_attention(query, keys, values)


class Sum(torch.nn.Module):
    def forward(self, first, second):
        return first + second


def lengths(module, inputs, shapes):
    """Symbols of the free lengths, and the guards, of the file."""
    program = torch.export.export(module.eval(), inputs, dynamic_shapes=shapes)
    file = pathlib.Path(sys.argv[1]) / "program.pt2"
    torch.export.save(program, file)
    loaded = torch.export.load(file)
    places = [node.meta["val"].shape for node in loaded.graph.nodes if node.op == "placeholder"]
    symbols = [str(size) for shape in places for size in shape if not isinstance(size, int)]
    return symbols, loaded._guards_code


cache = torch.zeros(1, 4, 9, 16)
symbols, guards = lengths(Step(), (torch.zeros(1, 4, 1, 16), cache, cache.clone()), (None, {2: free}, {2: free}))
print(
    "attention: symbols of the key and value lengths are the same: "
    f"{symbols[0] == symbols[1]}; guards: {len(guards)}"
)
symbols, guards = lengths(Sum(), (cache, cache.clone()), ({2: free}, {2: free}))
print(f"addition: symbols of the two lengths are the same: {symbols[0] == symbols[1]}")
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder" > "$folder/seen" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
attention: symbols of the key and value lengths are the same: False; guards: 0
addition: symbols of the two lengths are the same: True
EXPECTED
