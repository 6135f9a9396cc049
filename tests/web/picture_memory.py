#!/usr/bin/env python3
"""Eight clients ask for large pictures at once, then for small ones that a state lays a large one on: memory stays within
picture_memory and what a picture takes besides, and every one of them is drawn. SPDX-License-Identifier: Apache-2.0"""
import http.client, os, re, sys, tempfile, threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum
from wire import CT, ct, explicit, storing

SIDE, CLIENTS = 6144, 8  # beyond what malloc keeps of what was freed
LAID = 4096  # of the side of what is laid: eight at once would take a gigabyte
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def peak_mb(server):
    return int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{server.process.pid}/status").read())[1]) / 1024


def picture(port, path, statuses):
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    client.request("GET", path, headers={"Accept": "image/jpeg"})
    answer = client.getresponse()
    answer.read()
    statuses.append(answer.status)


def blended(url, work):
    """The path of a state (PS3.3 A.33.4) that lays a large image on a small one."""
    sys.argv[1:] = [url, "", work]
    import numpy
    from pydicom.sequence import Sequence
    from made import image, items, state, stored
    place = {"FrameOfReferenceUID": "2.25.9901", "ImagePositionPatient": [0.0, 0.0, 0.0], "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]}
    parts = []
    for number, side, position in ((1, 64, "UNDERLYING"), (2, LAID, "SUPERIMPOSED")):
        d = image(number, numpy.full((side, side), 99, numpy.uint8), PixelSpacing=[64 / side, 64 / side], **place)
        d.SeriesInstanceUID = f"2.25.97{number}"
        stored(d)
        named = items(ReferencedSOPClassUID=d.SOPClassUID, ReferencedSOPInstanceUID=d.SOPInstanceUID)
        series = items(SeriesInstanceUID=d.SeriesInstanceUID, ReferencedImageSequence=Sequence([named]))
        parts.append(items(BlendingPosition=position, StudyInstanceUID=d.StudyInstanceUID, ReferencedSeriesSequence=Sequence([series])))
    d = state(3, d, RelativeOpacity=0.5, BlendingSequence=Sequence(parts))
    del d.ReferencedSeriesSequence, d.PresentationLUTShape
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.11.4"
    return stored(d)[len(url):] + "/rendered"


def all_at_once(server, port, what, paths):
    """One alone, then the others."""
    statuses = []
    open(f"/proc/{server.process.pid}/clear_refs", "w").write("5")  # the peak counts from here
    picture(port, paths[0], statuses)
    alone = peak_mb(server)
    clients = [threading.Thread(target=picture, args=(port, path, statuses)) for path in paths[1:]]
    [c.start() for c in clients]
    [c.join() for c in clients]
    check(f"each is drawn: {what}", statuses == [200] * len(paths), statuses)
    print(f"{len(paths)} {what}: at most {peak_mb(server):.0f} MB; one alone {alone:.0f} MB")
    check(f"memory is bounded: {what}", peak_mb(server) < alone + 100, peak_mb(server))


with tempfile.TemporaryDirectory(prefix="hilum-pictures-") as work:
    server = Hilum(work, 'plugins = ( { name = "web-dicomweb"; required = true; options = { picture_memory = "64MiB"; }; }, '
                         '{ name = "http"; required = true; options = { unknown_clients = "accept"; listen = "127.0.0.1:0"; }; }, '
                         '{ name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );')
    port = int(re.search(r" http=\S+:(\d+)", open(f"{server.dir}/log").read())[1])
    pixel = b"".join(explicit(0x28, tag, "CS" if tag == 4 else "US", value) for tag, value in (
        (2, b"\1\0"), (4, b"MONOCHROME2 "), (0x10, b"\2\0"), (0x11, b"\2\0"), (0x100, b"\x10\0"), (0x101, b"\x10\0"), (0x102, b"\x0f\0"), (0x103, b"\0\0")))
    with storing(server.port) as wire:
        check("it is stored", wire.store(3, CT, "1.2.95.1.1", ct("1.2.95.1.1", "1.2.95", "1.2.95.1", pixels=bytes(8), extra=pixel)) == 0)
    large = "/dicom-web/studies/1.2.95/series/1.2.95.1/instances/1.2.95.1.1/rendered?viewport=%d,%d" % (SIDE, SIDE)
    all_at_once(server, port, f"pictures of {SIDE} x {SIDE}", [f"{large}&quality={50 + n}" for n in range(CLIENTS)])
    laid = blended(f"http://127.0.0.1:{port}", work)
    all_at_once(server, port, f"pictures with {LAID} x {LAID} laid on them", [f"{laid}?quality={50 + n}" for n in range(CLIENTS)])
    check("Hilum stops", server.stop() == 0)
print(f"{len(failures)} failures", *failures, sep="\n  ")
sys.exit(1 if failures else 0)
