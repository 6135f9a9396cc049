#!/usr/bin/env python3
"""STOW-RS of metadata with bulk data in parts of their own: what is stored here, told as JSON and as XML and stored again under other
UIDs, is the same; compressed frames; partial success; what is no metadata at all. usage: store_metadata.py URL
SPDX-License-Identifier: Apache-2.0"""
import copy, io, json, os, sys
import xml.etree.ElementTree as ET

import pydicom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import forms
from forms import JSON, NS, ask
from judge import equal, verdict

BOUNDARY = "the-line-between"
OCTETS = "application/octet-stream"


def body_of(pieces, is_whole=True):
    """pieces: (Content-Type, Content-Location or None, bytes)"""
    out = b""
    for kind, location, content in pieces:
        head = f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n" + (f"Content-Location: {location}\r\n" if location else "")
        out += head.encode() + b"\r\n" + content + b"\r\n"
    return out + (f"--{BOUNDARY}--\r\n".encode() if is_whole else b"")


def post(url, pieces, form="json", is_whole=True, accept=JSON):
    kind = f'multipart/related; type="application/dicom+{form}"; boundary={BOUNDARY}'
    status, _, body = ask(url, accept, body_of(pieces, is_whole), kind)
    return status, (json.loads(body) if accept == JSON and body.startswith(b"{") else body)


def renamed(value, mark):
    """Other UIDs below 2.25.9 for study, series and object."""
    out = copy.deepcopy(value)
    for tag in ("0020000D", "0020000E", "00080018"):
        out[tag]["Value"][0] = f"2.25.9{mark}{abs(hash(value[tag]['Value'][0])) % 10**15}"
    return out


def bulk_uris(value):
    if isinstance(value, dict):
        return ([value["BulkDataURI"]] if "BulkDataURI" in value else []) + [u for v in value.values() for u in bulk_uris(v)]
    return [u for v in value for u in bulk_uris(v)] if isinstance(value, list) else []


def to_xml(attributes):
    """DICOM JSON as the Native DICOM Model, in the words of the standard."""
    def fill(parent, items):
        for tag, content in items.items():
            node = ET.SubElement(parent, NS + "DicomAttribute", tag=tag, vr=content["vr"])
            if "BulkDataURI" in content:
                ET.SubElement(node, NS + "BulkData", uri=content["BulkDataURI"])
            if "InlineBinary" in content:
                ET.SubElement(node, NS + "InlineBinary").text = content["InlineBinary"]
            for i, value in enumerate(content.get("Value", [])):
                number = str(i + 1)
                if value is None:  # an empty value among others: its place counts
                    ET.SubElement(node, NS + ("PersonName" if content["vr"] == "PN" else "Item" if content["vr"] == "SQ" else "Value"), number=number)
                    continue
                if content["vr"] == "SQ":
                    fill(ET.SubElement(node, NS + "Item", number=number), value)
                elif content["vr"] == "PN":
                    name = ET.SubElement(node, NS + "PersonName", number=number)
                    for group, text in value.items():
                        components = ET.SubElement(name, NS + group)
                        for key, part in zip(("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"), text.split("^")):
                            if part:
                                ET.SubElement(components, NS + key).text = part
                else:
                    ET.SubElement(node, NS + "Value", number=number).text = str(value)
    ET.register_namespace("", NS[1:-1])
    root = ET.Element(NS + "NativeDicomModel")
    fill(root, attributes)
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def plain(value):
    """Without what a way through another server may change: places of bulk data, the character set, trailing '^', group lengths."""
    if isinstance(value, dict):
        kept = {k: plain(v) for k, v in value.items() if k not in ("BulkDataURI", "00080005") and not (len(k) == 8 and k.endswith("0000"))}
        return {k: v.rstrip("^ ") if k in ("Alphabetic", "Ideographic", "Phonetic") else v for k, v in kept.items()}
    if isinstance(value, list):
        return [plain(v) for v in value]
    try:
        return float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else value
    except ValueError:
        return value


