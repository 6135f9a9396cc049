#!/usr/bin/env python3
"""A peer that answers WADO-RS as no DICOMweb server does: the retrieval ends with a reason, and the server goes on.
SPDX-License-Identifier: Apache-2.0"""
import contextlib, os, socketserver, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import equal, until, verdict
from peers import Hilum

PART = b"\r\nContent-Type: application/dicom\r\n\r\nno object"
RELATED = b"multipart/related; "
NO_FORM, NO_BOUNDARY = "not of the form", "no multipart/related with a boundary"
# A way, that is the path of a peer's url: its Content-Type, the pieces of its body; what becomes of the job, and why.
WAYS = {
    "no-boundary": (RELATED + b"type=\"application/dicom\"", [b"--x", PART, PART], "failed", NO_BOUNDARY),
    "long-boundary": (RELATED + b"boundary=" + b"b" * 300, [b"--x", PART, PART], "failed", NO_BOUNDARY),
    "no-multipart": (b"text/html", [b"<html>", PART, b"</html>"], "failed", NO_BOUNDARY),
    "no-line": (RELATED + b"boundary=x", [b"--x", b"garbage", PART], "failed", NO_FORM),
    "no-end": (RELATED + b"boundary=x", [b"--x", PART], "waiting", "ends in the middle"),
}


class Peer(socketserver.StreamRequestHandler):
    def handle(self):
        way = self.rfile.readline().split()[1].split(b"/")[1].decode()
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: " + WAYS[way][0] + b"\r\nConnection: close\r\n\r\n")
        with contextlib.suppress(OSError):  # the other side has heard enough
            for piece in WAYS[way][1]:
                time.sleep(0.1)  # each is a read of its own
                self.wfile.write(piece)


def main(work):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Peer) as peer:
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{peer.server_address[1]}"
        peers = ", ".join(f'{{ name = "{way}"; aet = "P{i}"; url = "{url}/{way}"; }}' for i, way in enumerate(WAYS))
        server = Hilum(work, f'plugins = ( {{ name = "dicomweb-client"; required = true; }} );\npeers = ( {peers} );')

        def ended(job):
            return next((j for j in server.cli("job", "list", "--all") if j["id"] == job and j["result"]), None)

        for way, (_, _, state, why) in WAYS.items():
            job = server.cli("study", "retrieve", "1.2.999.1", way)["job"]
            until(lambda: ended(job))
            found = ended(job) or {"state": "no end", "result": ""}
            equal(f"{way}: what becomes of it", state, found["state"])
            equal(f"{way}: {why}", True, why in found["result"])
        equal("Hilum stops", 0, server.stop())
        peer.shutdown()
    verdict()


with tempfile.TemporaryDirectory(prefix="hilum-web-") as directory:
    main(directory)
