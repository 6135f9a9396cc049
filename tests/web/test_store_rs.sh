#!/usr/bin/env bash
# STOW-RS: what goes in comes out, what is refused says why, what ends in the middle leaves nothing, memory is bounded.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web 'unknown_clients = "accept"; workers = 4;'
dw=$url/dicom-web
# Objects to send: three of one study and one of another.
object() { # NAME STUDY SERIES INSTANCE [ROWS FRAMES]
    $python - "$work/$1" "$2" "$3" "$4" "${5:-64}" "${6:-1}" <<'PY'
import struct, sys
path, study, series, instance, rows, frames = sys.argv[1:4] + [sys.argv[4], int(sys.argv[5]), int(sys.argv[6])]
def e(group, element, vr, value):
    value = value if isinstance(value, bytes) else value.encode()
    value += (b"\0" if vr in ("UI", "OB") else b" ") * (len(value) % 2)
    head = struct.pack("<HH2s", group, element, vr.encode())
    return head + (struct.pack("<HI", 0, len(value)) if vr in ("OB", "OW") else struct.pack("<H", len(value))) + value
us = lambda n: struct.pack("<H", n)
sc = "1.2.840.10008.5.1.4.1.1.7.3" if frames > 1 else "1.2.840.10008.5.1.4.1.1.7"
meta = (e(2, 1, "OB", b"\0\1") + e(2, 2, "UI", sc) + e(2, 3, "UI", instance) + e(2, 0x10, "UI", "1.2.840.10008.1.2.1") +
        e(2, 0x12, "UI", "2.25.99"))
body = (e(8, 5, "CS", "ISO_IR 192") + e(8, 0x16, "UI", sc) + e(8, 0x18, "UI", instance) + e(8, 0x60, "CS", "OT") + e(0x10, 0x10, "PN", "Stow^Test=测^试") +
        e(0x10, 0x20, "LO", "STOW-1") + e(0x20, 0xD, "UI", study) + e(0x20, 0xE, "UI", series) + e(0x28, 2, "US", us(1)) +
        e(0x28, 4, "CS", "MONOCHROME2") + e(0x28, 8, "IS", str(frames)) + e(0x28, 0x10, "US", us(rows)) + e(0x28, 0x11, "US", us(1024)) +
        e(0x28, 0x100, "US", us(16)) + e(0x28, 0x101, "US", us(16)) + e(0x28, 0x102, "US", us(15)) + e(0x28, 0x103, "US", us(0)))
with open(path, "wb") as f:
    f.write(b"\0" * 128 + b"DICM" + e(2, 0, "UL", struct.pack("<I", len(meta))) + meta + body)
    pixels = (b"\r\n--B" + bytes(range(251))) * (rows * 2048 // 256 + 1)
    f.write(struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OW", 0, rows * 2048 * frames))
    for _ in range(frames):
        f.write(pixels[:rows * 2048])
PY
}
# body FILE...: multipart with boundary BB, into $work/send.
body() {
    printf 'a preamble\r\n' >"$work/send"
    for file in "$@"; do
        printf -- '\r\n--BB\r\nContent-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n\r\n' >>"$work/send"
        cat "$work/$file" >>"$work/send"
    done
    printf -- '\r\n--BB--\r\nan epilogue' >>"$work/send"
}
post() { # URL CURL-ARGUMENT...
    local to=$1
    shift
    status --data-binary "@$work/send" -H 'Content-Type: multipart/related; type="application/dicom"; boundary=BB' -H 'Expect:' "$@" "$to"
}
says() { $python -c 'import json,sys; a=json.load(open(sys.argv[1])); sys.exit(0 if eval(sys.argv[2]) else str(a))' "$work/body" "$1"; }
count() { status "$dw/instances?StudyInstanceUID=$1" >/dev/null; grep -o '"00080018"' "$work/body" | wc -l; }

object a.dcm 2.25.8001 2.25.8002 2.25.8003
object b.dcm 2.25.8001 2.25.8002 2.25.8004 700
object c.dcm 2.25.8001 2.25.8005 2.25.8006
object d.dcm 2.25.8007 2.25.8008 2.25.8009
body a.dcm b.dcm
equal "two objects" 200 "$(post "$dw/studies")"
check "are referenced with their URLs" says 'len(a["00081199"]["Value"]) == 2 and a["00081199"]["Value"][1]["00081190"]["Value"][0].endswith("/studies/2.25.8001/series/2.25.8002/instances/2.25.8004") and "00081198" not in a'
equal "and found" 2 "$(count 2.25.8001)"
status -H 'Accept: application/dicom; transfer-syntax=*' "$dw/studies/2.25.8001/series/2.25.8002/instances/2.25.8004" >/dev/null
check "the data set as it was sent" $python - "$work/b.dcm" "$work/body" <<'PY'
import sys
def data(path):
    b = open(path, "rb").read()
    return b[144 + int.from_bytes(b[140:144], "little"):]
sys.exit(data(sys.argv[1]) != data(sys.argv[2]))
PY
equal "again: the same" 200 "$(post "$dw/studies/2.25.8001" -H 'Transfer-Encoding: chunked')"
equal "as XML" 200 "$(post "$dw/studies" -H 'Accept: application/dicom+xml')"
check "is well-formed" $python -c 'import sys, xml.etree.ElementTree as x; x.parse(sys.argv[1])' "$work/body"

body c.dcm d.dcm
equal "one of another study" 202 "$(post "$dw/studies/2.25.8001")"
check "is told with a reason" says 'a["00081198"]["Value"][0]["00081155"]["Value"] == ["2.25.8009"] and a["00081198"]["Value"][0]["00081197"]["Value"] == [0xA900] and len(a["00081199"]["Value"]) == 1'
equal "and not stored" 0 "$(count 2.25.8007)"
body d.dcm
equal "all of another study" 409 "$(post "$dw/studies/2.25.8001")"
head -c 60000 /dev/zero >"$work/zero"
body zero
equal "no DICOM" 409 "$(post "$dw/studies")"
check "has no name" says 'a["0008119A"]["Value"][0]["00081197"]["Value"] == [0xC000]'
body zero d.dcm
equal "no DICOM and an object" 202 "$(post "$dw/studies")"
equal "which is stored" 1 "$(count 2.25.8007)"

object e.dcm 2.25.8010 2.25.8011 2.25.8012 200
body e.dcm
head -c 300000 "$work/send" >"$work/cut" && mv "$work/cut" "$work/send"
equal "a body that ends in an object" 400 "$(post "$dw/studies")"
equal "leaves nothing" 0 "$(count 2.25.8010)"
printf 'no delimiter' >"$work/send"
equal "no delimiter" 400 "$(post "$dw/studies")"
printf -- '--BB--\r\n' >"$work/send"
equal "no part" 400 "$(post "$dw/studies")"
printf -- '--BBnext\r\n\r\nx\r\n--BB--\r\n' >"$work/send"
equal "a line that only begins as a delimiter" 400 "$(post "$dw/studies")"
equal "no boundary" 400 "$(status --data-binary @"$work/a.dcm" -H 'Content-Type: multipart/related' "$dw/studies")"
equal "a form" 415 "$(status -F "file=@$work/a.dcm" "$dw/studies")"
equal "one file as it is" 200 "$(status --data-binary @"$work/e.dcm" -H 'Content-Type: application/dicom' "$dw/studies")"
equal "is stored" 1 "$(count 2.25.8010)"
equal "no study" 400 "$(status --data-binary @"$work/e.dcm" -H 'Content-Type: application/dicom' "$dw/studies/x")"
equal "a page of another site" 403 "$(status -H 'Origin: http://evil.example' --data-binary @"$work/e.dcm" -H 'Content-Type: application/dicom' "$dw/studies")"
curl -s --max-time 0.3 --limit-rate 200k --data-binary @"$work/b.dcm" -H 'Content-Type: application/dicom' "$dw/studies/2.25.8001" -o /dev/null
equal "a sender that leaves, leaves nothing" 3 "$(count 2.25.8001)"

# 160 MiB in and out: the server's own memory does not grow with it.
object big.dcm 2.25.8020 2.25.8021 2.25.8022 2048 40
body big.dcm
anon() { awk '/RssAnon/ { print $2 }' "/proc/$server/status"; }
before=$(anon)
(while sleep 0.02; do anon; done >"$work/anon") 2>/dev/null &
watcher=$!
pids+=("$watcher")
equal "a large object" 200 "$(post "$dw/studies")"
equal "comes back" 200 "$(status -H 'Accept: multipart/related; type="application/dicom"; transfer-syntax=*' "$dw/studies/2.25.8020")"
check "whole" test "$(stat -c %s "$work/body")" -gt 167772160
equal "its last frame" 200 "$(status -H 'Accept: application/octet-stream' "$dw/studies/2.25.8020/series/2.25.8021/instances/2.25.8022/frames/40")"
equal "is a frame" 4194304 "$(stat -c %s "$work/body")"
kill "$watcher"
peak=$(sort -n "$work/anon" | tail -1)
case ${HILUM_BUILD:-} in *asan*) limit=300000 ;; *tsan*) limit=2000000 ;; *) limit=40000 ;; esac
check "in bounded memory ($before to $peak KiB)" test $((peak - before)) -lt "$limit"
# Senders that dawdle have threads waiting; everything else goes on all the same, and one address has half of them at most.
status --limit-rate 60M -H 'Accept: application/dicom; transfer-syntax=*' "$dw/studies/2.25.8020/series/2.25.8021/instances/2.25.8022" >"$work/code" &
sleep 0.5
$python - "${url#http://}" <<'PY' &
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
peers = []
for _ in range(60):
    s = socket.create_connection((host, int(port)))
    s.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: " + sys.argv[1].encode() + b"\r\nContent-Type: application/dicom\r\nContent-Length: 1000000\r\n\r\nx")
    peers.append(s)
time.sleep(60)
PY
pids+=($!)
await 10 sh -c "ss -Htn state established dst ${url#http://} | test \$(wc -l) -ge 60" || true
equal "a search does not wait for senders that dawdle" 200 "$(status --max-time 10 -o "$work/found" "$dw/studies?limit=1")"
equal "nor does a sender from elsewhere" 200 "$(curl -s --max-time 10 --interface 127.0.0.2 -o "$work/found" -w '%{http_code}' --data-binary @"$work/e.dcm" \
    -H 'Content-Type: application/dicom' "$dw/studies")"
check "a download goes on beside senders that dawdle" await 15 test -s "$work/code"
check "to its end" test "$(stat -c %s "$work/body")" -gt 167772160
check "it stops" stop_server
report
