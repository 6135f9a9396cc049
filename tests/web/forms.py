#!/usr/bin/env python3
"""The two forms of attributes, DICOM JSON (PS3.18 F) and the Native DICOM Model (PS3.19 A.1), say the same.
usage: forms.py URL. SPDX-License-Identifier: Apache-2.0"""
import json, os, re, sys, urllib.error, urllib.request
import xml.etree.ElementTree as ET

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from judge import equal, verdict

XML, JSON = 'multipart/related; type="application/dicom+xml"', "application/dicom+json"
NS = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(url, accept=JSON, data=None, kind=None):
    """(status, content type, body)"""
    request = urllib.request.Request(url, data, {"Accept": accept, **({"Content-Type": kind} if kind else {})})
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read()


def parts(kind, body):
    boundary = re.search(r"boundary=([^\s;]+)", kind).group(1).encode()
    pieces = body.split(b"--" + boundary)
    assert pieces[0] == b"" and pieces[-1].strip() == b"--"
    return [p.partition(b"\r\n\r\n")[2][:-2] for p in pieces[1:-1]]


def value_of(node):
    """A Value, PersonName or Item as DICOM JSON has it; numbers stay texts."""
    if node.tag == NS + "Item":
        return attributes(node)
    if node.tag == NS + "PersonName":
        order = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"]
        return {group.tag[len(NS):]: "^".join((group.findtext(NS + c) or "") for c in order).rstrip("^") for group in node}
    return node.text or ""


def attributes(model):
    out = {}
    for attribute in model:
        tag, content = attribute.get("tag"), {"vr": attribute.get("vr")}
        for child in attribute:
            name = child.tag[len(NS):]
            if name == "BulkData":
                content["BulkDataURI"] = child.get("uri")
            elif name == "InlineBinary":
                content["InlineBinary"] = child.text or ""
            else:
                values = content.setdefault("Value", [])
                while len(values) < int(child.get("number")) - 1:
                    values.append(None)
                values.append(value_of(child))
        if int(tag[:4], 16) % 2 == 0:
            equal(f"keyword of {tag}", True, bool(attribute.get("keyword")) or tag[4:] == "0000")
        out[tag] = content
    return out


def as_text(value):
    """JSON with numbers as they were written, as the XML has them; the CR that XML readers would join is none here."""
    if isinstance(value, dict):
        return {k: as_text(v) for k, v in value.items() if not (k in ("Alphabetic", "Ideographic", "Phonetic") and v.rstrip("^") == "")}
    if isinstance(value, list):
        return [as_text(v) for v in value]
    return value


def loads(text):
    return as_text(json.loads(text, parse_float=str, parse_int=str))


def names(value):
    """Trailing '^' of names carry nothing and are not in the XML."""
    if isinstance(value, dict):
        return {k: v.rstrip("^") if k in ("Alphabetic", "Ideographic", "Phonetic") else names(v) for k, v in value.items()}
    return [names(v) for v in value] if isinstance(value, list) else value


def compare(what, url):
    status, kind, body = ask(url)
    expected = loads(body)
    status, kind, body = ask(url, XML)
    equal(f"{what}: XML", (200, True), (status, kind.startswith('multipart/related; type="application/dicom+xml"')))
    found = [attributes(ET.fromstring(part)) for part in parts(kind, body)]
    equal(f"{what}: as many", len(expected), len(found))
    for a, b in zip(expected, found):
        differ = {t: (a.get(t), b.get(t)) for t in sorted(set(a) | set(b)) if names(a.get(t)) != b.get(t)}
        equal(f"{what}: the same", {}, differ)


def main(url):
    base = url + "/dicom-web/studies"
    studies = [s["0020000D"]["Value"][0] for s in json.loads(ask(base)[2])]
    compare("studies", base)
    compare("studies, all attributes", base + "?includefield=all")
    for study in studies:
        compare(f"series of {study}", f"{base}/{study}/series")
        compare(f"instances of {study}", f"{base}/{study}/instances")
        compare(f"instances of {study} with more", f"{base}/{study}/instances?includefield=PixelSpacing,00080082")
        compare(f"metadata of {study}", f"{base}/{study}/metadata")
    equal("XML that is liked less", "application/dicom+json", ask(base, XML + ";q=0.5, application/dicom+json")[1])
    equal("XML of nothing", 204, ask(base + "?PatientID=NOBODY", XML)[0])
    verdict()


if __name__ == "__main__":
    main(sys.argv[1])
