#!/usr/bin/env python3
"""A careless administrator: imports of folders with anything in them, corrections with what a paste brings along, roles that are
not there, files that are no files, a machine with few of them. SPDX-License-Identifier: Apache-2.0"""
import os, re, resource, socket, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, Hilum
from wire import CT, EXPLICIT, STUDY_GET, Closed, Wire, ct, explicit, storing

failures = []


def equal(what, expected, found):
    if expected != found:
        failures.append(what)
        print(f"BAD  {what}: expected {expected!r}, found {found!r}")


def part10(uid):
    meta = (explicit(2, 1, "OB", b"\0\1") + explicit(2, 2, "UI", CT) + explicit(2, 3, "UI", uid) + explicit(2, 0x10, "UI", EXPLICIT) +
            explicit(2, 0x12, "UI", "1.2.3"))
    return bytes(128) + b"DICM" + explicit(2, 0, "UL", len(meta).to_bytes(4, "little")) + meta + ct(uid, study="1.2.96", series="1.2.96.1")


def told(server, *words, cwd=None):
    """(exit status, what it said on stderr)"""
    run = subprocess.run([f"{BUILD}/bin/hilum", "--data", server.data, *words], capture_output=True, text=True, cwd=cwd, timeout=30)
    return run.returncode, run.stderr


def refused(server, *words, why, cwd=None):
    status, text = told(server, *words, cwd=cwd)
    equal(f"hilum {' '.join(words)!r} is refused", (True, True), (status in (1, 2), why in text) if why in text else (status, text))


def a_folder_with_anything(work):
    folder = f"{work}/media"
    os.makedirs(f"{folder}/sub")
    for i, name in enumerate((b"a\nb.dcm", b"\xff\xfe.dcm", b"\x1b[31mred.dcm", b"sub/plain")):
        open(os.fsencode(folder) + b"/" + name, "wb").write(part10(f"1.2.96.1.{i}"))
    os.symlink("..", f"{folder}/sub/loop")
    os.symlink("nowhere", f"{folder}/broken")
    os.symlink("/dev/zero", f"{folder}/zero")
    os.mkfifo(f"{folder}/pipe")
    socket.socket(socket.AF_UNIX).bind(f"{folder}/socket")
    open(f"{folder}/DICOMDIR", "w").close()
    return folder


def imports(server, work):
    folder = a_folder_with_anything(work)
    result = server.cli("import", folder)
    equal("objects are stored, the rest is skipped", (4, 0, 6), tuple(result[k] for k in ("stored", "refused", "skipped")))
    refused(server, "import", f"{work}/nowhere", why="No such file")
    for name in ("pipe", "socket", "broken", "zero"):
        refused(server, "import", f"{folder}/{name}", why="expected a file or a folder")
    refused(server, "import", "", why="expected a path, found nothing", cwd=folder)
    for where in (f"{server.data}/objects/mine", f"{server.data}/../{os.path.basename(server.data)}/mine", f"{work}/site/rules/mine.lua",
                  f"{server.data}/mine//"):
        refused(server, "export", "1.2.96", where, why="outside the data directory")
        refused(server, "audit", "export", where, why="outside the data directory")
    refused(server, "export", "1.2.96", "", why="expected a path, found nothing")


def corrections(server):
    for value, why in (("PatientName=A\x1b[1m", "control characters"), ("PatientName=A\r\nB", "control characters"), ("PatientID=A\u0085", "control characters"),
                       ("PatientID=A\\B", "without a backslash"), ("PatientName=A\\B", "without a backslash"), ("PatientID=" + "x" * 65, "too long"),
                       ("PatientName=" + "x" * 65, "too long"), ("PatientName=a=b=c=d", "too long"), ("PatientName=a=" + "x" * 65, "too long")):
        refused(server, "patient", "edit", "ATTACK", value, "--why", "test", why=why)
    for value in ("PatientName=" + "x" * 64, "PatientName=Wang^XiaoDong=" + "\u738b" * 64 + "=" + "x" * 64, "PatientComments=two\nlines"):
        equal(f"{value!r} is taken", 0, told(server, "patient", "edit", "ATTACK", value, "--why", "test")[0])


def accounts(server):
    """A role that is not there would allow nothing, and the account's owner would be told so at his first click."""
    for words in (("user", "create", "eve", "radiologst"), ("user", "create", "eve", "--role", "radiologst"), ("token", "create", "t", "it,radiologst"),
                  ("token", "create", "--role", "radiologst")):
        refused(server, *words, why='found "radiologst"; did you mean "radiologist"?')
    refused(server, "token", "create", "t", "it", "retreive", why='found "retreive"; did you mean "retrieve"?')
    refused(server, "user", "create", "eve", "nonsense", why='there are "administrator", "security officer", ')
    equal("no account is left of it", [], server.cli("user", "list"))
    server.cli("user", "create", "eve", "radiologist,security officer")
    refused(server, "user", "roles", "eve", "chef", why='did you mean "chief"?')
    equal("the account is as it was", "radiologist,security officer", server.cli("user", "list")[0]["roles"])


