#!/usr/bin/env python3
"""Stores objects on a recording file system, then builds what the disk may hold after power was cut at many points and
asks a restarted server for every object that had been acknowledged by then. Then the same with planted bugs, which must
be caught, or the test itself is worthless."""
import os, random, re, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
import replay
from peers import BUILD, Hilum, make_corpus, skip, tag_value
from wire import CT, EXPLICIT, STUDY_GET, Wire, explicit

LONG = bool(os.environ.get("HILUM_LONG"))
# Small segments: the record holds every byte written, also those that make the intake log; and they are used again, which
# they may be only when the rows of what was in them are durable.
LOG = 'plugins = ( { name = "store-fs"; options = { intake = "log"; segment = "1MiB"; segments = 2; }; } );\n'
ROUTE = ('peers = ( { name = "DEAD"; aet = "DEAD"; host = "127.0.0.1"; port = 1; } );\n'
         'routes = ( { name = "all"; where = "Modality=CT"; send = ( "DEAD" ); } );\n')
FILES = 'plugins = ( { name = "store-fs"; options = { intake = "files"; }; } );\n'
OBJECTS, POINTS = (40, 100000) if LONG else (12, 24)


def mounted(path):
    return subprocess.run(["mountpoint", "-q", path]).returncode == 0


class Recording:
    def __init__(self, work):
        self.backing, self.mount, self.log = f"{work}/backing", f"{work}/mount", f"{work}/log"
        os.mkdir(self.backing)
        os.mkdir(self.mount)
        self.process = subprocess.Popen([f"{BUILD}/bin/crashfs", self.backing, self.mount, self.log])
        while not mounted(self.mount):
            if self.process.poll() is not None:
                skip("the FUSE file system cannot be mounted here (needs root and /dev/fuse)")
            time.sleep(0.02)

    def end(self):
        subprocess.run(["fusermount3", "-uz", self.mount], check=True)
        self.process.wait()
        return replay.load(self.log)


def store_all(server, mount, files):
    """One object an association; a mark in the record after each success."""
    with open(mount + replay.MARKS, "a") as marks:
        for path, uid in files:
            ok = subprocess.run(["storescu", "-aec", server.aet, "127.0.0.1", str(server.port), path],
                                stderr=subprocess.DEVNULL).returncode == 0
            if ok:
                marks.write(uid + "\n")
                marks.flush()


def record(work, files, config="", plant=None):
    recording = Recording(work)
    env = dict(os.environ)
    if plant:
        env.update(HILUM_PLANT=plant, LD_PRELOAD=f"{BUILD}/lib/hilum-plant.so")
    server = Hilum(work, config, data=recording.mount, env=env)
    store_all(server, recording.mount, files)
    server.kill()
    return recording.end()


def found_after(work, records, point, seed, config):
    """Studies a restarted server knows, and the faults fsck names."""
    disk = tempfile.mkdtemp(dir=work)
    replay.State(records, point).crash(disk, seed)
    server = Hilum(work, config, data=disk)
    rows = server.cli("study", "find", "--limit", "1000")
    faults, _ = server.cli_items("archive", "fsck", check=False)
    server.kill()
    shutil.rmtree(disk)
    shutil.rmtree(server.dir, ignore_errors=True)
    return {row["StudyInstanceUID"] for row in rows}, faults


def untold_after(work, records, config):
    """Acknowledged studies of which, after everything unsynced is gone, the audit, the journal or the outbox knows nothing."""
    disk = tempfile.mkdtemp(dir=work)
    replay.State(records, len(records)).crash(disk, 0)
    server, untold, end = Hilum(work, config, data=disk), set(replay.marks(records, len(records))), time.time() + 20
    while untold and time.time() < end:
        for uid in list(untold):
            story = server.cli("study", "explain", uid, check=False) or {}
            if story.get("audit") and story.get("jobs") and any(e["event"] == "instance.stored" for e in story.get("events", [])):
                untold.remove(uid)
        time.sleep(0.1)
    server.kill()
    return [(len(records), 0, len(untold), ["audit, journal or outbox"])] if untold else []


