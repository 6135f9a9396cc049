#!/usr/bin/env bash
# Signing in: accounts, sessions, tokens, roles, what is refused and when, and what of it the audit record says.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

start_web 'unknown_clients = "refuse"; proxies = "127.0.0.2"; max_sign_in_failures = 12; max_requests_per_user = 3;' '' '{ name = "auth-local"; required = true; }, { name = "web-admin"; },'
send_demo
dw=$url/dicom-web study=2.25.31074444438814285357292730408721544579
hilum() { "$build/bin/hilum" --data "$work/server/data" --json "$@"; }
json() { $python -c 'import json,sys; print(eval(sys.argv[2], {"a": json.load(open(sys.argv[1]))}))' "$1" "$2"; }
login() { status -c "$work/jar" --data-urlencode "user=$1" --data-urlencode "password=$2" "${@:3}" "$url/auth/login"; }
csrf() { json "$work/body" 'a["csrf"]'; }

equal "nobody is served" 401 "$(status "$dw/studies")"
check "and is told how" grep -qi '^www-authenticate: Bearer.*Basic' "$work/head"
equal "health is for all" 200 "$(status "$url/health")"
check "there are no accounts" sh -c "[ \"\$('$build/bin/hilum' --data '$work/server/data' --json user list)\" = '[]' ]"
equal "no default password" 401 "$(login admin admin)"
hilum user create li radiologist >"$work/li" && hilum user create --admin root1 >/dev/null 2>&1
first=$(json "$work/li" 'a["password"]')
check "an account of that name is there" sh -c "! '$build/bin/hilum' --data '$work/server/data' user create li auditor 2>/dev/null"
check "nobody else may read the file" test "$(stat -c %a "$work/server/data/auth-local/accounts.json")" = 600
check "no password is in it" sh -c "! grep -q -- '$first' '$work/server/data/auth-local/accounts.json'"

# The first password opens nothing but the way to a new one.
equal "signed in" 200 "$(login li "$first")"
check "has to change the password" grep -q '"must_change_password":true' "$work/body"
token=$(csrf)
equal "may do nothing yet" 403 "$(status -b "$work/jar" "$dw/studies")"
change() { status -b "$work/jar" -H "X-Hilum-CSRF: $token" --data-urlencode "old=$1" --data-urlencode "new=$2" "$url/auth/password"; }
equal "too short" 400 "$(change "$first" short)"
equal "with its name" 400 "$(change "$first" "this is li and long")"
equal "the wrong old one" 403 "$(change wrong 'correct horse staple')"
equal "a new password" 204 "$(change "$first" 'correct horse staple')"
equal "ended the session" 401 "$(status -b "$work/jar" "$dw/studies")"
equal "the first one is gone" 401 "$(login li "$first")"

# A session.
equal "signs in again" 200 "$(login li 'correct horse staple')"
token=$(csrf) old=$(grep -o 'hilum_session.*' "$work/jar" | cut -f2)
check "the cookie is for us alone" grep -qi '^set-cookie: hilum_session=.*; HttpOnly; SameSite=Strict' "$work/head"
equal "may search" 200 "$(status -b "$work/jar" "$dw/studies")"
equal "may see" 200 "$(status -b "$work/jar" "$dw/studies/$study/metadata")"
equal "and as a session is told" 200 "$(status -b "$work/jar" "$url/auth/session")"
check "who he is" grep -q '"user":"li","roles":"radiologist"' "$work/body"
equal "a radiologist stores nothing" 403 "$(status -b "$work/jar" -H "X-Hilum-CSRF: $token" -H 'Content-Type: application/dicom' -d x "$dw/studies")"
check "and hears why" grep -q 'not among the actions of the roles' "$work/body"
equal "a write without the session's secret" 403 "$(status -b "$work/jar" -H 'Content-Type: application/dicom' -d x "$dw/studies")"
check "is called forged" grep -q CSRF "$work/body"
equal "a form of another site" 403 "$(login li 'correct horse staple' -H 'Origin: http://evil.example')"
equal "signing in with a session" 200 "$(login li 'correct horse staple' -b "hilum_session=$old")"
token=$(csrf)
equal "makes the old one worthless" 401 "$(status -b "hilum_session=$old" "$dw/studies")"
equal "a cookie somebody made up" 401 "$(status -b "hilum_session=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" "$dw/studies")"
equal "out" 204 "$(status -b "$work/jar" -H "X-Hilum-CSRF: $token" -X POST "$url/auth/logout")"
equal "is out" 401 "$(status -b "$work/jar" "$dw/studies")"

