#!/usr/bin/env bash
# Every C and C++ file is as clang-format leaves it.
cd "$(dirname "$0")/../.." || exit 1
git ls-files '*.c' '*.h' '*.cc' | xargs clang-format --dry-run -Werror
