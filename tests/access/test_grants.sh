#!/usr/bin/env bash
# What roles see of the archive: tests/access/grants.py. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
HILUM_BUILD=$build $python "$root/tests/access/grants.py"