def differences(a, b, at=""):
    """Where two models differ, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        return [d for k in sorted(set(a) | set(b)) for d in differences(a.get(k), b.get(k), f"{at}/{k}")]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i in range(len(a)) for d in differences(a[i], b[i], f"{at}[{i}]")]
    return [] if a == b else [(at, a, b)]


def path_of(attributes):
    study, series, instance = (attributes[t]["Value"][0] for t in ("0020000D", "0020000E", "00080018"))
    return f"/{study}/series/{series}/instances/{instance}"


def again(base, original, mark, form):
    """Stores a copy; its metadata and bulk data are the original's."""
    told = renamed(original, mark)
    pieces = [(JSON, None, json.dumps([told]).encode()) if form == "json" else ("application/dicom+xml", None, to_xml(told))]
    bulks = {uri: ask(uri, OCTETS)[2] for uri in bulk_uris(original)}
    pieces += [(OCTETS, uri, content) for uri, content in bulks.items()]
    status, answer = post(base, pieces, form)
    what = f"{form}: {original['00080018']['Value'][0]}"
    equal(f"{what}: stored", 200, status)
    if status != 200:
        return
    back = json.loads(ask(f"{base}{path_of(told)}/metadata")[2])[0]
    a, b = plain(told), plain(back)
    equal(f"{what}: attributes", [], differences(a, b))
    equal(f"{what}: bulk data", [len(v) + len(v) % 2 for v in bulks.values()], [len(ask(uri, OCTETS)[2]) for uri in bulk_uris(back)])
    if "7FE00010" in back:
        equal(f"{what}: pixels", ask(f"{base}{path_of(original)}/bulkdata/7FE00010", OCTETS)[2],
              ask(f"{base}{path_of(told)}/bulkdata/7FE00010", OCTETS)[2])


def minimal(instance, **more):
    values = {"00080016": ("UI", "1.2.840.10008.5.1.4.1.1.7"), "00080018": ("UI", instance), "0020000D": ("UI", "2.25.9001"),
              "0020000E": ("UI", "2.25.9002"), "00100020": ("LO", "P9"), **more}
    return {tag: {"vr": vr, "Value": value if isinstance(value, list) else [value]} for tag, (vr, value) in values.items()}


