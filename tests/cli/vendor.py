#!/usr/bin/env python3
"""A vendor's plugin, built against the installed SDK alone, in a whole server: it asks Orthanc (C-ECHO, C-FIND, C-MOVE,
C-GET, N-ACTION), runs jobs that rules and commands start, counts on /metrics, listens on the host's loop."""
import json, os, re, shutil, socket, subprocess, sys, tempfile, urllib.error, urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import equal, until, verdict
from peers import BUILD, Hilum, Orthanc, ROOT, SMALL_STORE, free_port, has_orthanc, skip

RULES = """
hilum.on { event = "instance.stored", name = "site/tell", where = "Modality=US",
  run = function(ev) ev:acme_tell { text = ev:acme_twice("Modality") .. tostring(ev:acme_twice("Nothing")) } end }
"""


def build(work):
    sdk = f"{work}/sdk"
    subprocess.run(["cmake", "--install", BUILD, "--component", "sdk", "--prefix", sdk], check=True, capture_output=True)
    out = f"{work}/acme-asker.so"
    subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden",
                    "-Wl,-z,now,-z,defs", "-I", f"{sdk}/include", f"{HERE}/vendor/acme-asker.c", "-o", out], check=True)
    checked = subprocess.run([f"{sdk}/bin/hilum-plugin-check", out], capture_output=True, text=True)
    equal("hilum-plugin-check", 0, checked.returncode)
    if checked.returncode:
        print(checked.stdout, checked.stderr)
    return out


def objects(hilum):
    return sorted(o["StudyInstanceUID"] for o in hilum.cli("study", "find"))


def ask(hilum, orthanc, studies):
    study = next(s for s, modality in studies.items() if modality == "US")
    equal("C-ECHO", ["ms"], list(hilum.cli("acme", "echo", "orthanc")))
    found = hilum.cli("acme", "find", "orthanc")
    equal("C-FIND", sorted(studies), sorted(uid for uid, _ in found))
    equal("a name beyond ASCII, asked and answered", 1, len(hilum.cli("acme", "find", "orthanc", "*王*")))
    refused = subprocess.run([f"{BUILD}/bin/hilum", "--data", hilum.data, "acme", "find", "orthanc", "*", "1"],
                             capture_output=True, text=True)
    equal("C-CANCEL", (True, True), (refused.returncode != 0, "enough" in refused.stderr))
    equal("nothing is here", [], objects(hilum))
    got = hilum.cli("acme", "get", "orthanc", study)
    equal("C-GET", (True, 0, 0), (got["completed"] > 0, got["failed"], got["status"]))
    equal("what C-GET brought is stored", [study], objects(hilum))
    other = next(s for s in studies if s != study)
    moved = hilum.cli("acme", "move", "orthanc", other)
    equal("C-MOVE to us", (True, 0), (moved["completed"] > 0, moved["failed"]))
    equal("what C-MOVE brought is stored", sorted([study, other]), objects(hilum))
    equal("N-ACTION", 0, hilum.cli("acme", "commit", "orthanc", "1.2.3")["status"])
    nobody = subprocess.run([f"{BUILD}/bin/hilum", "--data", hilum.data, "acme", "echo", "nobody"],
                            capture_output=True, text=True)
    equal("an unknown peer", True, "none of this name or AE title is configured" in nobody.stderr)


def as_stored(work, hilum, orthanc):
    """Objects of one class in several syntaxes: each comes as the peer has it, where the class is named."""
    import pydicom
    study, stored = "1.2.999.77", {}
    source = next(f"{folder}/{name}" for folder, _, names in os.walk(f"{work}/demo") for name in names
                  if pydicom.dcmread(f"{folder}/{name}", stop_before_pixels=True).Modality == "CT")
    for i, tool in enumerate((["dcmcrle"], ["dcmcjpls", "+el"], ["dcmcjpeg", "+e1"], ["cp"])):
        packed = f"{work}/packed-{i}.dcm"
        subprocess.run([*tool, source, packed], check=True)
        ds = pydicom.dcmread(packed)
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = study, f"{study}.1", f"{study}.1.{i}"
        ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
        ds.save_as(packed)
        orthanc.rest("/instances", body=open(packed, "rb").read())
        stored[str(ds.SOPInstanceUID)] = str(ds.file_meta.TransferSyntaxUID)
    got = hilum.cli("acme", "get", "orthanc", study, "1.2.840.10008.5.1.4.1.1.2")
    equal("C-GET of a class in four syntaxes", (4, 0), (got["completed"], got["failed"]))
    hilum.cli_items("export", study, f"{work}/got")
    found = [pydicom.dcmread(f"{folder}/{name}", stop_before_pixels=True) for folder, _, names in os.walk(f"{work}/got") for name in names
             if name != "DICOMDIR"]
    equal("each came as it is stored there", stored, {str(ds.SOPInstanceUID): str(ds.file_meta.TransferSyntaxUID) for ds in found})


