#!/usr/bin/env python3
"""Grants by study: what roles see of the archive by department, referring physician, labels and senders, the same over
every face; and the broken glass. SPDX-License-Identifier: Apache-2.0"""
import http.client, json, os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pydicom.dataset import Dataset
from world import NAMES, STUDIES, UIDS, Session, World, instance, multipart, part10
from judge import equal, until, verdict

ROLES = '''
  { name = "clinician"; studies = ( { departments = ( "own" ); without_labels = ( "vip" ); }, { referring = ( "own" ); } ); },
  { name = "research"; studies = ( { labels = ( "teaching" ); } ); },
  { name = "technologist"; studies = ( { senders = ( "own" ); } ); },
  { name = "chief"; studies = ( { departments = ( "own" ); } ); },
  { name = "ward"; allow = ( "find", "retrieve", "study.explain", "study.send", "export", "patient.edit", "status" ); studies = ( { departments = ( "own" ); } ); },
  { name = "nothing"; allow = ( "find", "retrieve" ); studies = ( ); }'''
PEERS = '''
  { name = "GATE"; aet = "GATE"; cidr = ( "127.0.0.0/8" ); services = ( "echo", "store" ); },
  { name = "MODALITY"; aet = "MODALITY"; cidr = ( "127.0.0.0/8" ); roles = ( "technologist" ); },
  { name = "WARD"; aet = "WARD"; host = "127.0.0.1"; port = SINKPORT; cidr = ( "127.0.0.0/8" ); roles = ( "clinician" ); departments = ( "CARDIO" ); },
  { name = "PACS"; aet = "PACS"; cidr = ( "127.0.0.0/8" ); }'''
RULES = '''
hilum.on { event = "instance.stored", name = "labels", run = function(ev)
  local labels = { ["P-3"] = "teaching", ["P-4"] = "vip" }
  if labels[ev.PatientID] then ev:tag(labels[ev.PatientID]) end
end }
hilum.on { event = "access.glass_broken", name = "tell", run = function(ev) ev:tag("broken") end }'''


def fill(world):
    for name, (_, _, _, sender) in STUDIES.items():
        for number in (1, 2):
            path = f"{world.work}/{name}{number}.dcm"
            open(path, "wb").write(part10(instance(name, number)))
            equal(f"{sender} stores {name}", "0000", world.store(sender, path))


def found(world, aet, *keys, **more):
    answers, status = world.find(aet, *keys, **more)
    return sorted(NAMES[str(a.StudyInstanceUID)] for a in answers) if status == "0000" else status


def over_http(world, wang):
    everybody = world.token("radiologist")
    equal("a role without studies sees all", sorted(STUDIES), world.studies(everybody))
    until(lambda: world.studies(world.token("research")) == ["teaching"])
    equal("by label", ["teaching"], world.studies(world.token("research")))
    equal("by department and by physician", ["own", "referred"], world.studies(wang))
    equal("of no department", [], world.studies(world.token("chief")))
    equal("a token of a department", ["own", "vip"], world.studies(world.token("chief", "--departments", "CARDIO")))
    equal("and of a physician", ["own", "referred"], world.studies(world.token("clinician", "--departments", "CARDIO", "--display", "WANG^LI")))
    equal("its list says so", True, any(t["departments"] == "CARDIO" and t["display"] == "WANG^LI" for t in world.hilum.cli("token", "list")))
    equal("no wild card of a department", None, world.hilum.cli("token", "create", "t", "chief", "--departments", "*", check=False))
    equal("of no study", 403, world.studies(world.token("nothing")))
    equal("two roles see both", ["own", "referred", "teaching"], world.studies(world.person("both", "clinician,research", "WANG^LI", "cardio")))
    equal("the limit counts what is seen", ["own", "referred"], world.studies(wang, "?limit=2"))
    equal("and the offset", 1, len(world.studies(wang, "?offset=1")))
    equal("a key does not open more", [], world.studies(wang, f"?StudyInstanceUID={UIDS['foreign']}"))
    equal("fuzzy neither", ["own", "referred"], world.studies(wang, "?PatientName=patient&fuzzymatching=true"))
    for level in ("series", "instances"):
        status, body, _ = world.request("GET", f"/dicom-web/{level}?includefield=StudyInstanceUID", wang)
        seen = {NAMES[a["0020000D"]["Value"][0]] for a in json.loads(body)}
        equal(f"all {level}", {"own", "referred"}, seen)
    for name, is_seen in (("own", True), ("referred", True), ("mixed", False), ("foreign", False), ("vip", False)):
        study, accept = "/dicom-web/studies/" + UIDS[name], {"Accept": "*/*", **wang}
        one = f"/series/{UIDS[name]}.1/instances/{UIDS[name]}.1.1"
        for path in (study, study + "/metadata", study + one, study + one + "/frames/1", study + one + "/bulkdata/7FE00010",
                     f"/wado?requestType=WADO&studyUID={UIDS[name]}&seriesUID={UIDS[name]}.1&objectUID={UIDS[name]}.1.1&contentType=application/dicom"):
            world.request("GET", path, {"Accept": "*/*", **everybody})  # whatever is remembered, is for those who may
            equal(f"{name}: {path}", 200 if is_seen else 403, world.request("GET", path, accept)[0])
        for path in (study + "/series", study + one[:one.index("/inst")] + "/instances"):
            status, body, _ = world.request("GET", path, wang)
            equal(f"{name}: {path}", is_seen, status == 200 and body.strip() not in (b"", b"[]"))
    equal("no study is no refusal", 404, world.request("GET", "/dicom-web/studies/1.2.3.4", {"Accept": "*/*", **wang})[0])
    equal("refusals are in the record", True, bool(world.audit(action="retrieve refused", what=UIDS["foreign"], who="wang")))
    return everybody


