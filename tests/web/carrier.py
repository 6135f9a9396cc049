#!/usr/bin/env python3
"""Hilum as DICOMweb client (plugin dicomweb-client): it sends to Orthanc by STOW-RS, by hand and by a route, fetches from
there by WADO-RS, and from another Hilum over TLS with a token; what cannot be reached waits. SPDX-License-Identifier: Apache-2.0"""
import json, os, re, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import equal, export, originals, same, uid_of, until, verdict
from peers import Hilum, Orthanc, free_port

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STUDY, OTHER = "1.2.999.1", "1.2.999.2"
CLIENT = '{ name = "dicomweb-client"; required = true; }'


def http_of(hilum):
    return re.search(r" http=(\S+)", open(f"{hilum.dir}/log").read()).group(1)


def jobs(hilum):
    return hilum.cli("job", "list", "--all")


def ended(hilum, job):
    """State and result of a job once it has either."""
    found = [j for j in jobs(hilum) if j["id"] == job]
    return found and (found[0]["state"] in ("done", "failed") or found[0]["result"]) and found[0]


def wait_job(hilum, job):
    until(lambda: ended(hilum, job))
    return ended(hilum, job)


def in_orthanc(orthanc, study):
    ids = orthanc.rest("/tools/find", {"Level": "Instance", "Query": {"StudyInstanceUID": study}})
    return {uid_of(f): f for f in (orthanc.rest(f"/instances/{i}/file", raw=True) for i in ids)}


def certificate(work):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{work}/key.pem",
                    "-out", f"{work}/cert.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, capture_output=True)


