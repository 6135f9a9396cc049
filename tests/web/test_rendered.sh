#!/usr/bin/env bash
# Rendered pictures beside DCMTK's of the same files, and what a presentation state does to them.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v dcmj2pnm >/dev/null || skip "dcmj2pnm is not installed"
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"
fc-list 2>/dev/null | grep -qiE 'wqy|noto.*cjk' || ls /usr/share/fonts/truetype/wqy /usr/share/fonts/opentype/noto >/dev/null 2>&1 ||
    skip "no font with Han characters is installed"

start_web
send_demo
check "pictures are right" $python "$root/tests/web/rendered.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"
if [ -e /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf ] && ls /usr/share/fonts/truetype/*/*Devanagari* >/dev/null 2>&1; then
    check "letters are in order" $python "$root/tests/web/texts.py" "$url" "" "$work"
else
    echo "no DejaVu Sans or no font of Devanagari: texts that need shaping are not looked at"
fi
check "it stops" stop_server
report
