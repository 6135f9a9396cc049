#!/usr/bin/env bash
# Corrections of deflated objects of any size, and what they cost in memory.
exec python3 "$(dirname "$0")/deflated.py"
