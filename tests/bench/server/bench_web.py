#!/usr/bin/env python3
"""The web face beside Orthanc's DICOMweb plugin and bare libmicrohttpd, in one run.

usage: bench_web.py [--build DIR] [--slices N] [--seconds S] [--data DIR] [WORK ...]
WORK: study metadata frames rendered stow connections dawdlers qido (default: all but qido, which needs --data: the catalogue of
bench_find.py). Clients keep their connections open (bin/web-load), so that nobody's start is measured. Prints ratios;
never fails a build. Needs Debian's dcmtk and, for the ratios, orthanc-dicomweb.
"""
import argparse, http.client, json, os, random, re, resource, shutil, socket, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../lib"))
from peers import BUILD, ROOT, Hilum, Orthanc, dcmsend, make_corpus, tag_value

ORTHANC_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAMES = 'multipart/related; type="application/octet-stream"'
JSON = "application/dicom+json"


def hilum_start(a, work, options="", **more):
    plugins = ('plugins = ( { name = "store-fs"; }, { name = "render-2d"; }, { name = "web-dicomweb"; required = true; }, { name = "http"; required = true; options = '
               '{ listen = "127.0.0.1:0"; unknown_clients = "accept"; max_per_address = 4000; %s }; } );' % options)
    server = Hilum(work, plugins, build=a.build, store="", **more)
    server.http = int(re.search(r" http=http://127.0.0.1:(\d+)", open(f"{server.dir}/log").read()).group(1))
    return server


def orthanc_start(work):
    server = Orthanc(work, Plugins=[ORTHANC_PLUGIN], DicomWeb={"Enable": True, "Root": "/dicom-web/"}, HttpThreadsCount=50)
    server.http = server.http_port
    return server


def load(a, port, connections, accept, paths, seconds=None):
    """requests/s, bytes/s, p50 ms, p95 ms, first ms"""
    out = subprocess.run([f"{a.build}/bin/web-load", str(port), str(connections), str(seconds or a.seconds), accept, "-"],
                         input="\n".join(paths) + "\n", capture_output=True, text=True, check=True).stdout.split()
    n, size, spent, p50, p95, failures, first = (float(v) for v in out)
    if failures:
        print(f"  note: {failures:.0f} of {n:.0f} requests failed")
    return n / spent, size / spent, p50, p95, first


def rounds(a, servers, connections, accept, paths, runs=3):
    """Medians of a few runs in turns: each server's answer of load()."""
    results = {name: [] for name in servers}
    for _ in range(runs):
        for name, port in servers.items():
            results[name].append(load(a, port, connections, accept, paths[name] if isinstance(paths, dict) else paths))
    return {name: [statistics.median(v) for v in zip(*r)] + [r[0][4]] for name, r in results.items()}


