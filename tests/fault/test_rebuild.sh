#!/usr/bin/env bash
# A lost catalogue comes back whole, also when the rebuild is killed in the middle.
exec python3 "$(dirname "$0")/rebuild.py"
