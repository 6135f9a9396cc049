#!/usr/bin/env bash
# WADO-RS: instances, metadata, bulk data, frames; what leaves is what was stored, with corrections; refusals.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v dcmcrle >/dev/null || skip "dcmcrle is not installed"
command -v gdcmconv >/dev/null || skip "gdcmconv is not installed"

start_web
send_demo
dw=$url/dicom-web
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
value() { $python -c 'import json,sys; a=json.load(open(sys.argv[1])); print(a[int(sys.argv[2])][sys.argv[3]]["Value"][0])' "$work/body" "$1" "$2"; }
status "$dw/studies?PatientID=DEMO-0001" >/dev/null
study=$(value 0 0020000D)
status "$dw/studies/$study/instances" >/dev/null
series=$(value 0 0020000E) instance=$(value 0 00080018)
one=$dw/studies/$study/series/$series/instances/$instance

# unpack: the parts of the last answer as files part-0, part-1 ...; their heads as head-0 ...; prints how many.
unpack() {
    rm -f "$work"/part-* "$work"/head-*
    $python - "$work" <<'PY'
import re, sys
work = sys.argv[1]
head = open(work + "/head").read()
body = open(work + "/body", "rb").read()
boundary = re.search(r"(?i)^content-type: multipart/related;.*boundary=([^\s;]+)", head, re.M).group(1).encode()
pieces = body.split(b"--" + boundary)
assert pieces[0] == b"" and pieces[-1] == b"--\r\n", (pieces[0][:40], pieces[-1][:40])
for i, piece in enumerate(pieces[1:-1]):
    h, _, b = piece.partition(b"\r\n\r\n")
    assert b.endswith(b"\r\n")
    open(f"{work}/part-{i}", "wb").write(b[:-2])
    open(f"{work}/head-{i}", "wb").write(h)
print(len(pieces) - 2)
PY
}
dicom='multipart/related; type="application/dicom"; transfer-syntax=*'

equal "a study" 200 "$(status -H "Accept: $dicom" "$dw/studies/$study")"
equal "has its instances" 65 "$(unpack)"
check "each is a file" sh -c "for f in '$work'/part-*; do dcmdump -q +P 0008,0018 \"\$f\" >/dev/null || exit 1; done"
check "its parts tell their syntax" grep -q 'application/dicom; transfer-syntax=1.2.840' "$work/head-0"
equal "a series" 200 "$(status -H "Accept: $dicom" "$dw/studies/$study/series/$series")"
# The same bytes for the same entity tag: what is known is not sent again, and a part of the body is a part of it.
whole() { status -H "Accept: $dicom" "$@" "$dw/studies/$study/series/$series"; }
settled 65
whole >/dev/null && cp "$work/body" "$work/whole"
tag=$(sed -n 's/^[Ee][Tt]ag: *\("[^"]*"\).*/\1/p' "$work/head")
size=$(stat -c %s "$work/whole")
equal "its length is told" "$size" "$(sed -n 's/^[Cc]ontent-[Ll]ength: *\([0-9]*\).*/\1/p' "$work/head")"
equal "not again" 304 "$(whole -H "If-None-Match: $tag")"
equal "another form is not that" 200 "$(status -H 'Accept: application/dicom; transfer-syntax=*' -H "If-None-Match: $tag" "$one")"
equal "a range of a series" 206 "$(whole -r 1000-200999 -H "If-Range: $tag")"
check "is that range" cmp <(tail -c +1001 "$work/whole" | head -c 200000) "$work/body"
equal "its end" 206 "$(whole -r -500)"
check "is its end" cmp <(tail -c 500 "$work/whole") "$work/body"
equal "beyond its end" 416 "$(whole -r "$size-")"
equal "a range of something else" 200 "$(whole -r 0-9 -H 'If-Range: "other"')"
equal "an instance" 200 "$(status -H "Accept: $dicom" "$one")"
equal "is one" 1 "$(unpack)"
hilum export "$study" "$work/exported" >/dev/null
exported=$(grep -rl -- "$instance" "$work/exported" | head -1)
check "the bytes that were stored" cmp "$exported" "$work/part-0"
equal "alone" 200 "$(status -H 'Accept: application/dicom; transfer-syntax=*' "$one")"
check "as a file" cmp "$exported" "$work/body"
equal "without any Accept" 200 "$(status -H 'Accept:' "$one")"
equal "by the accept parameter" 200 "$(status -G --data-urlencode 'accept=multipart/related; type="application/dicom"' "$one")"
equal "implicit" 200 "$(status -H 'Accept: application/dicom; transfer-syntax=1.2.840.10008.1.2' "$one")"
check "is implicit" sh -c "dcmdump -q +P 0002,0010 '$work/body' | grep -q LittleEndianImplicit"
equal "deflated by quality" 200 "$(status -H 'Accept: application/dicom; transfer-syntax=1.2.840.10008.1.2;q=0.5, application/dicom; transfer-syntax=1.2.840.10008.1.2.1.99' "$one")"
check "is deflated" sh -c "dcmdump -q +P 0002,0010 '$work/body' | grep -q Deflated"
for syntax in 4.80 4.90 4.201 4.202 4.110 4.70 5; do
    equal "encoded to $syntax" 200 "$(status -H "Accept: application/dicom; transfer-syntax=1.2.840.10008.1.2.$syntax" "$one")"
    check "is $syntax" $python -c 'import pydicom, sys; assert pydicom.dcmread(sys.argv[1]).file_meta.TransferSyntaxUID == sys.argv[2]' "$work/body" "1.2.840.10008.1.2.$syntax"
    case $syntax in 4.201 | 4.202 | 4.110) continue ;; esac # GDCM knows none of them; dicom/test_encoders.sh compares their pixels
    gdcmconv -w "$work/body" "$work/decoded" 2>/dev/null
    check "and lost nothing" $python -c 'import pydicom, sys; assert len({pydicom.dcmread(f).PixelData for f in sys.argv[1:]}) == 1' "$exported" "$work/decoded"
