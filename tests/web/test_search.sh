#!/usr/bin/env bash
# QIDO-RS over the demo studies: levels, matching, includefield, paging, refusals; every answer is DICOM JSON.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web
send_demo
dw=$url/dicom-web
study=2.25.31074444438814285357292730408721544579

# matches WHAT PATH-AND-QUERY EXPRESSION: of the JSON answer, as `a`; v(i, TAG) is the first value of a tag.
matches() {
    code=$(status -H 'Accept: application/dicom+json' "$dw/$2")
    check "$1" $python - "$code" "$work/body" "$3" <<'PY'
import json, sys
code, path, expression = int(sys.argv[1]), sys.argv[2], sys.argv[3]
text = open(path, encoding="utf-8").read()
a = json.loads(text) if text else []
def v(i, tag): return a[i][tag]["Value"][0]
sys.exit(0 if eval(expression) else f"{code} {text[:300]}")
PY
}

matches "all studies" "studies" 'code == 200 and len(a) == 3'
matches "what a study returns" "studies?PatientID=DEMO-0001" \
    'set("00080020 00080030 00080050 00080056 00080061 00080090 00081190 00100010 00100020 00100030 00100040 0020000D 00200010 00201206 00201208".split()) <= set(a[0]) and v(0,"00100010") == {"Alphabetic":"Wang^Xiaoming","Ideographic":"王^小明"} and a[0]["00100010"]["vr"] == "PN" and v(0,"00201208") == 65 and v(0,"00080005") == "ISO_IR 192"'
matches "RetrieveURL" "studies?PatientID=DEMO-0001" "v(0,'00081190') == '$dw/studies/$study'"
matches "by tag" "studies?00100020=DEMO-0001" 'len(a) == 1'
matches "wild card" "studies?PatientName=Wang*" 'len(a) == 1'
matches "another script, fuzzy" "studies?PatientName=%E5%B0%8F%E6%98%8E&fuzzymatching=true" 'len(a) == 1'
matches "range" "studies?StudyDate=20260101-20261231" 'len(a) == 3'
matches "UIDs by comma" "studies?StudyInstanceUID=1.2.3,$study" 'len(a) == 1'
matches "nothing" "studies?PatientID=NOBODY" 'code == 204 and a == []'
matches "limit" "studies?limit=2" 'len(a) == 2'
first=$(grep -o '2\.25\.[0-9]*' "$work/body" | sort -u)
check "more are announced" grep -qi '^warning: 299' "$work/head"
matches "offset" "studies?limit=2&offset=2" 'len(a) == 1'
check "pages do not overlap" sh -c "! grep -qF \"\$1\" '$work/body'" _ "$(head -1 <<<"$first")"
matches "offset beyond" "studies?offset=9" 'code == 204'
matches "includefield" "studies?PatientID=DEMO-0001&includefield=PatientComments,00080080" '"00104000" in a[0] and "00080080" in a[0]'
matches "includefield=all" "studies?PatientID=DEMO-0001&includefield=all" '"00101010" in a[0]'
matches "series of a study" "studies/$study/series" 'len(a) == 2 and all(set("00080060 0020000E 00200011 00201209".split()) <= set(x) for x in a) and "00100010" not in a[0]'
matches "series of all" "series?Modality=CT" 'len(a) == 2 and "00100010" in a[0]'
series=$(grep -o '"0020000E":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
matches "instances of a series" "studies/$study/series/$series/instances?limit=1" 'v(0,"00080018") and v(0,"00280010") > 0 and v(0,"00081190").endswith(v(0,"00080018"))'
matches "instances of a study" "studies/$study/instances" 'len(a) == 65'
matches "instances of all" "instances?SOPClassUID=1.2.840.10008.5.1.4.1.1.2&limit=3" 'len(a) == 3 and "00100010" in a[0]'
matches "what only objects know" "studies/$study/instances?limit=2&includefield=PixelSpacing,ImageType" 'len(a) == 2 and any(len(x.get("00280030", {}).get("Value", [])) == 2 for x in a) and "00080008" in a[1] and list(a[0]) == sorted(a[0])'
matches "everything an instance has" "studies/$study/instances?limit=1&includefield=all" '"00180060" in a[0] and "00280030" in a[0] and "BulkDataURI" in a[0]["7FE00010"]'
printf '(0008,0016) UI =SecondaryCaptureImageStorage\n(0008,0018) UI [2.25.5551]\n(0020,000d) UI [2.25.5553]\n(0020,000e) UI [2.25.5552]\n(0008,0060) CS [OT]\n(0010,0020) LO [EXTRAS]\n(0010,2180) SH [Miner]\n(0008,0070) LO [Acme]\n(0018,0060) DS [120]\n(0012,0020) LO [P-7]\n(0008,1032) SQ (s)\n(fffe,e000) na (i)\n(0008,0100) SH [C1]\n(fffe,e00d) na (e)\n(fffe,e0dd) na (e)\n' >"$work/extra.dump"
dump2dcm -q "$work/extra.dump" "$work/extra.dcm" && storescu -q -aec HILUM 127.0.0.1 "$port" "$work/extra.dcm"
matches "of a study, what one instance tells" "studies?PatientID=EXTRAS&includefield=Occupation,00081032.00080100,KVP" 'v(0,"00102180") == "Miner" and a[0]["00081032"]["Value"][0]["00080100"]["Value"] == ["C1"] and v(0,"00180060") == 120 and "00120020" not in a[0]'
check "nothing is left out" sh -c "! grep -qi '^warning' '$work/head'"
matches "all of a study is of the study" "studies?PatientID=EXTRAS&includefield=all" 'v(0,"00102180") == "Miner" and v(0,"00120020") == "P-7" and "00081032" in a[0] and not {"00080070", "00180060"} & set(a[0])'
matches "all of a series is of the series" "studies/2.25.5553/series?includefield=all" 'v(0,"00080070") == "Acme" and v(0,"00102180") == "Miner" and "00180060" not in a[0]'
matches "of several" "series?Modality=CT&includefield=KVP" 'len(a) == 2 and all("00180060" in x for x in a)'
matches "a key that is not kept" "studies?PatientID=DEMO-0001&StationAETitle=X" 'len(a) == 1'
check "is told" grep -qi '^warning: 299.*not kept' "$work/head"
matches "the accept parameter" "studies?accept=application/json" 'code == 200'

equal "not JSON" 406 "$(status -H 'Accept: image/png' "$dw/studies")"
equal "JSON refused by quality" 406 "$(status -H 'Accept: application/dicom+json;q=0, application/json;q=0' "$dw/studies")"
equal "no attribute" 400 "$(status "$dw/studies?NoSuchThing=1")"
check "is named" grep -q NoSuchThing "$work/body"
equal "a limit that is none" 400 "$(status "$dw/studies?limit=-1")"
equal "a date that is none" 400 "$(status "$dw/studies?StudyDate=yesterday")"
equal "a UID that is none" 400 "$(status "$dw/studies/abc/series")"
equal "no deleting" 405 "$(status -X DELETE "$dw/studies")"
check "gzip" sh -c "curl -s -H 'Accept-Encoding: gzip' '$dw/studies/$study/instances' | gzip -t"
check "it stops" stop_server
report
