#!/usr/bin/env bash
# The http plugin from outside: its own routes, refusals, paths that climb, a header that never ends.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

router=$build/tests/unit/isolation/plugins/router.so # a route that fails as it is told to
[ -e "$router" ] && plugins="{ name = \"router\"; file = \"$router\"; allow_preview = true; },"
start_web 'unknown_clients = "accept"; header_timeout = "1s"; cors = "https://viewer.example";' "" "${plugins:-}"
check "the READY line names the URL" [ -n "$url" ]

equal "alive" 200 "$(status "$url/health")"
equal "ready" 200 "$(status "$url/ready")"
equal "HEAD" 200 "$(status -I "$url/health")"
equal "nothing there" 404 "$(status "$url/none")"
check "an error explains" grep -q '"detail":"nothing is served here"' "$work/body"
equal "no such method" 405 "$(status -X DELETE "$url/health")"
equal "dots" 400 "$(status --path-as-is "$url/../etc/passwd")"
equal "encoded dots" 400 "$(status --path-as-is "$url/%2e%2e/etc/passwd")"
equal "an encoded slash" 400 "$(status "$url/a%2fb")"
equal "a NUL" 400 "$(status "$url/health%00")"
equal "a broken escape" 400 "$(status "$url/%zz")"
equal "not UTF-8" 400 "$(status "$url/%ff")"
fields() { seq -s '&' -f 'k%g=' "$1"; }
equal "as many parameters as there may be" 200 "$(status "$url/health?$(fields 256)")"
equal "one more is not left out" 400 "$(status "$url/health?$(fields 257)")"
equal "a body nobody takes" 413 "$(status -X GET -d x "$url/health")"
equal "a body that would have to be inflated" 415 "$(status -H 'Content-Encoding: gzip' -d x "$url/dicom-web/studies")"
equal "a page of another site may ask first" 204 "$(status -X OPTIONS -H 'Origin: https://viewer.example' -H 'Access-Control-Request-Method: GET' "$url/dicom-web/studies")"
check "what it may send" grep -qi '^access-control-allow-headers:.*if-none-match.*range' "$work/head"
equal "and then" 204 "$(status -H 'Origin: https://viewer.example' "$url/dicom-web/studies")"
check "is told its own origin" grep -qi '^access-control-allow-origin: https://viewer.example' "$work/head"
equal "another one" 204 "$(status -H 'Origin: https://other.example' "$url/dicom-web/studies")"
check "is told none" sh -c "! grep -qi '^access-control-allow-origin' '$work/head'"
check "a header over the limit is refused" test "$(status -H "X-Long: $(head -c 40000 /dev/zero | tr '\0' a)" "$url/health")" -ge 400
if [ -n "${plugins:-}" ]; then
    for _ in $(seq 20); do status "$url/router/none" >/dev/null; done # on every thread
    check "a failure tells its reason" grep -q "no such word" "$work/body"
    equal "one without a reason" 404 "$(status "$url/router/mute")"
    check "is not told that of an answer before it" grep -q '"detail":"what this request names is not here"' "$work/body"
    equal "more than there is room for" 413 "$(status "$url/router/silent")"
    check "is not told what failed on the way" grep -q '"detail":"this is more than is taken or given at once: ask for less"' "$work/body"
    check "but an administrator is" grep -q 'no reason was given; what failed before it: of another failure' "$work/server/log"
fi
equal "a body that is no multipart" 400 "$(printf -- '--x\r\nContent-Type: %0200000d\r\n\r\n' 0 |
    status --data-binary @- -H 'Content-Type: multipart/related; type="application/dicom+json"; boundary=x' "$url/dicom-web/studies")"
check "is told what is wrong with it" grep -q 'head of a part' "$work/body"
check "a path stays out of the log" sh -c "! grep -q 'etc/passwd' '$work/server/log'"
check "a header that drips is cut" $python - "${url#http://}" <<'PY'
import socket, sys, time
host, port = sys.argv[1].rsplit(":", 1)
peer = socket.create_connection((host, int(port)), 10)
peer.sendall(b"GET /health HTTP/1.1\r\n")
end = time.monotonic() + 8
try:
    while time.monotonic() < end:
        peer.sendall(b"X: y\r\n")
        peer.settimeout(0.2)
        try:
            if peer.recv(100) == b"":
                sys.exit(0)
        except socket.timeout:
            pass
except OSError:
    sys.exit(0)
sys.exit(1)
PY
equal "it still serves" 200 "$(status "$url/health")"
equal "numbers are not for everybody" 403 "$(status "$url/metrics")"
check "it stops" stop_server
report
