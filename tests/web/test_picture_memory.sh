#!/usr/bin/env bash
# Large pictures asked for at once wait for each other's memory. SPDX-License-Identifier: Apache-2.0
exec timeout 120 python3 "$(dirname "$0")/picture_memory.py"
