#!/usr/bin/env bash
# Every sound file of the shared data folder over the network: in by C-STORE, found by its true name, back bit for bit.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
HILUM_BUILD=$build $python -W ignore "$root/tests/dicom/shared_network.py"
