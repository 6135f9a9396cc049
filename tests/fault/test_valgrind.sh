#!/usr/bin/env bash
# The plugin host under valgrind: the hostile set in workers, routes in them, swaps, handover, the loop, timers, children; and a
# whole server while that set does harm in the way of each C-STORE. The workers themselves run beside it, since their jail
# lets no valgrind in. With --long only. SPDX-License-Identifier: Apache-2.0
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
[ -n "${HILUM_LONG:-}" ] || { echo "SKIP: minutes long; run with --long"; exit 77; }
command -v valgrind >/dev/null || { echo "SKIP: valgrind is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Valgrind 3.19 knows neither pidfds nor Landlock: the former are made of older calls, the latter is asked for here.
python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(444, None, 0, 1) <= 0)' && export HILUM_HAS_LANDLOCK=yes
shim=$build/lib/hilum-no-pidfd.so
# Programs of tests and workers are not followed; memory of libraries that is still in reach at the end is theirs.
under=(timeout 900 valgrind -q --suppressions="$root/tests/valgrind.supp" --error-exitcode=9 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
    --trace-children=no --fair-sched=yes)

for test in plugin_loop plugin_services plugin_kinds plugin_host plugin_swap plugin_handover isolated_route isolation worker_words wire bus_tickets; do
    [ -x "$build/bin/test_$test" ] || { echo "$test is not built"; failed=1; continue; }
    LD_PRELOAD=$shim "${under[@]}" "$build/bin/test_$test" >"$work/out" 2>&1
    code=$?
    if [ $code -eq 77 ] && [ -z "${HILUM_HAS_LANDLOCK:-}" ]; then
        echo "skip  $test: $(tail -n 1 "$work/out")"
    elif [ $code -eq 0 ]; then
        echo "ok    $test"
    else
        failed=1
        echo "BAD   $test (exit $code)"
        grep -E '^==|FAILED|ERROR|LINE' "$work/out" | head -n 60
    fi
done

# The whole server: lib.sh starts it with the words of HILUM_WRAP before it.
HILUM_WRAP="env LD_PRELOAD=$shim ${under[*]} --log-file=$work/valgrind" bash "$root/tests/fault/test_hostile.sh" >"$work/out" 2>&1
code=$?
if [ $code -eq 77 ]; then
    echo "skip  a whole server: $(tail -n 1 "$work/out")"
elif [ $code -eq 0 ] && [ ! -s "$work/valgrind" ]; then
    echo "ok    a whole server with the hostile set"
else
    failed=1
    echo "BAD   a whole server with the hostile set (exit $code)"
    tail -n 20 "$work/out"
    head -n 60 "$work/valgrind"
fi
exit $failed
