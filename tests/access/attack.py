#!/usr/bin/env python3
"""What somebody would try who may see little, or nothing: ways around grants, smuggled requests, paths, headers and scripts, what
the time of an answer tells, secrets that have expired. SPDX-License-Identifier: Apache-2.0"""
import base64, json, os, re, socket, statistics, sys, tempfile, time, urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import NAMES, STUDIES, UIDS, Session, World, instance, multipart, part10
from judge import equal, verdict

ROLES = '{ name = "clinician"; studies = ( { departments = ( "own" ); }, { referring = ( "own" ); } ); }'
PEERS = '{ name = "PACS"; aet = "PACS"; cidr = ( "127.0.0.1" ); }, { name = "WARD"; aet = "WARD"; cidr = ( "127.0.0.1" ); roles = ( "clinician" ); departments = ( "CARDIO" ); }'
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def raw(world, text, source=None):
    """Bytes as they are; the status line and the rest."""
    with socket.create_connection((world.url.hostname, world.url.port), 10) as s:
        s.sendall(text if isinstance(text, bytes) else text.encode())
        s.settimeout(10)
        out = b""
        try:
            while (got := s.recv(65536)):
                out += got
        except (TimeoutError, ConnectionError):
            pass
    return out


def around_grants(world):
    """Values of one's own account are values, never patterns or statements."""
    for number, (display, departments) in enumerate((("%^%", "%"), ("_ANG^LI", "CARDI_"), ("WANG", ""), ("", "x') OR ('1'='1"), ("=^=", ","), ("^", " "))):
        who = world.person(f"odd{number}", "clinician", display, departments)
        equal(f"{display!r} of {departments!r} sees", [], world.studies(who))
    for bad in ("*", "WANG^*", "?ANG^LI", "a\\b"):
        out = world.hilum.cli("user", "describe", "odd0", bad, "", check=False)
        equal(f"an account is not called {bad}", None, out)
    who = world.person("plain", "clinician", "", "CARDIO")
    equal("what he may", ["own", "vip"], world.studies(who))
    for query in ("?PatientID=P-5", "?PatientName=*", "?StudyInstanceUID=" + "\\".join(UIDS.values()), "?limit=1000000&offset=0", "?ReferringPhysicianName=SMITH*",
                  "?StudyInstanceUID=' OR 1=1 --".replace(" ", "%20"), "?StudyDate=19000101-29991231&includefield=all", "?fuzzymatching=true&PatientName=p"):
        seen = world.studies(who, query)
        equal(f"{query} opens nothing", True, not isinstance(seen, list) or set(seen) <= {"own", "vip"})
    answers, _ = world.find("WARD", "0008,0052=IMAGE", f"0020,000D={UIDS['foreign']}", f"0020,000E={UIDS['foreign']}.1", f"0008,0018={UIDS['foreign']}.1.1")
    equal("an image by its UID", [], answers)
    status, body, _ = world.request("GET", "/dicom-web/studies?includefield=all", who)
    equal("how much there is in all of a patient", False, any("Value" in s.get("00201200", {}) for s in json.loads(body)))
    equal("blanks around a title mean nothing", ["own", "vip"], world.find_as("WARD ")[0])
    glass = Session(world, "plain", "correct horse staple")
    equal("glass", 200, glass.form("/auth/break-glass", study=UIDS["foreign"], reason="an emergency indeed")[0])
    equal("is open for who broke it", True, "foreign" in world.studies(who))
    equal("and for nobody else", [], world.studies(world.person("plain2", "clinician", "", "x")))
    taken = [glass.form("/auth/break-glass", study=f"1.2.3.{i}", reason="to see how many there may be")[0] for i in range(40)]
    equal("there is an end to it", True, taken.count(200) < 32 and taken[-1] >= 400)
    equal("without a reason that is one", 400, glass.form("/auth/break-glass", patient="P-2", reason=" " * 3)[0])


