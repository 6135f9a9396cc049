#!/usr/bin/env python3
"""Objects for test_jpegxl.sh, made with cjpeg and cjxl, and what they must be when they come back: jpegxl.py make DIR | pixels DIR RECEIVED |
jpeg DIR RECEIVED | kept FILE DIR | frame FILE DIR. SPDX-License-Identifier: Apache-2.0"""
import base64
import glob
import os
import subprocess
import sys
import zlib

import numpy
import pydicom
from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_pixel_data_frame

JXL, OF_JPEG, LOSSY, BASELINE = (f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112, 50))
STUDY, SIDE = "1.2.999.110", 200
for known in (JXL, OF_JPEG, LOSSY):  # pydicom 2 has not heard of them
    UID_dictionary.setdefault(known, ("JPEG XL", "Transfer Syntax", "", "", "JPEGXL"))
# Layers of one colour that are added up, 0 and 1 in turn, made with libjxl's encoder: 16 and 17 of them.
LAYERS = {16: "c-s5VRp=0Khl7KOi9v@^J91)E(;-`LhUcf&mT__g{4V#px4OTg{KCP4_6MFB=3g>}dSAQp-?}O<&ws2fId31!boUeg6sv5#H($B_awA{mi%Y`p=l>s#oMgb^#K{mqJp(;9e*DkOqGd3ZlOJUAs8dIsI_lI>r&7(StTb{e0CgRLIs",
          17: "c-s5VRp=0Khl7KOi9v@^J91)E(;-`LhUcf&mT__g{4V#px4OTg{KCP4_6MFB=3g>}dSAQp-?}O<&ws2fId31!boUeg6sv5#H($B_awA{mi%Y`p=l>s#oMgb^#K{mqJp(;9e*DkOqGd3ZlOJUAs8dIsI_lI>rw#$9vQpQn0756Ig#"}
# 400 of 2048 x 2048.
HEAVY = "c-pJD_4e|9?IVRU$3LF`8}R)v-?|^ndK(Szr0x2naksGhYZ|lIMvESEgOmMJ><=m&P7S}}DJG=ZoO5D{&y>r5xpz3q&9^&TTzmcX#h&}^Ldx8GXQmkOs5nXRz1;TiLj28DSN*u2eyFJ1AaQiE{MF9ie|wj{diwFtt;0XgJh+{6{nzP;Z|~HmpPskQ@2u?7^6vEcw%V<q9)5jWytnx0%T>E8F6M-6`@B+q-<b>%ueGx$*XI7+UtYZO-z}fk8l@$dE`NM>&u@z8Bk7B??B4C*zEgNS_CcTZJErnGh2lFN_w7C)TYiW2-Hyk41;_7J02$nk*6*Aipoq(s1H~}3>ajo+V>1aw$8G_rVtjUkbsW<!I3CLZlw=}cH(0A8R53og!8%%@it*YF(qSG4^}GNfyJw5iBmkU<RD3s$wlPIW@%Bh!1L_WK9D0@ul1e~Pi`Q<DR!Wjo{rqb7caQ9kiT{f`Rs;ZTgesx"


def boxed(stream):
    """In a container, as those are that a JPEG can be had back from."""
    box = lambda kind, content: (len(content) + 8).to_bytes(4, "big") + kind + content
    return b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"jxlc", stream)


def picture(samples, most, k):
    y, x = numpy.mgrid[0:SIDE, 0:SIDE]
    planes = [(numpy.sin((y + k) / 5 + s) + numpy.cos(x / 7 + s)) * 0.24 + 0.5 for s in range(samples)]
    noise = numpy.random.default_rng(k).integers(0, 3, (SIDE, SIDE, samples))
    return (numpy.stack(planes, axis=-1) * (most - 3)).astype(int) + noise


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout


def pnm(values, most, path):
    with open(path, "wb") as f:
        f.write(f"P{6 if values.shape[2] == 3 else 5}\n{SIDE} {SIDE}\n{most}\n".encode() + values.astype(">u2" if most > 255 else "u1").tobytes())


def coded(values, most, out, *options):
    pnm(values, most, f"{out}/in.pnm")
    run("cjxl", f"{out}/in.pnm", f"{out}/out.jxl", *options)
    with open(f"{out}/out.jxl", "rb") as f:
        return f.read()


def jpeg(values, out):
    pnm(values, 255, f"{out}/in.pnm")
    return run("cjpeg", "-quality", "85", "-sample", "2x1", f"{out}/in.pnm")


def save(out, name, number, syntax, streams, samples, bits, photometric, modality="OT", study=STUDY):
    ds = Dataset()
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.4" if samples == 3 else "1.2.840.10008.5.1.4.1.1.7.3" if bits > 8 else "1.2.840.10008.5.1.4.1.1.7.2"
    ds.SOPInstanceUID, ds.StudyInstanceUID, ds.SeriesInstanceUID = f"{study}.1.{number}", study, f"{study}.1"
    ds.PatientName, ds.PatientID, ds.Modality = "JPEG^XL", "XL", modality
    ds.SamplesPerPixel, ds.Rows, ds.Columns, ds.PhotometricInterpretation = samples, SIDE, SIDE, photometric
    if samples == 3:
        ds.PlanarConfiguration = 0
    ds.NumberOfFrames = len(streams)
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16 if bits > 8 else 8, bits, bits - 1, 0
    if syntax in (BASELINE, LOSSY):
        ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", "10"
    ds.PixelData = encapsulate(streams)
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.save_as(f"{out}/{name}.dcm", write_like_original=False)


