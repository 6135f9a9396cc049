#!/usr/bin/env bash
# The audit record and its seals: found, verified, and noticed when somebody rewrites it in the database.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

seals=$work/elsewhere.jsonl
site="audit = { seals = \"$seals\"; seal_every = \"1s\"; };"
start_web '' "$site"
send_demo
hilum() { "$build/bin/hilum" --data "$work/server/data" --json "$@"; }
status "$url/dicom-web/studies?PatientID=DEMO-0001" >/dev/null
found() { hilum audit find --action query | grep -q QIDO-RS; }
check "a search is found" await 5 found
check "with who asked" sh -c "'$build/bin/hilum' --data '$work/server/data' --json audit find --who 'unknown peer' --limit 1 | grep -q '\"action\"'"
sealed() { [ -s "$seals" ] && grep -q "$(tail -1 "$seals" | sed 's/.*"head":"\([0-9a-f]*\)".*/\1/')" "$work/server/log"; }
check "rows are sealed, in a file and in the log" await 8 sealed
check "and verified" hilum audit verify
cp "$seals" "$work/copy"
printf '{"at":"2026' >>"$seals" # as a full disk leaves it
status "$url/dicom-web/studies" >/dev/null
grown() { [ "$(wc -l <"$seals")" -gt "$(wc -l <"$work/copy")" ]; }
check "what comes later is sealed over it" await 8 grown
check "and verified" hilum audit verify
stop_server

rewrite() { # SQL
    $python - "$work/server/data/catalog.db" "$1" <<'PY'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").fetchall():
    db.execute(f"DROP TRIGGER {name}")
db.execute(sys.argv[2])
db.commit()
PY
}
cp "$work/server/data/catalog.db" "$work/before.db"
rewrite "UPDATE audit SET who = 'somebody else' WHERE id = (SELECT min(id) FROM audit WHERE action = 'instance.store')"
start_web '' "$site"
check "a row that was changed is noticed" sh -c "! '$build/bin/hilum' --data '$work/server/data' audit verify 2>'$work/why' && grep -q 'are not what was sealed' '$work/why'"
check "also by the copy kept elsewhere" sh -c "! '$build/bin/hilum' --data '$work/server/data' audit verify --seals '$work/copy' 2>/dev/null"
stop_server
cp "$work/before.db" "$work/server/data/catalog.db"
rm -f "$work"/server/data/catalog.db-*
rewrite "DELETE FROM audit WHERE id = (SELECT max(id) - 3 FROM audit)"
start_web '' "$site"
check "a row that was taken out is noticed" sh -c "! '$build/bin/hilum' --data '$work/server/data' audit verify 2>/dev/null"
check "it stops" stop_server
report
