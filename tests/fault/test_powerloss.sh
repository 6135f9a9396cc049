#!/usr/bin/env bash
# Power loss: every acknowledged object is there after a crash at any point, and planted bugs are caught.
exec python3 "$(dirname "$0")/powerloss.py"
