#!/usr/bin/env bash
# JPEG XL of a foreign encoder is decoded for peers; JPEG streams are kept as JPEG XL by rule and come back byte for byte, from us and
# from a foreign decoder. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
for tool in cjxl djxl cjpeg curl; do
    command -v $tool >/dev/null || skip "$tool is not installed"
done

at=$(free_port) web=$(free_port)
mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/jpegxl.lua" <<'LUA'
hilum.on{event = "instance.stored", name = "site/jpeg", where = "Modality=US", run = function(ev)
  ev:compress("jpegxl-jpeg")
end}
LUA
start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
plugins = ( { name = \"web-dicomweb\"; }, { name = \"http\"; options = { unknown_clients = \"accept\"; listen = \"127.0.0.1:$web\"; }; } );
peers = ( { name = \"plain\"; aet = \"PLAIN\"; host = \"127.0.0.1\"; port = $at; transfer_syntaxes = ( \"ExplicitVRLittleEndian\" ); transfer_syntaxes_only = true; idle = \"0s\"; },
          { name = \"any\"; aet = \"ANY\"; host = \"127.0.0.1\"; port = $at; idle = \"0s\"; } );"
make="$root/tests/dicom/jpegxl.py"
$python "$make" make "$work/data" || bad "data"
start_receiver "$work/got" "$at" ANY
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
storescu -aec HILUM -xy 127.0.0.1 "$port" "$work/data/jpeg.dcm" >"$work/store.log" 2>&1 || bad "storescu of JPEG: $(tail -n 1 "$work/store.log")"
for f in "$work/data/"{grey,deep,rgb,lossy,layers16,layers17,heavy}.dcm; do # storescu has not heard of JPEG XL
    hilum import "$f" >"$work/import.log" 2>&1 || bad "import of $f: $(tail -n 1 "$work/import.log")"
done
move() {
    rm -f "$work"/got/*
    movescu -S -aet WS1 -aec HILUM -aem "$1" 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID=1.2.999.110 >/dev/null 2>&1
}

# ---- the JPEG object, where it lies
stored() {
    rm -rf "$work/exported"
    hilum export 1.2.999.110 "$work/exported" >/dev/null 2>&1
    file=$(grep -lF 1.2.999.110.1.5 "$work"/exported/* 2>/dev/null) && $python "$make" kept "$file" "$work/data" >"$work/kept"
}
check "JPEG is kept as JPEG XL, in which djxl finds it" await 15 stored || cat "$work/kept"

# ---- what peers get
move PLAIN
check "all of them in native pixels" $python "$make" pixels "$work/data" "$work/got"
move ANY
check "who knows JPEG gets the very JPEG" $python "$make" jpeg "$work/data" "$work/got"

# ---- the web
url=http://127.0.0.1:$web/dicom-web/studies/1.2.999.110/series/1.2.999.110.1/instances
frame() { # frame NUMBER MEDIA
    curl -s -H "Accept: multipart/related; type=\"$2\"" "$url/1.2.999.110.1.$1/frames/1" -o "$work/part" -w '%{http_code}'
}
equal "a frame leaves as image/jxl" 200 "$(frame 1 image/jxl)"
check "which it is" grep -qa 'image/jxl' "$work/part"
equal "and one of a JPEG kept so" 200 "$(frame 5 image/jxl)"
curl -s -H 'Accept: image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50' "$url/1.2.999.110.1.5/frames/2" -o "$work/frame.jpg"
check "who asks for JPEG gets the very JPEG" $python "$make" frame "$work/frame.jpg" "$work/data"
equal "and of JPEG XL as JPEG-LS" 200 "$(frame 1 image/jls)"
layers() { # layers N: what is said of a frame of so many layers in native pixels
    curl -s -H 'Accept: application/octet-stream' "${url%%1.2.999.110/*}1.2.999.110.9/series/1.2.999.110.9.1/instances/1.2.999.110.9.1.$1/frames/1" -o "$work/part" -w '%{http_code}'
}
equal "layers are laid on each other" "200 40000" "$(layers 16) $(tr -cd '\010' <"$work/part" | wc -c)"
equal "not without end" 406 "$(layers 17)"
check "which the reason says" grep -q 'more than 16 layers' "$work/part"
crashes() { grep -c 'worker .* crashed' "$work/server/log"; }
before=$(crashes)
curl -s -H 'Accept: image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50' "${url%%1.2.999.110/*}1.2.999.110.9/series/1.2.999.110.9.1/instances/1.2.999.110.9.1.18/frames/1" -o "$work/part"
equal "nor in search of a JPEG that is not there" "$before" "$(crashes)"
equal "fsck is content" 0 "$(hilum archive fsck >/dev/null; echo $?)"
equal "nothing is said twice" 0 "$(grep -c 'lib/jxl\|AddressSanitizer' "$work/server/log")"
report
