#!/usr/bin/env python3
"""What IT staff does in the first hour, end to end over one server with a site directory: a mistyped rule, reload, echo,
send, explain, hold and release, a patient's correction (also in the middle of a C-MOVE), conflicts, jobs, a lost catalogue;
and what an administrator reads when something is in the way."""
import contextlib, glob, os, shutil, socket, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, ROOT, Hilum, Server, free_port, make_corpus, tag_value

SLICES, BIG = 6, 40
CONFIG = """
dicom = {{ aet = "RADIOLOGY"; listen = ( "127.0.0.1:{port}" ); }};
peers = (
  {{ name = "CT1"; aet = "CT1"; host = "127.0.0.1"; services = ( "echo", "store" ); }},
  {{ name = "WS1"; aet = "WS1"; host = "127.0.0.1"; port = {ws}; services = ( "echo", "find", "move", "get" ); }},
  {{ name = "ARCHIVE"; aet = "ARCHIVE"; host = "127.0.0.1"; port = {archive}; }}
);
routes = ( {{ name = "ct"; where = "Modality=CT"; send = ( "ARCHIVE" ); }} );
plugins = ( {{ name = "store-fs"; options = {{ segment = "2MiB"; segments = 2; }}; }} );
outbox = {{ retry_first = "1s"; retry_max = "2s"; }};
storage = {{ study_idle = "1s"; }};
"""
RULE = """hilum.on {{
  event = "{event}",
  phase = "filter",
  name  = "look-first",
  where = "{where}",
  run   = function(ev)
    return hilum.hold("somebody looks first")
  end,
}}
"""


class Site(Hilum):
    """A server with nothing but the shipped configuration and a site directory."""
    aet = "RADIOLOGY"

    def __init__(self, work, ws, archive):
        Server.__init__(self, work)
        self.build, self.data, self.site = BUILD, f"{self.dir}/data", f"{self.dir}/site"
        os.makedirs(f"{self.site}/rules")
        with open(f"{self.site}/10-site.cfg", "w") as f:
            f.write(CONFIG.format(port=self.port, ws=ws, archive=archive))
        self.argv = [f"{BUILD}/bin/hilumd", "--config", f"{ROOT}/etc/hilum.cfg", "--data", self.data, "--site", self.site,
                     "--plugin-dir", f"{BUILD}/lib/hilum/plugins", "--rules-dir", f"{ROOT}/scripts/core"]

    def rule(self, event, where):
        with open(f"{self.site}/rules/look.lua", "w") as f:
            f.write(RULE.format(event=event, where=where))

    def text(self, *words):
        """What a person reads, and the exit status."""
        done = subprocess.run([f"{BUILD}/bin/hilum", "--data", self.data, *words], capture_output=True, text=True)
        return done.stdout + done.stderr, done.returncode

    def check(self, *more):
        done = subprocess.run([*self.argv, "--check", *more], capture_output=True, text=True)
        return done.stdout + done.stderr, done.returncode


class Receiver:
    """storescp, and before it a proxy that stands still after `pause_at` bytes until it is told to go on."""

    def __init__(self, work, aet, port, pause_at=None):
        self.dir = tempfile.mkdtemp(dir=work)
        self.pause_at, self.paused, self.go_on = pause_at, threading.Event(), threading.Event()
        own = free_port() if pause_at else port
        self.process = subprocess.Popen(["storescp", "-aet", aet, "-od", self.dir, "+xa", str(own)])
        until(f"{aet} listens", lambda: is_open(own))
        if pause_at:
            self.listener = socket.create_server(("127.0.0.1", port))
            threading.Thread(target=self.serve, args=(own,), daemon=True).start()

    def serve(self, own):
        while True:
            inner, _ = self.listener.accept()
            outer = socket.create_connection(("127.0.0.1", own))
            for pair in ((inner, outer, True), (outer, inner, False)):
                threading.Thread(target=self.copy, args=pair, daemon=True).start()

    def copy(self, source, sink, is_counted):
        passed = 0
        with contextlib.suppress(OSError):  # either end may go first
            while data := source.recv(65536):
                sink.sendall(data)
                passed += len(data)
                if is_counted and passed >= self.pause_at and not self.go_on.is_set():
                    self.paused.set()
                    self.go_on.wait(60)
            sink.shutdown(socket.SHUT_WR)

    def files(self):
        return [f for f in glob.glob(f"{self.dir}/*") if os.path.getsize(f) > 0]

    def stop(self):
        self.process.terminate()
        self.process.wait()


