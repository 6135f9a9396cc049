#!/usr/bin/env bash
# `cmake --install` to any prefix gives a tree that works as it lies there, without options but --data.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
work=$(mktemp -d)
server=""
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >"$work/log"
hilumd=$work/prefix/sbin/hilumd
cd /
"$hilumd" --check | tee "$work/check"
grep -q sound "$work/check"
echo "--check of the installed tree is sound"

port=$(python3 "$root/tests/lib/free_port.py")
cat >"$work/prefix/etc/hilum/local.d/10-site.cfg" <<TXT
dicom = { aet = "HERE"; listen = ( "127.0.0.1:$port" ); };
plugins = ( { name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; } );
storage = { data = "$work/data"; };
TXT
"$hilumd" >"$work/out" 2>&1 &
server=$!
for _ in $(seq 300); do
    grep -q '^READY dicom=' "$work/out" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/out"; exit 1; }
    sleep 0.1
done
"$work/prefix/bin/hilum" --data "$work/data" status | tee "$work/status"
grep -q "HERE at 127.0.0.1:$port" "$work/status"
"$work/prefix/bin/hilum" --data "$work/data" plugin list | tail -n +2 >"$work/plugins"
[ "$(grep -c '^\(store-fs\|db-sqlite\|dicom-query\) .* running ' "$work/plugins")" -eq 3 ]
[ "$(grep -vc ' running ' "$work/plugins")" -eq 0 ]
# Every command of the server and every option is in the manual, with the same words.
"$work/prefix/bin/hilum" --data "$work/data" --json commands | python3 -c '
import json, sys
text = open(sys.argv[1]).read()
for c in json.load(sys.stdin)["commands"]:
    item = ".It Cm " + c["name"]
    after = [t for t in text.split(item)[1:] if t[0] in " \n"]
    line = after[0].split("\n")[0] if after else ""
    missing = [a["name"] for a in c.get("args", []) if a["name"].upper() not in line and "Fl -" + a["name"] not in line]
    if not after or after[0].split("\n")[1] != c["summary"] or missing:
        sys.exit("hilum.1: %s: not there, other words, or without %s" % (c["name"], missing))
' "$work/prefix/share/man/man1/hilum.1"
"$hilumd" --help | sed -n 's/^  --\([a-z-]*\) .*/\1/p' | while read -r option; do
    grep -q "Fl -$option" "$work/prefix/share/man/man8/hilumd.8" || { echo "hilumd.8: no --$option"; exit 1; }
done
echo "the manual has every command and option"
kill -TERM "$server"
wait "$server"
server=""
echo "site directory, storage.data, plugins and rules are found beside the program"
