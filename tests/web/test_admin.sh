#!/usr/bin/env bash
# Commands by HTTP and by `hilum --server`: the same answers and the same rights as on the socket; events and the log as
# they come; the description of all that.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

plugins='{ name = "auth-local"; required = true; }, { name = "web-admin"; required = true; }, { name = "web-shell"; },'
start_web 'unknown_clients = "refuse"; max_sign_in_failures = 100000;' '' "$plugins"
hilum=$build/bin/hilum
own() { "$hilum" --data "$work/server/data" "$@"; }
token() { own --json token create "$1" "$2" | $python -c 'import json,sys; print(json.load(sys.stdin)["token"])'; }
bearer=$(token boss administrator)
echo "$bearer" >"$work/token"
send_demo
ask() { status -H "Authorization: Bearer $bearer" "$@"; }

# ---- one answer
equal "nobody lists commands" 401 "$(status "$url/api/commands")"
equal "nobody runs one" 401 "$(status -X POST "$url/api/commands/status")"
equal "the list" 200 "$(ask "$url/api/commands")"
own --json commands >"$work/own"
check "is the socket's" $python -c 'import json,sys; a, b = (json.load(open(p)) for p in sys.argv[1:]); sys.exit(a != b)' "$work/own" "$work/body"
equal "a command" 200 "$(ask -X POST -d '{"name": "wang"}' "$url/api/commands/study/find")"
own --json study find wang >"$work/own"
check "answers as on the socket" $python -c 'import json,sys; a, b = (json.load(open(p)) for p in sys.argv[1:]); sys.exit(a != b["result"])' "$work/own" "$work/body"
equal "without a body" 200 "$(ask -X POST "$url/api/commands/status")"
equal "no such command" 404 "$(ask -X POST "$url/api/commands/nothing/here")"
equal "no such argument" 400 "$(ask -X POST -d '{"nam": "x"}' "$url/api/commands/study/find")"
check "is named" grep -q 'did you mean.*name' "$work/body"
equal "no JSON" 400 "$(ask -X POST -d '{' "$url/api/commands/study/find")"
equal "an argument twice" 400 "$(ask -X POST -d '{"name": "a", "name": "b"}' "$url/api/commands/study/find")"
equal "no object" 400 "$(ask -X POST -d '[]' "$url/api/commands/study/find")"
head -c 1200000 /dev/zero | tr '\0' ' ' >"$work/large"
equal "too large" 413 "$(ask -X POST --data-binary "@$work/large" "$url/api/commands/study/find")"
equal "GET runs nothing" 405 "$(ask "$url/api/commands/status")"

# ---- a session writes with its proof only
sign_up watcher auditor
csrf=$(curl -s -c "$work/jar" --data-urlencode user=watcher --data-urlencode "password=$password" "$url/auth/login" | sed 's/.*"csrf":"\([^"]*\)".*/\1/')
equal "a session without its proof" 403 "$(status -b "$work/jar" -X POST "$url/api/commands/status")"
equal "and with it" 200 "$(status -b "$work/jar" -H "X-Hilum-CSRF: $csrf" -X POST "$url/api/commands/status")"
equal "an auditor changes nothing" 403 "$(status -b "$work/jar" -H "X-Hilum-CSRF: $csrf" -X POST "$url/api/commands/config/reload")"

# ---- every command for every role: refused exactly where roles.tsv says so. An argument no command has keeps them from running
check "commands and roles" $python - "$hilum" "$work/server/data" "$url" "$root" <<'PY'
import http.client, json, subprocess, sys
hilum, data, url, root = sys.argv[1:]
rows = [line.rstrip("\n").split("\t") for line in open(root + "/tests/unit/access/roles.tsv") if not line.startswith("# What")]
roles, may = rows[0][1:], {row[0]: dict(zip(rows[0][1:], row[1:])) for row in rows[1:]}
def run(*words):
    return json.loads(subprocess.run([hilum, "--data", data, "--json", *words], capture_output=True, text=True, check=True).stdout)
commands = run("commands")["commands"]
c = http.client.HTTPConnection(url[7:], timeout=20)
wrong = []
for role in roles:
    headers = {"Authorization": "Bearer " + run("token", "create", "matrix", role)["token"]}
    for command in commands:
        c.request("POST", "/api/commands/" + command["name"].replace(" ", "/"), '{"no-such-argument": 1}', headers)
        answer = c.getresponse()
        answer.read()
        wanted = 400 if may[command["action"]][role] == "yes" else 403
        if answer.status != wanted:
            wrong.append(f"{role} {command['name']}: {answer.status}, not {wanted}")
print(len(roles) * len(commands), "pairs")
sys.exit("\n".join(wrong) or 0)
PY

