#!/usr/bin/env bash
# A full, read-only or lost medium; a locked or lost catalogue.
exec python3 "$(dirname "$0")/medium.py"
