#!/usr/bin/env bash
# Frames by WADO-RS: any frame of any object, decoded in the colours its metadata promise, decoded once for many, found by a
# kept map. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import numpy, pydicom' 2>/dev/null || skip "python3-numpy, python3-pydicom are not installed"

start_web
send_rle
check "frames are right" $python "$root/tests/web/frames.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"

# Decoded once, for ten at once and for who comes later.
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001/frames/3
before=$(number frame_misses)
for _ in 1 2 3 4 5 6 7 8 9 10; do curl -s -H 'Accept: application/octet-stream' "$rle" -o /dev/null & viewers+=($!); done
wait "${viewers[@]}"
equal "ten viewers, one decoding" $((before + 1)) "$(number frame_misses)"
check "the others had it from memory" [ "$(number frame_hits)" -ge 1 ]

# The map: kept, not believed when it is damaged, made again when it is lost.
maps() { find "$work/server/data/derived/frames" -name '*.map' 2>/dev/null; }
check "a map is kept" [ "$(maps | wc -l)" -ge 1 ]
status -H 'Accept: application/octet-stream' "$rle" >/dev/null && cp "$work/body" "$work/sound"
maps | while read -r file; do printf damaged | dd of="$file" bs=1 seek=100 conv=notrunc status=none; done
equal "with a damaged map" 200 "$(status -H 'Accept: application/octet-stream' "$rle")"
check "the frame is right" cmp "$work/sound" "$work/body"
rm -r "$work/server/data/derived"
equal "without any" 200 "$(status -H 'Accept: application/octet-stream' "$rle")"
check "the frame is right" cmp "$work/sound" "$work/body"
equal "and there is one again" 1 "$(maps | wc -l)"
check "wrong headers, right pixels" $python "$root/tests/web/wrong_headers.py" "$url" "${HILUM_SHARED_DATA:-$root/../shared/data}" "$work"
check "it stops" stop_server
report
