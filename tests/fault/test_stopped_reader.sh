#!/usr/bin/env bash
# A findscu that stops reading for ten minutes slows nobody and gets its answers in the end. Only with --long.
[ -n "${HILUM_LONG:-}" ] || { echo "only with --long (ten minutes); fault/test_peers.sh has stalled readers of seconds"; exit 77; }
exec python3 "$(dirname "$0")/stopped_reader.py"
