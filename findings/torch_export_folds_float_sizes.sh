#!/usr/bin/env bash
# torch.export saves sizes that the program, loaded again and run, does not make.
#
# PyTorch 2.15.0 (PyPI), sympy 1.14.0. Where a size is computed from another by floating-point factors, the
# exporter multiplies the constants together before it saves the expression: trunc(n * 0.6 * 2.5) is saved as
# TruncToInt(1.5*n). The nodes of the graph still multiply twice, in double precision, and at some sizes fall below
# the next whole number. There is no guard and no warning; whoever reads shapes from the file allocates, or prices,
# tensors one row larger than those that the program makes.
#
# Output seen:
#   the file states TruncToInt(1.5*ToFloat(n))
#   sizes 2 to 199: 11 differ; n = 18: stated 27, made 26
#   guards: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.3.4 sympy==1.14.0
cat > "$folder/try.py" <<'PYTHON'
import math
import pathlib
import sys

import sympy
import torch


class Upsampled(torch.nn.Module):
    def forward(self, rows):
        return torch.zeros(math.trunc(rows.shape[0] * 0.6 * 2.5)) + 1


free = torch.export.Dim.AUTO
program = torch.export.export(Upsampled().eval(), (torch.zeros(7),), dynamic_shapes=({0: free},))
file = pathlib.Path(sys.argv[1]) / "upsampled.pt2"
torch.export.save(program, file)
loaded = torch.export.load(file)
result = loaded.graph.output_node().args[0][0].meta["val"]
stated = result.shape[0].node.expr
(symbol,) = stated.free_symbols
print("the file states", stated.subs(symbol, sympy.Symbol("n")))
run = loaded.module()
differing = []
for n in range(2, 200):
    made = run(torch.zeros(n)).shape[0]
    if int(stated.subs(symbol, n)) != made:
        differing.append((n, int(stated.subs(symbol, n)), made))
n, in_file, made = differing[0]
print(f"sizes 2 to 199: {len(differing)} differ; n = {n}: stated {in_file}, made {made}")
print("guards:", len(loaded._guards_code))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder" > "$folder/seen" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
the file states TruncToInt(1.5*ToFloat(n))
sizes 2 to 199: 11 differ; n = 18: stated 27, made 26
guards: 0
EXPECTED
