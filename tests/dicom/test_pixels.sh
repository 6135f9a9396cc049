#!/usr/bin/env bash
# Compressed files of the shared data, decoded and compared with what foreign decoders make of them.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
data=${HILUM_SHARED_DATA:-$root/../shared/data}
[ -d "$data/dicom" ] || skip "no shared data ($data)"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
for tool in gdcmconv dcmdjpeg dcmdjpls dcmdrle ojph_expand; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
$python "$root/tests/dicom/pixels.py" "$data" "$build" "$work" ${HILUM_ALL:+--all}
