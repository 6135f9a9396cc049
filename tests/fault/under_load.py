#!/usr/bin/env python3
"""Reloading and stopping a server at work: no sender notices a reload, and what was acknowledged before a stop is there after
the next start. And `hilumd --check` over files that make no sense: faults are told, nothing crashes."""
import os, random, shutil, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, ROOT, Hilum
from wire import *

SENDERS = 4
failures = []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


class Sender(threading.Thread):
    """Objects of its own study until told to stop or the server goes."""

    def __init__(self, server, number, pause=0):
        super().__init__()
        self.server, self.study, self.pause = server, f"1.2.88.{number}", pause
        self.stored, self.statuses, self.ended, self.is_over = [], set(), None, False

    def run(self):
        n = 0
        try:
            wire = storing(self.server.port)
            while not self.is_over:
                n += 1
                uid = f"{self.study}.1.{n}"
                status = wire.store(3, CT, uid, ct(uid, self.study, f"{self.study}.1", pixels=bytes(30000)))
                self.statuses.add(status)
                if status == 0:
                    self.stored.append(uid)
                if n % 20 == 0:
                    wire.release()
                    wire = storing(self.server.port)
            wire.release()
        except (Closed, OSError) as how:
            self.ended = str(how)


def start_senders(server, first):
    senders = [Sender(server, first + i) for i in range(SENDERS)]
    [s.start() for s in senders]
    end = time.time() + 20
    while any(not s.stored for s in senders) and time.time() < end:
        time.sleep(0.01)
    return senders


