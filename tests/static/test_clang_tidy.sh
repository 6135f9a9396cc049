#!/usr/bin/env bash
# clang-tidy over the kernel and the plugins. Minutes on two cores: only with --long.
[ -n "${HILUM_LONG:-}" ] || { echo "only with --long"; exit 77; }
cd "$(dirname "$0")/../.." || exit 1
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed"; exit 77; }
git ls-files 'core/*.c' 'plugins/*.c' |
    xargs -P 2 -n 8 clang-tidy --quiet --warnings-as-errors='*' -p "${HILUM_BUILD:-build/release}" 2>/dev/null
