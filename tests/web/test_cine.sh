#!/usr/bin/env bash
# Moving pictures by ffmpeg as a child process: a multi-frame object as MP4, stored videos as MP4 and as a still; and what is
# said where the configuration names no ffmpeg. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v ffprobe >/dev/null || skip "ffmpeg is not installed"
data=${HILUM_SHARED_DATA:-$root/../shared/data}/dicom/video

mkdir -p "$work/server/site"
echo 'plugins = ( { name = "web-dicomweb"; programs = ( "/usr/bin/ffmpeg" ); } );' >"$work/server/site/20-programs.cfg"
start_web
send_rle
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
equal "frames as a film" 200 "$(status -H 'Accept: video/mp4' "$rle/rendered")"
probe() { ffprobe -v error -count_frames -show_entries stream=codec_name,nb_read_frames -of csv=p=0 "$1"; }
equal "of three pictures" h264,3 "$(probe "$work/body")"
equal "in parts" 206 "$(status -H 'Accept: video/mp4' -H 'Range: bytes=0-99' "$rle/rendered")"
equal "is kept" 1 "$(find "$work/server/data/web-dicomweb" -name '*.mp4' | wc -l)"
equal "and of another size" 200 "$(status -H 'Accept: video/mp4' "$rle/rendered?viewport=64,64")"
equal "too" h264,3 "$(probe "$work/body")"
if [ -d "$data" ]; then
    store() { curl -s -H 'Content-Type: application/dicom' --data-binary "@$1" "$url/dicom-web/studies" |
        grep -o '00081190":{"vr":"UR","Value":\["[^"]*instances[^"]*' | head -1 | sed 's/.*"//'; }
    for name in mpeg2_mpml_576x720 avc_hp41_720p; do
        at=$(store "$data/$name.dcm")
        equal "$name plays" 200 "$(status -H 'Accept: video/mp4' "$at/rendered")"
        check "in a browser" sh -c "ffprobe -v error -show_entries stream=codec_name -of csv=p=0 '$work/body' | grep -q h264"
    done
    equal "a still" 200 "$(status -H 'Accept: image/png' "$at/rendered?viewport=320,320")"
    check "is a picture" sh -c "head -c 8 '$work/body' | od -An -tx1 | grep -q '89 50 4e 47'"
    equal "a thumbnail" 200 "$(status "$at/thumbnail")"
fi
stop_server
rm "$work/server/site/20-programs.cfg"
start_web
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
equal "without ffmpeg" 501 "$(status -H 'Accept: video/mp4' "$rle/rendered?viewport=32,32")"
check "it says what to do" grep -q 'programs = ' "$work/body"
check "it stops" stop_server
report
