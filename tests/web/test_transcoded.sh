#!/usr/bin/env bash
# Frames by WADO-RS in any compressed syntax our codecs encode: pixels as others decode them, forms as PS3.18 8.7.3.3 has them, made
# once for many. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
for tool in gdcmconv dcmdjpeg dcmdjpls dcmdrle dcmconv ffmpeg ojph_expand; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"

start_web
send_rle
check "frames are right" $python "$root/tests/web/transcoded.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"

# Decoded once and encoded once, for ten at once and for who comes later.
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001/frames/3
before=$(number frame_misses)
for _ in 1 2 3 4 5 6 7 8 9 10; do curl -s -H 'Accept: image/jls' "$rle" -o /dev/null & viewers+=($!); done
wait "${viewers[@]}"
equal "ten viewers, one decoding and one encoding" $((before + 2)) "$(number frame_misses)"
equal "another" 200 "$(status -H 'Accept: image/jls' "$rle")"
equal "has it from memory" $((before + 2)) "$(number frame_misses)"
check "it stops" stop_server
report