# ---- lines as they come
ask -H 'Accept: application/x-ndjson' -X POST "$url/api/commands/status" >/dev/null
check "the view and the result" sh -c "head -1 '$work/body' | grep -q '^{\"view\":' && tail -1 '$work/body' | grep -q '^{\"result\":'"
ask -H 'Accept: application/x-ndjson' -X POST -d '{"study": "none"}' "$url/api/commands/study/explain" >/dev/null
check "an error as a line" grep -q '^{"error":{"code":"HILUM_E' "$work/body"
curl -sN -H "Authorization: Bearer $bearer" -H 'Accept: application/x-ndjson' -X POST -d '{"follow": true, "lines": 0}' "$url/api/commands/log" >"$work/follow" &
follower=$!
check "a line soon after it was written" await 10 sh -c "curl -s '$url/health' >/dev/null; grep -q 'GET /health' '$work/follow'"
kill "$follower"
equal "a command that never ends has no whole answer" 400 "$(ask -X POST -d '{"follow": "yes"}' "$url/api/commands/log")"

# ---- events and the log
listen() { curl -sN -H "Authorization: Bearer $bearer" "${@:2}" >"$work/$1" & pids+=($!); }
listen events "$url/api/events"
check "a stream of events begins" await 10 grep -q '^: still here' "$work/events"
printf '(0008,0016) UI =SecondaryCaptureImageStorage\n(0008,0018) UI [2.25.5551]\n(0020,000d) UI [2.25.5553]\n(0020,000e) UI [2.25.5552]\n(0008,0060) CS [OT]\n(0010,0010) PN [Secret^Name]\n(0010,0020) LO [EVENTS]\n' >"$work/new.dump"
dump2dcm -q "$work/new.dump" "$work/new.dcm" && storescu -q -aec HILUM 127.0.0.1 "$port" "$work/new.dcm"
check "a new study is told" await 10 grep -q 'data: {"StudyInstanceUID":"2.25.5553"' "$work/events"
check "without its patient" sh -c "! grep -q 'Secret\|EVENTS' '$work/events'"
last=$(sed -n 's/^id: //p' "$work/events" | tail -1)
listen again -H "Last-Event-ID: $((last + 0))" "$url/api/events"
listen lost -H 'Last-Event-ID: 999999999' "$url/api/events"
check "who has seen the last hears nothing of it" await 10 grep -q '^: still here' "$work/again"
check "nothing" sh -c "! grep -q 2.25.5553 '$work/again'"
check "who has seen what is not known is told" await 10 grep -q '^event: lost' "$work/lost"
check "and hears what is there" await 10 grep -q 2.25.5553 "$work/lost"
listen log -H 'Last-Event-ID: 1' "$url/api/log?level=info"
check "the log" await 10 grep -q '^event: log' "$work/log"
check "goes on after the line that was seen" sh -c "grep -q '^id: 2$' '$work/log' && ! grep -q '^id: 1$' '$work/log'"
equal "no such level" 400 "$(ask "$url/api/log?level=loud")"
equal "events are for who finds" 401 "$(status "$url/api/events")"

# ---- from another machine
remote() { "$hilum" --server "$url" --token-file "$work/token" "$@"; }
remote study find >"$work/remote" 2>&1
own study find >"$work/own"
check "hilum --server shows the same" cmp "$work/own" "$work/remote"
check "a command that streams" sh -c "'$hilum' --server '$url' --token-file '$work/token' log 3 | grep -c . | grep -qx 3"
remote study explain none >"$work/remote" 2>&1
equal "exit status of what failed" 1 "$?"
check "and why" grep -q 'none' "$work/remote"
remote study fin >/dev/null 2>&1
equal "exit status of no command" 2 "$?"
HILUM_TOKEN=wrong "$hilum" --server "$url" status >"$work/remote" 2>&1
equal "a token that is none" 1 "$?"
"$hilum" --server "$url" status >"$work/remote" 2>&1
check "no token" grep -q 'token create' "$work/remote"
"$hilum" --server http://192.0.2.1 --token-file "$work/token" status >"$work/remote" 2>&1
check "no token in the clear" grep -q 'https only' "$work/remote"

# ---- paths are of the machine hilum runs on, unless they say that they are the server's
mkdir "$work/cd" && (cd "$work/cd" && echo nothing >DICOMDIR && echo 'no DICOM' >notes.txt)
for i in 1 2; do
    printf '(0008,0016) UI =SecondaryCaptureImageStorage\n(0008,0018) UI [2.25.556%s]\n(0020,000d) UI [2.25.5569]\n(0020,000e) UI [2.25.5568]\n(0008,0060) CS [OT]\n(0010,0020) LO [FROM-AFAR]\n' $i >"$work/afar.dump"
    dump2dcm -q "$work/afar.dump" "$work/cd/$i.dcm"
