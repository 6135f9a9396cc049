#!/usr/bin/env python3
"""A sender Hilum routes by Lua to two destinations. One is dead and delays nobody; both ends are killed with -9 while
instances are under way and in the end the sets are equal; a rule that loops holds, and ingest goes on."""
import os, shutil, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import Hilum, dcmsend, free_port, make_corpus

LONG = bool(os.environ.get("HILUM_LONG"))
STUDIES, SLICES = (100, 100) if LONG else (10, 100)

FAN_OUT = """
hilum.on { event = "instance.stored", name = "site/fan-out", where = "Modality=CT",
  run = function(ev)
    ev:send("ALIVE")
    ev:send("DEAD")
    ev:tag("routed")
  end }
"""
LOOP = """
hilum.on { event = "instance.received", phase = "filter", name = "site/loops", where = "PatientID=P0000000",
  run = function(ev) while true do end end }
"""


def site(work, rules):
    folder = tempfile.mkdtemp(dir=work)
    os.mkdir(f"{folder}/rules")
    with open(f"{folder}/rules/site.lua", "w") as f:
        f.write(rules)
    return folder


def peer(name, port):
    return f'{{ name = "{name}"; aet = "HILUM"; own_aet = "SENDER"; host = "127.0.0.1"; port = {port}; }}'


def config(alive, dead):
    return (f'peers = ( {peer("ALIVE", alive)}, {peer("DEAD", dead)} );\n'
            'outbox = { retry_first = "1s"; retry_max = "2s"; };')


def instances(server):
    return sum(int(r["Instances"] or 0) for r in server.cli("study", "find", "--limit", "100000"))


def until(what, condition, seconds=120):
    """Polls a foreign process's state; there is no event to wait for."""
    end = time.time() + seconds
    while time.time() < end:
        if condition():
            return True
        time.sleep(0.1)
    print(f"BAD  {what}: not within {seconds} s")
    return False


def send(server, corpus):
    return dcmsend(server, [corpus]).wait()


def test_dead_destination(work, corpus, total):
    """The live destination has everything while the dead one has had nothing; once it lives it gets everything."""
    alive, dead_port = Hilum(work), free_port()
    sender = Hilum(work, config(alive.port, dead_port), site=site(work, FAN_OUT))
    send(sender, corpus)
    ok = until("live destination has all", lambda: instances(alive) == total)
    late = Hilum(work, port=dead_port)
    ok &= until("late destination has all", lambda: instances(late) == total)
    ok &= until("no job is left", lambda: not sender.cli("job", "list", "--state", "waiting"))
    explained = str(sender.cli("study", "explain", "A0000000"))
    ok &= "site/fan-out" in explained or print("BAD  explain does not name the rule") is not None
    for server in (alive, sender, late):
        ok &= server.stop() == 0
    return ok


def test_back_again(work, corpus, total):
    """A destination that a person knows to be back gets everything at once, not after the pause: by an echo, by `job retry`."""
    ok = True
    one = os.path.join(corpus, sorted(os.listdir(corpus))[0])
    file = os.path.join(one, sorted(os.listdir(one))[0])
    for words in (("peer", "echo", "DEAD"), ("job", "retry")):
        dead_port = free_port()
        sender = Hilum(work, config(free_port(), dead_port).replace('"1s"', '"1h"').replace('"2s"', '"1h"'), site=site(work, FAN_OUT))
        dcmsend(sender, [file]).wait()
        ok &= until("an attempt fails", lambda: "refused" in str(sender.cli("status")["jobs"]["lanes"]), 30)
        late = Hilum(work, port=dead_port)
        sender.cli(*words)
        ok &= until(f"{' '.join(words)} opens the lane", lambda: instances(late) == 1, 20)
        for server in (sender, late):
            ok &= server.stop() == 0
    return ok


def test_kills(work, corpus, total):
    """kill -9 of sender and receiver while instances are routed: sets equal in the end."""
    receiver = Hilum(work)
    sender = Hilum(work, config(receiver.port, free_port()), site=site(work, FAN_OUT))
    first = dcmsend(sender, [corpus])
    kills = 0
    while kills < 6 and (kills < 2 or instances(receiver) < total):
        time.sleep(0.4)
        victim = sender if kills % 2 else receiver
        victim.kill()
        victim.again()
        kills += 1
    first.wait()
    send(sender, corpus)  # what the first round could not deliver to the killed sender; the rest are duplicates
    stored = instances(sender)
    ok = until("receiver has all", lambda: instances(receiver) == stored == total)
    status = receiver.cli("status")
    duplicates = status.get("store", {}).get("duplicates", "?")
    print(f"  {kills} kills, {stored} at the sender, {instances(receiver)} at the receiver, {duplicates} duplicates since its last start")
    for server in (receiver, sender):
        server.stop()
    return ok


def test_looping_rule(work, corpus, total):
    """A rule that loops falls back to hold: stored, answered with success, in quarantine, released by a person."""
    sender = Hilum(work, site=site(work, LOOP))
    one = os.path.join(corpus, sorted(os.listdir(corpus))[0])
    files = sorted(os.listdir(one))[:3]
    code = dcmsend(sender, [os.path.join(one, f) for f in files]).wait()
    held = sender.cli("quarantine", "list")
    other = dcmsend(sender, [os.path.join(corpus, sorted(os.listdir(corpus))[1])]).wait()
    ok = code == 0 and other == 0 and len(held) == len(files) and "site/loops" in str(held)
    if not ok:
        print(f"BAD  looping rule: dcmsend {code}/{other}, held {held}")
    sender.cli("quarantine", "release", sender.cli("study", "find", "--patient-id", "P0000000")[0]["StudyInstanceUID"])
    ok &= sender.cli("quarantine", "list") == [] or print("BAD  release left something held") is not None
    sender.stop()
    return ok


def main():
    work = tempfile.mkdtemp(prefix="hilum-routing-")
    corpus = f"{work}/corpus"
    make_corpus(corpus, STUDIES, SLICES)
    failed = 0
    for test in (test_dead_destination, test_back_again, test_kills, test_looping_rule):
        begin = time.time()
        ok = test(work, corpus, STUDIES * SLICES)
        failed += not ok
        print(f"{'ok  ' if ok else 'BAD '} {test.__name__}: {test.__doc__.splitlines()[0]} ({time.time() - begin:.1f} s)")
    shutil.rmtree(work, ignore_errors=True)
    return 1 if failed else 0


sys.exit(main())
