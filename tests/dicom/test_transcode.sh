#!/usr/bin/env bash
# Peers get what they prefer: encoded without loss, with loss where that was asked for, and a broken frame is one object's
# failure. DCMTK and GDCM decode what arrives. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
for tool in gdcmconv dcmdjpeg dcmdjpls dcmdrle dciodvfy; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done

at=$(free_port)
peer() { # peer NAME SYNTAXES MORE
    echo "{ name = \"$1\"; aet = \"${1^^}\"; host = \"127.0.0.1\"; port = $at; transfer_syntaxes = ( $2 ); idle = \"0s\"; ${3:-} },"
}
mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/wish.lua" <<'LUA'
hilum.on{event = "instance.stored", name = "site/wish", run = function(ev)
  if ev.PatientID == "TR-1" and ev.PhotometricInterpretation == "RGB" then ev:send("wished", {syntax = "jpeg", quality = 90}) end
end}
LUA
start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
peers = ( $(peer jls '"JPEGLSLossless"') $(peer j2k '"JPEG2000Lossless"') $(peer ljpeg '"JPEGLosslessSV1"') $(peer rle '"RLELossless"')
          $(peer lossy '"JPEGBaseline8Bit"' 'lossy = true; transfer_syntaxes_only = true;') $(peer plain '"ImplicitVRLittleEndian"')
          { name = \"wished\"; aet = \"WISHED\"; host = \"127.0.0.1\"; port = $at; } );"
$python "$root/tests/dicom/transcode.py" make "$work/data" || bad "data"
start_receiver "$work/got" "$at" ANY
storescu -aec HILUM -xi +sd 127.0.0.1 "$port" "$work/data/ct.dcm" >/dev/null 2>&1 || bad "storescu of CT"
storescu -aec HILUM +sd 127.0.0.1 "$port" "$work/data/"{deep,rgb,multi,sound}.dcm >"$work/store.log" 2>&1 || bad "storescu: $(tail -n 1 "$work/store.log")"
storescu -aec HILUM -xr 127.0.0.1 "$port" "$work/data/broken.dcm" >"$work/store.log" 2>&1 || bad "storescu of RLE: $(tail -n 1 "$work/store.log")"

move() { # move DESTINATION STUDY
    movescu -d -S -aet WS1 -aec HILUM -aem "$1" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID="$2" 2>&1
}
status_of() { sed -n 's/^D: DIMSE Status *: 0x\([0-9a-f]*\).*/\1/p' | tail -n 1; }
count_of() { sed -n "s/^D: $1 Suboperations *: \([0-9]*\)\$/\1/p" | tail -n 1; }
file_of() { # file_of INSTANCE: among those that arrived
    for f in "$work"/got/*; do dcmdump -q +P 0008,0018 "$f" 2>/dev/null | grep -q "\[$1\]" && echo "$f"; done
}
arrived() { [ "$(find "$work/got" -type f | wc -l)" -ge "$1" ]; }

# ---- what a rule wishes: JPEG with loss, as another object
await 10 arrived 1 || bad "the rule's object did not arrive"
check "with loss it is another object" $python "$root/tests/dicom/transcode.py" lossy "$work/data" "$work/got"

# ---- what a peer prefers
for one in jls:1.2.840.10008.1.2.4.80 j2k:1.2.840.10008.1.2.4.90 ljpeg:1.2.840.10008.1.2.4.70 rle:1.2.840.10008.1.2.5; do
    rm -f "$work"/got/*
    log=$(move "$(echo "${one%%:*}" | tr a-z A-Z)" 1.2.999.70)
    equal "status of the move to ${one%%:*}" 0000 "$(echo "$log" | status_of)"
    check "what ${one%%:*} got" $python "$root/tests/dicom/transcode.py" check "$work/data" "$work/got" "${one#*:}"
done
faults() { dciodvfy "$1" 2>&1 | grep -i '^error' | sort; }
ct=$(file_of 1.2.999.70.1.1)
equal "dciodvfy has no more against the encoded CT" "" "$(comm -13 <(faults "$work/data/ct.dcm") <(faults "$ct"))"
rm -f "$work"/got/*
log=$(move LOSSY 1.2.999.70)
check "only what JPEG baseline can hold goes to who takes nothing else" test "$(echo "$log" | count_of Completed)" = 1
check "with loss for a peer is another object" $python "$root/tests/dicom/transcode.py" lossy "$work/data" "$work/got"

# ---- a frame that is broken behind the first
rm -f "$work"/got/*
log=$(move PLAIN 1.2.999.709)
equal "the broken object stays as it is" "" "$(dcmdump -q +P 0002,0010 "$(file_of 1.2.999.709.1.1)" 2>&1 | grep -v RLE)"
equal "the sound one arrives" 1 "$(file_of 1.2.999.709.1.2 | wc -l)"
getscu -d -S +xe -aec HILUM -od "$work" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.709 >"$work/get.log" 2>&1
equal "C-GET: the broken one failed" 1 "$(count_of Failed <"$work/get.log")"
equal "C-GET: the other one arrived over the same association" 1 "$(count_of Completed <"$work/get.log")"
equal "C-GET: with a status" b000 "$(status_of <"$work/get.log")"
equal "receiving went on" 0 "$(grep -c 'ERROR\|AddressSanitizer' "$work/server/log")"
report
