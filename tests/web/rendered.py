#!/usr/bin/env python3
# Pictures from WADO-RS rendered and WADO-URI: against dcmj2pnm on shared files, and on pictures made here whose every
# pixel is known. SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy
import pydicom
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png
from made import DATA, URL, WORK, check, failed, get, image, items, picture, put, state, stored


def asked(request):
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


# ---- beside DCMTK: file, options of dcmj2pnm, largest difference of a sample (it cuts fractions, we round) ----

FILES = [
    ("lut/cplx_p02.dcm", [], 0),
    ("lut/mlut_18.dcm", ["+Wm"], 1),
    ("lut/ovly_p01.dcm", [], 0),
    ("us/OBXXXX1A.dcm", [], 1),
    ("us/US-YBR_FULL_422-EVRLE.dcm", [], 1),
    ("us/YBR_FULL-RLE.dcm", [], 2),
    ("colour_sc/SC_rgb_dcmtk_+eb+cy+np.dcm", [], 0),
    ("colour_sc/SC_rgb_dcmtk_+eb+cy+s2.dcm", [], 0),
    ("colour_sc/SC_rgb_rle_16bit.dcm", [], 0),
    ("colour_sc/SC_rgb_rle_32bit.dcm", [], 0),
    ("colour_sc/SC_rgb_small_odd_jpeg.dcm", [], 0),
    ("colour_sc/SC_ybr_full_422_uncompressed.dcm", [], 1),
    ("colour_sc/examples_overlay.dcm", ["+Wi", "1"], 1),
    ("small/CT_small.dcm", ["+Wm"], 1),
    ("small/ExplVR_BigEnd.dcm", [], 0),
    ("small/JPGExtended.dcm", ["+Wm"], 1),
    ("small/MR_small_RLE.dcm", ["+Wi", "1"], 1),
    ("small/image_dfl.dcm", [], 0),
    ("large_dx_mg/CR-ModalitySequenceLUT.dcm", ["+Wm"], 1),
    ("large_dx_mg/GH133.dcm", ["+Wl", "1"], 1),
    ("large_dx_mg/dx_image.dcm", ["+Wi", "1"], 1),
    ("pt_nm/GH184.dcm", ["+Wm"], 1),
]


