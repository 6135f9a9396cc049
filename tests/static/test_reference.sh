#!/usr/bin/env bash
# The generated reference of the SDK has every struct, member, value, macro and function of the headers, as ctags finds
# them, and none of the functions is without words. SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v ctags >/dev/null || { echo "universal-ctags is not installed"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 sdk/tools/reference.py --check sdk/include
python3 sdk/tools/reference.py sdk/include "$work/reference.html"

# missing REFERENCE: names that have no place in it
missing() {
    local header name
    for header in sdk/include/hilum/*.h; do
        name=$(basename "$header" .h)
        ctags -f - --language-force=C --kinds-C=desmtp --fields=+sk "$header" | awk -F'\t' -v h="$name" '
            { owner = ""; for (i = 4; i <= NF; i++) if ($i ~ /^struct:/) owner = substr($i, 8) }
            $1 !~ /_H$/ && owner !~ /__anon/ && $1 !~ /^__anon/ { print h "." (owner && owner != $1 ? owner "." : "") $1 }'
    done | sort -u | while read -r id; do
        grep -qF "id=\"$id\"" "$1" || echo "$id"
    done
}
found=$(missing "$work/reference.html")
[ -z "$found" ] || { echo "not in the reference:"; echo "$found"; exit 1; }

# A test that cannot fail is none.
sed 's/id="host.hilum_host.watch"//' "$work/reference.html" >"$work/less.html"
[ "$(missing "$work/less.html")" = host.hilum_host.watch ] || { echo "a missing function goes unseen"; exit 1; }
cp -r sdk/include "$work/include"
sed -i 's|^    /\* Asks for other events.*\*/$||' "$work/include/hilum/host.h"
! python3 sdk/tools/reference.py --check "$work/include" >"$work/out" || { echo "a function without words goes unseen"; exit 1; }
grep -q 'hilum_host.rewatch' "$work/out"
echo "$(grep -o ' id="' "$work/reference.html" | wc -l) names"
