#!/usr/bin/env python3
"""A lost catalogue comes back whole: after every kind of decision the server is killed, its catalogue deleted, and made again from
the objects and the log beside them; then every answer is compared with the one given before. Once in one go, once killed again and
again in the middle. SPDX-License-Identifier: Apache-2.0"""
import glob, hashlib, json, os, random, shutil, sqlite3, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, free_port
from wire import *

RULES = """
hilum.on { event = "instance.received", phase = "filter", name = "site/hold", where = "PatientID=HOLD",
  run = function(ev) ev:send("dead") return hilum.hold("to be looked at") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/versions", where = "Modality=SR",
  run = function(ev) ev:duplicates("version") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/replaces", where = "Modality=US",
  run = function(ev) ev:duplicates("replace") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/early", where = "PatientID=EARLY",
  run = function(ev) ev:send("dead") ev:tag("early") end }
hilum.on { event = "instance.stored", phase = "notify", name = "site/late", where = "PatientID=LATE",
  run = function(ev) ev:send("dead") ev:tag("late") end }
hilum.on { event = "instance.received", phase = "transform", name = "site/edits", where = "PatientID=RULED",
  run = function(ev) ev:set("InstitutionName", "Southern Clinic") end }
hilum.on { event = "instance.stored", phase = "notify", name = "site/value", where = "PatientID=VALUE",
  run = function(ev) ev:tag("seen " .. (hilum.kv.get("seen") or "never")) ev:kv("seen", "once") end }
"""
CONTEXTS = [(1, STUDY_FIND, [EXPLICIT]), (3, CT, [EXPLICIT]), (5, STUDY_GET, [EXPLICIT])]
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def data_set(instance, study, patient, name="Same^Person", birth="19700101", modality="CT", text="one", date="20260101"):
    return (explicit(8, 0x16, "UI", CT) + explicit(8, 0x18, "UI", instance) + explicit(8, 0x20, "DA", date) +
            explicit(8, 0x60, "CS", modality) + explicit(8, 0x1030, "LO", text) + explicit(0x10, 0x10, "PN", name) +
            explicit(0x10, 0x20, "LO", patient) + explicit(0x10, 0x30, "DA", birth) + explicit(0x20, 0x0D, "UI", study) +
            explicit(0x20, 0x0E, "UI", f"{study}.1") + explicit(0x20, 0x13, "IS", "1") +
            explicit(0x20, 0x4000, "LT", text) + explicit(0x7FE0, 0x10, "OW", hashlib.sha512(text.encode()).digest() * 40))


class Archive:
    """The server under test and what is sent to it."""

    def __init__(self, work, intake="log", grace="24h"):
        site = tempfile.mkdtemp(dir=work)
        os.mkdir(f"{site}/rules")
        with open(f"{site}/rules/site.lua", "w") as f:
            f.write(RULES)
        dead = free_port()
        self.server = Hilum(work, f'storage = {{ min_free = "1MiB"; erase_grace = "{grace}"; }}; peers = ( {{ name = "dead"; aet = "DEAD"; host = "127.0.0.1"; port = {dead}; }}, '
                            f'{{ name = "ward"; aet = "WARD"; cidr = ( "127.0.0.0/8" ); default_issuer = "WARD-IDS"; charset = "GB18030"; }} ); '
                            f'plugins = ( {{ name = "store-fs"; options = {{ intake = "{intake}"; segment = "2MiB"; segments = 2; }}; }} );', site=site)
        self.studies = set()

    def send(self, number, study, patient, calling="SENDER", **more):
        study = f"1.2.77.{study}"
        self.studies.add(study)
        instance = f"1.2.77.{number}.9"
        with Wire(self.server.port) as wire:
            wire.associate(CONTEXTS, calling=calling)
            status = wire.store(3, CT, instance, data_set(instance, study, patient, **more))
        check(f"stored {instance}", status == 0, hex(status))
        return instance

    def conflicts(self):
        return {row["newcomer"]["PatientName"]: row["conflict"] for row in self.server.cli("patient", "conflicts")}

    def edit(self, patient, *changes):
        self.server.cli("patient", "edit", patient, *changes, "--why", "as the ward says")