def narrowed(hilum, studies):
    """What comes back by C-GET is sent here by the peer: its roles narrow it as they do a C-STORE of it."""
    here = objects(hilum)
    new = next(s for s in studies if s not in here)

    def get(peer, study):
        run = subprocess.run([f"{BUILD}/bin/hilum", "--data", hilum.data, "--json", "acme", "get", peer, study],
                             capture_output=True, text=True)
        return json.loads(run.stdout)["completed"] if run.returncode == 0 else run.stderr
    equal("a peer whose roles store nothing", True, "not among the actions of the roles" in str(get("reader", new)))
    equal("and nothing of it is here", here, objects(hilum))
    get("ward", here[0])
    equal("into a study of another sender", True, "not allowed into this study: peer ward" in open(f"{hilum.dir}/log").read())
    equal("into one of its own", True, get("ward", new) in range(1, 100))
    equal("which is here then", sorted([*here, new]), objects(hilum))


def older(hilum):
    """Structs shorter than today's: filled in as far as they go, and no byte behind them is touched."""
    told = hilum.cli("acme", "older", objects(hilum)[0])
    equal("structs of an older SDK", [], [what for what, is_good in told.items() if not is_good])
    equal("of every function that fills one in", 9, len(told))


def jobs(hilum):
    done = lambda: [j for j in hilum.cli("job", "list", "--all") if j["type"].startswith("acme")]
    if not until(lambda: len(done()) >= 1 and all(j["state"] == "done" for j in done())):
        print(done())
    first = done()[0]
    equal("a rule's verb became a job", ("acme_tell", "noted"), (first["type"], first["result"]))
    equal("it was tried again", True, max(j["attempts"] for j in done()) >= 2)
    equal("what a rule read by a plugin's reader", {"text": "USUSnil"}, hilum.cli("acme", "noted"))
    number = hilum.cli("acme", "note", "by command")["job"]
    until(lambda: any(j["id"] == number and j["state"] == "done" for j in done()))
    equal("a job of a command", [("acme_note", "done")],
          [(j["type"], j["state"]) for j in done() if j["id"] == number])
    equal("what it was told", {"text": "by command"}, hilum.cli("acme", "noted"))


def listen(log):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        s.sendto(b"hello", ("127.0.0.1", int(re.search(r" acme=(\d+)", log).group(1))))
        equal("a datagram is answered on the loop", b"heard", s.recv(64))


def metrics(hilum, port):
    token = hilum.cli("token", "create", "watcher", "administrator", "status")["token"]
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        text = answer.read().decode()
    equal("counter on /metrics", True, 'hilum_plugin_acme_asker_asked_total{what="get",result="ok"} 3\n' in text)
    equal("a failure is another series", True,
          'hilum_plugin_acme_asker_asked_total{what="echo",result="failed"} 1\n' in text)
    equal("histogram on /metrics", True, 'hilum_plugin_acme_asker_echo_ms_count 2\n' in text)


def isolated_route(hilum, port):
    """A route in a worker behind the real server: signed in first, answered, and its worker's end is one answer's."""
    states = {p["id"]: p for p in hilum.cli("plugin", "list")}
    if states["example-route"]["state"] != "running":
        return print("skipped: no workers here:", states["example-route"]["reason"])
    token = hilum.cli("token", "create", "caller", "administrator", "status")["token"]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path, headers={"Authorization": f"Bearer {token}"}):
        try:
            answer = opener.open(urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers))
            return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
    equal("nobody is let in", 401, get("/example/greeting/you", {})[0])
    equal("a route in a worker", (200, "Good morning, 王\n"), get("/example/greeting/%E7%8E%8B"))
    os.kill(states["example-route"]["workers"][0], 9)
    equal("its worker's end costs a call at most", True, 200 in (get("/example/greeting/you")[0], get("/example/greeting/you")[0]))


