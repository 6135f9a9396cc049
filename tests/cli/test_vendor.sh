#!/usr/bin/env bash
# A vendor's plugin that uses what the host lends, in a whole server beside Orthanc. SPDX-License-Identifier: Apache-2.0
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
exec timeout 120 $python "$(dirname "$0")/vendor.py"
