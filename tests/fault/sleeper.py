#!/usr/bin/env python3
"""A plugin that sleeps in the middle of its work with the database (sleeper.c) does not slow C-STORE by a tenth: the same objects go
by turns to a server with it and to one without. Counted by the better of median and minimum, since a machine has other work too.
SPDX-License-Identifier: Apache-2.0"""
import os, shutil, statistics, sys, tempfile, time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, Hilum, dcmsend, make_corpus

BATCHES, OBJECTS, TRIES = 12, 60, 4


def send(server, path):
    start = time.time()
    code = dcmsend(server, [path]).wait()
    assert code == 0, code
    return time.time() - start


def ratio_of(servers, load):
    seconds = ([], [])
    for i, group in enumerate(sorted(os.listdir(load))):
        for turn in (i % 2, 1 - i % 2):
            seconds[turn].append(send(servers[turn], f"{load}/{group}"))
    return min(pick(seconds[0]) / pick(seconds[1]) for pick in (statistics.median, min))


def main():
    work = tempfile.mkdtemp(prefix="hilum-sleeper-")
    plugin = f'plugins = ( {{ name = "sleeper"; file = "{BUILD}/lib/sleeper.so"; trust = "in-process"; }} );'
    servers = [Hilum(work, plugin), Hilum(work)]
    try:
        ratios = []
        while len(ratios) < TRIES and (not ratios or min(ratios) >= 1.1):
            load = f"{work}/load{len(ratios)}"
            make_corpus(load, BATCHES, OBJECTS, 128)
            ratios.append(ratio_of(servers, load))
        told = servers[0].cli("sleeper", "tell")
        print(f"ratio {', '.join(f'{r:.2f}' for r in ratios)}; the plugin: {told}")
        ok = min(ratios) < 1.1 and told["denied"] == -7 and told["units"] > 10 and told["failed"] == 0
        return 0 if ok and all(server.stop() == 0 for server in servers) else 1
    finally:
        for server in servers:
            server.kill()
        shutil.rmtree(work, ignore_errors=True)


sys.exit(main())
