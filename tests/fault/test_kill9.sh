#!/usr/bin/env bash
# kill -9 under load: nothing acknowledged is lost, nothing is left over.
exec python3 "$(dirname "$0")/kill9.py"
