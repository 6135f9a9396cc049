#!/usr/bin/env bash
# libFuzzer on every target, HILUM_FUZZ_SECONDS each (600). Only with --long; ctest replays the corpora always.
[ -n "${HILUM_LONG:-}" ] || { echo "only with --long; corpora and mutations of them are replayed by ctest"; exit 77; }
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/scripts/packages.sh"
CC=clang CXX=clang++ build_preset "$root" fuzz fuzzers || exit 1
failed=0
for target in "$root"/build/fuzz/bin/fuzz_*; do
    name=${target##*/fuzz_}
    seeds=$(find "$root/tests/fuzz" -type d -path "*/corpus/$name" | head -n 1)
    found=$root/build/fuzz/corpus/$name
    mkdir -p "$found"
    "$target" -max_total_time="${HILUM_FUZZ_SECONDS:-600}" -max_len=65536 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$found-" "$found" "${seeds:-$found}" >"$found.log" 2>&1 || failed=1
    grep -h 'stat::number_of_executed_units\|SUMMARY' "$found.log" | sed "s/^/$name: /"
done
exit $failed
