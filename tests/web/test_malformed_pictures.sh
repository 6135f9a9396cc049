#!/usr/bin/env bash
# Malformed objects and objects that lie, as frames, pictures and thumbnails.
exec "$([ -x /usr/bin/python3 ] && echo /usr/bin/python3 || echo python3)" "$(dirname "$0")/malformed_pictures.py"
