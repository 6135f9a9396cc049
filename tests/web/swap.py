#!/usr/bin/env python3
"""`hilum plugin swap http` under load: clients with a connection kept, clients with a new one for each request, one that sends a
body slowly, one that reads a study slowly, one that listens to events, one that has signed in, one that keeps a connection it does not
use. Versions are the same file with another number in it. SPDX-License-Identifier: Apache-2.0"""
import http.client, os, re, socket, subprocess, sys, tempfile, threading, time, urllib.parse

import numpy, pydicom
from pydicom.dataset import FileMetaDataset

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import equal, until, verdict
from peers import BUILD, Hilum

STUDY, SWAPS, KEPT, FRESH = "1.2.999.501", 6, 6, 4
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
over = threading.Event()


def big_object(path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    meta.MediaStorageSOPInstanceUID = STUDY + ".1.1"
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    ds = pydicom.Dataset()
    ds.file_meta = meta
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.SOPClassUID, ds.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.Modality, ds.PatientID = STUDY, STUDY + ".1", "OT", "SWAP"
    ds.Rows, ds.Columns, ds.NumberOfFrames, ds.SamplesPerPixel = 1024, 1024, 12, 1
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = numpy.random.default_rng(7).integers(0, 65536, 12 << 20, dtype=numpy.uint16).tobytes()
    ds.save_as(path, write_like_original=False)
    return ds.PixelData


class Asker(threading.Thread):
    """Asks until it is over. What is no good answer is kept in `wrong`."""

    def __init__(self, port, kept):
        super().__init__(daemon=True)
        self.port, self.kept, self.answers, self.wrong, self.closes, self.longest = port, kept, 0, [], 0, 0

    def run(self):
        connection = None
        while not over.is_set():
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            begun = time.time()
            try:
                connection.request("GET", "/dicom-web/studies?StudyInstanceUID=" + STUDY if self.answers % 3 else "/health")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200 or len(body) < 10:
                    self.wrong.append(answer.status)
                self.answers += 1
                self.longest = max(self.longest, time.time() - begun)
                self.closes += answer.will_close
                if answer.will_close or not self.kept:
                    connection.close()
                    connection = None
            except Exception as error:
                self.wrong.append(repr(error))
                connection = None


def slow_reader(port, out):
    """A study, over several swaps."""
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(f"GET /dicom-web/studies/{STUDY} HTTP/1.1\r\nHost: localhost\r\n"
                  "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=*\r\n\r\n".encode())
        body = bytearray()
        while data := s.recv(65536):
            body += data
            if len(body) < 8 << 20:
                time.sleep(0.03)
        out["body"] = bytes(body)


def slow_sender(port, out):
    """A body that is on its way when the swap begins: answered all the same (400: it is no multipart)."""
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"POST /dicom-web/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-nothing\r\nContent-Length: 40\r\n\r\n")
        for i in range(40):
            s.sendall(b"x")
            time.sleep(0.05)
        out["answer"] = s.recv(4096)[:12]


def idle(port, out):
    """Asks once and keeps its connection: it hears the end, in order."""
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        out["first"] = s.recv(4096)[:15]
        begun = time.time()
        out["then"] = s.recv(100)
        out["after"] = time.time() - begun


def request(port, method, path, headers={}, body=None):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    c.request(method, path, body=body, headers=headers)
    answer = c.getresponse()
    text = answer.read()
    c.close()
    return answer.status, text, answer.getheader("Set-Cookie")


def sign_in(hilum, port):
    password = hilum.cli("user", "create", "doctor", "administrator")["password"]
    status, _, cookie = request(port, "POST", "/auth/login", FORM, urllib.parse.urlencode({"user": "doctor", "password": password}))
    equal("signed in", 200, status)
    return {"Cookie": cookie.split(";")[0]}


