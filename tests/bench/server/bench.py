#!/usr/bin/env python3
"""Whole-server benchmarks: Hilum beside a tuned Orthanc and a durable probe, in one run.

usage: bench.py [--build DIR] [--studies N] [--slices N] [--runs N] [--data DIR] [WORK ...]
WORK: cstore cmove cget memory start crowd (default: all). Prints ratios; never fails a build.
Each run uses fresh directories (ext4 makes creation slow for minutes after a large rm) and drops the pages of
the run before. Needs Debian's dcmtk and, for the ratio, orthanc.
"""
import argparse, os, shutil, socket, statistics, struct, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
import bare, wire
from peers import BUILD, ROOT, Hilum, Orthanc, client_env, dcmsend, has_orthanc, make_corpus, tag_value, wait_for, free_port

LIMITS = "limits = { max_associations = 3000; max_per_address = 3000; max_connecting = 2000; };"


def drop_pages(directory):
    for top, _, names in os.walk(directory):
        for name in names:
            try:
                fd = os.open(os.path.join(top, name), os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
            except OSError:
                pass


def send(server, parts, is_nodelay):
    """dcmsend of each part at once; seconds."""
    begin = time.time()
    clients = [dcmsend(server, part, is_nodelay) for part in parts]
    codes = [c.wait() for c in clients]
    if any(codes):
        print(f"  note: dcmsend to {server.name} exited with {codes}")
    return time.time() - begin


def parts_of(corpus, senders):
    studies = sorted(os.path.join(corpus, s) for s in os.listdir(corpus))
    return [studies[i::senders] for i in range(senders)]


def probe(work, build, objects, senders):
    directory = tempfile.mkdtemp(dir=work)
    out = subprocess.run([f"{build}/bin/durable-probe", directory, str(objects), "525000", str(senders)],
                         capture_output=True, text=True)
    drop_pages(directory)
    return float(out.stdout or 0)


def start(kind, a, work, destination=1):
    if kind == "orthanc":
        return Orthanc(work, destination)
    peers = f'peers = ( {{ name = "SINK"; aet = "SINK"; host = "127.0.0.1"; port = {destination}; }} );'
    server = Hilum(work, peers, dicom=LIMITS, build=a.build, store="")
    while not os.path.exists(f"{server.data}/objects/intake/segment-11"):  # a first start writes them in the background
        time.sleep(0.1)
    return server


def finish(server):
    server.stop()
    drop_pages(server.dir)


def bench_cstore(a, work, corpus, objects):
    print(f"C-STORE durable, {objects} CT of 525 KB; objects/s, medians of {a.runs} (each run its own directory)")
    for senders in (1, 4):
        for is_nodelay in (False, True):
            rates = {"probe": [], "hilum": [], "orthanc": []}
            for _ in range(a.runs):
                rates["probe"].append(probe(work, a.build, objects, senders))
                for kind in ("hilum", "orthanc"):
                    if kind == "orthanc" and not has_orthanc():
                        continue
                    server = start(kind, a, work)
                    rates[kind].append(objects / send(server, parts_of(corpus, senders), is_nodelay))
                    finish(server)
            m = {k: statistics.median(v) if v else float("nan") for k, v in rates.items()}
            print(f"  {senders} sender(s), {'NODELAY' if is_nodelay else 'default'} client: hilum {m['hilum']:.0f}, "
                  f"orthanc {m['orthanc']:.0f}, probe {m['probe']:.0f}: {m['hilum'] / m['orthanc']:.2f} x orthanc, "
                  f"{m['hilum'] / m['probe']:.2f} x probe")


def timed(argv, runs):
    seconds = []
    for _ in range(runs):
        start = time.time()
        code = subprocess.run(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=client_env(True)).returncode
        seconds.append(time.time() - start)
        if code:
            print(f"  note: {argv[0]} exited with {code}")
    return statistics.median(seconds)


def retrieve_command(server, how, uid):
    keys = ["-S", "-aec", server.aet, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}", "127.0.0.1", str(server.port)]
    return ["movescu", "-aem", "SINK", *keys] if how == "cmove" else ["getscu", "--ignore", "-pdu", "131072", *keys]


def bare_seconds(how, paths, uid, sink_port, runs):
    """The same files into the same receiver; for a C-GET the client's start is in it, for a C-MOVE that of a client which asks
    nothing is added, since movescu's is in the others."""
    if how == "cget":
        server = bare.GetServer(paths)
        seconds = timed(retrieve_command(server, how, uid), runs)
        server.stop()
        return seconds
    start = timed(["movescu", "--version"], runs)
    return start + statistics.median(bare.send_all(sink_port, "SINK", paths, 4) for _ in range(runs))


def bench_retrieve(a, work, corpus, how):
    sink_port = free_port()
    sink = subprocess.Popen(["storescp", "--fork", "--ignore", "-aet", "SINK", "-pdu", "131072", str(sink_port)],
                            env=client_env(True), stderr=subprocess.DEVNULL)
    wait_for(sink_port, sink)
    first = os.path.join(corpus, sorted(os.listdir(corpus))[0])
    uid = tag_value(os.path.join(first, "0001.dcm"), "StudyInstanceUID")
    seconds = {}
    for kind in ("hilum", "orthanc") if has_orthanc() else ("hilum",):
        server = start(kind, a, work, sink_port)
        send(server, [[first]], True)
        time.sleep(2)  # what came in becomes files when senders pause
        seconds[kind] = timed(retrieve_command(server, how, uid), 5)
        finish(server)
    seconds["bare"] = bare_seconds(how, [os.path.join(first, f) for f in sorted(os.listdir(first))], uid, sink_port, 5)
    sink.terminate()
    ratio = seconds.get("orthanc", float("nan")) / seconds["hilum"]
    print(f"{how} of a study of {a.slices}: " + ", ".join(f"{k} {v * 1000:.0f} ms" for k, v in seconds.items()) +
          f": {ratio:.2f} x orthanc (target 2), or {seconds['bare'] / seconds['hilum']:.2f} x a bare sender (target 0.8); client start included")


class Sampler(threading.Thread):
    """Peak RSS of a process at 10 Hz."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.peak, self.is_done = server, 0, False
        self.start()

    def run(self):
        while not self.is_done:
            self.peak = max(self.peak, self.server.rss_mb())
            time.sleep(0.1)

    def end(self):
        self.is_done = True
        self.join()
        return self.peak


def bench_memory(a, work):
    big = tempfile.mkdtemp(dir=work)
    make_corpus(big, 4, 1, 14491, a.build)
    server = start("hilum", a, work)
    sampler = Sampler(server)
    seconds = send(server, parts_of(big, 4), True)
    print(f"memory: 4 x 420 MB at once in {seconds:.1f} s, peak RSS {sampler.end():.0f} MB (target 200)")
    shutil.rmtree(big)
    request = associate_request(server.aet)
    sampler, held = Sampler(server), []
    for _ in range(1000):
        s = socket.create_connection(("127.0.0.1", server.port))
        s.sendall(request)
        held.append(s)
    accepted = sum(1 for s in held if s.recv(1) == b"\x02")
    time.sleep(0.3)
    print(f"memory: {accepted} of 1000 associations open, 60 contexts each, peak RSS {sampler.end():.0f} MB (target 200)")
    for s in held:
        s.close()
    server.stop()
    bench_headers(a, work)


def bench_headers(a, work):
    """300 MB without PixelData: a sequence of 4,800 items of 64 KiB, as a radiotherapy structure set has contours."""
    def element(group, number, vr, value):
        long = vr in (b"UN", b"SQ")
        return struct.pack("<HH2s", group, number, vr) + (struct.pack("<HI", 0, len(value)) if long else struct.pack("<H", len(value))) + value

    contour = element(0x3006, 0x0050, b"UN", bytes(65536))
    item_of = struct.pack("<HHI", 0xFFFE, 0xE000, len(contour)) + contour
    rt = b"1.2.840.10008.5.1.4.1.1.481.3\0"
    head = b"".join((element(8, 0x16, b"UI", rt), element(8, 0x18, b"UI", b"1.2.3.4.8.2"), element(0x10, 0x10, b"PN", b"Big^Header"),
                     element(0x10, 0x20, b"LO", b"P1"), element(0x20, 0x0D, b"UI", b"1.2.3.4.8\0"), element(0x20, 0x0E, b"UI", b"1.2.3.4.8.1")))
    # bytes 4-7 of the sequence's head: SQ, undefined length
    data = head + struct.pack("<HH2sHI", 0x3006, 0x0039, b"SQ", 0, 0xFFFFFFFF) + item_of * 4800 + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    server = start("hilum", a, work)
    sampler, begin = Sampler(server), time.time()
    with wire.Wire(server.port, timeout=120) as peer:
        peer.associate([(1, rt.decode().rstrip("\0"), [wire.EXPLICIT])])
        status = peer.store(1, rt.decode().rstrip("\0"), "1.2.3.4.8.2", data, piece=65000)
    print(f"memory: {len(data) / 1e6:.0f} MB without PixelData in {time.time() - begin:.1f} s (status {status:04X}), "
          f"peak RSS {sampler.end():.0f} MB (target 200)")
    server.stop()


def item(kind, body):
    return bytes([kind, 0]) + len(body).to_bytes(2, "big") + body


def associate_request(called, calling="BENCH"):
    """An A-ASSOCIATE-RQ with 60 contexts of 2 transfer syntaxes (PS3.8 9.3.2)."""
    contexts = b"".join(
        item(0x20, bytes([2 * i + 1, 0, 0, 0]) + item(0x30, b"1.2.840.10008.5.1.4.1.1.2") +
             item(0x40, b"1.2.840.10008.1.2.1") + item(0x40, b"1.2.840.10008.1.2")) for i in range(60))
    user = item(0x50, item(0x51, (16384).to_bytes(4, "big")) + item(0x52, b"1.2.3.4"))
    body = (b"\0\1\0\0" + called.ljust(16).encode() + calling.ljust(16).encode() + bytes(32) +
            item(0x10, b"1.2.840.10008.3.1.1.1") + contexts + user)
    return b"\1\0" + len(body).to_bytes(4, "big") + body


def bench_start(a, work, corpus):
    """Over the catalogue of --data (bench_find.py makes one of a million studies), which is given back as it was but for
    ten studies more; without it over what the corpus holds."""
    server = Hilum(work, dicom=LIMITS, build=a.build, data=a.data)
    send(server, parts_of(corpus, 1), True)
    studies = server.cli("status")["record"]["studies"]
    server.kill()
    times = {"after kill -9": [], "after a clean stop": []}
    for _ in range(a.runs):
        for label in times:
            begin = time.time()
            server.again()
            times[label].append((time.time() - begin) * 1000)
            if label == "after kill -9":
                server.stop()
        send(server, parts_of(corpus, 1), True)
        server.kill()
    for label, ms in times.items():
        print(f"start {label}, {studies} studies: {statistics.median(ms):.0f} ms to the READY line, of {len(ms)} at most {max(ms):.0f} ms (targets 2000 and 200)")


def bench_crowd(a, work):
    server = start("hilum", a, work)
    echo = ["echoscu", "-aec", server.aet, "127.0.0.1", str(server.port)]
    alone = timed(echo, 5)
    crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(300)]
    for s in crowd[:100]:
        s.sendall(b"\1\0\0")
    print(f"crowd: echo {alone * 1000:.1f} ms alone, {timed(echo, 5) * 1000:.1f} ms beside 300 silent connections (target: +100 ms)")
    for s in crowd:
        s.close()
    server.stop()


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=BUILD)
    p.add_argument("--dir", default=f"{ROOT}/build")
    p.add_argument("--studies", type=int, default=10)
    p.add_argument("--slices", type=int, default=100)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("--data", help="data directory with a catalogue, for start")
    p.add_argument("work", nargs="*")
    a = p.parse_args()
    todo = a.work or ["cstore", "cmove", "cget", "memory", "start", "crowd"]
    work = tempfile.mkdtemp(prefix="bench-", dir=a.dir)
    corpus = os.path.join(work, "corpus")
    make_corpus(corpus, a.studies, a.slices, 512, a.build)
    try:
        if "cstore" in todo:
            bench_cstore(a, work, corpus, a.studies * a.slices)
        for how in ("cmove", "cget"):
            if how in todo:
                bench_retrieve(a, work, corpus, how)
        if "memory" in todo:
            bench_memory(a, work)
        if "start" in todo:
            bench_start(a, work, corpus)
        if "crowd" in todo:
            bench_crowd(a, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
