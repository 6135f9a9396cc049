#!/usr/bin/env bash
# Every route of routes.tsv for every shipped role, by token, and for nobody: refused exactly where roles.tsv says so.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web 'unknown_clients = "refuse"; max_sign_in_failures = 100000;' '' '{ name = "auth-local"; required = true; }, { name = "web-shell"; }, { name = "viewer-ohif"; }, { name = "web-admin"; },'
check "the tables agree" $python - "$build/bin/hilum" "$work/server/data" "$url" "$root" <<'PY'
import http.client, json, subprocess, sys
hilum, data, url, root = sys.argv[1:]
rows = [line.rstrip("\n").split("\t") for line in open(root + "/tests/unit/access/roles.tsv") if not line.startswith("# What")]
roles = rows[0][1:]
may = {row[0]: dict(zip(roles, row[1:])) for row in rows[1:]}
routes = [line.rstrip("\n").split("\t") for line in open(root + "/tests/web/routes.tsv") if not line.startswith("#")]
host, port = url[7:].split(":")
wrong = []

def ask(method, path, headers):
    c = http.client.HTTPConnection(host, int(port), timeout=20)
    c.request(method, path, headers=headers)
    answer = c.getresponse()
    if answer.getheader("Content-Type") != "text/event-stream":
        answer.read()
    c.close()
    return answer.status

for method, path, action in routes:
    if (ask(method, path, {}) == 401) != (action != "-"):
        wrong.append(f"nobody {method} {path}")
for role in roles:
    out = subprocess.run([hilum, "--data", data, "--json", "token", "create", "matrix", role], capture_output=True, text=True, check=True)
    bearer = {"Authorization": "Bearer " + json.loads(out.stdout)["token"]}
    for method, path, action in routes:
        status = ask(method, path, bearer)
        is_allowed = action in "-+" or may[action][role] == "yes"
        if (status in (401, 403)) == is_allowed:
            wrong.append(f"{role} {method} {path}: {status}")
print(len(roles) * len(routes), "pairs")
sys.exit("\n".join(wrong) if wrong else 0)
PY
# No route is missing from the table: what the service says of itself.
bearer=$("$build/bin/hilum" --data "$work/server/data" --json token create all administrator | $python -c 'import json,sys; print(json.load(sys.stdin)["token"])')
status -H "Authorization: Bearer $bearer" "$url/dicom-web" >/dev/null
check "no route is left out" $python - "$work/body" "$root/tests/web/routes.tsv" <<'PY'
import re, sys
told = re.findall(r'<resource path="([^"]*)"><method name="(\w+)', open(sys.argv[1]).read())
table = {(line.split("\t")[0], line.split("\t")[1]) for line in open(sys.argv[2]) if not line.startswith("#")}
def is_in(path, method):
    pattern = re.compile("/dicom-web/" + re.sub(r"\\\{[^}]*\\\}", ".+", re.escape(path)) + "$")
    return any(m == method and pattern.match(p) for m, p in table)
sys.exit("\n".join(f"{m} {p}" for p, m in told if not is_in(p, m)) or 0)
PY

# TLS: passwords from anywhere, the cookie for TLS only, a certificate that changes.
stop_server
for name in one two; do
    openssl req -x509 -newkey rsa:2048 -nodes -subj "/CN=$name" -days 2 -keyout "$work/$name.key" -out "$work/$name.pem" 2>/dev/null
done
cp "$work/one.pem" "$work/tls.pem" && cp "$work/one.key" "$work/tls.key"
listen='listen = "tls:127.0.0.1:0";'
start_web "certificate = \"$work/tls.pem\"; key = \"$work/tls.key\";" '' '{ name = "auth-local"; required = true; },'
check "the READY line says https" sh -c "case '$url' in https://*) ;; *) exit 1 ;; esac"
password=$("$build/bin/hilum" --data "$work/server/data" --json user create tls auditor | $python -c 'import json,sys; print(json.load(sys.stdin)["password"])')
equal "signs in over TLS" 200 "$(status -k --data-urlencode user=tls --data-urlencode "password=$password" "$url/auth/login")"
check "the cookie is for TLS" grep -qi '^set-cookie: .*; Secure' "$work/head"
check "browsers are told to stay with TLS" grep -qi '^strict-transport-security:' "$work/head"
subject() { echo | openssl s_client -connect "${url#https://}" 2>/dev/null | openssl x509 -noout -subject | sed 's/.*= *//'; }
equal "the certificate" one "$(subject)"
cp "$work/two.key" "$work/tls.key" && cp "$work/two.pem" "$work/tls.pem"
check "its successor, without a restart" await 10 sh -c "echo | openssl s_client -connect '${url#https://}' 2>/dev/null | openssl x509 -noout -subject | grep -q two"

# A client that does not read keeps no server from stopping.
send_demo
$python - "${url#https://}" <<'PY' &
import socket, ssl, sys, time
host, port = sys.argv[1].rsplit(":", 1)
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
s = context.wrap_socket(socket.create_connection((host, int(port))))
s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
time.sleep(60)
PY
pids+=($!)
check "it stops" stop_server
report
