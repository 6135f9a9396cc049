#!/usr/bin/env python3
"""C-FIND over the network at many studies: time to the 100th pending response, then C-CANCEL; exact keys to the end.

usage: bench_find.py [--build DIR] [--studies N] [--data DIR] [--runs N]
The catalogue is filled through core/record's own insert (bin/bench_find: a million take about ten minutes) into DIR,
which is kept and used again; without --data into a fresh directory that is removed. Prints figures; fails no build.
The client is a socket and nothing else, so that its own time does not count. Read: python3 only.
"""
import argparse, os, random, shutil, socket, struct, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
from peers import BUILD, Hilum

STUDY_ROOT_FIND, IMPLICIT = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2"
FAMILIES = ["SMITH", "SMIRNOW", "MUELLER", "JOHNSON", "BROWN", "WANG", "ZHANG", "LI", "TANAKA", "KIM", "GARCIA", "DUPONT",
            "ROSSI", "NOWAK", "IVANOV", "JENSEN"]  # those of bench_find.c
RETURNS = {0x00080020: "", 0x00080030: "", 0x00080050: "", 0x00080061: "", 0x00081030: "", 0x00100010: "", 0x00100020: "",
           0x0020000D: "", 0x00201206: "", 0x00201208: ""}


# ---- a client of the upper layer


def item(kind, body):
    return struct.pack(">BBH", kind, 0, len(body)) + body


def element(tag, value):
    if isinstance(value, int):
        value = struct.pack("<H", value)
    elif isinstance(value, str):
        value = value.encode()
        value += (b"\0" if tag in (0x00000002, 0x0020000D) else b" ") * (len(value) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value)) + value


def command(elements):
    body = b"".join(element(t, v) for t, v in sorted(elements.items()))
    return element(0, struct.pack("<I", len(body))) + body


def p_data(flags, body):
    return struct.pack(">BBIIBB", 4, 0, len(body) + 6, len(body) + 2, 1, flags) + body


