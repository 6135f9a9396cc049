#!/usr/bin/env bash
# Thumbnails: made by the job when a study is complete, kept, made again when lost, no more than the budget.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web "" 'storage = { study_idle = "1s"; duplicates = "replace"; erase_grace = 0; };'
send_demo
kept() { find "$work/server/data/web-dicomweb/thumbnails" -name '*.jpg' 2>/dev/null | wc -l; }
series() { status "$url/dicom-web/series?limit=1000" >/dev/null; grep -o '"0020000E"' "$work/body" | wc -l; }
total=$(series)
all_kept() { [ "$(kept)" -ge "$total" ]; }
check "one of each series is made by itself" await 20 all_kept
equal "and of nothing else" "$total" "$(kept)"
status "$url/dicom-web/series?limit=1" >/dev/null
study=$(grep -o '"0020000D":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
one=$(grep -o '"0020000E":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
at=$url/dicom-web/studies/$study/series/$one/thumbnail
equal "is there" 200 "$(status "$at")"
cp "$work/body" "$work/first"
equal "nothing was drawn for it" "$total" "$(kept)"
etag=$(sed -n 's/^[Ee][Tt]ag: *\(.*\)\r/\1/p' "$work/head")
equal "and not sent twice" 304 "$(status -H "If-None-Match: $etag" "$at")"
rm -r "$work/server/data/web-dicomweb/thumbnails"
equal "lost, it is made again" 200 "$(status "$at")"
check "as it was" cmp "$work/first" "$work/body"
equal "and kept" 1 "$(kept)"
equal "of a study" 200 "$(status "$url/dicom-web/studies/$study/thumbnail")"
check "is a JPEG" sh -c "head -c 3 '$work/body' | od -An -tx1 | grep -q 'ff d8 ff'"
: >"$(find "$work/server/data/web-dicomweb/thumbnails" -name '*.jpg' | head -1)"
equal "an empty file is none" 200 "$(status "$at")"
check "it is drawn" cmp "$work/first" "$work/body"
# Where frames of a compressed object lie is found out by itself too.
maps() { find "$work/server/data/derived/frames" -name '*.map' 2>/dev/null | wc -l; }
equal "nothing of the demo needs a map" 0 "$(maps)"
send_rle
map_is_there() { [ "$(maps)" -ge 1 ]; }
check "a map is made by itself" await 20 map_is_there
equal "and used" 200 "$(status -H 'Accept: application/octet-stream' "$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001/frames/3")"
# What was made of an object goes with it: of frames that were looked at, too.
at=$url/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
equal "a picture of it" 200 "$(status "$at/thumbnail")"
equal "and of a frame" 200 "$(status "$at/frames/3/thumbnail")"
settled 1
before=$(find "$work/server/data/derived/frames" -name '*.map'; find "$work/server/data/web-dicomweb/thumbnails" -name '*-3-*.jpg')
equal "are two files and more" true "$([ "$(wc -l <<<"$before")" -ge 2 ] && echo true)"
dcmodify -nb -i '(0010,4000)=replaced' "$work/rle.dcm"
storescu -q -xr -aec HILUM 127.0.0.1 "$port" "$work/rle.dcm"
are_gone() { local f; while read -r f; do [ ! -e "$f" ] || return 1; done <<<"$before"; }
check "they go when it is replaced and erased" await 20 are_gone
equal "the other content has its own" 200 "$(status "$at/frames/3/thumbnail")"
check "which stays" sh -c "[ -n \"\$(find '$work/server/data/web-dicomweb/thumbnails' -name '*-3-*.jpg')\" ]"
# Metadata are read when a study is complete: nobody who asks waits for its objects, whatever name he knows us by.
status "$url/dicom-web/instances?PatientID=DEMO-0001&limit=1&offset=30" >/dev/null
study=$(grep -o '"0020000D":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
instance=$(grep -o '"00080018":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
prepared() { "$build/bin/hilum" --data "$work/server/data" --json job list --all | grep -q 'metadata.*:65'; }
check "metadata are prepared by themselves" await 20 prepared
settled 67
file=$(find "$work/server/data/objects/objects" -name '*.dcm' -exec grep -l "$instance" {} + | head -1)
mv "$file" "$work/away"
equal "and asked for without the objects" 200 "$(status "$url/dicom-web/studies/$study/metadata")"
check "all of them" $python - "$work/body" "$url" <<'PY'
import json, sys
told = json.load(open(sys.argv[1]))
sys.exit(0 if len(told) == 65 and all(t["7FE00010"]["BulkDataURI"].startswith(sys.argv[2] + "/dicom-web/studies/") for t in told) else str(told)[:300])
PY
equal "by another name of ours" 200 "$(status -H "Host: 127.0.0.2:80" "$url/dicom-web/studies/$study/metadata")"
check "with that name" sh -c "grep -q '\"BulkDataURI\":\"http://127.0.0.2:80/dicom-web/studies/' '$work/body' && ! grep -q 'hilum:/' '$work/body'"
mv "$work/away" "$file"
check "it stops" stop_server
report
