#!/usr/bin/env bash
# Rules that choose a store and what becomes of other content under a known UID, over a whole server with two stores.
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
exec $python "$(dirname "$0")/keeping.py"
