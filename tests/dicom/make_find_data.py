#!/usr/bin/env python3
"""Writes the objects that find.tsv is about: make_find_data.py DIR.

UIDs speak: study 1.2.999.S, series 1.2.999.S.R, instance 1.2.999.S.R.N. SPDX-License-Identifier: Apache-2.0"""
import os
import sys

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ROOT = "1.2.999."
CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128",
           "US": "1.2.840.10008.5.1.4.1.1.6.1", "SR": "1.2.840.10008.5.1.4.1.1.88.11", "DX": "1.2.840.10008.5.1.4.1.1.1.1",
           "CR": "1.2.840.10008.5.1.4.1.1.1", "OT": "1.2.840.10008.5.1.4.1.1.7"}

PATIENTS = {  # id: name, birth date, sex, character set
    "PID-1": ("WANG^XIAOMING=王^小明", "19700102", "M", "GB18030"),
    "PID-2": ("Müller^Jürgen", "19650315", "M", "ISO_IR 100"),
    "PID-3": ("YAMADA^TARO=山田^太郎=やまだ^たろう", "19801231", "F", "ISO_IR 192"),
    "PID-4": ("DOE^JOHN^A^DR^JR", "19650315", "M", None),
    "pid-5": ("DOE^JANE", "", "F", None),
    "PID-6": ("O'BRIEN^MARY ANN", "20010911", "O", None),
}

# patient, date, time, accession, study ID, description, referring physician,
#   series: modality, number, description, body part, instances
STUDIES = {
    1: ("PID-1", "20240105", "093000", "ACC1", "S1", "CHEST CT", "HOUSE^GREGORY",
        [("CT", 1, "AXIAL 5MM", "CHEST", 2), ("CT", 2, "CORONAL", "CHEST", 1)]),
    2: ("PID-1", "20240210", "141500.123456", "ACC2", "S2", "HEAD MR", "HOUSE^GREGORY",
        [("MR", 1, "T1 SAG", "HEAD", 2), ("SR", 99, "REPORT", "", 1)]),
    3: ("PID-2", "20231231", "235959", "ACC-3", "S3", "Thorax", "", [("DX", 1, "PA", "CHEST", 1)]),
    4: ("PID-3", "20240105", "000000", "ACC4", "S4", "US ABDOMEN", "KUROSAWA^AKIRA",
        [("US", 1, "LIVER", "ABDOMEN", 1)]),
    5: ("PID-4", "20200229", "120000", "acc5", "S5", "CT Chest", "WATSON^JOHN", [("CT", 1, "AXIAL", "CHEST", 1)]),
    6: ("PID-4", "20240315", "0800", "ACC10", "S6", "", "HOUSE^GREGORY",
        [("CT", 1, "LOW DOSE", "CHEST", 1), ("PT", 2, "PET AC", "CHEST", 3)]),
    7: ("pid-5", "", "", "", "", "SECONDARY CAPTURE", "", [("OT", None, "", "", 1)]),
    8: ("PID-6", "20240105", "120000", "ACC8", "S8", "KNEE *L*", "WATSON^JOHN", [("CR", 1, "AP", "KNEE", 2)]),
    9: ("PID-2", "20240701", "101010", "ACC9", "S9", "Thorax follow-up", "WATSON^MARY", [("DX", 1, "PA", "CHEST", 1)]),
}


def instance(study, series, number):
    patient, date, time, accession, study_id, description, referring, all_series = STUDIES[study]
    name, born, sex, charset = PATIENTS[patient]
    modality, series_number, series_description, part, _ = all_series[series - 1]
    ds = Dataset()
    if charset:
        ds.SpecificCharacterSet = charset
    ds.SOPClassUID = CLASSES[modality]
    ds.SOPInstanceUID = f"{ROOT}{study}.{series}.{number}"
    ds.StudyInstanceUID = f"{ROOT}{study}"
    ds.SeriesInstanceUID = f"{ROOT}{study}.{series}"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = date, time, accession, study_id
    ds.StudyDescription, ds.ReferringPhysicianName = description, referring
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = name, patient, born, sex
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = modality, series_number, series_description
    ds.BodyPartExamined = part
    ds.InstanceNumber = number
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    if modality != "SR":
        ds.Rows, ds.Columns = 16, 16
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
        ds.PixelData = bytes((study * 7 + series * 3 + number + i) % 256 for i in range(512))
    return ds


def write(folder, ds):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    ds.is_little_endian, ds.is_implicit_VR = True, False
    ds.save_as(os.path.join(folder, ds.SOPInstanceUID + ".dcm"), write_like_original=False)


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    for study, row in STUDIES.items():
        for series, (_, _, _, _, count) in enumerate(row[7], 1):
            for number in range(1, count + 1):
                write(folder, instance(study, series, number))


main()
