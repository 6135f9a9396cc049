#!/usr/bin/env python3
"""One strace of 100 C-STOREs from one sender, in both intake modes. For every success on the wire, since the one before:
the object's bytes were written and then synced; in files mode its name was given and its directory then synced, and after
both the row was written to the catalogue's log and synced. In log mode the object's record says the row, which is written
after the answer: that this is enough test_powerloss.sh shows, and here that the row is written and synced before its place
in the log is used again."""
import os, re, shutil, subprocess, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, make_corpus, skip

CALLS = "pwrite64,pwritev,write,copy_file_range,fdatasync,fsync,sendmsg,renameat2,rename,renameat"
LINE = re.compile(r"^(\d+)\s+(?:<\.\.\. )?(\w+)(\(| resumed)(.*)$")
PATH = re.compile(r"\d+<([^>]*)>")


def calls(trace):
    """(call, first path, text) at the moment each call returned: a sync counts from then on; a response counts from the
    moment it was begun."""
    begun = {}
    for line in open(trace, errors="replace"):
        match = LINE.match(line)
        if not match:
            continue
        thread, call, kind, text = match.groups()
        if kind == "(" and call == "sendmsg":
            yield call, PATH.search(text)[1] if PATH.search(text) else "", text
        elif kind == "(" and "<unfinished" in text:
            begun[thread, call] = text
        elif call != "sendmsg":
            text = begun.pop((thread, call), "") + text
            if "= -1" not in text:
                yield call, PATH.search(text)[1] if PATH.search(text) else "", text


def is_success(text):
    """A C-STORE-RSP (8001H) with status 0000H: its command set is the second part of the message."""
    return r'\0\0\0\1\2\0\0\0\1\200' in text or r'\0\1\2\0\0\0\1\200' in text


class Watch:
    """Checks each success against what happened since the one before."""

    def __init__(self, mode):
        self.mode, self.faults, self.successes, self.since = mode, [], 0, []
        self.rows, self.reused = {}, 0  # segment: what is known of the rows of the objects in it

    def kind(self, call, path, text):
        if "/pending/log+" in path or "/pending/+log+" in path or '"+log+' in text or "log/n" in text:
            return None  # lines beside the objects are objects too, and promised to nobody here
        if "/intake/segment" in path and call in ("pwrite64", "pwritev", "fdatasync"):
            return "object synced" if call == "fdatasync" else "object written"
        if "/objects/pending/" in path and call in ("pwrite64", "write", "fdatasync"):
            return "file synced" if call == "fdatasync" else "file written"
        if call == "renameat2" and text.count("/objects/pending>") == 2:
            return "named"
        if call == "fsync" and path.endswith("/objects/pending"):
            return "name synced"
        if path.endswith("catalog.db-wal"):
            return "row synced" if call == "fdatasync" else "row written"
        return None

    def see(self, call, path, text):
        if self.mode == "log":
            self.follow(call, path, text)
        if call == "sendmsg":
            if is_success(text):
                self.answered()
        elif self.kind(call, path, text):
            self.since.append(self.kind(call, path, text))

    def follow(self, call, path, text):
        """Objects of a segment whose rows are not synced; a write to its first block takes it into use (again). A row is
        synced when the catalogue's log was written after the object, and synced after that."""
        if "/intake/segment" in path and call == "pwrite64" and ", 0) =" in text:
            self.reused += path in self.rows
            if self.rows.get(path, "synced") != "synced":
                self.faults.append((self.successes, f"{os.path.basename(path)} used again before its rows were synced"))
            self.rows[path] = "synced"
        elif "/intake/segment" in path and call in ("pwrite64", "pwritev"):
            self.rows[path] = "missing"
        elif path.endswith("catalog.db-wal"):
            before, after = ("written", "synced") if call == "fdatasync" else ("missing", "written")
            self.rows = {p: after if rows == before else rows for p, rows in self.rows.items()}

    def chain(self):
        """What must come in this order; a step is the first of its kind after the one before."""
        if self.mode == "log" and "named" not in self.since:  # else it found no room in the log
            return [["object written", "object synced"]]
        return [["file written", "file synced", "row written", "row synced"],
                ["named", "name synced", "row written", "row synced"]]

    def answered(self):
        self.successes += 1
        for steps in self.chain():
            at = -1
            for step in steps:
                later = [i for i, kind in enumerate(self.since) if i > at and kind == step]
                if not later:
                    self.faults.append((self.successes, f"no '{step}' in its place"))
                    break
                # the object's last byte counts, of everything else the first
                at = max(later) if step in ("object written", "file written", "named") else min(later)
        self.since = []


def run(work, mode, objects):
    config = f'plugins = ( {{ name = "store-fs"; options = {{ intake = "{mode}"; segment = "1MiB"; segments = 3; }}; }} );'
    server = Hilum(work, config)
    trace = f"{server.dir}/trace"
    strace = subprocess.Popen(["strace", "-f", "-yy", "-s", "200", "-e", f"trace={CALLS}", "-o", trace, "-p", str(server.process.pid)],
                              stderr=subprocess.PIPE, text=True)
    if "attached" not in strace.stderr.readline():
        skip("strace may not attach here")
    corpus = f"{server.dir}/corpus"
    make_corpus(corpus, 1, objects, 128)
    subprocess.run(["storescu", "+sd", "-aec", server.aet, "127.0.0.1", str(server.port), corpus + "/s0000"], check=True, stdout=subprocess.DEVNULL)
    strace.terminate()
    strace.wait()
    server.stop()
    watch = Watch(mode)
    for call in calls(trace):
        watch.see(*call)
    return watch


def main():
    if not shutil.which("strace"):
        skip("strace is not installed")
    work, objects, bad = tempfile.mkdtemp(prefix="hilum-order-"), 100, 0
    for mode in ("files", "log"):
        watch = run(work, mode, objects)
        good = watch.successes == objects and not watch.faults and (mode == "files" or watch.reused > 0)
        bad += not good
        print(f"{'ok  ' if good else 'BAD '} {mode}: {watch.successes} successes seen, {watch.reused} segments used again, {len(watch.faults)} too early {watch.faults[:4]}")
    shutil.rmtree(work, ignore_errors=True)
    return 1 if bad else 0


sys.exit(main())
