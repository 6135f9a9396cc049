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

# Two at once, told before anything is drawn or copied for a third.
cat >"$work/slow" <<SLOW
#!/bin/sh
echo >>"$work/running"
while [ -e "$work/hold" ]; do sleep 0.05; done
exec /usr/bin/ffmpeg "\$@"
SLOW
chmod +x "$work/slow"
echo "plugins = ( { name = \"web-dicomweb\"; programs = ( \"$work/slow\" ); options = { ffmpeg = \"$work/slow\"; }; } );" \
    >"$work/server/site/20-programs.cfg"
: >"$work/hold"
echo left >"$work/server/data/web-dicomweb/stream-killed"
start_web
check "what a kill left is gone" test ! -e "$work/server/data/web-dicomweb/stream-killed"
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
films=()
for size in 48 56; do
    curl -s -o "$work/film.$size" -w '%{http_code}' -H 'Accept: video/mp4' "$rle/rendered?viewport=$size,$size" >"$work/code.$size" &
    films+=($!)
done
are_running() { [ "$(cat "$work/running" 2>/dev/null | wc -l)" -ge 2 ]; }
check "two are made" await 10 are_running
if [ -d "$data" ]; then
    at=$url/${at#http*://*/}
    touched() { stat -c %y "$work/server/data/web-dicomweb"; }
    before=$(touched)
    equal "a third comes again later" 503 "$(status -H 'Accept: video/mp4' "$at/rendered?viewport=64,64")"
    equal "and its stream was not copied" "$before" "$(touched)"
    equal "nor a still's" 503 "$(status -H 'Accept: image/png' "$at/rendered")"
    equal "a thumbnail is not absent for that" 503 "$(status "$at/thumbnail?viewport=50,50")"
    equal "and theirs was not copied either" "$before" "$(touched)"
fi
rm "$work/hold"
wait "${films[@]}"
equal "the two come to their end" h264,3 "$(probe "$work/film.56")"
stop_server
rm "$work/server/site/20-programs.cfg"
start_web
rle=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
equal "without ffmpeg" 501 "$(status -H 'Accept: video/mp4' "$rle/rendered?viewport=32,32")"
check "it says what to do" grep -q 'programs = ' "$work/body"
check "it stops" stop_server
report
