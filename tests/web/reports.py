#!/usr/bin/env python3
# Structured reports as pages, plain text and XML: what every item of real ones says is there, in its order, and nothing of it is
# markup. SPDX-License-Identifier: Apache-2.0
import html.parser
import os
import re
import sys
import urllib.parse
import xml.dom.minidom

import pydicom
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import DATA, URL, check, dataset, failed, get, items, put, stored


class Words(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.words, self.tags, self.is_style = "", [], False

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.is_style = tag == "style"
        self.words += "\n" if tag == "br" else ""

    def handle_endtag(self, tag):
        self.is_style = False

    def handle_data(self, data):
        self.words += "" if self.is_style else data


def said(item):
    """What the tree says, item by item."""
    for child in [item, *item.get("ContentSequence", [])]:
        if child is not item:
            yield from said(child)
            continue
        for code in item.get("ConceptNameCodeSequence", [])[:1]:
            yield str(code.get("CodeMeaning", ""))
        kind = item.get("ValueType", "")
        if kind == "TEXT":
            yield str(item.TextValue)
        elif kind == "CODE":
            yield str(item.ConceptCodeSequence[0].get("CodeMeaning", ""))
        elif kind == "NUM" and item.get("MeasuredValueSequence"):
            yield "%.10g" % float(item.MeasuredValueSequence[0].NumericValue)
        elif kind in ("IMAGE", "COMPOSITE", "WAVEFORM") and item.get("ReferencedSOPSequence"):
            yield str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        elif kind == "UIDREF":
            yield str(item.UID)


def squeezed(text):
    return re.sub(r"\s+", " ", text)


def in_order(text, words):
    at, text = 0, squeezed(text)
    for word in words:
        word = squeezed(word).strip()
        found = text.find(word, at)
        if found < 0:
            return word
        at = found + len(word)
    return None


def real():
    folder = os.path.join(DATA, "dicom", "sr_ko_pr_doc")
    n = 0
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        d = pydicom.dcmread(os.path.join(folder, name), force=True)
        if not str(d.get("SOPClassUID", "")).startswith("1.2.840.10008.5.1.4.1.1.88."):
            continue
        with open(os.path.join(folder, name), "rb") as file:
            url = put(file.read())
        n += 1
        words = list(said(d))
        status, body = get(url + "/rendered", "text/plain")
        missing = in_order(body.decode(), words) if status == 200 else "%d" % status
        check(name + " as plain text", missing is None, missing)
        status, body = get(url + "/rendered", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
        page = Words()
        page.feed(body.decode())
        missing = in_order(page.words, words) if status == 200 else "%d" % status
        check(name + " as a page", missing is None and page.tags[:2] == ["html", "head"], missing)
        check(name + " has words", len(words) > 3, len(words))
        status, body = get(url + "/rendered", "text/xml")
        check(name + " as XML", status == 200 and xml.dom.minidom.parseString(body).documentElement.tagName == "NativeDicomModel", status)
        status, body = get(url + "/rendered", "*/*")
        check(name + ": a page if nobody says", status == 200 and body.startswith(b"<!DOCTYPE html>"), status)
        status, body = get(url + "/rendered", "image/png")
        check(name + " is no picture", status == 406 and b"text/plain" in body, status)
        parts = url.split("/")
        query = urllib.parse.urlencode({"requestType": "WADO", "studyUID": parts[-5], "seriesUID": parts[-3], "objectUID": parts[-1],
                                        "contentType": "text/plain"})
        again = get(URL + "/wado?" + query)
        check(name + " by WADO-URI", again[0] == 200 and again[1] == get(url + "/rendered", "text/plain")[1], again[0])
    print("%d real reports" % n)


def code(meaning):
    return Sequence([items(CodeValue="1", CodingSchemeDesignator="99T", CodeMeaning=meaning)])


def hostile():
    evil = "</p><script>alert(1)</script> \"quoted\" & <b>bold</b>\r\nsecond line"
    d = dataset(400, "1.2.840.10008.5.1.4.1.1.88.11")
    d.Modality, d.SeriesInstanceUID, d.ValueType = "SR", "2.25.9040", "CONTAINER"
    d.PatientName = "<i>Evil^One"
    d.ConceptNameCodeSequence = code("Findings <script>")
    leaf = items(RelationshipType="CONTAINS", ValueType="TEXT", ConceptNameCodeSequence=code("左肺"), TextValue=evil)
    deep = leaf
    for _ in range(50):
        deep = items(RelationshipType="CONTAINS", ValueType="CONTAINER", ConceptNameCodeSequence=code("deeper"), ContentSequence=Sequence([deep]))
    d.ContentSequence = Sequence([leaf, deep, items(RelationshipType="CONTAINS"), items(RelationshipType="CONTAINS", ValueType="NUM")])
    url = stored(d)
    status, body = get(url + "/rendered", "text/html")
    page = Words()
    page.feed(body.decode())
    check("nothing said is markup", status == 200 and "script" not in page.tags and "i" not in page.tags and page.tags.count("b") < 5, page.tags)
    check("it is said all the same", in_order(page.words, ["Findings <script>", "左肺", "<script>alert(1)</script>", "<b>bold</b>", "second line"]) is None)
    check("ends", b"</html>" in body)
    status, body = get(url + "/rendered", "text/plain")
    check("plain text", status == 200 and "左肺: </p><script>" in body.decode())


real()
hostile()
sys.exit(failed())
