#!/usr/bin/env python3
"""Runs the rows of find.tsv: run_find.py PORT CALLED_AET CALLING_AET WORK_DIR [FIND_JS]. By findscu, or with FIND_JS by
dcmjs-dimse. Prints what differs, what was left out and why, and "N passed, M failed, K skipped".
SPDX-License-Identifier: Apache-2.0"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys

import pydicom

ROOT = "1.2.999."
UNIQUE = {"PATIENT": "PatientID", "STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}

# What dcmjs-dimse cannot do: whether a row (model, level, keys, kind, expected) is concerned, and why.
DCMJS_CANNOT = [
    (lambda row: row[4] == "~", "the client takes FF01 as the final response and ends the association"),
    (lambda row: "StudyDate=yesterday" in row[3], "the client sends no date longer than its VR allows"),
]


def rows(path):
    for number, line in enumerate(open(path, encoding="utf-8"), 1):
        line = line.rstrip("\n")
        if line and not line.startswith("#"):
            model, level, keys, kind, expected = line.split("\t")
            yield number, model, level, [] if keys == "-" else keys.split(";"), kind, expected.split()


def elements_of(row):
    """The identifier of a row, the unique key of its level asked for."""
    _, _, level, keys, _, _ = row
    elements = {"QueryRetrieveLevel": level, "SpecificCharacterSet": "ISO_IR 192"}
    elements.update(key.split("=", 1) for key in keys)
    if level in UNIQUE:
        elements.setdefault(UNIQUE[level], "")
    return elements


# ---- the clients: answers as dictionaries of keyword to text, their statuses, the final status


def read_answer(path):
    data = pydicom.dcmread(path, force=True)
    return {element.keyword: "\\".join(map(str, element.value)) if element.VM > 1 else str(element.value or "")
            for element in data}


def find_by_findscu(port, called, calling, folder, row):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    command = ["findscu", "-d", "-X", "-od", folder, "-" + row[1], "-aec", called, "-aet", calling, "127.0.0.1", str(port)]
    for name, value in elements_of(row).items():
        command += ["-k", f"{name}={value}" if value else name]
    log = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60).stdout
    log = log.decode("utf-8", "replace")
    statuses = [s.upper() for s in re.findall(r"^D: DIMSE Status +: 0x([0-9a-fA-F]{4})", log, re.M)]
    answers = [read_answer(path) for path in sorted(glob.glob(folder + "/*.dcm"))]
    return answers, statuses[:-1], statuses[-1] if statuses else "none: " + log[-300:]


def natural(name, value):
    """As dcmjs takes values: several of them as a list. It would cut a query's text at no other place."""
    return value.split("\\") if "\\" in value else value


def find_by_dcmjs(port, called, calling, work, program, table):
    """All rows by one program; answers by row number."""
    queries = [{"model": row[1], "elements": {k: natural(k, v) for k, v in elements_of(row).items()}} for row in table]
    with open(work + "/queries.json", "w", encoding="utf-8") as file:
        json.dump(queries, file)
    subprocess.run(["node", program, str(port), called, calling, work + "/queries.json", work + "/found.json"],
                   timeout=120, check=True)
    with open(work + "/found.json", encoding="utf-8") as file:
        return {row[0]: (r["answers"], r["pending"], r["final"]) for row, r in zip(table, json.load(file))}


# ---- the checks


def check_returned(answer, level, keys, called):
    """What every answer must hold (C.4.1.1.3.2)."""
    if answer.get("QueryRetrieveLevel") != level:
        return "QueryRetrieveLevel"
    if answer.get("RetrieveAETitle") != called:
        return "RetrieveAETitle"
    missing = [key for key in keys if key.split("=", 1)[0] not in answer]
    return missing[0] if missing else None


def check(row, called, result):
    _, _, level, keys, kind, expected = row
    answers, pending, final = result
    if kind == "!":
        return None if final == expected[0] and not answers else f"status {final}"
    if final != "0000":
        return f"status {final}"
    values = [answer.get(UNIQUE[level], "") for answer in answers]
    found = sorted(value[len(ROOT):] if level != "PATIENT" else value for value in values)
    if found != sorted(expected):
        return f"found {' '.join(found) or 'nothing'}"
    want = "FF00" if kind == "=" else "FF01"
    if any(status != want for status in pending):
        return f"answers with {' '.join(sorted(set(pending)))}"
    missing = [m for m in (check_returned(a, level, keys, called) for a in answers) if m]
    return f"without {missing[0]}" if missing else None


def place(row):
    return f"find.tsv:{row[0]}: {row[1]} {row[2]} {';'.join(row[3])}"


def split_dcmjs(table):
    """The rows the client can ask, and how many it cannot; each of those is named."""
    able = []
    for row in table:
        why = [reason for concerns, reason in DCMJS_CANNOT if concerns(row)]
        if why:
            print(f"skip {place(row)}: {why[0]}")
        else:
            able.append(row)
    return able, len(table) - len(able)


def main():
    port, called, calling, work = sys.argv[1:5]
    table = list(rows(os.path.join(os.path.dirname(os.path.abspath(__file__)), "find.tsv")))
    skipped, results = 0, None
    if len(sys.argv) > 5:
        table, skipped = split_dcmjs(table)
        results = find_by_dcmjs(port, called, calling, work, sys.argv[5], table)
    failed = 0
    for row in table:
        result = results[row[0]] if results else find_by_findscu(port, called, calling, work + "/answers", row)
        fault = check(row, called, result)
        if fault:
            failed += 1
            print(f"{place(row)}: {fault}, expected {' '.join(row[5]) or 'nothing'}")
    print(f"{len(table) - failed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)


main()
