#!/usr/bin/env bash
# Ranges of what streams. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v dcmcrle >/dev/null || skip "dcmcrle is not installed"
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"

start_web
send_rle
send_demo
check "ranges are parts of the whole" $python "$root/tests/web/ranges.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"
check "it stops" stop_server
report