def make(out):
    os.makedirs(out)
    grey, deep, rgb = picture(1, 255, 1), picture(1, 65535, 2), [picture(3, 255, k) for k in range(3)]
    save(out, "grey", 1, JXL, [coded(grey, 255, out, "-d", "0")], 1, 8, "MONOCHROME2")
    save(out, "deep", 2, JXL, [coded(deep, 65535, out, "-d", "0", "--container=1")], 1, 16, "MONOCHROME2")
    save(out, "rgb", 3, JXL, [coded(v, 255, out, "-d", "0") for v in rgb], 3, 8, "RGB")
    save(out, "lossy", 4, LOSSY, [coded(v, 255, out, "-d", "1") for v in rgb], 3, 8, "RGB")  # XYB
    save(out, "jpeg", 5, BASELINE, [jpeg(v, out) for v in rgb], 3, 8, "YBR_FULL_422", "US")
    for n, stream in LAYERS.items():
        save(out, f"layers{n}", n, JXL, [zlib.decompress(base64.b85decode(stream))], 1, 8, "MONOCHROME2", study=f"{STUDY}.9")
    heavy = zlib.decompress(zlib.decompress(base64.b85decode(HEAVY)))
    save(out, "heavy", 18, OF_JPEG, [boxed(heavy)], 1, 8, "MONOCHROME2", study=f"{STUDY}.9")
    numpy.savez(f"{out}/sent.npz", grey=grey[None], deep=deep[None], rgb=numpy.stack(rgb), lossy=numpy.stack(rgb), jpeg=numpy.stack(rgb))


def of(received):
    return {str(ds.SOPInstanceUID)[-1]: ds for ds in map(pydicom.dcmread, glob.glob(f"{received}/*"))}


def pixels(out, received):
    """All five, in native pixels: the lossless ones as they were, the others nearly."""
    sent, found, wrong = numpy.load(f"{out}/sent.npz"), of(received), []
    for number, name in enumerate(("grey", "deep", "rgb", "lossy", "jpeg"), 1):
        ds = found.get(str(number))
        if ds is None or ds.file_meta.TransferSyntaxUID != "1.2.840.10008.1.2.1":
            wrong.append(f"{name} has not arrived in native pixels")
            continue
        values = numpy.frombuffer(ds.PixelData, f"<u{ds.BitsAllocated // 8}")[:sent[name].size].reshape(sent[name].shape).astype(int)
        most = int(numpy.abs(values - sent[name]).max())
        if most > (0 if number <= 3 else 40) or (number > 3 and float(numpy.abs(values - sent[name]).mean()) > 4):
            wrong.append(f"{name}: differs by {most}")
        if number > 3 and (ds.PhotometricInterpretation != "RGB" or ds.LossyImageCompression != "01"):
            wrong.append(f"{name}: {ds.PhotometricInterpretation}")
    return wrong


def streams(path):
    ds = pydicom.dcmread(path)
    return ds, list(generate_pixel_data_frame(ds.PixelData, int(ds.NumberOfFrames)))


def jpegs(out, received):
    """What arrived is the JPEG object that was sent: data set and streams."""
    sent, theirs = streams(f"{out}/jpeg.dcm")
    path = [p for p in glob.glob(f"{received}/*") if str(pydicom.dcmread(p).SOPInstanceUID).endswith(".5")]
    if not path:
        return ["it has not arrived"]
    got, ours = streams(path[0])
    wrong = [] if got.file_meta.TransferSyntaxUID == BASELINE else [f"arrived as {got.file_meta.TransferSyntaxUID.name}"]
    wrong += [] if ours == theirs else ["other JPEG streams"]
    return wrong + [str(e.tag) for e in sent if e.tag != 0x7FE00010 and (e.tag not in got or got[e.tag].value != e.value)]


def kept(path, work):
    """A foreign decoder takes the very JPEG out of what is stored."""
    stored, frames = streams(path)
    if stored.file_meta.TransferSyntaxUID != OF_JPEG:
        return [f"stored as {stored.file_meta.TransferSyntaxUID.name}"]
    _, sent = streams(f"{work}/jpeg.dcm")
    for i, frame in enumerate(frames):
        with open(f"{work}/back.jxl", "wb") as f:
            f.write(frame)
        run("djxl", f"{work}/back.jxl", f"{work}/back.jpg")
        with open(f"{work}/back.jpg", "rb") as f:
            back = f.read()
        if back.rstrip(b"\0") != sent[i].rstrip(b"\0"):
            return [f"frame {i + 1}: djxl finds another JPEG"]
    return []


def frame(path, work):
    """The second frame of the JPEG object, as the web gives it."""
    _, sent = streams(f"{work}/jpeg.dcm")
    with open(path, "rb") as f:
        return [] if f.read().rstrip(b"\0") == sent[1].rstrip(b"\0") else ["another JPEG"]


if sys.argv[1] == "make":
    make(sys.argv[2])
else:
    problems = {"pixels": pixels, "jpeg": jpegs, "kept": kept, "frame": frame}[sys.argv[1]](*sys.argv[2:])
    print("\n".join(problems), end="\n" if problems else "")
    sys.exit(bool(problems))
