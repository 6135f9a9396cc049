#!/usr/bin/env python3
"""Orthanc's DICOMweb plugin as client of Hilum: it searches, retrieves and stores; and the two servers' metadata of the
same objects side by side. SPDX-License-Identifier: Apache-2.0"""
import json, os, re, subprocess, sys, tempfile, urllib.request

import pydicom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import data_set, equal, export, originals, same, uid_of, verdict
from peers import Hilum, Orthanc

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STUDY = "1.2.999.1"


def web(url, accept="application/dicom+json"):
    request = urllib.request.Request(url, headers={"Accept": accept})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
        return answer.read()


def normal(value):
    """Numbers as numbers, names without empty groups."""
    if isinstance(value, dict):
        return {k: normal(v) for k, v in value.items() if v not in ("", [], {})}
    if isinstance(value, list):
        return [normal(v) for v in value]
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value):
        return float(value)
    return float(value) if isinstance(value, (int, float)) else value


def attributes(instances):
    """By SOP Instance UID and tag. BulkDataURI is each server's own; Orthanc keeps the object's character set in
    (0008,0005) though its text is UTF-8, where F.2.2 wants ISO_IR 192."""
    out = {}
    for instance in instances:
        uid = instance["00080018"]["Value"][0]
        out[uid] = {tag: normal({k: v for k, v in element.items() if k != "BulkDataURI"})
                    for tag, element in instance.items() if tag != "00080005" and not tag.startswith("0002")}
    return out


def main(work):
    subprocess.run([sys.executable, f"{HERE}/../dicom/make_find_data.py", f"{work}/data"], check=True, stdout=subprocess.DEVNULL)
    hilum = Hilum(work, 'plugins = ( { name = "web-dicomweb"; required = true; }, { name = "http"; required = true; options = '
                  '{ listen = "127.0.0.1:0"; unknown_clients = "accept"; }; } );')
    url = re.search(r" http=(\S+)", open(f"{hilum.dir}/log").read()).group(1) + "/dicom-web"
    orthanc = Orthanc(work, Plugins=[PLUGIN], DefaultEncoding="Utf8", ConcurrentJobs=4,
                      DicomWeb={"Enable": True, "Root": "/dicom-web/", "Servers": {"hilum": [url + "/"]}})
    sent = originals(work, STUDY)
    for content in sent.values():
        orthanc.rest("/instances", content)
    studies = orthanc.rest("/studies")

    # Orthanc stores here (STOW-RS) ...
    answer = orthanc.rest("/dicom-web/servers/hilum/stow", {"Resources": studies, "Synchronous": True})
    equal("STOW-RS by Orthanc", len(sent), int(answer["InstancesCount"]))
    same("what Orthanc stored", sent, export(hilum, work, STUDY))
    # ... searches here (QIDO-RS) ...
    found = orthanc.rest("/dicom-web/servers/hilum/qido", {"Uri": "/studies", "Arguments": {"StudyInstanceUID": STUDY}})
    equal("QIDO-RS by Orthanc", [True], [f'"{STUDY}"' in json.dumps(v) for v in found])
    # ... and retrieves from here (WADO-RS).
    for study in studies:
        orthanc.rest(f"/studies/{study}", method="DELETE")
    orthanc.rest("/dicom-web/servers/hilum/retrieve", {"Resources": [{"Study": STUDY}], "Synchronous": True})
    back = {uid_of(f): f for f in (orthanc.rest(f"/instances/{i}/file", raw=True) for i in orthanc.rest("/instances"))}
    same("what Orthanc retrieved", sent, back)

    # Both servers of the same objects.
    theirs = f"http://127.0.0.1:{orthanc.http_port}/dicom-web"
    a, b = (attributes(json.loads(web(f"{base}/studies/{STUDY}/metadata"))) for base in (url, theirs))
    equal("metadata: instances", sorted(a), sorted(b))
    for uid in sorted(set(a) & set(b)):
        differ = {t: (a[uid].get(t), b[uid].get(t)) for t in sorted(set(a[uid]) | set(b[uid])) if a[uid].get(t) != b[uid].get(t)}
        equal(f"metadata of {uid}", {}, differ)
    equal("Hilum stops", 0, hilum.stop())
    orthanc.stop()
    verdict()


with tempfile.TemporaryDirectory(prefix="hilum-web-") as directory:
    main(directory)
