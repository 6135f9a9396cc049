#!/usr/bin/env bash
# Odil and the Central Test Node as senders, finders and receivers. SPDX-License-Identifier: Apache-2.0
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
# Debian's own interpreter has Debian's modules.
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
for tool in odil movescu simple_storage send_image; do
    command -v $tool >/dev/null || { echo "skip: $tool is not installed (packages dcmtk, odil, ctn)"; exit 77; }
done
$python -c 'import odil, pydicom' 2>/dev/null || { echo "skip: python3-odil or python3-pydicom is not installed"; exit 77; }
exec timeout 120 "$python" "$root/tests/dicom/foreign.py"