def requests(world):
    host = f"Host: {world.url.netloc}\r\n"
    token = world.token("administrator")["Authorization"]
    for path in ("/../../../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/shell/..%2f..%2f..%2fetc%2fpasswd", "/ohif/..%5c..%5cetc%5cpasswd", "/shell/%252e%252e/etc/passwd",
                 "//etc/passwd", "/dicom-web/studies/../../auth/session", "/dicom-web/studies/%00", "/shell/%c0%ae%c0%ae/etc/passwd",
                 f"/dicom-web/studies/{UIDS['own']}/series/{UIDS['own']}.1/instances/{UIDS['own']}.1.1/bulkdata/..%2f..%2fcatalog.db"):
        answer = raw(world, f"GET {path} HTTP/1.1\r\n{host}Authorization: {token}\r\nConnection: close\r\n\r\n")
        equal(f"{path}", (True, False), (answer[9:12] in (b"400", b"404"), b"root:" in answer or b"SQLite" in answer))
    for what, text in (("two lengths", f"POST /auth/logout HTTP/1.1\r\n{host}Content-Length: 4\r\nContent-Length: 40\r\n\r\nabcd"),
                       ("a length and chunks", f"POST /auth/logout HTTP/1.1\r\n{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n{host}\r\n"),
                       ("a blank before the colon", f"GET /health HTTP/1.1\r\n{host}Authorization : {token}\r\nConnection: close\r\n\r\n"),
                       ("a line that goes on", f"GET /metrics HTTP/1.1\r\n{host}X: y\r\n Authorization: {token}\r\nConnection: close\r\n\r\n")):
        answer = raw(world, text)
        equal(f"{what}: no second answer, no rights", True, answer.count(b"HTTP/1.1 2") <= (what == "a blank before the colon") and b"hilum_record" not in answer)
    for n, value in ((300, "1"), (1000, "1"), (200, "1" * 90)):  # what filled the library's memory was never answered
        answer = raw(world, f"GET /dicom-web/studies?{'&'.join(['StudyID=' + value] * n)} HTTP/1.1\r\n{host}Authorization: {token}\r\nConnection: close\r\n\r\n")
        equal(f"{n} parameters are refused", b"400", answer[9:12])
    answer = raw(world, f"GET /dicom-web/studies?{'PatientID=P-5&' * 256}StudyInstanceUID=1.2 HTTP/1.1\r\n{host}Authorization: {token}\r\nConnection: close\r\n\r\n")
    equal("and the last of them is never dropped", b"400", answer[9:12])
    equal("two hosts", b"", raw(world, f"GET /metrics HTTP/1.1\r\n{host}Host: elsewhere\r\nAuthorization: {token}\r\n\r\n"))
    status, _, _ = world.request("GET", "/metrics", {"X-HTTP-Method-Override": "DELETE", "X-Original-URL": "/health", "X-Rewrite-URL": "/health"})
    equal("headers that name another way", 401, status)
    for name in ("X-Forwarded-User", "X-Remote-User", "Remote-User", "X-Hilum-User", "X-Forwarded-For"):
        equal(f"{name} claims nothing", 401, world.request("GET", "/dicom-web/studies", {name: "administrator" if "For" not in name else "127.0.0.1"})[0])
    answer = raw(world, f"GET /dicom-web/studies HTTP/1.1\r\nHost: x%0d%0aSet-Cookie:%20a=b\r\nX-Forwarded-Host: evil\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n")
    equal("a host name makes no header", False, b"\r\nSet-Cookie" in answer or b"evil" in answer)


def commands(world):
    """An option does not lend the right of another command."""
    who = {**world.token("it"), "Content-Type": "application/json"}
    for arguments, expected in (({}, 200), ({"repair": True}, 403)):
        equal(f"fsck {arguments} of who may check", expected, world.request("POST", "/api/commands/archive/fsck", who, json.dumps(arguments))[0])
    equal("nor is it said to have been done", [], world.audit(action="archive.repair"))


