#!/usr/bin/env bash
# A configuration that --check calls sound starts, and what keeps a start is a fault of the check in the same words.
exec python3 "$(dirname "$0")/check.py"
