#!/usr/bin/env python3
"""Whole-server benchmarks: Hilum beside a tuned Orthanc and a durable probe, in one run.

usage: bench.py [--build DIR] [--studies N] [--slices N] [--runs N] [WORK ...]
WORK: cstore cmove cget memory start crowd (default: all). Prints ratios; never fails a build.
Each run uses fresh directories (ext4 makes creation slow for minutes after a large rm) and drops the pages of
the run before. Needs Debian's dcmtk and, for the ratio, orthanc.
"""
import argparse, json, os, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process, seconds=20):
    end = time.time() + seconds
    while time.time() < end:
        if process.poll() is not None:
            sys.exit(f"server ended with {process.returncode}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    sys.exit(f"nothing listens on {port}")


def drop_pages(directory):
    for top, _, names in os.walk(directory):
        for name in names:
            try:
                fd = os.open(os.path.join(top, name), os.O_RDONLY)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)
            except OSError:
                pass


class Server:
    """A peer under test: start, port, aet, stop."""

    def __init__(self, work):
        self.dir = tempfile.mkdtemp(dir=work)
        self.port = free_port()
        self.log = open(os.path.join(self.dir, "log"), "w")

    def launch(self, argv, env=None):
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log, env=env)
        wait_for(self.port, self.process)

    def rss(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        drop_pages(self.dir)


class Hilum(Server):
    name, aet = "hilum", "HILUM"

    def __init__(self, work, build, destination=None, data=None):
        super().__init__(work)
        self.build = build
        self.data = data or os.path.join(self.dir, "data")
        os.makedirs(self.data, exist_ok=True)
        extra = os.path.join(self.dir, "bench.cfg")
        with open(extra, "w") as f:
            f.write(f'dicom = {{ unknown_peers = "accept"; listen = ( "127.0.0.1:{self.port}" );'
                    ' limits = { max_associations = 3000; max_per_address = 3000; max_connecting = 2000; }; };\n')
            if destination:
                f.write(f'peers = ( {{ name = "SINK"; aet = "SINK"; host = "127.0.0.1"; port = {destination}; }} );\n')
        self.launch([f"{build}/bin/hilumd", "--config", f"{ROOT}/etc/hilum.cfg", "--extra", extra, "--data", self.data,
                     "--plugin-dir", f"{build}/lib/hilum/plugins", "--rules-dir", f"{ROOT}/scripts/core"])


class Orthanc(Server):
    name, aet = "orthanc (tuned)", "ORTHANC"

    def __init__(self, work, destination=None):
        super().__init__(work)
        config = {"Name": "bench", "StorageDirectory": f"{self.dir}/db", "DicomPort": self.port, "DicomAet": "ORTHANC",
                  "HttpPort": free_port(), "SyncStorageArea": True, "RemoteAccessAllowed": False,
                  "DicomCheckCalledAet": False, "DicomAlwaysAllowEcho": True, "DicomAlwaysAllowStore": True,
                  "DicomAlwaysAllowFind": True, "DicomAlwaysAllowGet": True, "DicomAlwaysAllowMove": True,
                  "StorageCompression": False, "ConcurrentJobs": 4, "DicomThreadsCount": 8,
                  "DicomModalities": {"sink": ["SINK", "127.0.0.1", destination or 1]}}
        path = os.path.join(self.dir, "orthanc.json")
        json.dump(config, open(path, "w"))
        self.launch(["Orthanc", path], dict(os.environ, TCP_NODELAY="1"))


def client_env(is_nodelay):
    env = {k: v for k, v in os.environ.items() if k != "TCP_NODELAY"}
    if is_nodelay:
        env["TCP_NODELAY"] = "1"
    return env


def send(server, parts, is_nodelay):
    """dcmsend of each part at once; seconds."""
    start = time.time()
    clients = [subprocess.Popen(["dcmsend", "-q", "+sd", "+r", "--no-halt", "-aec", server.aet, "127.0.0.1", str(server.port),
                                 *part], env=client_env(is_nodelay)) for part in parts]
    codes = [c.wait() for c in clients]
    if any(codes):
        print(f"  note: dcmsend to {server.name} exited with {codes}")
    return time.time() - start


def parts_of(corpus, senders):
    studies = sorted(os.path.join(corpus, s) for s in os.listdir(corpus))
    return [studies[i::senders] for i in range(senders)]


def probe(work, build, objects, senders):
    directory = tempfile.mkdtemp(dir=work)
    out = subprocess.run([f"{build}/bin/durable-probe", directory, str(objects), "525000", str(senders)],
                         capture_output=True, text=True)
    drop_pages(directory)
    return float(out.stdout or 0)


def has_orthanc():
    return shutil.which("Orthanc") is not None


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
                    server = Hilum(work, a.build) if kind == "hilum" else Orthanc(work)
                    rates[kind].append(objects / send(server, parts_of(corpus, senders), is_nodelay))
                    server.stop()
            m = {k: statistics.median(v) if v else float("nan") for k, v in rates.items()}
            print(f"  {senders} sender(s), {'NODELAY' if is_nodelay else 'default'} client: hilum {m['hilum']:.0f}, "
                  f"orthanc {m['orthanc']:.0f}, probe {m['probe']:.0f}: {m['hilum'] / m['orthanc']:.2f} x orthanc, "
                  f"{m['hilum'] / m['probe']:.2f} x probe")


def study_uid(corpus):
    first = os.path.join(corpus, sorted(os.listdir(corpus))[0], "0001.dcm")
    out = subprocess.run(["dcmdump", "+P", "StudyInstanceUID", first], capture_output=True, text=True).stdout
    return out.split("[")[1].split("]")[0]


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
    uid = study_uid(corpus)
    first = [[os.path.join(corpus, sorted(os.listdir(corpus))[0])]]
    seconds = {}
    for kind in ("hilum", "orthanc") if has_orthanc() else ("hilum",):
        server = Hilum(work, a.build, sink_port) if kind == "hilum" else Orthanc(work, sink_port)
        send(server, first, True)
        keys = ["-S", "-aec", server.aet, "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}",
                "127.0.0.1", str(server.port)]
        if how == "cmove":
            seconds[kind] = timed(["movescu", "-aem", "SINK", *keys], 5)
        else:
            seconds[kind] = timed(["getscu", "--ignore", "-pdu", "131072", *keys], 5)
        server.stop()
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
            self.peak = max(self.peak, self.server.rss())
            time.sleep(0.1)

    def end(self):
        self.is_done = True
        self.join()
        return self.peak


def bench_memory(a, work):
    big = tempfile.mkdtemp(dir=work)
    subprocess.run([f"{a.build}/bin/make-corpus", big, "4", "1", "14491"], check=True)
    server = Hilum(work, a.build)
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
    server = Hilum(work, a.build)
    send(server, parts_of(corpus, 1), True)
    server.process.kill()
    server.process.wait()
    for label in ("after kill -9", "after a clean stop"):
        start = time.time()
        again = Hilum(work, a.build, data=server.data)
        print(f"start {label}: {(time.time() - start) * 1000:.0f} ms to an open port")
        again.stop()


def bench_crowd(a, work):
    server = Hilum(work, a.build)
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
    p.add_argument("--build", default=f"{ROOT}/build/release")
    p.add_argument("--dir", default=f"{ROOT}/build")
    p.add_argument("--studies", type=int, default=10)
    p.add_argument("--slices", type=int, default=100)
    p.add_argument("--runs", type=int, default=3)
    p.add_argument("work", nargs="*")
    a = p.parse_args()
    todo = a.work or ["cstore", "cmove", "cget", "memory", "start", "crowd"]
    work = tempfile.mkdtemp(prefix="bench-", dir=a.dir)
    corpus = os.path.join(work, "corpus")
    os.makedirs(corpus)
    subprocess.run([f"{a.build}/bin/make-corpus", corpus, str(a.studies), str(a.slices)], check=True)
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
