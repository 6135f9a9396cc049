#!/usr/bin/env python3
"""Plugins of a new vendor in a whole server: `acme-ring` as the store, through a kill and a full medium, and `acme-board`, a private SOP
class over the wire. Both are built by the SDK's own CMake package, as installed. SPDX-License-Identifier: Apache-2.0"""
import glob, os, shutil, struct, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../lib"))
from judge import equal, export, originals, same, until, verdict
from peers import BUILD, Hilum, ROOT, make_corpus
from wire import EXPLICIT, Wire, element, explicit, pdata, pdatas, uid

BOARD = "2.25.273984710293847102938471029384710293847"
FIND, GET, SET, ACTION, CREATE, DELETE = 0x20, 0x110, 0x120, 0x130, 0x140, 0x150
STUDY = "1.2.999.1"


def begin(work, kind, name):
    """The steps of sdk/README.md, with nothing but the package on the path."""
    sdk = f"{work}/sdk"
    if not os.path.isdir(sdk):
        subprocess.run(["cmake", "--install", BUILD, "--component", "sdk", "--prefix", sdk], check=True, capture_output=True)
    env = {"PATH": f"{sdk}/bin:/usr/bin:/bin", "CMAKE_PREFIX_PATH": sdk}
    subprocess.run(["hilum-plugin-new", kind, name], check=True, capture_output=True, cwd=work, env=env)
    shutil.copy(f"{HERE}/vendor/{name}.c", f"{work}/{name}/{name}.c")
    for step in (["cmake", "-S", name, "-B", f"{name}/build"], ["cmake", "--build", f"{name}/build"],
                 ["hilum-plugin-check", f"{name}/build/{name}.so"]):
        done = subprocess.run(step, capture_output=True, text=True, cwd=work, env=env)
        equal(" ".join(step), 0, done.returncode)
        if done.returncode:
            print(done.stdout[-4000:], done.stderr[-4000:])
    equal(f"the contract of {name} was asked for", True, f"ok    contract of {kind}" in done.stdout)
    return f'name = "{name}"; file = "{work}/{name}/build/{name}.so"; trust = "in-process";'


# ---- the board, over the wire ----

def request(wire, field, instance=None, text=None, action=None):
    """(statuses, text of the data sets)"""
    affected = field in (FIND, CREATE)
    body = element(2 if affected else 3, uid(BOARD)) + element(0x100, struct.pack("<H", field)) + element(0x110, b"\1\0")
    if field == FIND:
        body += element(0x700, b"\0\0")
    data = explicit(0x40, 0xA160, "UT", text) if text is not None else b"" if field != FIND else explicit(0x40, 0xA160, "UT", "")
    body += element(0x800, struct.pack("<H", 1 if data else 0x101))
    if instance:
        body += element(0x1000 if affected else 0x1001, uid(instance))
    if action is not None:
        body += element(0x1008, struct.pack("<H", action))
    wire.send(pdata(1, True, element(0, struct.pack("<I", len(body))) + body) + (pdatas(1, data) if data else b""))
    statuses, texts = [], []
    while not statuses or statuses[-1] == 0xFF00:
        answer, data = wire.read_response()
        statuses.append(struct.unpack("<H", answer[0x900])[0])
        texts.append(data or b"")
    return statuses, b"".join(texts)


def board(hilum):
    with Wire(hilum.port) as wire:
        equal("the private class is accepted", True, 1 in wire.associate([(1, BOARD, [EXPLICIT])]))
        equal("N-CREATE", [0], request(wire, CREATE, "1.2.3.1", "MR is down until noon")[0])
        equal("N-CREATE of what is there", [0x111], request(wire, CREATE, "1.2.3.1", "again")[0])
        equal("N-CREATE without text", [0x120], request(wire, CREATE, "1.2.3.2")[0])
        equal("N-CREATE of another", [0], request(wire, CREATE, "1.2.3.2", "coffee")[0])
        statuses, text = request(wire, GET, "1.2.3.1")
        equal("N-GET", ([0], True), (statuses, b"MR is down until noon" in text))
        equal("N-GET of none", [0x112], request(wire, GET, "1.2.3.9")[0])
        equal("N-SET", [0], request(wire, SET, "1.2.3.1", "MR is up")[0])
        statuses, text = request(wire, FIND)
        equal("C-FIND", ([0xFF00, 0xFF00, 0], True), (statuses, b"MR is up" in text and b"coffee" in text and b"1.2.3.2" in text))
        equal("N-DELETE", [0], request(wire, DELETE, "1.2.3.2")[0])
        equal("N-ACTION of a kind there is none of", [0x123], request(wire, ACTION, "1.2.3.1", action=7)[0])
        wire.release()


