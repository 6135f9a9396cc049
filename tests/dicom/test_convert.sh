#!/usr/bin/env bash
# An object leaves in whatever uncompressed transfer syntax the peer takes, decoded if it has to be, as stored where it can, and
# what is stored stays as it is: C-MOVE, C-GET, outbox. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

any=$(free_port) impl=$(free_port) big=$(free_port) defl=$(free_port) strict=$(free_port) routed=$(free_port)
start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
peers = ( { name = \"any\"; aet = \"ANY\"; host = \"127.0.0.1\"; port = $any; },
          { name = \"impl\"; aet = \"IMPL\"; host = \"127.0.0.1\"; port = $impl; },
          { name = \"routed\"; aet = \"ROUTED\"; host = \"127.0.0.1\"; port = $routed; },
          { name = \"big\"; aet = \"BIG\"; host = \"127.0.0.1\"; port = $big; transfer_syntaxes = ( \"1.2.840.10008.1.2.2\" ); },
          { name = \"defl\"; aet = \"DEFL\"; host = \"127.0.0.1\"; port = $defl;
            transfer_syntaxes = ( \"JPEGLossless\", \"DeflatedExplicitVRLittleEndian\" ); },
          { name = \"strict\"; aet = \"STRICT\"; host = \"127.0.0.1\"; port = $strict;
            transfer_syntaxes = ( \"ImplicitVRLittleEndian\" ); transfer_syntaxes_only = true; } );
routes = ( { name = \"all\"; where = \"PatientID=CONVERT\"; send = ( \"routed\" ); } );"

# 1 explicit, 2 implicit, 3 big endian, 4 deflated, 5 compressed, 6 compressed and broken
$python "$root/tests/dicom/make_convert_data.py" "$work/made"
mkdir -p "$work/data" "$work/plain"
uid=1.2.998.1.1
cp "$work/made/$uid.1.dcm" "$work/data/"
dcmconv +ti +g= "$work/made/$uid.2.dcm" "$work/data/$uid.2.dcm"
dcmconv +tb "$work/made/$uid.3.dcm" "$work/data/$uid.3.dcm"
dcmconv +td "$work/made/$uid.4.dcm" "$work/data/$uid.4.dcm"
dcmcjpeg +e1 "$work/made/$uid.5.dcm" "$work/data/$uid.5.dcm" 2>/dev/null
dcmcjpeg +e1 "$work/made/$uid.6.dcm" "$work/data/$uid.6.dcm" 2>/dev/null
$python - "$work/data/$uid.6.dcm" <<'PY'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
start = data.index(b"\xff\xda") + 14
data[start:start + 2000] = bytes(2000)
del data[start + 2000:-64]
length = data.rindex(b"\xfe\xff\x00\xe0") + 4
data = data[:start + 2000] + (b"\0" if len(data[:start + 2000]) % 2 else b"") + b"\xfe\xff\xdd\xe0\0\0\0\0"
data[length:length + 4] = (len(data) - 8 - length - 4).to_bytes(4, "little")
open(sys.argv[1], "wb").write(data)
PY

receiver() { # DIR PORT AET OPTIONS...
    local dir=$work/$1 at=$2 aet=$3
    shift 3
    mkdir -p "$dir"
    storescp --fork -aet "$aet" -od "$dir" +B "$@" "$at" >"$dir.log" 2>&1 &
    pids+=("$!")
    await 10 $python -c "import socket; socket.create_connection(('127.0.0.1', $at), 1)" 2>/dev/null
}
receiver any "$any" ANY +xa
receiver impl "$impl" IMPL +xi
receiver big "$big" BIG +xa
receiver defl "$defl" DEFL +xd
receiver strict "$strict" STRICT +xa
receiver routed "$routed" ROUTED +xi

for n in 1 2 3 4; do
    dcmconv -q -g -e +ti "$work/data/$uid.$n.dcm" "$work/plain/$uid.$n.dcm"
done
dcmdjpeg "$work/data/$uid.5.dcm" "$work/plain/5" 2>/dev/null && dcmconv -q -g -e +ti "$work/plain/5" "$work/plain/$uid.5.dcm"
"$build/bin/hilum" --data "$work/server/data" import "$work/data" >"$work/import.log" 2>&1 || bad "import: $(tail -n 2 "$work/import.log")"

# The values of a received object are those of the stored one, as DCMTK reads both.
same_values() { # DIR NUMBER
    local found
    found=$(find "$work/$1" -name "*$uid.$2*" | head -n 1)
    [ -n "$found" ] || return 1
    dcmconv -q -g -e +ti "$found" "$work/found.dcm" && same_dataset "$work/plain/$uid.$2.dcm" "$work/found.dcm"
}
syntax_of() { # DIR NUMBER
    dcmdump -Un +P TransferSyntaxUID "$(find "$work/$1" -name "*$uid.$2*" | head -n 1)" 2>/dev/null |
        sed -n 's/.*\[\([0-9.]*\)\].*/\1/p' | sed 's/^1\.2\.840\.10008\.//'
}
move() {
    movescu -d -S -aet WS1 -aec HILUM -aem "$1" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.998.1 2>&1
}
count_of() {
    sed -n "s/^D: $1 Suboperations *: \([0-9]*\)\$/\1/p" | tail -n 1
}

# ---- as stored where the peer takes it
equal "completed, a peer that takes all" 6 "$(move ANY | count_of Completed)"
for n in 1 2 3 5 6; do
    check "object $n bit for bit" same_dataset "$work/data/$uid.$n.dcm" "$(find "$work/any" -name "*$uid.$n*")"
done
equal "syntax of object 4, which gets a NUL to be even" 1.2.1.99 "$(syntax_of any 4)"
check "values of object 4" same_values any 4

# ---- converted where it does not
log=$(move IMPL)
equal "completed, implicit only" 5 "$(echo "$log" | count_of Completed)"
equal "failed, implicit only: the broken one" 1 "$(echo "$log" | count_of Failed)"
for n in 1 2 3 4 5; do
    equal "syntax of object $n, implicit only" 1.2 "$(syntax_of impl $n)"
    check "values of object $n, implicit only" same_values impl $n
done

# ---- the peer's list
equal "completed, a list" 6 "$(move BIG | count_of Completed)"
for n in 1 2 3 4 5; do
    equal "syntax of object $n, big endian first" 1.2.2 "$(syntax_of big $n)"
    check "values of object $n, big endian first" same_values big $n
done
equal "what cannot be decoded leaves as stored though a list names others" 1.2.4.70 "$(syntax_of big 6)"
equal "completed, a list of two" 5 "$(move DEFL | count_of Completed)"
for n in 1 2 3 4 5; do
    equal "syntax of object $n, deflated first" 1.2.1.99 "$(syntax_of defl $n)"
    check "values of object $n, deflated first" same_values defl $n
done
log=$(move STRICT)
equal "completed, only what is listed" 5 "$(echo "$log" | count_of Completed)"
equal "failed, only what is listed" 1 "$(echo "$log" | count_of Failed)"
equal "syntax of object 1, only what is listed" 1.2 "$(syntax_of strict 1)"

# ---- the outbox
all_routed() { [ "$(find "$work/routed" -type f | wc -l)" -ge 5 ]; }
check "five objects by the route" await 20 all_routed
for n in 1 2 3 4 5; do check "values of object $n, routed" same_values routed $n; done

# ---- C-GET
for option in +xi +xe +xb; do
    mkdir -p "$work/get"
    getscu -S -aet WS1 -aec HILUM $option -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY \
        -k StudyInstanceUID=1.2.998.1 >"$work/get.log" 2>&1
    for n in 1 2 3 4 5; do check "values of object $n, getscu $option" same_values get $n; done
    rm -rf "$work/get"
done

# ---- what cannot leave has a reason, under the number the peer was told
mkdir -p "$work/get"
getscu -d -S -aet WS1 -aec HILUM +xi -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY \
    -k StudyInstanceUID=1.2.998.1 >"$work/get.log" 2>&1
reference=$(sed -n 's/.*1 not sent, ref \([0-9A-Z-]*\).*/\1/p' "$work/get.log" | tail -n 1)
check "a reference for what was not sent" [ -n "$reference" ]
"$build/bin/hilum" --data "$work/server/data" explain "$reference" >"$work/explained" 2>&1
check "hilum explain says which and why" grep -q "$uid.6: .*JPEG" "$work/explained"
"$build/bin/hilum" --data "$work/server/data" peer trace WS1 >"$work/trace" 2>&1
check "so does the trace" grep -q "$uid.6" "$work/trace"

# ---- a context gets the syntax most objects can leave in
getscu -S -aet WS1 -aec HILUM +xs -od "$work/get" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY \
    -k StudyInstanceUID=1.2.998.1 >"$work/get.log" 2>&1
for n in 1 2 3 4 5; do check "values of object $n, a lossless JPEG proposed first" same_values get $n; done

# ---- what is stored stayed
equal "faults" 0 "$("$build/bin/hilum" --data "$work/server/data" --json archive fsck | sed -n 's/.*"faults": *\([0-9]*\).*/\1/p' | tail -n 1)"
report
