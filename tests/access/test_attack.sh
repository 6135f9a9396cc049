#!/usr/bin/env bash
# Ways around, and what stands there: tests/access/attack.py. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
HILUM_BUILD=$build $python "$root/tests/access/attack.py"
