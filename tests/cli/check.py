#!/usr/bin/env python3
"""`hilumd --check` and a start say the same of a configuration: what cannot start is no sound one. And a reload refuses what it
would leave without a way. SPDX-License-Identifier: Apache-2.0"""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, ROOT, Hilum

failures = []
OWN = ("--plugin-dir", f"{BUILD}/lib/hilum/plugins", "--rules-dir", f"{ROOT}/scripts/core")
SHIPPED = ("--config", f"{ROOT}/etc/hilum.cfg")
PLUGINS = 'plugins = ( { name = "db-sqlite"; }, { name = "store-fs"; } );\ndicom = { listen = ( "127.0.0.1:0" ); };\n'


def equal(what, expected, found):
    if expected != found:
        failures.append(what)
        print(f"BAD  {what}: expected {expected!r}, found {found!r}")


def told(*options, program=f"{BUILD}/bin/hilumd", stop=False):
    """(exit status, what it said); a server that comes up is stopped."""
    process = subprocess.Popen([program, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = ""
    for line in process.stdout:
        text += line
        if line.startswith("READY"):
            process.terminate()
    return process.wait(60), text


def same(what, work, *options, says, program=f"{BUILD}/bin/hilumd"):
    """Neither is sound, and both say so in these words."""
    for more in (("--check",), ()):
        status, text = told("--data", f"{work}/data", *options, *more, program=program)
        equal(f"{what}: {'--check' if more else 'start'}", (1, True), (status, says in text) if says in text else (status, text))


def check(work, text, says):
    """A fault, at its line; None: sound."""
    with open(f"{work}/a.cfg", "w") as f:
        f.write(text)
    status, found = told(*SHIPPED, *OWN, "--data", f"{work}/data", "--extra", f"{work}/a.cfg", "--check")
    wanted = f"{work}/a.cfg:{says}" if says else "are sound"
    equal(text, (1 if says else 0, True), (status, wanted in found) if wanted in found else (status, found))


def starts(work):
    os.makedirs(f"{work}/alone/bin")
    alone = shutil.copy(f"{BUILD}/bin/hilumd", f"{work}/alone/bin/hilumd")
    if not os.path.exists("/etc/hilum/hilum.cfg"):
        same("no configuration", work, program=alone, says=f"no configuration: looked for {work}/alone/etc/hilum/hilum.cfg and /etc/hilum/hilum.cfg; name one with --config")
    with open(f"{work}/none.cfg", "w") as f:
        f.write('dicom = { aet = "X"; };\n')
    same("no plugins", work, "--config", f"{work}/none.cfg", *OWN, says="plugins: expected one that provides a database, such as db-sqlite, found none")
    with open(f"{work}/other.cfg", "w") as f:
        f.write(PLUGINS + 'storage = {\n  default_store = "tape"; };\n')
    same("another store", work, "--config", f"{work}/other.cfg", *OWN,
         says=f'{work}/other.cfg:4: storage.default_store: expected the store of a plugin ("fs"), found "tape"')
    with open(f"{work}/named.cfg", "w") as f:
        f.write(PLUGINS +
                'storage = { default_store = "fs"; };\n')
    equal("what is sound starts", 0, told("--data", f"{work}/sound", "--config", f"{work}/named.cfg", *OWN)[0])
    open(f"{work}/file", "w").close()
    same("a file for a folder", work, *SHIPPED, *OWN, "--data", f"{work}/file", says=f"open {work}/file/hilumd.lock: Not a directory (the data directory must belong")
    same("no folder above", work, *SHIPPED, *OWN, "--data", f"{work}/no/where", says=f"make data directory {work}/no/where: No such file or directory (make it")
    same("a long path", work, *SHIPPED, *OWN, "--data", f"{work}/{'x' * 120}", says="too long for a Unix socket: set control.socket")
    with open(f"{work}/tls.cfg", "w") as f:
        f.write(f'dicom = {{ listen = ( {{ address = "127.0.0.1:0"; tls = {{ certificate = "{work}/tls.cfg"; key = "{work}/tls.cfg"; }}; }} ); }};\n')
    same("a certificate that is none", work, *SHIPPED, *OWN, "--extra", f"{work}/tls.cfg", says="dicom.listen 127.0.0.1:0: ")


def ways(work):
    peer = 'peers = ( { name = "A"; aet = "A"; host = "::1"; }, { name = "B"; aet = "B"; url = "https://b/";%s } );\n'
    client = 'plugins = ( { name = "dicomweb-client"; } );\n'
    check(work, peer % ' via = "dicomweb";', '1: peers[].via: expected one of "dimse", which enabled plugins carry, found "dicomweb" (the carrier of dicomweb-client)')
    check(work, client + peer % ' via = "dicomwob";', '2: peers[].via: expected one of "dimse", "dicomweb", which enabled plugins carry, found "dicomwob"')
    check(work, peer % "", '1: peers[].url: expected an enabled plugin that carries "dicomweb" (dicomweb-client), found none')
    check(work, client + peer % "", None)
    check(work, client + peer % ' via = "dicomweb";', None)
    check(work, client + peer % "" + 'routes = ( {\n send = ( "B" ); via = "fax"; } );', '4: routes[].via: expected one of "dimse", "dicomweb", which')
    check(work, client.replace("}", "enabled = false; }") + peer % "" + 'routes = ( { send = ( "A" ); via = "dimse"; } );', "2: peers[].url: expected")


def reloads(work):
    site = f"{work}/site"
    os.makedirs(site)
    server = Hilum(work, site=site)
    with open(f"{site}/b.cfg", "w") as f:
        f.write('peers = ( { name = "B"; aet = "B"; host = "::1"; via = "fax"; } );\n')
    result = server.cli("config", "reload", check=False)
    equal("a reload refuses what nobody carries", (False, True), (result["reloaded"], "b.cfg:1: peers[].via: expected one of" in result["faults"][0]))
    equal("and the peer is not there", [], server.cli("peer", "list"))
    equal("Hilum stops", 0, server.stop())
    # What is received is worth more than what is sent: it starts, and says so.
    status, text = told(*server.argv[1:])
    equal("a start goes on without", (0, True, True), (status, "READY" in text, "b.cfg:1: peers[].via: expected one of" in text))


with tempfile.TemporaryDirectory(prefix="hilum-check-") as work:
    starts(work)
    ways(work)
    reloads(work)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
