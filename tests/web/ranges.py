#!/usr/bin/env python3
# Ranges of bodies that are made while they leave: objects in the intake log, converted ones, frames, bulk data, what is over
# 256 MiB. Each beside the whole. SPDX-License-Identifier: Apache-2.0
import json
import os
import re
import subprocess
import sys
import time

import numpy

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import DATA, URL, WORK, check, failed, fetch, image, put, stored

BASE = "1.2.840.10008.1.2"
DICOM = "application/dicom; transfer-syntax=*"
PARTS = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FILES = os.path.join(WORK, "server/data/objects/objects")


def ranges(name, url, accept, has_length=True):
    status, head, whole = fetch(url, accept)
    check(name, status == 200 and head["Accept-Ranges"] == "bytes" and head["ETag"], (status, dict(head), whole[:300]))
    if status != 200:
        return
    n = len(whole)
    check(name + ": its length", not has_length or head["Content-Length"] == str(n), (head["Content-Length"], n))
    # Heads of parts and of files, their ends, what lies between, one byte, all of it.
    for first, last in ((0, 0), (1, 99), (70, 700), (n // 2, n // 2 + 5000), (n - 300, n - 1), (n - 1, n + 50), (131, n - 40), (0, n - 1)):
        if first >= n or first < 0 or last < first:
            continue
        status, got, body = fetch(url, accept, Range="bytes=%d-%d" % (first, last), If_Range=head["ETag"])
        last = min(last, n - 1)
        check("%s: %d to %d" % (name, first, last), status == 206 and body == whole[first:last + 1] and
              got["Content-Range"] == "bytes %d-%d/%d" % (first, last, n), (status, got["Content-Range"], len(body)))
    # Where one thing ends and the next begins.
    lines = [m.start() for m in re.finditer(rb"\r\n--[0-9a-f]{32}", whole)][:2] + [m.end() for m in re.finditer(rb"\r\n\r\n", whole)][:1]
    for first in lines if b"multipart" in head["Content-Type"].encode() else []:
        status, got, body = fetch(url, accept, Range="bytes=%d-%d" % (first, first + 50))
        check("%s: from %d" % (name, first), status == 206 and body == whole[first:first + 51], (status, body))
    status, got, body = fetch(url, accept, Range="bytes=-77")
    check(name + ": its end", status == 206 and body == whole[-77:], (status, got["Content-Range"]))
    status, got, body = fetch(url, accept, Range="bytes=%d-" % n)
    check(name + ": beyond it", status == 416 and got["Content-Range"] == "bytes */%d" % n, (status, got["Content-Range"]))
    status, got, body = fetch(url, accept, Range="bytes=0-9", If_Range='"another"')
    check(name + ": of another version", status == 200 and body == whole, status)
    status, got, body = fetch(url, accept, If_None_Match=head["ETag"], Range="bytes=0-9")
    check(name + ": not again", status == 304, status)


def none(name, url, accept):
    status, head, whole = fetch(url, accept, Range="bytes=0-9")
    check(name, status == 200 and head["Accept-Ranges"] == "none" and len(whole) > 10, (status, dict(head), whole[:200]))


def in_files():
    return sum(name.endswith(".dcm") for _, _, names in os.walk(FILES) for name in names)


def in_the_log():
    """Until senders pause objects lie in the log. One that was written meanwhile shows nothing: once more."""
    for number in range(601, 611):
        before = in_files()
        url = stored(image(number, RANDOM.integers(0, 4096, (300, 301)).astype("<u2")))
        status, head, part = fetch(url, DICOM, Range="bytes=1000-1999")
        if in_files() != before:
            continue
        check("in the log", status == 206 and len(part) == 1000 and head["Accept-Ranges"] == "bytes", (status, dict(head)))
        check("is that part", part == fetch(url, DICOM)[2][1000:2000])
        return
    check("an object in the log", False)


RANDOM = numpy.random.default_rng(9)


def converted():
    url = stored(image(620, (RANDOM.integers(0, 9, (64, 65)) + numpy.arange(65) * 5).astype("<u2")))
    for name, syntax in (("implicit", ""), ("JPEG-LS", ".4.80"), ("RLE", ".5"), ("big endian", ".2")):
        ranges(name, url, "application/dicom; transfer-syntax=" + BASE + syntax)
        ranges(name + " as part", url, 'multipart/related; type="application/dicom"; transfer-syntax=' + BASE + syntax)
    none("deflated", url, "application/dicom; transfer-syntax=" + BASE + ".1.99")
    rle = URL + "/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001"
    ranges("decoded", rle, "application/dicom; transfer-syntax=" + BASE + ".1")
    ranges("as stored", rle, DICOM)
    path = os.path.join(DATA, "dicom", "codec_wg04/CT1_JPLL.dcm")
    if os.path.exists(path):
        with open(path, "rb") as file:
            ranges("a file decoded", put(file.read()), "application/dicom; transfer-syntax=" + BASE + ".1")


def frames():
    pixels = RANDOM.integers(0, 30, (3, 40, 50)).astype("u1")
    url = stored(image(630, pixels, NumberOfFrames=3))
    octets = 'multipart/related; type="application/octet-stream"'
    ranges("frames", url + "/frames/3,1", octets)
    ranges("all frames", url + "/pixeldata", octets)
    ranges("a frame", url + "/frames/2", "application/octet-stream")
    ranges("an encoded frame", url + "/frames/2", "image/jls")
    ranges("an encoded frame as part", url + "/frames/2", 'multipart/related; type="image/jls"')
    none("encoded frames", url + "/frames/1,2", 'multipart/related; type="image/jls"')
    ranges("bulk data", url + "/bulkdata/7FE00010", "application/octet-stream")
    ranges("bulk data as part", url + "/bulkdata/7FE00010", octets)
    rle = URL + "/dicom-web/studies/2.25.7003/series/2.25.7002/instances/2.25.7001"
    ranges("compressed frames", rle + "/frames/3,1,2", 'multipart/related; type="image/dicom-rle"')
    ranges("a decoded frame", rle + "/frames/3", "application/octet-stream")
    ranges("nested bulk data", rle + "/bulkdata/54000100/0/54001010", "application/octet-stream")


def many():
    """Of so many parts the length is told to who asks for a range."""
    study = json.loads(fetch(URL + "/dicom-web/studies?PatientID=DEMO-0001", "application/dicom+json")[2])[0]["0020000D"]["Value"][0]
    url = URL + "/dicom-web/studies/" + study
    ranges("a study", url, PARTS, has_length=False)
    none("a study converted", url, 'multipart/related; type="application/dicom"; transfer-syntax=' + BASE)


def large():
    """Over 256 MiB: streamed. Of each frame the first bytes tell its number."""
    n, size = 66, 2048 * 2048
    path = os.path.join(WORK, "large.dcm")
    d = image(640, numpy.zeros((2, 2), "u1"))
    d.Rows = d.Columns = 2048
    d.NumberOfFrames = n
    d.PixelData = b"\0\0\0\0"
    d.save_as(path, write_like_original=False)
    with open(path, "rb+") as file:
        start = file.read().rindex(b"\0\0\0\0")
        file.seek(start - 4)
        file.write((n * size).to_bytes(4, "little"))
        for i in range(n):
            file.seek(start + i * size)
            file.write(b"frame %06d" % i)
        file.truncate(start + n * size)
    put(open(path, "rb"))
    url = re.sub("2.25.91620$", d.SOPInstanceUID, stored(image(620, numpy.zeros((2, 2), "u1"))))
    for way, accept in (("/bulkdata/7FE00010", "application/octet-stream"), ("", DICOM)):
        status, head, body = fetch(url + way, accept, Range="bytes=-%d" % (3 * size))
        total = int(head["Content-Range"].split("/")[1]) if status == 206 else 0
        check("the end of 264 MiB" + way, status == 206 and len(body) == 3 * size and total >= n * size and
              [body[i * size:i * size + 12] for i in range(3)] == [b"frame %06d" % (n - 3 + i) for i in range(3)], (status, dict(head)))
        at = total - n * size + 40 * size  # pixels are the last of it
        status, head, body = fetch(url + way, accept, Range="bytes=%d-%d" % (at, at + 11))
        check("its middle" + way, status == 206 and body == b"frame %06d" % 40, (status, dict(head), body[:40]))
    # As who resumes does it.
    out = os.path.join(WORK, "resumed")
    curl = ["curl", "-s", "-H", "Accept: " + PARTS, url, "-o", out]
    subprocess.run([*curl, "-r", "0-199999999"], check=True)
    done = subprocess.run([*curl, "-C", "-"], capture_output=True)
    with open(out, "rb") as file:
        text = file.read()
    check("a download that is resumed", done.returncode == 0 and text.count(b"frame 0000") == n and text[:2] == b"--" and
          text.endswith(b"--\r\n") and text.find(b"frame 000065") - text.find(b"frame 000000") == 65 * size, (done, len(text)))


for test in (in_the_log, converted, frames, many, large):
    began = time.monotonic()
    test()
    print("%s: %.1f s" % (test.__name__, time.monotonic() - began))
sys.exit(failed())
