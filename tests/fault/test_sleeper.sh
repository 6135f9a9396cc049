#!/usr/bin/env bash
# A plugin that sleeps in the middle of recording does not slow C-STORE.
exec python3 "$(dirname "$0")/sleeper.py"
