#!/usr/bin/env python3
"""Whom a peer speaks for (PS3.7 D.3.3.7): a user narrows a peer, a wrong passcode ends it, what nobody checks is refused.
By DCMTK's storescu and by hand. SPDX-License-Identifier: Apache-2.0"""
import os, sys, tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from world import STUDIES, UIDS, World, instance, part10
from judge import equal, until, verdict

PASSWORD = "correct horse staple"
ROLES = '{ name = "clinician"; studies = ( { departments = ( "own" ); }, { referring = ( "own" ); } ); }'
PEERS = '''{ name = "PACS"; aet = "PACS"; cidr = ( "127.0.0.0/8" ); },
  { name = "WARD"; aet = "WARD"; cidr = ( "127.0.0.0/8" ); roles = ( "clinician" ); departments = ( "CARDIO" ); },
  { name = "FINDER"; aet = "FINDER"; cidr = ( "127.0.0.0/8" ); services = ( "echo", "find" ); }'''


def named(world):
    equal("nobody is named", (sorted(STUDIES), False), world.find_as("PACS"))
    equal("a user, by name", (["own", "referred", "vip"], False), world.find_as("PACS", 1, 0, b"wang", b""))
    equal("confirmed where that is asked for", (["own", "referred", "vip"], True), world.find_as("PACS", 1, 1, b"wang", b""))
    equal("a name that is no account changes nothing, and is not confirmed", (sorted(STUDIES), False), world.find_as("PACS", 1, 1, b"stranger", b""))
    equal("a user never widens a peer", (["own", "vip"], True), world.find_as("WARD", 1, 1, b"chief1", b""))
    equal("both narrow", (["own", "vip"], True), world.find_as("WARD", 1, 1, b"wang", b""))
    equal("a user without the action", ("refused", True), world.find_as("PACS", 1, 1, b"tech", b""))
    equal("a user cannot give what the peer has not", "rejected",
          world.store("FINDER", f"{world.work}/own1.dcm", options=("-usr", "chief1", "-pwd", PASSWORD)))
    equal("a closed account", ("reject 1/1/1", None), world.find_as("PACS", 1, 1, b"closed", b""))
    equal("who has to change his password may nothing", ("refused", True), world.find_as("PACS", 1, 1, b"fresh", b""))


def guessing(world):
    """An address that guesses is not asked any more, under whatever name and title; who shows no passcode comes in."""
    refused = [world.find_as("PACS" if i % 2 else "WARD", 2, 0, f"name{i}".encode(), b"guess") for i in range(30)]
    equal("first each guess is refused", [("reject 1/1/1", None)] * 5, refused[:5])
    equal("then nobody is asked", [("reject 2/3/1", None)] * 5, refused[-5:])
    equal("not even with the right one", ("reject 2/3/1", None), world.find_as("PACS", 2, 1, b"wang", PASSWORD.encode()))
    equal("a name alone is no guess", (["own", "referred", "vip"], True), world.find_as("PACS", 1, 1, b"wang", b""))
    equal("the log says why", True, "too many wrong passcodes from this address" in open(f"{world.hilum.dir}/log").read())


def proven(world):
    equal("with the passcode", (["own", "referred", "vip"], True), world.find_as("PACS", 2, 1, b"wang", PASSWORD.encode()))
    equal("a wrong one", ("reject 1/1/1", None), world.find_as("PACS", 2, 1, b"wang", b"wrong"))
    equal("an empty one", ("reject 1/1/1", None), world.find_as("PACS", 2, 0, b"wang", b""))
    equal("nobody's", ("reject 1/1/1", None), world.find_as("PACS", 2, 0, b"stranger", b"x"))
    equal("a name that goes on behind a NUL", ("reject 1/1/1", None), world.find_as("PACS", 1, 0, b"wang\0x", b""))
    for kind, what in ((3, "Kerberos"), (4, "SAML"), (5, "JWT"), (9, "no such kind")):
        equal(f"{what} is not taken", ("reject 1/1/1", None), world.find_as("PACS", kind, 1, b"ticket", b""))
    path = f"{world.work}/own1.dcm"
    equal("storescu with a user", "0000", world.store("PACS", path, options=("-usr", "chief1", "-pwd", PASSWORD, "-rsp")))
    equal("with a wrong passcode", "rejected", world.store("PACS", path, options=("-usr", "chief1", "-pwd", "wrong")))
    token = f"{world.work}/token"
    open(token, "w").write("a.b.c")
    equal("with a JWT", "rejected", world.store("PACS", path, options=("--jwt", token)))
    for _ in range(5):
        world.find_as("PACS", 2, 0, b"tech", b"guess")
    equal("guessing locks the name", ("reject 1/1/1", None), world.find_as("PACS", 2, 1, b"tech", PASSWORD.encode()))
    rows = world.audit(action="sign in refused", what="wang")
    equal("audited", True, bool(rows) and rows[0]["who"].startswith("peer PACS (127.0.0.1)"))
    until(lambda: world.audit(who="peer PACS (127.0.0.1) for wang"))
    equal("the record says for whom", True, bool(world.audit(who="peer PACS (127.0.0.1) for wang", action="query")))
    log = open(f"{world.hilum.dir}/log").read()
    equal("no passcode is in the log", False, PASSWORD in log)


with tempfile.TemporaryDirectory(prefix="hilum-access-") as work:
    world = World(work, ROLES, PEERS)
    for study in STUDIES:
        path = f"{work}/{study}1.dcm"
        open(path, "wb").write(part10(instance(study)))
        world.store("PACS", path)
    world.person("wang", "clinician", "WANG^LI", "CARDIO")
    world.person("chief1", "chief")
    world.person("tech", "security officer")
    world.person("closed", "chief")
    world.hilum.cli("user", "lock", "closed")
    world.hilum.cli("user", "create", "fresh", "chief")
    named(world)
    proven(world)
    guessing(world)
    equal("Hilum stops", 0, world.hilum.stop())
verdict()
