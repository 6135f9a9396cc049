#!/usr/bin/env bash
# Every sound file of the shared data folder: stored, found by its true name, returned bit for bit.
exec python3 "$(dirname "$0")/shared_data.py"