def storing(world):
    """An own study grows, a foreign one does not, whatever its instances are called."""
    zhang = world.person("zhang", "chief", "ZHANG", "CARDIO")

    def stow(path, *files):
        body, headers = multipart(*files)
        status, answer, _ = world.request("POST", path, {**headers, **zhang, "Accept": "application/dicom+json"}, body)
        failed = json.loads(answer).get("00081198", {}).get("Value", []) if answer[:1] == b"{" else []
        return status, [f["00081197"]["Value"][0] for f in failed]
    equal("into his own", (200, []), stow("/dicom-web/studies", part10(instance("own", 3))))
    equal("into a new one", (200, []), stow("/dicom-web/studies", part10(instance("foreign", study_uid="1.2.999.5.77"))))
    equal("into a foreign one", (409, [0x0124]), stow("/dicom-web/studies", part10(instance("foreign", 3))))
    equal("named in the path", 403, stow("/dicom-web/studies/" + UIDS["foreign"], part10(instance("foreign", 3)))[0])
    equal("what is known of a foreign one, as of his own", (409, [0x0124]),
          stow("/dicom-web/studies", part10(instance("own", uid=UIDS["foreign"] + ".1.1"))))


def over_dicom(world):
    study, uid = "0008,0052=STUDY", "0020,000D"
    equal("a peer without roles sees all", sorted(STUDIES), [n for n in found(world, "PACS", study, uid, "0008,0020=20260101") if n != "?"])
    equal("a ward sees its department", ["own"], found(world, "WARD", study, uid))
    equal("a modality sees what it sent", ["own"], found(world, "MODALITY", study, uid))
    equal("a sender sees nothing", "rejected", world.find("GATE", study, uid)[1])
    answers, _ = world.find("WARD", "0008,0052=PATIENT", "0010,0020", "0020,1200", model="-P")
    equal("patients of its studies, without counts", [("P-1", "")],
          [(str(a.PatientID), str(a.get("NumberOfPatientRelatedStudies", "") or "")) for a in answers])
    equal("images of a foreign series", [], world.find("WARD", "0008,0052=IMAGE", f"0020,000D={UIDS['foreign']}",
                                                       f"0020,000E={UIDS['foreign']}.1", "0008,0018")[0])
    for tool, aet, name, n, status in (("getscu", "WARD", "own", 3, "0000"), ("getscu", "WARD", "foreign", 0, "0124"),
                                       ("getscu", "MODALITY", "own", 3, "0000"), ("getscu", "MODALITY", "vip", 0, "0124"),
                                       ("getscu", "PACS", "foreign", 2, "0000")):
        equal(f"{tool} {aet} {name}", (n, status), world.retrieve(tool, aet, study, f"{uid}={UIDS[name]}"))
    # C-MOVE: the requester may retrieve, and the destination receive.
    equal("a move the requester may not", "0124", world.retrieve("movescu", "WARD", study, f"{uid}={UIDS['foreign']}", to="WARD")[1])
    equal("a move the destination may not have", "0124", world.retrieve("movescu", "PACS", study, f"{uid}={UIDS['foreign']}", to="WARD")[1])
    equal("nobody is there, but it was let through", "a702", world.retrieve("movescu", "PACS", study, f"{uid}={UIDS['own']}", to="WARD")[1])
    until(lambda: any("0124" in json.dumps(r) for r in world.audit(action="retrieve", what=UIDS["foreign"])))
    equal("audited", True, any("0124" in json.dumps(r) for r in world.audit(action="retrieve", what=UIDS["foreign"])))
    path = f"{world.work}/foreign3.dcm"
    open(path, "wb").write(part10(instance("foreign", 3)))
    equal("a modality stores into a foreign study", "0124", world.store("MODALITY", path))


