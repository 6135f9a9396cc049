#!/usr/bin/env python3
# Colours of pictures: ICC profiles made here, whose arithmetic is known, and those of real slides. SPDX-License-Identifier: Apache-2.0
import os
import struct
import sys
import urllib.request
import zlib

import numpy
import pydicom
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import DATA, check, failed, get, image, items, picture, put, state, stored

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


# ---- states ----

def lab(r, g, b):
    """A colour of sRGB as data sets have it (PS3.3 C.10.7.1.1)."""
    linear = [(c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in (r, g, b)]
    f = [(v ** (1 / 3) if v > (6 / 29) ** 3 else v / (3 * (6 / 29) ** 2) + 4 / 29) for v in (matrix(SRGB, D65) @ linear) / D50]
    return [int(round(v)) for v in ((116 * f[1] - 16) / 100 * 65535, (500 * (f[0] - f[1]) + 128) * 257, (200 * (f[1] - f[2]) + 128) * 257)]


def plane(d, group, mask, **more):
    for element, vr, value in ((0x10, "US", mask.shape[0]), (0x11, "US", mask.shape[1]), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                               (0x100, "US", 1), (0x102, "US", 0)):
        d.add_new((group << 16) + element, vr, value)
    packed = numpy.packbits(mask.astype(numpy.uint8).ravel(), bitorder="little").tobytes()
    d.add_new((group << 16) + 0x3000, "OW", packed + b"\0" * (len(packed) % 2))
    return d


def near(found, colour, most=2):
    return abs(found - numpy.array(colour)).max() <= most


def bitmaps():
    """A plane that covers, in the image and in states; planes that a state does or does not put on a layer."""
    values = numpy.add.outer(numpy.arange(40) * 4, numpy.arange(50)).astype(numpy.uint8)
    mask = numpy.add.outer(numpy.arange(40), numpy.arange(50)) % 7 == 0
    own = stored(plane(image(100, values, ShutterShape="BITMAP", ShutterOverlayGroup=0x6000, ShutterPresentationValue=65535), 0x6000, mask))
    check("a bitmap shutter of an image", (picture(own)[:, :, 0] == numpy.where(mask, 255, values)).all())
    off = picture(own, "?parameters=%7B%22overlays%22:false%7D")[:, :, 0]
    check("is no overlay", (off == numpy.where(mask, 255, values)).all())
    target = plane(image(101, values), 0x6002, ~mask)
    stored(target)
    covered = plane(state(102, target, ShutterShape=["BITMAP"], ShutterOverlayGroup=0x6000, ShutterPresentationValue=0), 0x6000, mask)
    check("of a state, and nothing that it does not activate", (picture(stored(covered))[:, :, 0] == numpy.where(mask, 0, values)).all())
    layer = items(GraphicLayer="MARKS", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayGrayscaleValue=32896)
    active = state(103, target, GraphicLayerSequence=Sequence([layer]))
    active.add_new(0x60021001, "CS", "MARKS")
    check("an image's plane on a state's layer", (picture(stored(active))[:, :, 0] == numpy.where(mask, values, 128)).all())
    quiet = plane(state(104, target), 0x6000, mask)
    check("a state's plane on no layer", (picture(stored(quiet))[:, :, 0] == values).all())
    quiet.SOPInstanceUID = quiet.file_meta.MediaStorageSOPInstanceUID = "2.25.91105"
    quiet.add_new(0x60001001, "CS", "MARKS")
    check("on a layer", (picture(stored(quiet))[:, :, 0] == numpy.where(mask, 255, values)).all())


COLOUR, PSEUDO, BLENDING = ("1.2.840.10008.5.1.4.1.1.11.%d" % n for n in (2, 3, 4))


def of_class(d, uid):
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = uid
    d.SeriesInstanceUID = "2.25.9003"
    return d


def palette(d, table):
    for k, name in enumerate(("Red", "Green", "Blue")):
        setattr(d, name + "PaletteColorLookupTableDescriptor", [len(table), 0, 16])
        setattr(d, name + "PaletteColorLookupTableData", (table[:, k] * 257).astype("<u2").tobytes())
    return d


HOT = numpy.stack([numpy.minimum(numpy.arange(256) * 2, 255), numpy.maximum(numpy.arange(256) * 2 - 255, 0), numpy.zeros(256, int)], axis=1)


def coloured():
    pixels = numpy.random.default_rng(5).integers(0, 256, (60, 80, 3), dtype=numpy.uint8)
    wide = matrix(((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)), D65)
    target = image(110, pixels, SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")
    stored(target)
    icc = profile(wide, 1.8)
    line = items(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=5, GraphicType="POLYLINE", GraphicFilled="Y",
                 GraphicData=[10.0, 40.0, 30.0, 40.0, 30.0, 50.0, 10.0, 50.0, 10.0, 40.0])
    styled = items(FillStyleSequence=Sequence([items(PatternOnColorCIELabValue=lab(0, 0.5, 1))]), **{e.keyword: e.value for e in line})
    styled.GraphicData = [40.0, 40.0, 60.0, 40.0, 60.0, 50.0, 40.0, 50.0, 40.0, 40.0]
    layer = items(GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayCIELabValue=lab(0.2, 0.8, 0.4))
    d = of_class(state(111, target, ICCProfile=icc + bytes(len(icc) % 2), ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=1,
                       ShutterRightVerticalEdge=80, ShutterUpperHorizontalEdge=11, ShutterLowerHorizontalEdge=60,
                       ShutterPresentationColorCIELabValue=lab(1, 0, 0.5), GraphicLayerSequence=Sequence([layer]),
                       GraphicAnnotationSequence=Sequence([items(GraphicLayer="ONE", GraphicObjectSequence=Sequence([line, styled]))])), COLOUR)
    found = picture(stored(d))
    check("a colour state's profile counts", near(found[12:38], to_srgb(pixels, wide, 1.8)[12:38]))
    check("its shutter's colour", near(found[:9], (255, 0, 127.5)), str(found[0, 0]))
    check("its layer's colour", near(found[43:48, 14:27], (51, 204, 102)), str(found[45, 20]))
    check("a figure's own colour", near(found[43:48, 44:57], (0, 127.5, 255)), str(found[45, 50]))


def palettes():
    values = numpy.arange(0, 4096, 4, dtype=numpy.uint16).reshape(32, 32)
    target = image(120, values)
    stored(target)
    d = palette(of_class(state(121, target, SoftcopyVOILUTSequence=Sequence([items(WindowCenter="2048", WindowWidth="4096", VOILUTFunction="LINEAR_EXACT")])), PSEUDO), HOT)
    del d.PresentationLUTShape
    found = picture(stored(d))
    expected = HOT[numpy.floor(values / 4096 * 255 + 0.5).astype(int)]
    check("a palette of a state", near(found, expected, 2), abs(found - expected).max())


def part(target, position, **more):
    item = items(ReferencedSOPClassUID=target.SOPClassUID, ReferencedSOPInstanceUID=target.SOPInstanceUID)
    series = items(SeriesInstanceUID=target.SeriesInstanceUID, ReferencedImageSequence=Sequence([item]))
    return items(BlendingPosition=position, StudyInstanceUID=target.StudyInstanceUID, ReferencedSeriesSequence=Sequence([series]), **more)


def blended():
    """Function on anatomy: half as many pixels, twice as large, moved by 16 mm; and a decoy in another plane."""
    place = dict(ImageOrientationPatient=[1, 0, 0, 0, 1, 0], FrameOfReferenceUID="2.25.9009")
    below = numpy.full((64, 64), 100, numpy.uint8)
    above = numpy.zeros((16, 16), numpy.uint8)
    above[4:8, 6:10] = 255
    under = image(130, below, ImagePositionPatient=[0, 0, 5], PixelSpacing=[1, 1], **place)
    over = image(131, above, ImagePositionPatient=[16.5, 16.5, 5.4], PixelSpacing=[2, 2], **place)
    decoy = image(132, numpy.full((16, 16), 255, numpy.uint8), ImagePositionPatient=[16.5, 16.5, 50], PixelSpacing=[2, 2], **place)
    for d in (under, over, decoy):
        stored(d)
    window = Sequence([items(WindowCenter="128", WindowWidth="256", VOILUTFunction="LINEAR_EXACT")])
    half = Sequence([items(WindowCenter="100", WindowWidth="400", VOILUTFunction="LINEAR_EXACT")])
    upper = part(decoy, "SUPERIMPOSED", SoftcopyVOILUTSequence=window)
    upper.ReferencedSeriesSequence[0].ReferencedImageSequence.append(
        items(ReferencedSOPClassUID=over.SOPClassUID, ReferencedSOPInstanceUID=over.SOPInstanceUID))
    d = palette(of_class(state(133, under, BlendingSequence=Sequence([upper, part(under, "UNDERLYING", SoftcopyVOILUTSequence=half)]),
                               RelativeOpacity=0.25), BLENDING), HOT)
    del d.ReferencedSeriesSequence, d.PresentationLUTShape
    url = stored(d)
    found = picture(url)
    grey = (100 - 100) / 400 + 0.5
    ground = numpy.full(3, grey * 255)
    check("beside it the lower one alone", near(found[:14], ground) and near(found[50:], ground), str(found[0, 0]))
    check("where it is cold, its colour counts as well", near(found[20, 20], ground * 0.75 + HOT[0] * 0.25), str(found[20, 20]))
    hot = HOT[int(255 / 256 * 255 + 0.5)]
    # Pixels 4 to 7 and 6 to 9 of 2 mm, from 16.5: centres 24.5 to 30.5 down, 28.5 to 34.5 across.
    check("where it is hot", near(found[25:30, 29:34], ground * 0.75 + hot * 0.25), str(found[27, 31]))
    check("it ends where it ends", near(found[33:45, 17:45], ground * 0.75 + HOT[0] * 0.25, 3), str(found[35, 31]))
    for kind, accept in (("/rendered", "image/png"), ("/thumbnail?viewport=50,50", "image/jpeg")):
        with urllib.request.urlopen(urllib.request.Request(url + kind, headers={"Accept": accept})) as answer:
            check("what depends on other objects has no tag: " + kind, answer.headers["ETag"] is None, answer.headers["ETag"])
    one = picture(url.replace("2.25.9003", "2.25.9001").replace("2.25.91133", "2.25.91130"))
    check("the lower one by itself is grey", one.shape[2] == 1)
    # Of several frames the one that stands for all (PS3.3 C.7.6.6), as without a state.
    film, veil = image(136, below), image(137, numpy.zeros((64, 64), numpy.uint8))
    film.NumberOfFrames, film.RepresentativeFrameNumber = 3, 3
    film.PixelData = below.tobytes() * 2 + (below // 2).tobytes()
    stored(film)
    stored(veil)
    parts = [part(veil, "SUPERIMPOSED", SoftcopyVOILUTSequence=window), part(film, "UNDERLYING", SoftcopyVOILUTSequence=half)]
    shown = palette(of_class(state(138, film, BlendingSequence=Sequence(parts), RelativeOpacity=0.25), BLENDING), HOT)
    del shown.ReferencedSeriesSequence, shown.PresentationLUTShape
    found = picture(stored(shown))
    grey = (50 - 100) / 400 + 0.5
    check("of several frames the representative one", near(found, numpy.full(3, grey * 255) * 0.75 + HOT[0] * 0.25), str(found[0, 0]))
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "2.25.91134"
    stray = image(135, above, ImagePositionPatient=[0, 0, 5], PixelSpacing=[2, 2], ImageOrientationPatient=[1, 0, 0, 0, 1, 0], FrameOfReferenceUID="2.25.9010")
    stored(stray)
    d.BlendingSequence[0] = part(stray, "SUPERIMPOSED", SoftcopyVOILUTSequence=window)
    status, body = get(stored(d) + "/rendered")
    check("of another frame of reference: refused", status == 501 and b"frame of reference" in body, "%d %s" % (status, body[:200]))


profiles()
slides()
bitmaps()
coloured()
palettes()
blended()
sys.exit(failed())