done
equal "a syntax that loses" 406 "$(status -H 'Accept: multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.91' "$one")"
check "is told which it has" grep -q '1.2.840.10008.1.2.1' "$work/body"
equal "not DICOM" 406 "$(status -H 'Accept: text/html' "$one")"
equal "nothing there" 404 "$(status -H "Accept: $dicom" "$dw/studies/1.2.3")"
equal "a study and another's series" 404 "$(status -H "Accept: $dicom" "$dw/studies/1.2.3/series/$series")"
equal "no UID" 400 "$(status "$dw/studies/abc")"
equal "HEAD" 200 "$(status -I -H "Accept: $dicom" "$dw/studies/$study")"

equal "metadata of a study" 200 "$(status "$dw/studies/$study/metadata")"
check "are complete" $python - "$work/body" "$one" <<'PY'
import json, sys
a = json.load(open(sys.argv[1], encoding="utf-8"))
assert len(a) == 65, len(a)
x = [i for i in a if i["00080018"]["Value"][0] == sys.argv[2].split("/")[-1]][0]
assert x["7FE00010"] == {"vr": "OW", "BulkDataURI": sys.argv[2] + "/bulkdata/7FE00010"}, x["7FE00010"]
assert x["00100010"]["Value"][0]["Ideographic"] == "王^小明"
assert list(x) == sorted(x)
PY
equal "metadata of a series" 200 "$(status -H 'Accept: application/json' "$dw/studies/$study/series/$series/metadata")"
equal "metadata of an instance" 200 "$(status "$one/metadata")"
tag=$(sed -n 's/^[Ee][Tt]ag: *\("[^"]*"\).*/\1/p' "$work/head")
equal "metadata again" 304 "$(status -H "If-None-Match: $tag" "$one/metadata")"
status -H 'Accept-Encoding: zstd' "$one/metadata" >/dev/null
check "compressed they are another representation" grep -qi '^etag: W/"' "$work/head"
equal "that is known too" 304 "$(status -H 'Accept-Encoding: zstd' -H "If-None-Match: W/$tag" "$one/metadata")"
status "$one/metadata" >/dev/null
rows=$(value 0 00280010) columns=$(value 0 00280011)
check "gzip" sh -c "curl -s -H 'Accept-Encoding: gzip' '$dw/studies/$study/metadata' | gzip -t"

equal "bulk data" 200 "$(status -H 'Accept: application/octet-stream' "$one/bulkdata/7FE00010")"
equal "all of it" $((rows * columns * 2)) "$(stat -c %s "$work/body")"
cp "$work/body" "$work/pixels"
equal "a frame" 200 "$(status "$one/frames/1")"
equal "is a part" 1 "$(unpack)"
check "of the same bytes" cmp "$work/pixels" "$work/part-0"
check "whose syntax is told" grep -q 'application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1' "$work/head-0"
equal "all frames" 200 "$(status "$one/pixeldata")"
equal "frame 2 of 1" 404 "$(status "$one/frames/2")"
equal "frame 0" 400 "$(status "$one/frames/0")"
equal "no frame numbers" 400 "$(status "$one/frames/1,,2")"
equal "a frame as JPEG" 200 "$(status -H 'Accept: multipart/related; type="image/jpeg"' "$one/frames/1")"
equal "is one" 1 "$(unpack)"
check "without loss" grep -q 'image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70' "$work/head-0"
equal "a frame in what nobody encodes" 406 "$(status -H 'Accept: multipart/related; type="image/jpx"' "$one/frames/1")"
equal "a value that is not there" 404 "$(status "$one/bulkdata/00420011")"
equal "a path that is none" 400 "$(status "$one/bulkdata/x")"

