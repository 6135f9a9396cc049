#!/usr/bin/env bash
# Reloads by signal and by command at once: one after the other, nothing is lost of what runs, nothing piles up.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/a.lua" <<'LUA'
hilum.on { event = "query.received", phase = "filter", name = "site/no", where = "PatientName=*",
  run = function(ev) return hilum.reject("too broad") end }
LUA
start_server "dicom = { unknown_peers = \"accept\"; }; log = { file = \"$work/hilum.log\"; };"
hilum() { "$build/bin/hilum" --data "$work/server/data" --json "$@"; }
descriptors() { ls "/proc/$server/fd" | wc -l; }
reload() { hilum config reload | grep -q '"reloaded":true'; }
check "a reload" reload
before=$(descriptors)
reloads=()
for _ in 1 2 3 4 5 6 7 8; do
    (reload && reload && reload) &
    reloads+=("$!")
    kill -HUP "$server"
done
for pid in "${reloads[@]}"; do check "reloads at once" wait "$pid"; done
settled() { [ "$(descriptors)" -le "$((before + 1))" ]; }
check "no descriptor is left behind ($before before, $(descriptors) after)" await 10 settled
ask() { findscu -d -S -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k "PatientName=*" -k StudyInstanceUID 2>&1 | grep -q 'DIMSE Status *: 0x0124'; }
check "the rule is in force" ask
check "the log goes on" grep -q 'rules and' "$work/hilum.log"

# ---- what a reload applies is in force
site() { echo "$1" >"$work/server/site/20-more.cfg" && reload; }
one=$work/one.dcm
$python - "$one" <<'PY'
import sys, pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
meta = FileMetaDataset()
meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.999.91.1.1"
ds = FileDataset(sys.argv[1], {}, file_meta=meta, preamble=bytes(128))
ds.is_implicit_VR, ds.is_little_endian = False, True
ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID, ds.PatientName, ds.Modality = "1.2.999.91", "1.2.999.91.1", "ONE", "One^Patient", "CT"
ds.TextComments = "x" * 3000
ds.save_as(sys.argv[1])
PY
status() { storescu -d -aec HILUM 127.0.0.1 "$port" "$one" 2>&1 | sed -n 's/.*DIMSE Status *: 0x\([0-9a-fA-F]*\).*/\1/p' | tail -n 1; }
check "a limit of objects" site 'storage = { max_object = "2KiB"; };'
equal "is one from now on" a700 "$(status)"
check "none, another issuer, no waiting" site 'identity = { default_issuer = "WARD"; }; storage = { study_idle = "1ms"; erase_grace = "1ms"; };'
equal "it is stored" 0000 "$(status)"
equal "under the issuer" WARD "$(findscu -d -P -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=PATIENT -k PatientID=ONE -k IssuerOfPatientID 2>&1 | sed -n 's/.*(0010,0021) LO \[\(WARD\).*/\1/p' | head -n 1)"
check "its study is complete at once" await 10 bash -c "'$build/bin/hilum' --data '$work/server/data' --json study explain 1.2.999.91 | grep -q 'study.complete'"
check "room to keep free" site 'storage = { min_free = "1000000TiB"; };'
check "is wanted from now on" await 10 bash -c "storescu -d -aec HILUM 127.0.0.1 $port $one 2>&1 | grep -q 'DIMSE Status *: 0xa700'"
check "it stops" stop_server
report
