"""A small hospital for the tests of this folder: studies of several departments, physicians and senders, accounts and
tokens, peers, and the ways to ask. SPDX-License-Identifier: Apache-2.0"""
import base64, glob, http.client, json, os, re, struct, subprocess, sys, tempfile, urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from peers import Hilum, free_port
from wire import IMPLICIT, STUDY_FIND, Closed, Wire

ROOT = "1.2.999.5."
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# study: patient, department, referring physician, sender
STUDIES = {
    "own": ("P-1", "Cardio", "WANG^LI", "MODALITY"),
    "mixed": ("P-1", "NEURO", "SMITH^ANN", "GATE"),
    "referred": ("P-2", "NEURO", "WANG^LI^^DR", "GATE"),
    "teaching": ("P-3", "NEURO", "SMITH^ANN", "GATE"),
    "vip": ("P-4", "CARDIO", "SMITH^ANN", "GATE"),
    "foreign": ("P-5", "NEURO", "SMITH^ANN", "GATE"),
}
NAMES = {ROOT + str(i): name for i, name in enumerate(STUDIES, 1)}
UIDS = {name: uid for uid, name in NAMES.items()}


def instance(study, number=1, uid=None, study_uid=None):
    patient, department, referring, _ = STUDIES[study]
    ds = Dataset()
    ds.SOPClassUID = SECONDARY_CAPTURE
    ds.StudyInstanceUID = study_uid or UIDS[study]
    ds.SeriesInstanceUID = ds.StudyInstanceUID + ".1"
    ds.SOPInstanceUID = uid or f"{ds.SeriesInstanceUID}.{number}"
    ds.PatientID, ds.PatientName, ds.PatientBirthDate, ds.PatientSex = patient, f"PATIENT^{patient[-1]}", "19700101", "O"
    ds.StudyDate, ds.StudyTime, ds.AccessionNumber, ds.StudyID = "20260101", "101010", "A" + patient, "1"
    ds.ReferringPhysicianName, ds.InstitutionalDepartmentName = referring, department
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "OT", 1, number
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 4, 4, 8, 8, 7, 0
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.PixelData = bytes(range(16))
    return ds


def part10(ds):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta, ds.is_little_endian, ds.is_implicit_VR = meta, True, False
    with tempfile.NamedTemporaryFile(suffix=".dcm") as f:
        ds.save_as(f.name, write_like_original=False)
        return open(f.name, "rb").read()


