#!/bin/bash
# Brings the pinned LibTorch (headers and libraries, nothing of Python) into derate's cache folder.
# Run it again at any time: what is there is left alone, what was broken off leaves nothing behind.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: cmake/fetch_libtorch.sh [--cuda] [--plan] [--quiet] [--print-root] [--print-download]

Downloads the wheels pinned in cmake/libtorch.lock with pip, checks their SHA-256 and unpacks the
headers and libraries that derate-bench links against.

  --cuda        what derate-bench-cuda needs (cmake/libtorch_cuda.lock), in a folder of its own
  --plan        say what would be fetched, how large it is and where it goes; fetch nothing
  --quiet       fetch without saying so
  --print-root  print the folder and end: 0 if LibTorch is there, 1 if not
  --print-download  print how many MB are to be downloaded, 0 if it is there, and end

The cache folder is $DERATE_CACHE, else $XDG_CACHE_HOME/derate, else ~/.cache/derate.
Needs python3 with pip (Debian: python3-pip). Offline, give CMake -D Torch_DIR= instead.
TEXT
}

flavour=cpu plan_only=no quiet=no print_root=no print_download=no
for argument in "$@"; do
    case $argument in
        --cuda) flavour=cuda ;;
        --plan) plan_only=yes ;;
        --quiet) quiet=yes ;;
        --print-root) print_root=yes ;;
        --print-download) print_download=yes ;;
        --help | -h) usage; exit 0 ;;
        *) echo "cmake/fetch_libtorch.sh: unknown argument $argument (see --help)" >&2; exit 2 ;;
    esac
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ "$flavour" = cuda ]; then
    lock=$here/libtorch_cuda.lock download_mb=1080 disk_mb=1550
else
    lock=$here/libtorch.lock download_mb=555 disk_mb=520
fi
cache=${DERATE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set (set DERATE_CACHE)}/.cache}/derate}
# A folder is named after its lock file, so another pin never meets its files.
folder_of() {
    local hash
    read -r hash _ < <(sha256sum "$2")
    echo "$cache/libtorch-$1-${hash:0:12}"
}
root=$(folder_of $flavour "$lock")
if [ $flavour = cpu ]; then
    # What the CUDA program needs holds all of this, as long as its lock has the same pins.
    whole=$(folder_of cuda "$here/libtorch_cuda.lock")
    if [ -d "$whole" ] && ! grep -v '^#' "$lock" | grep -qvxFf "$here/libtorch_cuda.lock"; then
        root=$whole
    fi
fi

if [ "$print_root" = yes ]; then
    echo "$root"
    [ -d "$root" ] && exit 0 || exit 1
fi
if [ "$print_download" = yes ]; then
    [ -d "$root" ] && echo 0 || echo $download_mb
    exit 0
fi
if [ -d "$root" ]; then
    exit 0
fi

[ "$quiet" = yes ] || {
    echo "LibTorch for timing models is fetched once:"
    sed -n 's/^\([a-z0-9-]*\)==\([0-9.]*\) .*/  \1 \2/p' "$lock"
    echo "  download about $download_mb MB, on disk about $disk_mb MB in $root"
} >&2
if [ "$plan_only" = yes ]; then
    exit 0
fi

refuse() { echo "cmake/fetch_libtorch.sh: $1" >&2; exit 4; }
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    refuse "the pinned wheels are for Linux on x86-64 (bring your own LibTorch: -D Torch_DIR=)"
python3 -m pip --version >/dev/null 2>&1 ||
    refuse "python3 has no pip (install it: apt-get install --no-install-recommends python3-pip)"
mkdir -p "$cache" 2>/dev/null || refuse "$cache: cannot be created (set DERATE_CACHE to a folder you can write)"
free_mb=$(df -Pm "$cache" | awk 'NR == 2 {print $4}')
[ "$free_mb" -ge $((download_mb + disk_mb)) ] ||
    refuse "$cache: $free_mb MB free ($((download_mb + disk_mb)) MB needed while unpacking)"

work=$(mktemp -d "$cache/fetch.XXXXXX") || refuse "$cache: cannot be written (set DERATE_CACHE to a folder you can write)"
trap 'rm -rf "$work"' EXIT

platforms=()
for glibc in 28 27 25 24 18 17; do platforms+=(--platform "manylinux_2_${glibc}_x86_64"); done
PIP_DISABLE_PIP_VERSION_CHECK=1 TMPDIR=$work python3 -m pip download --quiet --no-cache-dir \
    --no-deps --only-binary=:all: --require-hashes --requirement "$lock" \
    --implementation cp --python-version 3.11 --abi cp311 --abi none \
    "${platforms[@]}" --platform manylinux2014_x86_64 --dest "$work/wheels" >&2 ||
    refuse "download failed (offline? give CMake -D Torch_DIR= or run it where the network is)"

echo "unpacking" >&2
python3 - "$flavour" "$work" <<'PYTHON'
import pathlib, sys, zipfile

flavour, work = sys.argv[1], pathlib.Path(sys.argv[2])
libraries = {"libtorch_cpu.so", "libc10.so", "libgomp.so.1"}
if flavour == "cuda":
    libraries |= {"libtorch_cuda.so", "libc10_cuda.so", "libtorch_cuda_linalg.so",
                  "libcaffe2_nvrtc.so", "libtorch_nvshmem.so"}


def wanted(name):
    if "/licenses/" in name or name.endswith("/METADATA"):
        return True
    if name.startswith("torch/include/"):
        return not name.startswith(("torch/include/google/", "torch/include/pybind11/"))
    if name.startswith("torch/lib/"):
        return name.split("/")[2] in libraries
    # The profiling extras of CUPTI stay out: nothing of LibTorch's timing path opens them.
    return name.startswith("nvidia/") and ".so" in name and "nvperf" not in name


for wheel in sorted((work / "wheels").glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(work / "tree", [n for n in archive.namelist() if wanted(n)])
PYTHON
cp "$lock" "$work/tree/"
chmod -R a+rX "$work/tree"
# Another fetch may have ended first; its folder holds the same files.
mv -T "$work/tree" "$root" 2>/dev/null || [ -d "$root" ] || refuse "$root: cannot be written"
echo "LibTorch is in $root" >&2
