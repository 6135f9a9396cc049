# For the shell tests of this folder: a server in a fresh directory on a free port, checks, a last line.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
set -u

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
[ -x "$build/bin/hilumd" ] || build=$root/build/dev
work=$(mktemp -d "${TMPDIR:-/tmp}/hilum-dicom-XXXXXX")
passed=0 failed=0 pids=()

skip() {
    echo "SKIP: $*"
    rm -rf "$work"
    exit 77
}

[ -x "$build/bin/hilumd" ] || skip "hilumd is not built ($build)"
for tool in echoscu storescu dcmsend findscu movescu getscu storescp dcmdump; do
    command -v $tool >/dev/null || skip "$tool is not installed (dcmtk)"
done

# Debian's own interpreter has Debian's modules.
python=python3
[ -x /usr/bin/python3 ] && python=/usr/bin/python3

finish() {
    for pid in "${pids[@]:-}"; do
        [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    [ -n "${KEEP:-}" ] && echo "kept $work" || rm -rf "$work"
}
trap finish EXIT

free_port() {
    $python "$root/tests/lib/free_port.py"
}

# await SECONDS COMMAND...: until the command succeeds.
await() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.05
    done
}

# start_server SITE_TEXT: the text is the site's configuration, __PORT__ in it the free port; sets $port, $server.
start_server() {
    local dir=$work/server
    mkdir -p "$dir/site" "$dir/data"
    port=$(free_port)
    printf 'dicom = { listen = ( "127.0.0.1:%s" ); };\n' "$port" >"$dir/site/00-port.cfg"
    printf '%s\n' "${1//__PORT__/$port}" >"$dir/site/10-test.cfg"
    : >"$dir/out" # the READY of a server before this one is no answer
    # shellcheck disable=SC2086
    ${HILUM_WRAP:-} "$build/bin/hilumd" --config "$root/etc/hilum.cfg" --conf-dir "$root/etc/conf.d" --site "$dir/site" \
        --data "$dir/data" --plugin-dir "$build/lib/hilum/plugins" --rules-dir "$root/scripts/core" \
        >"$dir/out" 2>"$dir/log" &
    server=$!
    pids+=("$server")
    if ! await 30 server_is_ready "$dir"; then
        echo "the server did not become ready:"
        tail -n 20 "$dir/log"; tail -n 5 "$dir/out"
        exit 1
    fi
}

server_is_ready() {
    grep -q '^READY' "$1/out" || ! kill -0 "$server" 2>/dev/null
    grep -q '^READY' "$1/out"
}

stop_server() {
    kill "$server" && wait "$server"
}

# start_receiver DIR PORT AET [options]: a storescp that keeps what it gets.
start_receiver() {
    local dir=$1 at=$2 aet=$3
    shift 3
    mkdir -p "$dir"
    storescp --fork +xa -aet "$aet" -od "$dir" +uf "$@" "$at" >"$dir.log" 2>&1 &
    pids+=("$!")
    await 20 $python -c "import socket; socket.create_connection(('127.0.0.1', $at), 1)" 2>/dev/null && kill -0 "${pids[-1]}" ||
        bad "storescp $aet does not listen on $at: $(tail -n 1 "$dir.log")"
}

ok() {
    passed=$((passed + 1))
}
bad() {
    failed=$((failed + 1))
    echo "FAILED: $*"
}
# check WHAT COMMAND...
check() {
    local what=$1
    shift
    if "$@"; then ok; else bad "$what"; fi
}
# equal WHAT EXPECTED FOUND
equal() {
    if [ "$2" = "$3" ]; then ok; else bad "$1: expected \"$2\", found \"$3\""; fi
}

# The data set of a Part 10 file, without preamble and file meta information.
dataset() {
    $python - "$1" <<'PY'
import struct, sys
data = open(sys.argv[1], "rb").read()
assert data[128:132] == b"DICM"
length = struct.unpack("<I", data[140:144])[0]
sys.stdout.buffer.write(data[144 + length:])
PY
}
same_dataset() {
    cmp -s <(dataset "$1") <(dataset "$2")
}

report() {
    echo "$passed passed, $failed failed, 0 skipped"
    [ "$failed" -eq 0 ]
}
