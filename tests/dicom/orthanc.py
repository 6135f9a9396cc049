#!/usr/bin/env python3
"""Orthanc and Hilum as each other's SCU and SCP. What arrives is compared bit for bit with what was sent; the one object
Orthanc's SCU writes anew (sequences of undefined length) tag by tag. SPDX-License-Identifier: Apache-2.0"""
import io, os, shutil, subprocess, sys, tempfile

import pydicom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import ROOT, data_set, equal, export, originals, same, uid_of, until, verdict
from peers import Hilum, Orthanc, free_port

def objects_of_orthanc(orthanc):
    files = (orthanc.rest(f"/instances/{i}/file", raw=True) for i in orthanc.rest("/instances"))
    return {uid_of(f): f for f in files}


def clear(orthanc):
    for study in orthanc.rest("/studies"):
        orthanc.rest(f"/studies/{study}", method="DELETE")


def nested(work):
    """An object with sequences of undefined length, private elements and a name in three scripts."""
    path = f"{work}/data/{ROOT}1.1.1.dcm"
    ds = pydicom.dcmread(path)
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = ROOT + "70", ROOT + "70.1", ROOT + "70.1.1"
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.AccessionNumber = "NESTED"
    inner = pydicom.Dataset()
    inner.CodeValue, inner.CodingSchemeDesignator, inner.CodeMeaning = "T-1", "99X", "胸部"
    ds.ProcedureCodeSequence = pydicom.Sequence([inner])
    ds["ProcedureCodeSequence"].is_undefined_length = True
    ds.private_block(0x0029, "PEERS TEST", create=True).add_new(1, "LO", "private")
    out = io.BytesIO()
    ds.save_as(out, write_like_original=False)
    return out.getvalue()


# ---- the peers


def start(work):
    """Hilum, a second one to be moved to, and Orthanc that knows both."""
    orthanc_peer = '{ name = "orthanc"; aet = "ORTHANC"; host = "127.0.0.1"; port = %d; }'
    first, second = free_port(), free_port()
    orthanc = Orthanc(work, modalities={"hilum": ["HILUM", "127.0.0.1", first], "second": ["SECOND", "127.0.0.1", second]},
                      DefaultEncoding="Utf8")
    hilum = Hilum(work, f'peers = ( {orthanc_peer % orthanc.port} );\n'
                  'routes = ( { name = "cr"; where = "Modality=CR"; send = ( "orthanc" ); } );', port=first)
    return hilum, Hilum(work, dicom='aet = "SECOND";', port=second), orthanc


def store(server, paths):
    return subprocess.run(["storescu", "-aec", server.aet, "127.0.0.1", str(server.port), *paths],
                          capture_output=True).returncode


