#!/usr/bin/env bash
# The workstation's way: C-FIND STUDY -> SERIES -> IMAGE, then C-MOVE to itself; and C-GET. What comes back is what
# went in, bit for bit. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

ws=$(free_port) gone=$(free_port)
start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
peers = ( { name = \"ws\"; aet = \"WS1\"; host = \"127.0.0.1\"; port = $ws; },
          { name = \"gone\"; aet = \"GONE\"; host = \"127.0.0.1\"; port = $gone; connect_timeout = \"2s\"; },
          { name = \"mute\"; aet = \"MUTE\"; cidr = ( \"127.0.0.0/8\" ); services = ( \"echo\" ); } );"
$python "$root/tests/dicom/make_find_data.py" "$work/data"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data" >"$work/store.log" 2>&1 || bad "storescu: $(tail -n 1 "$work/store.log")"
start_receiver "$work/ws" "$ws" WS1

# find LEVEL KEY=VALUE... UID_TO_PRINT: the values of one attribute in the answers.
find_uids() {
    local level=$1 wanted=${*: -1} keys=()
    shift
    while [ $# -gt 1 ]; do keys+=(-k "$1"); shift; done
    findscu -v -S -aet WS1 -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel="$level" "${keys[@]}" -k "$wanted" 2>&1 | tr -d '\0' |
        sed -n '/Find Response/,$s/^I: ([0-9a-f,]*) UI \[\([0-9.]*\) *\].* '"$wanted"'$/\1/p' | sort
}
# move DESTINATION MODEL KEY=VALUE...: the log of movescu.
move() {
    local to=$1 model=$2 keys=()
    shift 2
    for key in "$@"; do keys+=(-k "$key"); done
    movescu -d "-$model" -aet WS1 -aec HILUM -aem "$to" 127.0.0.1 "$port" "${keys[@]}" 2>&1
}
status_of() {
    sed -n 's/^D: DIMSE Status *: 0x\([0-9a-f]*\).*/\1/p' | tail -n 1
}
count_of() { # count_of Completed|Failed|Warning: the last one in a log
    sed -n "s/^D: $1 Suboperations *: \([0-9]*\)\$/\1/p" | tail -n 1
}
# Received objects that are not, bit for bit, what was stored.
differences() {
    local file
    for file in "$1"/*; do
        [ -e "$file" ] || continue
        local uid
        uid=$(dcmdump +P SOPInstanceUID "$file" | sed 's/.*\[\(.*\)\].*/\1/')
        same_dataset "$work/data/$uid.dcm" "$file" || echo "$uid"
    done
}
received() {
    find "$1" -type f | wc -l
}

# ---- the workstation
study=$(find_uids STUDY PatientID=PID-4 AccessionNumber=ACC10 StudyInstanceUID)
equal "study of ACC10" 1.2.999.6 "$study"
series=$(find_uids SERIES "StudyInstanceUID=$study" SeriesInstanceUID)
equal "its series" "1.2.999.6.1 1.2.999.6.2" "$(echo $series)"
images=$(for one in $series; do find_uids IMAGE "StudyInstanceUID=$study" "SeriesInstanceUID=$one" SOPInstanceUID; done)
equal "its images" "1.2.999.6.1.1 1.2.999.6.2.1 1.2.999.6.2.2 1.2.999.6.2.3" "$(echo $images)"

log=$(move WS1 S QueryRetrieveLevel=STUDY "StudyInstanceUID=$study")
equal "status of the move" 0000 "$(echo "$log" | status_of)"
equal "completed" 4 "$(echo "$log" | count_of Completed)"
equal "files at the workstation" 4 "$(received "$work/ws")"
equal "objects that differ" "" "$(differences "$work/ws")"

# ---- levels and lists
rm -f "$work"/ws/*
equal "series level" 0000 "$(move WS1 S QueryRetrieveLevel=SERIES StudyInstanceUID=1.2.999.1 SeriesInstanceUID=1.2.999.1.2 | status_of)"
equal "files of one series" 1 "$(received "$work/ws")"
equal "image level, a list" 0000 "$(move WS1 S QueryRetrieveLevel=IMAGE StudyInstanceUID=1.2.999.1 SeriesInstanceUID=1.2.999.1.1 'SOPInstanceUID=1.2.999.1.1.1\1.2.999.1.1.2' | status_of)"
equal "files of both" 3 "$(received "$work/ws")"
equal "studies as a list" 0000 "$(move WS1 S QueryRetrieveLevel=STUDY 'StudyInstanceUID=1.2.999.3\1.2.999.4' | status_of)"
equal "files of all" 5 "$(received "$work/ws")"
equal "patient level" 0000 "$(move WS1 P QueryRetrieveLevel=PATIENT PatientID=PID-6 | status_of)"
equal "files with the patient's" 7 "$(received "$work/ws")"
equal "objects that differ" "" "$(differences "$work/ws")"

# ---- what cannot be
log=$(move WS1 S QueryRetrieveLevel=STUDY StudyInstanceUID=1.2.999.99)
equal "nothing matches" 0000 "$(echo "$log" | status_of)"
equal "unknown destination" a801 "$(move STRANGER S QueryRetrieveLevel=STUDY StudyInstanceUID=1.2.999.1 | status_of)"
equal "destination that only calls" a801 "$(move MUTE S QueryRetrieveLevel=STUDY StudyInstanceUID=1.2.999.1 | status_of)"
equal "no unique key" a900 "$(move WS1 S QueryRetrieveLevel=STUDY PatientID=PID-1 | status_of)"
equal "series without study" a900 "$(move WS1 S QueryRetrieveLevel=SERIES SeriesInstanceUID=1.2.999.1.1 | status_of)"
equal "wild card" a900 "$(move WS1 S QueryRetrieveLevel=STUDY 'StudyInstanceUID=1.2.999.*' | status_of)"
log=$(move GONE S QueryRetrieveLevel=STUDY StudyInstanceUID=1.2.999.1)
equal "dead destination" a702 "$(echo "$log" | status_of)"
equal "dead destination, failed" 3 "$(echo "$log" | count_of Failed)"
equal "failed list" 1.2.999.1.1.1 "$(echo "$log" | sed -n 's/.*(0008,0058) UI \[\(.*\)\] .*/\1/p' | tr '\\' '\n' | sort | head -n 1)"

# ---- a peer without the service gets no context
findscu -S -aet MUTE -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID >"$work/mute.log" 2>&1
check "no C-FIND for MUTE" grep -q 'No Acceptable Presentation Contexts\|No presentation context' "$work/mute.log"

# ---- C-GET
mkdir "$work/get"
getscu -d -S -aet WS1 -aec HILUM -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.2 \
    >"$work/get.log" 2>&1
equal "status of the get" 0000 "$(status_of <"$work/get.log")"
equal "files by C-GET" 3 "$(received "$work/get")"
equal "objects that differ" "" "$(differences "$work/get")"
getscu -d -P -aet WS1 -aec HILUM -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=PATIENT -k PatientID=PID-2 >"$work/get.log" 2>&1
equal "status of the get by patient" 0000 "$(status_of <"$work/get.log")"
equal "files by C-GET" 5 "$(received "$work/get")"

# ---- one object is not what was stored: it is refused before its first byte, and the association goes on
for _ in $(seq 100); do # until it is a file
    spoiled=$(grep -rlaF 1.2.999.6.2.2 "$work/server/data/objects/objects" 2>/dev/null | head -n 1)
    [ -z "$spoiled" ] || break
    sleep 0.1
done
$python -c 'import sys; f = open(sys.argv[1], "r+b"); f.seek(-1, 2); b = f.read(1); f.seek(-1, 2); f.write(bytes([b[0] ^ 1]))' "$spoiled"
mkdir "$work/spoiled"
getscu -d -S -aet WS1 -aec HILUM -od "$work/spoiled" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.6 \
    >"$work/get.log" 2>&1
equal "status with a spoiled object" b000 "$(status_of <"$work/get.log")"
equal "spoiled" 1 "$(count_of Failed <"$work/get.log")"
equal "the others arrive" "1.2.999.6.1.1 1.2.999.6.2.1 1.2.999.6.2.3" \
    "$(dcmdump +P SOPInstanceUID "$work"/spoiled/* | sed 's/.*\[\(.*\)\].*/\1/' | sort | xargs)"
log=$(move WS1 S QueryRetrieveLevel=STUDY StudyInstanceUID=1.2.999.6)
equal "moved with a spoiled object" "b000 3 1" "$(echo "$log" | status_of) $(echo "$log" | count_of Completed) $(echo "$log" | count_of Failed)"

# ---- character sets of the answer
names() {
    findscu -S -aet WS1 -aec HILUM -X -od "$work/names" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k PatientName "$@" >/dev/null 2>&1
}
mkdir -p "$work/names"
names -k StudyInstanceUID=1.2.999.3 -k "SpecificCharacterSet=ISO_IR 100"
equal "answer in the set of the request" "ISO_IR 100" "$(dcmdump +P SpecificCharacterSet "$work"/names/rsp*.dcm | sed 's/.*\[\(.*\)\].*/\1/')"
rm -f "$work"/names/*
names -k StudyInstanceUID=1.2.999.1 -k "SpecificCharacterSet=ISO_IR 100"
equal "answer in UTF-8 when that set cannot say it" "ISO_IR 192" "$(dcmdump +P SpecificCharacterSet "$work"/names/rsp*.dcm | sed 's/.*\[\(.*\)\].*/\1/')"
rm -f "$work"/names/*
names -k StudyInstanceUID=1.2.999.5
equal "no set for ASCII" "" "$(dcmdump +P SpecificCharacterSet "$work"/names/rsp*.dcm 2>/dev/null)"
report