def beside_dcmtk():
    for name, options, most in FILES:
        path = os.path.join(DATA, "dicom", name)
        if not os.path.exists(path):
            continue
        with open(path, "rb") as file:
            url = put(file.read())
        ours = picture(url)
        frames = int(getattr(pydicom.dcmread(path, stop_before_pixels=True, force=True), "NumberOfFrames", 1) or 1)
        out = os.path.join(WORK, "peer.pnm")
        subprocess.run(["dcmj2pnm", "-q", "+F", str(frames // 2 + 1 if frames > 1 else 1)] + options + [path, out], check=True)
        with open(out, "rb") as file:
            theirs = png.read_pnm(file.read()).astype(int)
        if theirs.shape[2] < ours.shape[2]:
            theirs = numpy.repeat(theirs, 3, 2)
        largest = abs(ours - theirs).max() if ours.shape == theirs.shape else None
        check(name, largest is not None and largest <= most, "differs by %s" % largest)


# ---- pictures made here ----

def ramps():
    values = numpy.arange(-2048, 2048, dtype=numpy.int16).reshape(64, 64)
    url = stored(image(1, values, RescaleSlope="2", RescaleIntercept="-100", WindowCenter="40", WindowWidth="400"))
    hu = values.astype(float) * 2 - 100
    linear = numpy.clip((hu - 39.5) / 399 + 0.5, 0, 1) * 255
    check("linear window", abs(picture(url)[:, :, 0] - linear).max() <= 0.5 + 1e-9)
    exact = numpy.clip((hu - 300) / 500 + 0.5, 0, 1) * 255
    check("exact window", abs(picture(url, "?window=300,500,linear-exact")[:, :, 0] - exact).max() <= 0.5 + 1e-9)
    sigmoid = 255 / (1 + numpy.exp(-4 * (hu - 300) / 500))
    check("sigmoid", abs(picture(url, "?window=300,500,sigmoid")[:, :, 0] - sigmoid).max() <= 0.5 + 1e-9)
    inverted = picture(url, "?parameters=" + urllib.parse.quote('{"invert":true}'))
    check("inverted", abs(inverted[:, :, 0] - (255 - linear)).max() <= 0.5 + 1e-9)
    deep = picture(url, "?parameters=" + urllib.parse.quote('{"depth":16}'))
    check("sixteen bits", abs(deep[:, :, 0] - linear * 257).max() <= 0.5 + 1e-6)
    check("JPEG has eight", get(url + '/rendered?parameters=' + urllib.parse.quote('{"depth":16}'), "image/jpeg")[0] == 501)
    one = stored(image(2, values, PhotometricInterpretation="MONOCHROME1", RescaleSlope="2", RescaleIntercept="-100",
                       WindowCenter="40", WindowWidth="400", PresentationLUTShape="INVERSE"))
    check("MONOCHROME1", abs(picture(one)[:, :, 0] - (255 - linear)).max() <= 0.5 + 1e-9)
    padded = values.copy()
    padded[0, :] = -2000
    url = stored(image(3, padded, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"))
    got = picture(url)[:, :, 0]
    check("padding is black", (got[0] == 0).all() and got[1, 0] == 255 and got[63, 63] == 0, str(got[:2, 0]))


def bits():
    rng = numpy.random.default_rng(7)
    flat = rng.integers(0, 2, (3, 5, 7), dtype=numpy.uint8)
    d = image(4, numpy.zeros((5, 7), numpy.uint8))
    d.BitsAllocated = d.BitsStored = 1
    d.HighBit, d.NumberOfFrames = 0, 3
    packed = numpy.packbits(flat.ravel(), bitorder="little").tobytes()
    d.PixelData = packed + b"\0" * (len(packed) % 2)
    url = stored(d)
    for frame in (1, 2, 3):
        got = png.read_png(get(url + "/frames/%d/rendered" % frame)[1])[:, :, 0]
        check("frame %d of bits" % frame, (got == flat[frame - 1] * 255).all())
    wide = rng.integers(0, 2**32, (8, 8), dtype=numpy.uint32)
    url = stored(image(5, wide, WindowCenter=str(2**31), WindowWidth=str(2**32), VOILUTFunction="LINEAR_EXACT"))
    check("32 bits", abs(picture(url)[:, :, 0] - wide / 2**32 * 255).max() <= 0.51)
    high = (numpy.arange(64, dtype=numpy.uint16).reshape(8, 8) << 4) | 5
    d = image(6, high, WindowCenter="32", WindowWidth="64", VOILUTFunction="LINEAR_EXACT")
    d.BitsStored, d.HighBit = 12, 15
    check("high bit 15 of 12", abs(picture(stored(d))[:, :, 0] - (high >> 4) / 64 * 255).max() <= 0.51)
    d = image(7, numpy.arange(256, dtype=numpy.uint8).reshape(16, 16), PhotometricInterpretation="PALETTE COLOR")
    for i, name in enumerate(("Red", "Green", "Blue")):
        setattr(d, name + "PaletteColorLookupTableDescriptor", [256, 0, 16])
        end = 65535 if i < 2 else 0
        segments = numpy.array([0, 1, 0, 1, 254, end, 0, 1, 257 * (i + 1)], dtype="<u2")
        setattr(d, "Segmented" + name + "PaletteColorLookupTableData", segments.tobytes())
    got = picture(stored(d)).reshape(256, 3)
    line = numpy.floor(65535 * numpy.arange(255) / 254) / 65535 * 255
    check("segmented palette", abs(got[:255, 0] - line).max() <= 0.51 and (got[:255, 2] == 0).all() and
          list(got[255]) == [1, 2, 3], str(got[[0, 100, 254, 255]]))


def shapes():
    values = (numpy.add.outer(numpy.arange(40) * 4, numpy.arange(60) * 1)).astype(numpy.uint8)
    values[:4, :4] = 255
    url = stored(image(8, values, PixelSpacing=["1", "1"]))
    check("as large as it is", picture(url).shape == (40, 60, 1))
    check("within a viewport", picture(url, "?viewport=30,30").shape == (20, 30, 1))
    check("larger", picture(url, "?viewport=600,600").shape == (400, 600, 1))
    same = picture(url, "?viewport=20,10,30,20,20,10")[:, :, 0]
    check("a region", (same == values[20:30, 30:50]).all())
    same = picture(url, "?viewport=20,10,30,20,-20,10")[:, :, 0]
    check("flipped across", (same == values[20:30, 30:50][:, ::-1]).all())
    same = picture(url, "?viewport=20,10,30,20,20,-10")[:, :, 0]
    check("flipped down", (same == values[20:30, 30:50][::-1]).all())
    for region in ("60,0,5,5", "0,40,5,5", "-9,0,5,5", "0,-9,5,-9"):
        status, body = get(url + "/rendered?viewport=20,10," + region)
        check("a region outside: " + region, status == 400 and b"60 x 40 pixels" in body, f"{status} {body[:200]}")
    check("a region half outside", picture(url, "?viewport=20,10,55,0,10,5").shape[:2] == (10, 20))
    half = picture(url, "?viewport=30,20")[:, :, 0]
    mean = values.reshape(20, 2, 30, 2).mean(axis=(1, 3))
    check("halved is the mean", abs(half[4:, 4:] - mean[4:, 4:]).max() <= 2, str(abs(half[4:, 4:] - mean[4:, 4:]).max()))
    url = stored(image(9, values, PixelSpacing=["2", "1"]))
    check("pixels that are no squares", picture(url, "?viewport=60,60").shape[:2] == (60, 45))
    bar = picture(url, "?parameters=" + urllib.parse.quote('{"scale_bar":true}'))
    check("a bar", (bar[:, :, 0] != values).sum() > 20)
    named = picture(url, "?viewport=600,600&annotation=patient")
    check("a name", (named[:60, :200] != picture(url, "?viewport=600,600")[:60, :200]).sum() > 500)


def states():
    values = numpy.add.outer(numpy.arange(100) * 2, numpy.zeros(120)).astype(numpy.uint8)
    values[:10, :10] = 255
    target = image(10, values)
    stored(target)
    url = stored(state(11, target, ImageRotation=90, ImageHorizontalFlip="N"))
    check("turned", (picture(url)[:, :, 0] == numpy.rot90(values, -1)).all())
    url = stored(state(12, target, ImageRotation=180, ImageHorizontalFlip="Y"))
    check("turned and flipped", (picture(url)[:, :, 0] == numpy.rot90(values, 2)[:, ::-1]).all())
    area = items(DisplayedAreaTopLeftHandCorner=[11, 21], DisplayedAreaBottomRightHandCorner=[70, 50],
                 PresentationSizeMode="SCALE TO FIT")
    url = stored(state(13, target, DisplayedAreaSelectionSequence=Sequence([area]), PresentationLUTShape="INVERSE"))
    check("an area, inverted", (picture(url)[:, :, 0] == 255 - values[20:50, 10:70]).all())
    # Two selections: the second is the one that is for this image; its pixels are twice as high as wide.
    def shown(uid, first, last, **more):
        named = items(ReferencedSOPClassUID=target.SOPClassUID, ReferencedSOPInstanceUID=uid)
        return items(ReferencedImageSequence=Sequence([named]), DisplayedAreaTopLeftHandCorner=first, DisplayedAreaBottomRightHandCorner=last,
                     PresentationSizeMode="SCALE TO FIT", **more)
    both = Sequence([shown("2.25.1", [1, 1], [5, 5]), shown(target.SOPInstanceUID, [11, 21], [70, 50], PresentationPixelSpacing=["2", "1"])])
    url = stored(state(23, target, DisplayedAreaSelectionSequence=both))
    check("the selection that names the image", (picture(url)[:, :, 0] == values[20:50, 10:70]).all())
    check("its pixels' shape", picture(url, "?viewport=600,600").shape[:2] == (600, 600), picture(url, "?viewport=600,600").shape)
    curve = items(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=3, GraphicType="INTERPOLATED", GraphicFilled="N",
                  GraphicData=[20.0, 80.0, 60.0, 20.0, 100.0, 80.0])
    url = stored(state(24, target, GraphicAnnotationSequence=Sequence([items(GraphicLayer="ONE", GraphicObjectSequence=Sequence([curve]))]),
                       GraphicLayerSequence=Sequence([items(GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayGrayscaleValue=65535)])))
    got, plain = picture(url)[:, :, 0], picture(url.replace("2.25.9124", "2.25.9110").replace("2.25.9002", "2.25.9001"))[:, :, 0]
    drawn = got != plain
    # Half way from the first point to the second: 42.5 across for a straight line at 46.25 down, where a curve is further left.
    check("a curve goes through its points", drawn[18:23, 58:63].any() and drawn[77:82, 18:23].any() and drawn[77:82, 98:103].any())
    check("and is no line", not drawn[50, 39:42].any() and drawn[40:55, 30:45].any(), str(numpy.flatnonzero(drawn[50])))
    area.PresentationPixelMagnificationRatio, area.PresentationSizeMode = 900.0, "MAGNIFY"
    url = stored(state(22, target, DisplayedAreaSelectionSequence=Sequence([area])))
    check("magnified, but not without end", picture(url).shape[:2] == (2048, 4096), picture(url).shape)
    voi = items(WindowCenter="100", WindowWidth="50")
    url = stored(state(14, target, SoftcopyVOILUTSequence=Sequence([voi])))
    expected = numpy.clip((values - 99.5) / 49 + 0.5, 0, 1) * 255
    check("its window", abs(picture(url)[:, :, 0] - expected).max() <= 0.51)
    url = stored(state(15, target, ShutterShape="CIRCULAR", CenterOfCircularShutter=[50, 60], RadiusOfCircularShutter=30,
                       ShutterPresentationValue=65535))
    got = picture(url)[:, :, 0]
    check("a shutter", got[0, 0] == 255 and got[50, 100] == 255 and got[50, 60] == values[50, 60])
    text = items(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue="左肺上叶结节 8 mm",
                 BoundingBoxTopLeftHandCorner=[10.0, 40.0], BoundingBoxBottomRightHandCorner=[110.0, 60.0],
                 BoundingBoxTextHorizontalJustification="LEFT")
    circle = items(GraphicAnnotationUnits="PIXEL", GraphicDimensions=2, NumberOfGraphicPoints=2,
                   GraphicData=[60.0, 80.0, 70.0, 80.0], GraphicType="CIRCLE", GraphicFilled="N")
    drawn = items(GraphicLayer="ONE", TextObjectSequence=Sequence([text]), GraphicObjectSequence=Sequence([circle]))
    layer = items(GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayGrayscaleValue=65535)
    url = stored(state(16, target, GraphicAnnotationSequence=Sequence([drawn]), GraphicLayerSequence=Sequence([layer])))
    got = picture(url, "?viewport=1200,1000")[:, :, 0]
    plain = picture(url.replace("2.25.9116", "2.25.9110").replace("2.25.9002", "2.25.9001"), "?viewport=1200,1000")[:, :, 0]
    changed = got != plain
    check("Han characters", changed[400:500, 100:500].sum() > 2000, str(changed[400:500, 100:500].sum()))
    check("a circle", changed[800, 699:701].all() and changed[800, 499:501].all() and not changed[800, 600])
    query = urllib.parse.urlencode({"requestType": "WADO", "studyUID": "2.25.9000", "seriesUID": "2.25.9001",
                                    "objectUID": "2.25.9110", "contentType": "image/png",
                                    "presentationSeriesUID": "2.25.9002", "presentationUID": "2.25.9111"})
    status, body = get(URL + "/wado?" + query)
    check("WADO-URI with a state", status == 200 and (png.read_png(body)[:, :, 0] == numpy.rot90(values, -1)).all())
    query = query[:query.index("&presentation")]
    with urllib.request.urlopen(URL + "/wado?" + query) as answer:
        tag = answer.headers["ETag"]
    check("WADO-URI has an entity tag", tag)
    again = urllib.request.Request(URL + "/wado?" + query, headers={"If-None-Match": tag or ""})
    other = urllib.request.Request(URL + "/wado?" + query + "&rows=10", headers={"If-None-Match": tag or ""})
    check("which is good once more", asked(again) == 304, str(asked(again)))
    check("not for another picture", asked(other) == 200)


def overlays():
    values = numpy.zeros((20, 30), numpy.uint8)
    d = image(17, values)
    plane = numpy.zeros((20, 30), numpy.uint8)
    plane[5, 6:20] = 1
    for element, vr, value in ((0x10, "US", 20), (0x11, "US", 30), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                               (0x100, "US", 1), (0x102, "US", 0)):
        d.add_new(0x60000000 + element, vr, value)
    packed = numpy.packbits(plane.ravel(), bitorder="little").tobytes()
    d.add_new(0x60003000, "OW", packed + b"\0" * (len(packed) % 2))
    url = stored(d)
    check("an overlay", (picture(url)[:, :, 0] == plane * 255).all())
    off = picture(url, "?parameters=" + urllib.parse.quote('{"overlays":false}'))
    check("without", (off == 0).all())


def uptake():
    values = numpy.arange(256, dtype=numpy.uint16).reshape(16, 16) * 100
    d = image(18, values, Modality="PT", Units="BQML", DecayCorrection="START", PatientWeight="70", SeriesTime="110000",
              AcquisitionTime="110000", RescaleSlope="2", RescaleIntercept="0")
    d.RadiopharmaceuticalInformationSequence = Sequence([items(
        RadiopharmaceuticalStartTime="100000", RadionuclideTotalDose="370000000", RadionuclideHalfLife="6586.2")])
    url = stored(d)
    suv = values * 2.0 * 70000 / (370e6 * 2 ** (-3600 / 6586.2))
    got = picture(url, "?window=5,10,linear-exact&parameters=" + urllib.parse.quote('{"suv":true}'))
    check("SUV", abs(got[:, :, 0] - numpy.clip(suv / 10, 0, 1) * 255).max() <= 0.51)


def filters():
    values = numpy.zeros((64, 64), numpy.uint8)
    values[:, 32:] = 100
    url = stored(image(19, values, WindowCenter="128", WindowWidth="256"))
    def through(*operators):
        return picture(url, "?parameters=" + urllib.parse.quote(json.dumps({"operators": list(operators)})))
    edges = through({"name": "edge"})[:, :, 0]
    check("edges", edges[10, 31] == edges[10, 32] > 90 and edges[10, 10] == 0)
    check("colours", through({"name": "pseudocolour", "parameters": {"scale": "rainbow"}}).shape == (64, 64, 3))
    check("one after the other", through({"name": "smooth"}, {"name": "edge"})[10, 31, 0] not in (0, edges[10, 31]))
    status, body = get(url + "/rendered?parameters=" + urllib.parse.quote('{"operators":[{"name":"none"}]}'))
    check("a filter that is not there", status == 400 and b"no operator is called none" in body)
    frames = numpy.stack([values, values, values])
    frames[2, 20:30, 20:30] += 50
    d = image(20, frames, NumberOfFrames=3)
    url = stored(d)
    query = "/frames/3/rendered?parameters=" + urllib.parse.quote('{"operators":[{"name":"subtract","mask":0}]}')
    got = png.read_png(get(url + query)[1])[:, :, 0]
    check("subtraction", (got[20:30, 20:30] == 255).all() and (got == 0).sum() == 64 * 64 - 100)
    d = image(21, (frames.astype(numpy.uint16) | 0x8000), NumberOfFrames=3)
    d.BitsStored, d.HighBit = 12, 11
    for element, vr, value in ((0x10, "US", 64), (0x11, "US", 64), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                               (0x100, "US", 16), (0x102, "US", 15)):
        d.add_new(0x60000000 + element, vr, value)
    got = png.read_png(get(stored(d) + query)[1])[:, :, 0]
    check("subtraction leaves no overlay in its bits", (got == 0).sum() == 64 * 64 - 100)


def floats():
    """Real numbers of 32 and 64 bits, native (PS3.3 C.7.6.24, C.7.6.25): windowed, and spread where no window is."""
    values = numpy.linspace(-3, 5, 40 * 30).reshape(2, 20, 30)
    for number, (kind, name, bits) in enumerate((("<f4", "FloatPixelData", 32), ("<f8", "DoubleFloatPixelData", 64))):
        d = image(230 + number, numpy.zeros((20, 30), numpy.uint8), NumberOfFrames=2)
        del d.PixelData, d.BitsStored, d.HighBit, d.PixelRepresentation
        d.BitsAllocated = bits
        setattr(d, name, values.astype(kind).tobytes())
        url = stored(d)
        for frame in (1, 2):
            got = picture("%s/frames/%d" % (url, frame), "?window=1,4,linear-exact")[:, :, 0]
            expected = numpy.clip((values[frame - 1] - 1) / 4 + 0.5, 0, 1) * 255
            check("%d bits of a real number, frame %d" % (bits, frame), abs(got - expected).max() <= 0.51, abs(got - expected).max())
        got = picture(url + "/frames/2")[:, :, 0]
        check("spread", got[0, 0] == 0 and got[-1, -1] == 255)
        status, body = get(url + "/frames/2", "application/octet-stream")
        check("%d bits as they are" % bits, status == 200 and body == values[1].astype(kind).tobytes(), status)


def big_endian():
    """32 bits in big endian: words are turned, lowest first, in pictures, frames and converted objects alike (PS3.5 7.3)."""
    path = os.path.join(DATA, "dicom", "rt", "rtdose_expb_1frame.dcm")
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        url = put(file.read())
    d = pydicom.dcmread(path)
    values = numpy.frombuffer(d.PixelData, ">u2").astype("<u2").view("<u4").reshape(d.Rows, d.Columns)
    check("frame of big endian words", get(url + "/frames/1", "application/octet-stream")[1] == values.tobytes())
    check("picture of big endian words", (picture(url) == picture(stored(image(240, values)))).all())


def gifs():
    """ffmpeg reads them: shades and up to 256 colours come back as they went in, more of them nearly."""
    if shutil.which("ffmpeg") is None:
        print("no ffmpeg: GIFs are not looked at")
        return
    rng = numpy.random.default_rng(11)
    ramp = numpy.add.outer(numpy.arange(200), numpy.arange(300)).astype(numpy.uint8)
    few = rng.integers(0, 256, (250, 3), dtype=numpy.uint8)[rng.integers(0, 250, (120, 90))]
    smooth = numpy.stack([numpy.add.outer(numpy.arange(128) * k, numpy.arange(128)) % 256 for k in (1, 2, 0)], axis=2).astype(numpy.uint8)
    colours = dict(SamplesPerPixel=3, PlanarConfiguration=0, PhotometricInterpretation="RGB")
    kinds = {"shades": image(60, ramp), "noise": image(61, rng.integers(0, 256, (97, 331), dtype=numpy.uint8)),
             "one pixel": image(62, ramp[:1, :1]), "few colours": image(63, few, **colours), "many": image(64, smooth, **colours)}
    kinds.update({"flat %d" % n: image(200 + n, numpy.full((n, 40), 7, numpy.uint8)) for n in range(1, 26, 3)})
    for name, d in kinds.items():
        url = stored(d)
        status, body = get(url + "/rendered", "image/gif")
        path = os.path.join(WORK, "made.gif")
        with open(path, "wb") as file:
            file.write(body)
        run = subprocess.run(["ffmpeg", "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"], capture_output=True)
        expected = picture(url)
        expected = numpy.repeat(expected, 3, 2) if expected.shape[2] == 1 else expected
        found = numpy.frombuffer(run.stdout, numpy.uint8)
        is_whole = status == 200 and found.size == expected.size
        check("GIF of " + name, is_whole, "%d, %d bytes of %d, %s" % (status, found.size, expected.size, run.stderr[:200]))
        if not is_whole:
            continue
        far = abs(found.reshape(expected.shape).astype(int) - expected)
        if name == "many":
            blocks = (found.reshape(expected.shape).astype(float) - expected)[:124, :124].reshape(31, 4, 31, 4, 3).mean(axis=(1, 3))
            check("GIF of many colours is near", far.max() <= 52 and abs(blocks).mean() < 8, "%d %.1f" % (far.max(), abs(blocks).mean()))
        else:
            check("GIF of %s is exact" % name, far.max() == 0, far.max())


def several():
    status, body = get(URL + "/dicom-web/studies/2.25.9000/rendered", 'multipart/related; type="image/png"')
    check("a study's pictures", status == 200 and body.count(b"\x89PNG\r\n\x1a\n") >= 18)
    status, body = get(URL + "/dicom-web/studies/2.25.9000/series/2.25.9001/rendered", "image/jpeg")
    check("one for a series", status == 200 and body[:3] == b"\xff\xd8\xff")


for test in (beside_dcmtk, ramps, bits, shapes, states, overlays, uptake, filters, floats, big_endian, gifs, several):
    test()
sys.exit(failed())
