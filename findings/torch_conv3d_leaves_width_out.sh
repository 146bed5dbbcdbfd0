#!/usr/bin/env bash
# Whether a 3-D convolution is "small" is decided without looking at the width of its input.
#
# PyTorch 2.15.0 (PyPI), one thread, FP32 on a CPU. A convolution of batch 1 that ATen takes for small skips oneDNN and
# runs a loop of copies and matrix products (slow_conv3d). Small is batch x channels x frames x height <= 20480: the
# product of the first four extents, which for an image is all of them and for a volume leaves the width out. So a clip
# of 8 channels, 10 frames and 256 lines is small at any width, and the loop's buffer of columns, 27 times the clip for a
# 3 x 3 x 3 window, grows with it (1.8 GB at 1024 columns); one frame more, and the same clip goes to oneDNN. Nothing
# warns, and nothing but the profiler shows it.
#
# Output seen:
#   10 frames, width   32: slow_conv3d
#   10 frames, width 1024: slow_conv3d
#   11 frames, width   32: mkldnn_convolution
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.15.0 numpy==2.3.4
cat > "$folder/try.py" <<'PYTHON'
import torch
from torch.profiler import ProfilerActivity, profile

torch.set_num_threads(1)
layer = torch.nn.Conv3d(8, 4, 3, bias=False)
for frames, width in ((10, 32), (10, 1024), (11, 32)):
    clip = torch.zeros(1, 8, frames, 256, width)
    with torch.no_grad(), profile(activities=[ProfilerActivity.CPU]) as seen:
        layer(clip)
    ran = {event.key.removeprefix("aten::") for event in seen.key_averages()}
    (kernel,) = ran & {"slow_conv3d", "mkldnn_convolution"}
    print(f"{frames} frames, width {width:4}: {kernel}")
PYTHON
"$folder/venv/bin/python" "$folder/try.py" > "$folder/seen" 2> "$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
cat "$folder/seen"
diff "$folder/seen" - <<'EXPECTED'
10 frames, width   32: slow_conv3d
10 frames, width 1024: slow_conv3d
11 frames, width   32: mkldnn_convolution
EXPECTED
