#!/usr/bin/env python3
"""A medium that is full, read-only, or whose catalogue is locked or gone: new objects are refused with A700 and a reason, what
was stored before stays readable, and the server recovers by itself. Nothing that was acknowledged is lost: what the intake log
took before the catalogue's trouble was noticed (64 objects at most) is there as soon as anything is accepted again."""
import errno, os, shutil, sqlite3, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, Hilum
from wire import *

CONTEXTS = [(1, STUDY_FIND, [EXPLICIT]), (3, CT, [EXPLICIT]), (5, STUDY_GET, [EXPLICIT])]
STUDY = "1.2.55"
ALL_STUDIES = explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", "")
THE_STUDY = explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", STUDY)
INTAKES = {"log": 'plugins = ( { name = "store-fs"; options = { segments = 2; segment = "8MiB"; }; } );',
           "files": 'plugins = ( { name = "store-fs"; options = { intake = "files"; }; } );'}
PATIENT = "1.2.55.9"  # stored before everything
PROMISED_MAX = 64  # OWED_MAX of core/record/owed.c
failures, skips = [], []


def check(what, is_good, found=""):
    if not is_good:
        failures.append(what)
        print(f"BAD  {what}: {found}")


def open_wire(server):
    wire = Wire(server.port)
    wire.associate(CONTEXTS, roles=(CT,))
    return wire


class Sender:
    """Stores one object after another; remembers what was acknowledged and every other status."""

    def __init__(self, server, tag):
        self.server, self.tag, self.n = server, tag, 0
        self.stored, self.refused = set(), {}

    def send(self, wire, size=20000):
        self.n += 1
        uid = f"{STUDY}.{self.tag}.{self.n}"
        status = wire.store(3, CT, uid, ct(uid, STUDY, f"{STUDY}.0", pixels=os.urandom(size)))
        if status == 0:
            self.stored.add(uid)
        else:
            self.refused[uid] = status
        return status


def reads_go_on(server, what, stored):
    """C-FIND and C-GET of what was stored before."""
    with open_wire(server) as wire:
        found, status = wire.find(1, ALL_STUDIES)
        check(f"{what}: C-FIND goes on", (len(found), status) == (1, 0), (len(found), hex(status)))
        got, status = wire.get(5, THE_STUDY)
        check(f"{what}: C-GET goes on", status == 0 and stored <= set(got), (hex(status), len(stored - set(got))))


def until_status(server, sender, wanted, seconds=20):
    """Sends until an answer is (or is not) a success; the last status."""
    end, status = time.time() + seconds, None
    with open_wire(server) as wire:
        while time.time() < end:
            status = sender.send(wire)
            if (status == 0) == (wanted == 0):
                return status
            time.sleep(0.02)
    return status


def sound(server, what, sender):
    reads_go_on(server, what, sender.stored)
    with open_wire(server) as wire:
        got, _ = wire.get(5, THE_STUDY)
    check(f"{what}: nothing acknowledged is lost", not sender.stored - set(got), sender.stored - set(got))
    check(f"{what}: nothing refused is there", not set(sender.refused) & set(got), set(sender.refused) & set(got))
    rows, _ = server.cli_items("archive", "fsck", check=False)
    check(f"{what}: fsck is clean", not rows, rows[:3])


def health(server):
    status = server.cli("status")
    return status["store_health"], status["record_health"]


def trouble(server, what, begin, end, restart=True):
    """A good server, then the trouble while a sender is at work, then its end; once more after a restart."""
    sender = Sender(server, len(what))
    check(f"{what}: good before", until_status(server, sender, 0) == 0)
    before = set(sender.stored)
    reads_go_on(server, f"{what}, before", before)
    begin()
    status = until_status(server, sender, 0xA700)
    check(f"{what}: A700", status == 0xA700, status and hex(status))
    promised = sender.stored - before
    check(f"{what}: little is promised meanwhile", len(promised) <= (0 if "files" in what else PROMISED_MAX), len(promised))
    reads_go_on(server, what, before)
    check(f"{what}: status says so", any(h != "ok" for h in health(server)), health(server))
    if health(server)[0] != "ok":
        print(f"{what}: {health(server)[0]}")
    end()
    status = until_status(server, sender, 0)
    check(f"{what}: recovers without a restart", status == 0, status and hex(status))
    check(f"{what}: every refusal is A700", set(sender.refused.values()) == {0xA700}, sender.refused)
    sound(server, what, sender)
    if restart:
        check(f"{what}: ends well", server.stop() == 0)
        server.again()
        sound(server, f"{what}, after a restart", sender)


# ---- full ----

class Mount:
    """A file system of its own, or None where that is not ours to make."""

    def __init__(self, work, *command):
        self.path = tempfile.mkdtemp(dir=work)
        run = subprocess.run(["mount", *command, self.path], capture_output=True, text=True)
        self.is_there = run.returncode == 0
        self.why = run.stderr.strip()

    def close(self):
        if self.is_there:
            subprocess.run(["umount", "-l", self.path], check=False)


