#!/usr/bin/env python3
# States of advanced blending: steps, thresholds, palettes, registrations; each pixel against the same arithmetic here.
# SPDX-License-Identifier: Apache-2.0
import io
import os
import sys
import urllib.parse
import urllib.request

import numpy
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png
from made import URL, check, failed, get, image, items, picture, state, stored

ADVANCED, BLENDING = "1.2.840.10008.5.1.4.1.1.11.8", "1.2.840.10008.5.1.4.1.1.11.4"
RIGID, DEFORMABLE = "1.2.840.10008.5.1.4.1.1.66.1", "1.2.840.10008.5.1.4.1.1.66.3"
HOT = numpy.stack([numpy.minimum(numpy.arange(256) * 2, 255), numpy.maximum(numpy.arange(256) * 2 - 255, 0), numpy.zeros(256, int)], axis=1)
COOL = HOT[:, ::-1]
FRAME, OTHER = "2.25.9901", "2.25.9902"


def slice_of(number, series, pixels, place, spacing, frame=FRAME, axes=(1, 0, 0, 0, 1, 0), thickness="3", spaces=()):
    d = image(number, pixels, FrameOfReferenceUID=frame, ImagePositionPatient=[float(v) for v in place], ImageOrientationPatient=[float(v) for v in axes],
              PixelSpacing=[float(spacing), float(spacing)], SliceThickness=thickness)
    d.SeriesInstanceUID = series
    stored(d, *spaces)
    return d


def anatomy():
    y, x = numpy.mgrid[0:64, 0:64]
    return (100 + 60 * numpy.sin(x / 7.0) + 30 * numpy.cos(y / 5.0)).astype(numpy.uint8)


def uptake(size=16):
    y, x = numpy.mgrid[0:size, 0:size]
    return numpy.clip(250 - 26 * numpy.hypot(y - size * 0.45, x - size * 0.6), 0, 255).astype(numpy.uint8)


CT, PET, PERFUSION = "2.25.99101", "2.25.99102", "2.25.99103"
BELOW, ABOVE = anatomy(), uptake()
under = slice_of(400, CT, BELOW, (0, 0, 5), 1)
far = slice_of(401, PET, numpy.full((16, 16), 255, numpy.uint8), (16.5, 12.5, 50), 2)
over = slice_of(402, PET, ABOVE, (16.5, 12.5, 5.4), 2)
third = slice_of(403, PERFUSION, uptake(24), (8, 30, 4.5), 1.5)


def palette(d, table):
    for k, name in enumerate(("Red", "Green", "Blue")):
        setattr(d, name + "PaletteColorLookupTableDescriptor", [len(table), 0, 16])
        setattr(d, name + "PaletteColorLookupTableData", (table[:, k] * 257).astype("<u2").tobytes())
        d[name + "PaletteColorLookupTableDescriptor"].VR, d[name + "PaletteColorLookupTableData"].VR = "US", "OW"
    return d


def named(*targets):
    return Sequence([items(ReferencedSOPClassUID=d.SOPClassUID, ReferencedSOPInstanceUID=d.SOPInstanceUID) for d in targets])


def threshold(kind, *values):
    return items(ThresholdType=kind, ThresholdValueSequence=Sequence([items(ThresholdValue=float(v)) for v in values]))


def part(number, series, table=None, images=None, thresholds=(), window=(128, 256), geometry=False, registration=None):
    d = items(BlendingInputNumber=number, StudyInstanceUID="2.25.9000", SeriesInstanceUID=series, TimeSeriesBlending="FALSE",
              GeometryForDisplay="TRUE" if geometry else "FALSE",
              SoftcopyVOILUTSequence=Sequence([items(WindowCenter=str(window[0]), WindowWidth=str(window[1]), VOILUTFunction="LINEAR_EXACT")]))
    if images:
        d.ReferencedImageSequence = named(*images)
    if table is not None:
        palette(d, table)
    if thresholds:
        d.ThresholdSequence = Sequence(list(thresholds))
    if registration is not None:
        d.ReferencedSpatialRegistrationSequence = Sequence([reference(registration)])
    return d


