#!/usr/bin/env bash
# The Grafana dashboard asks for numbers that a server has, and its panels lie beside each other.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web 'unknown_clients = "refuse";' '' '{ name = "auth-local"; required = true; },'
bearer=$("$build/bin/hilum" --data "$work/server/data" --json token create prometheus it status | $python -c 'import json,sys; print(json.load(sys.stdin)["token"])')
status -H "Authorization: Bearer $bearer" "$url/metrics" >/dev/null # so that a route has been asked
equal "what its README tells is enough" 200 "$(status -H "Authorization: Bearer $bearer" "$url/metrics")"
check "every number is there" $python - "$root/etc/grafana/hilum.json" "$work/body" <<'PY'
import json, re, sys
board = json.load(open(sys.argv[1]))
known = {line.split("{")[0].split(" ")[0] for line in open(sys.argv[2]) if not line.startswith("#")}
asked = [t["expr"] for p in board["panels"] for t in p.get("targets", [])] + [v["query"]["query"] for v in board["templating"]["list"] if v["type"] == "query"]
names = {name for text in asked for name in re.findall(r"\bhilum_\w+", text)}
print(len(names), "numbers in", len(board["panels"]), "panels")
taken = set()
for p in board["panels"]:
    g = p["gridPos"]
    cells = {(x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])}
    if cells & taken or g["x"] + g["w"] > 24:
        sys.exit(f"{p['title']} lies on another panel")
    taken |= cells
if len({p["id"] for p in board["panels"]}) != len(board["panels"]) or len(names) < 20:
    sys.exit("panels share a number, or hardly anything is asked")
sys.exit(" ".join(sorted(names - known)) or 0)
PY
check "it stops" stop_server
report
