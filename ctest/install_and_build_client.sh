#!/bin/bash
# usage: install_and_build_client.sh BUILD_DIR SOURCE_DIR CURVES.json
#
# Installs the build into a temporary prefix, builds ctest/client against the installed package alone,
# prices a model with it, and compares with the installed program.
set -euo pipefail
build=$1 source=$2 curves=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/install.log"
cmake -S "$source/ctest/client" -B "$work/client" -G Ninja -D CMAKE_BUILD_TYPE=Release \
    -D CMAKE_PREFIX_PATH="$work/prefix" ${CMAKE_CXX_COMPILER_LAUNCHER:+-D CMAKE_CXX_COMPILER_LAUNCHER="$CMAKE_CXX_COMPILER_LAUNCHER"} >"$work/configure.log"
cmake --build "$work/client" >"$work/build.log" || { cat "$work/build.log"; exit 1; }
cp "$curves" "$work/curves.json"
cd "$work"
client=$(env -u DERATE_MODELS "$work/client/price_model" curves.json resnet18)
program=$("$work/prefix/bin/derate" estimate --calibration "$curves" --model resnet18 --json |
    python3 -c 'import json, sys; e = json.load(sys.stdin); print("%.3f ms, 95 %%: %.3f to %.3f ms" % (
        e["latency_ms"], e["ci_95_lower_ms"], e["ci_95_upper_ms"]))')
echo "client:  $client"
echo "program: $program"
[ "$client" = "$program" ]
for file in share/man/man1/derate.1 share/bash-completion/completions/derate \
    share/zsh/site-functions/_derate share/derate/hardware_registry share/derate/models; do
    [ -e "$work/prefix/$file" ] || { echo "not installed: $file"; exit 1; }
done
bash -n "$work/prefix/share/bash-completion/completions/derate"
