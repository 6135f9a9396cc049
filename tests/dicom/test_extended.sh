#!/usr/bin/env bash
# Extended negotiation of C-FIND by DCMTK's network layer, and the elements that were at fault.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
[ -x "$build/bin/extended_find" ] || skip "extended_find is not built"

start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };'
$python "$root/tests/dicom/make_find_data.py" "$work/data"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >"$work/store.log" 2>&1 || bad "storescu: $(tail -n 1 "$work/store.log")"

grep -v '^#' "$root/tests/dicom/find_extended.tsv" >"$work/expected"
"$build/bin/extended_find" "$port" HILUM TEST "$work/expected" >"$work/found"
equal "rows" "$(wc -l <"$work/expected")" "$(wc -l <"$work/found")"
while IFS= read -r line; do
    if grep -qxF -- "$line" "$work/expected"; then ok; else bad "found: $line"; fi
done <"$work/found"

# ---- C-MOVE and C-GET say it too (PS3.4 C.4.2.1.5)
movescu -d -S -aet TEST -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=SERIES -k SeriesInstanceUID=1.2.999.1.1 >"$work/move" 2>&1
check "C-MOVE names the missing key" grep -q '(0000,0901) AT (0020,000d)' "$work/move"
check "C-MOVE says it in words" grep -q '(0000,0902) LO \[unique key of level STUDY is missing' "$work/move"
getscu -d -S -aet TEST -aec HILUM -od "$work" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k 'StudyInstanceUID=1.2.999.*' >"$work/get" 2>&1
check "C-GET names the key with a wild card" grep -qi '(0000,0901) AT (0020,000d)\|Offending.*0020,000d' "$work/get"
report
