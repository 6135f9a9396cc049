#!/usr/bin/env python3
"""Every malformed file of the shared data, sent as it is over C-STORE by a sender that checks nothing: stored, warned about,
refused with a status, or the association ended with a reason. The server lives, keeps its memory and goes on."""
import os, re, shutil, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, ROOT, Hilum, skip
from wire import *

DATA = os.environ.get("HILUM_SHARED_DATA", os.path.join(ROOT, "../shared/data"))
RSS_MAX = 1000 if "asan" in BUILD else 200
LONG_LENGTHS = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def text(value):
    return re.sub(r"[^0-9.]", "", value.decode("latin1"))[:64]


def own_uid(data, element):
    """(0008,element) of the data set as far as it can be found: meta headers of such files name something else."""
    for tag, order in ((struct.pack("<HH", 8, element), "<"), (struct.pack(">HH", 8, element), ">")):
        at = data.find(tag, 0, 4096)
        if at < 0:
            continue
        is_explicit = data[at + 4:at + 6] == b"UI"
        form = order + ("H" if is_explicit else "I")
        value = at + 8
        if value <= len(data):
            return text(data[value:value + struct.unpack_from(form, data, at + (6 if is_explicit else 4))[0]])
    return ""


def part10(data):
    """(SOP class, SOP instance, transfer syntax, data set), guessed where the file is broken."""
    values, at = {}, 0
    if data[128:132] == b"DICM":
        at = 132
        while data[at:at + 2] == b"\2\0" and at + 8 <= len(data):
            is_long = data[at + 4:at + 6] in LONG_LENGTHS
            n, value = struct.unpack_from("<I", data, at + 8)[0] if is_long and at + 12 <= len(data) else \
                struct.unpack_from("<H", data, at + 6)[0], at + (12 if is_long else 8)
            values[data[at + 2]] = data[value:value + n]
            at = value + n
    return (own_uid(data[at:], 0x16) or text(values.get(2, b"")) or CT,
            own_uid(data[at:], 0x18) or text(values.get(3, b"")) or "1.2.3.4.5", text(values.get(0x10, b"")) or IMPLICIT,
            data[at:])


def send(port, path):
    """A status, or how the association ended."""
    sop_class, instance, syntax, data = part10(open(path, "rb").read())
    with Wire(port) as wire:
        try:
            if 1 not in wire.associate([(1, sop_class, [syntax])]):
                return "context refused"
            return wire.store(1, sop_class, instance, data)
        except Closed as how:
            return str(how)
        except TimeoutError:
            return "timeout"
        except ConnectionError as error:
            return wire.end()


def is_sound(result):
    """Success, B0xx warning, A7xx A9xx Cxxx refusals of C-STORE, 0122 and 0124; else an abort or reject."""
    if isinstance(result, int):
        return result in (0, 0x0122, 0x0124) or result >> 12 in (0xB, 0xC) or result >> 8 in (0xA7, 0xA9)
    return result == "context refused" or result.startswith(("abort", "reject"))


def main():
    groups = [os.path.join(DATA, "dicom", group) for group in ("malformed", "malformed_synth")]
    groups = [group for group in groups if os.path.isdir(group)]
    if not groups:
        skip(f"no malformed files below {DATA}")
    paths = sorted(os.path.join(top, n) for group in groups for top, _, names in os.walk(group) for n in names
                   if not n.endswith((".json", ".tsv", ".txt", ".md")))
    work = tempfile.mkdtemp(prefix="hilum-malformed-")
    server, failures, tally = Hilum(work, 'storage = { min_free = "64MiB"; };'), 0, {}
    for path in paths:
        result = send(server.port, path)
        name = f"{result:04x}" if isinstance(result, int) else result
        tally[name] = tally.get(name, 0) + 1
        if not is_sound(result) or server.process.poll() is not None:
            failures += 1
            print(f"BAD  {os.path.relpath(path, DATA)}: {name}, server {server.process.poll()}")
            if server.process.poll() is not None:
                print(open(f"{server.dir}/log").read()[-3000:])
                server.again()
        if os.environ.get("VERBOSE"):
            print(name, os.path.relpath(path, DATA))
    rss = server.rss_mb()
    print(f"{len(paths)} files: {', '.join(f'{n} x {k}' for k, n in sorted(tally.items()))}; {rss:.0f} MB")
    rows, _ = server.cli_items("archive", "fsck", check=False)
    for what, is_good in (("memory", rss < RSS_MAX), ("fsck", not rows), ("files are there", len(paths) > 0),
                          ("ends well", server.stop() == 0)):
        if not is_good:
            failures += 1
            print(f"BAD  {what}: {rows[:3]}")
    if os.environ.get("VERBOSE"):
        print(open(f"{server.dir}/log").read())
    shutil.rmtree(work, ignore_errors=True)
    print(f"{failures} failures")
    return 1 if failures else 0


sys.exit(main())
