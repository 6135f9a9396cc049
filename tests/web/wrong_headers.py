#!/usr/bin/env python3
# Wrong but common: code streams in JP2 files, signs that contradict the data set, JPEG whose markers and data set name different
# colours, fragments with and without tables. Decoded frames are those of the right object. SPDX-License-Identifier: Apache-2.0
import os
import struct
import sys

import numpy
import pydicom
from pydicom.encaps import encapsulate, generate_pixel_data_frame

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import DATA, check, failed, get, picture, stored

OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
number = 0


def read(name):
    path = os.path.join(DATA, "dicom", name)
    return pydicom.dcmread(path) if os.path.exists(path) else None


def again(d, fragments=None, **more):
    """Stored under a name of its own."""
    global number
    number += 1
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "2.25.92%d" % number
    for name, value in more.items():
        setattr(d, name, value)
    if fragments is not None:
        d.PixelData = fragments
    d["PixelData"].is_undefined_length = True
    return stored(d)


def frame(url, n=1):
    status, body = get("%s/frames/%d" % (url, n), OCTETS)
    return body if status == 200 else b"%d " % status + body[:200]


def streams(d):
    return [bytes(f) for f in generate_pixel_data_frame(d.PixelData, int(d.get("NumberOfFrames", 1) or 1))]


def box(name, body):
    return struct.pack(">I4s", 8 + len(body), name) + body


def in_jp2(stream, d):
    head = box(b"ihdr", struct.pack(">IIHBBBB", d.Rows, d.Columns, d.SamplesPerPixel, d.BitsStored - 1, 7, 0, 0))
    colours = box(b"colr", b"\1\0\0" + struct.pack(">I", 17))
    return box(b"jP  ", b"\r\n\x87\n") + box(b"ftyp", b"jp2 \0\0\0\0jp2 ") + box(b"jp2h", head + colours) + box(b"jp2c", stream)


def jpeg2000():
    for name in ("small/MR_small_jp2klossless.dcm", "small/JPEG2000.dcm"):
        if read(name) is None:
            continue
        d = read(name)
        right = frame(again(d))
        stream = streams(d)[0]
        check(name + " is decoded", len(right) >= d.Rows * d.Columns * 2, right[:100])
        check(name + " in a JP2 file", frame(again(d, encapsulate([in_jp2(stream, d)]))) == right)
        other = 1 - d.PixelRepresentation
        turned = frame(again(d, encapsulate([stream]), PixelRepresentation=other))
        mask = (1 << d.BitsStored) - 1
        values = numpy.frombuffer(right, "<u2") & mask
        check(name + " with the other sign in its data set", len(turned) == len(right) and
              (numpy.frombuffer(turned, "<u2") & mask == values).all())
        at = stream.find(b"\xff\x51") + 2 + 38  # Ssiz of the first component
        check(name + ": the sign is where it is", (stream[at] & 0x7F) + 1 in (d.BitsStored, d.BitsAllocated), stream[at])


def without_markers(stream, kinds):
    """The JPEG stream without APPn segments of these kinds."""
    out, at = stream[:2], 2
    while stream[at] == 0xFF and stream[at + 1] != 0xDA:
        n = struct.unpack_from(">H", stream, at + 2)[0] + 2
        out += b"" if stream[at + 1] in kinds else stream[at:at + n]
        at += n
    return out + stream[at:]


def adobe(transform):
    return b"\xff\xee" + struct.pack(">H", 14) + b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)


def jpeg():
    """YCbCr in the stream: whatever the data set calls it, the marker decides; without a marker the data set does."""
    d = read("colour_sc/SC_rgb_jpeg_dcmtk.dcm")
    if d is None:
        return
    stream = streams(d)[0]
    bare = without_markers(stream, {0xE0, 0xEE})
    right = picture(again(read("colour_sc/SC_rgb_jpeg_dcmtk.dcm")))
    marked = bare[:2] + adobe(1) + bare[2:]
    for called in ("YBR_FULL_422", "YBR_FULL", "RGB"):
        found = picture(again(d, encapsulate([marked]), PhotometricInterpretation=called))
        check("YCbCr by its marker, called " + called, abs(found - right).max() <= 2, abs(found - right).max())
    found = picture(again(d, encapsulate([bare]), PhotometricInterpretation="YBR_FULL_422"))
    check("YCbCr by its data set alone", abs(found - right).max() <= 2, abs(found - right).max())
    wrong = picture(again(d, encapsulate([bare]), PhotometricInterpretation="RGB"))
    check("and RGB by it is something else", abs(wrong - right).max() > 20, abs(wrong - right).max())
    halved = read("colour_sc/SC_rgb_dcmtk_+eb+cy+s2.dcm")
    if halved is not None:
        right = picture(again(halved))
        found = picture(again(halved, encapsulate([without_markers(streams(halved)[0], {0xE0, 0xEE})]), PhotometricInterpretation="RGB"))
        check("halved colours are never RGB", (found == right).all())
    rgb = picture(again(d, encapsulate([bare[:2] + adobe(0) + bare[2:]]), PhotometricInterpretation="YBR_FULL_422"))
    check("RGB by its marker is not turned", (rgb == wrong).all())


def fragments():
    """One stream cut into fragments, frames with and without tables."""
    d = read("small/MR_small_RLE.dcm")
    if d is None:
        return
    right, stream = frame(again(d)), streams(d)[0]
    pieces = [stream[i:i + 1000] + b"" for i in range(0, len(stream), 1000)]
    item = lambda b: b"\xfe\xff\x00\xe0" + struct.pack("<I", len(b)) + b
    d.NumberOfFrames = 2
    for name, table in (("without a table", b""), ("with a table", struct.pack("<II", 0, sum(8 + len(p) for p in pieces)))):
        body = item(table) + b"".join(item(p) for p in pieces + pieces)
        url = again(d, body)
        check("two frames of many fragments " + name, frame(url, 1) == right and frame(url, 2) == right)
    body = item(b"") + b"".join(item(p) for p in pieces + pieces)
    lengths = struct.pack("<QQ", len(stream), len(stream))
    url = again(d, body, ExtendedOffsetTable=struct.pack("<QQ", 0, sum(8 + len(p) for p in pieces)), ExtendedOffsetTableLengths=lengths)
    check("with an extended table", frame(url, 1) == right and frame(url, 2) == right)


jpeg2000()
jpeg()
fragments()
sys.exit(failed())
