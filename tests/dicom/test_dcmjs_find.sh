#!/usr/bin/env bash
# The table written from PS3.4 once more, by a client that shares no code with DCMTK: dcmjs-dimse.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
modules=$("$root/tests/dicom/dcmjs/install.sh") || skip "$modules"

start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };'
$python "$root/tests/dicom/make_find_data.py" "$work/data"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >"$work/store.log" 2>&1 || bad "storescu: $(tail -1 "$work/store.log")"
cp "$root/tests/dicom/dcmjs/find.js" "$modules"
result=$($python "$root/tests/dicom/run_find.py" "$port" HILUM DCMJS "$work" "$modules/find.js")
echo "$result"
rows=$(grep -vc '^#' "$root/tests/dicom/find.tsv")
left_out=$(echo "$result" | grep -c '^skip ')
equal "table" "$((rows - left_out)) passed, 0 failed, $left_out skipped" "$(echo "$result" | tail -1)"
# A client that could do less than this would not be a second opinion.
check "few rows are left out" [ "$left_out" -le 10 ]
report