# Programs.
equal "a basic sign-in" 200 "$(status -u 'li:correct horse staple' "$dw/studies")"
equal "a wrong one" 401 "$(status -u 'li:wrong' "$dw/studies")"
check "a token for more than a century is refused" sh -c "! '$build/bin/hilum' --data '$work/server/data' token create viewer resident find 99999999999999999 2>/dev/null"
equal "which a browser remembers, asked by a page of another site" 403 "$(status -u 'li:correct horse staple' -H 'Origin: http://evil.example' -d x "$dw/studies")"
check "and is told so" grep -q 'another site' "$work/body"
hilum token create --role administrator >"$work/token"
check "a token by its role alone" sh -c "[ \"\$(curl -s -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer $(json "$work/token" 'a["token"]')' '$dw/studies')\" = 200 ]"
check "without a role there is none" sh -c "! '$build/bin/hilum' --data '$work/server/data' token create nobody 2>/dev/null"
hilum token create viewer resident find >"$work/token"
bearer=$(json "$work/token" 'a["token"]') id=$(json "$work/token" 'a["id"]')
equal "a token" 200 "$(status -H "Authorization: Bearer $bearer" "$dw/studies")"
equal "and its scope" 403 "$(status -H "Authorization: Bearer $bearer" "$dw/studies/$study")"
equal "a token with another's end" 401 "$(status -H "Authorization: Bearer ${bearer%?????}AAAAA" "$dw/studies")"
hilum token revoke "$id" >/dev/null
equal "revoked" 401 "$(status -H "Authorization: Bearer $bearer" "$dw/studies")"
hilum token create store1 gateway >"$work/token"
bearer=$(json "$work/token" 'a["token"]')
gateway=$bearer
equal "a gateway stores" 409 "$(status -H "Authorization: Bearer $bearer" -H 'Content-Type: application/dicom' -d x "$dw/studies")"
equal "a scheme nobody knows" 401 "$(status -H 'Authorization: Negotiate x' "$dw/studies")"
hilum user create stat statistician >"$work/stat" && hilum user roles stat "statistician,resident" >/dev/null
check "roles are as they were set" sh -c "'$build/bin/hilum' --data '$work/server/data' --json user list | grep -q 'statistician,resident'"

hilum token create prometheus it status >"$work/token"
equal "numbers" 200 "$(status -H "Authorization: Bearer $(json "$work/token" 'a["token"]')" "$url/metrics")"
check "of the archive and of routes" sh -c "grep -q '^hilum_record_studies 3$' '$work/body' && grep -q '^hilum_http_request_seconds_bucket{route=\"dicomweb/search/studies\",le=\"+Inf\"} ' '$work/body' && grep -q '^hilum_store_stores_accepting{store=\"fs\"} 1$' '$work/body'"

# Through our proxy, without TLS in front of it, no password passes.
equal "a proxy that says http" 403 "$(status --interface 127.0.0.2 -u 'li:correct horse staple' -H 'X-Forwarded-For: 203.0.113.7' "$dw/studies")"
equal "a proxy that says https" 200 "$(status --interface 127.0.0.2 -u 'li:correct horse staple' -H 'X-Forwarded-For: 203.0.113.7' -H 'X-Forwarded-Proto: https' "$dw/studies")"

# One user, so many requests at once; another one is not held up.
hilum user unlock li >/dev/null 2>&1
$python - "${url#http://}" "/dicom-web/studies/$study" "$work" <<'PY' &
import base64, os, socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
peers = []
for _ in range(3):  # who asks for a study and does not read
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect((host, int(port)))
    word = base64.b64encode("li:correct horse staple".encode()).decode()
    s.sendall(f"GET {sys.argv[2]} HTTP/1.1\r\nHost: {sys.argv[1]}\r\nAuthorization: Basic {word}\r\n\r\n".encode())
    s.recv(10)
    peers.append(s)
