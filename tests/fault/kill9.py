#!/usr/bin/env python3
"""Four senders, kill -9 at a random moment, restart, again. Every success a sender read is found afterwards, and the
store and the catalogue agree (fsck)."""
import os, random, re, shutil, subprocess, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, client_env, make_corpus

KILLS = 50 if os.environ.get("HILUM_LONG") else 6
SENDERS, SLICES = 4, 60


def start_sender(server, directory, log):
    """storescu -v tells each file and each answer; the log is read after the kill."""
    return subprocess.Popen(["storescu", "-v", "+sd", "--no-halt", "-aec", server.aet, "127.0.0.1", str(server.port), directory],
                            stdout=open(log, "w"), stderr=subprocess.STDOUT, env=client_env(True))


def acknowledged(log):
    """Files whose success the sender read."""
    done, current = [], None
    for line in open(log, errors="replace"):
        sent = re.search(r"Sending file: (\S+)", line)
        if sent:
            current = sent[1]
        elif "Received Store Response (Success)" in line and current:
            done.append(current)
    return done


def uids(corpus):
    """file -> SOP Instance UID, in one run of dcmdump."""
    out = subprocess.run(["dcmdump", "-q", "+F", "+r", "+sd", "+P", "0008,0018", corpus], capture_output=True, text=True).stdout
    table, current = {}, None
    for line in out.splitlines():
        name = re.search(r"# dcmdump .*: (\S+\.dcm)", line) or re.match(r"# (\S+\.dcm)", line)
        if name:
            current = name[1]
        elif "[" in line and current:
            table[os.path.basename(os.path.dirname(current)) + "/" + os.path.basename(current)] = line.split("[")[1].split("]")[0]
    return table


def find(server, level, tag, **keys):
    """Values of one tag in the answers of a hierarchical C-FIND."""
    options = [x for k, v in keys.items() for x in ("-k", f"{k}={v}")]
    out = subprocess.run(["findscu", "-S", "-aec", server.aet, "-k", f"QueryRetrieveLevel={level}", *options, "127.0.0.1",
                          str(server.port)], capture_output=True, text=True)
    return re.findall(rf"\({tag}\) UI \[([0-9.]+)", out.stdout + out.stderr)


def stored_uids(server, study):
    """SOP Instance UIDs as a workstation walks: series of the study, instances of each."""
    out = set()
    for series in find(server, "SERIES", "0020,000e", StudyInstanceUID=study, SeriesInstanceUID=""):
        out |= set(find(server, "IMAGE", "0008,0018", StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=""))
    return out


def round_of(server, corpus, work, number):
    logs = []
    senders = []
    for i, directory in enumerate(sorted(os.listdir(corpus))[number * SENDERS:(number + 1) * SENDERS]):
        logs.append(f"{work}/{number}-{i}.log")
        senders.append(start_sender(server, f"{corpus}/{directory}", logs[-1]))
    time.sleep(random.uniform(0.2, 1.0))
    server.kill()
    for sender in senders:
        sender.wait()
    return [f for log in logs for f in acknowledged(log)]


def main():
    random.seed(int(os.environ.get("HILUM_SEED", time.time())))
    work = tempfile.mkdtemp(prefix="hilum-kill9-")
    corpus = f"{work}/corpus"
    make_corpus(corpus, SENDERS * KILLS, SLICES, 256)
    table = uids(corpus)
    server, told, failures = Hilum(work), [], 0
    for number in range(KILLS):
        told += round_of(server, corpus, work, number)
        server.again()
        rows, _ = server.cli_items("archive", "fsck", check=False)
        if rows:
            failures += 1
            print(f"BAD  after kill {number + 1}: {rows[:3]}")
    studies = [r["StudyInstanceUID"] for r in server.cli("study", "find", "--limit", "100000")]
    found = set().union(*(stored_uids(server, study) for study in studies))
    wanted = {table["/".join(f.split("/")[-2:])] for f in told}
    lost = wanted - found
    print(f"{KILLS} kills, {len(wanted)} acknowledged, {len(found)} stored, {len(lost)} lost")
    server.stop()
    shutil.rmtree(work, ignore_errors=True)
    return 1 if failures or lost or not wanted else 0


sys.exit(main())
