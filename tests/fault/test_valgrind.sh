#!/usr/bin/env bash
# The plugin host under valgrind: workers, routes in them, the loop, timers, children. The workers themselves run beside it,
# since their jail lets no valgrind in. With --long only. SPDX-License-Identifier: Apache-2.0
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
[ -n "${HILUM_LONG:-}" ] || { echo "SKIP: minutes long; run with --long"; exit 77; }
command -v valgrind >/dev/null || { echo "SKIP: valgrind is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for test in plugin_loop plugin_services plugin_kinds isolated_route isolation wire bus_tickets; do
    [ -x "$build/bin/test_$test" ] || { echo "$test is not built"; failed=1; continue; }
    # Programs of tests and workers are not followed; memory of libraries that is still in reach at the end is theirs.
    if valgrind -q --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite --trace-children=no --fair-sched=yes \
        "$build/bin/test_$test" >"$work/out" 2>&1; then
        echo "ok    $test"
    else
        failed=1
        echo "BAD   $test"
        grep -E '^==|FAILED' "$work/out" | head -n 40
    fi
done
exit $failed
