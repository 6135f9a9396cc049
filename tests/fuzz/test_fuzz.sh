#!/usr/bin/env bash
# libFuzzer on every target, HILUM_FUZZ_SECONDS each (600), HILUM_FUZZ_JOBS at a time (one a processor). Only with --long;
# ctest replays the corpora always. HILUM_FUZZ_ONLY: a shell pattern of names, to go on where a run was stopped.
[ -n "${HILUM_LONG:-}" ] || { echo "only with --long; corpora and mutations of them are replayed by ctest"; exit 77; }
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/scripts/packages.sh"
CC=clang CXX=clang++ build_preset "$root" fuzz fuzzers || exit 1

# fuzz TARGET: prints what it did and found; its exit status is the fuzzer's.
fuzz() {
    local name=${1##*/fuzz_} seeds found code
    seeds=$(find -L "$root/tests/fuzz" -type d -path "*/corpus/$name" | head -n 1)
    found=$root/build/fuzz/corpus/$name
    mkdir -p "$found"
    "$1" -max_total_time="${HILUM_FUZZ_SECONDS:-600}" -max_len=65536 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$found-" "$found" "${seeds:-$found}" >"$found.log" 2>&1
    code=$?
    grep -h 'stat::number_of_executed_units\|SUMMARY' "$found.log" | sed "s/^/$name: /"
    [ "$code" -eq 0 ] || echo "$name: exit $code; what it met is beside $found.log"
    return "$code"
}

failed=0 running=0
for target in "$root"/build/fuzz/bin/fuzz_*; do
    # shellcheck disable=SC2254
    case ${target##*/fuzz_} in ${HILUM_FUZZ_ONLY:-*}) ;; *) continue ;; esac
    if [ "$running" -ge "${HILUM_FUZZ_JOBS:-$(nproc)}" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
exit $failed