def scripts(world):
    """Values of objects are data wherever they come out."""
    everything = world.token("administrator")
    ds = instance("own", study_uid="1.2.999.5.66")
    ds.PatientID, ds.PatientName, ds.StudyDescription = "<script>1", "<script>alert(1)</script>^A", "\r\nSet-Cookie: a=b"
    body, headers = multipart(part10(ds))
    equal("is stored", 200, world.request("POST", "/dicom-web/studies", {**headers, **everything}, body)[0])
    for path in ("/dicom-web/studies?StudyInstanceUID=1.2.999.5.66", "/dicom-web/studies/1.2.999.5.66/metadata"):
        status, content, answer = world.request("GET", path, {"Accept": "application/dicom+json", **everything})
        equal(f"{path}: as JSON", ("application/dicom+json", "nosniff"), (answer.getheader("Content-Type").split(";")[0], answer.getheader("X-Content-Type-Options")))
        equal("no header of an object's making", None, answer.getheader("Set-Cookie"))
        json.loads(content)
    status, content, answer = world.request("GET", "/dicom-web/studies/<script>alert(1)</script>".replace("<", "%3C").replace(">", "%3E"), everything)
    equal("an error is no page", True, "html" not in answer.getheader("Content-Type") and status in (400, 404))
    world.request("POST", "/auth/login", FORM, urllib.parse.urlencode({"user": 'x"\n{"level":"error"}', "password": "y"}))
    lines = open(f"{world.hilum.dir}/log", errors="replace").read().splitlines()
    forged = [line for line in lines if line.startswith('{"level":"error"}')]
    equal("no line of the log is an attacker's", [], forged)


def secrets(world):
    def attempt(user, password):
        begun = time.perf_counter()
        status = world.request("POST", "/auth/login", FORM, urllib.parse.urlencode({"user": user, "password": password}))[0]
        return status, time.perf_counter() - begun
    pairs = [(attempt("plain", f"wrong password {i}"), attempt(f"nobody{i}", f"wrong password {i}")) for i in range(12)]
    equal("refused alike", {(401, 401)}, {(a[0], b[0]) for a, b in pairs})
    known, unknown = (statistics.median(p[i][1] for p in pairs) for i in (0, 1))
    equal(f"in the same time (known {known * 1000:.0f} ms, unknown {unknown * 1000:.0f} ms)", True, 0.6 < known / unknown < 1.7)
    equal("and the name is locked by then", 401, attempt("plain", "correct horse staple")[0])
    world.hilum.cli("user", "unlock", "plain")
    session = Session(world, "plain", "correct horse staple")
    equal("a session", 200, world.request("GET", "/dicom-web/studies", session.headers())[0])
    session.form("/auth/logout")
    equal("does not come back", 401, world.request("GET", "/dicom-web/studies", session.headers())[0])
    old = world.token("resident", "find", "30")
    equal("a token for days", 200, world.request("GET", "/dicom-web/studies", old)[0])
    equal("within its scope", 403, world.request("GET", "/dicom-web/studies/" + UIDS["own"], old)[0])
    equal("a token reaches no control", 403, world.request("GET", "/metrics", old)[0])
    equal("Hilum stops", 0, world.hilum.stop())
    path = f"{world.hilum.data}/auth-local/accounts.json"
    accounts = json.load(open(path))
    for token in accounts["tokens"].values():
        token["expires"] = token["expires"] and 1
    json.dump(accounts, open(path, "w"))
    world.hilum.again()
    ready = next(line for line in open(f"{world.hilum.dir}/log", errors="replace") if line.startswith("READY"))
    world.url = urllib.parse.urlparse(re.search(r" http=(\S+)", ready).group(1))
    equal("a token that has expired", 401, world.request("GET", "/dicom-web/studies", old)[0])
    equal("a session of before the restart", 401, world.request("GET", "/dicom-web/studies", session.headers())[0])


with tempfile.TemporaryDirectory(prefix="hilum-access-") as work:
    world = World(work, ROLES, PEERS, plugins='{ name = "web-shell"; }, { name = "viewer-ohif"; }, { name = "web-admin"; },')
    for study in STUDIES:
        path = f"{work}/{study}1.dcm"
        open(path, "wb").write(part10(instance(study)))
        equal(f"{study} is stored", "0000", world.store("PACS", path))
    NAMES["1.2.999.5.66"] = "?"
    around_grants(world)
    requests(world)
    commands(world)
    scripts(world)
    secrets(world)
    equal("Hilum stops", 0, world.hilum.stop())
verdict()
