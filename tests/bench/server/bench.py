#!/usr/bin/env python3
"""Whole-server benchmarks: Hilum beside a tuned Orthanc and a durable probe, in one run.

usage: bench.py [--build DIR] [--studies N] [--slices N] [--runs N] [WORK ...]
WORK: cstore cmove cget memory start crowd (default: all). Prints ratios; never fails a build.
Each run uses fresh directories (ext4 makes creation slow for minutes after a large rm) and drops the pages of
the run before. Needs Debian's dcmtk and, for the ratio, orthanc.
"""
import argparse, os, shutil, socket, statistics, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
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
        keys = ["-S", "-aec", server.aet, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}",
                "127.0.0.1", str(server.port)]
        if how == "cmove":
            seconds[kind] = timed(["movescu", "-aem", "SINK", *keys], 5)
        else:
            seconds[kind] = timed(["getscu", "--ignore", "-pdu", "131072", *keys], 5)
        finish(server)
    sink.terminate()
    ratio = seconds.get("orthanc", float("nan")) / seconds["hilum"]
    print(f"{how} of a study of {a.slices}: " + ", ".join(f"{k} {v * 1000:.0f} ms" for k, v in seconds.items()) +
          f": {ratio:.2f} x orthanc (client start included)")


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
    server = start("hilum", a, work)
    send(server, parts_of(corpus, 1), True)
    server.kill()
    for label in ("after kill -9", "after a clean stop"):
        begin = time.time()
        server.again()
        print(f"start {label}: {(time.time() - begin) * 1000:.0f} ms to an open port")
        server.stop()


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
