#!/usr/bin/env python3
"""Runs the rows of find.tsv by findscu: run_find.py PORT CALLED_AET CALLING_AET WORK_DIR. Prints what differs and
"N passed, M failed". SPDX-License-Identifier: Apache-2.0"""
import glob
import os
import re
import shutil
import subprocess
import sys

import pydicom

ROOT = "1.2.999."
UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def rows(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if line and not line.startswith("#"):
            model, level, keys, kind, expected = line.split("\t")
            yield number, model, level, [] if keys == "-" else keys.split(";"), kind, expected.split()


def find(port, called, calling, folder, model, level, keys):
    """Answers as data sets, their statuses, the final status."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    command = ["findscu", "-d", "-X", "-od", folder, "-" + model, "-aec", called, "-aet", calling, "127.0.0.1", str(port),
               "-k", f"QueryRetrieveLevel={level}", "-k", "SpecificCharacterSet=ISO_IR 192"]
    names = [key.split("=", 1)[0] for key in keys]
    for key in keys:
        name, value = key.split("=", 1)
        if re.fullmatch("[0-9A-F]{8}", name):
            name = name[:4] + "," + name[4:]
        command += ["-k", f"{name}={value}"]
    if level in UNIQUE and UNIQUE[level] not in names:
        command += ["-k", UNIQUE[level]]
    log = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60).stdout
    log = log.decode("utf-8", "replace")
    statuses = [s.upper() for s in re.findall(r"^D: DIMSE Status +: 0x([0-9a-fA-F]{4})", log, re.M)]
    answers = [pydicom.dcmread(path, force=True) for path in sorted(glob.glob(folder + "/*.dcm"))]
    return answers, statuses[:-1], statuses[-1] if statuses else "none: " + log[-300:]


def check_returned(answer, level, keys, called):
    """What every answer must hold (C.4.1.1.3.2)."""
    if answer.get("QueryRetrieveLevel") != level:
        return "QueryRetrieveLevel"
    if answer.get("RetrieveAETitle") != called:
        return "RetrieveAETitle"
    for key in keys:
        name = key.split("=", 1)[0]
        tag = pydicom.tag.Tag(int(name, 16)) if re.fullmatch("[0-9A-F]{8}", name) else name
        if tag not in answer:
            return name
    return None


def check(row, port, called, calling, folder):
    _, model, level, keys, kind, expected = row
    answers, pending, final = find(port, called, calling, folder, model, level, keys)
    if kind == "!":
        return None if final == expected[0] and not answers else f"status {final}"
    if final != "0000":
        return f"status {final}"
    values = [str(answer.get(UNIQUE[level], "")) for answer in answers]
    found = sorted(value[len(ROOT):] if level != "PATIENT" else value for value in values)
    if found != sorted(expected):
        return f"found {' '.join(found) or 'nothing'}"
    want = "FF00" if kind == "=" else "FF01"
    if any(status != want for status in pending):
        return f"answers with {' '.join(sorted(set(pending)))}"
    missing = [m for m in (check_returned(a, level, keys, called) for a in answers) if m]
    return f"without {missing[0]}" if missing else None


def main():
    port, called, calling, work = sys.argv[1:5]
    failed = passed = 0
    for row in rows(os.path.join(os.path.dirname(os.path.abspath(__file__)), "find.tsv")):
        fault = check(row, port, called, calling, work + "/answers")
        if fault:
            failed += 1
            number, model, level, keys, _, expected = row
            print(f"find.tsv:{number}: {model} {level} {';'.join(keys)}: {fault}, expected {' '.join(expected) or 'nothing'}")
        else:
            passed += 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
