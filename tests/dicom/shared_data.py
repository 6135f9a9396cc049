#!/usr/bin/env python3
"""Imports every file of the shared data outside the malformed groups (files that share a SOP Instance UID one at a time),
exports what is then stored and compares data sets byte for byte. Names and the network are shared_network.py's.
Then the malformed groups: alive, each accepted or refused with a reason."""
import hashlib, json, os, shutil, sys, tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import ROOT, Hilum, skip, tag_value

DATA = os.environ.get("HILUM_SHARED_DATA", os.path.join(ROOT, "../shared/data"))
NOT_DICOM = (".json", ".tsv", ".txt", ".md")
LENGTHS_OF_4 = (b"OB", b"OW", b"SQ", b"UN", b"UT")


def meta(data):
    """(data set offset, SOP Instance UID of the meta header or None)."""
    if data[128:132] != b"DICM":
        return 0, None
    at, uid = 132, None
    while data[at:at + 2] == b"\x02\x00":
        vr = data[at + 4:at + 6]
        n, value = (int.from_bytes(data[at + 8:at + 12], "little"), at + 12) if vr in LENGTHS_OF_4 else \
            (int.from_bytes(data[at + 6:at + 8], "little"), at + 8)
        if data[at:at + 4] == b"\x02\x00\x03\x00":
            uid = data[value:value + n].strip(b"\0 ").decode("latin1")
        at = value + n
    return at, uid


def digest(path):
    data = open(path, "rb").read()
    offset, uid = meta(data)
    return hashlib.sha1(data[offset:]).hexdigest(), uid


def instance_of(path):
    """(0008,0018) of the data set, if it is near the beginning."""
    data = open(path, "rb").read(8192)
    for head, n_at in ((b"\x08\0\x18\0UI", 6), (b"\0\x08\0\x18UI", 7), (b"\x08\0\x18\0", 4)):  # little, big endian, implicit
        at = data.find(head, meta(data)[0])
        if at >= 0:
            return data[at + 8:at + 8 + data[at + n_at]].strip(b"\0 ").decode("latin1")
    return ""


def files_below(*groups, but=()):
    for top, _, names in sorted(os.walk(os.path.join(DATA, "dicom"))):
        group = os.path.relpath(top, os.path.join(DATA, "dicom")).split(os.sep)[0]
        if (groups and group not in groups) or group in but:
            continue
        for name in sorted(names):
            if not name.endswith(NOT_DICOM):
                yield os.path.join(top, name)


def rounds(paths):
    """Lists of files in which no SOP Instance UID comes twice, be it the meta header's or the data set's."""
    out = []
    for path in paths:
        names = {digest(path)[1], instance_of(path)} - {None, ""}
        for files, uids in out:
            if not names & uids:
                files.append(path)
                uids |= names
                break
        else:
            out.append(([path], names))
    return [files for files, _ in out]


def import_all(server, work, paths):
    """Refusals as {file: reason}. Links, so that one import takes them all."""
    folder = tempfile.mkdtemp(dir=work)
    for i, path in enumerate(paths):
        os.symlink(path, f"{folder}/{i:05d}")
    rows, _ = server.cli_items("import", folder, check=False)
    return {paths[int(os.path.basename(r["file"]))]: r["reason"] for r in rows if "file" in r}


def exported(server, work):
    out = set()
    for row in server.cli("study", "find", "--limit", "100000"):
        folder = f"{tempfile.mkdtemp(dir=work)}/out"
        server.cli("export", row["StudyInstanceUID"], folder)
        out |= {digest(os.path.join(folder, n))[0] for n in os.listdir(folder)}
        shutil.rmtree(os.path.dirname(folder))
    return out


def check_round_trip(work):
    bad = 0
    for number, paths in enumerate(rounds(files_below(but=("malformed", "malformed_synth", "dicomdir")))):
        server = Hilum(work)
        refused = import_all(server, work, paths)
        back = exported(server, work)
        # A data set without a SOP Instance UID gets one: it cannot leave as a DICOM object otherwise.
        altered = [p for p in paths if p not in refused and digest(p)[0] not in back and tag_value(p, "SOPInstanceUID")]
        server.stop()
        shutil.rmtree(server.dir)
        bad += len(refused) + len(altered)
        print(f"round {number + 1}: {len(paths)} files, {len(refused)} refused, {len(altered)} not returned bit for bit")
        for path, why in list(refused.items())[:20]:
            print(f"  refused {os.path.relpath(path, DATA)}: {why}")
        for path in altered[:20]:
            print(f"  altered {os.path.relpath(path, DATA)}")
    return bad


def check_malformed(work):
    server = Hilum(work)
    paths = list(files_below("malformed", "malformed_synth"))
    refused = import_all(server, work, paths)
    silent = [p for p, why in refused.items() if not why]
    server.cli("status")
    rss = server.rss_mb()
    print(f"malformed: {len(paths)} files, {len(refused)} refused, {len(silent)} without a reason; server alive, {rss:.0f} MB")
    code = server.stop()
    return len(silent) + (code != 0) + (rss > 200)


def main():
    if not os.path.isdir(os.path.join(DATA, "dicom")):
        skip("no shared data folder beside the project (HILUM_SHARED_DATA names one)")
    work = tempfile.mkdtemp(prefix="hilum-data-")
    try:
        bad = check_round_trip(work) + check_malformed(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
