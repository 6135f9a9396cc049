#!/usr/bin/env python3
"""Every file of the shared data outside the malformed groups over the network, files that share a SOP Instance UID one at a
time: in by DCMTK's dcmsend, and, where that cannot carry a file or writes it anew, by Hilum's own SCU from a second Hilum;
each study found by its true name over C-FIND; every data set back bit for bit over C-GET (a client that is not DCMTK's) and,
as far as its storescp takes the syntax, over C-MOVE. SPDX-License-Identifier: Apache-2.0"""
import glob, hashlib, json, os, shutil, subprocess, sys, tempfile

import pydicom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from shared_data import DATA, files_below, import_all, meta, rounds
from judge import equal, until, verdict
from peers import Hilum, client_env, free_port, skip, wait_for
from wire import EXPLICIT, STUDY_FIND, STUDY_GET, Wire, explicit

DEFLATED = "1.2.840.10008.1.2.1.99"
REPAIRS = {"none_declared_gbk.dcm": "GB18030"}
FACTS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "PatientName", "SpecificCharacterSet"]


class Source:
    """A file, what it says of itself, and what must come back."""

    def __init__(self, path):
        data = open(path, "rb").read()
        head = pydicom.dcmread(path, force=True, specific_tags=FACTS)
        self.path, self.name = path, os.path.relpath(path, f"{DATA}/dicom")
        self.study, self.uid = str(head.get("StudyInstanceUID", "")), str(head.get("SOPInstanceUID", ""))
        self.syntax = str(head.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2"))
        classes = {str(head.get("SOPClassUID", "")), str(head.file_meta.get("MediaStorageSOPClassUID", ""))} - {""}
        self.pairs = {(c, self.syntax) for c in classes}
        self.patient = true_name(path, str(head.get("PatientName", "")))
        body = data[meta(data)[0]:]
        self.is_odd = len(body) % 2 == 1 and self.syntax != DEFLATED
        # PS3.5 A.5: a deflated data set of odd length leaves with its NUL
        self.digest = sha1(body + b"\0" if self.syntax == DEFLATED and len(body) % 2 else body)


def true_name(path, name):
    """Of two readers of character sets the one that knows this one: pydicom stumbles over ISO 2022 IR 58, DCMTK over Japanese."""
    if name.isascii() or "charset" not in path:
        return name
    out = subprocess.run(["dcmdump", "-q", "+U8", "+P", "PatientName", path], capture_output=True, text=True).stdout
    return out.split("[", 1)[1].split("]")[0].rstrip("=") if "[" in out else name


def sha1(data):
    return hashlib.sha1(data).hexdigest()


def identifier(level, **keys):
    numbers = {"PatientName": (0x10, 0x10, "PN"), "PatientID": (0x10, 0x20, "LO"), "StudyInstanceUID": (0x20, 0x0D, "UI")}
    rows = sorted((*numbers[k], v) for k, v in keys.items())
    return (explicit(8, 5, "CS", "ISO_IR 192") + explicit(8, 0x52, "CS", level) +
            b"".join(explicit(*row) for row in rows))


def find(port, queries):
    """Of each query the Study Instance UIDs; all on one association."""
    wire = Wire(port)
    wire.associate([(1, STUDY_FIND, [EXPLICIT])], calling="FINDER")
    out = []
    for keys in queries:
        answers, status = wire.find(1, identifier("STUDY", **{"StudyInstanceUID": "", **keys}))
        assert status == 0, (keys, status)
        out.append({value_of(a, b"\x20\0\x0d\0UI") for a in answers})
    wire.release()
    return out


def value_of(dataset, element):
    at = dataset.index(element)
    n = int.from_bytes(dataset[at + 6:at + 8], "little")
    return dataset[at + 8:at + 8 + n].decode().rstrip("\0")


def retrieve(port, study, pairs):
    """{SOP Instance UID: data set}"""
    wire = Wire(port, timeout=60)
    contexts = [(1, STUDY_GET, [EXPLICIT])] + [(3 + 2 * i, c, [s]) for i, (c, s) in enumerate(sorted(pairs))]
    wire.associate(contexts, calling="GETTER", max_pdu=131072, roles=sorted({c for c, _ in pairs}))
    got, status = wire.get(1, identifier("STUDY", StudyInstanceUID=study))
    equal(f"C-GET of {study}", 0, status)
    wire.release()
    return got


def back_by_get(server, sources):
    """Digests of all the server holds, as the world may see them."""
    strays = set().union(*(s.pairs for s in sources if not s.study))
    pairs = {}
    for source in sources:
        pairs.setdefault(source.study, set(strays)).update(source.pairs)
    out = {}
    for study in sorted(*find(server.port, [{}])):
        for uid, data in retrieve(server.port, study, pairs.get(study, strays)).items():
            out[sha1(data)] = uid
    return out


def taken_by(receiver, sources):
    """The pairs of SOP class and syntax a receiver accepts."""
    pairs, out = sorted(set().union(*(s.pairs for s in sources))), set()
    for start in range(0, len(pairs), 128):
        some = pairs[start:start + 128]
        wire = Wire(receiver)
        accepted = wire.associate([(2 * i + 1, c, [s]) for i, (c, s) in enumerate(some)], called="SINK")
        wire.release()
        out |= {pair for i, pair in enumerate(some) if 2 * i + 1 in accepted}
    return out


def back_by_move(server, work, receiver, sources):
    """All the server holds to DCMTK's storescp, writing as it reads: (digests, the sources it cannot take: unknown class or
    syntax, a data set of odd length)."""
    folder = tempfile.mkdtemp(dir=work)
    sink = subprocess.Popen(["storescp", "+xa", "-pm", "+B", "+uf", "-aet", "SINK", "-od", folder, str(receiver)],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=client_env(True))
    wait_for(receiver, sink)
    taken = taken_by(receiver, sources)
    for i, study in enumerate(sorted(*find(server.port, [{}]))):
        query = pydicom.Dataset()
        query.QueryRetrieveLevel, query.StudyInstanceUID = "STUDY", study
        query.is_little_endian, query.is_implicit_VR = True, False
        pydicom.dcmwrite(f"{work}/query{i:03d}", query, write_like_original=True)
    queries = sorted(glob.glob(f"{work}/query*"))
    subprocess.run(["movescu", "-S", "-aet", "MOVER", "-aec", "HILUM", "-aem", "SINK", "127.0.0.1", str(server.port), *queries],
                   capture_output=True, env=client_env(True))
    sink.kill()
    sink.wait()
    for query in queries:
        os.unlink(query)
    moved = set()
    for path in glob.glob(f"{folder}/*"):
        data = open(path, "rb").read()
        moved.add(sha1(data[meta(data)[0]:]))
    shutil.rmtree(folder)
    return moved, {s for s in sources if s.is_odd or not s.pairs <= taken}


def find_names(server, sources):
    """Each study by the name its file has, decoded by somebody else; the facts of charset_synth have a test of their own."""
    rows = sorted({(s.study, s.patient) for s in sources if s.study and s.patient and not s.name.startswith("charset_synth")
                   and not set("*?\\\ufffd") & set(s.patient)})
    for (study, name), answers in zip(rows, find(server.port, [{"PatientName": name} for _, name in rows])):
        equal(f"{study} found by the name \"{name}\"", True, study in answers)
    return len(rows)


def send(server, paths):
    subprocess.run(["dcmsend", "-q", "-dn", "-nh", "-nuc", "+ma", "-aec", "HILUM", "127.0.0.1", str(server.port), *paths],
                   capture_output=True, env=client_env(True))


def network_round(work, sources):
    """dcmsend first; what then is not held byte for byte, through a second Hilum. Returns how many went which way."""
    receiver = free_port()
    sink = f'peers = ( {{ name = "sink"; aet = "SINK"; host = "127.0.0.1"; port = {receiver}; }} );'
    server = Hilum(work, sink)
    send(server, [s.path for s in sources])
    by_get = back_by_get(server, sources)
    moved, declined = back_by_move(server, work, receiver, sources)
    sound = [s for s in sources if s.digest in by_get and (s in declined or s.digest in moved)]
    names, n_moved = find_names(server, sound), len(moved)
    server.kill()
    shutil.rmtree(server.dir)
    left = [s for s in sources if s not in sound]
    if left:
        more = own_round(work, left, receiver, sink)
        n_moved, names = n_moved + more[0], names + more[1]
    return f"{len(sound)} files in by dcmsend, {len(left)} by Hilum's own SCU; {n_moved} out to storescp; {names} names"


def own_round(work, sources, receiver, sink):
    """A second Hilum that imported them routes everything to the first."""
    server = Hilum(work, sink)
    sender = Hilum(work, f'peers = ( {{ name = "first"; aet = "HILUM"; host = "127.0.0.1"; port = {server.port}; }} );\n'
                   'routes = ( { name = "all"; send = ( "first" ); } );', dicom='aet = "SECOND";')
    equal("refused by import", {}, import_all(sender, work, [s.path for s in sources]))
    jobs = lambda: [sum(job.get(state, 0) for job in sender.cli("job", "list")) for state in ("done", "failed")]
    until(lambda: sum(jobs()) >= len(sources))
    equal("sent, not taken", [len(sources), 0], jobs())
    by_get = back_by_get(server, sources)
    moved, declined = back_by_move(server, work, receiver, sources)
    for source in sources:
        if source.uid:  # without one it gets one
            equal(f"{source.name}: back by C-GET bit for bit", True, source.digest in by_get)
            equal(f"{source.name}: back by C-MOVE bit for bit", True, source in declined or source.digest in moved)
    equal("objects", len(sources), len(by_get))
    counts = len(moved), find_names(server, sources)
    for one in (server, sender):
        one.kill()
        shutil.rmtree(one.dir)
    return counts


def check_facts(work):
    """The names whose UTF-8 is given beside the files; a server each, since they share one study."""
    folder = f"{DATA}/dicom/charset_synth"
    facts = json.load(open(f"{folder}/expected.json"))
    for name, fact in facts.items():
        repair = f'peers = ( {{ name = "old"; aet = "DCMSEND"; cidr = ( "127.0.0.0/8" ); charset = "{REPAIRS[name]}"; }} );' if name in REPAIRS else ""
        server = Hilum(work, repair)
        send(server, [f"{folder}/{name}"])
        groups = [g for g in (fact.get("PatientName_utf8") or "").split("=") if g]
        for wanted, answers in zip(groups, find(server.port, [{"PatientName": g} for g in groups])):
            equal(f"{name} found by {wanted}", 1, len(answers))
        server.kill()
        shutil.rmtree(server.dir)
    print(f"{len(facts)} names given as facts")


def main():
    work = tempfile.mkdtemp(prefix="hilum-net-")
    try:
        for number, paths in enumerate(rounds(files_below(but=("malformed", "malformed_synth", "dicomdir")))):
            print(f"round {number + 1}: {network_round(work, [Source(p) for p in paths])}")
        check_facts(work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    verdict()


if not os.path.isdir(f"{DATA}/dicom"):
    skip("no shared data folder beside the project (HILUM_SHARED_DATA names one)")
main()
