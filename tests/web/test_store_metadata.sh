#!/usr/bin/env bash
# STOW-RS of metadata, JSON and XML, with bulk data. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
command -v dcmcrle >/dev/null || skip "dcmcrle is not installed"
here=$(dirname "${BASH_SOURCE[0]}")

start_web
send_demo
send_rle
$python "$here/../dicom/make_find_data.py" "$work/data" >/dev/null
storescu -q -aec HILUM 127.0.0.1 "$port" "$work"/data/1.2.999.[12].*.dcm >/dev/null 2>&1
for group in charset_synth rt us; do
    [ ! -d "$here/../../../shared/data/dicom/$group" ] || "$build/bin/hilum" --data "$work/server/data" import "$here/../../../shared/data/dicom/$group" >/dev/null 2>&1
done
check "what is told is stored" env PYTHONHASHSEED=1 $python "$here/store_metadata.py" "$url"
check "no bulk data are left" sh -c "[ -z \"\$(ls -A '$work/server/data/web-dicomweb')\" ]"
check "it stops" stop_server
report
