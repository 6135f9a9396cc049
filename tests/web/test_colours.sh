#!/usr/bin/env bash
# Pictures whose colours need more than their numbers: ICC profiles, states of colours, blended pictures.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"

start_web
check "colours are right" $python "$root/tests/web/colours.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"
check "it stops" stop_server
report