def by_commands(world):
    """Commands over HTTP reach the studies the roles reach, and no further."""
    nurse = world.person("nurse", "ward", "NURSE", "CARDIO")
    work = world.work

    def run(name, **arguments):
        status, body, _ = world.request("POST", "/api/commands/" + name, {**nurse, "Content-Type": "application/json"}, json.dumps(arguments))
        return status, json.loads(body)
    seen = run("study/find")[1]["result"]
    equal("study find", True, UIDS["own"] in json.dumps(seen) and UIDS["foreign"] not in json.dumps(seen))
    equal("study explain", 200, run("study/explain", study=UIDS["own"])[0])
    status, why = run("study/explain", study=UIDS["foreign"])
    equal("of a foreign one", (403, True), (status, "do not reach this study" in why["detail"]))
    equal("one that is not here", 404, run("study/explain", study="1.2.3.4")[0])
    equal("study versions", (200, 403), (run("study/versions", study=UIDS["own"])[0], run("study/versions", study=UIDS["foreign"])[0]))
    equal("of an instance, for who sees all only", 404, run("study/versions", study=UIDS["foreign"] + ".1.1")[0])
    equal("study send", (200, 403), (run("study/send", study=UIDS["own"], peer="WARD")[0], run("study/send", study=UIDS["foreign"], peer="WARD")[0]))
    equal("export", (200, 403), (run("export", study=UIDS["own"], dir=work + "/out")[0], run("export", study=UIDS["foreign"], dir=work + "/out2")[0]))
    equal("nothing was written", False, os.path.exists(work + "/out2"))
    equal("of all patients", 403, run("patient/edit", patient="P-1", set=["PatientName=X"], why="no")[0])
    equal("nothing of its roles", 403, run("job/list")[0])
    equal("refusals are in the record", True, bool(world.audit(action="study.explain refused", what=UIDS["foreign"], who="nurse")))
    equal("the export too", True, bool(world.audit(action="export refused", what=UIDS["foreign"], who="nurse")))
    heard(world, nurse)


def heard(world, nurse):
    """Events of studies somebody may not see are not told to him."""
    streams = []
    for who in (nurse, world.token("radiologist")):
        connection = http.client.HTTPConnection(world.url.hostname, world.url.port, timeout=20)
        connection.request("GET", "/api/events", headers=who)
        streams.append(connection.getresponse())
    for stream in streams:
        while b"still here" not in stream.readline():
            pass

    def come(name, uid):
        NAMES[uid] = "?"
        path = f"{world.work}/{uid}.dcm"
        open(path, "wb").write(part10(instance(name, study_uid=uid)))
        equal("a new study", "0000", world.store("GATE", path))
    told = [[], []]

    def hears(i, *uids):
        while not all(uid.encode() in b"".join(told[i]) for uid in uids):
            try:
                told[i].append(streams[i].readline())
            except TimeoutError:
                return False
            if not told[i][-1]:  # the stream has ended
                return False
        return True

    come("foreign", "1.2.999.5.79")
    come("own", "1.2.999.5.78")
    # Of two studies either may be told of first.
    equal("who sees all hears of all", True, hears(1, "1.2.999.5.78", "1.2.999.5.79"))
    come("own", "1.2.999.5.80")
    equal("who sees some hears of those", True, hears(0, "1.2.999.5.78", "1.2.999.5.80"))
    equal("and of no others", False, b"1.2.999.5.79" in b"".join(told[0]))


