#!/usr/bin/env python3
"""Objects for test_transcode.sh and test_compress.sh, and what they must be when they arrive: transcode.py make DIR [PATIENT STUDY] |
check DIR RECEIVED SYNTAX.

Foreign decoders read what our encoders wrote; pixels, overlays and private elements must be those that were stored.
SPDX-License-Identifier: Apache-2.0"""
import glob
import os
import subprocess
import sys

import numpy
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

STUDY = "1.2.999.70"
MULTI_WORD = "1.2.840.10008.5.1.4.1.1.7.3"
KINDS = {  # name: class, rows, columns, frames, samples, allocated, stored, signed
    "ct": ("1.2.840.10008.5.1.4.1.1.2", 63, 65, 1, 1, 16, 12, 1),
    "deep": ("1.2.840.10008.5.1.4.1.1.7", 40, 33, 1, 1, 16, 12, 0),  # something lives above the stored bits
    "rgb": ("1.2.840.10008.5.1.4.1.1.7", 31, 33, 1, 3, 8, 8, 0),
    "multi": (MULTI_WORD, 17, 19, 5, 1, 16, 16, 0),
}
TOOLS = {"1.2.840.10008.1.2.4.80": ["dcmdjpls", "gdcmconv -w"], "1.2.840.10008.1.2.4.70": ["dcmdjpeg", "gdcmconv -w"],
         "1.2.840.10008.1.2.4.90": ["gdcmconv -w"], "1.2.840.10008.1.2.5": ["dcmdrle", "gdcmconv -w"]}


NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"}


def picture(shape, stored, signed, rough):
    """Smooth with a little noise, so that every codec has something to do."""
    random = numpy.random.default_rng(7)
    y, x = numpy.mgrid[0:shape[1], 0:shape[2]]
    planes = [(numpy.sin(y / 5 + k) + numpy.cos(x / 7 + f)) * 0.25 + 0.5 for f in range(shape[0]) for k in range(shape[3])]
    values = numpy.stack(planes).reshape(shape[0], shape[3], shape[1], shape[2]).transpose(0, 2, 3, 1)
    values = numpy.clip(values * (1 << stored) + random.integers(-rough, rough + 1, values.shape), 0, (1 << stored) - 1)
    return values.astype(numpy.int64) - ((1 << (stored - 1)) if signed else 0)


