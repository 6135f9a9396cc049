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

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
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
"$work/prefix/bin/hilum" --data "$work/data" plugin list >"$work/plugins"
[ "$(grep -c running "$work/plugins")" -ge 3 ] && ! grep -E "skipped|stopped" "$work/plugins"
kill -TERM "$server"
wait "$server"
server=""
echo "site directory, storage.data, plugins and rules are found beside the program"