# Compressed.
send_rle
rle=$dw/studies/2.25.7003/series/2.25.7002/instances/2.25.7001
equal "compressed, as stored" 200 "$(status -H "Accept: $dicom" "$rle")"
equal "compressed, no syntax named" 200 "$(status -H 'Accept: multipart/related; type="application/dicom"' "$rle")"
# One study of both kinds: what the client cannot take is left out, and said.
sed -e 's/2.25.7001/2.25.7011/' -e '/^(7fe0,0010)/d' -e '/^(0028,/d' "$work/rle.dump" >"$work/plain.dump"
dump2dcm -q +l 20000 +te "$work/plain.dump" "$work/plain.dcm" && storescu -q -aec HILUM 127.0.0.1 "$port" "$work/plain.dcm"
equal "some of a study" 206 "$(status -H 'Accept: multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.5' "$dw/studies/2.25.7003")"
equal "is one of two" 1 "$(unpack)"
equal "all of it, decoded" 200 "$(status -H 'Accept: multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1' "$dw/studies/2.25.7003")"
equal "are two of one syntax" 2 "$(unpack && ! grep -L 'transfer-syntax=1.2.840.10008.1.2.1$' "$work"/head-* | grep .)"
equal "all of it" 200 "$(status -H "Accept: $dicom" "$dw/studies/2.25.7003")"
equal "are two" 2 "$(unpack)"
equal "frames as stored" 200 "$(status -H 'Accept: multipart/related; type=image/dicom-rle' "$rle/frames/3,1")"
equal "are two" 2 "$(unpack)"
check "are RLE" grep -q 'image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5' "$work/head-0"
check "in the order asked for" $python - "$work" <<'PY'
import sys
def rle(b):  # PS3.5 G: one segment
    out, at = bytearray(), int.from_bytes(b[4:8], "little")
    while at < len(b) and len(out) < 16:
        n = b[at]
        if n < 128: out += b[at + 1:at + 2 + n]; at += n + 2
        elif n > 128: out += bytes([b[at + 1]]) * (257 - n); at += 2
        else: at += 1
    return bytes(out)
for part, frame in ((0, 2), (1, 0)):
    assert rle(open(f"{sys.argv[1]}/part-{part}", "rb").read()) == bytes(frame * 16 + i for i in range(16)), part
PY
equal "a frame decoded" 200 "$(status -H 'Accept: application/octet-stream' "$rle/frames/2")"
check "is what was encoded" $python -c 'import sys; sys.exit(open(sys.argv[1], "rb").read() != bytes(range(16, 32)))' "$work/body"
equal "frames by a viewer that takes any" 200 "$(status -H 'Accept: multipart/related; type="application/octet-stream"; transfer-syntax=*' "$rle/frames/1")"
equal "nested bulk data in metadata" 200 "$(status "$rle/metadata")"
check "have a URI" grep -q "$rle/bulkdata/54000100/0/54001010" "$work/body"
equal "that leads there" 200 "$(status -H 'Accept: application/octet-stream' "$rle/bulkdata/54000100/0/54001010")"
equal "whole" 2000 "$(stat -c %s "$work/body")"

# What is corrected leaves corrected.
hilum patient edit DEMO-0001 PatientName='Corrected^Name' --why test >/dev/null || echo "no edit"
status -H 'Accept: application/dicom; transfer-syntax=*' "$one" >/dev/null
check "a corrected instance" sh -c "dcmdump -q +P 0010,0010 '$work/body' | grep -q Corrected"
equal "metadata known before" 200 "$(status -H "If-None-Match: $tag" "$one/metadata")"
check "corrected metadata" grep -q 'Corrected^Name' "$work/body"
status -H 'Accept: application/octet-stream' "$one/frames/1" >/dev/null
check "and its pixels" cmp "$work/pixels" "$work/body"

# A client that leaves, and one that does not read: nothing is kept of them, and the server stops.
for _ in 1 2 3 4 5; do curl -s --max-time 0.05 --limit-rate 10k -H "Accept: $dicom" "$dw/studies/$study" -o /dev/null; done
deaf() { # A client that asks for the study and does not read.
    $python - "${url#http://}" "/dicom-web/studies/$study" <<'PY' &
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
s = socket.create_connection((host, int(port)))
s.sendall(f"GET {sys.argv[2]} HTTP/1.1\r\nHost: {sys.argv[1]}\r\n\r\n".encode())
time.sleep(60)
PY
    pids+=($!)
}
none_open() { [ "$(ls -l "/proc/$server/fd" "/proc/$server/map_files" 2>/dev/null | grep -c '\.dcm')" = 0 ]; }
deaf
equal "others are served meanwhile" 200 "$(status -H "Accept: $dicom" "$dw/studies/$study")"
kill "${pids[-1]}"
check "no object stays open" await 5 none_open
deaf
sleep 0.3
check "it stops, whoever does not read" stop_server
report
