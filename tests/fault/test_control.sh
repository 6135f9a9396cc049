#!/usr/bin/env bash
# The control socket against rubbish, huge requests and crowds.
exec python3 "$(dirname "$0")/hostile_control.py"
