#!/bin/sh
# as_nobody.sh PROGRAM: runs a test once more as a user without rights; the first run is whoever runs the tests, in CI root.
# SPDX-License-Identifier: Apache-2.0
[ "$(id -u)" -eq 0 ] || { echo "Skipped: this is no root to become somebody else"; exit 77; }
command -v setpriv >/dev/null || { echo "Skipped: setpriv is not installed (util-linux)"; exit 77; }
setpriv --reuid=65534 --regid=65534 --clear-groups test -x "$1" ||
    { echo "Skipped: nobody may look into this build folder"; exit 77; }
cd / && exec setpriv --reuid=65534 --regid=65534 --clear-groups "$1"
