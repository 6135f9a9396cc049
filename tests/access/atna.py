#!/usr/bin/env python3
"""The audit record at a collector of the house: messages of PS3.15 A.5 by TLS, kept while it is away, over a kill -9 too; and by UDP.
SPDX-License-Identifier: Apache-2.0"""
import os, subprocess, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from collector import Collector
from world import STUDIES, UIDS, Session, World, instance, multipart, part10
from rsyslog import Rsyslog, is_there
from judge import equal, until, verdict

ROLES = '{ name = "clinician"; studies = ( { departments = ( "own" ); } ); }'


def openssl(work, *words):
    subprocess.run(["openssl", *words], cwd=work, check=True, capture_output=True)


def certificates(work):
    for name in ("authority", "stranger"):
        openssl(work, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    open(f"{work}/san", "w").write("subjectAltName=IP:127.0.0.1")
    for name in ("collector", "us"):
        openssl(work, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl(work, "x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial",
                "-extfile", "san", "-out", f"{name}.pem")


def told(collector, event, kind="", outcome=None, user=None, thing=None):
    return [m for m in collector.messages if m.event == event and m.type == kind and outcome in (None, m.outcome)
            and (user is None or user in m.users) and (thing is None or thing in m.objects)]


def comes(what, collector, *of, **more):
    equal(f"{what} is told", True, until(lambda: told(collector, *of, **more), 20))


def happenings(world, collector):
    wang = world.person("wang", "clinician", "WANG^LI", "CARDIO")
    admin = world.token("administrator")
    body, headers = multipart(*(part10(instance(study)) for study in ("own", "foreign")))
    equal("two are stored", 200, world.request("POST", "/dicom-web/studies", {**headers, **admin}, body)[0])
    world.studies(wang, "?PatientName=<%26>%22")
    world.request("GET", "/dicom-web/studies/" + UIDS["own"], {"Accept": "*/*", **wang})
    world.request("GET", "/dicom-web/studies/" + UIDS["foreign"], {"Accept": "*/*", **wang})
    session = Session(world, "wang", "correct horse staple")
    session.form("/auth/break-glass", study=UIDS["foreign"], reason="unconscious, <no> time & \x01")
    session.form("/auth/logout")
    world.request("POST", "/auth/login", {"Content-Type": "application/x-www-form-urlencoded"}, "user=%22%3E%3Cx&password=x")
    world.hilum.cli("export", UIDS["own"], world.work + "/exported")
    world.hilum.cli("import", world.work + "/exported")
    world.hilum.cli("audit", "export", world.work + "/record.jsonl")
    world.hilum.cli("patient", "edit", "P-1", "PatientName=Corrected^Name", "--why", "typo")
    world.hilum.cli("plugin", "drain", "audit-atna")
    world.hilum.cli("plugin", "load", "audit-atna")
    comes("a start", collector, "110100", "110120")
    comes("the network", collector, "110108", "110124")
    comes("who stored", collector, "110104", thing=UIDS["own"])
    comes("whose it is", collector, "110104", thing="P-1")
    comes("a query", collector, "110112", user="wang")
    comes("who saw", collector, "110104", user="wang", thing=UIDS["own"])
    comes("who tried", collector, "110113", "110132", outcome="4", user="wang", thing=UIDS["foreign"])
    comes("a broken glass", collector, "110113", "110127", user="wang", thing=UIDS["foreign"])
    comes("a sign-in", collector, "110114", "110122", outcome="0", user="wang")
    comes("a sign-out", collector, "110114", "110123", user="wang")
    comes("one that was refused", collector, "110114", "110122", outcome="4", user='"><x')
    comes("an export", collector, "110106", thing=UIDS["own"])
    comes("an import", collector, "110107")
    comes("the use of the record", collector, "110101")
    comes("a corrected patient", collector, "110110")
    comes("the plugin that came again", collector, "110113", "110131", thing="audit-atna: done")
    equal("which is no start of Hilum", 1, len(told(collector, "110100", "110120")))
    equal("as the standard wants them", [], collector.faults)
    equal("their syslog heads", {(85, "DICOM+RFC3881")}, {(m.priority, m.message_id) for m in collector.messages})


def gone(world, collector, work):
    """While the collector is away nothing is lost, whatever happens to the server."""
    collector.close()
    who = world.token("radiologist")
    world.request("GET", "/dicom-web/studies/" + UIDS["own"], {"Accept": "*/*", **world.token("resident")})
    for _ in range(3):
        world.studies(who)
    equal("it is said in the log", True, until(lambda: "the collector does not get" in open(f"{world.hilum.dir}/log").read(), 20))
    until(lambda: len([r for r in world.audit(action="query") if r["who"].startswith("token/t")]) >= 3)
    world.hilum.kill()
    impostor = Collector("tls", collector.port, f"{work}/stranger")
    world.hilum.again()
    equal("a collector that is not ours gets nothing", [], until(lambda: impostor.messages, 3) and impostor.messages or [])
    impostor.close()
    back = Collector("tls", collector.port, f"{work}/collector", f"{work}/authority.pem")
    equal("what happened meanwhile comes", True, until(lambda: len(told(back, "110112", user="token/t")) >= 3, 40))
    comes("the new start", back, "110100", "110120")
    equal("as the standard wants them", [], back.faults)
    equal("Hilum stops", 0, world.hilum.stop())
    world.hilum.again()
    comes("a stop, after the next start", back, "110100", "110121")
    equal("Hilum stops", 0, world.hilum.stop())
    back.close()


def by_udp(work):
    collector = Collector("udp")
    world = World(work, plugins=f'{{ name = "audit-atna"; required = true; options = {{ collector = "udp:127.0.0.1:{collector.port}"; site = "House & Sons"; from = "beginning"; }}; }},')
    comes("a start, by UDP", collector, "110100", "110120")
    world.studies(world.token("radiologist"))
    comes("a query, by UDP", collector, "110112", user="token/t")
    equal("as the standard wants them", [], collector.faults)
    equal("of the site", {"House & Sons"}, {m.xml.find("AuditSourceIdentification").get("AuditEnterpriseSiteID") for m in collector.messages})
    equal("Hilum stops", 0, world.hilum.stop())


def by_rsyslog(work):
    """A collector nobody here wrote."""
    collector = Rsyslog(work, f"{work}/collector", f"{work}/authority.pem")
    options = f'collector = "tls:127.0.0.1:{collector.port}"; ca = "{work}/authority.pem"; certificate = "{work}/us.pem"; key = "{work}/us.key"; retry = "200ms"; timeout = "2s";'
    world = World(work, plugins=f'{{ name = "audit-atna"; required = true; options = {{ {options} }}; }},')
    who = world.token("radiologist")
    events = lambda: [m["event"] for m in collector.messages()]
    world.studies(who, "?PatientName=%E7%8E%8B*")
    equal("rsyslog is told a start and a query", True, until(lambda: {"110100", "110112"} <= set(events()), 20))
    collector.stop()
    for _ in range(3):
        world.studies(who)
    equal("which is kept while it is away", True, until(lambda: "the collector does not get" in open(f"{world.hilum.dir}/log").read(), 20))
    collector.start()
    equal("and comes", True, until(lambda: events().count("110112") >= 4, 20))
    heads = {(m["pri"], m["protocol"], m["app"], m["msgid"]) for m in collector.messages()}
    equal("their heads as rsyslog reads them", {("85", "1", "hilum", "DICOM+RFC3881")}, heads)
    query = [m for m in collector.messages() if m["event"] == "110112"][0]["xml"]
    equal("who asked", ["token/t"], [w.get("UserID") for w in query.findall("ActiveParticipant") if w.get("UserIsRequestor") == "true"])
    equal("Hilum stops", 0, world.hilum.stop())
    collector.stop()


def main(work):
    certificates(work)
    if is_there():
        os.mkdir(f"{work}/real")
        certificates(f"{work}/real")
        by_rsyslog(f"{work}/real")
    else:
        print("rsyslog with GnuTLS is not installed: not asked")
    collector = Collector("tls", 0, f"{work}/collector", f"{work}/authority.pem")
    options = f'collector = "tls:127.0.0.1:{collector.port}"; ca = "{work}/authority.pem"; certificate = "{work}/us.pem"; key = "{work}/us.key"; retry = "200ms"; timeout = "2s";'
    world = World(work, ROLES, plugins=f'{{ name = "audit-atna"; options = {{ {options} }}; }},')
    happenings(world, collector)
    gone(world, collector, work)


with tempfile.TemporaryDirectory(prefix="hilum-access-") as directory, tempfile.TemporaryDirectory(prefix="hilum-access-") as another:
    main(directory)
    by_udp(another)
verdict()