def by_states(world, wang, everybody):
    """A state of blending names the studies it draws from: one of a study somebody sees opens no other."""
    ds = instance("own", uid=UIDS["own"] + ".9.1")
    ds.SOPClassUID, ds.Modality, ds.SeriesInstanceUID = "1.2.840.10008.5.1.4.1.1.11.8", "PR", UIDS["own"] + ".9"
    for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
                    "PhotometricInterpretation", "PixelData"):
        delattr(ds, keyword)
    part, window, step, number = Dataset(), Dataset(), Dataset(), Dataset()
    window.WindowCenter, window.WindowWidth = "8", "16"
    part.BlendingInputNumber, part.TimeSeriesBlending, part.GeometryForDisplay = 1, "FALSE", "TRUE"
    part.StudyInstanceUID, part.SeriesInstanceUID, part.SoftcopyVOILUTSequence = UIDS["foreign"], UIDS["foreign"] + ".1", [window]
    number.BlendingInputNumber = 1
    step.BlendingMode, step.BlendingDisplayInputSequence = "EQUAL", [number]
    ds.AdvancedBlendingSequence, ds.BlendingDisplaySequence, ds.PixelPresentation = [part], [step], "TRUE_COLOR"
    body, headers = multipart(part10(ds))
    equal("a state is stored", 200, world.request("POST", "/dicom-web/studies", {**world.token("administrator"), **headers}, body)[0])
    rendered = f"/dicom-web/studies/{UIDS['own']}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}/rendered"
    equal("who sees both sees it", 200, world.request("GET", rendered, {"Accept": "image/png", **everybody})[0])
    equal("a foreign study within a state", 403, world.request("GET", rendered, {"Accept": "image/png", **wang})[0])


def glass(world, wang, everybody):
    def broken(who, **fields):
        return who.form("/auth/break-glass", **fields)[0]
    session = Session(world, "wang", "correct horse staple")
    equal("no reason", 400, broken(session, study=UIDS["foreign"], reason="x"))
    equal("nothing named", 400, broken(session, reason="an emergency, no time"))
    equal("a role without it", 403, broken(Session(world, "zhang2", "correct horse staple"), study=UIDS["foreign"], reason="curious about it"))
    equal("a program", 403, world.request("POST", "/auth/break-glass", {**everybody, "Content-Type": "application/x-www-form-urlencoded"},
                                          f"study={UIDS['foreign']}&reason=because+I+can+do")[0])
    equal("another site's page", 403, world.request("POST", "/auth/break-glass", {"Cookie": session.cookie, "Content-Type": "application/x-www-form-urlencoded"},
                                                    f"study={UIDS['foreign']}&reason=because+I+can+do")[0])
    equal("still not seen", ["own", "referred"], world.studies(wang))
    equal("broken", 200, broken(session, study=UIDS["foreign"], reason="stroke, unconscious, no time"))
    equal("seen", ["foreign", "own", "referred"], world.studies(wang))
    equal("and opened", 200, world.request("GET", "/dicom-web/studies/" + UIDS["foreign"], {"Accept": "*/*", **wang})[0])
    equal("a patient", 200, broken(session, patient="P-1", reason="all that there is of him"))
    equal("seen", ["foreign", "mixed", "own", "referred"], world.studies(wang))
    equal("a label that hides does not hold then", 200, broken(session, patient="P-4", reason="resuscitation on the ward"))
    equal("seen", True, "vip" in world.studies(wang))
    equal("nobody else does", ["own"], found(world, "WARD", "0008,0052=STUDY", "0020,000D"))
    rows = world.audit(action="break glass")
    equal("audited with its reason", True, any(r["after"]["reason"].startswith("stroke") and r["what"] == UIDS["foreign"] for r in rows))
    equal("told to rules", True, until(lambda: "broken" in json.dumps(world.hilum.cli("study", "explain", UIDS["foreign"]))))
    equal("it ends by itself", True, until(lambda: world.studies(wang) == ["own", "referred"], 20))
    log = open(f"{world.hilum.dir}/log").read()
    equal("no reason is in the log", False, "stroke" in log)


with tempfile.TemporaryDirectory(prefix="hilum-access-") as work:
    world = World(work, ROLES, PEERS, 'access = { break_glass = "6s"; };', rules=RULES, plugins='{ name = "web-admin"; required = true; },')
    fill(world)
    wang = world.person("wang", "clinician", "WANG^LI", "CARDIO")
    world.person("zhang2", "technologist")
    everybody = over_http(world, wang)
    NAMES["1.2.999.5.77"] = "?"
    storing(world)
    over_dicom(world)
    by_states(world, wang, everybody)
    glass(world, wang, everybody)
    by_commands(world)
    equal("Hilum stops", 0, world.hilum.stop())
verdict()
