#!/usr/bin/env python3
# Angiography: masks of images and of presentation states of XA, what is recommended of ranges of frames, shutters of groups
# of frames; each pixel against the same arithmetic here. SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import subprocess
import sys
import urllib.parse

import numpy
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png
from made import URL, check, failed, get, image, items, picture, state, stored

ROWS, COLUMNS, FRAMES = 40, 48, 8
XA, XA_STATE, VARIABLE = "1.2.840.10008.5.1.4.1.1.12.1", "1.2.840.10008.5.1.4.1.1.11.5", "1.2.840.10008.5.1.4.1.1.11.12"
WINDOW = dict(WindowCenter="10", WindowWidth="900", VOILUTFunction="LINEAR_EXACT")


def run():
    """Bones that are in all frames, and a vessel that fills from frame 3 on and moves a little."""
    y, x = numpy.mgrid[0:ROWS, 0:COLUMNS]
    bones = 2000 + 600 * numpy.sin(x / 5.0) + 300 * numpy.cos(y / 3.0)
    noise = numpy.random.default_rng(12).integers(-40, 41, (FRAMES, ROWS, COLUMNS))
    frames = numpy.stack([bones - (f >= 2) * 70 * f * (abs(x - 20 - y / 4 - f) < 3) for f in range(FRAMES)]) + noise
    return frames.astype(numpy.uint16)


VALUES = run()


def of_class(d, uid):
    d.SOPClassUID = d.file_meta.MediaStorageSOPClassUID = uid
    return d


def angio(number, values=VALUES, relation="LOG", **more):
    d = of_class(image(number, values, NumberOfFrames=len(values), Modality="XA", PixelIntensityRelationship=relation, **more), XA)
    d.SeriesInstanceUID = "2.25.9001"
    d.BitsStored, d.HighBit = 12, 11
    return d


def saved(number, target, masks=(), displays=None, window=WINDOW, **more):
    """A state of XA: masks as items, displays of ranges of frames."""
    d = of_class(state(number, target, **more), XA_STATE)
    if masks:
        d.MaskSubtractionSequence = Sequence(list(masks))
    if displays:
        named = items(ReferencedSOPClassUID=target.SOPClassUID, ReferencedSOPInstanceUID=target.SOPInstanceUID)
        other = items(ReferencedSOPClassUID=XA, ReferencedSOPInstanceUID="2.25.1")
        wrong = items(StartTrim=1, StopTrim=FRAMES, RecommendedViewingMode="NAT", DisplayFilterPercentage=100.0, SkipFrameRangeFlag="DISPLAY")
        d.MultiFramePresentationSequence = Sequence([
            items(ReferencedImageSequence=Sequence([other]), FrameDisplaySequence=Sequence([wrong])),
            items(ReferencedImageSequence=Sequence([named]), FrameDisplaySequence=Sequence(list(displays)))])
    if window:
        d.SoftcopyVOILUTSequence = Sequence([items(**window)])
    stored(d)
    return d


def answer(d, target, frame, **parameters):
    query = {"requestType": "WADO", "studyUID": "2.25.9000", "seriesUID": "2.25.9001", "objectUID": target.SOPInstanceUID,
             "frameNumber": frame, "contentType": "image/png"}
    if d is not None:
        query.update(presentationSeriesUID=d.SeriesInstanceUID, presentationUID=d.SOPInstanceUID)
    if parameters:
        query["parameters"] = json.dumps(parameters)
    return get(URL + "/wado?" + urllib.parse.urlencode(query))


def seen(d, target, frame, **parameters):
    status, body = answer(d, target, frame, **parameters)
    assert status == 200, (status, body[:300])
    return png.read_png(body).astype(int)[:, :, 0]


def windowed(values, centre=10.0, width=900.0):
    return numpy.clip((values - centre) / width + 0.5, 0, 1) * 255


def near(what, found, expected, most=0.51):
    off = abs(found - expected)
    check(what, found.shape == expected.shape and off.max() <= most, "differs by %s at %s" % (off.max(), numpy.argwhere(off > most)[:3].tolist()))


