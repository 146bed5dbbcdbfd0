#!/bin/sh
# run_with_gpu.sh COMMAND...: runs the command where an NVIDIA driver is loaded, else says so and
# ends with 77, which CTest counts as skipped. Nothing that needs the driver is loaded before.
if [ ! -e /proc/driver/nvidia/version ] && [ ! -e /dev/nvidia0 ] && [ ! -e /dev/dxg ]; then
    echo "skipped: no NVIDIA driver on this machine"
    exit 77
fi
exec "$@"
