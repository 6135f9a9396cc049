#!/usr/bin/env python3
"""DCMTK's findscu is stopped (SIGSTOP) in the middle of its answers for ten minutes. Meanwhile the same objects go by turns to that
server and to one nobody stalls: the first may not be slower by a tenth. Then findscu goes on and has every answer.
SPDX-License-Identifier: Apache-2.0"""
import os, shutil, signal, statistics, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, dcmsend, make_corpus

SECONDS, ROWS, BATCHES = int(os.environ.get("STOPPED_SECONDS", 600)), 8000, 50
# Keys that come back empty: eight bytes an answer each, so that all answers are more than the kernel's buffers hold (4 MiB and a bit).
EMPTY = [word for i in range(0x10, 0x90) for word in ("-k", f"0040,10{i:02x}")]


def send(server, path):
    start = time.time()
    code = dcmsend(server, [path]).wait()
    assert code == 0, code
    return time.time() - start


def stopped_findscu(server, out):
    reader = subprocess.Popen(["findscu", "-v", "-S", "-aec", server.aet, "127.0.0.1", str(server.port), "-k", "QueryRetrieveLevel=STUDY",
                               "-k", "PatientName", "-k", "PatientID", "-k", "StudyInstanceUID", *EMPTY], stdout=out, stderr=out)
    while b"Find Response: 1 " not in open(out.name, "rb").read():
        assert reader.poll() is None, open(out.name).read()[-1000:]
    reader.send_signal(signal.SIGSTOP)
    return reader


def one_is_busy(server):
    """The one that is stalled: the sender's own may end a moment after the sender."""
    return any(server.cli("status")["associations"]["busy"] == 1 or time.sleep(0.1) for _ in range(50))


def main():
    work = tempfile.mkdtemp(prefix="hilum-stopped-")
    limits = 'limits = { write_timeout = "30m"; };'
    servers = [Hilum(work, dicom=limits), Hilum(work, dicom=limits)]
    try:
        make_corpus(f"{work}/rows", ROWS, 1, 8)
        make_corpus(f"{work}/load", BATCHES, 100, 128)
        for server in servers:
            server.cli("import", f"{work}/rows")
        out = open(f"{work}/findscu.log", "wb")
        reader = stopped_findscu(servers[0], out)
        end, seconds, is_stalled = time.time() + SECONDS, ([], []), True
        for i, group in enumerate(sorted(os.listdir(f"{work}/load"))):
            for turn in (i % 2, 1 - i % 2):
                seconds[turn].append(send(servers[turn], f"{work}/load/{group}"))
            is_stalled &= one_is_busy(servers[0])
            time.sleep(max(0.0, (end - time.time()) / (BATCHES - i)))
        reader.send_signal(signal.SIGCONT)
        code = reader.wait(60)
        answers = open(out.name, "rb").read().count(b"Find Response: ")
        ratio = min(pick(seconds[0]) / pick(seconds[1]) for pick in (statistics.median, min))
        print(f"{SECONDS} s, {BATCHES} batches of 100 objects: {statistics.median(seconds[0]):.2f} s beside it, {statistics.median(seconds[1]):.2f} s at a "
              f"server without it, ratio {ratio:.2f}; stalled all the time: {is_stalled}; findscu: exit {code}, {answers} answers")
        return 0 if ratio < 1.1 and is_stalled and code == 0 and answers >= ROWS else 1
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