def main(work):
    subprocess.run([sys.executable, f"{HERE}/../dicom/make_find_data.py", f"{work}/data"], check=True, stdout=subprocess.DEVNULL)
    certificate(work)
    orthanc = Orthanc(work, Plugins=[PLUGIN], DefaultEncoding="Utf8", DicomWeb={"Enable": True, "Root": "/dicom-web/"})
    theirs = f"http://127.0.0.1:{orthanc.http_port}/dicom-web/"
    https, closed = free_port(), free_port()
    first = Hilum(work, f'''plugins = ( {CLIENT}, {{ name = "web-dicomweb"; required = true; }}, {{ name = "auth-local"; required = true; }},
        {{ name = "http"; required = true; options = {{ listen = "tls:127.0.0.1:{https}"; certificate = "{work}/cert.pem"; key = "{work}/key.pem"; }}; }} );
        peers = ( {{ name = "ORTHANC"; aet = "ORTHANC"; url = "{theirs}"; }},
                  {{ name = "BOTH"; aet = "BOTH"; host = "127.0.0.1"; port = {closed}; url = "{theirs}"; }},
                  {{ name = "AWAY"; aet = "AWAY"; url = "http://127.0.0.1:{closed}/dicom-web"; }} );
        routes = ( {{ name = "web"; where = "StudyInstanceUID={OTHER}"; send = ( "BOTH" ); via = "dicomweb"; }} );''')
    sent, routed = originals(work, STUDY), originals(work, OTHER)
    for uid in list(sent) + list(routed):
        first.cli_items("import", f"{work}/data/{uid}.dcm")

    equal("a study is queued", len(sent), first.cli("study", "send", STUDY, "ORTHANC")["queued"])
    equal("and comes to Orthanc", True, until(lambda: len(in_orthanc(orthanc, STUDY)) == len(sent)))
    same("STOW-RS to Orthanc", sent, in_orthanc(orthanc, STUDY))
    equal("a route with via comes there", True, until(lambda: len(in_orthanc(orthanc, OTHER)) == len(routed)))
    same("STOW-RS by a route", routed, in_orthanc(orthanc, OTHER))
    equal("as done jobs", True, until(lambda: all(j["state"] == "done" and "STOW-RS" in j["result"] for j in jobs(first)
                                                  if j["lane"] in ("ORTHANC", "BOTH"))))
    first.cli("study", "send", STUDY, "AWAY")
    equal("what cannot be reached", True, until(lambda: [j for j in jobs(first) if j["lane"] == "AWAY" and j["result"]]))
    equal("waits, and no attempt is counted", {("waiting", 0)}, {(j["state"], j["attempts"]) for j in jobs(first) if j["lane"] == "AWAY"})

    token = first.cli("token", "create", "archive2", "administrator")["token"]
    for name, text in (("token", token), ("wrong", "x" * len(token))):
        with open(f"{work}/{name}", "w") as f:
            f.write(text + "\n")
    tls = f'tls = {{ ca = "{work}/cert.pem"; }};'
    second = Hilum(work, f'''plugins = ( {CLIENT} );
        peers = ( {{ name = "ORTHANC"; aet = "ORTHANC"; url = "{theirs}"; }},
                  {{ name = "FIRST"; aet = "HILUM"; url = "https://localhost:{https}/dicom-web"; token_file = "{work}/token"; {tls} }},
                  {{ name = "WRONG"; aet = "HILUM"; url = "https://localhost:{https}/dicom-web"; token_file = "{work}/wrong"; retry_first = "500ms"; retry_max = "500ms"; {tls} }},
                  {{ name = "NOCA"; aet = "HILUM"; url = "https://localhost:{https}/dicom-web"; token_file = "{work}/token"; }} );''')
    row = first.cli("study", "find", "--uid", STUDY)[0]
    found = second.cli("peer", "find", "ORTHANC", "--uid", STUDY)
    equal("a study is found at Orthanc", [row[k] for k in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber")],
          [found[0][k] for k in ("StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "AccessionNumber")])
    equal("by the beginning of a name", True, STUDY in [f["StudyInstanceUID"] for f in second.cli("peer", "find", "ORTHANC", row["PatientName"].split("^")[0][:3])])
    equal("nothing of that name", [], second.cli("peer", "find", "ORTHANC", "No&body=100%^X"))
    equal("at Hilum, by TLS", {STUDY, OTHER}, {f["StudyInstanceUID"] for f in second.cli("peer", "find", "FIRST")})
    equal("no more than asked for", 1, len(second.cli("peer", "find", "FIRST", "--limit", "1")))
    for peer, words in (("WRONG", "401"), ("NOCA", "certificate"), ("NOBODY", "no such peer")):
        out = subprocess.run([f"{second.build}/bin/hilum", "--data", second.data, "peer", "find", peer], capture_output=True, text=True)
        equal(f"{peer}: nothing is found, and why is told", (1, True), (out.returncode, words in out.stderr))
    rows = second.cli_items("audit", "find", "--action", "peer.find")[0]
    equal("who looked for whom is in the record", True, any(r["what"] == "ORTHANC" and STUDY in json.dumps(r["after"]) for r in rows))
    job = wait_job(second, second.cli("study", "retrieve", STUDY, "ORTHANC")["job"])
    equal("a study is fetched from Orthanc", "done", job["state"])
    same("WADO-RS from Orthanc", sent, export(second, work, STUDY))
    series = first.cli("study", "retrieve", "1.2.3.4", "ORTHANC")["job"]
    equal("what is not there fails for good", "failed", wait_job(first, series)["state"])
    for peer, words in (("WRONG", "answers 401"), ("NOCA", "certificate")):
        job = wait_job(second, second.cli("study", "retrieve", OTHER, peer)["job"])
        equal(f"{peer}: nothing is fetched, and why is told", True, words in job["result"])
        equal(f"{peer}: it waits", True, until(lambda: ended(second, job["id"])["state"] == "waiting"))
    job = wait_job(second, second.cli("study", "retrieve", OTHER, "FIRST")["job"])
    equal("by TLS, with a token", "done", job["state"])
    same("WADO-RS from Hilum", routed, export(second, work, OTHER))
    with open(f"{work}/wrong", "w") as f:
        f.write(token + "\n")
    equal("a token that is put right", True, until(lambda: all(j["state"] == "done" for j in jobs(second) if j["lane"] == "retrieve:WRONG")))
    second.cli("study", "send", STUDY, "FIRST")
    equal("STOW-RS to Hilum: known already", True, until(lambda: all(j["state"] == "done" for j in jobs(second) if j["lane"] == "FIRST")))
    equal("no token in the log", False, token in open(f"{second.dir}/log").read())
    for server in (first, second):
        equal("Hilum stops", 0, server.stop())
    orthanc.stop()
    verdict()


with tempfile.TemporaryDirectory(prefix="hilum-web-") as directory:
    main(directory)