class Loaded:
    """Both servers with the same study, and a bare server of the same bytes."""

    def __init__(self, a, work, corpus):
        self.files = sorted(os.path.join(t, f) for t, _, names in os.walk(corpus) for f in names)
        self.study, self.series = tag_value(self.files[0], "StudyInstanceUID"), tag_value(self.files[0], "SeriesInstanceUID")
        self.uids = [tag_value(f, "SOPInstanceUID") for f in self.files]
        self.hilum, self.orthanc = hilum_start(a, work), orthanc_start(work) if os.path.exists(ORTHANC_PLUGIN) else None
        self.servers = {s.name.split()[0]: s for s in (self.hilum, self.orthanc) if s}
        for s in self.servers.values():
            dcmsend(s, [corpus]).wait()
        while sum(f.endswith(".dcm") for _, _, names in os.walk(f"{self.hilum.data}/objects") for f in names) < len(self.files):
            time.sleep(0.5)  # what came in becomes files when senders pause
        time.sleep(3)
        length = 2 * 512 * 512
        self.bare = subprocess.Popen([f"{a.build}/bin/web-bare", str(length), *self.files], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bare_port = int(self.bare.stdout.readline())

    def ports(self):
        return {name: s.http for name, s in self.servers.items()}

    def stop(self):
        self.bare.stdin.close()
        self.bare.wait()
        for s in self.servers.values():
            s.stop()


def against(m, what, target, value=2, higher=False):
    """The ratio to Orthanc; value: which of load()'s answers."""
    if "orthanc" not in m:
        return ""
    ratio = m["hilum"][value] / m["orthanc"][value] if higher else m["orthanc"][value] / m["hilum"][value]
    return f": {ratio:.2f} x orthanc (target {target})"


def bench_study(a, s):
    base = f"/dicom-web/studies/{s.study}"
    m = rounds(a, {**s.ports(), "bare": s.bare_port}, 1, DICOM, {"hilum": [base], "orthanc": [base], "bare": ["/study"]})
    print(f"study of {len(s.files)}: " + ", ".join(f"{k} {v[2]:.1f} ms ({v[1] / 1e6:.0f} MB/s)" for k, v in m.items()) +
          against(m, "study", 3) + f", {m['bare'][2] / m['hilum'][2]:.2f} x bare (target 0.8)")


def bench_metadata(a, s):
    base = f"/dicom-web/studies/{s.study}/series/{s.series}/metadata"
    m = rounds(a, s.ports(), 1, JSON, [base])
    print(f"metadata of {len(s.files)}: " + ", ".join(f"{k} {v[2]:.2f} ms (the first time {v[5]:.1f})" for k, v in m.items()) + against(m, "metadata", 20))


def bench_frames(a, s):
    base = f"/dicom-web/studies/{s.study}/series/{s.series}/instances/"
    paths = [f"{base}{uid}/frames/1" for uid in s.uids]
    m = rounds(a, {**s.ports(), "bare": s.bare_port}, 4, FRAMES, {"hilum": paths, "orthanc": paths, "bare": [f"/frame/{i}" for i in range(len(s.uids))]})
    print("frames, 4 connections: " + ", ".join(f"{k} {v[0]:.0f}/s" for k, v in m.items()) + against(m, "frames", 5, 0, True) +
          f", {m['hilum'][0] / m['bare'][0]:.2f} x bare (target 0.8)")


def picture_of(port, path):
    """Of one answer: bytes, width and height as the JPEG's frame header says."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path, headers={"Accept": "image/jpeg"})
    data = connection.getresponse().read()
    connection.close()
    at = 2
    while data[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return len(data), int.from_bytes(data[at + 7:at + 9], "big"), int.from_bytes(data[at + 5:at + 7], "big")


def make_slices(a, directory):
    """The CT of the demo: what noise alone (make-corpus) costs as a JPEG says nothing."""
    everything = f"{directory}-all"
    os.makedirs(everything)
    os.makedirs(directory)
    subprocess.run([f"{a.build}/bin/demo-phantom-files", everything], check=True, capture_output=True)
    for name in os.listdir(everything):
        if tag_value(f"{everything}/{name}", "Modality") == "CT" and os.path.getsize(f"{everything}/{name}") > 2 * 512 * 512:
            os.rename(f"{everything}/{name}", f"{directory}/{name}")


def bench_rendered(a, work):
    """Another frame each time, so that nothing that is kept is sent; both with the same quality."""
    make_slices(a, f"{work}/slices")
    s = Loaded(a, work, f"{work}/slices")
    base = f"/dicom-web/studies/{s.study}/series/{s.series}/instances/"
    paths = [f"{base}{uid}/rendered?quality=90" for uid in s.uids]
    pictures = {name: picture_of(port, paths[0]) for name, port in s.ports().items()}
    print("rendered, what comes: " + ", ".join(f"{name} {w} x {h}, {n // 1024} KiB" for name, (n, w, h) in pictures.items()))
    for connections in (1, 4):
        m = rounds(a, s.ports(), connections, "image/jpeg", paths)
        print(f"rendered, {connections} connections: " + ", ".join(f"{k} {v[0]:.0f}/s, p50 {v[2]:.2f} ms" for k, v in m.items()) +
              against(m, "rendered", 3, 0, True))
    s.stop()


# ---- STOW-RS


def stow(port, files, at_once):
    """One sender over one connection, so many objects a request; seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    contents = [open(f, "rb").read() for f in files]
    begin = time.time()
    for i in range(0, len(files), at_once):
        body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + c + b"\r\n" for c in contents[i:i + at_once]) + b"--b--\r\n"
        connection.request("POST", "/dicom-web/studies", body, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
                                                               "Accept": JSON})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            print(f"  note: STOW-RS answers {answer.status}")
    return time.time() - begin


def bench_stow(a, work, corpus):
    files = sorted(os.path.join(t, f) for t, _, names in os.walk(corpus) for f in names)
    for at_once in (1, 20):
        rates = {"cstore": [], "stow": []}
        for _ in range(3):
            for how in rates:
                server = hilum_start(a, work)
                while not os.path.exists(f"{server.data}/objects/intake/segment-11"):  # a first start writes them in the background
                    time.sleep(0.1)
                begin = time.time()
                if how == "cstore":
                    dcmsend(server, [corpus]).wait()
                    spent = time.time() - begin
                else:
                    spent = stow(server.http, files, at_once)
                rates[how].append(len(files) / spent)
                server.stop()
        m = {k: statistics.median(v) for k, v in rates.items()}
        print(f"STOW-RS durable, 1 sender, {at_once} a request: {m['stow']:.0f}/s, C-STORE (NODELAY) {m['cstore']:.0f}/s: "
              f"{m['stow'] / m['cstore']:.2f} (target 0.8)")


# ---- crowds


def get(port, path="/dicom-web/studies?limit=1"):
    begin = time.time()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Accept": JSON})
    connection.getresponse().read()
    connection.close()
    return (time.time() - begin) * 1000


