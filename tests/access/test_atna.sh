#!/usr/bin/env bash
# The audit record at a collector: tests/access/atna.py. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
command -v openssl >/dev/null || skip "openssl is not installed"
HILUM_BUILD=$build $python "$root/tests/access/atna.py"