def retrieved(server, study):
    with Wire(server.port) as wire:
        wire.associate([(3, CT, [EXPLICIT]), (5, STUDY_GET, [EXPLICIT])], roles=(CT,))
        got, status = wire.get(5, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", study))
        return set(got) if status == 0 else set()


def all_there(server, senders, what):
    lost = [uid for s in senders for uid in set(s.stored) - retrieved(server, s.study)]
    print(f"{what}: {sum(len(s.stored) for s in senders)} acknowledged, {len(lost)} lost")
    check(f"{what}: what was acknowledged is there", not lost, lost[:3])
    rows, _ = server.cli_items("archive", "fsck", check=False)
    check(f"{what}: fsck is clean", not rows, rows[:3])


def site_of(work):
    site = tempfile.mkdtemp(dir=work)
    os.mkdir(f"{site}/rules")
    return site


def reload__is_not_noticed_by_senders(work):
    site = site_of(work)
    server = Hilum(work, 'storage = { min_free = "64MiB"; };', site=site)
    senders = start_senders(server, 0)
    for i in range(10):
        with open(f"{site}/10-test.cfg", "w") as f:
            f.write(f'dicom = {{ limits = {{ idle_timeout = "{i + 5}m"; max_pdu = {16384 * (i + 1)}; }}; }};\n'
                    f'peers = ( {{ name = "P{i}"; aet = "P{i}"; host = "127.0.0.9"; port = {2000 + i}; }} );\n')
        with open(f"{site}/rules/rule.lua", "w") as f:
            f.write(f'hilum.on {{ event = "instance.stored", name = "site/r{i}", run = function(ev) ev:tag("r{i}") end }}\n')
        result = server.cli("config", "reload", check=False)
        check(f"reload {i}", result and result["reloaded"], result)
        with open(f"{site}/10-test.cfg", "a") as f:
            f.write("dicom = { nonsense = 1; };\n")
        result = server.cli("config", "reload", check=False)
        check(f"nonsense {i} is refused", result and not result["reloaded"] and result["faults"], result)
    check("the last good configuration is in force", [p["name"] for p in server.cli("peer", "list")] == ["P9"])
    for sender in senders:
        sender.is_over = True
        sender.join(30)
        check("sender beside reloads", sender.ended is None and sender.statuses == {0}, (sender.ended, sender.statuses))
    all_there(server, senders, "20 reloads")
    check("reload: ends well", server.stop() == 0)


def stop__keeps_what_was_acknowledged(work):
    server = Hilum(work, 'storage = { min_free = "64MiB"; };')
    for number in range(3):
        senders = start_senders(server, 10 * (number + 1))
        time.sleep(random.uniform(0, 0.2))
        start = time.time()
        code = server.stop()
        seconds = time.time() - start
        [s.join(30) for s in senders]
        check("stop under load: ends well", code == 0, code)
        check("stop under load: in time", seconds < 20, seconds)
        for sender in senders:
            check("stop under load: senders are told", sender.ended and sender.ended != "timed out" and sender.statuses == {0},
                  (sender.ended, sender.statuses))
        server.again()
        all_there(server, senders, f"stop {number + 1} in {seconds:.1f} s")
    check("stop: ends well", server.stop() == 0)


def stop__does_not_wait_for_the_stalled(work):
    """Peers in the middle of a message cannot hold the server for longer than its drain."""
    server = Hilum(work, 'storage = { min_free = "64MiB"; };')
    wires = []
    for _ in range(20):
        wires.append(storing(server.port))
        wires[-1].send(pdata(3, True, command(STORE_RQ, 1, CT, "1.2.3", True)))
    start = time.time()
    code = server.stop(40)
    print(f"stop beside 20 stalled messages: {time.time() - start:.1f} s")
    check("stop beside stalled messages", code == 0 and time.time() - start < 25, (code, time.time() - start))
    server.again()
    rows, _ = server.cli_items("archive", "fsck", check=False)
    check("stop beside stalled messages: fsck", not rows and not os.listdir(f"{server.data}/objects/pending"), rows)
    server.stop()


def check_option__tells_faults_of_nonsense(work):
    site = site_of(work)
    random.seed(int(os.environ.get("HILUM_SEED", 20261123)))
    shipped = open(f"{ROOT}/etc/hilum.cfg", "rb").read()
    nonsense = {
        "empty": b"", "binary": random.randbytes(5000), "NUL": b"dicom = { aet = \"A\0B\"; };", "open group": b"dicom = { ",
        "nested": b"a = " + b"( " * 20000 + b") " * 20000 + b";", "long name": b"x" * 100000 + b" = 1;", "number": b"dicom = 1;",
        "include": b'@include "/etc/passwd"\n', "overflow": b"dicom = { trace = 99999999999999999999; };",
        "negative": b'dicom = { limits = { max_pdu = -1; }; };', "size": b'storage = { min_free = "9999999999999EiB"; };',
        "UTF-8": b'dicom = { aet = "\xff\xfe"; };', "long line": b"# " + b"z" * 2000000 + b"\n", "unclosed": b'dicom = { aet = "A',
        "twice": b"dicom = { aet = \"A\"; aet = \"B\"; };", "CR": b"\r" * 1000, "aet": b'dicom = { aet = "' + b"A" * 300 + b'"; };',
        "listen": b'dicom = { listen = ( "[::::]:99999", "", 5, { address = 5; } ); };', "peers": b"peers = ( 1, ( ), { }, { name = 5; } );",
    }
    for i in range(40):  # a shipped file with a few bytes changed
        bad = bytearray(shipped)
        for _ in range(random.randrange(1, 10)):
            bad[random.randrange(len(bad))] = random.randrange(256)
        nonsense[f"flipped {i}"] = bytes(bad)
    told = 0
    for suffix in ("cfg", "lua"):
        for name, data in nonsense.items():
            path = f"{site}/10-test.cfg" if suffix == "cfg" else f"{site}/rules/rule.lua"
            with open(path, "wb") as f:
                f.write(data)
            run = subprocess.run([f"{BUILD}/bin/hilumd", "--check", "--config", f"{ROOT}/etc/hilum.cfg", "--site", site, "--data",
                                  f"{work}/check", "--plugin-dir", f"{BUILD}/lib/hilum/plugins", "--rules-dir",
                                  f"{ROOT}/scripts/core"], capture_output=True, timeout=20)
            told += run.returncode != 0
            text = (run.stdout + run.stderr).decode(errors="replace")
            check(f"--check of {name} as {suffix}", run.returncode in (0, 1), (run.returncode, text[-300:]))
            check(f"--check of {name} as {suffix} says where", run.returncode == 0 or os.path.basename(path) in text, text[:300])
            os.unlink(path)
    print(f"--check: {2 * len(nonsense)} files, {told} with faults")
    check("--check finds faults", told > len(nonsense))


def main():
    work = tempfile.mkdtemp(prefix="hilum-load-")
    for test in (reload__is_not_noticed_by_senders, stop__keeps_what_was_acknowledged, stop__does_not_wait_for_the_stalled,
                 check_option__tells_faults_of_nonsense):
        if sys.argv[1:] and not any(test.__name__.startswith(a) for a in sys.argv[1:]):
            continue
        start = time.time()
        test(work)
        print(f"{test.__name__}: {time.time() - start:.1f} s")
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