class Finder:
    """One association; queries one after the other."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")
        self.message = 0
        context = bytes([1, 0, 0, 0]) + item(0x30, STUDY_ROOT_FIND.encode()) + item(0x40, IMPLICIT.encode())
        user = item(0x51, struct.pack(">I", 65536)) + item(0x52, b"1.2.999.1")
        body = (struct.pack(">HH", 1, 0) + b"HILUM".ljust(16) + b"BENCH".ljust(16) + bytes(32) +
                item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user))
        self.socket.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
        kind, _ = self.pdu()
        assert kind == 2, f"association: PDU {kind}"

    def pdu(self):
        kind, _, n = struct.unpack(">BBI", self.file.read(6))
        return kind, self.file.read(n)

    def part(self):
        """A whole command or data set: (is command, bytes)."""
        whole, pieces = b"", []
        while True:
            if not whole:
                kind, whole = self.pdu()
                assert kind == 4, f"PDU {kind} where data was expected"
            n, _, flags = struct.unpack(">IBB", whole[:6])
            pieces.append(whole[6:4 + n])
            whole = whole[4 + n:]
            if flags & 2:
                assert not whole
                return flags & 1, b"".join(pieces)

    def response(self):
        """Status of the next response; its data set is read too."""
        _, body = self.part()
        values, at = {}, 0
        while at < len(body):
            group, number, n = struct.unpack("<HHI", body[at:at + 8])
            values[number] = body[at + 8:at + 8 + n]
            at += 8 + n
        if struct.unpack("<H", values[0x0800])[0] != 0x0101:
            self.part()
        return struct.unpack("<H", values[0x0900])[0]

    def find(self, keys, limit):
        """(milliseconds to the limit-th answer or the end, answers until then)."""
        self.message = self.message % 60000 + 1
        request = command({0x0002: STUDY_ROOT_FIND, 0x0100: 0x0020, 0x0110: self.message, 0x0700: 0, 0x0800: 1})
        identifier = {0x00080052: "STUDY", **RETURNS, **keys}
        body = b"".join(element(t, v) for t, v in sorted(identifier.items()))
        begin, answers = time.perf_counter(), 0
        self.socket.sendall(p_data(3, request) + p_data(2, body))
        while answers < limit:
            status = self.response()
            if status & 0xFFFE != 0xFF00:
                assert status == 0, f"final status {status:04x}"
                return (time.perf_counter() - begin) * 1000, answers
            answers += 1
        spent = (time.perf_counter() - begin) * 1000
        self.socket.sendall(p_data(3, command({0x0100: 0x0FFF, 0x0120: self.message, 0x0800: 0x0101})))
        while self.response() & 0xFFFE == 0xFF00:
            pass
        return spent, answers

    def close(self):
        self.socket.sendall(struct.pack(">BBII", 5, 0, 4, 0))
        self.file.read(10)
        self.socket.close()


# ---- the questions


def month(rng):
    year, m = rng.randrange(2015, 2025), rng.randrange(1, 13)
    return f"{year}{m:02}01-{year}{m:02}31"


QUESTIONS = [
    ("PatientID", lambda rng, n: {0x00100020: f"PID{rng.randrange(n) * 3 // 5}"}),
    ("StudyInstanceUID", lambda rng, n: {0x0020000D: f"1.2.840.99.2.{rng.randrange(n)}"}),
    ("AccessionNumber", lambda rng, n: {0x00080050: f"A{rng.randrange(n)}"}),
    ("name prefix", lambda rng, n: {0x00100010: f"{rng.choice(FAMILIES)[:3]}*"}),
    ("name prefix, longer", lambda rng, n: {0x00100010: f"{rng.choice(FAMILIES)}{rng.randrange(100):02}*"}),
    ("month", lambda rng, n: {0x00080020: month(rng)}),
    ("month and modality", lambda rng, n: {0x00080020: month(rng), 0x00080061: rng.choice(["CT", "MR", "US", "CR"])}),
]


def ask_all(port, studies, runs, state):
    rng, finder = random.Random(7), Finder(port)
    for what, keys in QUESTIONS:
        asked = [finder.find(keys(rng, studies), 100) for _ in range(runs)]
        ms = sorted(spent for spent, _ in asked)
        print(f"{studies:9} {state} {what:22} p50 {ms[len(ms) // 2]:7.2f} ms  p95 {ms[len(ms) * 95 // 100]:7.2f} ms  "
              f"first {asked[0][0]:7.2f} ms  answers {sum(n for _, n in asked) / runs:.1f}")
    finder.close()


def drop(path):
    fd = os.open(path, os.O_RDONLY)
    os.fdatasync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def wait_until_settled(server):
    """After a fill the first start makes each study complete and handles as many events; that is not what is measured."""
    time.sleep(3)
    while server.cli("status")["record"].get("journal_waiting", 0) > 0:
        time.sleep(1)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=BUILD)
    p.add_argument("--studies", type=int, default=1000000)
    p.add_argument("--data")
    p.add_argument("--runs", type=int, default=200)
    a = p.parse_args()
    work = tempfile.mkdtemp(prefix="hilum-find-")
    data = a.data or f"{work}/data"
    os.makedirs(data, exist_ok=True)
    try:
        if not os.path.exists(f"{data}/catalog.db"):
            subprocess.run(["nice", "-n", "10", f"{a.build}/bin/bench_find", str(a.studies), data], check=True)
        drop(f"{data}/catalog.db")
        server = Hilum(work, data=data, build=a.build)
        wait_until_settled(server)
        ask_all(server.port, a.studies, a.runs, "cold")
        ask_all(server.port, a.studies, a.runs, "warm")
        print(f"peak RSS now {server.rss_mb():.0f} MB")
        server.stop(600)  # after a fill a million studies have just become complete, and each is an event
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
