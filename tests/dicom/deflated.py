#!/usr/bin/env python3
"""Corrections of deflated objects of any size: what leaves by C-GET, C-MOVE and export is still deflated, is bit for bit the
correction of the same object inflated, and costs the server the same memory whether it is large as stored, or only inflated.
Its oracle is the corrected explicit twin, inflated by zlib. SPDX-License-Identifier: Apache-2.0"""
import hashlib, os, shutil, struct, subprocess, sys, tempfile, threading, time, zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, free_port
from wire import CT, DEFLATED, EXPLICIT, STUDY_GET, Wire, explicit

MIB = 1 << 20
MEMORY_MIB = 24  # what a correction may cost beyond what the idle server has
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def head(instance, study, patient):
    nested = explicit(8, 0x0100, "SH", "C1") + explicit(8, 0x0104, "LO", "nested text")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, len(nested)) + nested
    return (explicit(8, 0x16, "UI", CT) + explicit(8, 0x18, "UI", instance) + explicit(8, 0x20, "DA", "20260101") +
            explicit(8, 0x60, "CS", "CT") + struct.pack("<HH2s2xI", 8, 0x1032, b"SQ", len(item)) + item +
            explicit(0x10, 0x10, "PN", "Deflate^Old") + explicit(0x10, 0x20, "LO", patient) +
            explicit(0x20, 0x0D, "UI", study) + explicit(0x20, 0x0E, "UI", f"{study}.1") + explicit(0x20, 0x13, "IS", "1"))


def write_file(path, instance, study, patient, syntax, block, blocks, level):
    """A Part 10 file whose pixels are `blocks` times a block: written as a stream, like the server has to read it."""
    meta = b"".join(explicit(2, n, "UI", v) for n, v in ((2, CT), (3, instance), (0x10, syntax)))
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15) if syntax == DEFLATED else None
    with open(path, "wb") as f:
        f.write(bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta)
        put = (lambda b: f.write(deflate.compress(b))) if deflate else f.write
        put(head(instance, study, patient) + struct.pack("<HH2s2xI", 0x7FE0, 0x10, b"OW", len(block) * blocks))
        for _ in range(blocks):
            put(block)
        if deflate:
            f.write(deflate.flush())
            f.write(b"\0" * (f.tell() % 2))


def dataset_digest(path, instance, twin):
    """(syntax, length, digest) of the data set, inflated; the twin's UID is read as the other's."""
    with open(path, "rb") as f:
        f.seek(128 + 4 + 8)
        n = struct.unpack("<I", f.read(4))[0]
        meta = f.read(n)
        syntax = DEFLATED if DEFLATED.encode() in meta else EXPLICIT
        inflate = zlib.decompressobj(-15) if syntax == DEFLATED else None
        digest, length, is_first = hashlib.blake2b(), 0, True
        while piece := f.read(MIB):
            piece = inflate.decompress(piece) if inflate else piece
            if is_first:
                piece = piece.replace(twin.encode(), instance.encode())
                check("the correction left", "汉".encode() in piece[:2000] and b"Deflate^Old" in piece, path)
                is_first = False
            digest.update(piece)
            length += len(piece)
        if inflate:
            check("the deflated stream is whole", inflate.eof, path)
    return syntax, length, digest.hexdigest()


