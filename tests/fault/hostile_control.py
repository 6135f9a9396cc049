#!/usr/bin/env python3
"""The control socket against rubbish, huge requests, crowds and the impatient; a server beside it that stays well."""
import json, os, random, shutil, socket, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum
from wire import ct, storing, CT

failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def connect(server, is_patient=True):
    """is_patient: waits while the socket's queue is full."""
    s = socket.socket(socket.AF_UNIX)
    s.setblocking(is_patient)
    s.connect(f"{server.data}/hilum.sock")
    s.settimeout(20)
    return s


def talk(server, data, is_ended=True):
    """What the socket says to these bytes, to the end."""
    with connect(server) as s:
        try:
            s.sendall(data)
            if is_ended:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        out = b""
        try:
            while got := s.recv(65536):
                out += got
        except OSError as error:
            out += f"<{error}>".encode()
        return out


def is_answer(out):
    """Whole lines of JSON, or nothing."""
    try:
        return all(isinstance(json.loads(line), dict) for line in out.splitlines())
    except ValueError:
        return False


def status_when_free(server):
    """The server notices clients that hung up a moment after they did; until then it may say that it is full."""
    end = time.time() + 3
    while True:
        try:
            return server.cli("status")
        except RuntimeError as error:
            if "HILUM_EAGAIN" not in str(error) or time.time() > end:
                raise
        time.sleep(0.05)


def lives(server, after):
    start = time.time()
    check(f"after {after}: status", status_when_free(server)["store_health"] == "ok")
    check(f"after {after}: status in time", time.time() - start < 3, time.time() - start)


def rubbish__is_refused(server):
    nested = b'{"command":"status","args":' + b'{"a":' * 5000 + b"1" + b"}" * 5001
    lines = [b"", b"\n", b"rubbish\n", b"{}\n", b"[]\n", b"null\n", b'{"command":1}\n', b'{"command":"no such"}\n',
             b'{"command":"status","args":[]}\n', b'{"command":"status","args":{"x":1}}\n', b'{"command":"status"', b"\0" * 100 + b"\n",
             b'{"command":"status","command":"check"}\n', b'{"command":"\xff\xfe"}\n', nested + b"\n", b"\n" * 10000,
             b'{"command":"study find","args":{"limit":-1}}\n', b'{"command":"study find","args":{"limit":1e300}}\n',
             b'{"command":"study find","args":{"limit":"9"}}\n', b'{"command":"import","args":{"path":"/dev/zero"}}\n',
             b'{"command":"import","args":{"path":"/proc/self/mem"}}\n', b'{"command":"export","args":{"study":"../..","path":"/"}}\n']
    for line in lines:
        out = talk(server, line)
        check(f"answers {line[:60]!r}", is_answer(out), out[:200])
    random.seed(int(os.environ.get("HILUM_SEED", 20261123)))
    for _ in range(100):
        out = talk(server, random.randbytes(random.choice((1, 50, 5000))) + b"\n")
        check("answers noise", is_answer(out), out[:200])
    lives(server, "rubbish")


def every_command__survives_odd_arguments(server):
    """Names from the server's own list; each with every argument too long, of no meaning and of the wrong type."""
    out = talk(server, b'{"command":"commands"}\n')
    names = [row["name"] for line in out.splitlines() for row in rows_of(json.loads(line)) if "action" in row or "args" in row]
    check("commands are listed", len(names) > 10, (len(names), out[:300]))
    n = 0
    for name in names:
        for value in ("x" * 100000, "%s%n\"'; DROP TABLE instances;--", -1, None, [], "\u0000"):
            for key in ("peer", "study", "uid", "path", "id", "limit", "name", "where", "patient"):
                if name in ("shutdown", "stop"):
                    continue
                out = talk(server, json.dumps({"command": name, "args": {key: value}}).encode() + b"\n")
                n += 1
                check(f"{name} {key}={str(value)[:20]}", is_answer(out), out[:200])
    print(f"{len(names)} commands, {n} odd requests")
    lives(server, "odd arguments")


def rows_of(value):
    """All objects inside."""
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from rows_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from rows_of(inner)


def huge_requests__are_refused(server):
    before = server.rss_mb()
    for size in (1 << 20, 4 << 20, 64 << 20):
        out = talk(server, b'{"command":"status","args":{"x":"' + b"y" * size + b'"}}\n')
        check(f"request of {size} bytes", b"error" in out or not out or b"reset" in out or b"Broken" in out, out[:200])
    check("huge requests keep no memory", server.rss_mb() - before < 60, server.rss_mb() - before)
    lives(server, "huge requests")


def crowds__leave_room(server):
    crowd = []
    for i in range(100):
        try:
            s = connect(server, False)
            s.send(b'{"comm' if i % 2 else b"")
            crowd.append(s)
        except OSError:
            pass
    refused = 0
    for s in crowd:
        s.settimeout(0.01)
        try:
            refused += b"try again" in s.recv(1000)
        except OSError:
            pass
    print(f"100 connections: {refused} told to try again")
    check("the crowd is bounded", refused > 0, refused)
    with storing(server.port) as wire:
        check("DICOM goes on beside the crowd", wire.store(3, CT, "1.2.66.1", ct("1.2.66.1")) == 0)
    for s in crowd:
        s.close()
    time.sleep(0.1)
    lives(server, "crowd")


def impatient_clients__harm_nobody(server):
    def run():
        for _ in range(30):
            with connect(server) as s:
                s.sendall(b'{"command":"status"}\n' * random.randint(1, 20))

    threads = [threading.Thread(target=run) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    lives(server, "impatient clients")


def main():
    work = tempfile.mkdtemp(prefix="hilum-control-")
    server = Hilum(work, 'storage = { min_free = "64MiB"; };')
    for test in (rubbish__is_refused, every_command__survives_odd_arguments, huge_requests__are_refused, crowds__leave_room,
                 impatient_clients__harm_nobody):
        if sys.argv[1:] and test.__name__.split("__")[0] not in sys.argv[1:]:
            continue
        start = time.time()
        test(server)
        print(f"{test.__name__}: {time.time() - start:.1f} s, {server.rss_mb():.0f} MB")
    check("ends well", server.stop() == 0, server.process.returncode)
    if failures:
        print(open(f"{server.dir}/log").read()[-2000:])
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
