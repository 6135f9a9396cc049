#!/usr/bin/env bash
# Rules and the outbox over whole servers: fan-out with a dead destination, kills on both sides, hold and release.
exec python3 "$(dirname "$0")/routing.py"