def reference(registration):
    series = items(SeriesInstanceUID=registration.SeriesInstanceUID, ReferencedSOPSequence=named(registration))
    return items(StudyInstanceUID="2.25.9000", ReferencedSeriesSequence=Sequence([series]))


def step(mode, *numbers, opacity=None, result=None):
    d = items(BlendingMode=mode, BlendingDisplayInputSequence=Sequence([items(BlendingInputNumber=n) for n in numbers]))
    if opacity is not None:
        d.RelativeOpacity = opacity
    if result is not None:
        d.BlendingInputNumber = result
    return d


def blending(number, parts, steps):
    d = state(number, under, AdvancedBlendingSequence=Sequence(parts), BlendingDisplaySequence=Sequence(steps), PixelPresentation="TRUE_COLOR",
              FrameOfReferenceUID=FRAME)
    del d.ReferencedSeriesSequence, d.PresentationLUTShape
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = ADVANCED
    return d


# ---- the same here: a layer is colours and which of them there are ----

def coloured(values, table=None, window=(128, 256)):
    shade = numpy.clip((values.astype(float) - window[0]) / window[1] + 0.5, 0, 1)
    if table is None:
        return numpy.repeat(numpy.floor(shade * 255 + 0.5)[:, :, None], 3, 2)
    return table[numpy.floor(shade * 255 + 0.5).astype(int)].astype(float)


def placed(colours, seen, to_x, to_y, shape=(64, 64)):
    """Between the four pixels around, of those that there are; to_x, to_y: from the shown pixel's column and row."""
    y, x = numpy.mgrid[0:shape[0], 0:shape[1]].astype(float)
    u, v = to_x(x, y), to_y(x, y)
    height, width = seen.shape
    inside = (u >= -0.5) & (v >= -0.5) & (u <= width - 0.5) & (v <= height - 0.5)
    u, v = numpy.clip(u, 0, width - 1), numpy.clip(v, 0, height - 1)
    total, weight = numpy.zeros(shape + (3,)), numpy.zeros(shape)
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = numpy.minimum(numpy.floor(u).astype(int) + dx, width - 1), numpy.minimum(numpy.floor(v).astype(int) + dy, height - 1)
            w = numpy.where(dx, u % 1, 1 - u % 1) * numpy.where(dy, v % 1, 1 - v % 1) * seen[row, column]
            total += w[:, :, None] * colours[row, column]
            weight += w
    return total / numpy.maximum(weight, 1e-9)[:, :, None], inside & (weight >= 0.5)


def whole(values, **more):
    return coloured(values, **more), numpy.ones(values.shape, bool)


def over_it(first, second, opacity):
    (a, seen_a), (b, seen_b) = first, second
    share = numpy.where(~seen_b, 1, numpy.where(seen_a, opacity, 0))[:, :, None]
    return a * share + b * (1 - share), seen_a | seen_b


def equal(*layers):
    seen = sum(layer[1].astype(int) for layer in layers)
    total = sum(layer[0] * layer[1][:, :, None] for layer in layers)
    return total / numpy.maximum(seen, 1)[:, :, None], seen > 0


def shown(layer):
    return numpy.where(layer[1][:, :, None], layer[0], 0)


def near(what, found, expected, most=2.01):
    if found.shape[2] == 1:
        found = numpy.repeat(found, 3, 2)
    off = abs(found - expected)
    check(what, off.max() <= most, "differs by %s at %s" % (off.max(), numpy.argwhere(off > most)[:3].tolist()))


def answer(d, target=under):
    return get(URL + "/wado?" + urllib.parse.urlencode({
        "requestType": "WADO", "studyUID": "2.25.9000", "seriesUID": target.SeriesInstanceUID, "objectUID": target.SOPInstanceUID,
        "contentType": "image/png", "presentationSeriesUID": d.SeriesInstanceUID, "presentationUID": d.SOPInstanceUID}))


def on_ct(values, table, seen=None, place=(16.5, 12.5), spacing=2.0, window=(128, 256)):
    seen = numpy.ones(values.shape, bool) if seen is None else seen
    return placed(coloured(values, table, window), seen, lambda x, y: (x - place[0]) / spacing, lambda x, y: (y - place[1]) / spacing)


CT_LAYER = whole(BELOW)