open(sys.argv[3] + "/held", "w").write("x")
while os.path.exists(sys.argv[3] + "/held"):
    time.sleep(0.05)
PY
check "three downloads are under way" await 15 test -s "$work/held"
equal "a fourth request of that user waits" 429 "$(status -u 'li:correct horse staple' "$dw/studies")"
check "and hears how long" grep -qi '^retry-after:' "$work/head"
equal "another user does not" 409 "$(status -H "Authorization: Bearer $gateway" -H 'Content-Type: application/dicom' -d x "$dw/studies")"
rm "$work/held"
served_again() { [ "$(status -u 'li:correct horse staple' "$dw/studies")" = 200 ]; }
check "when they end it goes on" await 15 served_again

# Pages that listen do nothing: they do not shut their account out.
listeners=()
for i in 1 2 3; do
    curl -sN -o "$work/events$i" -u 'li:correct horse staple' "$url/api/events" &
    listeners+=($!)
done
heard() { [ -s "$work/events1" ] && [ -s "$work/events2" ] && [ -s "$work/events3" ]; }
check "three pages listen" await 30 heard
check "and their account is served" await 5 served_again
kill "${listeners[@]}"

# What cannot be written does not hold either.
part=$work/server/data/auth-local/accounts.json.part
mkdir "$part"
login li 'correct horse staple' >/dev/null && token=$(csrf)
equal "a password that cannot be kept" 500 "$(change 'correct horse staple' 'another horse staple')"
check "nor can a lock" sh -c "! '$build/bin/hilum' --data '$work/server/data' user lock root1 2>/dev/null"
rmdir "$part"
equal "is not taken" 401 "$(status -u 'li:another horse staple' "$dw/studies")"
equal "the one of before is" 200 "$(status -u 'li:correct horse staple' "$dw/studies")"
check "no account is locked" sh -c "! '$build/bin/hilum' --data '$work/server/data' --json user list | grep -q '\"is_locked\": *true'"
hilum user unlock li >/dev/null

# Too many wrong passwords: first the name, then the address.
for _ in 1 2 3 4 5; do status --interface 127.0.0.2 -H 'X-Forwarded-For: 203.0.113.8' -H 'X-Forwarded-Proto: https' -u li:guess "$dw/studies" >/dev/null; done
equal "a name that is guessed at is locked" 401 "$(status -u 'li:correct horse staple ' "$dw/studies")"
equal "even for the right password" 401 "$(login li 'correct horse staple')"
hilum user unlock li >/dev/null
equal "until it is unlocked" 200 "$(login li 'correct horse staple')"
for _ in $(seq 12); do status --interface 127.0.0.2 -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-Proto: https' -H 'Authorization: Bearer x' "$dw/studies" >/dev/null; done
equal "an address that guesses waits" 429 "$(status --interface 127.0.0.2 -H 'X-Forwarded-For: 203.0.113.9' -H 'X-Forwarded-Proto: https' -u 'li:correct horse staple' "$dw/studies")"
hilum user lock li >/dev/null
equal "a closed account" 401 "$(status -u 'li:correct horse staple' "$dw/studies")"

check "pages are told what they may" sh -c "grep -qi '^content-security-policy: default-src' '$work/head' && grep -qi '^referrer-policy: no-referrer' '$work/head'"
check "no secret is in the log" sh -c "! grep -q -- 'horse\|$bearer\|$first' '$work/server/log'"
stop_server
audited() { equal "audited: $1" "${3:-1}" "$($python - "$work/server/data" "$2" <<'PY'
import glob, sqlite3, sys
db = sqlite3.connect([p for p in glob.glob(sys.argv[1] + "/**/*.db", recursive=True) + glob.glob(sys.argv[1] + "/*.sqlite")][0])
print(int(db.execute("SELECT count(*) > 0 FROM audit WHERE " + sys.argv[2]).fetchone()[0]))
PY
)"; }
audited "signing in" "action = 'sign in' AND what = 'li'"
audited "a refusal" "action = 'sign in refused' AND what = 'admin'"
audited "a search" "action = 'query' AND who LIKE 'li (%' AND after_json LIKE '%QIDO-RS%'"
audited "who saw a study" "action = 'retrieve' AND who LIKE 'li (%' AND what = '$study'"
audited "never a password" "after_json LIKE '%horse%'" 0
report
