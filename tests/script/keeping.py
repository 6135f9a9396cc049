#!/usr/bin/env python3
"""Two store-fs in one server. Rules choose the cold one before and after the bytes have come, and the policy for other
content under a known UID; what is current, earlier and exported is compared with what was sent."""
import os, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, skip

try:
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
except ImportError:
    skip("python3-pydicom is not installed")

RULES = """
hilum.on { event = "instance.offered", phase = "filter", name = "site/by-sender", where = "calling_aet=COLDSENDER",
  run = function(ev) ev:store("cold") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/by-header", where = "Modality=OT",
  run = function(ev) ev:store("cold") end }
hilum.on { event = "instance.received", phase = "transform", name = "site/edit-and-move", where = "Modality=XA",
  run = function(ev) ev:set("InstitutionName", "Clinic") ev:store("cold") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/versions", where = "Modality=SR",
  run = function(ev) ev:duplicates("version") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/replaces", where = "Modality=US",
  run = function(ev) ev:duplicates("replace") end }
"""
PLUGINS = """plugins = (
  { name = "store-fs"; options = { root = "objects"; segment = "4MiB"; segments = 3; memory = "8MiB"; }; },
  { name = "store-cold"; plugin = "store-fs";
    options = { root = "cold"; store = "cold"; intake = "files"; }; } );"""

failures = []


def check(what, is_so):
    if not is_so:
        failures.append(what)
        print("FAILED:", what)


def make(path, number, modality, text, study="1.2.826.0.1.77.1", sop=None, patient="P77"):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    meta.MediaStorageSOPInstanceUID = sop or f"1.2.826.0.1.77.4.{number}"
    meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
    data = Dataset()
    data.file_meta = meta
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    data.Modality, data.PatientID, data.PatientName = modality, patient, "Keep^Test"
    data.StudyInstanceUID, data.SeriesInstanceUID = study, f"{study}.{modality}"[:64].replace(modality, str(sum(map(ord, modality))))
    data.InstanceNumber, data.ImageComments = str(number), text
    data.StudyDescription = text
    data.is_little_endian, data.is_implicit_VR = True, False
    data.save_as(path, write_like_original=False)
    return data


def send(server, path, aet="SENDER"):
    out = subprocess.run(["storescu", "-aet", aet, "-aec", "HILUM", "127.0.0.1", str(server.port), path],
                         capture_output=True, text=True)
    check(f"storescu {os.path.basename(path)}: {out.stderr}", out.returncode == 0)


def has_objects(folder, n):
    """Final names are given after the answer: no event tells when."""
    end = time.time() + 10
    while time.time() < end:
        if sum(len(files) for _, _, files in os.walk(f"{folder}/objects")) == n:
            return True
        time.sleep(0.02)
    return False


def comments(server, work, *options):
    where = tempfile.mkdtemp(dir=work) + "/x"
    server.cli("export", *options[:1], where, *options[1:])
    return sorted(str(pydicom.dcmread(f"{where}/{name}").ImageComments) for name in os.listdir(where))


def stores(server, work):
    cold = f"{server.data}/cold"
    make(f"{work}/a.dcm", 1, "CT", "default")
    send(server, f"{work}/a.dcm")
    check("the default store keeps what no rule moves", has_objects(cold, 0))
    make(f"{work}/b.dcm", 2, "CT", "by sender")
    send(server, f"{work}/b.dcm", "COLDSENDER")
    check("chosen on instance.offered", has_objects(cold, 1))
    make(f"{work}/c.dcm", 3, "OT", "by header")
    send(server, f"{work}/c.dcm")
    check("chosen on instance.received", has_objects(cold, 2))
    make(f"{work}/d.dcm", 4, "XA", "edited")
    send(server, f"{work}/d.dcm")
    check("edited and moved", has_objects(cold, 3))
    found = comments(server, work, "1.2.826.0.1.77.1")
    exported = tempfile.mkdtemp(dir=work) + "/x"
    server.cli("export", "1.2.826.0.1.77.1", exported)
    clinics = [str(getattr(pydicom.dcmread(f"{exported}/{n}"), "InstitutionName", "")) for n in os.listdir(exported)]
    check(f"the edit is in what leaves: {clinics}", clinics.count("Clinic") == 1)
    check(f"all leave again: {found}", found == ["by header", "by sender", "default", "edited"])


def policies(server, work):
    study = "1.2.826.0.1.77.2"
    for n in (1, 2, 3):
        make(f"{work}/sr{n}.dcm", n, "SR", f"report {n}", study, f"{study}.4.1")
        send(server, f"{work}/sr{n}.dcm")
        make(f"{work}/us{n}.dcm", n, "US", f"image {n}", study, f"{study}.4.2")
        send(server, f"{work}/us{n}.dcm")
        make(f"{work}/ct{n}.dcm", n, "CT", f"scan {n}", study, f"{study}.4.3")
        send(server, f"{work}/ct{n}.dcm")
    current = ["image 3", "report 3", "scan 1"]
    check("the newcomer is current where a rule says so", comments(server, work, study) == current)
    rows = server.cli("study", "versions", study)
    states = {uid: [r["state"] for r in rows if r["SOPInstanceUID"] == f"{study}.4.{uid}"] for uid in (1, 2, 3)}
    check(f"versions: {states}", states == {1: ["earlier", "earlier", "current"],
                                            2: ["to be erased", "to be erased", "current"],
                                            3: ["current", "quarantine", "quarantine"]})
    one = comments(server, work, study, "--instance", f"{study}.4.1", "--number", "1")
    check(f"an earlier version is exported: {one}", one == ["report 1"])
    held = server.cli("quarantine", "list")
    check(f"quarantine holds the others: {held}", len(held) == 2)
    make(f"{work}/us9.dcm", 9, "US", "elsewhere", "1.2.826.0.1.77.3", f"{study}.4.2")
    send(server, f"{work}/us9.dcm")
    why = [r["reason"] for r in server.cli("quarantine", "list") if r["SOPInstanceUID"] == f"{study}.4.2"]
    check(f"another study is a person's decision: {why}", len(why) == 1 and "in another study" in why[0])
    actions = [r["action"] for r in server.cli("study", "explain", study)["audit"]]
    check(f"audited: {actions}", actions.count("instance.version") == 2 and actions.count("instance.replace") == 2)
    return current


def main():
    work = tempfile.mkdtemp(prefix="hilum-keeping-")
    site = tempfile.mkdtemp(dir=work)
    os.mkdir(f"{site}/rules")
    with open(f"{site}/rules/site.lua", "w") as f:
        f.write(RULES)
    server = Hilum(work, PLUGINS, site=site)
    try:
        check("rules are sound", server.cli("check")["faults"] == [])
        stores(server, work)
        current = policies(server, work)
        check("fsck finds nothing", server.cli("archive", "fsck")["faults"] == 0)
        server.stop()
        server.again()
        check("the same after a restart", comments(server, work, "1.2.826.0.1.77.2") == current)
        with open(f"{site}/rules/site.lua", "a") as f:
            f.write('hilum.on { event = "instance.received", phase = "filter", name = "site/typo",\n'
                    '  run = function(ev) ev:store("cald") end }\n')
        faults = server.cli("check", check=False)["faults"]
        check(f"a store that is not there is a fault: {faults}", len(faults) == 1 and '"cald"' in faults[0])
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{'1 failed' if failures else '1 passed'}: {len(failures)} faults")
    return 1 if failures else 0


sys.exit(main())
