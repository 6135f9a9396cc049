#!/usr/bin/env python3
"""Every cell of matrix.tsv against one server: routes and DIMSE services, roles, an own study and a foreign one. A route or a service
without a row fails, and so does a plugin with routes that is not here. SPDX-License-Identifier: Apache-2.0"""
import os, re, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from world import NAMES, SECONDARY_CAPTURE, UIDS, World, instance, multipart, part10
from judge import data_set, equal, verdict
from peers import BUILD, ROOT
from wire import EXPLICIT, IMPLICIT, STUDY_FIND, STUDY_GET, STUDY_MOVE, VERIFICATION, Closed, MOVE_RQ, Wire, command, element, pdata, pdatas

PLUGINS = ("web-shell", "viewer-ohif")  # with routes, beside those of every world
DEPARTMENTAL = ("registrar", "technologist", "resident", "chief", "clinician", "statistician", "research")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODIES = {"/auth/break-glass": "study=1.2.3.4.5&reason=to+see+who+may+do+this", "/auth/login": "user=nobody&password=nothing"}
NO_FORMS = ("/auth/password",)  # a form with a wrong password is refused for that
lines = [line.rstrip("\n").split("\t") for line in open(f"{HERE}/matrix.tsv") if not line.startswith("# ") or line.startswith("# what")]
roles, rows = lines[0][3:], lines[1:]


def aet_of(role):
    return "R_" + role[:10].upper().replace(" ", "_")


class Http:
    """One cell of a route."""

    def __init__(self, world, role, number):
        self.world, self.role, self.number = world, role, number
        self.headers = world.accounts.get(role, {})

    def may(self, row, study):
        method, path = row[1].split(" ", 1)
        uid = UIDS[study]
        path = path.replace("{study}", uid).replace("{series}", uid + ".1").replace("{instance}", uid + ".1.1")
        headers, body = {"Accept": "*/*", **self.headers}, None
        if row[2] == "stow":
            body, more = multipart(part10(instance(study, uid=f"{uid}.1.9.{self.number}")))
            headers.update(more)
        elif method == "POST":
            body, headers = BODIES.get(path, "x"), {**headers, **({"Content-Type": "text/plain"} if path in NO_FORMS else FORM)}
        status, content, _ = self.world.request(method, path, headers, body)
        if method == "GET":  # what a GET refuses, a HEAD does
            head = self.world.request("HEAD", path, headers)[0]
            equal(f"{self.role}: HEAD as GET {path}", status in (401, 403), head in (401, 403))
        if row[2] == "list":
            return status == 200 and f'"{uid}"'.encode() in content
        if row[2] == "see":
            return status in (200, 206)
        if row[2] == "stow":
            return status == 200
        return status not in (401, 403) or path == "/auth/login"


class Dimse:
    """One cell of a service."""

    def __init__(self, world, role, number):
        self.world, self.aet, self.number = world, aet_of(role) if role != "nobody" else "NOBODY", number

    def may(self, row, study):
        sop_class = {"C-ECHO": VERIFICATION, "C-FIND": STUDY_FIND, "C-MOVE": STUDY_MOVE, "C-GET": STUDY_GET, "C-STORE": SECONDARY_CAPTURE}[row[1]]
        syntax = EXPLICIT if row[1] == "C-STORE" else IMPLICIT
        contexts = [(1, sop_class, [syntax])] + ([(3, SECONDARY_CAPTURE, [EXPLICIT])] if row[1] == "C-GET" else [])
        with Wire(self.world.hilum.port) as wire:
            accepted = wire.associate(contexts, calling=self.aet, roles=[SECONDARY_CAPTURE] if row[1] == "C-GET" else ())
            return 1 in accepted and self.asked(wire, row[1], UIDS[study], study)

    def asked(self, wire, service, uid, study):
        value = uid.encode() + b"\0" * (len(uid) % 2)
        keys = struct.pack("<HHI", 8, 0x52, 6) + b"STUDY " + struct.pack("<HHI", 0x20, 0x0D, len(value)) + value
        if service == "C-ECHO":
            return wire.echo() == 0
        if service == "C-FIND":
            return any(uid.encode() in answer for answer in wire.find(1, keys)[0])
        if service == "C-GET":
            objects, status = wire.get(1, keys)
            return status == 0 and len(objects) > 0
        if service == "C-MOVE":  # nobody listens there: A702 tells that it was tried
            wire.send(pdata(1, True, command(MOVE_RQ, 1, STUDY_MOVE, has_data=True, extra=element(0x0600, b"SINK"))) + pdatas(1, keys))
            while (status := wire.status()) == 0xFF00:
                pass
            equal(f"C-MOVE by {self.aet}: refused, or tried", True, status in (0x0124, 0xA702))
            return status == 0xA702
        ds = instance(study, uid=f"{uid}.1.8.{self.number}")
        return wire.store(1, SECONDARY_CAPTURE, ds.SOPInstanceUID, data_set(part10(ds))) == 0


