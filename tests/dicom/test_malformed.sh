#!/usr/bin/env bash
# Every malformed file of the shared data folder over C-STORE, as it is.
exec python3 "$(dirname "$0")/malformed.py"
