#!/usr/bin/env bash
# The pages of web-shell in a browser: sign-in, list, search, upload, languages, keyboard, failures; axe-core has no serious finding.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
modules=$("$root/tests/web/pages/install.sh") || skip "$modules"
[ -f "$build/lib/hilum/web/web-shell/index.html" ] || skip "the pages are not built"

start_web 'unknown_clients = "refuse";' '' '{ name = "auth-local"; required = true; }, { name = "web-shell"; required = true; }, { name = "web-admin"; required = true; },'
send_demo
sign_up doctor administrator
$python - "$work" "$password" <<'PY'
import json, sys
import numpy
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
work, password = sys.argv[1:]
def make(name, patient, rows, study):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = study + ".1.1"
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.is_little_endian, data.is_implicit_VR = True, False
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.StudyInstanceUID, data.SeriesInstanceUID = study, study + ".1"
    data.PatientName, data.PatientID, data.Modality = patient, "<b>ID</b>", "OT"
    data.StudyDate, data.StudyTime, data.StudyDescription = "20250101", "120000", "<img src=x onerror='hacked()'>"
    data.AccessionNumber, data.PatientBirthDate, data.PatientSex = "\"'><i>", "19800101", "O"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.Rows, data.Columns = 1, "MONOCHROME2", rows, rows
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = numpy.zeros((rows, rows), "uint8").tobytes()
    data.save_as(f"{work}/{name}", write_like_original=False)
    return f"{work}/{name}"
open(work + "/notes.txt", "w").write("no DICOM")
files = {"script": make("script.dcm", "<script>hacked()</script>", 16, "2.25.91"), "text": work + "/notes.txt",
         "other": make("other.dcm", "Elsewhere^One", 16, "2.25.93"), "later": make("later.dcm", "Later^One", 16, "2.25.94"),
         "large": make("large.dcm", "Large^One", 1200, "2.25.92")}
json.dump({"user": "doctor", "password": password, "files": files}, open(work + "/expected.json", "w"))
PY
check "in the browser" sh -c "HILUM_URL=$url HILUM_EXPECTED='$work/expected.json' node '$modules/shell.mjs' >'$work/browser' 2>&1 || { cat '$work/browser'; exit 1; }"
grep 'first paint' "$work/browser"
check "no name in the log" sh -c "! grep -q 'hacked\|Xiaoming' '$work/server/log'"
check "it stops" stop_server
report
