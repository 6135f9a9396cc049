#!/usr/bin/env bash
# clang-tidy over the kernel, the plugins and the SDK. Minutes on two cores: only with --long.
[ -n "${HILUM_LONG:-}" ] || { echo "only with --long"; exit 77; }
cd "$(dirname "$0")/../.." || exit 1
command -v clang-tidy >/dev/null || { echo "clang-tidy is not installed"; exit 77; }
commands=$(mktemp -d) && trap 'rm -rf "$commands"' EXIT
# gcc's own option, which clang refuses with the whole file: no plugin was ever looked at before it went
sed 's/-fno-gnu-unique//g' "${HILUM_BUILD:-build/release}/compile_commands.json" >"$commands/compile_commands.json" || exit 1
git ls-files 'core/*.c' 'plugins/*.c' 'sdk/*.c' |
    xargs -P 2 -n 8 clang-tidy --quiet --warnings-as-errors='*' -p "$commands" 2>/dev/null