def fault_kinds(rows):
    """What is wrong with something that has a row; an object without one, whole or torn, was acknowledged to nobody: what was is
    looked for by its UID."""
    return [r["fault"] for r in rows if "fault" in r and not r["fault"].endswith("orphan")]


def points_of(records):
    """Just after and just before every sync and mark; all of them, or a sample."""
    edges = {i + d for i, r in enumerate(records) for d in (0, 1)
             if r[0] in (replay.FSYNC, replay.FSYNCDIR) or r[1] == replay.MARKS}
    edges = sorted(edges) + [len(records)]
    return edges if len(edges) <= POINTS else sorted(random.Random(1).sample(edges, POINTS - 1)) + [len(records)]


def reuses(records):
    """How often a segment of the log was taken into use once more."""
    firsts = [r[1] for r in records if r[0] == replay.WRITE and re.search("/intake/segment-[0-9]+$", r[1]) and r[3] == 0]
    return len(firsts) - len(set(firsts))


def check(work, records, config, stop_at_first=False):
    """Crash points where something acknowledged was lost, or the server did not come back."""
    lost = []
    for point in points_of(records):
        acknowledged = set(replay.marks(records, point))
        for seed in (0, point + 2):
            try:
                found, faults = found_after(work, records, point, seed, config)
                missing, broken = acknowledged - found, fault_kinds(faults)
            except Exception as error:  # a server that does not start again has lost everything
                missing, broken = acknowledged or {"server"}, [str(error)[-300:]]
            if missing or broken:
                lost.append((point, seed, len(missing), broken[:2]))
                if stop_at_first:
                    return lost
    return lost


# ---- one UID, several contents ----

CONTEXTS = [(3, CT, [EXPLICIT]), (5, STUDY_GET, [EXPLICIT])]
STUDY, CONTENTS = "1.2.88.1", 3


def content_of(instance, n):
    return (explicit(8, 0x16, "UI", CT) + explicit(8, 0x18, "UI", instance) + explicit(8, 0x60, "CS", "CT") + explicit(0x10, 0x10, "PN", "One^Person") +
            explicit(0x10, 0x20, "LO", "ONE") + explicit(0x20, 0x0D, "UI", STUDY) + explicit(0x20, 0x0E, "UI", f"{STUDY}.1") +
            explicit(0x20, 0x4000, "LT", f"content {n}") + explicit(0x7FE0, 0x10, "OW", bytes([n]) * 3000))


def record_contents(work, config):
    """Contents 1 to 3 of three UIDs; a mark "UID/n" after each success."""
    recording = Recording(work)
    server = Hilum(work, config, data=recording.mount)
    with open(recording.mount + replay.MARKS, "a") as marks, Wire(server.port) as wire:
        wire.associate(CONTEXTS)
        for n in range(1, CONTENTS + 1):
            for k in range(3):
                instance = f"{STUDY}.{k + 10}"
                if wire.store(3, CT, instance, content_of(instance, n)) == 0:
                    marks.write(f"{instance}/{n}\n")
                    marks.flush()
    server.kill()
    return recording.end()


def contents_after(server):
    """What is current by UID, and how many contents are kept of it."""
    with Wire(server.port) as wire:
        wire.associate(CONTEXTS, roles=(CT,))
        got, _ = wire.get(5, explicit(8, 0x52, "CS", "STUDY") + explicit(0x20, 0x0D, "UI", STUDY))
    current = {uid: next(n for n in range(1, CONTENTS + 1) if f"content {n}".encode() in data) for uid, data in got.items()}
    kept = {}
    for row in server.cli("study", "versions", STUDY, check=False) or [] if got else []:
        kept[row["SOPInstanceUID"]] = kept.get(row["SOPInstanceUID"], 0) + (row["state"] in ("current", "earlier"))
    return current, kept