class Memory(threading.Thread):
    """The most anonymous memory of a process while it runs; mapped files are the kernel's to give back."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.is_over = pid, 0, False

    def now(self):
        return next(int(line.split()[1]) / 1024 for line in open(f"/proc/{self.pid}/status") if line.startswith("RssAnon"))

    def run(self):
        while not self.is_over:
            self.peak = max(self.peak, self.now())
            time.sleep(0.005)

    def __enter__(self):
        self.before = self.now()
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join()
        self.grown = self.peak - self.before


def write_received(path, uid, data):
    """What came by C-GET in the shape of a file; a deflated data set does not begin with group 8."""
    meta = explicit(2, 3, "UI", uid) + explicit(2, 0x10, "UI", EXPLICIT if data[:2] == b"\x08\0" else DEFLATED)
    with open(path, "wb") as f:
        f.write(bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + data)
    return path


def received(server, work, what, study, how):
    """Paths by UID of what a retrieval brought."""
    into = tempfile.mkdtemp(dir=work) + "/new"
    if how != "export":
        os.makedirs(into)
    if how == "export":
        server.cli_items("export", study, into)
    elif how == "C-GET":
        with Wire(server.port, timeout=60) as wire:  # a context a syntax: each leaves as it is stored
            wire.associate([(1, STUDY_GET, [EXPLICIT]), (3, CT, [EXPLICIT]), (5, CT, [DEFLATED])], roles=(CT,))
            got, status = wire.get(1, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", study))
        check(f"{what}: C-GET ends well", status == 0, hex(status))
        return {uid: write_received(f"{into}/{uid}", uid, data) for uid, data in got.items()}
    else:
        subprocess.run(["movescu", "-q", "-S", "-aet", "TEST", "-aem", "SINK", "-aec", server.aet, "127.0.0.1", str(server.port),
                        "-k", "0008,0052=STUDY", "-k", f"0020,000d={study}"], check=True)
        into = f"{work}/sink"
    found = {}
    for folder, _, names in os.walk(into):
        for name in names:
            with open(f"{folder}/{name}", "rb") as f:
                start = f.read(4096)
            at = start.find(struct.pack("<HH2s", 2, 3, b"UI"))
            n = struct.unpack_from("<H", start, at + 6)[0]
            found[start[at + 8:at + 8 + n].decode().rstrip("\0")] = f"{folder}/{name}"
    check(f"{what}: {how} brings both", len(found) >= 2, found)
    return found


def one_case(work, server, number, what, block, blocks, level, ways):
    study, patient = f"1.2.61.{number}", f"DEFL{number}"
    instance, twin = f"{study}.7", f"{study}.8"
    made = tempfile.mkdtemp(dir=work)
    write_file(f"{made}/d.dcm", instance, study, patient, DEFLATED, block, blocks, level)
    write_file(f"{made}/e.dcm", twin, study, patient, EXPLICIT, block, blocks, level)
    server.cli_items("import", made)
    shutil.rmtree(made)
    server.cli("patient", "edit", patient, "PatientName=汉^字", "--why", "misread")
    for how in ways:
        start = time.time()
        with Memory(server.process.pid) as memory:
            files = received(server, work, what, study, how)
        got = {uid: dataset_digest(files[uid], instance, twin) for uid in (instance, twin) if uid in files}
        check(f"{what}, {how}: the syntax stays", [got[u][0] for u in sorted(got)] == [DEFLATED, EXPLICIT], got)
        check(f"{what}, {how}: as its inflated twin", got[instance][1:] == got[twin][1:], got)
        check(f"{what}, {how}: memory", memory.grown < MEMORY_MIB, f"{memory.grown:.0f} MiB")
        print(f"{what}, {how}: {got[instance][1] // MIB} MiB inflated, {memory.grown:.1f} MiB of memory, {time.time() - start:.1f} s")
        for path in files.values():
            os.unlink(path)


def main():
    work = tempfile.mkdtemp(prefix="hilum-deflated-")
    os.makedirs(f"{work}/sink")
    port = free_port()
    sink = subprocess.Popen(["storescp", "-q", "-aet", "SINK", "-od", f"{work}/sink", "+B", "+xa", str(port)])
    server = Hilum(work, f'peers = ( {{ name = "sink"; aet = "SINK"; host = "127.0.0.1"; port = {port}; }} );')
    try:
        one_case(work, server, 1, "large inflated", os.urandom(8192), 8320, 1, ("export", "C-GET", "C-MOVE"))
        one_case(work, server, 2, "large as stored", os.urandom(MIB), 65, 0, ("C-GET",))
    finally:
        sink.kill()
        check("ends well", server.stop() == 0)
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