def steps():
    hot = part(2, PET, HOT, thresholds=[threshold("GREATER_OR_EQUAL", 60)])
    url = stored(blending(410, [part(1, CT, geometry=True), hot], [step("FOREGROUND", 2, 1, opacity=0.4)]))
    fused = over_it(on_ct(ABOVE, HOT, ABOVE >= 60), CT_LAYER, 0.4)
    near("the nearest slice of a whole series over another", picture(url), shown(fused))
    listed = part(2, PET, HOT, images=[far, over], thresholds=[threshold("RANGE_INCL", 60, 120), threshold("GREATER_THAN", 200)])
    url = stored(blending(411, [part(1, CT, images=[under], geometry=True), listed], [step("FOREGROUND", 1, 2, opacity=0.7)]))
    some = ((ABOVE >= 60) & (ABOVE <= 120)) | (ABOVE > 200)
    near("named slices, of several ranges, below", picture(url), shown(over_it(CT_LAYER, on_ct(ABOVE, HOT, some), 0.7)))
    third_layer = on_ct(uptake(24), COOL, ~((uptake(24) >= 20) & (uptake(24) <= 90)), (8, 30), 1.5)
    three = [part(1, CT, geometry=True), part(2, PET, HOT), part(3, PERFUSION, COOL, thresholds=[threshold("RANGE_EXCL", 20, 90)])]
    url = stored(blending(412, three, [step("EQUAL", 1, 2, 3)]))
    near("three alike", picture(url), shown(equal(CT_LAYER, on_ct(ABOVE, HOT), third_layer)))
    url = stored(blending(413, three, [step("EQUAL", 5, 3), step("FOREGROUND", 2, 1, opacity=0.25, result=5)]))
    near("a step of a step", picture(url), shown(equal(over_it(on_ct(ABOVE, HOT), CT_LAYER, 0.25), third_layer)))
    twice = [part(1, CT, geometry=True), part(2, PET, HOT, thresholds=[threshold("LESS_THAN", 100)], window=(64, 128)),
             part(3, PET, COOL, thresholds=[threshold("LESS_OR_EQUAL", 255)], window=(128, 256))]
    url = stored(blending(414, twice, [step("EQUAL", 2, 3)]))
    both = equal(on_ct(ABOVE, HOT, ABOVE < 100, window=(64, 128)), on_ct(ABOVE, COOL))
    near("one series in two colours, and black where nothing is", picture(url), shown(both))
    sequence = part(2, PET)
    sequence.PaletteColorLookupTableSequence = Sequence([palette(items(), COOL)])
    url = stored(blending(416, [part(1, CT, geometry=True), sequence], [step("EQUAL", 2)]))
    near("a palette in a sequence", picture(url), shown(on_ct(ABOVE, COOL)))


def enhanced():
    """Frames of an enhanced image, each with a place and a window of its own, over another image."""
    frames = [(5.4, (64, 128)), (50, (200, 100)), (90, (20, 10))]
    d = image(480, numpy.stack([ABOVE] * 3), NumberOfFrames=3, FrameOfReferenceUID=FRAME,
              SharedFunctionalGroupsSequence=Sequence([items(
                  PlaneOrientationSequence=Sequence([items(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])]),
                  PixelMeasuresSequence=Sequence([items(PixelSpacing=[2.0, 2.0], SliceThickness="3")]))]),
              PerFrameFunctionalGroupsSequence=Sequence([items(
                  PlanePositionSequence=Sequence([items(ImagePositionPatient=[16.5, 12.5, z])]),
                  FrameVOILUTSequence=Sequence([items(WindowCenter=str(window[0]), WindowWidth=str(window[1]), VOILUTFunction="LINEAR_EXACT")]))
                  for z, window in frames]))
    d.SeriesInstanceUID = "2.25.99107"
    stored(d)
    own = part(2, "2.25.99107", HOT)
    del own.SoftcopyVOILUTSequence
    url = stored(blending(481, [part(1, CT, geometry=True), own], [step("EQUAL", 2)]))
    near("a frame's own window", picture(url), shown(on_ct(ABOVE, HOT, window=(64, 128))))


