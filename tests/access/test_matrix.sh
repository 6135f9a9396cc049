#!/usr/bin/env bash
# Routes and DIMSE services x roles x own and foreign study: tests/access/matrix.py. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
HILUM_BUILD=$build $python "$root/tests/access/matrix.py"
