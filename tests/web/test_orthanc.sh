#!/usr/bin/env bash
# Orthanc's DICOMweb plugin as client: it stores here, searches here, retrieves from here.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || { echo "skip: package orthanc-dicomweb is not installed"; exit 77; }
$python -c 'import pydicom' 2>/dev/null || { echo "skip: python3-pydicom is not installed"; exit 77; }
exec timeout 120 "$python" "$root/tests/web/orthanc.py"
