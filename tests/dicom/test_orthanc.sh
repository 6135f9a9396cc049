#!/usr/bin/env bash
# Orthanc as a peer in both directions: it stores here, asks here, fetches from here; Hilum sends, routes and moves to it.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
# Debian's own interpreter has Debian's modules.
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
command -v Orthanc >/dev/null || { echo "skip: Orthanc is not installed (package orthanc)"; exit 77; }
command -v movescu >/dev/null || { echo "skip: movescu is not installed (package dcmtk)"; exit 77; }
$python -c 'import pydicom' 2>/dev/null || { echo "skip: python3-pydicom is not installed"; exit 77; }
exec timeout 120 "$python" "$root/tests/dicom/orthanc.py"
