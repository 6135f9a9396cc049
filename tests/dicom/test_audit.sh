#!/usr/bin/env bash
# Who did what is in the audit record for everything that goes in, is asked for, goes out or is changed; a rule refuses
# a query and hears of a retrieval. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

ws=$(free_port) gone=$(free_port)
mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/audit.lua" <<'LUA'
hilum.on { event = "query.received", phase = "filter", name = "site/no-fishing", where = "PatientName=*; peer=ws",
  run = function(ev) return hilum.reject("too broad") end }
hilum.on { event = "retrieve.done", name = "site/hears", where = "destination=WS1", run = function(ev) end }
LUA
start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
peers = ( { name = \"ws\"; aet = \"WS1\"; host = \"127.0.0.1\"; port = $ws; },
          { name = \"dead\"; aet = \"DEAD\"; host = \"127.0.0.1\"; port = $gone; } );"
$python "$root/tests/dicom/make_find_data.py" "$work/data"
start_receiver "$work/ws" "$ws" WS1
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
# audited ACTION: rows as "who|what|after", the last first. Python has the database's reader; Debian's sqlite3 is not needed.
audited() {
    $python - "$work/server/data/catalog.db" "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
for row in db.execute("SELECT who, what, coalesce(after_json, '') FROM audit WHERE action = ? ORDER BY id DESC", (sys.argv[2],)):
    print("|".join(row))
PY
}
has_row() { audited "$1" | grep -cF -- "$2" >/dev/null; }
# row WHAT ACTION TEXT: rows of queries come after the answer.
row() { check "$1" await 10 has_row "$2" "$3"; }

# ---- in
storescu -aet WS1 -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >/dev/null 2>&1
row "store" instance.store 'peer ws (127.0.0.1)|1.2.999.1|{"instances":'
storescu -aet NOBODY -aec HILUM 127.0.0.1 "$port" "$work/data/1.2.999.3.1.1.dcm" >/dev/null 2>&1
row "resend" instance.duplicate 'unknown peer|1.2.999.3|'
mkdir "$work/import" && $python - "$work/data/1.2.999.4.1.1.dcm" "$work/import/a.dcm" <<'PY'
import sys, pydicom
ds = pydicom.dcmread(sys.argv[1])
ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.999.4.1.9"
ds.save_as(sys.argv[2])
PY
hilum import "$work/import" >/dev/null || bad "hilum import"
row "import, by whom" import "user $(id -u)|$work/import|{\"stored\":1"
row "import, what" instance.store 'import|1.2.999.4|{"instances":1'

# ---- asked for
ask() { # ask AET KEY...: final status
    local aet=$1 keys=()
    shift
    for key in "$@"; do keys+=(-k "$key"); done
    findscu -d -S -aet "$aet" -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY "${keys[@]}" 2>&1 |
        sed -n 's/^D: DIMSE Status *: 0x\([0-9a-f]*\).*/\1/p' | tail -n 1
}
equal "query" 0000 "$(ask WS1 StudyInstanceUID=1.2.999.6)"
row "query of a study" query 'peer ws (127.0.0.1)|1.2.999.6|{"command":"find","level":"STUDY","keys":{"StudyInstanceUID":"1.2.999.6"},"status":"0000","answers":1}'
equal "query by name" 0000 "$(ask WS1 'PatientName=DOE*' StudyInstanceUID)"
row "query by name" query '|level STUDY|{"command":"find","level":"STUDY","keys":{"PatientName":"DOE*"},"status":"0000","answers":3}'
equal "query a rule refuses" 0124 "$(ask WS1 'PatientName=*' StudyInstanceUID)"
row "refused query" query '"status":"0124","answers":0}'
equal "the rule is for ws only" 0000 "$(ask OTHER 'PatientName=*' StudyInstanceUID)"
row "query by a stranger" query 'unknown peer OTHER (127.0.0.1)|level STUDY|'

# ---- out
movescu -S -aet WS1 -aec HILUM -aem WS1 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.6 >/dev/null 2>&1
row "move" retrieve 'peer ws (127.0.0.1)|1.2.999.6|{"command":"move","level":"STUDY","destination":"WS1","keys":{"StudyInstanceUID":"1.2.999.6"},"status":"0000","completed":4,"failed":0'
movescu -S -aet WS1 -aec HILUM -aem GONE 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.6 >/dev/null 2>&1
row "move to a stranger" retrieve '"destination":"GONE","keys":{"StudyInstanceUID":"1.2.999.6"},"status":"A801"'
mkdir "$work/get"
getscu -P -aet WS1 -aec HILUM -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=PATIENT -k PatientID=PID-2 >/dev/null 2>&1
row "get" retrieve 'peer ws (127.0.0.1)|PatientID=PID-2|{"command":"get","level":"PATIENT","keys":{"PatientID":"PID-2"},"status":"0000","completed":2,"failed":0'
hilum study send 1.2.999.1 ws >/dev/null || bad "hilum study send"
row "send, asked for" study.send "user $(id -u)|1.2.999.1|{\"to\":\"ws\",\"instances\":3}"
row "send, done" instance.send 'outbox|1.2.999.1|{"to":"ws","instances":'
hilum export 1.2.999.3 "$work/export" >/dev/null || bad "hilum export"
row "export" export "user $(id -u)|1.2.999.3|{\"directory\":\"$work/export\",\"instances\":1}"

# ---- changed
hilum patient edit PID-6 PatientName="O'BRIEN^MARY" --why typo >/dev/null 2>&1 || hilum patient edit --help
row "edit" patient.edit "user $(id -u)|patient:"
# A newcomer with a known ID and another name; two contents under one UID, twice.
$python - "$work/data/1.2.999.1.1.1.dcm" "$work/data/1.2.999.3.1.1.dcm" "$work/strange" <<'PY'
import os, sys, pydicom
os.mkdir(sys.argv[3])
for n in (1, 2):
    ds = pydicom.dcmread(sys.argv[1])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = f"1.2.999.8{n}", f"1.2.999.8{n}.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.999.8{n}.1.1"
    ds.PatientName, ds.PatientBirthDate = f"Newcomer^{n}", f"190{n}0101"
    ds.save_as(f"{sys.argv[3]}/person{n}.dcm")
    ds = pydicom.dcmread(sys.argv[2])
    ds.ImageComments = f"content {n}"
    ds.save_as(f"{sys.argv[3]}/content{n}.dcm")
PY
hilum import "$work/strange" >/dev/null || bad "hilum import of what needs decisions"
first_of() { hilum --json "$1" "$2" | tr -d ' \n' | sed -n "s/.*\"$3\":\([0-9]*\).*/\1/p"; } # the last of them
hilum patient resolve "$(first_of patient conflicts conflict)" same >/dev/null || bad "hilum patient resolve same"
row "resolve, the same" patient.resolve "user $(id -u)|conflict:"
row "resolve, what was decided" patient.resolve '{"same_person":true}'
hilum patient resolve "$(first_of patient conflicts conflict)" other >/dev/null || bad "hilum patient resolve other"
row "resolve, another" patient.resolve '{"same_person":false}'
hilum quarantine release "$(first_of quarantine list number)" >/dev/null || bad "hilum quarantine release"
row "release" quarantine.release "user $(id -u)|1.2.999.3|{\"SOPInstanceUID\":\"1.2.999.3.1.1\"}"
hilum quarantine discard "$(first_of quarantine list number)" >/dev/null || bad "hilum quarantine discard"
row "discard" quarantine.discard "user $(id -u)|1.2.999.3|{\"SOPInstanceUID\":\"1.2.999.3.1.1\"}"
hilum study send 1.2.999.3 dead >/dev/null || bad "hilum study send to a dead peer"
job_waits() { # between two tries
    job=$(hilum --json job list --all --state waiting | tr -d ' \n' | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
    [ -n "$job" ]
}
await 10 job_waits || bad "the job to a dead peer waits"
hilum job cancel "$job" >/dev/null || bad "hilum job cancel"
row "cancel" job.cancel "user $(id -u)|job:$job"
hilum job retry >/dev/null || bad "hilum job retry"
row "retry" job.retry "user $(id -u)|job:0"
hilum archive fsck --repair >/dev/null 2>&1
row "repair" archive.repair "user $(id -u)|archive|{\"faults\":"
hilum archive rebuild >/dev/null || bad "hilum archive rebuild"
row "rebuild" archive.rebuild "user $(id -u)|archive|{\"objects\":0,\"complete\":true}"
hilum config reload >/dev/null
row "reload" config.reload "user $(id -u)|reloaded"

# ---- the story of a study
has_story() { hilum --json study explain 1.2.999.6 | tr -d ' \n' | grep -qF -- "$1"; }
check "explain has the audit rows" has_story '"action":"retrieve"'
check "retrieve.done reached its rule" await 10 has_story '"event":"retrieve.done","rule":"site/hears"'
equal "rows without who or what" 0 "$($python - "$work/server/data/catalog.db" <<'PY'
import sqlite3, sys
db = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(db.execute("SELECT count(*) FROM audit WHERE trim(who) = '' OR trim(what) = ''").fetchone()[0])
PY
)"
report