def carried(hilum, folder):
    """The example of a carrier: a study goes to a folder by the outbox, and is fetched from there."""
    study = objects(hilum)[0]
    queued = hilum.cli("study", "send", study, "exchange")["queued"]
    files = lambda: [f for f in os.listdir(f"{folder}/{study}") if f.endswith(".dcm")] if os.path.isdir(f"{folder}/{study}") else []
    equal("a study is carried into a folder", True, queued > 0 and until(lambda: len(files()) == queued))
    job = hilum.cli("study", "retrieve", study, "exchange")["job"]
    ended = lambda: [j for j in hilum.cli("job", "list", "--all") if j["id"] == job and j["state"] == "done"]
    equal("and fetched from there", True, until(lambda: ended()) and f"{queued} read, 0 refused" in ended()[0]["result"])


def main():
    if not has_orthanc():
        skip("Orthanc is not installed (package orthanc)")
    work = tempfile.mkdtemp(prefix="hilum-vendor-")
    os.chmod(work, 0o755)
    so = build(work)
    port, http = free_port(), free_port()
    orthanc = Orthanc(work, modalities={"hilum": ["HILUM", "127.0.0.1", port]}, DefaultEncoding="Utf8")
    os.makedirs(f"{work}/demo")
    subprocess.run([f"{BUILD}/bin/demo-phantom-files", f"{work}/demo"], check=True, capture_output=True)
    for folder, _, names in os.walk(f"{work}/demo"):
        for name in names:
            orthanc.rest("/instances", body=open(f"{folder}/{name}", "rb").read())
    studies = {}
    for series in orthanc.rest("/series?expand"):
        study = orthanc.rest(f"/studies/{series['ParentStudy']}")["MainDicomTags"]["StudyInstanceUID"]
        studies[study] = series["MainDicomTags"]["Modality"]
    os.makedirs(f"{work}/site/rules")
    open(f"{work}/site/rules/tell.lua", "w").write(RULES)
    os.makedirs(f"{work}/exchange")
    store = SMALL_STORE.replace("plugins = ( ", f'plugins = ( {{ name = "example-carrier"; file = "{BUILD}/sdk/examples/example-carrier.so"; '
                                f'allow_preview = true; trust = "in-process"; }}, {{ name = "example-route"; file = "{BUILD}/sdk/examples/example-route.so"; '
                                'isolation = "process"; }, { name = "acme-asker"; file = "%s"; }, { name = "auth-local"; }, { name = "http"; '
                                'options = { listen = "127.0.0.1:%d"; }; }, ' % (so, http))
    where = f'host = "127.0.0.1"; port = {orthanc.port}; services = ( "echo", "store", "find", "move", "get" );'
    hilum = Hilum(work, f'{store}\nroles = ( {{ name = "reader"; allow = ( "find", "retrieve" ); }}, '
                  '{ name = "technologist"; studies = ( { senders = ( "own" ); } ); } );\n'
                  f'peers = ( {{ name = "orthanc"; aet = "ORTHANC"; {where} }}, {{ name = "exchange"; aet = "EXCHANGE"; url = "file://{work}/exchange"; via = "example-carrier"; }}, '
                  f'{{ name = "reader"; aet = "READER"; roles = ( "reader" ); {where} }}, '
                  f'{{ name = "ward"; aet = "WARD"; roles = ( "technologist" ); {where} }} );'
                  'outbox = { retry_first = "100ms"; };', site=f"{work}/site", port=port)
    ask(hilum, orthanc, studies)
    as_stored(work, hilum, orthanc)
    narrowed(hilum, studies)
    older(hilum)
    jobs(hilum)
    carried(hilum, f"{work}/exchange")
    listen(open(f"{hilum.dir}/log").read())
    metrics(hilum, http)
    isolated_route(hilum, http)
    equal("it stops in order", 0, hilum.stop())
    orthanc.stop()
    shutil.rmtree(work)
    verdict()


main()
