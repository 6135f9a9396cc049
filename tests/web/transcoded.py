#!/usr/bin/env python3
# Frames by WADO-RS in compressed syntaxes other than the stored one, decoded by others: DCMTK, GDCM, OpenJPH.
# SPDX-License-Identifier: Apache-2.0
import copy
import json
import os
import re
import subprocess
import sys

import numpy
import pydicom
from pydicom.encaps import encapsulate

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import DATA, WORK, check, failed, fetch, get, image, put, stored

BASE = "1.2.840.10008.1.2."
OCTETS = "application/octet-stream; transfer-syntax=%s1" % BASE
TOOLS = {"5": ["dcmdrle"], "4.50": ["dcmdjpeg", "+cn"], "4.57": ["dcmdjpeg", "+cn"], "4.70": ["dcmdjpeg", "+cn"], "4.80": ["dcmdjpls"],
         "4.81": ["dcmdjpls"], "4.90": ["gdcmconv", "--raw"], "4.91": ["gdcmconv", "--raw"]}
MEDIA = {"5": "image/dicom-rle", "4.50": "image/jpeg", "4.57": "image/jpeg", "4.70": "image/jpeg", "4.80": "image/jls", "4.81": "image/jls",
         "4.90": "image/jp2", "4.91": "image/jp2", "4.201": "image/jphc", "4.202": "image/jphc", "4.203": "image/jphc", "4.110": "image/jxl"}
LOSSLESS = ["5", "4.57", "4.70", "4.80", "4.90", "4.201", "4.202"]


def wish(syntax, quality="", single=True):
    media = MEDIA[syntax] if single else 'multipart/related; type="%s"' % MEDIA[syntax]
    return "%s; transfer-syntax=%s%s%s" % (media, BASE, syntax, quality)


def whole(url, accept, **headers):
    """Status, media type, body."""
    status, head, body = fetch(url, accept, **headers)
    return status, head["Content-Type"], body


def parts(kind, body):
    boundary = re.search(r'boundary="?([^";]+)', kind).group(1).encode()
    pieces = body.split(b"--" + boundary)[1:-1]
    found = [piece.partition(b"\r\n\r\n") for piece in pieces]
    return [(head.decode(), inner[:-2]) for head, _, inner in found]