def dataset(name, number):
    sop_class, rows, columns, frames, samples, allocated, stored, signed = KINDS[name]
    ds = Dataset()
    ds.ImageType, ds.SOPClassUID, ds.SOPInstanceUID = ["ORIGINAL", "PRIMARY"], sop_class, f"{STUDY}.1.{number}"
    ds.PatientName, ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = "TRANS^CODE", "TR-1", STUDY, STUDY + ".1"
    ds.Modality, ds.StudyDate, ds.StudyTime, ds.StudyID, ds.AccessionNumber = "OT", "20240101", "101010", "S", "A"
    ds.SamplesPerPixel, ds.Rows, ds.Columns = samples, rows, columns
    ds.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        ds.PlanarConfiguration = 1
    if frames > 1:
        ds.NumberOfFrames = frames
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = allocated, stored, stored - 1, signed
    block = ds.private_block(0x0019, "HILUM TEST", create=True)
    block.add_new(0x01, "OB", bytes(range(100)))
    ds.add_new(0x60000010, "US", rows)
    ds.add_new(0x60003000, "OW", bytes(i * 7 % 256 for i in range(rows * columns // 16 * 2 + 2)))
    values = picture((frames, rows, columns, samples), stored, signed, 3) & ((1 << allocated) - 1)
    if name == "deep":
        values[:, :9, 5:20] |= 0x8000
    if samples == 3:
        values = values.transpose(0, 3, 1, 2)
    ds.PixelData = values.astype(f"<u{allocated // 8}").tobytes()
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    ds["PixelData"].VR = "OW" if allocated > 8 else "OB"
    return ds


def save(ds, path, syntax):
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.is_little_endian, ds.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    ds.save_as(path, write_like_original=False)


def make(out, patient=None, study=None):
    os.makedirs(out)
    if patient:
        for number, name in enumerate(KINDS, 1):
            ds = dataset(name, number)
            ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID = patient, study, study + ".1"
            ds.SOPInstanceUID = f"{study}.1.{number}"
            if name == "multi":
                ds.Modality, ds.SeriesInstanceUID = "MR", study + ".2"
            save(ds, f"{out}/{name}.dcm", ImplicitVRLittleEndian if name == "ct" else ExplicitVRLittleEndian)
        return
    for number, name in enumerate(KINDS, 1):
        save(dataset(name, number), f"{out}/{name}.dcm", ImplicitVRLittleEndian if name == "ct" else ExplicitVRLittleEndian)
    broken = dataset("multi", 50)
    raw, size = broken.PixelData, 17 * 19 * 2
    broken.SOPInstanceUID, broken.StudyInstanceUID, broken.SeriesInstanceUID = STUDY + "9.1.1", STUDY + "9", STUDY + "9.1"
    from pydicom.pixel_data_handlers.rle_handler import rle_encode_frame
    frames = [rle_encode_frame(numpy.frombuffer(raw[i * size:(i + 1) * size], "<u2").reshape(17, 19)) for i in range(5)]
    frames[3] = frames[3][:70]  # two segments are promised, half of one is there
    broken.PixelData = encapsulate(frames)
    broken["PixelData"].VR, broken["PixelData"].is_undefined_length = "OB", True
    save(broken, f"{out}/broken.dcm", RLELossless)
    sound = dataset("multi", 51)
    sound.SOPInstanceUID, sound.StudyInstanceUID, sound.SeriesInstanceUID = STUDY + "9.1.2", STUDY + "9", STUDY + "9.1"
    save(sound, f"{out}/sound.dcm", ExplicitVRLittleEndian)


def values_of(ds):
    """Samples pixel by pixel, whatever the planar configuration."""
    shape = [int(getattr(ds, "NumberOfFrames", 1) or 1), ds.Rows, ds.Columns, ds.SamplesPerPixel]
    size = int(numpy.prod(shape)) * ds.BitsAllocated // 8
    raw = numpy.frombuffer(ds.PixelData[:size], f"<u{ds.BitsAllocated // 8}")
    if ds.SamplesPerPixel > 1 and ds.PlanarConfiguration == 1:
        return raw.reshape(shape[0], shape[3], shape[1], shape[2]).transpose(0, 2, 3, 1)
    return raw.reshape(shape)


def decoded(path, tool, work):
    out = f"{work}.out"
    if subprocess.run([*tool.split(), path, out], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode:
        return None
    found = pydicom.dcmread(out)
    os.unlink(out)
    return found


def same_rest(a, b):
    """Elements but those about pixels that an encoding changes."""
    changed = {0x7FE00010, 0x00280006, 0x00280004}
    return [e.tag for e in a if e.tag not in changed and not (e.tag in b and b[e.tag].value == e.value)] + \
           [e.tag for e in b if e.tag not in a and e.tag not in changed]


def wrong_with(name, sent, path, syntax):
    got = pydicom.dcmread(path)
    if got.file_meta.TransferSyntaxUID != syntax:
        return f"arrived as {got.file_meta.TransferSyntaxUID.name}"
    if same_rest(sent, got):
        return f"elements differ: {same_rest(sent, got)}"
    tag = got["PixelData"]
    if syntax in NATIVE:
        return None if numpy.array_equal(values_of(got), values_of(sent)) else "other pixels"
    if not tag.is_undefined_length or tag.VR != "OB":
        return f"pixel data of VR {tag.VR}, not in fragments"
    frames = int(getattr(sent, "NumberOfFrames", 1) or 1)
    if int.from_bytes(tag.value[4:8], "little") != 4 * frames:
        return "no basic offset table"
    verdicts = []
    # What others do with the bits above is theirs: JPEG-LS has no sign that they could extend.
    bits = sent.BitsStored if name == "deep" or sent.PixelRepresentation else sent.BitsAllocated
    for tool in TOOLS[syntax]:
        theirs = decoded(path, tool, path)
        mask = (1 << bits) - 1
        if theirs is None:
            verdicts.append(f"{tool} cannot read it")
        elif not numpy.array_equal(values_of(theirs) & mask, values_of(sent) & mask):
            verdicts.append(f"{tool} finds other pixels")
        else:
            return None
    return "; ".join(verdicts)


def check(made, received, syntax):
    failed = 0
    arrived = {}
    for path in glob.glob(f"{received}/*"):
        arrived.setdefault(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID, []).append(path)
    for name in KINDS:
        sent = pydicom.dcmread(f"{made}/{name}.dcm")
        paths = arrived.get(sent.SOPInstanceUID, [])
        problem = wrong_with(name, sent, paths[0], syntax) if len(paths) == 1 else f"{len(paths)} files arrived"
        if problem:
            failed += 1
            print(f"{name} in {syntax}: {problem}")
    sys.exit(failed > 0)


def lossy(made, received):
    """What arrived was derived: said in every place that PS3.3 C.7.6.1.1.5 names, and near what was sent."""
    sent, got = pydicom.dcmread(f"{made}/rgb.dcm"), pydicom.dcmread(glob.glob(f"{received}/*")[0])
    assert got.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50", got.file_meta.TransferSyntaxUID
    assert got.SOPInstanceUID != sent.SOPInstanceUID and got.file_meta.MediaStorageSOPInstanceUID == got.SOPInstanceUID
    assert got.ImageType[0] == "DERIVED" and got.LossyImageCompression == "01" and got.LossyImageCompressionMethod == "ISO_10918_1"
    assert got.SourceImageSequence[0].ReferencedSOPInstanceUID == sent.SOPInstanceUID
    assert got.DerivationCodeSequence[0].CodeValue == "113040" and "Lossy" in got.DerivationDescription
    assert got.PhotometricInterpretation.startswith("YBR_FULL"), got.PhotometricInterpretation
    theirs = decoded(glob.glob(f"{received}/*")[0], "dcmdjpeg", f"{received}")
    error = (values_of(theirs).astype(float) - values_of(sent)) ** 2
    psnr = 10 * numpy.log10(255 ** 2 / error.mean())
    assert psnr > 30, psnr


if __name__ == "__main__":
    if sys.argv[1] == "make":
        make(*sys.argv[2:])
    elif sys.argv[1] == "check":
        check(*sys.argv[2:5])
    else:
        lossy(*sys.argv[2:4])
