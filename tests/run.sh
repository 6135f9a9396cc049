#!/usr/bin/env bash
# Installs what the tests need, builds, runs everything. The last line is "N passed, N failed, N skipped".
#   --long   fuzzing for minutes, many kills, a million studies: hours, not minutes
#   --only PATTERN   names of tests to run (a shell pattern), for people at work on one thing
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export HILUM_LONG="" only="*"
while [ $# -gt 0 ]; do
    case $1 in
    --long) HILUM_LONG=yes; shift ;;
    --only) only=$2; shift 2 ;;
    *) echo "usage: tests/run.sh [--long] [--only PATTERN]" >&2; exit 2 ;;
    esac
done

. "$root/scripts/packages.sh"
# shellcheck disable=SC2086
need_packages $hilum_build_packages dcmtk dicom3tools python3 python3-pydicom python3-numpy strace \
    libclang-rt-14-dev libfuse3-dev fuse3 orthanc clang clang-format clang-tidy cppcheck openssl universal-ctags || exit 1
echo "building release, asan and tsan presets"
for preset in release asan tsan; do
    build_preset "$root" "$preset" || exit 1
done

passed=0 failed=0 skipped=0 failures=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# count NAME CODE LOG: one result; a skip (77) must say why on its last line.
count() {
    case $2 in
    0) passed=$((passed + 1)); echo "pass  $1" ;;
    77) skipped=$((skipped + 1)); echo "skip  $1: $(tail -n 1 "$3")" ;;
    *)
        failed=$((failed + 1)); failures+=("$1"); echo "FAIL  $1 (exit $2)"
        tail -n 40 "$3" | sed 's/^/      | /'
        ;;
    esac
}

# run_ctest PRESET [ctest options]: every program of ctest is one test.
run_ctest() {
    local preset=$1 names name code
    shift
    names=$(ctest --test-dir "$root/build/$preset" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p')
    for name in $names; do
        # shellcheck disable=SC2254
        case $name in $only) ;; *) continue ;; esac
        ctest --test-dir "$root/build/$preset" -R "^$name\$" --output-on-failure \
            >"$work/log" 2>&1
        code=$?
        grep -q 'Skipped' "$work/log" && code=77
        count "$preset/$name" "$code" "$work/log"
    done
}

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1 suppressions=$root/tests/tsan.supp"
run_ctest asan
run_ctest tsan -R '^(bus_|control|ul_|notify|lanes|job_record|record_instances|rules|ingest|pipeline|contract_store|scp|exchange|plugin_host)'

# run_scripts PRESET SCRIPT...: whole-server tests with that build. 0 pass, 77 skip, else failure.
run_scripts() {
    local preset=$1 script name
    shift
    for script in "$@"; do
        [ -e "$script" ] || continue
        name=${script#"$root/tests/"}
        [ "$preset" = release ] || name=$preset/$name
        # shellcheck disable=SC2254
        case $name in $only) ;; *) continue ;; esac
        HILUM_BUILD=$root/build/$preset timeout "$limit" bash "$script" >"$work/log" 2>&1
        count "$name" $? "$work/log"
    done
}
limit=900
[ -z "$HILUM_LONG" ] || limit=36000
run_scripts release "$root"/tests/{static,dicom,script,fault,cli,fuzz}/test_*.sh
run_scripts asan "$root"/tests/dicom/test_{find,malformed}.sh "$root"/tests/fault/test_peers.sh
run_scripts tsan "$root"/tests/script/test_routing.sh "$root"/tests/dicom/test_retrieve.sh

if [ ${#failures[@]} -gt 0 ]; then
    echo "failed: ${failures[*]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