def blending_stored(number, parts):
    d = blending(number, parts, [step("FOREGROUND", 2, 1, opacity=0.5)])
    stored(d)
    return d


# ---- registrations ----

def registration(number, matrices, source=OTHER, sop_class=RIGID, spaces=(), images=None, **more):
    registered = [items(FrameOfReferenceUID=FRAME, MatrixRegistrationSequence=matrix_items([numpy.eye(4)])),
                  items(FrameOfReferenceUID=source, MatrixRegistrationSequence=matrix_items(matrices))]
    if images is not None:
        registered[1].ReferencedImageSequence = images
    d = state(number, under, RegistrationSequence=Sequence(registered), FrameOfReferenceUID=FRAME, **more)
    del d.ReferencedSeriesSequence, d.PresentationLUTShape
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = sop_class
    d.Modality, d.SeriesInstanceUID = "REG", "2.25.99201"
    stored(d, *spaces)
    return d


def matrix_items(matrices):
    return Sequence([items(RegistrationTypeCodeSequence=Sequence([]), MatrixSequence=Sequence([
        items(FrameOfReferenceTransformationMatrix=[repr(round(float(v), 6)) for v in numpy.array(m).ravel()], FrameOfReferenceTransformationMatrixType="RIGID")
        for m in matrices]))])


def moved(x, y, z):
    m = numpy.eye(4)
    m[:3, 3] = x, y, z
    return m


TURNED = numpy.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)  # x to y, about z


def registrations():
    turned = "2.25.99104"
    pet = slice_of(405, turned, ABOVE, (3, -50, 20), 2, frame=OTHER)
    matrices = [moved(-20, 10, -15), TURNED]  # turned first, then moved
    total = matrices[0] @ matrices[1]
    inverse = numpy.linalg.inv(total)
    at = lambda x, y: [inverse[row, 0] * x + inverse[row, 1] * y + inverse[row, 2] * 5 + inverse[row, 3] for row in range(2)]
    expected = placed(coloured(ABOVE, HOT), numpy.ones(ABOVE.shape, bool), lambda x, y: (at(x, y)[0] - 3) / 2, lambda x, y: (at(x, y)[1] + 50) / 2)
    assert 300 < expected[1].sum() < 3000, expected[1].sum()
    parts = lambda reg: [part(1, CT, geometry=True), part(2, turned, HOT, registration=reg)]
    url = stored(blending(420, parts(registration(421, matrices)), [step("FOREGROUND", 2, 1, opacity=0.5)]))
    near("turned and moved into place", picture(url), shown(over_it(expected, CT_LAYER, 0.5)))
    spaces = (b"0.0\\", b"0  \\")  # each number may be padded (PS3.5 6.2)
    slice_of(406, "2.25.99105", ABOVE, (3, -50, 20), 2, frame=OTHER, spaces=spaces)
    padded = [part(1, CT, geometry=True), part(2, "2.25.99105", HOT, registration=registration(426, matrices, spaces=spaces))]
    url = stored(blending(427, padded, [step("FOREGROUND", 2, 1, opacity=0.5)]))
    near("of numbers with spaces behind them", picture(url), shown(over_it(expected, CT_LAYER, 0.5)))
    larger = numpy.diag([1.5, 1.5, 1.0, 1.0])
    url = stored(blending(422, parts(registration(423, [moved(0, 80, -15), larger])), [step("EQUAL", 2)]))
    grown = placed(coloured(ABOVE, HOT), numpy.ones(ABOVE.shape, bool), lambda x, y: (x / 1.5 - 3) / 2, lambda x, y: ((y - 80) / 1.5 + 50) / 2)
    near("and made larger", picture(url), shown(grown))
    old = state(424, under, RelativeOpacity=0.5, BlendingSequence=Sequence([
        old_part(under, "UNDERLYING"), old_part(pet, "SUPERIMPOSED")]), ReferencedSpatialRegistrationSequence=Sequence([reference(registration(425, matrices))]))
    old.SOPClassUID = old.file_meta.MediaStorageSOPClassUID = BLENDING
    del old.ReferencedSeriesSequence, old.PresentationLUTShape
    near("of a state of two images as well", picture(stored(palette(old, HOT))), shown(over_it(expected, CT_LAYER, 0.5)))
    shear = numpy.eye(4)
    shear[0, 1] = 0.5
    last = numpy.eye(4)
    last[3] = [0, 0, 1, 1]
    bent = registration(430, [numpy.eye(4)], sop_class=DEFORMABLE, DeformableRegistrationSequence=Sequence([items(SourceFrameOfReferenceUID=OTHER)]))
    missing = registration(431, [numpy.eye(4)])
    missing.SOPInstanceUID = "2.25.4"
    for number, reg, status, words in ((440, None, 501, b"frame of reference"), (441, bent, 501, b"deformable (0064,0002)"), (442, missing, 501, b"(0070,0404)"),
                                       (443, registration(432, [shear]), 501, b"shears"), (444, registration(433, [last]), 400, b"(3006,00C6)"),
                                       (445, registration(434, [numpy.eye(4)], source="2.25.5"), 501, b"frame of reference")):
        found, body = get(stored(blending(number, parts(reg), [step("FOREGROUND", 2, 1, opacity=0.5)])) + "/rendered")
        check("refused: %s" % words.decode(), found == status and words in body, "%s %s" % (found, body[:300]))


