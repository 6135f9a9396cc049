#!/usr/bin/env python3
"""Writes objects whose conversion between uncompressed transfer syntaxes is not trivial: make_convert_data.py DIR.

One study 1.2.998.1 of objects 1.2.998.1.1.N: nested sequences of defined and undefined length, private elements,
signed pixels with their US-or-SS attributes, group lengths, every number VR. SPDX-License-Identifier: Apache-2.0"""
import os
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
STUDY = "1.2.998.1"


def item(depth):
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = "T-1", "99TEST", f"depth {depth}"
    if depth:
        ds.ConceptNameCodeSequence = [item(depth - 1), Dataset(), item(0)]
        ds.ConceptNameCodeSequence[0].is_undefined_length_sequence_item = depth % 2 == 1
    return ds


def numbers(ds):
    ds.add_new(0x00089007, "CS", ["ORIGINAL", "PRIMARY"])
    ds.add_new(0x00189073, "FD", 1.5)
    ds.add_new(0x00189306, "FD", [0.25, -2.0, 1e300])
    ds.add_new(0x00209165, "AT", [0x00280010, 0x00209157])
    ds.add_new(0x00187050, "CS", "FILTER")
    ds.add_new(0x00186020, "SL", [-1, 70000])
    ds.add_new(0x00186024, "US", 513)
    ds.add_new(0x00143050, "OB", b"\1\2\3\4")
    ds.add_new(0x00720069, "UN", b"\1\0\2\0")
    ds.add_new(0x00660016, "OF", b"\0\0\x80\x3f\0\0\0\x40")


def instance(number):
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = CT, f"{STUDY}.1.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = STUDY, f"{STUDY}.1"
    ds.PatientName, ds.PatientID = "Müller^Jürgen", "CONVERT"
    ds.StudyDate, ds.StudyTime, ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "20240105", "1200", "CT", 1, number
    numbers(ds)
    ds.ProcedureCodeSequence = [item(5), item(2)]
    ds.RequestAttributesSequence = []
    block = ds.private_block(0x0019, "HILUM TEST", create=True)
    block.add_new(0x01, "DS", "1.5\\2.5")
    block.add_new(0x02, "OB", b"\xfe\xff\0\xe0")
    block.add_new(0x03, "SQ", [item(1)])
    block.add_new(0x04, "US", [1, 2, 3])
    ds.Rows, ds.Columns, ds.SamplesPerPixel, ds.PhotometricInterpretation = 64, 64, 1, "MONOCHROME2"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.add_new(0x00280106, "SS", -2000)
    ds.add_new(0x00280107, "SS", 3000)
    ds.add_new(0x00280120, "SS", -32768)
    ds.PixelData = bytes((i * 7 + number) % 256 for i in range(64 * 64 * 2))
    ds["PixelData"].VR = "OW"
    return ds


def save(ds, path):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.save_as(path, write_like_original=False)


def main():
    os.makedirs(sys.argv[1], exist_ok=True)
    for number in range(1, 7):
        ds = instance(number)
        save(ds, f"{sys.argv[1]}/{ds.SOPInstanceUID}.dcm")


main()