def fill(path):
    """To the last byte."""
    with open(path, "wb", buffering=0) as f:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    f.write(bytes(size))
            except OSError:
                pass


def full_medium__refuses_and_recovers(work):
    for intake, config in INTAKES.items():
        for min_free in ("4MiB", "0"):
            mount = Mount(work, "-t", "tmpfs", "-o", "size=64m", "none")
            if not mount.is_there:
                skips.append(f"full medium: {mount.why}")
                return
            server = Hilum(work, f'storage = {{ min_free = "{min_free}"; }}; {config}', data=f"{mount.path}/data")
            filler = f"{mount.path}/filler"
            trouble(server, f"full, {intake}, min_free {min_free}", lambda: fill(filler), lambda: os.unlink(filler))
            check("full: ends well", server.stop() == 0)
            mount.close()


# ---- sick ----

def sick_medium__refuses_and_recovers(work):
    """Read-only (what a kernel does to a file system with errors) and I/O errors, with files open."""
    shim = f"{BUILD}/lib/hilum-sick.so"
    if not os.path.exists(shim):
        skips.append(f"sick medium: {shim} is not built")
        return
    for intake, config in INTAKES.items():
        for what, number in (("read-only", errno.EROFS), ("I/O errors", errno.EIO)):
            link = f"{tempfile.mkdtemp(dir=work)}/sick"
            env = dict(os.environ, LD_PRELOAD=shim, HILUM_SICK=link)
            env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "detect_leaks=1") + ":verify_asan_link_order=0"
            server = Hilum(work, f'storage = {{ min_free = "1MiB"; }}; {config}', env=env)
            trouble(server, f"{what}, {intake}", lambda: os.symlink(str(number), link), lambda: os.unlink(link))
            check(f"{what}: ends well", server.stop() == 0)


# ---- one of two stores ----

COLD_RULES = """
hilum.on { event = "instance.offered", phase = "filter", name = "site/by-sender", where = "calling_aet=COLDSENDER",
  run = function(ev) ev:store("cold") end }
hilum.on { event = "instance.received", phase = "filter", name = "site/by-header", where = "PatientID=COLD",
  run = function(ev) ev:store("cold") end }
"""


