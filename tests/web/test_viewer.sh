#!/usr/bin/env bash
# OHIF against Hilum in a browser: sign-in, list, a study displayed, and the pixel values under the cursor, of slices that our
# encoders wrote and the browser's decoders read: as they were, JPEG-LS, JPEG 2000, HTJ2K, lossless JPEG and RLE.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
modules=$("$root/tests/web/pages/install.sh") || skip "$modules"
viewer=$build/lib/hilum/web/viewer-ohif
[ -f "$viewer/index.html" ] || "$root/plugins/viewer-ohif/install.sh" "$viewer" 2>"$work/install" || skip "$(tail -n 1 "$work/install")"

mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/encoded.lua" <<'LUA'
local syntaxes = {"jpegls", "j2k", "htj2k", "jpeg-lossless", "rle"}
hilum.on{event = "instance.received", phase = "transform", name = "site/encoded", run = function(ev)
  local syntax = syntaxes[tonumber(ev.InstanceNumber) % 6]
  if ev.Modality == "CT" and syntax then ev:compress(syntax, {when = "ingest"}) end
end}
LUA
start_web 'unknown_clients = "refuse";' '' '{ name = "auth-local"; required = true; }, { name = "web-shell"; }, { name = "web-admin"; }, { name = "viewer-ohif"; required = true; },'
send_demo
sign_up viewer administrator
# What the values are is read from the objects by pydicom.
bearer=$("$build/bin/hilum" --data "$work/server/data" --json token create reader administrator | $python -c 'import json,sys; print(json.load(sys.stdin)["token"])')
check "the objects, read by another" $python - "$url" "$bearer" "$password" >"$work/expected.json" <<'PY'
import io, json, sys, urllib.request
import pydicom
url, bearer, password = sys.argv[1:]
study = "2.25.31074444438814285357292730408721544579"
def get(path):
    return urllib.request.urlopen(urllib.request.Request(url + path, headers={"Authorization": "Bearer " + bearer})).read()
series = next(s for s in json.loads(get(f"/dicom-web/studies/{study}/series")) if s["00201209"]["Value"][0] == 64)["0020000E"]["Value"][0]
uids = [i["00080018"]["Value"][0] for i in json.loads(get(f"/dicom-web/studies/{study}/series/{series}/instances"))]
slices, stored = [], {}
for uid in uids[20:32]:
    as_is = get(f"/dicom-web/studies/{study}/series/{series}/instances/{uid}?accept=application/dicom%3Btransfer-syntax=*")
    stored[pydicom.dcmread(io.BytesIO(as_is), stop_before_pixels=True).file_meta.TransferSyntaxUID] = uid
assert len(stored) == 6, stored.keys()
for uid in stored.values():
    data = pydicom.dcmread(io.BytesIO(get(f"/wado?requestType=WADO&studyUID={study}&seriesUID={series}&objectUID={uid}"
                                          "&contentType=application/dicom&transferSyntax=1.2.840.10008.1.2.1")))
    pixels = data.pixel_array * int(data.RescaleSlope) + int(data.RescaleIntercept)
    slices.append({"uid": uid, "pixels": pixels.tolist()})
json.dump({"user": "viewer", "password": password, "study": study, "slices": slices}, sys.stdout)
PY
check "in the browser" sh -c "HILUM_URL=$url HILUM_EXPECTED='$work/expected.json' node '$modules/ohif.mjs' >'$work/browser' 2>&1 || { cat '$work/browser'; exit 1; }"
check "it stops" stop_server
report
