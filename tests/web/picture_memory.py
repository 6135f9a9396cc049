#!/usr/bin/env python3
"""Eight clients ask for large pictures at once: memory stays within picture_memory and what a picture takes
besides, and every one of them is drawn. SPDX-License-Identifier: Apache-2.0"""
import http.client, os, re, sys, tempfile, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum
from wire import CT, ct, explicit, storing

SIDE, CLIENTS = 6144, 8  # beyond what malloc keeps of what was freed
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def peak_mb(server):
    return int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{server.process.pid}/status").read())[1]) / 1024


def picture(port, n, statuses):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    client.request("GET", f"/dicom-web/studies/1.2.95/series/1.2.95.1/instances/1.2.95.1.1/rendered?viewport={SIDE},{SIDE}&quality={50 + n}", headers={"Accept": "image/jpeg"})
    answer = client.getresponse()
    answer.read()
    statuses.append(answer.status)


with tempfile.TemporaryDirectory(prefix="hilum-pictures-") as work:
    server = Hilum(work, 'plugins = ( { name = "web-dicomweb"; required = true; options = { picture_memory = "64MiB"; }; }, '
                         '{ name = "http"; required = true; options = { unknown_clients = "accept"; listen = "127.0.0.1:0"; }; }, '
                         '{ name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );')
    port = int(re.search(r" http=\S+:(\d+)", open(f"{server.dir}/log").read())[1])
    pixel = b"".join(explicit(0x28, tag, "CS" if tag == 4 else "US", value) for tag, value in (
        (2, b"\1\0"), (4, b"MONOCHROME2 "), (0x10, b"\2\0"), (0x11, b"\2\0"), (0x100, b"\x10\0"), (0x101, b"\x10\0"), (0x102, b"\x0f\0"), (0x103, b"\0\0")))
    with storing(server.port) as wire:
        check("it is stored", wire.store(3, CT, "1.2.95.1.1", ct("1.2.95.1.1", "1.2.95", "1.2.95.1", pixels=bytes(8), extra=pixel)) == 0)
    statuses = []
    picture(port, 0, statuses)
    alone = peak_mb(server)
    clients = [threading.Thread(target=picture, args=(port, n, statuses)) for n in range(1, CLIENTS)]
    [c.start() for c in clients]
    [c.join() for c in clients]
    check("each is drawn", statuses == [200] * CLIENTS, statuses)
    print(f"{CLIENTS} pictures of {SIDE} x {SIDE}: at most {peak_mb(server):.0f} MB; one alone {alone:.0f} MB")
    check("memory is bounded", peak_mb(server) < alone + 100, peak_mb(server))
    check("Hilum stops", server.stop() == 0)
print(f"{len(failures)} failures", *failures, sep="\n  ")
sys.exit(1 if failures else 0)
