#!/usr/bin/env python3
"""Builds what a disk may hold after power was cut: replay.py LOG OUT POINT SEED

LOG is crashfs's record. Of the first POINT records, what was synced is there; of the rest each write, truncation,
and directory entry is dropped, torn or kept as SEED decides (0: all dropped, 1: all kept, others: at random).
A file's bytes are durable after its fsync, a name after the fsync of its directory; a rename is atomic and durable
after the fsync of either directory, as journalling file systems have it. Also importable: load(), State, marks().
"""
import os, random, struct, sys

CREATE, WRITE, TRUNCATE, RENAME, UNLINK, MKDIR, RMDIR, FSYNC, FSYNCDIR = range(1, 10)
HEAD = struct.Struct("<IIIIQQ")
MARKS = "/.marks"  # the test appends a line here after each acknowledgement it got


def load(path):
    records, data, at = [], open(path, "rb").read(), 0
    while at + HEAD.size <= len(data):
        op, n_path, n_to, _, offset, size = HEAD.unpack_from(data, at)
        at += HEAD.size
        name, to = data[at:at + n_path].decode(), data[at + n_path:at + n_path + n_to].decode()
        at += n_path + n_to
        body = data[at:at + size] if op == WRITE else b""
        at += len(body)
        records.append((op, name, to, offset, size, body))
    return records


def marks(records, point):
    """Lines acknowledged before the crash."""
    return b"".join(r[5] for r in records[:point] if r[0] == WRITE and r[1] == MARKS).decode().split()


class File:
    def __init__(self):
        self.durable, self.pending = bytearray(), []


def apply(content, change, torn=None):
    op, offset, size, body = change
    if op == TRUNCATE:
        if size < len(content):
            del content[size:]
        else:
            content.extend(bytes(size - len(content)))
        return
    if torn is not None:
        body = body[:torn]
    if offset + len(body) > len(content):
        content.extend(bytes(offset + len(body) - len(content)))
    content[offset:offset + len(body)] = body


class State:
    """The disk after `point` records. names: what programs saw; durable: what is certain; pending: changes of
    directory entries in order, each (directories, [(path, file or None)])."""

    def __init__(self, records, point):
        self.names, self.durable, self.pending = {}, {}, []
        for r in records[:point]:
            self.step(*r)

    def entry(self, changes):
        """Changes of entries that one call makes: atomic, and durable once any directory concerned is synced."""
        for p, f in changes:
            if f is None:
                self.names.pop(p, None)
            else:
                self.names[p] = f
        self.pending.append(({os.path.dirname(p) for p, _ in changes}, changes))

    def step(self, op, path, to, offset, size, body):
        if op == CREATE:
            self.entry([(path, File())])
        elif op == MKDIR:
            self.entry([(path, "dir")])
        elif op in (UNLINK, RMDIR):
            self.entry([(path, None)])
        elif op == RENAME:
            self.rename(path, to)
        elif op in (WRITE, TRUNCATE) and path in self.names:
            self.names[path].pending.append((op, offset, size, body))
        elif op == FSYNC and path in self.names:
            f = self.names[path]
            for change in f.pending:
                apply(f.durable, change)
            f.pending = []
        elif op == FSYNCDIR:
            self.sync_directory(path)

    def rename(self, path, to):
        f = self.names.get(path)
        self.entry([(to, f), (path, None)])
        if f == "dir":
            inside = [p for p in self.names if p.startswith(path + "/")]
            for p in inside:
                self.entry([(to + p[len(path):], self.names[p]), (p, None)])

    def sync_directory(self, path):
        rest = []
        for directories, changes in self.pending:
            if path in directories:
                self.commit(self.durable, changes)
            else:
                rest.append((directories, changes))
        self.pending = rest

    @staticmethod
    def commit(names, changes):
        for p, f in changes:
            if f is None:
                names.pop(p, None)
            else:
                names[p] = f

    def crash(self, out, seed):
        rng, names = random.Random(seed), dict(self.durable)
        keep = (lambda: False) if seed == 0 else (lambda: True) if seed == 1 else (lambda: rng.random() < 0.5)
        for _, changes in self.pending:
            if keep():
                self.commit(names, changes)
        for path in sorted(names, key=len):
            if names[path] == "dir" and os.path.isdir(out + os.path.dirname(path)):
                os.mkdir(out + path, 0o750)
        for path, f in names.items():
            if f == "dir" or path == MARKS or not os.path.isdir(out + os.path.dirname(path)):
                continue
            content = bytearray(f.durable)
            for change in f.pending:
                if keep():
                    torn = rng.randrange(len(change[3]) + 1) // 512 * 512 if seed > 1 and rng.random() < 0.3 else None
                    apply(content, change, torn)
            with open(out + path, "wb") as g:
                g.write(content)


if __name__ == "__main__":
    log, out, point, seed = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    State(load(log), point).crash(out, seed)
