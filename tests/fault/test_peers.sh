#!/usr/bin/env bash
# Broken and hostile peers on raw sockets.
exec python3 "$(dirname "$0")/hostile_peers.py"
