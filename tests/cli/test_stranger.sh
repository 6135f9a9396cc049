#!/usr/bin/env bash
# What goes wrong on the first day: each refusal of scripts/run.sh says what, where and what to do. SPDX-License-Identifier: Apache-2.0
set -uo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
[ -x "$root/build/release/bin/hilumd" ] || { echo "SKIP: build/release is not built"; exit 77; }
work=$(mktemp -d)
passed=0 failed=0
chmod 755 "$work"
trap 'mountpoint -q "$work/full" && umount "$work/full"; rm -rf "$work"; kill "${holder:-}" 2>/dev/null' EXIT
# says EXIT PATTERN COMMAND...: the exit status, one line that has the pattern, and no noise of the shell's
says() {
    local code=$1 pattern=$2 found
    shift 2
    found=$(timeout 60 "$@" 2>&1)
    local status=$?
    if [ $status -eq "$code" ] && grep -q -- "$pattern" <<<"$found" && ! grep -q 'line [0-9]*:' <<<"$found"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        printf 'FAILED: %s: exit %s, expected %s with "%s":\n%s\n' "$*" $status "$code" "$pattern" "$found"
    fi
}
run=$root/scripts/run.sh
says 2 'unknown option --frobnicate' "$run" --frobnicate
says 2 'dicom-port 70000: expected a number from 0 to 65535' "$run" --dicom-port 70000
says 2 'no such directory' "$run" --site "$work/nowhere"
touch "$work/file"
says 1 'cannot be made: File exists; name a directory' "$run" --data "$work/file"

$(command -v python3) -c 'import socket, time; s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); print(s.getsockname()[1], flush=True); time.sleep(100)' >"$work/port" &
holder=$!
until [ -s "$work/port" ]; do sleep 0.05; done
says 1 'Address already in use (dicom.listen; `ss -ltnp` tells' "$run" --data "$work/a" --no-demo --dicom-port "$(cat "$work/port")"
says 1 'Address already in use (listen of plugin http; `ss -ltnp` tells' "$run" --data "$work/a" --no-demo --dicom-port 0 --http-port "$(cat "$work/port")"

mkdir -p "$work/site/rules"
printf 'dicom = { aett = "X"; listen = ( "127.0.0.1:0" ); };\n' >"$work/site/a.cfg"
says 1 'a.cfg:1: dicom.aett: expected a known key, found "aett"; did you mean "aet"?' "$run" --data "$work/a" --site "$work/site"
printf 'dicom = { aet = "X" listen\n' >"$work/site/a.cfg"
says 1 'a.cfg:2: syntax: expected `key = value;`, found something else here or at the end' "$run" --data "$work/a" --site "$work/site"
# A file that Lua cannot read hides the faults of no other: neither of rules nor of routes.
cat >"$work/site/a.cfg" <<'CFG'
peers = ( { name = "A"; aet = "A"; host = "127.0.0.1"; } );
routes = ( { name = "x"; where = "Modalty=CT"; send = ( "A" ); } );
CFG
echo 'hilum.on { event = "instance.stord", name = "site/x", run = function(ev) end }' >"$work/site/rules/a.lua"
echo 'if then' >"$work/site/rules/b.lua"
check() {
    "$root/build/release/bin/hilumd" --check --config "$root/etc/hilum.cfg" --conf-dir "$root/etc/conf.d" --site "$work/site" --data "$work/a" \
        --plugin-dir "$root/build/release/lib/hilum/plugins" --rules-dir "$root/scripts/core" 2>&1
}
for part in 'a.cfg:2: .*"Modalty"' 'a.lua:1: .*did you mean "instance.stored"' "b.lua:1: unexpected symbol"; do
    found=$(check)
    if grep -q "$part" <<<"$found"; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED: --check does not say $part: $found"; fi
done

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
    as_nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    "${as_nobody[@]}" test -x "$root/build/release/bin/hilumd" 2>/dev/null && {
        mkdir "$work/own" && chown 65534 "$work/own"
        says 1 'cannot be made: Permission denied; name a directory that nobody may write to' "${as_nobody[@]}" "$run" --data "$work/not"
        touch "$work/a/hilumd.lock" && chmod 600 "$work/a/hilumd.lock"
        says 1 'of another user or read-only: Permission denied' "${as_nobody[@]}" "$run" --data "$work/a"
        [ -w /proc/sys/net/ipv4/ip_unprivileged_port_start ] && [ "$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start)" -gt 104 ] &&
            says 1 'ports below 1024 need root or CAP_NET_BIND_SERVICE' "${as_nobody[@]}" "$run" --data "$work/own/data" --no-demo --dicom-port 104
    }
fi
mkdir "$work/full"
if mount -t tmpfs -o size=64k none "$work/full" 2>/dev/null; then
    dd if=/dev/zero of="$work/full/x" bs=1k count=64 2>/dev/null
    says 1 'cannot be written: No space left on device; name a directory' "$run" --data "$work/full/data" --no-demo
    mount -o remount,ro,size=64k "$work/full"
    says 1 'Read-only file system' "$run" --data "$work/full/other" --no-demo
fi

# SIGTERM while the demo is being sent: drained, exit 0, and the next start has a whole demo.
: >"$work/out"
"$run" --data "$work/b" --dicom-port 0 >"$work/out" 2>&1 &
server=$!
until grep -q 'info' "$work/out" || ! kill -0 $server 2>/dev/null; do sleep 0.02; done
kill -TERM $server
if wait $server; then passed=$((passed + 1)); else failed=$((failed + 1)) && cat "$work/out"; fi
: >"$work/out"
"$run" --data "$work/b" --dicom-port 0 >"$work/out" 2>&1 &
server=$!
until grep -q '^READY' "$work/out" || ! kill -0 $server 2>/dev/null; do sleep 0.02; done
[ "$("$root/build/release/bin/hilum" --data "$work/b" --json study find | grep -o StudyInstanceUID | wc -l)" -eq 3 ] &&
    passed=$((passed + 1)) || { failed=$((failed + 1)) && cat "$work/out"; }
kill -TERM $server && wait $server
echo "$passed passed, $failed failed, 0 skipped"
[ $failed -eq 0 ]
