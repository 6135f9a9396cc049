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
report
