#!/usr/bin/env bash
# dicomweb-client (npm), which OHIF and others are built on, against a server.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
modules=$root/build/dicomweb
command -v npm >/dev/null || skip "npm is not installed"
mkdir -p "$modules"
cp "$root"/tests/web/client/* "$modules"
[ -d "$modules/node_modules/dicomweb-client" ] ||
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >/dev/null 2>&1 || skip "npm could not install dicomweb-client"

start_web
send_demo
check "the client runs" sh -c "node '$modules/client.js' '$url/dicom-web' >'$work/seen'"
seen() { equal "$1" "$2" "$($python -c 'import json,sys; a=json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$work/seen" "$3")"; }
seen "searches" "[1, 2, 0]" '[a["studies"], a["series"], a["none"]]'
seen "metadata" "[65, True]" '[a["studyMetadata"], a["seriesMetadata"] == a["instances"]]'
seen "instances" "['DICM', True, 65]" '[a["magic"], a["seriesFiles"] == a["instances"], a["studyFiles"]]'
seen "a frame, and it as bulk data" "[True, True, 0]" '[a["frame"] == a["pixels"], a["bulk"] == a["pixels"], a["equal"]]'
seen "a frame as JPEG-LS" "['ffd8fff7', True]" 'a["coded"]'
seen "an instance stored" 1 'len(a["stored"]["00081199"]["Value"])'
check "it stops" stop_server
report
