#!/usr/bin/env bash
# torch.export under autocast writes types that the exported program does not compute.
#
# PyTorch 2.15.0 (PyPI). A module exported inside `torch.autocast("cpu", torch.bfloat16)` becomes a graph
# without a cast and without an autocast region: aten.linear has three float32 arguments and, in its
# metadata, a bfloat16 result. What it computes depends on who runs it: outside autocast the same program
# returns float32, against its own metadata and against eager inside the region; inside it returns
# bfloat16. Whoever reads the file takes the arguments' types for what runs.
#
# Output seen:
#   call aten.linear.default: float32 float32 float32 -> bfloat16
#   calls 1
#   eager in the region bfloat16, exported outside float32, exported inside bfloat16
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.3.4
cat > "$folder/try.py" <<'PYTHON'
import torch


def name(dtype):
    return str(dtype).removeprefix("torch.")


layer = torch.nn.Linear(8, 4).eval()
rows = torch.randn(2, 8)
region = lambda: torch.autocast("cpu", dtype=torch.bfloat16)
with torch.no_grad(), region():
    eager = layer(rows)
    program = torch.export.export(layer, (rows,))
calls = [node for node in program.graph.nodes if node.op == "call_function"]
for call in calls:
    arguments = " ".join(name(argument.meta["val"].dtype) for argument in call.args)
    print(f"call {call.target}: {arguments} -> {name(call.meta['val'].dtype)}")
print("calls", len(calls))
with torch.no_grad():
    outside = program.module()(rows)
    with region():
        inside = program.module()(rows)
print(f"eager in the region {name(eager.dtype)}, exported outside {name(outside.dtype)}, "
      f"exported inside {name(inside.dtype)}")
PYTHON
"$folder/venv/bin/python" "$folder/try.py" > "$folder/seen" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
call aten.linear.default: float32 float32 float32 -> bfloat16
calls 1
eager in the region bfloat16, exported outside float32, exported inside bfloat16
EXPECTED