def edges(base):
    """Values whose form is easily lost."""
    values = {"00101030": ("DS", 0.1), "00280030": ("DS", [1e-7, 70.123456789]), "00200013": ("IS", -2147483648),
              "00100010": ("PN", [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东", "Phonetic": "x"}]),
              "00189361": ("FD", 0.1), "00720078": ("FD", [1.0, -1e300]), "00280010": ("US", 65535), "00280120": ("SS", -32768),
              "00104000": ("LT", "two\r\nlines \\ one value"), "00081190": ("UR", "https://x.example/a?b=c"), "0028000A": ("AT", "00181063"),
              "00080082": ("SQ", [{"0008010D": {"vr": "UI", "Value": ["1.2"]}}, {}]), "00080061": ("CS", ["CT", None, "MR"])}
    told = minimal("2.25.9003", **values)
    told["00091001"], told["00090010"] = {"vr": "OB", "InlineBinary": "AAECAw=="}, {"vr": "LO", "Value": ["MINE"]}
    del told["00720078"]
    status, answer = post(base, [(JSON, None, json.dumps(told).encode())])
    equal("values on the edge", 200, status)
    back = json.loads(ask(f"{base}{path_of(told)}/metadata")[2])[0]
    a, b = plain(told), plain(back)
    equal("come back", {}, {t: (a.get(t), b.get(t)) for t in sorted(set(a) | set(b)) if a.get(t) != b.get(t)})
    found = json.loads(ask(base.replace("/studies", "/instances") + "?SOPInstanceUID=2.25.9003&includefield=00080082.0008010D,00189361,00080050")[2])[0]
    equal("a search returns sequences", (back["00080082"], back["00189361"], True), (found["00080082"], found["00189361"], list(found) == sorted(found)))
    equal("text is UTF-8", ["ISO_IR 192"], back["00080005"]["Value"])
    file = pydicom.dcmread(io.BytesIO(ask(base + path_of(told), "application/dicom; transfer-syntax=*")[2]))
    equal("as others read it", ("王^小东", "0.1", 65535), (file.PatientName.ideographic, str(file.PatientWeight), file.Rows))


def refused_early(base, metadata):
    """The status of a body that is refused before its end: a client that still sends may find the connection closed before it reads the answer."""
    for _ in range(5):
        try:
            return post(base, [(JSON, None, metadata)])[0]
        except OSError:
            continue
    return "no answer in five tries"


def refusals(base):
    good, bad = minimal("2.25.9010"), minimal("2.25.9011")
    bad["7FE00010"] = {"vr": "OW", "BulkDataURI": "nowhere"}
    status, answer = post(base, [(JSON, None, json.dumps([good, bad]).encode())])
    equal("one of two", 202, status)
    equal("the other is told", (["2.25.9010"], ["2.25.9011"], [0xC000]),
          ([i["00081155"]["Value"][0] for i in answer["00081199"]["Value"]], [i["00081155"]["Value"][0] for i in answer["00081198"]["Value"]],
           [i["00081197"]["Value"][0] for i in answer["00081198"]["Value"]]))
    equal("none", 409, post(base, [(JSON, None, json.dumps(bad).encode())])[0])
    equal("another study than the path's", 409, post(base + "/2.25.1", [(JSON, None, json.dumps(minimal("2.25.9012")).encode())])[0])
    equal("the answer as XML", True, b"<NativeDicomModel" in post(base, [(JSON, None, json.dumps(good).encode())], accept="application/dicom+xml")[1])
    laughs = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><NativeDicomModel>&b;</NativeDicomModel>'
    outside = b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><NativeDicomModel><DicomAttribute tag="00100020" vr="LO"><Value number="1">&a;</Value></DicomAttribute></NativeDicomModel>'
    for what, content, form in (("no JSON", b"{", "json"), ("a text", b'"x"', "json"), ("nested without end", b"[" * 100000, "json"),
                                ("entities", laughs, "xml"), ("a file of ours", outside, "xml"), ("no XML", b"<a>", "xml"), ("other XML", b"<a/>", "xml")):
        status, answer = post(base, [(f"application/dicom+{form}", None, content)], form)
        equal(f"{what} is refused", True, status in (400, 409))
        equal(f"{what}: nothing of ours comes back", False, b"root:" in json.dumps(answer).encode() if not isinstance(answer, bytes) else b"root:" in answer)
    deep = minimal("2.25.9013")
    at = deep
    for _ in range(200):
        at["00081140"] = {"vr": "SQ", "Value": [{}]}
        at = at["00081140"]["Value"][0]
    equal("items too deep", 409, post(base, [(JSON, None, json.dumps(deep).encode())])[0])
    for tag, vr, value in (("00280010", "US", 65536), ("00280010", "US", "x"), ("00280010", "US", [-1]), ("00100020", "LO", [{}, []]), ("0010", "LO", "x"),
                           ("00100020", "lo", "x"), ("7FE00010", "OW", [1])):
        equal(f"{tag} {vr} {value}", 409, post(base, [(JSON, None, json.dumps(minimal("2.25.9014", **{tag: (vr, value)})).encode())])[0])
    equal("cut off", 400, post(base, [(JSON, None, json.dumps(good).encode())], is_whole=False)[0])
    equal("no metadata", 400, post(base, [(OCTETS, "x", b"1")])[0])
    equal("metadata without end", 413, refused_early(base, b"[" + b" " * ((4 << 20) + 100000)))


def frames(base, rle):
    """A multi-frame RLE object: a part a frame."""
    original = json.loads(ask(f"{base}{rle}/metadata")[2])[0]
    kind = 'multipart/related; type="image/dicom-rle"'
    _, type_of_body, body = ask(f"{base}{rle}/frames/1,2,3", kind)
    stored = forms.parts(type_of_body, body)
    told = renamed(original, 8)
    told["7FE00010"] = {"vr": "OB", "BulkDataURI": "pixels"}
    bulks = [(OCTETS, uri, ask(uri, OCTETS)[2]) for uri in bulk_uris(original) if not uri.endswith("7FE00010")]
    pieces = [(JSON, None, json.dumps([told]).encode()), *bulks, *[("image/dicom-rle; transfer-syntax=1.2.840.10008.1.2.5", "pixels", f) for f in stored]]
    equal("compressed frames", 200, post(base, pieces)[0])
    _, type_of_body, body = ask(f"{base}{path_of(told)}/frames/3,1", kind)
    equal("come back as they went", [stored[2], stored[0]], [f[:len(s)] for f, s in zip(forms.parts(type_of_body, body), (stored[2], stored[0]))])


def main(url):
    base = url + "/dicom-web/studies"
    studies = [s["0020000D"]["Value"][0] for s in json.loads(ask(base)[2])]
    done = 0
    for study in studies:
        instances = json.loads(ask(f"{base}/{study}/metadata")[2])
        for original in instances if len(instances) < 20 else instances[::20]:
            if any("Value" not in original.get(t, {}) for t in ("0020000D", "0020000E", "00080018", "00080016")):
                continue  # found under derived UIDs that are not among its attributes
            if "7FE00010" in original and ask(f"{base}{path_of(original)}/bulkdata/7FE00010", OCTETS)[0] != 200:
                continue  # compressed: its frames are its bulk data
            again(base, original, 1, "json")
            again(base, original, 2, "xml")
            done += 1
    equal("there were some", True, done > 5)
    frames(base, "/2.25.7003/series/2.25.7002/instances/2.25.7001")
    edges(base)
    refusals(base)
    verdict()


main(sys.argv[1])
