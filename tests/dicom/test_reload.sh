#!/usr/bin/env bash
# Reloads by signal and by command at once: one after the other, nothing is lost of what runs, nothing piles up.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mkdir -p "$work/server/site/rules"
cat >"$work/server/site/rules/a.lua" <<'LUA'
hilum.on { event = "query.received", phase = "filter", name = "site/no", where = "PatientName=*",
  run = function(ev) return hilum.reject("too broad") end }
LUA
start_server "dicom = { unknown_peers = \"accept\"; }; log = { file = \"$work/hilum.log\"; };"
hilum() { "$build/bin/hilum" --data "$work/server/data" --json "$@"; }
descriptors() { ls "/proc/$server/fd" | wc -l; }
reload() { hilum config reload | grep -q '"reloaded":true'; }
check "a reload" reload
before=$(descriptors)
reloads=()
for _ in 1 2 3 4 5 6 7 8; do
    (reload && reload && reload) &
    reloads+=("$!")
    kill -HUP "$server"
done
for pid in "${reloads[@]}"; do check "reloads at once" wait "$pid"; done
settled() { [ "$(descriptors)" -le "$((before + 1))" ]; }
check "no descriptor is left behind ($before before, $(descriptors) after)" await 10 settled
ask() { findscu -d -S -aec HILUM 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k "PatientName=*" -k StudyInstanceUID 2>&1 | grep -q 'DIMSE Status *: 0x0124'; }
check "the rule is in force" ask
check "the log goes on" grep -q 'rules and' "$work/hilum.log"
check "it stops" stop_server
report