def bounded():
    """What one picture may cost: names of a registration are read once, and images are opened so often and no more."""
    many = Sequence([items(ReferencedSOPClassUID=under.SOPClassUID, ReferencedSOPInstanceUID="2.25.5%d" % k) for k in range(20001)])
    d = registration(470, [numpy.eye(4)], images=many)
    two = [part(1, CT, geometry=True), part(2, PET, HOT, registration=d)]
    found, body = get(stored(blending(471, two, [step("EQUAL", 1, 2)])) + "/rendered")
    check("a registration of too many images", found == 501 and b"20000 images" in body, "%s %s" % (found, body[:300]))
    two = [part(1, CT, geometry=True), part(2, PET, HOT, images=[far] * 1000 + [over])]
    found, body = get(stored(blending(472, two, [step("EQUAL", 1, 2)])) + "/rendered")
    check("inputs of too many images", found == 501 and b"(0008,1140)" in body, "%s %s" % (found, body[:300]))
    huge = slice_of(474, "2.25.99106", numpy.zeros((8192, 4097), numpy.uint8), (0, 0, 5), 1)
    two = [part(1, CT, geometry=True), part(2, "2.25.99106", HOT)]
    found, body = get(stored(blending(475, two, [step("EQUAL", 1, 2)])) + "/rendered")
    check("an input larger than what is shown", found == 501 and b"32 million pixels" in body, "%s %s" % (found, body[:300]))
    old = state(476, under, RelativeOpacity=0.5, BlendingSequence=Sequence([old_part(under, "UNDERLYING"), old_part(huge, "SUPERIMPOSED")]))
    old.SOPClassUID = old.file_meta.MediaStorageSOPClassUID = BLENDING
    del old.ReferencedSeriesSequence, old.PresentationLUTShape
    found, body = get(stored(palette(old, HOT)) + "/rendered")
    check("of a state of two images as well", found == 501 and b"32 million pixels" in body, "%s %s" % (found, body[:300]))
    two = [part(1, CT, geometry=True), part(2, PET, HOT, images=[far] * 400 + [over])]
    near("the nearest of four hundred", picture(stored(blending(473, two, [step("EQUAL", 2)]))), shown(on_ct(ABOVE, HOT)))


def old_part(target, position):
    return items(BlendingPosition=position, StudyInstanceUID="2.25.9000", ReferencedSeriesSequence=Sequence([items(
        SeriesInstanceUID=target.SeriesInstanceUID, ReferencedImageSequence=named(target))]),
        SoftcopyVOILUTSequence=Sequence([items(WindowCenter="128", WindowWidth="256", VOILUTFunction="LINEAR_EXACT")]))


