#!/usr/bin/env bash
# What is made for a client ends soon after the client has left, and not before; what others wait for goes on.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
hostile=$build/tests/unit/isolation/plugins/hostile-rle.so
[ -e "$hostile" ] || skip "the tests' plugins are not built"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
grep -q . /sys/kernel/security/lsm 2>/dev/null && ! grep -q landlock /sys/kernel/security/lsm && skip "this kernel has no Landlock"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=left 2>/dev/null
listen='listen = "127.0.0.1:0, tls:127.0.0.1:0";'
start_web "unknown_clients = \"accept\"; certificate = \"$work/cert.pem\"; key = \"$work/key.pem\";" "" "{ name = \"codec-rle\"; enabled = false; },
    { name = \"hostile-rle\"; file = \"$hostile\"; allow_preview = true; isolation = \"process\";
      limits = { deadline = \"100s\"; workers = 2; }; },"
check "work for nobody ends" $python "$root/tests/web/left.py" "$url" "$work/server/data" "$work" "$server"
"$build/bin/hilum" --data "$work/server/data" plugin list hostile-rle --json >"$work/hostile.json"
check "its worker is not to blame" grep -q '"crashes": *0' "$work/hostile.json"
check "an orderly end" stop_server
report
