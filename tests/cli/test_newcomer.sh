#!/usr/bin/env bash
# What a new vendor did with sdk/README.md and the installed headers alone, kept: a store on a ring of files and a service of a
# private SOP class, from hilum-plugin-new to a server that works with them. SPDX-License-Identifier: Apache-2.0
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
$python -c 'import pydicom' 2>/dev/null || { echo "skip: python3-pydicom is not installed"; exit 77; }
command -v dcmsend >/dev/null || { echo "skip: dcmsend is not installed (dcmtk)"; exit 77; }
exec timeout 180 $python "$(dirname "$0")/newcomer.py"