def contents_lost(work, records, point, config, policy):
    """What was acknowledged by then is current, or what came later is: with the catalogue the disk holds, and with one that is
    made again from all the rest."""
    acknowledged, wrong = {}, []
    for mark in replay.marks(records, point):
        acknowledged[mark.split("/")[0]] = int(mark.split("/")[1])
    for is_lost in (False, True):
        disk = tempfile.mkdtemp(dir=work)
        replay.State(records, point).crash(disk, point + 2)
        if is_lost:  # before a start could save what only it knew
            for name in os.listdir(disk):
                if name.startswith("catalog.db"):
                    os.unlink(f"{disk}/{name}")
        server = Hilum(work, config, data=disk)
        if is_lost:
            server.cli("archive", "rebuild")
        current, kept = contents_after(server)
        for uid, n in acknowledged.items():
            if current.get(uid, 0) < n or (policy == "version" and n > 1 and kept.get(uid, 0) < n):
                wrong.append((point, is_lost, uid, n, current.get(uid), kept.get(uid)))
        faults, _ = server.cli_items("archive", "fsck", check=False)
        wrong += [(point, is_lost, kind) for kind in fault_kinds(faults)]
        server.kill()
        shutil.rmtree(server.dir, ignore_errors=True)
        shutil.rmtree(disk)
    return wrong


def policies(work):
    failures = 0
    for policy, intake in (("replace", LOG), ("version", LOG), ("replace", FILES), ("version", FILES)):
        place = tempfile.mkdtemp(dir=work)
        config = f'storage = {{ min_free = "1MiB"; duplicates = "{policy}"; }}; {intake}'
        records = record_contents(place, config)
        acknowledged = len(replay.marks(records, len(records)))
        # Right after an answer: what it promised may lie in memory only.
        points = points_of(records) if LONG else [i + 1 for i, r in enumerate(records) if r[1] == replay.MARKS and r[0] == replay.WRITE][3::2]
        lost = [fault for point in points for fault in contents_lost(place, records, point, config, policy)]
        good = acknowledged == 3 * CONTENTS and not lost
        failures += not good
        print(f"{'ok  ' if good else 'BAD '} {policy}, {'log' if intake == LOG else 'files'}: {len(records)} changes, {acknowledged} contents "
              f"acknowledged, {len(points)} crash points, with and without the catalogue: {len(lost)} faults {lost[:3]}")
    return failures


def main():
    if not os.path.exists(f"{BUILD}/bin/crashfs"):
        skip("crashfs was not built: libfuse3-dev is missing")
    work = tempfile.mkdtemp(prefix="hilum-powerloss-")
    corpus = f"{work}/corpus"
    make_corpus(corpus, OBJECTS, 1, 320)  # four in a segment
    files = [(f"{corpus}/{d}/0001.dcm", tag_value(f"{corpus}/{d}/0001.dcm", "StudyInstanceUID")) for d in sorted(os.listdir(corpus))]
    failures = policies(work)
    if "policies" in sys.argv:
        return failures
    for name, config, plant in (("intake log", LOG, None), ("intake files", FILES, None),
                                ("planted: log never synced", LOG, "file"),
                                ("planted: object never synced", FILES, "file"),
                                ("planted: directories never synced", FILES, "directory"),
                                ("planted: catalogue never synced", FILES, "catalog"),
                                ("planted: catalogue never synced, log used again", LOG, "catalog")):
        place = tempfile.mkdtemp(dir=work)
        records = record(place, files, config + ROUTE, plant)
        acknowledged = len(replay.marks(records, len(records)))
        lost = check(place, records, config + ROUTE, stop_at_first=plant is not None)
        lost += [] if plant else untold_after(place, records, config + ROUTE)
        good = acknowledged == OBJECTS and bool(lost) == (plant is not None) and (config != LOG or reuses(records) > 0)
        failures += not good
        print(f"{'ok  ' if good else 'BAD '} {name}: {len(records)} changes, {acknowledged} of {OBJECTS} acknowledged, "
              f"{reuses(records)} segments used again, {len(points_of(records))} crash points x 2: {len(lost)} with losses {lost[:3]}")
    shutil.rmtree(work, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
