#!/usr/bin/env bash
# The archive shrinks by rule and loses nothing: before storage, afterwards with the original kept for a while, and by a
# schedule. What leaves is what came, pixel by pixel, whatever lies in the store; a crash in between leaves it too.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"

at=$(free_port)
mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/compress.lua" <<'LUA'
hilum.on{event = "instance.received", phase = "transform", name = "site/small", where = "PatientID=IN", run = function(ev)
  ev:compress("jpegls", {when = "ingest"})
end}
hilum.on{event = "instance.stored", name = "site/later", where = "PatientID=AFTER", run = function(ev)
  ev:compress("htj2k")
end}
hilum.on{event = "instance.stored", name = "site/soon", where = "PatientID=SOON", run = function(ev)
  ev:compress("jpegxl", {keep_original = "1s"})
end}
hilum.on{event = "schedule.due", name = "site/old", where = "schedule=tick", run = function(ev)
  -- older: not what another rule is about to take
  ev:compress("jpegls", {modality = "MR", larger_than = "1KiB", older_than = "3s", limit = 10})
end}
LUA
site="dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; }; schedules = ( { name = \"tick\"; every = \"2s\"; } );
peers = ( { name = \"plain\"; aet = \"PLAIN\"; host = \"127.0.0.1\"; port = $at; transfer_syntaxes = ( \"ExplicitVRLittleEndian\" ); idle = \"0s\"; },
          { name = \"stored\"; aet = \"STORED\"; host = \"127.0.0.1\"; port = $at; idle = \"0s\"; } );"
start_server "$site"
start_receiver "$work/got" "$at" ANY
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
check_py="$root/tests/dicom/transcode.py"
send() { # send PATIENT STUDY
    $python "$check_py" make "$work/$2" "$1" "$2"
    storescu -aec HILUM -xi 127.0.0.1 "$port" "$work/$2/ct.dcm" >/dev/null 2>&1 || bad "storescu of CT"
    storescu -aec HILUM 127.0.0.1 "$port" "$work/$2/"{deep,rgb,multi}.dcm >"$work/store.log" 2>&1 || bad "storescu: $(tail -n 1 "$work/store.log")"
}
# comes_back STUDY: uncompressed, what was sent.
comes_back() {
    rm -f "$work"/got/*
    movescu -S -aet WS1 -aec HILUM -aem PLAIN 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID="$1" >/dev/null 2>&1
    $python "$check_py" check "$work/$1" "$work/got" 1.2.840.10008.1.2.1
}
# syntaxes STUDY [--as-received]: of what lies in the store, sorted.
syntaxes() {
    rm -rf "$work/exported"
    hilum export "$1" "$work/exported" "${@:2}" >/dev/null 2>&1
    for f in "$work"/exported/*; do [ -e "$f" ] || continue; $python -c 'import pydicom, sys; print(pydicom.dcmread(sys.argv[1], stop_before_pixels=True).file_meta.TransferSyntaxUID)' "$f"; done | sort | uniq -c | sed 's/^ *//' | paste -sd,
}
is_all() { [ "$(syntaxes "$1")" = "4 $2" ]; }
# in_report RULE KEY: a number
in_report() { hilum --json store report | $python -c 'import json, sys; print(sum(r[sys.argv[2]] for r in json.loads(sys.stdin.read()) if r["rule"] == sys.argv[1]))' "$1" "$2"; }

# ---- before storage
send IN 1.2.999.71
equal "what lies in the store" "4 1.2.840.10008.1.2.4.80" "$(syntaxes 1.2.999.71)"
check "what comes back" comes_back 1.2.999.71
send_again=$(hilum --json status | $python -c 'import json, sys; print(json.load(sys.stdin)["record"]["instances"])')
encoded=$(in_report site/small done)
storescu -aec HILUM 127.0.0.1 "$port" "$work/1.2.999.71/"{deep,rgb,multi}.dcm >/dev/null 2>&1 || bad "storescu of known objects"
equal "a resend adds nothing" "$send_again" "$(hilum --json status | $python -c 'import json, sys; print(json.load(sys.stdin)["record"]["instances"])')"
equal "nor is it encoded" "4 4" "$encoded $(in_report site/small done)"
check "nor is it strange" sh -c "! '$build/bin/hilum' --data '$work/server/data' quarantine list | grep 1.2.999.71"

# ---- afterwards
send AFTER 1.2.999.72
check "what lies in the store, in a while" await 15 is_all 1.2.999.72 1.2.840.10008.1.2.4.201
check "what comes back" comes_back 1.2.999.72
equal "the originals are there still" "1 1.2.840.10008.1.2,3 1.2.840.10008.1.2.1" "$(syntaxes 1.2.999.72 --as-received)"
check "byte for byte" sh -c "for n in 2 3 4; do grep -rlF 1.2.999.72.1.\$n '$work/exported' >/dev/null || exit 1; done"
equal "the report counts" 4 "$(in_report site/later done)"
check "and saves" test "$(in_report site/later bytes_after)" -lt "$(in_report site/later bytes_before)"

# ---- the original goes when its time has come
send SOON 1.2.999.73
check "compressed" await 15 is_all 1.2.999.73 1.2.840.10008.1.2.4.110
gone() { [ "$(syntaxes 1.2.999.73 --as-received)" = "4 1.2.840.10008.1.2.4.110" ]; }
check "originals are erased" await 15 gone
check "what comes back" comes_back 1.2.999.73

# ---- by a schedule: the MR that no other rule was for
send OTHER 1.2.999.74
mixed() { syntaxes 1.2.999.74 | grep -q '1 1.2.840.10008.1.2.4.80'; }
check "the schedule finds the MR" await 15 mixed
check "what comes back" comes_back 1.2.999.74
check "fsck is content" sh -c "'$build/bin/hilum' --data '$work/server/data' archive fsck >/dev/null"

# ---- killed while it works
send AFTER 1.2.999.75
for n in 1 2 3; do
    sleep 0.$((n * 2))
    kill -9 "$server"; wait "$server" 2>/dev/null
    start_server "$site"
done
check "goes on where it was" await 60 is_all 1.2.999.75 1.2.840.10008.1.2.4.201
check "what comes back" comes_back 1.2.999.75
check "fsck is content after crashes" sh -c "'$build/bin/hilum' --data '$work/server/data' archive fsck >/dev/null"

# ---- the catalogue is lost: compressed objects and their originals are one object each, and a resend is known
sums() { hilum --json store report | $python -c 'import json, sys; print(sorted((r["rule"], r["syntax"], r["done"], r["kept"], r["work_us"], r["last_us"], r["last_kept"], r["bytes_before"], r["bytes_after"]) for r in json.loads(sys.stdin.read())))'; }
before=$(sums)
check "something was saved" test "$before" != '[]'
stop_server
rm -f "$work"/server/data/catalog* "$work"/server/data/*.db*
start_server "$site"
hilum archive rebuild >"$work/rebuilt" 2>&1 || bad "rebuild: $(tail -n 2 "$work/rebuilt")"
equal "what compression has saved comes back" "$before" "$(sums)"
for one in 71 72 73 74 75; do
    check "what comes back of study $one" comes_back "1.2.999.$one"
done
storescu -aec HILUM 127.0.0.1 "$port" "$work/1.2.999.71/"{deep,rgb,multi}.dcm >/dev/null 2>&1 || bad "storescu after the rebuild"
equal "nothing is strange" "" "$(hilum quarantine list | grep 1.2.999.7)"

# ---- one object that cannot be read does not keep the rest from getting smaller
stop_server
start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };' # no schedule yet
send OTHER 1.2.999.76
send OTHER 1.2.999.77
stop_server
file=$(grep -rlF 1.2.999.76.1. "$work/server/data" | $python -c 'import pydicom, sys
for path in sys.stdin.read().split():
    try: print(path) if pydicom.dcmread(path).Modality == "MR" else None
    except pydicom.errors.InvalidDicomError: pass')
check "one MR lies there" test -f "$file"
mv "$file" "$work/away" && ln -s "$work/nowhere" "$file" # the store follows no links: an error of reading, not "not there"
start_server "$site"
mixed() { syntaxes 1.2.999.77 | grep -q '1 1.2.840.10008.1.2.4.80'; }
check "the schedule goes past an object that cannot be read" await 20 mixed
check "and says that it is left" sh -c "'$build/bin/hilum' --data '$work/server/data' --json job list | grep -q 'left for now'"
rm "$file" && mv "$work/away" "$file"
mixed() { syntaxes 1.2.999.76 | grep -q '1 1.2.840.10008.1.2.4.80'; }
check "and comes back to it when it can be" await 20 mixed
report
