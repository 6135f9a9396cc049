#!/usr/bin/env bash
# C-CANCEL of searches and retrievals under way.
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3
exec "$python" "$(dirname "$0")/cancel.py"
