#!/usr/bin/env python3
"""A port nobody listens on, below those that outgoing connections take: one of them may sit on a port that was free a
moment ago, and the server of a test then fails to listen. SPDX-License-Identifier: Apache-2.0"""
import random
import socket

LOWEST, TRIES = 12000, 1000


def outgoing_from():
    try:
        return int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
    except OSError:
        return 32768


def free_port():
    highest = max(outgoing_from() - 1, LOWEST + TRIES)
    for _ in range(TRIES):
        port = random.randint(LOWEST, highest)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                pass
    raise RuntimeError(f"no free port between {LOWEST} and {highest}")


if __name__ == "__main__":
    print(free_port())
