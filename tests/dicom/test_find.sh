#!/usr/bin/env bash
# C-FIND against the table written from PS3.4, by a foreign client.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };'
$python "$root/tests/dicom/make_find_data.py" "$work/data"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >"$work/store.log" 2>&1 || bad "storescu: $(tail -1 "$work/store.log")"

result=$($python "$root/tests/dicom/run_find.py" "$port" HILUM FINDSCU "$work")
echo "$result" | sed '$d'
equal "table" "$(grep -vc '^#' "$root/tests/dicom/find.tsv") passed, 0 failed" "$(echo "$result" | tail -1)"
report
