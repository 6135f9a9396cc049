#!/usr/bin/env bash
# What a careless administrator types, links and saves: told, never taken for something else.
exec python3 "$(dirname "$0")/careless.py"
