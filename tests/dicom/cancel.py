#!/usr/bin/env python3
"""C-CANCEL (PS3.7 9.3.2.3, PS3.4 C.4.1.3.1.3, C.4.2.3.1, C.4.3.3.1): a search or a retrieval that is cancelled ends with FE00, tells
what was not begun, and the association goes on. By raw DIMSE, where the moment is known, and by DCMTK's findscu and movescu.
SPDX-License-Identifier: Apache-2.0"""
import glob, os, re, shutil, struct, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from judge import equal, until, verdict
from peers import Hilum, dcmsend, free_port, make_corpus, tag_value, wait_for
from wire import *

STUDIES, SLICES = 600, 400


def number(answer, tag):
    return struct.unpack("<H", answer[tag])[0] if tag in answer else None


def search(server):
    """The peer reads nothing until it has cancelled, so that the server cannot have sent all."""
    keys = explicit(8, 0x52, "CS", "STUDY") + explicit(0x10, 0x10, "PN", "") + explicit(0x20, 0x0D, "UI", "")
    with Wire(server.port, is_narrow=True) as wire:
        wire.associate([(1, STUDY_FIND, [EXPLICIT]), (3, VERIFICATION, [IMPLICIT])])
        wire.send(pdata(1, True, command(FIND_RQ, 1, STUDY_FIND, has_data=True)) + pdata(1, False, keys))
        first, _ = wire.read_response()
        equal("a search: the first answer", 0xFF00, number(first, 0x0900))
        wire.send(pdata(1, True, command(CANCEL_RQ, 1)))
        answers, data = 1, b""
        while data is not None:
            answer, data = wire.read_response()
            answers += data is not None
        equal("a search ends as cancelled", "0xfe00", hex(number(answer, 0x0900)))
        equal("before its last answer", True, answers < STUDIES)
        equal("and the association goes on", 0, wire.echo(3))
    log = subprocess.run(["findscu", "-d", "-S", "--cancel", "2", "-aec", server.aet, "127.0.0.1", str(server.port), "-k",
                          "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"], capture_output=True, text=True).stderr
    statuses = re.findall(r"DIMSE Status +: 0x([0-9a-f]{4})", log)
    equal("findscu's too, or it had all by then", True, statuses[-1:] in (["fe00"], ["0000"]))


def taking(wire, answer, status=0):
    """The answer to a sub-operation of a C-GET."""
    body = (element(2, answer[2]) + element(0x0100, struct.pack("<H", 0x8001)) + element(0x0120, answer[0x0110]) +
            element(0x0800, struct.pack("<H", NO_DATA)) + element(0x0900, struct.pack("<H", status)) + element(0x1000, answer[0x1000]))
    wire.send(pdata(wire.last_context, True, element(0, struct.pack("<I", len(body))) + body))


def get(server, study):
    with Wire(server.port) as wire:
        wire.associate([(1, STUDY_GET, [EXPLICIT]), (3, CT, [EXPLICIT]), (5, VERIFICATION, [IMPLICIT])], roles=(CT,))
        keys = explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", study)
        wire.send(pdata(1, True, command(GET_RQ, 1, STUDY_GET, has_data=True)) + pdata(1, False, keys))
        came = 0
        while True:
            answer, _ = wire.read_response()
            if number(answer, 0x0100) == STORE_RQ:
                came += 1
                if came == 5:
                    wire.send(pdata(1, True, command(CANCEL_RQ, 1)))
                taking(wire, answer, 0xA700 if came == 3 else 0)
            elif number(answer, 0x0900) != 0xFF00:
                break
        equal("a C-GET ends as cancelled", "0xfe00", hex(number(answer, 0x0900)))
        remaining, completed, failed = (number(answer, tag) for tag in (0x1020, 0x1021, 0x1022))
        equal("C-GET: few came after the cancel", True, came < 20)
        equal("C-GET: one was refused", 1, failed)
        equal("C-GET: completed", came - 1, completed)
        equal("C-GET: what was not begun remains", SLICES - came, remaining)
        equal("C-GET: the association goes on", 0, wire.echo(5))


def move(server, work, study, port):
    folder = f"{work}/ws"
    os.mkdir(folder)
    receiver = subprocess.Popen(["storescp", "-q", "+B", "+xa", "--fork", "-aet", "WS", "-od", folder, str(port)], stderr=subprocess.DEVNULL)
    wait_for(port, receiver)
    try:
        log = subprocess.run(["movescu", "-d", "-S", "--cancel", "1", "-aet", "WS", "-aem", "WS", "-aec", server.aet, "127.0.0.1",
                              str(server.port), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"],
                             capture_output=True, text=True).stderr
        last = log[log.rfind("C-MOVE RSP"):]
        counts = {name: int(n) for name, n in re.findall(r"(Remaining|Completed|Failed|Warning) Suboperations *: (\d+)", last)}
        equal("a C-MOVE ends as cancelled", True, "0xfe00" in last.lower())
        equal("C-MOVE: all are told", SLICES, sum(counts.values()))
        equal("C-MOVE: some were not begun", True, counts.get("Remaining", 0) > 0)
        equal("C-MOVE: none failed", 0, counts.get("Failed", 0))
        equal("C-MOVE: as many came as completed", True, until(lambda: len(os.listdir(folder)) == counts.get("Completed"), 5))
    finally:
        receiver.terminate()
        receiver.wait()


def main():
    work = tempfile.mkdtemp(prefix="hilum-cancel-")
    port = free_port()
    server = Hilum(work, f'peers = ( {{ name = "ws"; aet = "WS"; host = "127.0.0.1"; port = {port}; }} ); plugins = ( '
                         '{ name = "dicom-query"; options = { pending_interval = "1ms"; }; }, '
                         '{ name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );')
    make_corpus(f"{work}/many", STUDIES, 1, 8)
    make_corpus(f"{work}/large", 1, SLICES, 64)
    study = tag_value(glob.glob(f"{work}/large/**/*.dcm", recursive=True)[0], "StudyInstanceUID")
    equal("stored", [0, 0], [dcmsend(server, [f"{work}/{name}"]).wait() for name in ("many", "large")])
    search(server)
    get(server, study)
    move(server, work, study, port)
    equal("ends well", 0, server.stop())
    shutil.rmtree(work, ignore_errors=True)
    verdict()


main()