def slips(server):
    """What was told as done, or as nothing, and was neither."""
    study = "1.2.96"
    for words, why in (((("plugin", "disable", "nosuch")), "hilum: nosuch: no such plugin"), (("peer", "trace", "nosuch"), "nosuch: no such peer"),
                       (("study", "versions", "nosuch"), "nosuch: no study or instance with this UID"), (("study", "explain", ""), "expected a UID or accession number, found nothing"),
                       (("study", "retrieve", "abc", "WEB"), 'study: expected a UID such as 1.2.840.1, found "abc"'),
                       (("export", study, f"{server.dir}/out", "--instance", "9.9"), "instance 9.9: not of this study"),
                       (("patient", "edit", "ATTACK", "PatientComments=x", "--why", ""), "why: expected the reason, found nothing"),
                       (("job", "list", "--limit", "0"), "limit: expected 1 or more, found 0"), (("study", "find", "--limit", "-1"), "limit: expected 1 or more, found -1"),
                       (("audit", "find", "--limit", "0"), "limit: expected 1 or more, found 0"), (("study", "find", "--date", "tomorrow"), "StudyDate: expected 20260105 or 20260101-20260131"),
                       (("token", "create", "t"), "roles is missing: names of roles"), (("user", "create", "t"), "roles is missing: names of roles"),
                       (("user", "lock"), "name is missing: name of the account"), (("audit", "verify"), "nothing was sealed yet (audit.seal_every)")):
        refused(server, *words, why=why)
    equal("no folder is left of an export of nothing", False, os.path.exists(f"{server.dir}/out"))


def help_of_all(server):
    """Every argument of every command says what it is, those of plugins too."""
    text = subprocess.run([f"{BUILD}/bin/hilum", "--data", server.data, "help"], capture_output=True, text=True).stdout
    names = [line.strip().split("  ")[0] for line in text.split("commands of this server:")[1].splitlines() if line.strip()]
    equal("there are commands, those of auth-local among them", True, len(names) > 40 and "user create" in names)
    silent = []
    for name in names:
        run = subprocess.run([f"{BUILD}/bin/hilum", "--data", server.data, "help", *name.split()], capture_output=True, text=True)
        arguments = run.stdout.split("\n\n")[2:] if run.returncode == 0 else ["help itself fails"]
        silent += [f"{name}: {line.strip()}" for block in arguments for line in block.splitlines() if re.fullmatch(r"--[\w-]+( [\w|]+)?|[A-Z0-9_]+(\.\.\.)?", line.strip())]
    equal("arguments without a word", [], silent)


def configuration(server, site):
    def faults(text, name="10-test.cfg"):
        path = f"{site}/{name}"
        with open(path, "w") as f:
            f.write(text)
        result = server.cli("config", "reload", check=False)
        os.unlink(path)
        return " ".join(str(f) for f in result.get("faults", []))
    equal("a role that is not there", True, 'found "radiologst"; did you mean "radiologist"' in faults('peers = ( { name = "A"; aet = "A"; cidr = ( "10.0.0.1" ); roles = ( "radiologst" ); } );'))
    equal("a role of the site is the nearest", True, 'did you mean "night shift"' in faults('roles = ( { name = "night shift"; } ); peers = ( { name = "A"; aet = "A"; cidr = ( "10.0.0.1" ); roles = ( "nigt shift" ); } );'))
    equal("an action that is not there", True, 'found "find,retrieve"' in faults('roles = ( { name = "x"; allow = ( "find,retrieve" ); } );'))
    equal("a comma in a role's name", True, "without a comma" in faults('roles = ( { name = "a,b"; } );'))
    equal("what is there", "", faults('roles = ( { name = "x"; allow = ( "find retrieve", "*" ); } ); peers = ( { name = "A"; aet = "A"; cidr = ( "10.0.0.1" ); roles = ( "x", "chief" ); } );'))
    os.mkfifo(f"{site}/rules/pipe.lua")
    equal("a pipe among rules does not stop the reload", True, "expected a regular file" in faults(""))