def bench_connections(a, work):
    server = hilum_start(a, work)
    before, held = server.rss_mb(), []
    for _ in range(2000):
        s = socket.create_connection(("127.0.0.1", server.http))
        s.sendall(b"GET /dicom-web/studies?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        held.append(s)
    answered = sum(1 for s in held if s.recv(12) == b"HTTP/1.1 204")
    print(f"connections: {answered} of 2000 answered and kept open, RSS {before:.0f} MB before, {server.rss_mb():.0f} MB now (target 100)")
    for s in held:
        s.close()
    server.stop()


def bench_dawdlers(a, work):
    server = hilum_start(a, work)
    alone = statistics.median(get(server.http) for _ in range(20))
    held = []
    for _ in range(100):
        s = socket.create_connection(("127.0.0.1", server.http))
        s.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n"
                  b'Content-Type: multipart/related; type="application/dicom"; boundary=b\r\n\r\n--b\r\n')
        held.append(s)
    time.sleep(0.5)
    beside = max(get(server.http) for _ in range(20))
    begin = time.time()
    other = http.client.HTTPConnection("127.0.0.1", server.http, timeout=60, source_address=("127.0.0.2", 0))
    other.request("POST", "/dicom-web/studies", b"--b\r\n\r\n" + bytes(300000) + b"\r\n--b--\r\n",
                  {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'})
    status = other.getresponse().status
    print(f"dawdlers: a search {alone:.1f} ms alone (median), {beside:.1f} ms (worst) beside 100 senders that stopped in their body, "
          f"a STOW-RS from elsewhere answered ({status}) after {(time.time() - begin) * 1000:.1f} ms")
    for s in held:
        s.close()
    server.stop()


# ---- QIDO-RS at many studies

FAMILIES = ["SMITH", "MUELLER", "JOHNSON", "BROWN", "WANG", "ZHANG", "LI", "TANAKA", "KIM", "GARCIA"]  # of bench_find.c


def month(rng):
    year, m = rng.randrange(2015, 2025), rng.randrange(1, 13)
    return f"{year}{m:02}01-{year}{m:02}31"


QUESTIONS = [
    ("PatientID", 5, lambda rng, n: f"PatientID=PID{rng.randrange(n) * 3 // 5}"),
    ("StudyInstanceUID", 5, lambda rng, n: f"StudyInstanceUID=1.2.840.99.2.{rng.randrange(n)}"),
    ("AccessionNumber", 5, lambda rng, n: f"AccessionNumber=A{rng.randrange(n)}"),
    ("name prefix, limit 100", 20, lambda rng, n: f"PatientName={rng.choice(FAMILIES)[:3]}*&limit=100"),
    ("month, limit 100", 20, lambda rng, n: f"StudyDate={month(rng)}&limit=100"),
    ("month and modality, limit 100", 20, lambda rng, n: f"StudyDate={month(rng)}&ModalitiesInStudy={rng.choice(['CT', 'MR', 'US', 'CR'])}&limit=100"),
]


def bench_qido(a, work):
    server = hilum_start(a, work, data=a.data)
    time.sleep(3)
    while server.cli("status")["record"].get("journal_waiting", 0) > 0:
        time.sleep(1)
    studies, rng = server.cli("status")["record"]["studies"], random.Random(7)
    for what, target, make in QUESTIONS:
        paths = [f"/dicom-web/studies?{make(rng, studies)}" for _ in range(2000)]
        rate, size, p50, p95, first = load(a, server.http, 1, JSON, paths)
        print(f"QIDO-RS at {studies} studies, {what:30} p50 {p50:6.2f} ms  p95 {p95:6.2f} ms (target {target})  first {first:.2f} ms")
    server.stop(600)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--build", default=BUILD)
    p.add_argument("--dir", default=f"{ROOT}/build")
    p.add_argument("--slices", type=int, default=100)
    p.add_argument("--seconds", type=float, default=1.5)
    p.add_argument("--data", help="data directory with a catalogue, for qido")
    p.add_argument("work", nargs="*")
    a = p.parse_args()
    todo = a.work or ["study", "metadata", "frames", "rendered", "stow", "connections", "dawdlers"]
    work = tempfile.mkdtemp(prefix="bench-", dir=a.dir)
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
    try:
        corpus = os.path.join(work, "corpus")
        make_corpus(corpus, 1, a.slices, 512, a.build)
        if {"study", "metadata", "frames"} & set(todo):
            loaded = Loaded(a, work, corpus)
            for name, bench in (("study", bench_study), ("metadata", bench_metadata), ("frames", bench_frames)):
                if name in todo:
                    bench(a, loaded)
            loaded.stop()
        if "rendered" in todo:
            bench_rendered(a, work)
        if "stow" in todo:
            bench_stow(a, work, corpus)
        if "connections" in todo:
            bench_connections(a, work)
        if "dawdlers" in todo:
            bench_dawdlers(a, work)
        if "qido" in todo:
            bench_qido(a, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
