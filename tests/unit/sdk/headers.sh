#!/bin/sh
# Compiles every SDK header alone and all of them together under one language standard, pedantically; a
# third-party or kernel include fails too. Usage: headers.sh COMPILER STANDARD INCLUDE_DIR
# SPDX-License-Identifier: Apache-2.0
set -eu
compiler=$1 standard=$2 include=$3
case $standard in
c++*) language=c++ ;;
*) language=c ;;
esac

check() {
    "$compiler" -x "$language" -std="$standard" -Wall -Wextra -Wpedantic -Werror -fsyntax-only \
        -I "$include" -
}

all=
for header in "$include"/hilum/*.h; do
    name=hilum/$(basename "$header")
    printf '#include "%s"\n#include "%s"\nint main(void) { return 0; }\n' "$name" "$name" | check ||
        { echo "$name does not compile alone as $standard"; exit 1; }
    all="$all#include \"$name\"
"
    if grep -n '#include' "$header" | grep -vE '"hilum/[a-z]+\.h"|<(stddef|stdint)\.h>'; then
        echo "$name includes what the contract must not know"
        exit 1
    fi
    # Members that compilers may size as they like have no place in a table: comments away, then their words.
    if sed 's,//.*,,' "$header" | tr '\n' ' ' | sed 's,/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/,,g' |
        grep -oE '\b(bool|_Bool|long|short|wchar_t|time_t|size_t|FILE|enum [a-z_]+)\b [a-z_*(]+|(int|unsigned|[a-z0-9]+_t) [a-z_0-9]+ : [0-9]+;'; then
        echo "$name has a member of a type whose size is the compiler's (bool, long, size_t, enum, bit field ...)"
        exit 1
    fi
    lines=$(wc -l <"$header")
    [ "$lines" -le 300 ] || { echo "$name has $lines lines, at most 300 are allowed"; exit 1; }
done
printf '%sint main(void) { return 0; }\n' "$all" | check