def move(server, called, destination, study):
    return subprocess.run(["movescu", "-S", "-aet", "MOVER", "-aec", called, "-aem", destination, "127.0.0.1",
                           str(server.port), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"],
                          capture_output=True, text=True)


# ---- Orthanc is the SCU


def test_orthanc_stores(work, hilum, orthanc):
    sent = {}
    for study in ("1", "3", "4"):
        sent.update(originals(work, ROOT + study))
    for part10 in sent.values():
        orthanc.rest("/instances", body=part10)
    special = nested(work)
    orthanc.rest("/instances", body=special)
    result = orthanc.rest("/modalities/hilum/store", body=orthanc.rest("/studies"))
    equal("Orthanc's C-STORE", (len(sent) + 1, 0), (result["InstancesCount"], result["FailedInstancesCount"]))
    for study in ("1", "3", "4"):
        same(f"C-STORE by Orthanc, study {study}", originals(work, ROOT + study), export(hilum, work, ROOT + study))
    found = export(hilum, work, ROOT + "70")[ROOT + "70.1.1"]
    read = [pydicom.dcmread(io.BytesIO(b)) for b in (special, found)]
    equal("nested object tag by tag", read[0], read[1])
    clear(orthanc)


def ask(orthanc, level="Study", **keys):
    query = orthanc.rest("/modalities/hilum/query", body={"Level": level, "Query": keys})["ID"]
    rows = [orthanc.rest(f"/queries/{query}/answers/{i}/content?simplify") for i in orthanc.rest(f"/queries/{query}/answers")]
    return query, rows


def test_orthanc_finds(orthanc):
    wanted = {"StudyInstanceUID": "", "PatientName": "", "PatientID": "", "StudyDate": "", "AccessionNumber": "",
              "ModalitiesInStudy": "", "NumberOfStudyRelatedInstances": ""}
    names = {"1": "WANG^XIAOMING=王^小明", "3": "Müller^Jürgen", "4": "YAMADA^TARO=山田^太郎=やまだ^たろう"}
    for study, name in names.items():
        _, answers = ask(orthanc, **dict(wanted, StudyInstanceUID=ROOT + study))
        equal(f"answers for study {study}", 1, len(answers))
        equal(f"name of study {study}", name, answers[0]["PatientName"] if answers else None)
    _, answers = ask(orthanc, **dict(wanted, AccessionNumber="ACC1"))
    equal("study of ACC1", [(ROOT + "1", "PID-1", "20240105", "CT", "3")],
          [(a["StudyInstanceUID"], a["PatientID"], a["StudyDate"], a["ModalitiesInStudy"],
            a["NumberOfStudyRelatedInstances"]) for a in answers])
    for name, study in (("王*", "1 70"), ("*小明", "1 70"), ("山田*", "4"), ("やまだ*", "4"), ("Müller*", "3"),
                        ("müller^jürgen", "3"), ("NOBODY*", "")):
        _, answers = ask(orthanc, **dict(wanted, PatientName=name))
        equal(f"studies of {name}", sorted(ROOT + s for s in study.split()), sorted(a["StudyInstanceUID"] for a in answers))
    _, answers = ask(orthanc, **dict(wanted, StudyDate="20240101-20240131"))
    equal("a month", sorted(ROOT + s for s in ("1", "4", "70")), sorted(a["StudyInstanceUID"] for a in answers))
    _, answers = ask(orthanc, "Series", StudyInstanceUID=ROOT + "1", SeriesInstanceUID="", SeriesNumber="")
    equal("series of a study", [ROOT + "1.1", ROOT + "1.2"], sorted(a["SeriesInstanceUID"] for a in answers))
    _, answers = ask(orthanc, "Instance", StudyInstanceUID=ROOT + "1", SeriesInstanceUID=ROOT + "1.1", SOPInstanceUID="")
    equal("images of a series", [ROOT + "1.1.1", ROOT + "1.1.2"], sorted(a["SOPInstanceUID"] for a in answers))


def test_orthanc_retrieves(work, orthanc):
    query, _ = ask(orthanc, StudyInstanceUID=ROOT + "1", PatientID="")
    orthanc.rest(f"/queries/{query}/retrieve", body={"TargetAet": "ORTHANC", "Synchronous": True})
    same("Orthanc's C-MOVE to itself", originals(work, ROOT + "1"), objects_of_orthanc(orthanc))
    clear(orthanc)


# ---- Hilum is the SCU


def outbound(server, peer):
    return [a for a in server.cli("peer", "trace", peer) if a["direction"] == "out"]


def test_trace_of_requests(hilum, orthanc):
    """What Hilum requested is remembered like what came in: accepted, in part, in vain."""
    echo = outbound(hilum, "orthanc")[-1]  # of main(), the oldest
    equal("an echo in the trace", ("accepted", "ORTHANC", False, "released", 1, ["1.2.840.10008.1.2"]),
          (echo["result"], echo["called_aet"], echo["tls"], echo["ended"], echo["messages"], [c.get("accepted") for c in echo["contexts"]]))
    sent = [a for a in outbound(hilum, "orthanc") if a["contexts"][0]["name"] != "Verification"][0]
    equal("Orthanc's answer to each context", True, all(c["accepted"] in c["proposed"] for c in sent["contexts"]))
    orthanc.kill()
    hilum.cli("peer", "echo", "orthanc", check=False)
    gone = outbound(hilum, "orthanc")[0]
    equal("an Orthanc that is gone", ("failed", True, ["Verification"]),
          (gone["result"], "Connection refused" in gone["why"], [c["name"] for c in gone["contexts"]]))


def test_hilum_sends(work, hilum, orthanc):
    expected = originals(work, ROOT + "4")
    hilum.cli("study", "send", ROOT + "4", "orthanc")
    until(lambda: len(orthanc.rest("/instances")) == len(expected))
    same("hilum study send", expected, objects_of_orthanc(orthanc))
    clear(orthanc)
    hilum.cli("study", "send", "NESTED", "orthanc")
    until(lambda: orthanc.rest("/instances"))
    same("nested object sent back", export(hilum, work, ROOT + "70"), objects_of_orthanc(orthanc))
    clear(orthanc)


def test_hilum_routes(work, hilum, orthanc):
    expected = originals(work, ROOT + "8")  # CR
    others = originals(work, ROOT + "5")    # CT: no route
    equal("stored at Hilum", 0, store(hilum, [f"{work}/data/{uid}.dcm" for uid in [*others, *expected]]))
    until(lambda: len(orthanc.rest("/instances")) >= len(expected))
    until(lambda: not hilum.cli("job", "list", "--state", "waiting"))
    same("route", expected, objects_of_orthanc(orthanc))
    clear(orthanc)


def test_moves(work, hilum, second, orthanc):
    done = move(hilum, "HILUM", "ORTHANC", ROOT + "3")
    equal("movescu at Hilum", 0, done.returncode)
    same("movescu at Hilum to Orthanc", originals(work, ROOT + "3"), objects_of_orthanc(orthanc))
    done = move(orthanc, "ORTHANC", "SECOND", ROOT + "3")
    equal("movescu at Orthanc", 0, done.returncode)
    same("movescu at Orthanc to Hilum", originals(work, ROOT + "3"), export(second, work, ROOT + "3"))


def main():
    work = tempfile.mkdtemp(prefix="hilum-orthanc-")
    subprocess.run([sys.executable, f"{HERE}/make_find_data.py", f"{work}/data"], check=True)
    servers = start(work)
    hilum, second, orthanc = servers
    try:
        equal("Orthanc's C-ECHO", {}, orthanc.rest("/modalities/hilum/echo", body={}))
        equal("Hilum's C-ECHO", "orthanc", str(hilum.cli("peer", "echo", "orthanc").get("peer")))
        test_orthanc_stores(work, hilum, orthanc)
        test_orthanc_finds(orthanc)
        test_orthanc_retrieves(work, orthanc)
        test_hilum_sends(work, hilum, orthanc)
        test_hilum_routes(work, hilum, orthanc)
        test_moves(work, hilum, second, orthanc)
        test_trace_of_requests(hilum, orthanc)
        equal("Hilum stops", (0, 0), (hilum.stop(), second.stop()))
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)
    verdict()


main()