def refused():
    two = [part(1, CT, geometry=True), part(2, PET, HOT)]
    for number, parts, made, status, words in (
            (450, two, [step("FOREGROUND", 2, 1, opacity=2.0)], 400, b"(0070,0403)"), (451, two, [step("FOREGROUND", 2, 1)], 400, b"(0070,0403)"),
            (452, two, [step("FOREGROUND", 2, opacity=0.5)], 400, b"(0070,1B03)"), (453, two, [step("MULTIPLY", 2, 1)], 501, b"(0070,1B06)"),
            (454, two, [step("EQUAL", 1, 7)], 400, b"(0070,1B02) 7"), (455, two, [step("EQUAL", 1, 5), step("EQUAL", 5, 2, result=5)], 501, b"go round"),
            (456, two, [step("EQUAL", 1, 2, result=5)], 400, b"(0070,1B04)"),
            (457, [two[0], part(2, PET, HOT, thresholds=[threshold("NEAR", 5)])], [step("EQUAL", 1, 2)], 501, b"(0070,1B13)"),
            (458, [two[0], part(2, PET, HOT, thresholds=[threshold("RANGE_INCL", 5)])], [step("EQUAL", 1, 2)], 400, b"(0070,1B14)"),
            (459, [two[0], part(2, "2.25.99109", HOT)], [step("EQUAL", 1, 2)], 501, b"is here")):
        found, body = get(stored(blending(number, parts, made)) + "/rendered")
        check("refused, and said what: %s" % words.decode(), found == status and words in body, "%s %s" % (found, body[:300]))
    found, body = answer(blending_stored(460, two), over)
    check("not on an image of another geometry", found == 501 and b"(0070,1B08)" in body, "%s %s" % (found, body[:300]))


def elsewhere():
    """Last, since the series has a slice more then: one where the other series has none, which ends 40 mm away."""
    gone = slice_of(404, CT, BELOW, (0, 0, 90), 1)
    near("a series that ends elsewhere is not there", png.read_png(answer(blending_stored(415, [part(1, CT, geometry=True), part(2, PET, HOT)]), gone)[1]).astype(int),
         shown(CT_LAYER))
    lost = [slice_of(406 + k, series, values, (0, 0, z), 1, frame=None)
            for k, series, values, z in ((1, "2.25.99111", BELOW, 5), (2, "2.25.99112", ABOVE, 45))]
    two = [part(1, "2.25.99111", geometry=True), part(2, "2.25.99112", HOT)]
    near("nor where no frame of reference is said", png.read_png(answer(blending_stored(417, two), lost[0])[1]).astype(int), shown(CT_LAYER))


def many():
    """The nearest of more slices than are all looked at, numbered from the feet to the head or the other way."""
    values = numpy.arange(400) * 37 % 251
    for turn, series in ((1, "2.25.99121"), (-1, "2.25.99122")):
        parts = []
        for k in range(400):
            d = image(1000 + k, numpy.full((8, 8), values[k], numpy.uint8), FrameOfReferenceUID=FRAME, ImagePositionPatient=[0.0, 0.0, 2.0 * k * turn],
                      ImageOrientationPatient=[1.0, 0, 0, 0, 1.0, 0], PixelSpacing=[8.0, 8.0], SliceThickness="2", InstanceNumber=k + 1)
            d.SeriesInstanceUID = series
            d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "%s.%d" % (series, k)
            file = io.BytesIO()
            d.save_as(file, write_like_original=False)
            parts.append(file.getvalue())
        body = b"".join(b"--line\r\nContent-Type: application/dicom\r\n\r\n" + part + b"\r\n" for part in parts) + b"--line--\r\n"
        urllib.request.urlopen(urllib.request.Request(URL + "/dicom-web/studies", data=body, headers={
            "Content-Type": 'multipart/related; type="application/dicom"; boundary=line', "Accept": "application/dicom+json"})).read()
        shown_on = slice_of(492 + turn, "2.25.%d" % (99131 + turn), BELOW, (0, 0, 554.7 * turn), 1)
        d = blending(496 + turn, [part(1, shown_on.SeriesInstanceUID, geometry=True), part(2, series)], [step("EQUAL", 2)])
        stored(d)
        found = png.read_png(answer(d, shown_on)[1]).astype(int)
        check("the nearest of 400", abs(found[20, 20] - values[277]).max() <= 1, "%s, not %d" % (found[20, 20], values[277]))


steps()
enhanced()
registrations()
bounded()
refused()
elsewhere()
many()
sys.exit(failed())