def everything(archive):
    """Every kind of decision, and things that wait for one."""
    cli = archive.server.cli
    for n in range(1, 5):
        archive.send(n, 1, "PLAIN")
    # identity: joined, another person, open; corrected, under its old name again, with a new number
    for number, patient in ((10, "JOIN"), (20, "OTHER"), (30, "OPEN")):
        archive.send(number, number, patient, name="Known^Person")
        archive.send(number + 1, number + 1, patient, name=f"New^{patient}", birth="19811231")
    archive.send(12, 12, "JOIN", name="New^JOIN", birth="19811231")  # a second study of the newcomer
    conflicts = archive.conflicts()
    cli("patient", "resolve", str(conflicts["New^JOIN"]), "same")
    cli("patient", "resolve", str(conflicts["New^OTHER"]), "other")
    archive.send(13, 13, "JOIN", name="New^JOIN", birth="19811231")  # known by now
    archive.send(40, 40, "EDIT", name="Wrong^Name")
    archive.edit("EDIT", "PatientName=王^小东", "PatientBirthDate=19700202")
    archive.edit("EDIT", "PatientSex=F")
    archive.send(41, 41, "EDIT", name="Wrong^Name")
    archive.send(50, 50, "RENUMBER")
    archive.edit("RENUMBER", "PatientID=RENUMBERED")
    archive.send(51, 51, "RENUMBER")
    # quarantine by a rule: waits, released, discarded; and for other content
    for number in (60, 61, 62):
        archive.send(number, number, "HOLD")
    cli("quarantine", "release", "1.2.77.61")
    cli("quarantine", "discard", "1.2.77.62")
    for number in (70, 71, 72):
        archive.send(number, 70, "STRANGE", text="first")
        archive.send(number, 70, "STRANGE", text="second")
    archive.send(72, 70, "STRANGE", text="third")
    cli("quarantine", "release", "1.2.77.71.9")
    cli("quarantine", "discard", str(max(r["number"] for r in cli("quarantine", "list") if r["SOPInstanceUID"] == "1.2.77.72.9")))
    # policies: three contents each, and a second object beside them
    for number, modality in ((80, "SR"), (81, "US")):
        for text in ("first", "second", "third"):
            archive.send(number, number, "POLICY", modality=modality, text=text)
    archive.send(82, 81, "POLICY", modality="US", text="beside")
    # deliveries: by rules before and after the answer, by a person, cancelled; labels
    for number in (90, 91):
        archive.send(number, 90, "EARLY")
        archive.send(number + 2, 92, "LATE")
    cli("study", "send", "1.2.77.1", "dead")
    until(lambda: jobs(archive, "1.2.77.92") == 2)
    cli("job", "cancel", str(min(j["id"] for j in cli("job", "list", "--all") if j["StudyInstanceUID"] == "1.2.77.1")))


def told_by_the_objects(archive):
    """What the data sets do not say: a peer's issuer and character set, who sent it, what came before a rule changed it."""
    archive.send(95, 95, "ISSUED")
    archive.send(96, 96, "ISSUED", calling="WARD", name="王^小明".encode("gb18030"), birth="19900909")  # another patient
    archive.send(97, 97, "RULED", calling="WARD")


def jobs(archive, study):
    return sum(j["StudyInstanceUID"] == study for j in archive.server.cli("job", "list", "--all"))


def until(condition, seconds=20):
    end = time.time() + seconds
    while not condition() and time.time() < end:
        time.sleep(0.05)


VOLATILE = ("attempts", "due", "result", "instance", "created", "when_due")


