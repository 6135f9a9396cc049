#!/usr/bin/env bash
# Hilum as DICOMweb client of a peer that answers as no DICOMweb server does. SPDX-License-Identifier: Apache-2.0
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
$python -c 'import pydicom' 2>/dev/null || { echo "skip: python3-pydicom is not installed"; exit 77; }
exec timeout 120 "$python" "$root/tests/web/hostile_carrier.py"