def frame(*numbers):
    return VALUES[numpy.array(numbers) - 1].astype(float).mean(axis=0)


def moved(plane, down, left):
    """Lower rows for a positive first number, columns to the left for a positive second one (PS3.3 C.7.6.10.1.2)."""
    y, x = numpy.mgrid[0:ROWS, 0:COLUMNS].astype(float)
    y, x = numpy.clip(y - down, 0, ROWS - 1), numpy.clip(x + left, 0, COLUMNS - 1)
    y0, x0 = numpy.floor(y).astype(int), numpy.floor(x).astype(int)
    y1, x1, ty, tx = numpy.minimum(y0 + 1, ROWS - 1), numpy.minimum(x0 + 1, COLUMNS - 1), y - y0, x - x0
    top, low = plane[y0, x0] * (1 - tx) + plane[y0, x1] * tx, plane[y1, x0] * (1 - tx) + plane[y1, x1] * tx
    return top * (1 - ty) + low * ty


def average(numbers, ranges=None, **more):
    d = items(MaskOperation="AVG_SUB", MaskFrameNumbers=numbers, **more)
    if ranges:
        d.ApplicableFrameRange = ranges
    return d


TARGET = angio(300)
stored(TARGET)


def masks():
    other = items(MaskOperation="AVG_SUB", MaskFrameNumbers=[8],
                  ReferencedImageSequence=Sequence([items(ReferencedSOPClassUID=XA, ReferencedSOPInstanceUID="2.25.1")]))
    d = saved(301, TARGET, [other, average([1, 2], [3, 4]), items(MaskOperation="TID", TIDOffset=2, ApplicableFrameRange=[5, 5]),
                            items(MaskOperation="REV_TID", TIDOffset=1, ApplicableFrameRange=[6, 6, 8, 8])])
    near("the mean of two masks", seen(d, TARGET, 3), windowed(frame(3) - frame(1, 2)))
    near("in all of its range", seen(d, TARGET, 4), windowed(frame(4) - frame(1, 2)))
    near("two frames before", seen(d, TARGET, 5), windowed(frame(5) - frame(3)))
    near("backwards, the first of the ranges", seen(d, TARGET, 6), windowed(frame(6) - frame(5)))
    near("the second: two frames further back", seen(d, TARGET, 8), windowed(frame(8) - frame(5)))
    near("in no range: as it was stored", seen(d, TARGET, 2), windowed(frame(2)))
    near("not, if the caller says so", seen(d, TARGET, 3, mask=False), windowed(frame(3)))
    near("smaller", seen(d, TARGET, 3, depth=8).mean(), windowed(frame(3) - frame(1, 2)).mean(), 0.3)
    d = saved(302, TARGET, [average([1], ContrastFrameAveraging=3)])
    near("three contrast frames", seen(d, TARGET, 5), windowed(frame(5, 6, 7) - frame(1)))
    near("the last that has three", seen(d, TARGET, 6), windowed(frame(6, 7, 8) - frame(1)))
    near("behind it none", seen(d, TARGET, 7), windowed(frame(7)))
    d = saved(303, TARGET, [items(MaskOperation="TID", TIDOffset=3)])
    near("an interval over all frames", seen(d, TARGET, 4), windowed(frame(4) - frame(1)))
    near("which the first ones have not", seen(d, TARGET, 3), windowed(frame(3)))
    d = saved(390, TARGET, [items(MaskOperation="TID", TIDOffset=3), average([1, 2])])
    near("an item that is not for the frame leaves nothing in the next", seen(d, TARGET, 3), windowed(frame(3) - frame(1, 2)))
    d = saved(391, TARGET, [items(MaskOperation="TID", TIDOffset=3), average([1, 2] * 32)])
    near("nor where all 64 places are taken", seen(d, TARGET, 3), windowed(frame(3) - frame(1, 2)))
    gsps = of_class(state(304, TARGET, MaskSubtractionSequence=Sequence([average([2])]), RecommendedViewingMode="SUB",
                          SoftcopyVOILUTSequence=Sequence([items(**WINDOW)])), "1.2.840.10008.5.1.4.1.1.11.1")
    stored(gsps)
    near("a greyscale state's mask", seen(gsps, TARGET, 6), windowed(frame(6) - frame(2)))
    gsps.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber = [3, 4]
    gsps.SOPInstanceUID = gsps.file_meta.MediaStorageSOPInstanceUID = "2.25.91308"
    stored(gsps)
    near("of the frames it refers to", seen(gsps, TARGET, 4), windowed(frame(4) - frame(2)))
    near("and of no others", seen(gsps, TARGET, 6), windowed(frame(6)))
    bare = saved(305, TARGET, [average([1])], window=None)
    off = frame(5) - frame(1)
    near("without a window as far as it goes", seen(bare, TARGET, 5), (off - off.min()) / (off.max() - off.min()) * 255)
    table = items(LUTDescriptor=[601, -300, 8], LUTData=bytes(numpy.clip(numpy.arange(601) // 2, 0, 255).astype(numpy.uint8)) + b"\0")
    looked = saved(306, TARGET, [average([1])], window=None)
    looked["SoftcopyVOILUTSequence"] = state(1, TARGET, SoftcopyVOILUTSequence=Sequence([items(VOILUTSequence=Sequence([table]))]))["SoftcopyVOILUTSequence"]
    looked.SoftcopyVOILUTSequence[0].VOILUTSequence[0]["LUTDescriptor"].VR = "SS"
    looked.SoftcopyVOILUTSequence[0].VOILUTSequence[0]["LUTData"].VR = "OW"
    looked.SOPInstanceUID = looked.file_meta.MediaStorageSOPInstanceUID = "2.25.91307"
    stored(looked)
    near("a VOI LUT that begins below nothing", seen(looked, TARGET, 5), numpy.clip((off + 300) // 2, 0, 255), 0)


def shifts():
    d = saved(310, TARGET, [average([1], MaskSubPixelShift=[1.5, -2.25])])
    near("a mask moved by parts of pixels", seen(d, TARGET, 5), windowed(frame(5) - moved(frame(1), 1.5, -2.25)))
    corners = [5, 10, 5, 30, 20, 30, 20, 10]
    regions = [items(MaskSubPixelShift=[0.0, 1.0]), items(MaskSubPixelShift=[-2.0, 0.5], VerticesOfTheRegion=corners),
               items(MaskSubPixelShift=[3.0, 0.0], VerticesOfTheRegion=[1, 1, 1, 21, 21, 1])]
    shifted = average([1], PixelShiftSequence=Sequence([
        items(PixelShiftFrameRange=[1, 4], RegionPixelShiftSequence=Sequence(regions[2:])),
        items(PixelShiftFrameRange=[5, 8], RegionPixelShiftSequence=Sequence(regions))]))
    d = saved(311, TARGET, [shifted])
    y, x = numpy.mgrid[1:ROWS + 1, 1:COLUMNS + 1]
    rectangle, triangle = (y >= 5) & (y <= 20) & (x >= 10) & (x <= 30), x + y <= 22
    mask = numpy.where(triangle, moved(frame(1), 3, 0), numpy.where(rectangle, moved(frame(1), -2, 0.5), moved(frame(1), 0, 1)))
    near("regions, of which the last counts", seen(d, TARGET, 5), windowed(frame(5) - mask))
    near("other frames have others", seen(d, TARGET, 4), windowed(frame(4) - numpy.where(triangle, moved(frame(1), 3, 0), frame(1))))


def displays():
    shown = lambda first, last, mode, **more: items(StartTrim=first, StopTrim=last, SkipFrameRangeFlag="DISPLAY", RecommendedViewingMode=mode,
                                                    RecommendedDisplayFrameRateInFloat=3.0, **more)
    d = saved(320, TARGET, [average([1])], [
        shown(1, 2, "NAT", DisplayFilterPercentage=0.0), shown(3, 3, "SUB", DisplayFilterPercentage=0.0, MaskVisibilityPercentage=0.0),
        shown(4, 5, "SUB", DisplayFilterPercentage=0.0, MaskVisibilityPercentage=25.0),
        shown(6, 8, "SUB", DisplayFilterPercentage=60.0, MaskVisibilityPercentage=0.0)])
    near("a range that is not subtracted", seen(d, TARGET, 2), windowed(frame(2)))
    near("one that is", seen(d, TARGET, 3), windowed(frame(3) - frame(1)))
    near("a mask that is seen in part", seen(d, TARGET, 4), windowed(frame(4) - 0.75 * frame(1)))
    flat = numpy.floor(windowed(frame(6) - frame(1)) + 0.5)
    weights = numpy.exp(-numpy.arange(-6, 7) ** 2 / 8.0)
    blur = lambda line: numpy.convolve(numpy.pad(line, 6, "edge"), weights / weights.sum(), "valid")
    soft = numpy.apply_along_axis(blur, 0, numpy.apply_along_axis(blur, 1, flat))
    near("edges", seen(d, TARGET, 6), numpy.clip(numpy.floor(flat + 0.6 * (flat - soft) + 0.5), 0, 255), 1)


def curves():
    """Subtraction is of logarithms: by the state's table, by the image's, or our own."""
    table = numpy.round(4000 * numpy.log1p(numpy.arange(4096)) / numpy.log(4096)).astype("<u2")
    luts = [items(LUTFrameRange=ranges, LUTDescriptor=[4096, 0, 16], LUTData=(table // part).astype("<u2").tobytes())
            for ranges, part in (([1, 4], 1), ([5, 8], 2))]
    for item in luts:
        item["LUTDescriptor"].VR, item["LUTData"].VR = "US", "OW"
    logs = table[VALUES].astype(float)
    linear = angio(330, relation="LIN")
    stored(linear)
    d = saved(331, linear, [average([1], PixelIntensityRelationshipLUTSequence=Sequence(luts))])
    near("a table to logarithms", seen(d, linear, 4), windowed(logs[3] - logs[0]))
    near("another for other frames", seen(d, linear, 6), windowed(table[VALUES[5]] // 2 - logs[0]))
    ours = lambda k: 4095 * numpy.log1p(VALUES[k - 1]) / numpy.log(4096)
    d = saved(332, linear, [average([1])])
    near("our own", seen(d, linear, 5), windowed(ours(5) - ours(1)))
    d = saved(333, linear, [average([1])], RescaleSlope="0.5", RescaleIntercept="7", RescaleType="US")
    near("a state's own line", seen(d, linear, 5), windowed((frame(5) - frame(1)) / 2))
    modality = items(LUTDescriptor=[4096, 0, 16], LUTData=table.tobytes(), ModalityLUTType="US")
    modality["LUTDescriptor"].VR, modality["LUTData"].VR = "US", "OW"
    target = angio(334, ModalityLUTSequence=Sequence([modality]))
    stored(target)
    near("the image's Modality LUT does not count", seen(saved(335, target, [average([1])]), target, 5), windowed(frame(5) - frame(1)))


def alone():
    """An image's own mask, when somebody asks for it."""
    padded = VALUES.copy()
    padded[:, :3] = 0
    target = angio(340, padded, PixelPaddingValue=0, MaskSubtractionSequence=Sequence([average([1, 2], [3, 8], MaskSubPixelShift=[0.0, 1.0], SubtractionItemID=7)]),
                   RecommendedViewingMode="SUB", WindowCenter="2048", WindowWidth="4096", VOILUTFunction="LINEAR_EXACT")
    stored(target)
    values = padded.astype(float)
    native = windowed(values[4], 2048, 4096)
    native[:3] = 0
    near("it is drawn as it was stored", seen(None, target, 5), native)
    off = values[4] - moved(values[:2].mean(axis=0), 0, 1)
    spread = (off - off[3:].min()) / (off[3:].max() - off[3:].min()) * 255
    spread[:3] = 0
    near("subtracted, its padding black", seen(None, target, 5, mask=True), spread)
    native = windowed(values[0], 2048, 4096)
    native[:3] = 0
    near("a frame that its mask is not for", seen(None, target, 1, mask=True), native)
    status, body = answer(None, TARGET, 1, mask=True)
    check("an image without a mask", status == 501 and b"(0028,6100)" in body, "%s %s" % (status, body[:200]))
    target.PerFrameFunctionalGroupsSequence = Sequence([items(FramePixelShiftSequence=Sequence([
        items(SubtractionItemID=6, MaskSubPixelShift=[9.0, 9.0]), items(SubtractionItemID=7, MaskSubPixelShift=[0.5 * f, 0.0])])) for f in range(FRAMES)])
    target.SOPInstanceUID = target.file_meta.MediaStorageSOPInstanceUID = "2.25.91341"
    stored(target)
    off = values[4] - moved(values[:2].mean(axis=0), 2, 0)
    spread = numpy.clip((off - off[3:].min()) / (off[3:].max() - off[3:].min()) * 255, 0, 255)
    spread[:3] = 0
    near("by the frame's own shift", seen(None, target, 5, mask=True), spread)


def shutters():
    part = lambda numbers, **more: items(ReferencedImageSequence=Sequence([items(
        ReferencedSOPClassUID=XA, ReferencedSOPInstanceUID=TARGET.SOPInstanceUID, ReferencedFrameNumber=numbers)]), **more)
    d = saved(350, TARGET, FrameDisplayShutterSequence=Sequence([
        part([1, 2], ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=5, ShutterRightVerticalEdge=40, ShutterUpperHorizontalEdge=3, ShutterLowerHorizontalEdge=30),
        part([3], ShutterShape="CIRCULAR", CenterOfCircularShutter=[20, 24], RadiusOfCircularShutter=12)]), ShutterPresentationValue=65535)
    y, x = numpy.mgrid[1:ROWS + 1, 1:COLUMNS + 1]
    inside = (x >= 5) & (x <= 40) & (y >= 3) & (y <= 30)
    near("a shutter of two frames", seen(d, TARGET, 2), numpy.where(inside, windowed(frame(2)), 255))
    round_one = numpy.hypot(y - 20, x - 24) <= 12
    near("of another", seen(d, TARGET, 3), numpy.where(round_one, windowed(frame(3)), 255))
    near("of none", seen(d, TARGET, 4), windowed(frame(4)))
    target = angio(351, WindowCenter="10", WindowWidth="900", VOILUTFunction="LINEAR_EXACT", PerFrameFunctionalGroupsSequence=Sequence([
        items(FrameDisplayShutterSequence=Sequence([items(ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=1 + f, ShutterRightVerticalEdge=COLUMNS,
                                                          ShutterUpperHorizontalEdge=1, ShutterLowerHorizontalEdge=ROWS)])) for f in range(FRAMES)]))
    stored(target)
    near("of an enhanced image's frame", seen(None, target, 6), numpy.where(x >= 6, windowed(frame(6)), 0))


def refused():
    for number, item, status, words in (
            (360, average([1, 9]), 400, b"(0028,6110)"), (361, items(MaskOperation="AVG_SUB"), 400, b"(0028,6110)"),
            (362, items(MaskOperation="HYBRID"), 501, b"(0028,6101)"),
            (363, items(MaskOperation="TID", TIDOffset=9, ApplicableFrameRange=[1, 8]), 400, b"(0028,6120)"),
            (364, average([1], PixelShiftSequence=Sequence([items(PixelShiftFrameRange=[1, 8], RegionPixelShiftSequence=Sequence([
                items(MaskSubPixelShift=[1.0, 1.0], VerticesOfTheRegion=[1, 1])]))])), 501, b"(0028,9503)")):
        found, body = answer(saved(number, TARGET, [item]), TARGET, 5)
        check("refused, and said which attribute: %s" % words.decode(), found == status and words in body, "%s %s" % (found, body[:300]))


def films():
    """Ranges at rates of their own, one that is skipped, and back again."""
    if shutil.which("ffmpeg") is None:
        print("no ffmpeg: films are not looked at")
        return
    shown = lambda first, last, rate, flag="DISPLAY": items(StartTrim=first, StopTrim=last, SkipFrameRangeFlag=flag, RecommendedViewingMode="SUB",
                                                           RecommendedDisplayFrameRateInFloat=rate, DisplayFilterPercentage=0.0, MaskVisibilityPercentage=0.0)
    d = saved(395, TARGET, [average([1])], [shown(1, 2, 30.0, "SKIP"), shown(3, 5, 10.0), shown(6, 8, 5.0)])
    pictures = [seen(d, TARGET, f) for f in range(1, FRAMES + 1)]
    url = URL + "/dicom-web/studies/%s/series/%s/instances/%s" % (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID)

    def played(way):
        status, body = get(url + "/rendered", "video/mp4")
        check("a film" + way, status == 200, "%s %s" % (status, body[:200]))
        raw = subprocess.run(["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"], input=body, stdout=subprocess.PIPE).stdout
        frames = numpy.frombuffer(raw, numpy.uint8).reshape(-1, ROWS, COLUMNS).astype(int)
        return [1 + int(numpy.argmin([abs(f - p).mean() for p in pictures])) for f in frames]
    found = played("")
    check("its frames", found == [3, 4, 5, 6, 6, 7, 7, 8, 8], found)
    d.MultiFramePresentationSequence[1].PreferredPlaybackSequencing = 1
    d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = "2.25.91396"
    stored(d)
    url = url.replace("2.25.91395", "2.25.91396")
    found = played(", to and fro")
    check("and back", found == [3, 4, 5, 6, 6, 7, 7, 8, 8, 7, 7, 6, 6, 5, 4], found)
    noise = angio(397, numpy.random.default_rng(3).integers(0, 4096, (2, 512, 512)).astype(numpy.uint16))
    stored(noise)
    d = saved(398, noise, [], [shown(1, 1, 0.1), shown(2, 2, 200.0)], window=None)
    status, body = get(URL + "/dicom-web/studies/%s/series/%s/instances/%s/rendered" % (d.StudyInstanceUID, d.SeriesInstanceUID, d.SOPInstanceUID), "video/mp4")
    check("a film of too much", status == 501 and b"256 MiB" in body, "%s %s" % (status, body[:200]))


def variable():
    """A modality's transformation for each image (PS3.3 A.33.8)."""
    values = numpy.arange(256, dtype=numpy.uint16).reshape(16, 16) * 16
    first, second = image(370, values, RescaleSlope="3", RescaleIntercept="0"), image(371, values)
    for d in (first, second):
        stored(d)
    d = of_class(state(372, first, SoftcopyVOILUTSequence=Sequence([items(WindowCenter="2048", WindowWidth="4096", VOILUTFunction="LINEAR_EXACT")])), VARIABLE)
    part = lambda target, slope, intercept: items(ReferencedImageSequence=Sequence([items(
        ReferencedSOPClassUID=target.SOPClassUID, ReferencedSOPInstanceUID=target.SOPInstanceUID)]), RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
    d.add_new(0x00283001, "SQ", Sequence([part(second, "2", "-500"), part(first, "0.5", "100")]))
    stored(d)
    near("the first image's", seen(d, first, 1), windowed(values * 0.5 + 100, 2048, 4096))
    near("the second's", seen(d, second, 1), windowed(values * 2.0 - 500, 2048, 4096))
    d = of_class(state(373, TARGET, MaskSubtractionSequence=Sequence([average([1])]), SoftcopyVOILUTSequence=Sequence([items(**WINDOW)])), VARIABLE)
    d.add_new(0x00283001, "SQ", Sequence([part(second, "9", "0"), part(TARGET, "0.5", "100")]))
    stored(d)
    near("before a mask is subtracted", seen(d, TARGET, 5), windowed((frame(5) - frame(1)) / 2))


masks()
shifts()
displays()
curves()
alone()
shutters()
refused()
films()
variable()
sys.exit(failed())