def answers(archive):
    """Everything a person or a peer can ask, without what a new process changes by itself."""
    cli, out = archive.server.cli, {}
    # Studies of one day come in no order that is promised.
    out["studies"] = sorted(cli("study", "find", "--limit", "1000"), key=lambda row: row["StudyInstanceUID"])
    out["conflicts"] = sorted(cli("patient", "conflicts"), key=str)
    out["quarantine"] = sorted(cli("quarantine", "list"), key=str)
    out["jobs"] = sorted(({k: v for k, v in row.items() if k not in VOLATILE} for row in cli("job", "list", "--all", "--limit", "1000")), key=str)
    for row in out["jobs"]:
        row["state"] = row["state"].replace("running", "waiting")
    for study in sorted(archive.studies):
        story = cli("study", "explain", study)
        out[f"{study}: counts"] = {k: story["study"][k] for k in ("series", "instances", "bytes", "ModalitiesInStudy")}
        for part in ("edits", "quarantine", "labels"):
            out[f"{study}: {part}"] = story[part]
        out[f"{study}: versions"] = cli("study", "versions", study)
        if not out[f"{study}: versions"] and not story["quarantine"]:  # who sent what is gone nobody asks
            out[f"{study}: arrivals"] = sorted((row["peer"], row["calling_aet"], row["called_aet"], row["address"], row["instances"],
                                                row["non_conformance"], row["first"][:16]) for row in story["arrivals"])
        with Wire(archive.server.port) as wire:
            wire.associate(CONTEXTS, roles=(CT,))
            got, status = wire.get(5, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", study))
            keys = (explicit(8, 0x52, "CS", "STUDY") + explicit(0x10, 0x10, "PN", "") + explicit(0x10, 0x20, "LO", "") +
                    explicit(0x10, 0x21, "LO", "") + explicit(0x10, 0x30, "DA", "") + explicit(0x10, 0x40, "CS", "") + explicit(0x20, 0x0D, "UI", study))
            found, _ = wire.find(1, keys)
        out[f"{study}: objects"] = {uid: hashlib.sha256(data).hexdigest() for uid, data in sorted(got.items())}
        out[f"{study}: C-FIND"] = sorted(hashlib.sha256(f).hexdigest() + repr(f) for f in found)
    status = cli("status")["record"]
    out["counts"] = {k: status[k] for k in ("patients", "studies", "series", "instances", "bytes", "quarantine", "conflicts")}
    return out


def compare(what, before, after):
    for key in sorted(set(before) | set(after)):
        check(f"{what}: {key}", before.get(key) == after.get(key),
              f"\n  before {json.dumps(before.get(key), ensure_ascii=False)}\n  after  {json.dumps(after.get(key), ensure_ascii=False)}")


def lose(archive):
    """kill -9, and the catalogue with all that belongs to it is gone."""
    archive.server.kill()
    for path in glob.glob(f"{archive.server.data}/catalog.db*"):
        os.unlink(path)
    archive.server.again()
    check("the loss is told", archive.server.cli("status").get("catalogue_lost"))


def goes_on(what, archive):
    """Decisions about what came back."""
    cli = archive.server.cli
    rows, _ = archive.server.cli_items("archive", "fsck", check=False)
    check(f"{what}: fsck is clean", not rows, rows[:3])
    cli("patient", "resolve", str(archive.conflicts()["New^OPEN"]), "same")
    cli("quarantine", "release", "1.2.77.60")
    held = [j for j in cli("job", "list", "--all") if j["StudyInstanceUID"] == "1.2.77.60"]
    check(f"{what}: its delivery is due", len(held) == 1 and (held[0]["state"] == "running" or "due" in held[0]), held)
    archive.send(42, 42, "EDIT", name="Wrong^Name")
    named = [s["PatientName"] for s in cli("study", "find", "--uid", "1.2.77.42")]
    check(f"{what}: an old name is still known", named == ["王^小东"], named)


def resent(what, archive):
    """Known again by what came, not by what lies there. And what the object says of its arrival never leaves."""
    for extra in ((), ("--as-received",)):
        folder = tempfile.mkdtemp(dir=archive.server.dir) + "/out"
        archive.server.cli("export", "1.2.77.97", folder, *extra)
        left = b"".join(open(path, "rb").read() for path in glob.glob(f"{folder}/*"))
        check(f"{what}: exported without its origin {extra}", b"RULED" in left and b"WARD" not in left, left[:400])
    held = len(archive.server.cli("quarantine", "list"))
    archive.send(97, 97, "RULED", calling="WARD")
    check(f"{what}: a resend is no other content", len(archive.server.cli("quarantine", "list")) == held)
    archive.send(97, 97, "RULED", calling="WARD", text="two")
    check(f"{what}: other content is", len(archive.server.cli("quarantine", "list")) == held + 1)


def whole__comes_back_in_one_go(work):
    for intake in ("log", "files"):
        archive = Archive(work, intake)
        everything(archive)
        told_by_the_objects(archive)
        before = answers(archive)
        lose(archive)
        out = subprocess.run([f"{archive.server.build}/bin/hilum", "--data", archive.server.data, "patient", "edit", "PLAIN", "PatientSex=M",
                              "--why", "too early"], capture_output=True, text=True)
        check("decisions wait for the rebuild", out.returncode != 0 and "archive rebuild" in out.stderr, out)
        archive.server.cli("archive", "rebuild")
        compare(f"rebuilt, {intake}", before, answers(archive))
        lose(archive)  # at once again: the log was written anew
        archive.server.cli("archive", "rebuild")
        compare(f"rebuilt twice, {intake}", before, answers(archive))
        goes_on(intake, archive)
        resent(intake, archive)
        check("ends well", archive.server.stop() == 0)


def versions__keep_their_numbers(work):
    """Also where the first ones are erased, of which nothing is left to come back."""
    archive = Archive(work, grace="1ms")
    for text in ("first", "second", "third"):
        archive.send(81, 81, "POLICY", modality="US", text=text)  # replaced
    archive.send(71, 70, "STRANGE", text="first")
    archive.send(71, 70, "STRANGE", text="second")
    numbers = lambda study: {row["version"]: row["state"] for row in archive.server.cli("study", "versions", f"1.2.77.{study}")}
    until(lambda: numbers(81) == {1: "erased", 2: "erased", 3: "current"}, 60)
    check("the replaced ones are erased", numbers(81) == {1: "erased", 2: "erased", 3: "current"}, numbers(81))
    lose(archive)
    archive.server.cli("archive", "rebuild")
    archive.send(81, 81, "POLICY", modality="US", text="fourth")
    check("numbers go on", {n for n, state in numbers(81).items() if state == "current"} == {4} and 3 in numbers(81), numbers(81))
    archive.send(71, 70, "STRANGE", text="other")
    check("in quarantine too", set(numbers(70)) == {1, 2, 3}, numbers(70))
    check("ends well", archive.server.stop() == 0)


def wait_for_rows(archive, wanted):
    """Until so many instances are back; sometimes none, and the kill comes while persons are made or jobs are."""
    time.sleep(random.uniform(0, 0.05) if wanted == 0 else 0)
    db = sqlite3.connect(f"file:{archive.server.data}/catalog.db?mode=ro", uri=True)
    end = time.time() + 10
    while wanted and time.time() < end and db.execute("SELECT count(*) FROM instance").fetchone()[0] < wanted:
        time.sleep(0.001)
    db.close()


def rebuild__killed_in_the_middle_goes_on(work):
    archive = Archive(work)
    everything(archive)
    with Wire(archive.server.port) as wire:  # some batches more, so that there is a middle
        wire.associate(CONTEXTS, calling="SENDER")
        for n in range(400):
            wire.store(3, CT, f"1.2.77.{1000 + n}.9", data_set(f"1.2.77.{1000 + n}.9", "1.2.77.1", "PLAIN"))
    before = answers(archive)
    lose(archive)
    kills, halves = 8 if os.environ.get("HILUM_LONG") else 4, 0
    for n in range(kills):
        rebuild = subprocess.Popen([f"{archive.server.build}/bin/hilum", "--data", archive.server.data, "archive", "rebuild"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for_rows(archive, n * 64 + 1 if n % 4 else 0)
        archive.server.kill()
        rebuild.wait()
        archive.server.again()
        status = archive.server.cli("status")
        halves += bool(status.get("catalogue_lost")) and status["record"]["instances"] > 0
    print(f"{halves} of {kills} kills found it half done")
    check("some were in the middle", halves > 0)
    archive.server.cli("archive", "rebuild")
    compare("killed in the middle", before, answers(archive))
    goes_on("killed in the middle", archive)
    check("ends well", archive.server.stop() == 0)


def backup__of_the_catalogue_does_not_undo_decisions(work):
    """A catalogue put back from a backup is told from its log; what was decided since is still to be had."""
    archive, kept = Archive(work), tempfile.mkdtemp(dir=work)
    labels = lambda study: {row["label"] for row in archive.server.cli("study", "explain", f"1.2.77.{study}")["labels"]}
    archive.send(1, 1, "BACKUP")
    archive.send(2, 2, "VALUE")
    until(lambda: labels(2))
    archive.edit("BACKUP", "PatientSex=F")
    archive.server.stop()
    for path in glob.glob(f"{archive.server.data}/catalog.db*"):
        shutil.copy(path, kept)
    archive.server.again()
    check("a restart is no backup", archive.server.cli("status")["log_health"] == "ok", archive.server.cli("status")["log_health"])
    for name in ("First^Name", "Second^Name", "Third^Name"):
        archive.edit("BACKUP", f"PatientName={name}")
    archive.server.stop()
    for path in glob.glob(f"{archive.server.data}/catalog.db*"):
        os.unlink(path)
    for name in os.listdir(kept):
        shutil.copy(f"{kept}/{name}", archive.server.data)
    archive.server.again()
    check("the backup is told", "older than the log" in archive.server.cli("status")["log_health"], archive.server.cli("status")["log_health"])
    time.sleep(2.5)  # the housekeeper writes nothing over it
    lose(archive)
    archive.server.cli("archive", "rebuild")
    named = [s["PatientName"] for s in archive.server.cli("study", "find", "--uid", "1.2.77.1")]
    check("decisions since the backup come back", named == ["Third^Name"], named)
    # Values come from the backup, as core/record/README.md has it.
    archive.server.stop()
    db = sqlite3.connect(f"{archive.server.data}/catalog.db")
    db.execute("DELETE FROM kv WHERE name = 'seen'")  # events of the last minute have run again, and kept it
    db.commit()
    db.execute("ATTACH ? AS old", (f"{kept}/catalog.db",))
    db.execute("INSERT INTO kv SELECT * FROM old.kv WHERE space <> 'record' ON CONFLICT DO NOTHING")
    db.commit()
    db.close()
    archive.server.again()
    archive.send(4, 4, "VALUE")
    until(lambda: labels(4))
    check("a backup does", labels(4) == {"seen once"}, labels(4))
    check("ends well", archive.server.stop() == 0)


def main():
    random.seed(int(os.environ.get("HILUM_SEED", "7")))
    work = tempfile.mkdtemp(prefix="hilum-rebuild-")
    for test in (whole__comes_back_in_one_go, rebuild__killed_in_the_middle_goes_on, versions__keep_their_numbers, backup__of_the_catalogue_does_not_undo_decisions):
        if sys.argv[1:] and test.__name__.split("__")[0] not in sys.argv[1:]:
            continue
        start = time.time()
        test(work)
        print(f"{test.__name__}: {time.time() - start:.1f} s")
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
