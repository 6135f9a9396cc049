#!/usr/bin/env python3
# Frames by WADO-RS against what is known of them. SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png
from made import DATA, WORK, check, failed, get, put, stored

OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"


def to_rgb(body, meta):
    """A native frame as a client sees it that has metadata to go by, and nothing else."""
    value = lambda tag, other=None: meta.get(tag, {}).get("Value", [other])[0]
    rows, columns, photometric = value("00280010"), value("00280011"), value("00280004")
    data = numpy.frombuffer(body, dtype=numpy.uint8).astype(float)
    if photometric == "YBR_FULL_422":
        pairs = data.reshape(rows * columns // 2, 4)
        ybr = numpy.empty((rows * columns, 3))
        ybr[0::2, 0], ybr[1::2, 0] = pairs[:, 0], pairs[:, 1]
        for c in (1, 2):
            ybr[0::2, c] = ybr[1::2, c] = pairs[:, c + 1]
    elif value("00280006", 0) == 1:
        ybr = data.reshape(3, rows * columns).T
    else:
        ybr = data.reshape(rows * columns, 3)
    if photometric.startswith("YBR_FULL"):
        y, b, r = ybr[:, 0], ybr[:, 1] - 128, ybr[:, 2] - 128
        ybr = numpy.stack([y + 1.402 * r, y - 0.344136 * b - 0.714136 * r, y + 1.772 * b], 1)
    return numpy.clip(ybr + 0.5, 0, 255).astype(int).reshape(rows, columns, 3)


# Compressed colours; the most a sample may differ from the rendered picture (halved colours are halved once more).
COLOURS = [("colour_sc/SC_rgb_dcmtk_+eb+cr.dcm", 0), ("colour_sc/SC_rgb_dcmtk_+eb+cy+np.dcm", 2),
           ("colour_sc/SC_rgb_dcmtk_+eb+cy+s2.dcm", 2), ("colour_sc/SC_rgb_jpeg_gdcm.dcm", 2), ("colour_sc/SC_rgb_rle.dcm", 0),
           ("us/US-YBR_FULL_422-EVRLE.dcm", 2), ("us/YBR_FULL-RLE.dcm", 2), ("colour_sc/GDCMJ2K_TextGBR.dcm", 0),
           ("colour_sc/SC_rgb_gdcm_KY.dcm", 2)]


def colours():
    for name, most in COLOURS:
        path = os.path.join(DATA, "dicom", name)
        if not os.path.exists(path):
            continue
        with open(path, "rb") as file:
            url = put(file.read())
        status, body = get(url + "/frames/1", OCTETS)
        meta = json.loads(get(url + "/metadata", "application/dicom+json")[1])[0]
        if status != 200:
            check(name, False, (status, body[:200]))
            continue
        shown = png.read_png(get(url + "/frames/1/rendered", "image/png")[1]).astype(int)
        difference = abs(to_rgb(body, meta) - shown).max()
        check(name, difference <= most, difference)


def base(number, rows, columns, frames, bits=8):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = "2.25.81%d" % number
    d.is_little_endian, d.is_implicit_VR = True, False
    d.StudyInstanceUID, d.SeriesInstanceUID, d.PatientID, d.Modality = "2.25.8000", "2.25.8001", "FRAMES", "OT"
    d.Rows, d.Columns, d.NumberOfFrames, d.SamplesPerPixel = rows, columns, frames, 1
    d.BitsAllocated = d.BitsStored = bits
    d.HighBit, d.PixelRepresentation, d.PhotometricInterpretation = bits - 1, 0, "MONOCHROME2"
    return d


def bits():
    flat = numpy.random.default_rng(3).integers(0, 2, (4, 5, 7), dtype=numpy.uint8)
    d = base(1, 5, 7, 4, 1)
    packed = numpy.packbits(flat.ravel(), bitorder="little").tobytes()
    d.PixelData = packed + b"\0" * (len(packed) % 2)
    d["PixelData"].VR = "OB"
    url = stored(d)
    for i in range(4):
        status, body = get(url + "/frames/%d" % (i + 1), OCTETS)
        check("frame %d of bits" % (i + 1), status == 200 and body == numpy.packbits(flat[i].ravel(), bitorder="little").tobytes(),
              (status, body))


def no_table():
    """Frames of several fragments, and nothing that says where one begins but their streams."""
    frames = [bytes([1, 0, 0, 0, 64, 0, 0, 0]) + bytes(56) + bytes([7, *range(i, i + 8)]) * 4 for i in range(3)]  # RLE
    pieces = []
    for frame in frames:
        frame += b"\0" * (len(frame) % 2)
        pieces += [frame[:70], frame[70:]]
    d = base(2, 4, 8, 3)
    d.PixelData = encapsulate(pieces, has_bot=False)
    d["PixelData"].VR, d["PixelData"].is_undefined_length = "OB", True
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    url = stored(d)
    for i in (2, 0, 1):
        status, body = get(url + "/frames/%d" % (i + 1), OCTETS)
        check("frame %d without a table" % (i + 1), status == 200 and body == bytes(range(i, i + 8)) * 4, (status, body[:100]))
        status, body = get(url + "/frames/%d" % (i + 1), "image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5")
        check("and as it is stored", status == 200 and body.rstrip(b"\0") == frames[i].rstrip(b"\0"), (status, len(body)))


def beside_dcmtk():
    path = os.path.join(DATA, "dicom", "enhanced/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm")
    if not os.path.exists(path):
        return
    with open(path, "rb") as file:
        url = put(file.read())
    out = os.path.join(WORK, "peer.dcm")
    if subprocess.run(["gdcmconv", "--raw", path, out], capture_output=True).returncode != 0:
        return
    theirs = pydicom.dcmread(out).PixelData
    n = len(theirs) // 2
    for i in (1, 0):
        status, body = get(url + "/frames/%d" % (i + 1), OCTETS)
        check("frame %d beside GDCM" % (i + 1), status == 200 and body == theirs[i * n:(i + 1) * n], (status, len(body), n))


for test in (colours, bits, no_table, beside_dcmtk):
    test()
sys.exit(failed())
