#!/usr/bin/env bash
# Installs what the tests need, builds, runs everything. The last line is "N passed, N failed, N skipped".
#   --long   ten minutes of fuzzing a target, many kills, every crash point, clang-tidy, valgrind: hours, not minutes
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
need_packages $hilum_build_packages dcmtk dicom3tools odil python3-odil ctn python3 python3-pydicom python3-numpy strace \
    libclang-rt-14-dev libfuse3-dev fuse3 orthanc orthanc-dicomweb rsyslog rsyslog-gnutls clang clang-format clang-tidy cppcheck openssl curl universal-ctags libgdcm-tools openjph-tools libjxl-tools libjpeg-turbo-progs dpkg-dev abigail-tools ffmpeg chromium fonts-noto-cjk fonts-dejavu-core fonts-lohit-deva nginx-light haproxy make ${HILUM_LONG:+valgrind} || exit 1
echo "building release, asan and tsan presets"
for preset in release asan tsan; do
    build_preset "$root" "$preset" || exit 1
done

passed=0 failed=0 skipped=0 failures=() flaky=()
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# took SECONDS: what a test took, where that is worth a word.
took() { [ "$1" -lt 10 ] || echo " ($1 s)"; }

# judge NAME COMMAND...: runs one test. 0 pass; 77 skip, which must say why on its last line; else failure. A test
# that fails and then passes is counted as passed and named at the end: a defect to be found, not a reason to stop.
judge() {
    local name=$1 code began=$SECONDS
    shift
    "$@" >"$work/log" 2>&1
    code=$?
    if [ "$code" -ne 0 ] && [ "$code" -ne 77 ]; then
        echo "FAIL  $name (exit $code)$(took $((SECONDS - began)))"
        tail -n 40 "$work/log" | sed 's/^/      | /'
        "$@" >"$work/log" 2>&1
        code=$?
        [ "$code" -ne 0 ] || flaky+=("$name")
    fi
    case $code in
    0) passed=$((passed + 1)); echo "pass  $name$(took $((SECONDS - began)))" ;;
    77) skipped=$((skipped + 1)); echo "skip  $name: $(tail -n 1 "$work/log")" ;;
    *) failed=$((failed + 1)); failures+=("$name"); echo "FAIL  $name again (exit $code)" ;;
    esac
}

# ctest_one PRESET NAME: 77 when the program skipped all it has.
ctest_one() {
    ctest --test-dir "$root/build/$1" -R "^${2//+/[+]}\$" --no-tests=error \
        --output-on-failure || return 1
    ! grep -q 'Skipped' "$work/log" || return 77
}

# run_ctest PRESET [ctest options]: every program of ctest is one test.
run_ctest() {
    local preset=$1 names name
    shift
    names=$(ctest --test-dir "$root/build/$preset" -N "$@" | sed -n 's/^ *Test *#[0-9]*: //p')
    for name in $names; do
        # shellcheck disable=SC2254
        case $name in $only) ;; *) continue ;; esac
        judge "$preset/$name" ctest_one "$preset" "$name"
    done
}

# Ten minutes a fuzzer are hours: with --long they go on beside everything else, with what it leaves of the processors.
# In a group of processes of its own, which ends with this script however that ends.
fuzz_begin() {
    setsid nice -n 19 bash "$root/tests/fuzz/test_fuzz.sh" >"$work/fuzz.log" 2>&1 &
    fuzzing=$!
    trap 'kill -- -"$fuzzing" 2>/dev/null; rm -rf "$work"' EXIT
}

# bash remembers how a child ended: a second look says the same.
fuzz_end() {
    local code
    wait "$fuzzing"
    code=$?
    cat "$work/fuzz.log"
    return "$code"
}

# shellcheck disable=SC2254
case fuzz/test_fuzz.sh in $only) [ -z "$HILUM_LONG" ] || fuzz_begin ;; esac

export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1 suppressions=$root/tests/tsan.supp"
run_ctest asan
run_ctest release -R '^isolation' # limits of memory are not in force under sanitisers
run_ctest tsan -R '^(bus_|plugin_services|control|ul_|notify|lanes|job_record|record_(instances|readers)|rules|ingest|pipeline|contract_store|scp|exchange|plugin_(host|swap|handover|loop)|isolat|worker_words)'

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
        judge "$name" env HILUM_BUILD="$root/build/$preset" timeout "$limit" bash "$script"
    done
}
limit=900
[ -z "$HILUM_LONG" ] || limit=36000
run_scripts release "$root"/tests/{static,dicom,script,fault,cli,web,access}/test_*.sh
run_scripts asan "$root"/tests/dicom/test_{find,malformed}.sh "$root"/tests/fault/test_peers.sh
run_scripts tsan "$root"/tests/script/test_routing.sh "$root"/tests/dicom/test_retrieve.sh "$root"/tests/fault/test_hostile.sh "$root"/tests/web/test_swap.sh

if [ -n "${fuzzing:-}" ]; then
    judge fuzz/test_fuzz.sh fuzz_end
else
    run_scripts release "$root"/tests/fuzz/test_fuzz.sh
fi

if [ ${#flaky[@]} -gt 0 ]; then
    echo "failed once, passed when run again: ${flaky[*]}"
fi
if [ ${#failures[@]} -gt 0 ]; then
    echo "failed: ${failures[*]}"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