def expanded(stream, name):
    """By OpenJPH; what it writes has no sign."""
    picture = os.path.join(WORK, "stream.ppm" if name.SamplesPerPixel == 3 else "stream.pgm")
    with open(os.path.join(WORK, "stream.j2c"), "wb") as file:
        file.write(stream)
    done = subprocess.run(["ojph_expand", "-i", os.path.join(WORK, "stream.j2c"), "-o", picture], capture_output=True)
    if done.returncode != 0:
        return b"ojph_expand: " + done.stderr
    with open(picture, "rb") as file:
        file.readline(), file.readline()
        most = int(file.readline())
        values = numpy.frombuffer(file.read(), dtype=">u2" if most > 255 else "u1")
    return values.astype("<u%d" % (name.BitsAllocated // 8)).tobytes()


def decoded(stream, syntax, d):
    """The pixels of a code stream as another's decoder gives them, interleaved."""
    if syntax not in TOOLS:
        return expanded(stream, d)
    one, path, out = copy.deepcopy(d), os.path.join(WORK, "one.dcm"), os.path.join(WORK, "decoded.dcm")
    one.file_meta.TransferSyntaxUID = BASE + syntax
    one.PixelData = encapsulate([stream])
    one["PixelData"].VR, one["PixelData"].is_undefined_length = "OB", True
    if "NumberOfFrames" in one:
        one.NumberOfFrames = 1
    one.is_little_endian, one.is_implicit_VR = True, False
    if syntax == "5" and one.SamplesPerPixel > 1:
        one.PlanarConfiguration = 1
    one.save_as(path, write_like_original=False)
    done = subprocess.run([*TOOLS[syntax], path, out], capture_output=True)
    if done.returncode != 0:
        return b"not decoded: " + done.stderr
    got = pydicom.dcmread(out)
    size = one.Rows * one.Columns * one.SamplesPerPixel * (one.BitsAllocated // 8)
    raw = got.PixelData[:size]
    if got.SamplesPerPixel > 1 and got.PlanarConfiguration == 1:
        raw = numpy.frombuffer(raw, "u%d" % (one.BitsAllocated // 8)).reshape(one.SamplesPerPixel, -1).T.tobytes()
    return raw


def differ(a, b, d):
    if len(a) != len(b):
        return "%d bytes, not %d: %s" % (len(a), len(b), a[:200])
    kind = "<%s%d" % ("i" if d.PixelRepresentation else "u", d.BitsAllocated // 8)
    return int(abs(numpy.frombuffer(a, kind).astype(int) - numpy.frombuffer(b, kind).astype(int)).max())


RANDOM = numpy.random.default_rng(5)


def smooth(*shape):
    """Something an image could be: steps with some noise."""
    grid = numpy.add.outer(numpy.arange(shape[0]) * 3, numpy.arange(shape[1]) * 2)
    return grid + RANDOM.integers(0, 7, shape)


def unsigned():
    return image(501, (smooth(40, 56) * 11).astype("<u2"), BitsStored=12, HighBit=11)


def signed():
    return image(502, (smooth(33, 47) * 9 - 900).astype("<i2"))


def colours(number=503, **more):
    pixels = numpy.stack([smooth(32, 46) % 256, smooth(32, 46)[::-1] % 256, 255 - smooth(32, 46) % 256], -1).astype("u1")
    return image(number, pixels, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0, **more)


def frames():
    pixels = numpy.stack([(smooth(24, 30) + 40 * i) % 256 for i in range(3)]).astype("u1")
    return image(504, pixels, NumberOfFrames=3)


def lossless():
    for d, which in ((unsigned(), LOSSLESS), (signed(), LOSSLESS[:5]), (colours(), ["5", "4.57", "4.70", "4.80", "4.201"]), (frames(), LOSSLESS)):
        url = stored(d)
        last = int(d.get("NumberOfFrames", 1) or 1)
        native = get(url + "/frames/%d" % last, OCTETS)[1]
        for syntax in which:
            status, kind, stream = whole(url + "/frames/%d" % last, wish(syntax))
            name = "%s to %s" % (d.SOPInstanceUID, syntax)
            check(name, status == 200 and kind == wish(syntax), (status, kind, stream[:300]))
            if status == 200:
                check(name + " loses nothing", decoded(stream, syntax, d) == native, differ(decoded(stream, syntax, d), native, d))


def jpegxl():
    """That nothing is lost by the codec is shown by tests/dicom/test_encoders.sh."""
    url = stored(frames())
    for accept in ("image/jxl", wish("4.110")):
        status, kind, stream = whole(url + "/frames/3", accept)
        check("JPEG XL by " + accept, status == 200 and kind == wish("4.110") and stream[:2] == b"\xff\n", (status, kind, stream[:200]))


def with_loss():
    d = frames()
    url = stored(d)
    native = get(url + "/frames/2", OCTETS)[1]
    for syntax, most in (("4.81", 2), ("4.50", 40), ("4.91", 40), ("4.203", 40)):
        status, kind, stream = whole(url + "/frames/2", wish(syntax))
        check("loss by %s" % syntax, status == 200 and kind == wish(syntax), (status, kind, stream[:300]))
        far = differ(decoded(stream, syntax, d), native, d)
        check("is little", isinstance(far, int) and far <= most, far)
    # Whoever does not name the syntax loses nothing.
    for accept, syntax in (("image/jpeg", "4.70"), ("image/jls", "4.80"), ("image/jls; transfer-syntax=*", "4.80"), ("image/jphc", "4.201"),
                           ("image/jp2", "4.90"), ("image/dicom-rle", "5"), ("image/*", "4.80"),
                           (wish("4.50", ";q=0.2") + ", image/jp2;q=0.4", "4.90"), (wish("4.80", ";q=0.3") + ", " + wish("4.91", ";q=0"), "4.80")):
        status, kind, stream = whole(url + "/frames/2", accept)
        check("%s is %s" % (accept, syntax), status == 200 and kind == wish(syntax), (status, kind, stream[:200]))
    status, kind, stream = whole(url + "/frames/2", wish("4.50"))
    with open(os.path.join(WORK, "picture.jpg"), "wb") as file:
        file.write(stream)
    shown = subprocess.run(["ffmpeg", "-v", "error", "-i", os.path.join(WORK, "picture.jpg"), "-f", "null", "-"], capture_output=True)
    check("JPEG that any program shows", shown.returncode == 0 and not shown.stderr, shown.stderr)


def colour_with_loss():
    """Metadata say RGB, and so does the stream."""
    d = colours()
    url = stored(d)
    native, (status, _, stream) = get(url + "/frames/1", OCTETS)[1], whole(url + "/frames/1", wish("4.50"))
    far = differ(decoded(stream, "4.50", d), native, d) if status == 200 else stream[:200]
    check("colours as JPEG", isinstance(far, int) and far < 60 and b"Adobe" in stream[:200], (status, far))


def parts_and_lists():
    d = frames()
    url = stored(d)
    native = [get(url + "/frames/%d" % (i + 1), OCTETS)[1] for i in range(3)]
    for path, order in (("/frames/3,1", (2, 0)), ("/pixeldata", (0, 1, 2)), ("/bulkdata/7FE00010", (0, 1, 2))):
        status, kind, body = whole(url + path, wish("4.80", single=False))
        got = parts(kind, body) if status == 200 else []
        check(path, len(got) == len(order) and "image/jls" in kind, (status, kind, body[:300]))
        for (head, stream), i in zip(got, order):
            check("%s, frame %d" % (path, i + 1), wish("4.80") in head and decoded(stream, "4.80", d) == native[i], head)
    check("several frames alone", whole(url + "/frames/1,2", wish("4.80"))[0] == 406)
    status, kind, body = whole(url + "/bulkdata/7FE00010", "application/octet-stream")
    check("bulk data as they are", status == 200 and body == b"".join(native), (status, kind, len(body)))
    status, kind, body = whole(url + "/bulkdata/7FE00010", wish("4.80", ";q=0.5", False) + ", application/octet-stream")
    check("which it likes better", status == 200 and kind.startswith("application/octet-stream"), kind)


def from_compressed():
    """What is stored compressed leaves compressed otherwise, with the pixels and colours of its metadata."""
    for name, syntax, most in (("colour_sc/SC_rgb_rle.dcm", "4.80", 0), ("colour_sc/SC_rgb_dcmtk_+eb+cy+np.dcm", "4.80", 2),
                               ("colour_sc/SC_rgb_dcmtk_+eb+cy+s2.dcm", "5", 2), ("us/US-YBR_FULL_422-EVRLE.dcm", "4.80", 2),
                               ("us/YBR_FULL-RLE.dcm", "4.80", 2), ("small/MR_small_jp2klossless.dcm", "4.80", 0),
                               ("small/MR_small_jp2klossless.dcm", "5", 0), ("codec_wg04/CT1_JPLL.dcm", "4.90", 0)):
        path = os.path.join(DATA, "dicom", name)
        if not os.path.exists(path):
            continue
        with open(path, "rb") as file:
            url = put(file.read())
        d = pydicom.dcmread(path)
        halved = d.PhotometricInterpretation == "YBR_FULL_422"
        status, kind, stream = whole(url + "/frames/1", wish(syntax))
        check("%s to %s" % (name, syntax), status == 200 and kind == wish(syntax), (status, stream[:300]))
        native = get(url + "/frames/1", OCTETS)[1]
        if halved:
            native = doubled(native)
            d.PhotometricInterpretation = "YBR_FULL"
        elif d.SamplesPerPixel > 1 and d.PlanarConfiguration == 1:
            native = numpy.frombuffer(native, "u1").reshape(3, -1).T.tobytes()
        if status == 200:
            far = differ(decoded(stream, syntax, d), native, d)
            check("%s has its pixels" % name, isinstance(far, int) and far <= most, far)


def doubled(native):
    pairs = numpy.frombuffer(native, "u1").reshape(-1, 4)
    out = numpy.empty((len(pairs), 6), "u1")
    out[:, 0], out[:, 3] = pairs[:, 0], pairs[:, 1]
    for c in (1, 2):
        out[:, c] = out[:, c + 3] = pairs[:, c + 1]
    return out.tobytes()


def halved():
    """Uncompressed 4:2:2: the decoder gives all colours, as with any stream that has them all."""
    pixels = numpy.stack([smooth(20, 24) % 256, smooth(20, 24) % 256], -1).astype("u1")
    d = image(505, numpy.zeros((20, 24, 3), "u1"), SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422", PlanarConfiguration=0)
    d.PixelData = pixels.tobytes()
    url = stored(d)
    d.PhotometricInterpretation = "YBR_FULL"
    for syntax in ("4.80", "4.70", "5"):
        status, _, stream = whole(url + "/frames/1", wish(syntax))
        check("halved colours to %s" % syntax, status == 200 and decoded(stream, syntax, d) == doubled(pixels.tobytes()), (status, stream[:200]))


def turned(d, number, way):
    """Stored in another order, or deflated."""
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "2.25.91%d" % number
    plain, other = os.path.join(WORK, "plain.dcm"), os.path.join(WORK, "turned.dcm")
    d.save_as(plain, write_like_original=False)
    subprocess.run(["dcmconv", way, plain, other], check=True)
    with open(other, "rb") as file:
        return put(file.read())


def from_other_orders():
    """Big endian and deflated objects have no frames as they lie."""
    for number, way in ((506, "+tb"), (507, "+td")):
        d = unsigned()
        url = turned(d, number, way)
        status, _, stream = whole(url + "/frames/1", wish("4.80"))
        check("dcmconv %s to JPEG-LS" % way, status == 200 and decoded(stream, "4.80", d) == d.PixelData, (status, stream[:200]))


def short():
    """Halved colours of one sample a pixel: fewer bytes than the halves of a picture that size."""
    url = turned(image(509, (smooth(320, 460) % 256).astype("u1"), PhotometricInterpretation="YBR_FULL_422"), 509, "+td")
    status, _, body = whole(url + "/frames/1", wish("4.80"))
    check("frames shorter than their kind", status == 406, (status, body[:300]))


def refused():
    url = stored(unsigned())
    status, kind, body = whole(url + "/frames/1", wish("4.50"))
    text = json.loads(body).get("detail", "") if status == 406 else ""
    check("16 bits as baseline JPEG", status == 406 and "1.2.840.10008.1.2.1" in text and "image/jls" in text and "JPEG" in text, (status, body[:600]))
    status, kind, body = whole(url + "/frames/1", wish("4.50") + ", application/octet-stream;q=0.1")
    check("the next best", status == 200 and kind.startswith("application/octet-stream"), (status, kind))
    check("a syntax of another type", whole(url + "/frames/1", "image/jls; transfer-syntax=" + BASE + "4.90")[0] == 406)
    check("what nobody encodes", whole(url + "/frames/1", "image/jpx")[0] == 406)
    check("frames beyond the last", whole(url + "/frames/2", wish("4.80"))[0] == 404)
    # A value that is no pixel data has no compressed form.
    path = os.path.join(DATA, "dicom", "codec_wg04/CT1_JPLL.dcm")
    if os.path.exists(path):
        broken = pydicom.dcmread(path)
        broken.SOPInstanceUID = broken.file_meta.MediaStorageSOPInstanceUID = "2.25.91508"
        stream = next(pydicom.encaps.generate_pixel_data_frame(broken.PixelData, 1))
        broken.PixelData = encapsulate([stream[:60] + bytes(400)])
        broken["PixelData"].is_undefined_length = True
        status, _, body = whole(stored(broken) + "/frames/1", wish("4.80"))
        check("a broken stream is not the client's fault", status not in (200, 406), (status, body[:200]))


def known():
    """The same tag for the same form, another for another; a part of one body."""
    url = stored(frames()) + "/frames/1"
    tags = {syntax: fetch(url, wish(syntax))[1]["ETag"] for syntax in ("4.80", "4.90")}
    check("other forms, other tags", tags["4.80"] != tags["4.90"], tags)
    check("not again", whole(url, wish("4.80"), If_None_Match=tags["4.80"])[0] == 304)


for test in (lossless, jpegxl, with_loss, colour_with_loss, parts_and_lists, from_compressed, halved, from_other_orders, short, refused, known):
    test()
sys.exit(failed())