class ColdSender:
    """The same object under ever new UIDs, three ways: to the default store, and to the cold one by either rule."""

    def __init__(self, server):
        self.server, self.n, self.stored, self.statuses = server, 0, set(), {}
        self.ways = {"default": ("SENDER", "WARM"), "by sender": ("COLDSENDER", "WARM"), "by header": ("SENDER", "COLD")}

    def send(self, way):
        calling, patient = self.ways[way]
        self.n += 1
        instance, study = f"1.2.56.{self.n}", f"1.2.56.{patient == 'COLD' and 1 or 2}.0"
        with Wire(self.server.port) as wire:
            wire.associate(CONTEXTS, roles=(CT,), calling=calling)
            status = wire.store(3, CT, instance, ct(instance, study, f"{study}.1", patient=patient, pixels=os.urandom(30000)))
        self.stored |= {instance} if status == 0 else set()
        self.statuses.setdefault(way, set()).add(status)
        return status

    def until(self, way, wanted, seconds=20):
        end, status = time.time() + seconds, None
        while time.time() < end and status != wanted:
            status = self.send(way)
        return status

    def missing(self):
        with Wire(self.server.port) as wire:
            wire.associate(CONTEXTS, roles=(CT,))
            got = {u for s in (1, 2) for u in wire.get(5, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", f"1.2.56.{s}.0"))[0]}
        return self.stored - got


def cold_trouble(work, what, cold, begin, end, env=None):
    """The cold store is in trouble: what is meant for it gets A700, all else goes on; then it is well again, without a restart."""
    site = tempfile.mkdtemp(dir=work)
    os.makedirs(f"{site}/rules")
    with open(f"{site}/rules/site.lua", "w") as f:
        f.write(COLD_RULES)
    server = Hilum(work, 'storage = { min_free = "1MiB"; }; plugins = ( { name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; },'
                   f' {{ name = "store-cold"; plugin = "store-fs"; options = {{ root = "{cold}"; store = "cold"; intake = "files"; }}; }} );',
                   site=site, env=env)
    sender = ColdSender(server)
    check(f"{what}: good before", {sender.send(way) for way in sender.ways} == {0}, sender.statuses)
    sender.statuses.clear()
    begin()
    for way in ("by sender", "by header"):
        status = sender.until(way, 0xA700)
        check(f"{what}: {way}: A700", status == 0xA700, status and hex(status))
    for _ in range(5):
        check(f"{what}: the default store goes on", sender.send("default") == 0, sender.statuses)
    status = server.cli("status")
    stores = {s["store"]: s for s in status["store"]["stores"]}
    check(f"{what}: status names it", status["store_health"] == "ok" and not stores["cold"]["accepting"] and stores["fs"]["accepting"], stores)
    text = subprocess.run([f"{BUILD}/bin/hilum", "--data", server.data, "status"], capture_output=True, text=True).stdout
    check(f"{what}: a person is told", f"store cold: {stores['cold']['reason']}" in text and stores["cold"]["reason"], text)
    print(f"{what}: {stores['cold']['reason']}")
    check(f"{what}: reads go on", not sender.missing(), sender.missing())
    end()
    for way in sender.ways:
        status = sender.until(way, 0)
        check(f"{what}: {way}: recovers without a restart", status == 0, status and hex(status))
    check(f"{what}: nothing else was answered", set().union(*sender.statuses.values()) == {0, 0xA700} and
          sender.statuses["default"] == {0}, sender.statuses)
    check(f"{what}: nothing acknowledged is lost", not sender.missing(), sender.missing())
    rows, _ = server.cli_items("archive", "fsck", check=False)
    check(f"{what}: fsck is clean", not rows, rows[:3])
    check(f"{what}: ends well", server.stop() == 0)


def chosen_store__is_sick_alone(work):
    mount = Mount(work, "-t", "tmpfs", "-o", "size=32m", "none")
    if mount.is_there:
        filler = f"{mount.path}/filler"
        cold_trouble(work, "cold store full", f"{mount.path}/cold", lambda: fill(filler), lambda: os.unlink(filler))
        mount.close()
    else:
        skips.append(f"cold store full: {mount.why}")
    shim = f"{BUILD}/lib/hilum-sick.so"
    if not os.path.exists(shim):
        skips.append(f"sick cold store: {shim} is not built")
        return
    for what, number in (("read-only", errno.EROFS), ("I/O errors", errno.EIO)):
        cold, link = tempfile.mkdtemp(dir=work), f"{tempfile.mkdtemp(dir=work)}/sick"
        env = dict(os.environ, LD_PRELOAD=shim, HILUM_SICK=link, HILUM_SICK_UNDER=cold)
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "detect_leaks=1") + ":verify_asan_link_order=0"
        cold_trouble(work, f"cold store, {what}", cold, lambda: os.symlink(str(number), link), lambda: os.unlink(link), env)


# ---- the catalogue ----

def locked_catalogue__is_waited_for(work):
    server = Hilum(work, 'storage = { min_free = "1MiB"; };')
    holder = {}

    def begin():
        holder["db"] = sqlite3.connect(f"{server.data}/catalog.db", isolation_level=None, timeout=10)
        holder["db"].execute("BEGIN EXCLUSIVE")

    def end():
        holder["db"].execute("ROLLBACK")
        holder["db"].close()

    trouble(server, "locked catalogue", begin, end)
    check("locked: ends well", server.stop() == 0)


def lost_catalogue__is_noticed_and_nothing_is_lost(work):
    for how in ("moved", "deleted"):
        server = Hilum(work, 'storage = { min_free = "1MiB"; };')
        sender = Sender(server, 1)
        until_status(server, sender, 0)
        path = f"{server.data}/catalog.db"
        if how == "moved":
            os.rename(path, f"{path}.gone")
        else:
            os.unlink(path)
        status = until_status(server, sender, 0xA700, 5)
        check(f"catalogue {how}: A700", status == 0xA700, status and hex(status))
        check(f"catalogue {how}: little is promised", len(sender.stored) <= 1 + PROMISED_MAX, len(sender.stored))
        check(f"catalogue {how}: status says so", health(server)[1] != "ok", health(server))
        print(f"catalogue {how}: {health(server)[1]}")
        if how == "moved":
            os.rename(f"{path}.gone", path)
            status = until_status(server, sender, 0)
            check("catalogue moved back: goes on", status == 0, status)
            sound(server, "catalogue moved back", sender)
        check(f"catalogue {how}: ends well", server.stop() in (0, 1))
        if how == "deleted":
            server.again()
            server.cli_items("archive", "rebuild", check=False)
            sound(server, "catalogue deleted and made again", sender)
            check("catalogue made again: ends well", server.stop() == 0)


def main():
    work = tempfile.mkdtemp(prefix="hilum-medium-")
    tests = (full_medium__refuses_and_recovers, sick_medium__refuses_and_recovers, chosen_store__is_sick_alone,
             locked_catalogue__is_waited_for, lost_catalogue__is_noticed_and_nothing_is_lost)
    for test in tests:
        if sys.argv[1:] and test.__name__.split("__")[0] not in sys.argv[1:]:
            continue
        start = time.time()
        test(work)
        print(f"{test.__name__}: {time.time() - start:.1f} s")
    shutil.rmtree(work, ignore_errors=True)
    for why in skips:
        print(f"skipped: {why}")
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
