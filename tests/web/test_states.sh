#!/usr/bin/env bash
# Presentation states beyond the grey ones of single images: of angiography, of several blended series.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"

mkdir -p "$work/server/site"
[ ! -x /usr/bin/ffmpeg ] || echo 'plugins = ( { name = "web-dicomweb"; programs = ( "/usr/bin/ffmpeg" ); } );' >"$work/server/site/20-programs.cfg"
start_web
check "angiography is right" $python "$root/tests/web/angio.py" "$url" "" "$work"
check "blended series are right" $python "$root/tests/web/blends.py" "$url" "" "$work"
check "it stops" stop_server
report
