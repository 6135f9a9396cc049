#!/usr/bin/env python3
"""Clients that leave in the middle of a large picture, of a decoder that takes for ever, and one that only ends its side and
waits. Judged by processor time, which does not depend on who else is busy. SPDX-License-Identifier: Apache-2.0"""
import os
import re
import socket
import ssl
import struct
import sys
import time
import urllib.parse
import urllib.request

import numpy
from pydicom.encaps import encapsulate

from made import URL, WORK, check, failed, failures, image, stored

SERVER = int(sys.argv[4])
HOST, HTTP = re.match(r"http://(.*):(\d+)", URL).groups()
TLS = int(re.search(r"https://127.0.0.1:(\d+)", open(os.path.join(WORK, "server/log")).read()).group(1))
OCTETS = "multipart/related; type=\"application/octet-stream\"; transfer-syntax=1.2.840.10008.1.2.1"
SIDE = 8192
LOG = os.path.join(WORK, "server/log")
GREY = numpy.arange(256, dtype="u1").reshape(16, 16)


def fields(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    except OSError:
        return None


def workers():
    found = {int(p): fields(p) for p in os.listdir("/proc") if p.isdigit()}
    return [p for p, f in found.items() if f and int(f[1]) == SERVER and f[0] != "Z"]


def used(pid=None):
    """Seconds of the processor, of the server or of one worker."""
    f = fields(pid or SERVER)
    return (int(f[11]) + int(f[12])) / os.sysconf("SC_CLK_TCK") if f else 0


def wait_for(what, is_so, seconds=60):
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.01)
    check(what, is_so())
    if failures:
        sys.exit(1)


def put(d):
    return urllib.parse.urlsplit(stored(d)).path


def coded(number, word):
    """RLE by its name; the stream is for the decoder of tests/unit/isolation/hostile.c."""
    d = image(number, GREY)
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    d.PixelData = encapsulate([word.encode().ljust(256)])
    d["PixelData"].is_undefined_length = True
    d["PixelData"].VR = "OB"
    return put(d)


def tls():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection((HOST, TLS)))


def ask(path, accept, version="1.1", client=None):
    client = client or socket.create_connection((HOST, int(HTTP)))
    client.sendall(f"GET {path} HTTP/{version}\r\nHost: {HOST}:{HTTP}\r\nAccept: {accept}\r\n\r\n".encode())
    return client


def whole(client):
    """All that comes until the server closes, of a client that has ended its own side."""
    client.settimeout(120)
    answer = b""
    while piece := client.recv(1 << 20):
        answer += piece
    return answer


def answered(status):
    return open(LOG).read().count(f" {status} ")


plain = put(image(1, GREY))
large = f"{plain}/rendered?viewport={SIDE},{SIDE}"

# Who ends his side and waits has his answer: and so we know what the picture costs.
begun = used()
client = ask(large, "image/png")
client.shutdown(socket.SHUT_WR)
answer = whole(client)
cost = used() - begun
check("half closed is no hang-up", b"\r\n\r\nHTTP/1.1 200 " in answer and answer.endswith(b"IEND\xaeB`\x82"), answer[:300])
check("it was asked whether it is there", answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"), answer[:100])
client = ask(f"{plain}/rendered?viewport=1024,1024", "image/jpeg", "1.0")
client.shutdown(socket.SHUT_WR)
answer = whole(client)
check("nobody before HTTP/1.1 hears of interim answers", re.match(rb"HTTP/1.[01] 200 ", answer), answer[:100])

# Who leaves, by a FIN or by a reset, ends the work; within TLS too, where nobody ends one side only.
for how in ("closes", "resets", "closes within TLS"):
    before, begun = answered(499), used()
    client = ask(large, "image/png", client=tls() if "TLS" in how else None)
    wait_for("it has begun", lambda: used() - begun > min(0.2, cost / 5))
    if how == "resets":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left = used()
    client.close()
    wait_for(f"who {how} is noticed", lambda: answered(499) > before)
    after = used() - left
    check(f"work ends soon after a client {how}", after < cost / 2, f"{after:.2f} s of the processor, {cost:.2f} s for the whole picture")
    print(f"a picture of {cost:.2f} s of the processor: {after:.2f} s more after its client {how}")

# A frame that two wait for, whose decoder never ends.
endless = coded(2, "loop") + "/frames/1"
first, second = ask(endless, OCTETS), None
wait_for("it is being decoded", lambda: any(used(w) > 0.2 for w in workers()))
busy = [w for w in workers() if used(w) > 0.2]
second = ask(endless, OCTETS)
time.sleep(0.5)
first.close()
time.sleep(1)
check("decoding goes on for who waits", busy == [w for w in workers() if used(w) > 0.2], f"{busy} {workers()}")
second.close()
wait_for("decoding ends with the last who waited", lambda: not [w for w in busy if w in workers()], 30)
with urllib.request.urlopen(urllib.request.Request(URL + coded(3, "good") + "/frames/1", headers={"Accept": OCTETS})) as answer:
    check("the next frame has a new worker", bytes(~b & 255 for b in b"good".ljust(256)) in answer.read())
sys.exit(failed())