def missing(world):
    """What the server offers and no row names."""
    offered = {p for plugin in world.hilum.cli("plugin", "list") for p in plugin["provides"] if p.startswith(("route:", "service:"))}
    equal("what has no row", [], sorted(offered - {row[0] for row in rows}))
    equal("rows of nothing", [], sorted({row[0] for row in rows} - offered - {"dimse"}))
    with_routes = subprocess.run(["grep", "-rlE", "HILUM_CAP_(ROUTE|SERVICE)", f"{ROOT}/plugins", "--include=*.c"], capture_output=True, text=True).stdout
    running = {plugin["id"] for plugin in world.hilum.cli("plugin", "list")}
    # web-admin: every command x role is driven by tests/web/test_admin.sh
    equal("plugins with routes that do not run here", [], sorted({p.split("/plugins/")[1].split("/")[0] for p in with_routes.split()} - running - {"web-admin"}))


def other_verbs(world):
    """No verb gets around a route's own."""
    everything = world.accounts["administrator"]
    for path in sorted({row[1].split(" ", 1)[1].split("?")[0] for row in rows if " " in row[1]}):
        path = path.replace("{study}", UIDS["foreign"]).replace("{series}", UIDS["foreign"] + ".1").replace("{instance}", UIDS["foreign"] + ".1.1")
        taken = {row[1].split(" ", 1)[0] for row in rows if " " in row[1] and row[1].split(" ", 1)[1].split("?")[0] == path}
        for verb in ("PUT", "DELETE", "PATCH", "TRACE", "get", "G3T"):
            status = world.request(verb, path, everything if verb in ("PUT", "DELETE") else {})[0]
            equal(f"{verb} {path}", True, status >= 400 or verb in taken)


def main(work):
    studies = ", ".join(f'{{ name = "{role}"; studies = ( {{ departments = ( "own" ); }} ); }}' for role in DEPARTMENTAL)
    peers = ", ".join(f'{{ name = "{aet_of(r)}"; aet = "{aet_of(r)}"; cidr = ( "127.0.0.0/8" ); roles = ( "{r}" ); departments = ( "CARDIO" ); }}' for r in roles[1:])
    world = World(work, studies, peers + ', { name = "SINK"; aet = "SINK"; host = "127.0.0.1"; port = SINKPORT; services = ( "echo", "store" ); }',
                  plugins=" ".join(f'{{ name = "{p}"; required = true; }},' for p in PLUGINS))
    world.accounts = {role: world.person("u-" + role.replace(" ", "-"), role, "LI^PERSON", "CARDIO") for role in roles[1:]}
    for study in ("own", "foreign"):
        body, headers = multipart(part10(instance(study)))
        equal(f"there is {study}", 200, world.request("POST", "/dicom-web/studies", {**headers, **world.accounts["administrator"]}, body)[0])
    missing(world)
    for row in rows:
        face = Http if row[0].startswith("route:") else Dimse
        for number, (role, cell) in enumerate(zip(roles, row[3:]), 1):
            asking = face(world, role, number + 100 * (row[1] == "POST /dicom-web/studies"))
            found = "".join("y" if asking.may(row, study) else "n" for study in ("own", "foreign"))
            equal(f"{role}: {row[1]}", cell, found)
    other_verbs(world)
    equal("Hilum stops", 0, world.hilum.stop())
    verdict()


with tempfile.TemporaryDirectory(prefix="hilum-access-") as directory:
    main(directory)