done
(cd "$work" && remote --json import cd) >"$work/remote" 2>"$work/why"
equal "files of this machine are sent" 0 "$?"
check "all that are objects" grep -q '"stored":2,"refused":1,"skipped":1' "$work/remote"
check "what is none is told" grep -q 'cd/notes.txt: ' "$work/remote"
check "and are there" sh -c "'$hilum' --data '$work/server/data' --json study find --patient-id FROM-AFAR | grep -q 2.25.5569"
remote import "$work/nowhere" >"$work/remote" 2>&1
equal "a path that is not here" 1 "$?"
check "says how the server's is written" grep -q 'server:/path' "$work/remote"
token reader auditor >"$work/reader"
"$hilum" --server "$url" --token-file "$work/reader" import "$work/cd" >"$work/remote" 2>&1
equal "who may not store" 1 "$?"
check "hears why" grep -q 'not among the actions' "$work/remote"
remote export 2.25.5569 "$work/out" >"$work/remote" 2>&1
equal "an export here" 2 "$?"
check "would be one there" grep -q "would be a path of the server.*server:/path" "$work/remote"
check "and is nowhere" [ ! -e "$work/out" ]
remote export 2.25.5569 "server:$work/out" >"$work/remote" 2>&1
equal "an export there" 0 "$?"
check "is written by the server" [ -e "$work/out/000002.dcm" ]
remote --json import "server:$work/out" >"$work/remote" 2>&1
check "an import there" grep -q '"duplicates":2' "$work/remote"
own study find >"$work/own"

# ---- what is served is described
modules=$("$root/tests/web/openapi/install.sh") || skip "$modules"
equal "the description" 200 "$(ask "$url/api/openapi.json")"
cp "$work/body" "$work/openapi.json"
check "is OpenAPI 3.1" node "$modules/judge.mjs" "$work/openapi.json"
check "of every route and command" $python - "$work/openapi.json" "$root/tests/web/routes.tsv" "$hilum" "$work/server/data" <<'PY'
import json, re, subprocess, sys
document, table, hilum, data = sys.argv[1:]
paths = json.load(open(document))["paths"]
commands = json.loads(subprocess.run([hilum, "--data", data, "--json", "commands"], capture_output=True, text=True).stdout)["commands"]
wrong = [c["name"] for c in commands if "post" not in paths.get("/api/commands/" + c["name"].replace(" ", "/"), {})]
for line in open(table):
    if line.startswith("#") or "\t/ohif/" in line or "\t/api/commands/" in line:
        continue
    method, path, action = line.rstrip("\n").split("\t")
    fits = [p for p in paths if re.fullmatch(re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(p)), path) and method.lower() in paths[p]]
    told = [paths[p][method.lower()] for p in fits]
    if not any(t.get("x-permission", "-" if t.get("security") == [] else "+") == action for t in told):
        wrong.append(line)
sys.exit("\n".join(wrong) or 0)
PY
check "with media types that can be had, and no others" $python - "$work/openapi.json" "$url" "$bearer" <<'PY'
import json, sys, urllib.error, urllib.request
document, url, bearer = sys.argv[1:]
paths = json.load(open(document))["paths"]
def ask(path, accept):
    try:
        with urllib.request.urlopen(urllib.request.Request(url + path, headers={"Accept": accept, "Authorization": "Bearer " + bearer})) as answer:
            return answer.status, answer.headers["Content-Type"] or "", answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"] or "", b""
_, _, body = ask("/dicom-web/instances?Modality=CT&limit=1", "application/dicom+json")
names = {name: json.loads(body)[0][tag]["Value"][0] for name, tag in (("study", "0020000D"), ("series", "0020000E"), ("instance", "00080018"))}
names |= {"frames": "1", "path": "7FE00010"}
wrong, n = [], 0
for path in paths:
    told = paths[path].get("get")
    if not path.startswith("/dicom-web") or not told:
        continue
    types = told["responses"]["200"].get("content", {})
    here = path.format(**names) + ("?viewport=16,16" if path.endswith("rendered") else "")
    if not types or ask(here, "application/x-nothing")[0] != 406:
        wrong.append(f"{path}: gives what is not told")
    for wanted in types:
        status, given, _ = ask(here, wanted)
        n += 1
        is_other = wanted == "video/mp4" or wanted.startswith("text/") # of one object where there is ffmpeg; of reports
        if not is_other and (status not in (200, 204) or given and not given.startswith(wanted)):
            wrong.append(f"{path} {wanted}: {status} {given}")
print(n, "types")
sys.exit("\n".join(wrong) or (0 if n > 30 else "too few"))
PY
check "it stops, with clients that listen" stop_server

# ---- TLS: verified, always
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=hilum.test -addext 'subjectAltName=IP:127.0.0.1' -days 2 -keyout "$work/tls.key" -out "$work/tls.pem" 2>/dev/null
listen='listen = "tls:127.0.0.1:0";'
start_web "certificate = \"$work/tls.pem\"; key = \"$work/tls.key\";" '' "$plugins"
remote status >"$work/remote" 2>&1
equal "a stranger's certificate" 3 "$?"
check "is not trusted" grep -q 'not trusted' "$work/remote"
remote --ca "$work/tls.pem" study find >"$work/remote" 2>&1
check "its authority is known" cmp "$work/own" "$work/remote"
url=${url/127.0.0.1/localhost}
remote --ca "$work/tls.pem" status >"$work/remote" 2>&1
check "of another name" grep -q 'not trusted' "$work/remote"
check "it stops" stop_server
report