def multipart(*files):
    body = b"".join(b"--b\r\nContent-Type: application/dicom\r\n\r\n" + f + b"\r\n" for f in files) + b"--b--\r\n"
    return body, {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


class World:
    """The server, and its clients. `roles`, `peers`, `more`: text of the configuration."""

    def __init__(self, work, roles="", peers="", more="", http="", rules="", dicom="", plugins=""):
        self.work, site = work, f"{work}/site"
        os.makedirs(f"{site}/rules")
        open(f"{site}/rules/test.lua", "w").write(rules)
        self.sink_port = free_port()
        self.hilum = Hilum(work, f'''plugins = ( {{ name = "web-dicomweb"; required = true; }}, {{ name = "auth-local"; required = true; }}, {plugins}
            {{ name = "http"; required = true; options = {{ unknown_clients = "refuse"; max_sign_in_failures = 100000; {http or 'listen = "127.0.0.1:0";'} }}; }},
            {{ name = "store-fs"; options = {{ segment = "2MiB"; segments = 2; }}; }} );
            roles = ( {roles} ); peers = ( {peers.replace("SINKPORT", str(self.sink_port))} ); {more}''', dicom=dicom, site=site)
        ready = next(line for line in open(f"{self.hilum.dir}/log", errors="replace") if line.startswith("READY"))
        self.base = re.search(r" http=(\S+)", ready).group(1)
        self.url = urllib.parse.urlparse(self.base)

    # ---- HTTP ----

    def request(self, method, path, headers=None, body=None, source=None):
        connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=30,
                                                source_address=(source, 0) if source else None)
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, answer

    def token(self, roles, *more):
        return {"Authorization": "Bearer " + self.hilum.cli("token", "create", "t", roles, *more)["token"]}

    def person(self, name, roles, display="", departments="", password="correct horse staple"):
        """An account with a password of its own; what a Basic sign-in sends."""
        first = self.hilum.cli("user", "create", name, roles)["password"]
        if display or departments:
            self.hilum.cli("user", "describe", name, display, departments)
        session = Session(self, name, first)
        assert session.form("/auth/password", old=first, new=password)[0] == 204
        return {"Authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}

    def studies(self, who, query=""):
        status, body, _ = self.request("GET", "/dicom-web/studies" + query, who)
        return sorted(NAMES.get(s["0020000D"]["Value"][0], "?") for s in json.loads(body)) if status == 200 else [] if status == 204 else status

    # ---- DIMSE ----

    def store(self, aet, *files, options=()):
        return statuses(subprocess.run(["storescu", "-d", "-aet", aet, "-aec", "HILUM", *options, "127.0.0.1", str(self.hilum.port), *files],
                                       capture_output=True, text=True).stderr)

    def find(self, aet, *keys, model="-S", options=()):
        folder = tempfile.mkdtemp(dir=self.work)
        words = [w for key in keys for w in ("-k", key)]
        out = subprocess.run(["findscu", "-d", model, "-aet", aet, "-aec", "HILUM", *options, "-X", "-od", folder, *words,
                              "127.0.0.1", str(self.hilum.port)], capture_output=True, text=True).stderr
        answers = [pydicom.dcmread(p, force=True) for p in sorted(glob.glob(folder + "/*"))]
        return answers, statuses(out)

    def retrieve(self, tool, aet, *keys, to=None, options=()):
        folder = tempfile.mkdtemp(dir=self.work)
        words = [w for key in keys for w in ("-k", key)]
        where = ["-aem", to] if to else ["-od", folder]
        out = subprocess.run([tool, "-d", "-S", "-aet", aet, "-aec", "HILUM", *options, *where, "127.0.0.1", str(self.hilum.port), *words],
                             capture_output=True, text=True)
        return len(glob.glob(folder + "/*")), statuses(out.stderr + out.stdout)

    def find_as(self, aet, *identity):
        """Studies a peer finds for a user, and whether the user was confirmed; "reject R/S/R"."""
        with Wire(self.hilum.port) as wire:
            try:
                accepted = wire.associate([(1, STUDY_FIND, [IMPLICIT])], calling=aet, identity=identity)
            except Closed as why:
                return str(why), None
            if 1 not in accepted:
                return "refused", wire.is_user_confirmed
            key = struct.pack("<HHI", 8, 0x52, 6) + b"STUDY " + struct.pack("<HHI", 0x20, 0x0D, 0)
            answers, _ = wire.find(1, key)
            uids = [re.search(rb"1\.2\.999\.5\.[0-9]+", a).group().decode() for a in answers]
            return sorted(NAMES[u] for u in uids), wire.is_user_confirmed

    def audit(self, **filters):
        words = [w for key, value in filters.items() for w in ("--" + key, value)]
        return self.hilum.cli_items("audit", "find", *words)[0]


def statuses(text):
    """The last DIMSE status DCMTK printed, "rejected" where there was no association."""
    found = re.findall(r"DIMSE Status\s*: 0x([0-9a-fA-F]{4})", text)
    if not found:
        return "rejected" if "Rejected" in text or "Failed to establish" in text or "No Acceptable" in text.title() else "none"
    return found[-1]


class Session:
    """A browser that has signed in."""

    def __init__(self, world, user, password):
        self.world = world
        body = urllib.parse.urlencode({"user": user, "password": password})
        status, content, answer = world.request("POST", "/auth/login", {"Content-Type": "application/x-www-form-urlencoded"}, body)
        assert status == 200, (status, content)
        self.csrf = json.loads(content)["csrf"]
        self.cookie = answer.getheader("Set-Cookie").split(";")[0]

    def headers(self):
        return {"Cookie": self.cookie, "X-Hilum-CSRF": self.csrf}

    def form(self, path, **fields):
        return self.world.request("POST", path, {**self.headers(), "Content-Type": "application/x-www-form-urlencoded"},
                                  urllib.parse.urlencode(fields))
