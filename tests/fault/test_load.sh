#!/usr/bin/env bash
# Reloading and stopping under load; configuration that makes no sense.
exec python3 "$(dirname "$0")/under_load.py"
