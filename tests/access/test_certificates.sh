#!/usr/bin/env bash
# Certificates of HTTP clients: who is signed in by one, and who is not. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../web/lib.sh"
command -v openssl >/dev/null || skip "openssl is not installed"

self_made() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null; }
signed() { # NAME DAYS
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    openssl x509 -req -days "$2" -in "$work/$1.csr" -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial -out "$work/$1.pem" 2>/dev/null
}
print_of() { openssl x509 -in "$work/$1.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g'; }
self_made authority
self_made stranger
signed us 2
signed li 2
signed other 2
signed old -1
listen='listen = "tls:127.0.0.1:0,127.0.0.1:0";'
start_web "unknown_clients = \"refuse\"; certificate = \"$work/us.pem\"; key = \"$work/us.key\"; client_ca = \"$work/authority.pem\";" '' \
    '{ name = "auth-local"; required = true; },'
hilum() { "$build/bin/hilum" --data "$work/server/data" --json "$@"; }
secure=$(sed -n 's/^READY.* http=\(https:[^ ,]*\).*/\1/p' "$work/server/out")
as() { status --cacert "$work/authority.pem" -k --cert "$work/$1.pem" --key "$work/$1.key" "${@:2}"; }
for name in li old stranger; do
    password=$(hilum user create $name "radiologist,technologist" | sed 's/.*"password":"\([^"]*\)".*/\1/')
    hilum user certificate $name "$(print_of $name)" >/dev/null
    status -c "$work/jar" -k --data-urlencode user=$name --data-urlencode "password=$password" "$secure/auth/login" >/dev/null
    csrf=$(sed 's/.*"csrf":"\([^"]*\)".*/\1/' "$work/body")
    equal "$name has a password" 204 "$(status -b "$work/jar" -k -H "X-Hilum-CSRF: $csrf" --data-urlencode "old=$password" --data-urlencode "new=correct horse staple" "$secure/auth/password")"
done
equal "without a certificate" 401 "$(status -k "$secure/dicom-web/studies")"
equal "with his own" 204 "$(as li "$secure/dicom-web/studies")"
equal "is told who he is" 200 "$(as li "$secure/auth/session")"
check "by name" grep -q '"user":"li"' "$work/body"
equal "one that is nobody's account" 401 "$(as other "$secure/dicom-web/studies")"
equal "one of a stranger's own making, though an account names it" 401 "$(as stranger "$secure/dicom-web/studies")"
equal "one that has expired" 401 "$(as old "$secure/dicom-web/studies")"
equal "a page of another site writes nothing by it" 403 "$(as li -H 'Origin: https://evil.example' -H 'Content-Type: application/dicom' -d x "$secure/dicom-web/studies")"
equal "a program does" 409 "$(as li -H 'Content-Type: application/dicom' -d x "$secure/dicom-web/studies")"
equal "nor by a remembered Basic sign-in" 403 "$(status -k -u 'li:correct horse staple' -H 'Origin: https://evil.example' -H 'Content-Type: application/dicom' -d x "$secure/dicom-web/studies")"
equal "a header claims nothing" 401 "$(status -k -H "X-SSL-Client-Cert: $(tr -d '\n' <"$work/li.pem")" "$secure/dicom-web/studies")"
check "a digest has 64 digits" sh -c "! '$build/bin/hilum' --data '$work/server/data' user certificate li abc 2>/dev/null"
hilum user lock li >/dev/null
equal "a closed account" 401 "$(as li "$secure/dicom-web/studies")"
hilum user unlock li >/dev/null
hilum user certificate li "" >/dev/null
equal "taken away" 401 "$(as li "$secure/dicom-web/studies")"
check "it stops" stop_server
report