def is_open(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def until(what, condition, seconds=40):
    """Polls another process's state; there is no event to wait for."""
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


def expect(what, is_true, shown=""):
    if not is_true:
        raise AssertionError(f"{what}\n{shown}")
    print(f"ok   {what}")


def dicom(tool, server, aet, *words):
    done = subprocess.run([tool, "-aet", aet, "-aec", server.aet, *words[:-1], "127.0.0.1", str(server.port), *words[-1]],
                          capture_output=True, text=True)
    return done.stdout + done.stderr, done.returncode


def store(server, folder):
    text, code = dicom("storescu", server, "CT1", "+sd", "+r", [folder])
    expect(f"{os.path.basename(folder)} is taken from CT1", code == 0, text)


def rows(server):
    return sorted(server.cli("study", "find"), key=lambda row: row["StudyInstanceUID"])


def names_in(folder):
    return {tag_value(path, "PatientName").strip() for path in glob.glob(f"{folder}/*")}


def rules_are_checked(server):
    server.rule("instance.recieved", "PatientID=P0000001")
    text, code = server.check()
    expect("--check: event", code == 1 and "look.lua:1" in text and 'did you mean "instance.received"' in text, text)
    server.rule("instance.received", "PatiendID=P0000001")
    text, code = server.check()
    expect("--check: keyword", code == 1 and '"PatiendID"' in text, text)
    server.rule("instance.received", "PatientID=P0000001")
    text, code = server.check()
    expect("--check: sound", code == 0 and "sound" in text, text)


def peers_and_reload(server):
    text, code = dicom("echoscu", server, "STRANGER", [])
    expect("a stranger is refused", code != 0, text)
    text, _ = server.text("peer", "trace", "127.0.0.1")
    expect("peer trace tells why, in lines one can read",
           "STRANGER" in text and "no peer has" in text and max(map(len, text.splitlines())) < 200, text)
    expect("peer echo ARCHIVE", server.text("peer", "echo", "ARCHIVE")[1] == 0)
    text, code = server.text("peer", "echo", "WS1")
    expect("peer echo says what is wrong", code == 1 and "refused" in text, text)
    with open(f"{server.site}/rules/broken.lua", "w") as f:
        f.write('hilum.on { event = "instance.stored" name = "x" }\n')
    text, code = server.text("config", "reload")
    expect("a broken rule is not loaded", code == 1 and "broken.lua:1" in text, text)
    os.remove(f"{server.site}/rules/broken.lua")
    expect("config reload", server.cli("config", "reload")["reloaded"])


def held_and_released(server, archive, corpus):
    store(server, f"{corpus}/0")
    until("the route sends to ARCHIVE", lambda: len(archive.files()) == SLICES)
    store(server, f"{corpus}/1")
    held = server.cli("quarantine", "list")
    expect("the rule of the site holds one study", len(held) == SLICES and held[0]["rule"] == "site/look-first", held)
    text, _ = server.text("status")
    expect("status asks for a person", f"{SLICES} in quarantine: hilum quarantine list" in text and ":\n\n" not in text, text)
    expect("nothing of it was sent", len(archive.files()) == SLICES)
    study = held[0]["StudyInstanceUID"]
    expect("quarantine release", server.cli("quarantine", "release", study)["released"] == SLICES)
    until("released objects are routed", lambda: len(archive.files()) == 2 * SLICES)
    text, _ = server.text("study", "explain", study)
    expect("explain tells rule, person and delivery",
           all(word in text for word in ("site/look-first", "somebody looks first", "released", "ARCHIVE")), text)


def jobs(server):
    study = rows(server)[0]["StudyInstanceUID"]
    expect("study send", server.cli("study", "send", study, "WS1")["queued"] == SLICES)
    until("the job list says why it waits", lambda: "refused" in server.text("job", "list", "--state", "waiting")[0])
    groups = server.cli("job", "list", "--state", "waiting")
    expect("a study is one row", [g["objects"] for g in groups] == [SLICES], str(groups))
    waiting = server.cli("job", "list", "--all", "--state", "waiting")
    for job in waiting:
        server.cli("job", "cancel", str(job["id"]))
    expect("jobs can be cancelled", len(server.cli("job", "list", "--all", "--state", "cancelled")) == SLICES)
    text, code = server.text("job", "retry", "999999")
    expect("an unknown job is told", code == 1 and "999999" in text, text)


def corrected(server, work):
    study = next(row for row in rows(server) if row["PatientID"] == "P0000000")["StudyInstanceUID"]
    before = tag_value(glob.glob(f"{work}/corpus/0/**/*.dcm", recursive=True)[0], "PatientName").strip()
    text, code = server.text("patient", "edit", "P0000000", "PatientBirthDate=yesterday", "--why", "x")
    expect("no value that is none", code == 1 and "19640229" in text, text)
    server.cli("patient", "edit", "P0000000", "PatientName=Li^Lei", "--why", "misspelt at the desk")
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
    text, _ = dicom("findscu", server, "WS1", "-S", *keys, "-k", "PatientName", [])
    expect("C-FIND answers the corrected name", "[Li^Lei]" in text and before not in text, text)
    os.mkdir(f"{work}/got")
    text, code = dicom("getscu", server, "WS1", "-S", "-od", f"{work}/got", *keys, [])
    expect("C-GET brings it", code == 0 and len(os.listdir(f"{work}/got")) == SLICES, text)
    server.cli("export", study, f"{work}/exported")
    for folder in ("got", "exported"):
        expect(f"{folder}: one name", names_in(f"{work}/{folder}") == {"Li^Lei"}, names_in(f"{work}/{folder}"))
        path = glob.glob(f"{work}/{folder}/*")[0]
        dump = subprocess.run(["dcmdump", "-q", path], capture_output=True, text=True).stdout
        original = dump.partition("(0400,0561)")[2]
        expect(f"{folder}: what it was is in Original Attributes", before in original and "CORRECT" in original, dump[-3000:])


def edit_amid_move(server, work, ws_port):
    """The receiver stands still in the middle of the study while the name is changed."""
    receiver = Receiver(work, "WS1", ws_port, pause_at=4 << 20)
    study = next(row for row in rows(server) if int(row["Instances"]) == BIG)
    mover = subprocess.Popen(["movescu", "-S", "-aet", "WS1", "-aem", "WS1", "-aec", server.aet, "-k", "QueryRetrieveLevel=STUDY",
                              "-k", f"StudyInstanceUID={study['StudyInstanceUID']}", "127.0.0.1", str(server.port)])
    expect("the study is under way", receiver.paused.wait(40))
    server.cli("patient", "edit", study["PatientID"], "PatientName=Changed^Meanwhile", "--why", "test")
    receiver.go_on.set()
    expect("the C-MOVE ends well", mover.wait(60) == 0)
    until("all of it came", lambda: len(receiver.files()) == BIG)
    receiver.stop()
    names = names_in(receiver.dir)
    expect(f"one identity in all {BIG} objects", len(names) == 1, names)
    expect("and the next one is asked by the new name", rows(server) != [] and any(
        row["PatientName"] == "Changed^Meanwhile" for row in rows(server)))


def conflicts(server, work):
    path = f"{work}/stranger.dcm"
    shutil.copy(glob.glob(f"{work}/corpus/1/**/*.dcm", recursive=True)[0], path)
    subprocess.run(["dcmodify", "-nb", "-q", "-gst", "-gse", "-gin", "-m", "PatientName=Quite^Another", "-m",
                    "PatientBirthDate=19010101", "-m", "PatientSex=O", path], check=True)
    expect("import", server.cli("import", path)["stored"] + server.cli("quarantine", "list").__len__() >= 1)
    for held in server.cli("quarantine", "list"):
        server.cli("quarantine", "release", str(held["number"]))
    found = server.cli("patient", "conflicts")
    expect("one ID, two people: a conflict", len(found) == 1, found)
    server.cli("patient", "resolve", str(found[0]["conflict"]), "other")
    expect("decided", server.cli("patient", "conflicts") == [])


def lost_catalogue(server, archive):
    """Every study comes back as it was, corrections too, and nothing is sent a second time."""
    until("everything was sent", lambda: len(archive.files()) == 2 * SLICES + BIG + 1)
    before, sent = rows(server), len(archive.files())
    delivered = {(j["lane"], j["StudyInstanceUID"], j.get("done")) for j in server.cli("job", "list")}
    expect("fsck finds nothing", server.cli("archive", "fsck")["faults"] == 0)
    server.stop()
    for path in glob.glob(f"{server.data}/catalog.db*"):
        os.remove(path)
    server.again()
    text, _ = server.text("status")
    expect("status tells that the catalogue is lost", "hilum archive rebuild" in text, text)
    expect("archive rebuild", server.text("archive", "rebuild")[1] == 0)
    after = rows(server)
    expect("the same studies as before", before == after, f"{before}\n{after}")
    until("rules were given time", lambda: server.cli("status")["jobs"]["notify"]["pending"] == 0)
    again = {(j["lane"], j["StudyInstanceUID"], j.get("done")) for j in server.cli("job", "list")}
    expect("nothing was sent twice, and what waited waits", again == delivered and len(archive.files()) == sent,
           f"{sent} then {len(archive.files())}: {server.text('job', 'list')[0]}")


def mishaps(server, work):
    def start(*more):
        done = subprocess.run([*server.argv, *more], capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr, done.returncode

    text, code = start()
    expect("the data directory is in use", code == 1 and "in use by another hilumd" in text, text)
    text, code = start("--data", f"{work}/other")
    expect("the port is in use", code == 1 and f"127.0.0.1:{server.port}" in text and "in use" in text, text)
    open(f"{work}/file", "w").close()
    text, code = start("--data", f"{work}/file/data")
    expect("the data directory cannot be made", code == 1 and "--data" in text, text)
    with open(f"{work}/wrong.cfg", "w") as f:
        f.write('plugins = ( { name = "store-s4"; required = true; } );\n')
    text, code = server.check("--extra", f"{work}/wrong.cfg")
    expect("a plugin that is not there", code == 1 and "store-s4" in text and "store-fs" in text, text)
    expect("log", "rules" in server.text("log", "50")[0])
    text, code = server.text("stuady", "find")
    expect("a command that is none", code == 2 and "study find" in text, text)


def main():
    work = tempfile.mkdtemp()
    ws_port, archive_port = free_port(), free_port()
    make_corpus(f"{work}/made", 2, SLICES)
    make_corpus(f"{work}/large", 1, BIG, 512)
    split(work)
    server, archive = Site(work, ws_port, archive_port), None
    try:
        rules_are_checked(server)
        archive = Receiver(work, "ARCHIVE", archive_port)
        server.ready = "READY dicom="
        server.launch(server.argv)
        peers_and_reload(server)
        held_and_released(server, archive, f"{work}/corpus")
        jobs(server)
        corrected(server, work)
        store(server, f"{work}/corpus/large")
        edit_amid_move(server, work, ws_port)
        conflicts(server, work)
        lost_catalogue(server, archive)
        mishaps(server, work)
        expect("SIGTERM ends it", server.stop() == 0)
    except (AssertionError, RuntimeError) as error:
        print(f"BAD  {error}")
        return 1
    finally:
        if archive:
            archive.stop()
        if getattr(server, "process", None) and server.process.poll() is None:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)
    return 0


def split(work):
    """A folder a patient; the large study is somebody else's."""
    for path in glob.glob(f"{work}/made/**/*.dcm", recursive=True):
        folder = f"{work}/corpus/{int(tag_value(path, 'PatientID').strip()[1:])}"
        os.makedirs(folder, exist_ok=True)
        shutil.move(path, folder)
    shutil.move(f"{work}/large", f"{work}/corpus/large")
    large = glob.glob(f"{work}/corpus/large/**/*.dcm", recursive=True)
    subprocess.run(["dcmodify", "-nb", "-q", "-m", "PatientID=LARGE", "-m", "StudyInstanceUID=2.25.4711",
                    "-m", "PatientName=Before^The", *large], check=True)
    for i, path in enumerate(large):
        subprocess.run(["dcmodify", "-nb", "-q", "-m", f"SOPInstanceUID=2.25.4712{i}", "-m", "SeriesInstanceUID=2.25.4710", path],
                       check=True)


sys.exit(main())
