#!/usr/bin/env bash
# Files of the shared data in every lossless syntax: they come back as they were, and foreign decoders find the same pixels.
# HILUM_ALL=1: all of them, for the table in plugins/README.md. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
data=${HILUM_SHARED_DATA:-$root/../shared/data}
[ -d "$data/dicom" ] || skip "no shared data ($data)"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
for tool in gdcmconv dcmdjpeg dcmdjpls dcmdrle ojph_expand djxl; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done
$python "$root/tests/dicom/encoders.py" "$data" "$build" "$work" ${HILUM_ALL:+--all}
