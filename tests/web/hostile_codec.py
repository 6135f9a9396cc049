#!/usr/bin/env python3
# Objects whose code streams tell the decoder of tests/unit/isolation/hostile.c which harm to do, asked for as frames, pictures,
# thumbnails, and by C-GET in a syntax that needs them decoded. SPDX-License-Identifier: Apache-2.0
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

URL, PORT, WORK = sys.argv[1:4]
IN_TIME = 12  # seconds: the deadline of a call is 2, a picture may ask twice, and the machine is busy
OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
failures = []


def check(what, is_true, more=""):
    if not is_true:
        failures.append(what)
        print("FAILED:", what, more)


def get(url, accept="image/png"):
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=60) as answer:
            return answer.status, answer.read(), time.monotonic() - begun
    except urllib.error.HTTPError as error:
        return error.code, error.read(), time.monotonic() - begun


def put(number, word):
    """An RLE object of 16x16 pixels whose stream begins with the word; a study of its own."""
    d = Dataset()
    d.file_meta = FileMetaDataset()
    d.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.5"
    d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID = f"2.25.83{number}"
    d.is_little_endian, d.is_implicit_VR = True, False
    d.StudyInstanceUID, d.SeriesInstanceUID = f"2.25.81{number}", f"2.25.82{number}"
    d.PatientID, d.PatientName, d.Modality = "HOSTILE", "Codec^Hostile", "OT"
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows = d.Columns = 16
    d.BitsAllocated = d.BitsStored = 8
    d.HighBit, d.PixelRepresentation = 7, 0
    d.PixelData = encapsulate([word.encode().ljust(256)])
    d["PixelData"].is_undefined_length = True
    d["PixelData"].VR = "OB"
    path = os.path.join(WORK, f"{number}.dcm")
    d.save_as(path, write_like_original=False)
    with open(path, "rb") as file:
        urllib.request.urlopen(urllib.request.Request(URL + "/dicom-web/studies", data=file.read(), headers={
            "Content-Type": "application/dicom", "Accept": "application/dicom+json"})).read()
    return f"{URL}/dicom-web/studies/{d.StudyInstanceUID}/series/{d.SeriesInstanceUID}/instances/{d.SOPInstanceUID}", d


def fetch(d):
    """C-GET of a study by a peer that takes native pixels only: (what getscu says, seconds)."""
    begun = time.monotonic()
    run = subprocess.run(["getscu", "-v", "-S", "+xe", "-aec", "HILUM", "-od", WORK, "127.0.0.1", PORT,
                          "-k", "0008,0052=STUDY", "-k", f"0020,000d={d.StudyInstanceUID}"],
                         capture_output=True, text=True, timeout=60)
    return run.stdout + run.stderr, time.monotonic() - begun


good, good_set = put(1, "good")
pixels = bytes(~b & 255 for b in b"good".ljust(256))
check("a good frame", get(good + "/frames/1", OCTETS)[1].find(pixels) >= 0)
BROKE, LATE = b"something broke while this was made", b"took too long and was ended"
WORDS = {"loop": LATE, "null": BROKE, "exit": BROKE, "malloc": b"memory", "destructor": BROKE, "lie": BROKE, "nonsense": BROKE}
for number, (word, reason) in enumerate(WORDS.items(), 10):
    url, dataset = put(number, word)
    for kind, accept in (("/frames/1", OCTETS), ("/rendered", "image/png"), ("/thumbnail", "image/jpeg")):
        status, body, seconds = get(url + kind, accept)
        check(f"{word}{kind} ends in time", seconds < IN_TIME, f"{seconds:.1f} s")
        check(f"{word}{kind} is refused with a reason", status >= 400 and len(body) > 10, f"{status} {body[:200]}")
        if kind != "/thumbnail":
            check(f"{word}{kind} says why", reason in body or (word == "malloc" and BROKE in body), f"{status} {body[:300]}")
    said, seconds = fetch(dataset)
    check(f"{word} by C-GET ends in time", seconds < IN_TIME, f"{seconds:.1f} s")
    check(f"{word} by C-GET is counted as failed", re.search(r"Failed Sub-?operations *: 1", said), said[-1500:])
    check(f"after {word} a good frame", get(good + "/frames/1", OCTETS)[0] == 200)

# While one hangs, others look.
url, _ = put(50, "loop again")
hanging = threading.Thread(target=get, args=(url + "/frames/1", OCTETS))
hanging.start()
slowest, n = 0, 0
while hanging.is_alive():
    status, body, seconds = get(good + "/rendered")
    check("others go on", status == 200, f"{status} {body[:200]}")
    slowest, n = max(slowest, seconds), n + 1
check("none of them waits for it", n >= 3 and slowest < 1.5, f"{n} pictures, the slowest {slowest:.2f} s")
print(f"{n} pictures while a decoder hung, the slowest {slowest * 1000:.0f} ms")
said, _ = fetch(good_set)
check("C-GET of a good one", re.search(r"Completed Sub-?operations *: 1", said), said[-1500:])
sys.exit(1 if failures else 0)
