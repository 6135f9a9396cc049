#!/usr/bin/env bash
# The stable tables of the SDK against what they were when their ABI was fixed (abi/<ABI>.abi), by abidiff: types,
# order and parameters, beyond the offsets that tests/unit/sdk/test_sdk_layout.c has.
#   --fix ABI   writes abi/<ABI>.abi from today's headers: once, when a new minor or major is released
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "$(uname -m)" = x86_64 ] || { echo "the recorded layouts are those of x86_64"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# surface INCLUDE OUT
surface() {
    cc -std=gnu17 -g -shared -fPIC -fvisibility=hidden -I "$1" tests/static/abi/surface.c -o "$2"
}
# What is more than a member appended to a sized struct.
differ() {
    { abidiff --suppressions tests/static/abi/allowed.ini --leaf-changes-only --no-show-locs "$1" "$2" || true; } |
        grep -vE "summary:|^'struct .*' changed:$|^  type size changed from|^  [0-9]+ data member insertions?:|^    '.*, at offset [0-9]+|^$"
}

surface sdk/include "$work/now.so"
if [ "${1:-}" = --fix ]; then
    abidw --no-corpus-path --no-comp-dir-path --out-file "tests/static/abi/$2.abi" "$work/now.so"
    exit 0
fi
for abi in tests/static/abi/*.abi; do
    ! differ "$abi" "$work/now.so" || { echo "a stable table is no longer what it was in $(basename "$abi" .abi)"; exit 1; }
done

# A test that cannot fail is none: a parameter more must be seen, a member at the end must not.
changed() {
    rm -rf "$work/include"
    cp -r sdk/include "$work/include"
    sed -i "$1" "$work/include/hilum/host.h"
    ! cmp -s sdk/include/hilum/host.h "$work/include/hilum/host.h"
    surface "$work/include" "$work/changed.so"
    differ "$work/now.so" "$work/changed.so" >/dev/null
}
changed 's/(\*data_dir)(hilum_self \*self)/(*data_dir)(hilum_self *self, int32_t more)/' || { echo "a changed function goes unseen"; exit 1; }
! changed 's|^    /\* since 1.1: append here \*/|    int32_t (*more)(void);|' || { echo "growth at the end is refused"; exit 1; }
