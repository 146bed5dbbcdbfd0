#!/usr/bin/env bash
# torch.export leaves torch.vmap in the file as calls that are no operators, and says nothing.
#
# PyTorch 2.15.0 (PyPI). A module that uses torch.vmap exports without a warning, but its graph calls
# Python functions of torch._functorch (levels that are entered and left, batch dimensions added and taken
# off), which have no schema, no meaning to a reader that knows PyTorch's operators, and whose order is
# part of the meaning. Only run_decompositions() turns them into operators; nothing says that it is needed.
#
# Output seen:
#   exported: 5 calls are no operators
#   decomposed: 0 calls are no operators
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.3.4
cat > "$folder/try.py" <<'PYTHON'
import torch


class PerSample(torch.nn.Module):
    def forward(self, stacks, matrix):
        return torch.vmap(torch.mm, in_dims=(0, None))(stacks, matrix)


def calls(program):
    return [node.target for node in program.graph.nodes if node.op == "call_function"]


def others(program):
    return [call for call in calls(program) if not isinstance(call, torch._ops.OpOverload)]


program = torch.export.export(PerSample().eval(), (torch.randn(3, 4, 5), torch.randn(5, 2)))
decomposed = program.run_decompositions()
print(f"exported: {len(others(program))} calls are no operators")
print(f"decomposed: {len(others(decomposed))} calls are no operators")
PYTHON
"$folder/venv/bin/python" "$folder/try.py" > "$folder/seen" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
exported: 5 calls are no operators
decomposed: 0 calls are no operators
EXPECTED
