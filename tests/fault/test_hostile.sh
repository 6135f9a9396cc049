#!/usr/bin/env bash
# Objects arrive while a codec in workers does every harm there is, in the way of each C-STORE: no association fails, every
# good call is answered, the server and its plugins go on; then plugins are replaced, switched off and quarantined by hand.
# Run by root, all of it is done once more as a user without rights. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
hostile=$build/tests/unit/isolation/plugins versions=$build/tests/unit/plugin/plugins
[ -e "$hostile/hostile-late-hook.so" ] || skip "the tests' plugins are not built"
grep -q . /sys/kernel/security/lsm 2>/dev/null && ! grep -q landlock /sys/kernel/security/lsm && skip "this kernel has no Landlock"

start_server "dicom = { aet = \"HILUM\"; unknown_peers = \"accept\"; };
plugins = (
  { name = \"hostile\"; file = \"$hostile/hostile.so\"; allow_preview = true; isolation = \"process\";
    limits = { crashes = 100; deadline = \"1s\"; workers = 3; }; },
  { name = \"hostile-late-hook\"; file = \"$hostile/hostile-late-hook.so\"; allow_preview = true; isolation = \"process\"; },
  { name = \"hostile-fini-hook\"; file = \"$hostile/hostile-fini-hook.so\"; allow_preview = true; isolation = \"process\"; },
  { name = \"hostile-caller\"; file = \"$hostile/hostile-caller.so\"; trust = \"in-process\"; },
  { name = \"versioned\"; file = \"$versions/version-one.so\"; trust = \"in-process\"; } );"
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
$python "$root/tests/dicom/make_find_data.py" "$work/data"
n=$(find "$work/data" -type f | wc -l)

# ---- harm
hilum plugin disable versioned >/dev/null # its hook would hold every object
senders=()
for i in 1 2 3; do
    dcmsend -aec HILUM +sd +r --no-halt +crf "$work/report$i" 127.0.0.1 "$port" "$work/data" >/dev/null 2>&1 &
    senders+=($!)
done
# A thread that goes on to call the host after fini, and an abort in fini: in the worker each of them ends in.
check "a plugin that calls after fini is drained" hilum plugin drain hostile-late-hook >"$work/answer"
check "a plugin that aborts in fini is drained" hilum plugin drain hostile-fini-hook >"$work/answer"
for sender in "${senders[@]}"; do
    check "an association under harm" wait "$sender"
done
refused() { cat "$work"/report? | grep -c 'DIMSE status *: *0x[^0]'; }
check "no object is refused" [ "$(refused)" = 0 ]
check "objects were sent" [ "$n" -ge 15 ]
counts=$(hilum hostile counts --json)
check "every good call was answered" grep -q '"wrong": *0' <<<"$counts"
check "harm was done" $python -c 'import json,sys; c = json.loads(sys.argv[1]); sys.exit(not (c["lost"] >= 10 and c["good"] >= 10))' "$counts"
hilum plugin list hostile --json >"$work/hostile.json"
check "crashes are counted" $python -c 'import json,sys; sys.exit(not json.load(open(sys.argv[1]))["crashes"] >= 5)' "$work/hostile.json"
check "crashes are events" grep -q 'crashed: in a call its worker ended by \(signal 11\|itself with status\)' "$work/server/log"
check "the server answers" echoscu -aec HILUM 127.0.0.1 "$port"

# ---- by hand
state() { hilum plugin list versioned --json | $python -c 'import json,sys; p = json.load(sys.stdin); print(p["state"], p["version"])'; }
check "disabled" [ "$(state)" = "disabled one" ]
check "a command of a disabled plugin says so" grep -q 'plugin enable versioned' <<<"$(hilum versioned ask 2>&1)"
check "enabled" hilum plugin enable versioned >"$work/answer"
check "its command answers" [ "$(hilum versioned ask)" = 1 ]
check "swapped" hilum plugin swap versioned --file "$versions/version-two.so" >"$work/answer"
check "the new version answers" [ "$(hilum versioned ask)" = 2 ]
check "a version that cannot start changes nothing" grep -q 'no init today' <<<"$(hilum plugin swap versioned --file "$versions/version-failing.so" 2>&1)"
check "the new version still answers" [ "$(hilum versioned ask)" = 2 ]
check "drained" hilum plugin drain versioned >"$work/answer"
check "nobody answers" [ "$(state)" = "stopped two" ]
check "loaded again, as configured" hilum plugin load versioned >"$work/answer"
check "the configured version answers" [ "$(hilum versioned ask)" = 1 ]
check "the store is not taken away" grep -q 'required' <<<"$(hilum plugin disable store-fs 2>&1)"
stop_server
check "an orderly end" [ $? = 0 ]
check "no worker is left" sh -c '! pgrep -P '"$server"' hilum-worker'

# ---- and as a user
nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
if [ "$(id -u)" -eq 0 ] && [ -z "${HILUM_WRAP:-}" ] && command -v setpriv >/dev/null && "${nobody[@]}" test -x "$build/bin/hilumd"; then
    check "as a user without rights" "${nobody[@]}" env -C / TMPDIR=/tmp HILUM_BUILD="$build" bash "$(realpath "$0")"
fi
report
