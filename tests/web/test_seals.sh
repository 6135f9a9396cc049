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
check "they are signed" sh -c "'$build/bin/hilum' --data '$work/server/data' --json audit verify | grep -Eq '\"signed\":[1-9]'"
equal "the key is the server's alone" 600 "$(stat -c %a "$work/server/data/audit.key")"

# A file that is checked without the server.
key=$(hilum audit key | sed 's/.*"key":"\([0-9a-f]*\)".*/\1/')
check "exported" hilum audit export "$work/record.jsonl"
check "never over a file that is there" sh -c "! '$build/bin/hilum' --data '$work/server/data' audit export '$work/record.jsonl' 2>/dev/null"
equal "for one reader" 600 "$(stat -c %a "$work/record.jsonl")"
judge() { "$build/bin/hilum-audit-verify" "$@" >"$work/judged" 2>&1; }
refused() { ! judge "$@" && grep -q "$work" "$work/judged"; }
check "holds against the key" judge "$work/record.jsonl" "$key"
check "holds against itself" judge "$work/record.jsonl"
check "not against another key" refused "$work/record.jsonl" "${key%?}0${key#????????????????????????????????????????????????????????????????}"
sed '3s/"action":"/"action":"x/' "$work/record.jsonl" >"$work/edited"
check "an edited row" refused "$work/edited" "$key"
sed '3s/"action":"[^"]*/&\\u0000 and more/' "$work/record.jsonl" >"$work/edited"
check "nothing behind a text" refused "$work/edited" "$key"
sed '3s/$/\x00{"row":9999,"what":"another row"}/' "$work/record.jsonl" >"$work/edited"
check "nothing behind a row" refused "$work/edited" "$key"
sed '3s/}$/,"note":"it was not so"}/' "$work/record.jsonl" >"$work/edited"
check "nothing beside what is sealed" refused "$work/edited" "$key"
sed '3d' "$work/record.jsonl" >"$work/without"
check "a row taken out" refused "$work/without" "$key"
sed '$d' "$work/record.jsonl" >"$work/short"
check "a file cut short" refused "$work/short" "$key"
grep -v '"seal"' "$work/record.jsonl" >"$work/unsealed"
check "a file without seals" refused "$work/unsealed" "$key"
$python - "$work/record.jsonl" "$work/forged" <<'PY'
import hashlib, json, struct, sys
lines = [json.loads(line) for line in open(sys.argv[1])]
def text(t): return struct.pack(">Q", 2**64 - 1) if t is None else struct.pack(">Q", len(t.encode())) + t.encode()
rows, head, out = [], "", [lines[0]]
for line in lines[1:]:  # every digest made anew, as whoever has no key can
    if "seal" in line:
        head = hashlib.sha256(text(head) + b"".join(struct.pack(">QQ", r["row"], r["at_us"]) + b"".join(text(r.get(k)) for k in ("who", "action", "what", "before", "after")) for r in rows)).hexdigest()
        assert out[0].get("edited") or head == line["seal"]["head"]  # the digest is as chain.h says
        line["seal"]["head"], rows = head, []
    else:
        rows.append(line)
    if line.get("action") == "query" and not out[0].get("edited"):
        line["who"] = out[0]["edited"] = "somebody else"
    out.append(line)
out[0].pop("edited")
open(sys.argv[2], "w").write("".join(json.dumps(line) + "\n" for line in out))
PY
check "seals made by another hand" refused "$work/forged" "$key"
check "also without a key to compare" refused "$work/forged"
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

# Pruned by age: sealed rows only, and the rest still holds.
cp "$work/before.db" "$work/server/data/catalog.db"
rm -f "$work"/server/data/catalog.db-*
start_web '' "audit = { seals = \"$seals\"; seal_every = \"1s\"; keep = \"2s\"; };"
pruned() { hilum audit verify 2>/dev/null | grep -Eq '"pruned_to":[1-9]'; }
check "old rows go" await 15 pruned
check "what says so stays" sh -c "'$build/bin/hilum' --data '$work/server/data' --json audit find --action audit.prune | grep -q '\"head\"'"
check "and what is left is verified" hilum audit verify
check "and exported" hilum audit export "$work/rest.jsonl"
check "and holds" judge "$work/rest.jsonl" "$key"
check "from where it begins" grep -q '"before":{' "$work/rest.jsonl"
stop_server
rewrite "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT 1)"
start_web '' "audit = { seals = \"$seals\"; seal_every = \"1h\"; };"
check "a row that went without a word is noticed" sh -c "! '$build/bin/hilum' --data '$work/server/data' audit verify 2>/dev/null"
check "it stops" stop_server
report