def versions(work):
    """The plugin as built, and the same with the next number."""
    built = open(f"{BUILD}/lib/hilum/plugins/http.so", "rb").read()
    number = re.search(rb"project\(\S+ VERSION ([0-9.]+)", open(f"{HERE}/../../CMakeLists.txt", "rb").read()).group(1)
    files = []
    for i in (1, 2):
        other = number[:-1] + str(int(number[-1:]) + i).encode()
        path = f"{work}/http-{i}.so"
        open(path, "wb").write(built.replace(b"\0" + number + b"\0", b"\0" + other + b"\0"))
        files.append((path, other.decode()))
    return files


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def swaps(hilum, port, files):
    """The time of the longest of all."""
    longest = 0
    for i in range(SWAPS):
        file, number = files[i % 2]
        begun = time.time()
        hilum.cli("plugin", "swap", "http", "--file", file)
        longest = max(longest, time.time() - begun)
        equal(f"version after swap {i + 1}", number, next(p for p in hilum.cli("plugin", "list") if p["id"] == "http")["version"])
        time.sleep(0.4)
    return longest


def main(work):
    os.chmod(work, 0o755)
    files = versions(work)
    # A sanitiser wants to be loaded first; elsewhere a version is still at its socket while it hands that over.
    late = {} if "tsan" in BUILD or "asan" in BUILD else {"LD_PRELOAD": f"{BUILD}/lib/hilum-slow-epoll.so"}
    hilum = Hilum(work, 'plugins = ( { name = "web-dicomweb"; required = true; }, { name = "auth-local"; required = true; }, { name = "web-admin"; }, '
                  '{ name = "http"; required = true; options = { listen = "127.0.0.1:0"; unknown_clients = "accept"; access_log = false; }; }, '
                  '{ name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );', env={**os.environ, **late})
    port = int(re.search(r" http=\S+:(\d+)", open(f"{hilum.dir}/log").read()).group(1))
    pixels = big_object(f"{work}/big.dcm")
    hilum.cli_items("import", f"{work}/big.dcm")
    session = sign_in(hilum, port)
    before = threads_of(hilum.process.pid)
    askers = [Asker(port, i < KEPT) for i in range(KEPT + FRESH)]
    read, sent, kept = {}, {}, {}
    others = [threading.Thread(target=slow_reader, args=(port, read)), threading.Thread(target=slow_sender, args=(port, sent)),
              threading.Thread(target=idle, args=(port, kept))]
    for t in askers + others:
        t.start()
    until(lambda: all(a.answers > 5 for a in askers))
    longest = swaps(hilum, port, files)
    for t in others:
        t.join()
    over.set()
    for a in askers:
        a.join()
    equal("none refused, none cut", [], [w for a in askers for w in a.wrong])
    equal("all were served", True, all(a.answers > 20 for a in askers))
    equal("kept connections were told to close", True, all(a.closes >= SWAPS for a in askers[:KEPT]))
    equal("a study read slowly over several swaps came whole", (True, b"--\r\n"), (pixels in read["body"], read["body"][-4:]))
    equal("a body sent slowly was answered", b"HTTP/1.1 4", sent["answer"][:10])
    equal("a connection nobody used was closed in order", (b"HTTP/1.1 200 OK", b""), (kept["first"], kept["then"]))
    equal("who signed in is still signed in", 200, request(port, "GET", "/auth/session", session)[0])
    equal("and nothing of it is left in a file", False, os.path.exists(f"{hilum.data}/http/sessions"))
    equal("each version ended with its last answer", True, until(lambda: threads_of(hilum.process.pid) <= before + 2))
    print(f"{sum(a.answers for a in askers)} answers over {SWAPS} swaps of up to {longest * 1000:.0f} ms; "
          f"the one that waited longest: {max(a.longest for a in askers) * 1000:.0f} ms")
    token = hilum.cli("token", "create", "operator", "administrator")["token"]
    asked = subprocess.run([f"{BUILD}/bin/hilum", "--server", f"http://127.0.0.1:{port}", "--json", "plugin", "swap", "http", "--file", files[0][0]],
                           capture_output=True, text=True, env={**os.environ, "HILUM_TOKEN": token, "no_proxy": "*"})
    equal("a swap asked for through the version that goes is answered", (0, ""), (asked.returncode, asked.stderr))
    equal("it stops in order", 0, hilum.stop())
    verdict()


with tempfile.TemporaryDirectory(prefix="hilum-swap-") as directory:
    main(directory)
