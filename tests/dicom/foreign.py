#!/usr/bin/env python3
"""Two more upper layers that are nobody's kin: Odil (C++, its own PS3.8) and the Central Test Node of 1993 (C), each as
sender, finder and receiver. Both write objects anew, so what arrives is compared tag by tag.
SPDX-License-Identifier: Apache-2.0"""
import glob, io, os, shutil, subprocess, sys, tempfile

import pydicom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import ROOT, equal, export, originals, until, verdict
from peers import Hilum, free_port, wait_for_line

NAMES = {"1": "WANG^XIAOMING=王^小明", "3": "Müller^Jürgen", "4": "YAMADA^TARO=山田^太郎=やまだ^たろう"}
ACCESSIONS = {"1": "ACC1", "3": "ACC-3", "4": "ACC4"}


def run(*argv):
    return subprocess.run(argv, capture_output=True, text=True, timeout=60)


def files_of(folder):
    """{UID: bytes} of all files below."""
    paths = (p for p in glob.glob(f"{folder}/**/*", recursive=True) if os.path.isfile(p))
    return {os.path.basename(p).removesuffix(".dcm"): open(p, "rb").read() for p in paths}


def read(part10):
    return pydicom.dcmread(io.BytesIO(part10), force=True)


def alike(what, expected, found):
    """Tag by tag; group lengths are a writer's own."""
    equal(f"{what}: objects", sorted(expected), sorted(found))
    for uid in sorted(set(expected) & set(found)):
        here, there = ({str(e.tag): (e.VR, e.value) for e in read(f) if e.tag.element} for f in (expected[uid], found[uid]))
        equal(f"{what}: {uid}", here, there)


def is_listening(port):
    """Without knocking: simple_storage ends when somebody connects and says nothing."""
    return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(open("/proc/net/tcp"))[1:])


def jobs_done(hilum):
    return not [j for state in ("waiting", "running") for j in hilum.cli("job", "list", "--state", state)]


def send(what, hilum, study, peer, folder, work):
    """Hilum is the SCU: by `study send`, then by a C-MOVE somebody else asks for."""
    hilum.cli("study", "send", ROOT + study, peer.lower())
    equal(f"{what}: jobs end", True, until(lambda: jobs_done(hilum)))
    alike(f"{what} receives", originals(work, ROOT + study), files_of(folder))
    shutil.rmtree(folder)
    os.makedirs(folder)
    done = run("movescu", "-S", "-aet", "MOVER", "-aec", "HILUM", "-aem", peer, "127.0.0.1", str(hilum.port), "-k",
               "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={ROOT}{study}")
    equal(f"{what}: movescu", 0, done.returncode)
    alike(f"{what} is moved to", originals(work, ROOT + study), files_of(folder))


# ---- Odil


def odil(hilum, verb, *words):
    return run("odil", verb, "127.0.0.1", str(hilum.port), "ODIL", "HILUM", *words)


def test_odil_asks(work, hilum):
    equal("odil echo", 0, odil(hilum, "echo").returncode)
    for study, name in NAMES.items():
        files = sorted(glob.glob(f"{work}/data/{ROOT}{study}.*.dcm"))
        out = odil(hilum, "store", *files)
        equal(f"odil store {study}", (0, ""), (out.returncode, out.stdout))
        alike(f"stored by odil: {study}", originals(work, ROOT + study), export(hilum, work, ROOT + study))
        for key in (f"PatientName={name.split('=')[0]}", f"AccessionNumber={ACCESSIONS[study]}"):
            keys = {k: f"{k}=" for k in ("StudyInstanceUID", "PatientName", "AccessionNumber")}
            keys[key.split("=")[0]] = key
            found = odil(hilum, "find", "study", "QueryRetrieveLevel=STUDY", *keys.values())
            equal(f"odil find {key}", (True, True), (name in found.stdout, f"'{ROOT}{study}'" in found.stdout))
    folder = tempfile.mkdtemp(dir=work)
    out = odil(hilum, "get", "-d", folder, "study", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={ROOT}1")
    equal("odil get", 0, out.returncode)
    got = {str(read(f).SOPInstanceUID): f for f in files_of(folder).values()}
    alike("odil get", originals(work, ROOT + "1"), got)


def test_odil_moves(work, hilum, port):
    """One object: Odil listens anew for each association, and Hilum may open several for more."""
    folder = tempfile.mkdtemp(dir=work)
    out = run(sys.executable, f"{HERE}/odil_peer.py", "move", str(hilum.port), str(port), ROOT + "4", folder)
    equal("odil moves to itself", (0, ""), (out.returncode, out.stderr))
    alike("odil moves to itself", originals(work, ROOT + "4"), files_of(folder))


def test_odil_receives(work, hilum, port):
    folder = tempfile.mkdtemp(dir=work)
    with open(f"{work}/odil.log", "w") as log:
        peer = subprocess.Popen([sys.executable, f"{HERE}/odil_peer.py", "receive", str(port), folder], stdout=log, stderr=log)
    try:
        wait_for_line(f"{work}/odil.log", "READY", peer)
        send("odil", hilum, "3", "ODIL", folder, work)
    finally:
        peer.kill()
        peer.wait()


# ---- the Central Test Node


def test_ctn_sends(work, hilum):
    equal("dicom_echo", 0, run("dicom_echo", "-a", "CTN", "-c", "HILUM", "127.0.0.1", str(hilum.port)).returncode)
    expected = {**originals(work, ROOT + "5"), **originals(work, ROOT + "8")}
    out = run("send_image", "-q", "-r", "-a", "CTN", "-c", "HILUM", "127.0.0.1", str(hilum.port),
              *(f"{work}/data/{uid}.dcm" for uid in sorted(expected)))
    equal("send_image", 0, out.returncode)
    alike("stored by CTN", expected, {**export(hilum, work, ROOT + "5"), **export(hilum, work, ROOT + "8")})


def test_ctn_receives(work, hilum, port):
    folder = tempfile.mkdtemp(dir=work)
    peer = subprocess.Popen(["simple_storage", "-c", "CTN", "-s", "-f", "-i", "-x", folder, str(port)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: is_listening(port))
        send("CTN", hilum, "8", "CTN", folder, work)
    finally:
        os.killpg(peer.pid, 9)
        peer.wait()


def main():
    work = tempfile.mkdtemp(prefix="hilum-foreign-")
    subprocess.run([sys.executable, f"{HERE}/make_find_data.py", f"{work}/data"], check=True)
    ports = {name: free_port() for name in ("odil", "ctn")}
    peers = ", ".join(f'{{ name = "{n}"; aet = "{n.upper()}"; host = "127.0.0.1"; port = {p}; }}' for n, p in ports.items())
    hilum = Hilum(work, f"peers = ( {peers} );")
    try:
        test_odil_asks(work, hilum)
        test_odil_moves(work, hilum, ports["odil"])
        test_odil_receives(work, hilum, ports["odil"])
        test_ctn_sends(work, hilum)
        test_ctn_receives(work, hilum, ports["ctn"])
        equal("Hilum stops", 0, hilum.stop())
    finally:
        hilum.kill()
        shutil.rmtree(work, ignore_errors=True)
    verdict()


main()
