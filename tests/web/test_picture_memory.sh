#!/usr/bin/env bash
# Large pictures asked for at once wait for each other's memory. SPDX-License-Identifier: Apache-2.0
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3 # Debian's own has Debian's modules
$python -c 'import numpy, pydicom' 2>/dev/null || { echo "SKIP: python3-numpy, python3-pydicom are not installed"; exit 77; }
exec timeout 120 $python "$(dirname "$0")/picture_memory.py"
