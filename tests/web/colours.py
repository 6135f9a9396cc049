#!/usr/bin/env python3
# Colours of pictures: ICC profiles made here, whose arithmetic is known, and those of real slides. SPDX-License-Identifier: Apache-2.0
import os
import struct
import sys


import zlib

import numpy
import pydicom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png
from made import DATA, check, failed, get, image, picture, put, stored

# ---- a profile of primaries and one curve (ICC.1 8.4.3) ----

BRADFORD = numpy.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = numpy.array([0.9642, 1.0, 0.8249])
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65 = (0.3127, 0.3290)


def xyz(x, y):
    return numpy.array([x / y, 1.0, (1 - x - y) / y])


def matrix(primaries, white):
    """From linear RGB to XYZ of D50."""
    columns = numpy.array([xyz(*p) for p in primaries]).T
    scaled = columns * numpy.linalg.solve(columns, xyz(*white))
    gain = numpy.diag((BRADFORD @ D50) / (BRADFORD @ xyz(*white)))
    return numpy.linalg.inv(BRADFORD) @ gain @ BRADFORD @ scaled


def profile(to_xyz, gamma):
    fixed = lambda value: struct.pack(">i", int(round(value * 65536)))
    point = lambda v: b"XYZ \0\0\0\0" + b"".join(fixed(c) for c in v)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, int(round(gamma * 256))) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = [(b"desc", text), (b"wtpt", point(D50)), (b"cprt", b"text\0\0\0\0none\0\0\0\0")]
    tags += [(name, point(to_xyz[:, k])) for k, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags:
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", at + len(body), len(data))
        body += data
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + b"".join(fixed(c) for c in D50)
    return (head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body)


def to_srgb(pixels, to_xyz, gamma):
    linear = numpy.clip((pixels / 255.0) ** gamma @ (numpy.linalg.inv(matrix(SRGB, D65)) @ to_xyz).T, 0, 1)
    return 255 * numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def embedded(body):
    """The profile in a PNG or a JPEG; None."""
    if body[:4] == b"\x89PNG":
        at = body.find(b"iCCP")
        n = struct.unpack(">I", body[at - 4:at])[0] if at > 0 else 0
        return zlib.decompress(body[at + 4:at + 4 + n].split(b"\0", 1)[1][1:]) if at > 0 else None
    at = body.find(b"ICC_PROFILE\0")
    n = struct.unpack(">H", body[at - 2:at])[0] if at > 0 else 0
    return body[at + 14:at - 2 + n] if at > 0 else None


def profiles():
    random = numpy.random.default_rng(4)
    pixels = random.integers(0, 256, (40, 50, 3), dtype=numpy.uint8)
    pixels[:, 0] = numpy.arange(40)[:, None] * 6  # greys stay grey
    wide = matrix(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65)
    icc = profile(wide, 1.8)
    url = stored(image(70, pixels, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB",
                       ICCProfile=icc + bytes(len(icc) % 2)))
    expected = to_srgb(pixels, wide, 1.8)
    for query in ("", "?iccprofile=no", "?iccprofile=srgb"):
        found = picture(url, query)
        check("to sRGB" + query, abs(found - expected).max() <= 2, abs(found - expected).max())
        body = get(url + "/rendered" + query)[1]
        check("a profile only if asked for" + query, (embedded(body) is not None) == (query == "?iccprofile=srgb"))
    grey = picture(url)[:, 0]
    check("greys stay grey", abs(grey - grey.mean(axis=1, keepdims=True)).max() <= 1)
    check("yes: pixels as stored", (picture(url, "?iccprofile=yes") == pixels).all())
    check("yes: the stored profile, PNG", embedded(get(url + "/rendered?iccprofile=yes")[1]) == icc)
    check("yes: the stored profile, JPEG", embedded(get(url + "/rendered?iccprofile=yes", "image/jpeg")[1]) == icc)
    for space, primaries in (("adobergb", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))), ("displayp3", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)))):
        linear = numpy.clip((pixels / 255.0) ** 1.8 @ (numpy.linalg.inv(matrix(primaries, D65)) @ wide).T, 0, 1)
        wanted = 255 * (linear ** (1 / 2.19921875) if space == "adobergb" else
                        numpy.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055))
        found = picture(url, "?iccprofile=" + space)
        check(space, abs(found - wanted).max() <= 2, abs(found - wanted).max())
        check(space + " is embedded", b"acsp" in (embedded(get(url + "/rendered?iccprofile=" + space)[1]) or b""))
    status, body = get(url + "/rendered?iccprofile=cmyk")
    check("an unknown wish is refused", status == 400 and b"rommrgb" in body, status)
    status, body = get(url + "/rendered?iccprofile=rommrgb", "image/jpeg")
    check("ROMM", status == 200 and embedded(body), status)
    for number, broken in enumerate((icc[:100], icc[:-40], icc[:128] + b"\xff" * 4 + icc[132:], icc.replace(b"RGB ", b"CMYK"),
                                     icc[:132] + b"\x7f" * (len(icc) - 132), icc.replace(b"curv", b"junk"))):
        bad = stored(image(80 + number, pixels, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB",
                           ICCProfile=broken + bytes(len(broken) % 2)))
        found = picture(bad)
        check("a broken profile %d is left out" % number, (found == pixels).all(), abs(found - pixels).max())


def slides():
    """Real slides have the profile in the optical path."""
    for name in ("wsi/sm_image.dcm", "wsi/sm_image_jpegls.dcm"):
        path = os.path.join(DATA, "dicom", name)
        if not os.path.exists(path):
            continue
        icc = pydicom.dcmread(path, stop_before_pixels=True).OpticalPathSequence[0].ICCProfile
        with open(path, "rb") as file:
            url = put(file.read())
        bare = picture(url + "/frames/1", "?iccprofile=yes")
        turned = picture(url + "/frames/1")
        body = get(url + "/frames/1/rendered?iccprofile=yes")[1]
        found = embedded(body)
        check(name + ": its profile", found == icc[:struct.unpack(">I", icc[:4])[0]])
        again = stored(image(90, bare.astype(numpy.uint8), SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB",
                             ICCProfile=icc))
        check(name + ": as the same profile of a picture", (picture(again) == turned).all())


profiles()
slides()
sys.exit(failed())
