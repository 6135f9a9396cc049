#!/usr/bin/env bash
# C-FIND against the table written from PS3.4, by a foreign client.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };'
$python "$root/tests/dicom/make_find_data.py" "$work/data"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >"$work/store.log" 2>&1 || bad "storescu: $(tail -1 "$work/store.log")"

result=$($python "$root/tests/dicom/run_find.py" "$port" HILUM FINDSCU "$work")
echo "$result" | sed '$d'
equal "table" "$(grep -vc '^#' "$root/tests/dicom/find.tsv") passed, 0 failed, 0 skipped" "$(echo "$result" | tail -1)"

# value LEVEL ATTRIBUTE KEY=VALUE...: of the only answer.
value() {
    local level=$1 wanted=$2 keys=()
    shift 2
    for key in "$@"; do keys+=(-k "$key"); done
    rm -rf "$work/value" && mkdir "$work/value"
    findscu -X -od "$work/value" -P -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel="$level" "${keys[@]}" -k "$wanted" >/dev/null 2>&1
    dcmdump +P "$wanted" "$work"/value/rsp*.dcm 2>/dev/null | sed 's/.*\[\(.*\)\].*/\1/'
}
equal "instances of a study" 4 "$(value STUDY NumberOfStudyRelatedInstances PatientID=PID-4 StudyInstanceUID=1.2.999.6)"
equal "series of a study" 2 "$(value STUDY NumberOfStudyRelatedSeries PatientID=PID-4 StudyInstanceUID=1.2.999.6)"
equal "modalities of a study" 'CT\PT' "$(value STUDY ModalitiesInStudy PatientID=PID-4 StudyInstanceUID=1.2.999.6)"
equal "instances of a series" 3 "$(value SERIES NumberOfSeriesRelatedInstances PatientID=PID-4 StudyInstanceUID=1.2.999.6 SeriesInstanceUID=1.2.999.6.2)"
equal "studies of a patient" 2 "$(value PATIENT NumberOfPatientRelatedStudies PatientID=PID-4)"
equal "series of a patient" 3 "$(value PATIENT NumberOfPatientRelatedSeries PatientID=PID-4)"
equal "instances of a patient" 5 "$(value PATIENT NumberOfPatientRelatedInstances PatientID=PID-4)"
equal "availability" ONLINE "$(value PATIENT InstanceAvailability PatientID=PID-4)"
equal "an attribute of the patient at study level" 'DOE^JOHN^A^DR^JR' "$(value STUDY PatientName PatientID=PID-4 StudyInstanceUID=1.2.999.6)"

# ---- a Japanese family that writes itself otherwise than who asks, who asks in ISO 2022
cat >"$work/japan.py" <<'END'
import sys
import pydicom
folder = sys.argv[1]
ds = pydicom.dcmread(sys.argv[2])
ds.SpecificCharacterSet, ds.PatientName, ds.PatientID = "ISO_IR 192", "WATANABE^TAKASHI=渡邉^髙司=わたなべ^たかし", "PID-JP"
ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = "1.2.999.81", "1.2.999.81.1", "1.2.999.81.1.1"
ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
ds.save_as(f"{folder}/japan.dcm")
for name, charset, text in (("jis", ["", "ISO 2022 IR 87"], "=渡辺^高司"), ("utf", "ISO_IR 192", "*渡邊*")):
    query = pydicom.dataset.FileDataset(name, {}, file_meta=ds.file_meta, preamble=bytes(128))
    query.is_implicit_VR, query.is_little_endian = ds.is_implicit_VR, ds.is_little_endian
    query.SpecificCharacterSet, query.QueryRetrieveLevel, query.PatientName, query.PatientID = charset, "PATIENT", text, ""
    query.save_as(f"{folder}/{name}.qry")
END
$python "$work/japan.py" "$work" "$(find "$work/data" -type f | head -n 1)" 2>"$work/japan.log" || bad "data: $(tail -n 1 "$work/japan.log")"
storescu -aec HILUM 127.0.0.1 "$port" "$work/japan.dcm" >"$work/store.log" 2>&1 || bad "storescu: $(tail -n 1 "$work/store.log")"
for query in jis utf; do
    findscu -P -aec HILUM 127.0.0.1 "$port" "$work/$query.qry" >"$work/$query.log" 2>&1
    check "the family is found ($query)" grep -q 'LO \[PID-JP' "$work/$query.log"
done

# ---- lists of UIDs as long as identifiers are: answered, or refused at once; nobody else notices
cat >"$work/lists.py" <<'END'
import sys
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian
def query(path, level, **keys):
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    ds = FileDataset(path, {}, file_meta=meta, preamble=bytes(128))
    ds.is_implicit_VR, ds.is_little_endian = True, True
    ds.QueryRetrieveLevel, ds.PatientID = level, ""
    for key, value in keys.items():
        setattr(ds, key, value)
    ds.save_as(path)
def uids(n, last):
    return [f"1.2.999.77.{i}" for i in range(n - 1)] + [last]
folder = sys.argv[1]
query(f"{folder}/long", "STUDY", StudyInstanceUID=uids(9000, "1.2.999.6"))
query(f"{folder}/longer", "STUDY", StudyInstanceUID=uids(16385, "1.2.999.6"))
query(f"{folder}/all", "IMAGE", StudyInstanceUID="1.2.999.6", SeriesInstanceUID="1.2.999.6.2",
      SOPInstanceUID=uids(16000, "1.2.999.6.2.1"), SOPClassUID=uids(16000, "1.2.840.10008.5.1.4.1.1.2"))
query(f"{folder}/names", "STUDY", StudyInstanceUID="", PatientName="\\".join(f"A{i}*" for i in range(200)))
END
$python "$work/lists.py" "$work" 2>"$work/lists.log" || bad "queries: $(tail -n 1 "$work/lists.log")"
ask() { timeout 20 findscu -d -xi -S -aet TEST -aec HILUM 127.0.0.1 "$port" "$work/$1" >"$work/$1.log" 2>&1; }
ask long
equal "one of 9,000 studies is there" 1 "$(grep -c 'Status.*0xff00' "$work/long.log")"
check "and the answers end well" grep -q 'Status  *: 0x0000' "$work/long.log"
ask longer
check "16,385 UIDs are refused" grep -q 'Status  *: 0xa700' "$work/longer.log"
check "with what to do" grep -q 'more than 16384 UIDs in one key: ask in parts' "$work/longer.log"
movescu -d -S -aet TEST -aec HILUM 127.0.0.1 "$port" "$work/longer" >"$work/move.log" 2>&1
check "no C-MOVE of them either" grep -q '0x[aA]701' "$work/move.log"
ask all
check "32,000 values are refused" grep -q 'Status  *: 0xa700' "$work/all.log"
check "and told apart" grep -q 'more than 30000 values to match: ask in parts' "$work/all.log"
ask names
check "200 names are no name" grep -q 'Status  *: 0xa900' "$work/names.log"
equal "others are answered" 4 "$(value STUDY NumberOfStudyRelatedInstances PatientID=PID-4 StudyInstanceUID=1.2.999.6)"
report
