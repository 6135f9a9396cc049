# Objects made for tests of pictures, sent to the server of this run, and what comes back. SPDX-License-Identifier: Apache-2.0
import json
import os
import sys
import urllib.error
import urllib.request

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import png

URL, DATA, WORK = sys.argv[1:4]
failures, done = [], 0


def failed():
    print("%d checks, %d failed" % (done, len(failures)))
    return 1 if failures else 0


def check(what, is_true, more=""):
    global done
    done += 1
    if not is_true:
        failures.append("%s %s" % (what, more))
        print("FAILED:", what, more)


def put(body):
    request = urllib.request.Request(URL + "/dicom-web/studies", data=body, headers={
        "Content-Type": "application/dicom", "Accept": "application/dicom+json"})
    answer = json.load(urllib.request.urlopen(request))
    return answer["00081199"]["Value"][0]["00081190"]["Value"][0]


def fetch(url, accept="image/png", **headers):
    """Status, headers, body. Headers of the request by name, _ for -."""
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept, **headers})) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def get(url, accept="image/png"):
    status, _, body = fetch(url, accept)
    return status, body


def picture(url, query=""):
    status, body = get(url + "/rendered" + query)
    assert status == 200, (url, query, status, body[:300])
    return png.read_png(body).astype(int)


def dataset(number, sop_class="1.2.840.10008.5.1.4.1.1.7"):
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = sop_class
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = "2.25.91%d" % number
    d.is_little_endian, d.is_implicit_VR = True, False
    d.SpecificCharacterSet = "ISO_IR 192"
    d.StudyInstanceUID, d.SeriesInstanceUID = "2.25.9000", "2.25.900%d" % (1 if sop_class[-2:] == ".7" else 2)
    d.PatientID, d.PatientName, d.Modality = "RENDER", "Wang^Xiaoming=王^小明", "OT"
    return d


def image(number, pixels, **more):
    d = dataset(number)
    kind = pixels.dtype
    d.Rows, d.Columns = pixels.shape[-2:] if pixels.ndim < 3 or pixels.shape[-1] != 3 else pixels.shape[:2]
    d.SamplesPerPixel = 1
    d.PhotometricInterpretation = "MONOCHROME2"
    d.BitsAllocated = d.BitsStored = kind.itemsize * 8
    d.HighBit = d.BitsStored - 1
    d.PixelRepresentation = int(kind.kind == "i")
    d.PixelData = pixels.tobytes() + (b"\0" if pixels.nbytes % 2 else b"")
    for name, value in more.items():
        setattr(d, name, value)
    d["PixelData"].VR = "OW" if d.BitsAllocated > 8 else "OB"
    return d


def stored(d, old=b"", new=b""):
    """old, new: bytes of the file, for what pydicom would not write."""
    path = os.path.join(WORK, "made.dcm")
    d.save_as(path, write_like_original=False)
    with open(path, "rb") as file:
        body = file.read()
    assert len(old) == len(new) and (not old or old in body)
    return put(body.replace(old, new) if old else body)


def state(number, target, **more):
    d = dataset(number, "1.2.840.10008.5.1.4.1.1.11.1")
    d.Modality = "PR"
    item, series = Dataset(), Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = target.SOPClassUID, target.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedImageSequence = target.SeriesInstanceUID, Sequence([item])
    d.ReferencedSeriesSequence = Sequence([series])
    d.PresentationLUTShape = "IDENTITY"
    for name, value in more.items():
        setattr(d, name, value)
    return d


def items(**more):
    d = Dataset()
    for name, value in more.items():
        setattr(d, name, value)
    return d