def board_again(hilum):
    with Wire(hilum.port) as wire:
        wire.associate([(1, BOARD, [EXPLICIT])])
        statuses, text = request(wire, FIND)
        equal("notes outlive the server", ([0xFF00, 0], True), (statuses, b"MR is up" in text))
        equal("N-ACTION", [0], request(wire, ACTION, "1.2.3.1", action=1)[0])
        equal("and the board is clear", [0], request(wire, FIND)[0])
        wire.release()


# ---- the store ----

def send(hilum, paths):
    report = f"{hilum.dir}/report"
    subprocess.run(["dcmsend", "-q", "+sd", "+r", "--no-halt", "+crf", report, "-aec", "HILUM", "127.0.0.1", str(hilum.port), *paths],
                   stderr=subprocess.DEVNULL)
    return open(report).read() if os.path.exists(report) else ""


def ring(hilum, work, data):
    sent = originals(work, STUDY)
    report = send(hilum, [data])
    equal("no object is refused", False, "0xa7" in report.lower())
    same("what the ring keeps", sent, export(hilum, work, STUDY))
    equal("objects lie in the ring", True, any(os.path.getsize(f) > 0 for f in glob.glob(f"{hilum.data}/acme-ring/ring-*")))
    equal("and nowhere else", [], glob.glob(f"{hilum.data}/objects/**/*.dcm", recursive=True))
    hilum.kill()
    hilum.again()
    same("after a kill", sent, export(hilum, work, STUDY))
    rows, _ = hilum.cli_items("archive", "fsck", check=False)
    equal("fsck", [], rows)


def objects(hilum):
    return hilum.cli("status")["record"]["instances"]


def full(hilum, work):
    """More than the ring has room for: what is refused is told, what was acknowledged is there, and the medium is sound."""
    make_corpus(f"{work}/corpus", 4, 100, 256)
    before = objects(hilum)
    report = send(hilum, [f"{work}/corpus"]).lower()
    stored, refused = report.count("0x0000"), report.count("0xa7")
    equal("the ring is full at some time, and says so", (True, True), (stored > 0, refused > 0))
    equal("what was acknowledged is there, and nothing else", before + stored, objects(hilum))
    rows, _ = hilum.cli_items("archive", "fsck", check=False)
    equal("fsck of a full ring", [], rows)


def main():
    work = tempfile.mkdtemp(prefix="hilum-newcomer-")
    os.chmod(work, 0o755)
    plugins = f'{{ {begin(work, "store", "acme-ring")} options = {{ files = 8; file_size = "4MiB"; }}; }}, {{ {begin(work, "service", "acme-board")} }}'
    subprocess.run([sys.executable, f"{ROOT}/tests/dicom/make_find_data.py", f"{work}/data"], check=True, stdout=subprocess.DEVNULL)
    hilum = Hilum(work, f'plugins = ( {plugins} ); storage = {{ default_store = "acme-ring"; min_free = "1MiB"; }};')
    board(hilum)
    ring(hilum, work, f"{work}/data")
    board_again(hilum)
    full(hilum, work)
    equal("it stops in order", 0, hilum.stop())
    hilum.again()
    rows, _ = hilum.cli_items("archive", "fsck", check=False)
    equal("fsck after the last start", [], rows)
    hilum.stop()
    shutil.rmtree(work)
    verdict()


main()
