#!/usr/bin/env bash
# A decoder that hangs, falls, leaks and lies, in its workers under a whole server: what needs the frame ends in time with its
# reason, others look at other pictures meanwhile, and the next frame finds a new worker.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
hostile=$build/tests/unit/isolation/plugins/hostile-rle.so
[ -e "$hostile" ] || skip "the tests' plugins are not built"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"
grep -q . /sys/kernel/security/lsm 2>/dev/null && ! grep -q landlock /sys/kernel/security/lsm && skip "this kernel has no Landlock"

# serve CRASHES
serve() {
    rm -f "$work/server/out"
    start_web "" "" "{ name = \"codec-rle\"; enabled = false; },
    { name = \"hostile-rle\"; file = \"$hostile\"; allow_preview = true; isolation = \"process\";
      limits = { crashes = $1; deadline = \"2s\"; workers = 2; memory = \"256MiB\"; }; },"
}
hilum() { "$build/bin/hilum" --data "$work/server/data" "$@"; }
frame() { status -H 'Accept: application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1' \
    "$url/dicom-web/studies/2.25.81$1/series/2.25.82$1/instances/2.25.83$1/frames/1"; }

serve 100
check "every harm costs its own frame" $python "$root/tests/web/hostile_codec.py" "$url" "$port" "$work"
hilum plugin list hostile-rle --json >"$work/hostile.json"
check "its workers were replaced" $python -c 'import json,sys; p = json.load(open(sys.argv[1])); sys.exit(not (p["state"] == "running" and p["crashes"] >= 4))' "$work/hostile.json"
check "an orderly end" stop_server

# One that breaks again and again is in quarantine, and who needs it is told what a person has to do.
serve 2
frame 11 >/dev/null && frame 11 >/dev/null
for _ in 1 2 3; do code=$(frame 1); done
equal "in quarantine" 406 "$code"
check "says what to do" grep -q 'plugin enable hostile-rle' "$work/body"
equal "pictures" 501 "$(status "$url/dicom-web/studies/2.25.811/rendered")"
check "says it too" grep -q 'plugin enable hostile-rle' "$work/body" || cat "$work/body"
check "enabled by hand" hilum plugin enable hostile-rle >/dev/null
equal "it works again" 200 "$(frame 1)"
check "an orderly end" stop_server
report
