#!/usr/bin/env bash
# Fuzzes every reader of files with libFuzzer under AddressSanitizer and UBSan.
#
#   run_fuzzers.sh SOURCE_DIR SECONDS [READER ...]    SECONDS in all, shared by the readers
#
# Ends with 1 when an input made a reader crash, hang (10 s) or take more than 2 GiB; the input is kept
# in build/fuzz/crashes. DERATE_FUZZ_JOBS runs that many readers beside each other.
set -euo pipefail
source_dir=$1 seconds=$2
shift 2
build=$source_dir/build/fuzz
launcher=()
command -v ccache >/dev/null && launcher=(-D CMAKE_CXX_COMPILER_LAUNCHER=ccache)
cmake -S "$source_dir" --preset fuzz "${launcher[@]}" >"$build.log" 2>&1 || { tail "$build.log"; exit 1; }
cmake --build "$build" --target fuzz_readers >>"$build.log" 2>&1 || { tail "$build.log"; exit 1; }
program=$build/bin/fuzz_readers
corpus=$build/corpus
python3 "$source_dir/ctest/fuzz/make_corpus.py" "$source_dir" "$corpus"
mkdir -p "$build/crashes" "$build/found"
readers=("$@")
[ ${#readers[@]} -gt 0 ] || mapfile -t readers < <("$program" --readers)

fuzz() {
    local reader=$1 log=$build/$1.log
    mkdir -p "$build/found/$reader" "$corpus/$reader"
    if ! DERATE_FUZZ_READER=$reader "$program" -max_total_time="$2" -timeout=10 -rss_limit_mb=2048 \
        -max_len=262144 -print_final_stats=1 -artifact_prefix="$build/crashes/$reader-" \
        "$build/found/$reader" "$corpus/$reader" >"$log" 2>&1; then
        printf '%-18s FAILED\n' "$reader"
        grep -E 'ERROR|broken rule|SUMMARY|runtime error|what\(\)' "$log" | head -n 5
        return 1
    fi
    printf '%-18s %10s inputs %6s edges covered %4s MiB at most\n' "$reader" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2)" \
        "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")"
}
export -f fuzz
export build corpus program
share=$((seconds * ${DERATE_FUZZ_JOBS:-1} / ${#readers[@]}))
printf '%s\n' "${readers[@]}" |
    xargs -P "${DERATE_FUZZ_JOBS:-1}" -I {} bash -c "fuzz {} $((share > 0 ? share : 1))"
