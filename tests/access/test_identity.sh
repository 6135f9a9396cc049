#!/usr/bin/env bash
# Whom a peer speaks for: tests/access/identity.py. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
HILUM_BUILD=$build $python "$root/tests/access/identity.py"
