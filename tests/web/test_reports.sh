#!/usr/bin/env bash
# Structured reports rendered as text. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

start_web
check "reports are shown" $python "$root/tests/web/reports.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"
check "it stops" stop_server
report
