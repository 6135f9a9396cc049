#!/usr/bin/env bash
# Attributes as XML: QIDO-RS and metadata say the same as their JSON. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

start_web
send_demo
$python "$(dirname "${BASH_SOURCE[0]}")/../dicom/make_find_data.py" "$work/data" >/dev/null
storescu -q -aec HILUM 127.0.0.1 "$port" "$work"/data/*.dcm >/dev/null 2>&1
shared=$(dirname "${BASH_SOURCE[0]}")/../../../shared/data/dicom
for group in charset_synth sr_ko_pr_doc rt; do
    [ ! -d "$shared/$group" ] || "$build/bin/hilum" --data "$work/server/data" import "$shared/$group" >/dev/null 2>&1
done
check "XML and JSON say the same" $python "$(dirname "${BASH_SOURCE[0]}")/forms.py" "$url"
check "it stops" stop_server
report
