#!/usr/bin/env bash
# Clients that dawdle: bodies that drip, answers nobody reads. They are cut, and nobody waits for them meanwhile.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_web 'unknown_clients = "accept"; body_grace = "1s"; min_rate = "1KiB"; bodies = 8; workers = 4; max_connections = 32;'
send_demo
settled 65
cat >"$work/slow.py" <<'PY'
import socket, sys, threading, time
host, port = sys.argv[1].rsplit(":", 1)
study, file = sys.argv[2:]
head = f"HTTP/1.1\r\nHost: {sys.argv[1]}\r\n"

def peer(receive=None):
    s = socket.socket()
    if receive:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    s.connect((host, int(port)))
    s.settimeout(0.2)
    return s

def is_cut(s, act, seconds=12):
    """True once the other side has ended it; act() is what the dawdler does in between."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if act() == b"":
                return True
        except socket.timeout:
            pass
        except OSError:
            return True
        time.sleep(0.2)
    return False

def drips(s):
    s.sendall(b"x")
    return s.recv(1000)

def is_short(s, seconds=9):
    """Dawdles, then takes all there is: an answer that was cut ends early."""
    got, n = b"", 0
    s.settimeout(15)
    while n < 3000000:  # a fast beginning is no credit for ever
        more = s.recv(65536)
        got, n = got or more, n + len(more)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        n += len(s.recv(1))
        time.sleep(0.2)
    s.settimeout(5)
    try:
        while (more := s.recv(1 << 20)):
            n += len(more)
    except OSError:
        pass
    length = int(got.lower().split(b"content-length:")[1].split()[0])
    return n < length

results = {}
def judge(name, s):
    results[name] = False
    results[name] = is_cut(s, lambda: drips(s)) if name.startswith("body") else is_short(s)

threads = []
for i in range(6):
    s = peer()
    s.sendall(f"POST /dicom-web/studies {head}Content-Type: application/dicom\r\nContent-Length: 5000000\r\n\r\n".encode() + b"\0" * 128 + b"DICM")
    threads.append(threading.Thread(target=judge, args=(f"body {i}", s)))
for i in range(6):
    s = peer(4096)
    s.sendall(f"GET /dicom-web/studies/{study} {head}Accept: */*\r\n\r\n".encode())
    threads.append(threading.Thread(target=judge, args=(f"reader {i}", s)))
for t in threads:
    t.start()
time.sleep(0.3)
# Meanwhile others are served, and store.
begun = time.monotonic()
body = open(file, "rb").read()
for what, text in (("health", f"GET /health {head}Connection: close\r\n\r\n".encode()),
                   ("search", f"GET /dicom-web/studies {head}Connection: close\r\n\r\n".encode()),
                   ("store", f"POST /dicom-web/studies {head}Content-Type: application/dicom\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)):
    with socket.create_connection((host, int(port)), 20) as s:
        s.sendall(text)
        answer = s.recv(100)
        assert answer[9:12] == b"200", (what, answer)
took = time.monotonic() - begun
for t in threads:
    t.join()
uncut = sorted(name for name in results if not results[name])
print(f"others waited {took:.2f} s")
sys.exit(f"not cut: {uncut}" if uncut else f"others waited {took:.1f} s" if took > 8 else 0)
PY
status "$url/dicom-web/studies?PatientID=DEMO-0001" >/dev/null
study=$(grep -o '"0020000D":{"vr":"UI","Value":\["[0-9.]*' "$work/body" | head -1 | sed 's/.*"//')
printf '(0008,0016) UI =SecondaryCaptureImageStorage\n(0008,0018) UI [2.25.7701]\n(0020,000d) UI [2.25.7703]\n(0020,000e) UI [2.25.7702]\n(0008,0060) CS [OT]\n(0010,0020) LO [QUICK]\n' >"$work/quick.dump"
dump2dcm -q "$work/quick.dump" "$work/quick.dcm"
check "dawdlers are cut, others are served" $python "$work/slow.py" "${url#http://}" "$study" "$work/quick.dcm"
# The proxy on this machine that dawdles: what waits for it waits with us, not by the megabyte in its socket.
cat >"$work/queue.py" <<'PY'
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect((host, int(port)))
s.sendall(f"GET /dicom-web/studies/{sys.argv[2]} HTTP/1.1\r\nHost: {sys.argv[1]}\r\nAccept: */*\r\n\r\n".encode())
time.sleep(0.5)
def port_of(text):
    return int(text.split(":")[1], 16)
ends = (int(port), s.getsockname()[1])
rows = [line.split() for line in open("/proc/net/tcp").readlines()[1:]]
waits = [int(r[4].split(":")[0], 16) for r in rows if (port_of(r[1]), port_of(r[2])) == ends]
print("bytes that wait in the socket:", waits)
sys.exit(0 if len(waits) == 1 and 0 < waits[0] < 500000 else "not as few as they should be")
PY
check "little of a long answer waits in the socket of a client on this machine" $python "$work/queue.py" "${url#http://}" "$study"
# More than there may be: who comes is neither refused nor forgotten.
cat >"$work/full.py" <<'PY'
import select, socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
ask = f"GET /health HTTP/1.1\r\nHost: {sys.argv[1]}\r\n".encode()

def open_and_ask(text):
    s = socket.create_connection((host, int(port)), 5)
    s.sendall(text)
    return s

def answered(sockets, seconds):
    return len(select.select(sockets, [], [], seconds)[0])

held = []
for i in range(32):
    held.append(open_and_ask(ask + b"\r\n"))
    assert answered(held[-1:], 5), f"connection {i + 1} of 32 was not answered"
waiting = [open_and_ask(ask + b"Connection: close\r\n\r\n") for i in range(8)]
early = answered(waiting, 0.5)
for s in held:
    s.close()
late = [s for s in waiting if answered([s], 5) and s.recv(100)[9:12] == b"200"]
print(f"{early} answered while it was full, {len(late)} of 8 afterwards")
sys.exit(early != 0 or len(late) != 8)
PY
check "at the limit of connections others wait, and are served" $python "$work/full.py" "${url#http://}"
equal "what was stored meanwhile is there" 200 "$(status "$url/dicom-web/studies?PatientID=QUICK")"
none_open() { [ "$(ls -l "/proc/$server/fd" "/proc/$server/map_files" 2>/dev/null | grep -c '\.dcm')" = 0 ]; }
check "no object stays open" await 5 none_open
check "it stops" stop_server
report