def few_files(work):
    """A limit of 256 files, which may be raised; then one which may not, and peers who take what they get."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    server = Hilum(work)
    equal("a limit that may be raised is", min(65536, before[1]), resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)[0])
    server.stop()
    server.argv = ["prlimit", "--nofile=256:256", *server.argv]
    server.again()
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    wires, statuses = [], set()
    for i in range(240):
        try:
            wires.append(storing(server.port, f"127.0.1.{i + 1}"))
        except Closed:
            pass
    equal("peers get some, not all", True, 40 < len(wires) < 150)
    for i, wire in enumerate(wires):
        statuses.add(wire.store(3, CT, f"1.2.97.1.{i}", ct(f"1.2.97.1.{i}", "1.2.97", "1.2.97.1", pixels=bytes(100000))))
    equal("they are served", {0}, statuses)
    equal("so is the administrator", 0, told(server, "status")[0])
    [wire.close() for wire in wires]
    equal("nothing is wrong afterwards", [], server.cli_items("archive", "fsck", check=False)[0])
    equal("Hilum stops with few files", 0, server.stop())


def listeners(work):
    """A port that is none was taken by its last 16 bits."""
    for listen, why in (("127.0.0.1:99999", "expected a port from 0 to 65535"), ("127.0.0.1:-1", "expected a port from 0 to 65535")):
        try:
            server = Hilum(work, f'plugins = ( {{ name = "http"; required = true; options = {{ listen = "{listen}"; }}; }}, '
                                 f'{{ name = "store-fs"; options = {{ segment = "2MiB"; segments = 2; }}; }} );')
            server.stop()
            text = "it started"
        except RuntimeError as error:
            text = str(error)
        equal(f"listen = {listen}", True, why in text or text[-300:])


BAD_EDITS = ('"Rows", "abc"', '"Rows", "70000"', '"PixelData", "abc"', '"PatientName", "A\\27[1m"', '"PatientName", "\\xff\\xfe"', '"PatientID", ("x"):rep(100000)',
             '"SpecificCharacterSet", "nonsense"', '"NumberOfFrames", "many"', '"StudyDate", "tomorrow"', '"FrameOfReferenceUID", "none"')
GOOD_EDITS = ('"Rows", "7"', '"StudyDescription", "\u738b"', '"PatientComments", "two\\nlines"', '"StudyDate", "20260102"', '"SpecificCharacterSet", "ISO_IR 192"')


def edits(work):
    """A rule that writes what an attribute cannot be leaves its object held as it came, and never damaged."""
    site = f"{work}/edits"
    os.makedirs(f"{site}/rules")
    with open(f"{site}/rules/edit.lua", "w") as f:
        for i, edit in enumerate(BAD_EDITS + GOOD_EDITS):
            f.write(f'hilum.on{{event = "instance.received", phase = "transform", name = "site/e{i}", where = "PatientID=E{i}", run = function(ev) ev:set({edit}) end}}\n')
    server = Hilum(work, site=site)
    sent = {}
    with storing(server.port) as wire:
        for i in range(len(BAD_EDITS + GOOD_EDITS)):
            uid = f"1.2.98.1.{i}"
            sent[uid] = ct(uid, "1.2.98", "1.2.98.1", patient=f"E{i}", extra=explicit(0x28, 0x10, "US", b"\x08\0"))
            equal(f"E{i} is stored", 0, wire.store(3, CT, uid, sent[uid]))
    held = {row["SOPInstanceUID"]: row["rule"] for row in server.cli("quarantine", "list")}
    equal("those of bad edits are held, by their rules", {f"1.2.98.1.{i}": f"site/e{i}" for i in range(len(BAD_EDITS))}, held)
    server.cli("quarantine", "release", "1.2.98")
    with Wire(server.port) as wire:
        wire.associate([(3, CT, [EXPLICIT]), (5, STUDY_GET, [EXPLICIT])], roles=(CT,))
        got, _ = wire.get(5, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", "1.2.98"))
    equal("and are as they came", [], [uid for i, uid in enumerate(sent) if i < len(BAD_EDITS) and got.get(uid) != sent[uid]])
    equal("Hilum stops after edits", 0, server.stop())


with tempfile.TemporaryDirectory(prefix="hilum-careless-") as work:
    site = f"{work}/site"
    os.makedirs(f"{site}/rules")
    server = Hilum(work, 'plugins = ( { name = "auth-local"; }, { name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } ); '
                   'peers = ( { name = "WEB"; aet = "WEB"; host = "127.0.0.1"; url = "http://127.0.0.1:9/x"; } );', site=site)
    imports(server, work)
    corrections(server)
    accounts(server)
    help_of_all(server)
    slips(server)
    configuration(server, site)
    equal("Hilum stops", 0, server.stop())
    few_files(work)
    listeners(work)
    edits(work)
print(f"{len(failures)} failures", *failures, sep="\n  ")
sys.exit(1 if failures else 0)
