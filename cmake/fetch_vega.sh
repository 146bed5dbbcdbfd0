#!/bin/bash
# Brings the pinned Vega scripts, one file, into derate's cache folder; the HTML reports inline it.
# Run it again at any time: what is there is left alone.
#
# usage: cmake/fetch_vega.sh [--print-file | --print-download | --quiet]
#   --print-file      print the file's path and end; 1 if it is absent
#   --print-download  print how many MB are to be downloaded, 0 if it is there, and end
#   --quiet           fetch without saying so
#
# The cache folder is $DERATE_CACHE, else $XDG_CACHE_HOME/derate, else ~/.cache/derate.
# Needs python3 with pip. Without the file everything but `derate visualize --output X.html` works.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lock=$here/vega.lock download_mb=34
cache=${DERATE_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME is not set (set DERATE_CACHE)}/.cache}/derate}
read -r lock_hash _ < <(sha256sum "$lock")
file=$cache/vega-${lock_hash:0:12}.js

if [ "${1:-}" = --print-file ]; then
    echo "$file"
    [ -s "$file" ] && exit 0 || exit 1
fi
if [ "${1:-}" = --print-download ]; then
    [ -s "$file" ] && echo 0 || echo $download_mb
    exit 0
fi
[ -s "$file" ] && exit 0

refuse() { echo "cmake/fetch_vega.sh: $1" >&2; exit 4; }
[ "${1:-}" = --quiet ] ||
    echo "The Vega scripts for HTML reports are fetched once: download $download_mb MB, on disk 1 MB in $cache" >&2
mkdir -p "$cache" 2>/dev/null || refuse "$cache: cannot be created (set DERATE_CACHE to a folder you can write)"
work=$(mktemp -d "$cache/fetch.XXXXXX") || refuse "$cache: cannot be written"
trap 'rm -rf "$work"' EXIT
PIP_DISABLE_PIP_VERSION_CHECK=1 TMPDIR=$work python3 -m pip download --quiet --no-cache-dir --no-deps \
    --only-binary=:all: --require-hashes --requirement "$lock" --dest "$work" >&2 ||
    refuse "download failed (offline? HTML reports are left out of this build)"
unzip -q "$work"/*.whl -d "$work/wheel"
PYTHONPATH=$work/wheel python3 -c '
import sys, vl_convert
open(sys.argv[1], "w").write(vl_convert.javascript_bundle())' "$work/vega.js"
mv "$work/vega.js" "$file"
