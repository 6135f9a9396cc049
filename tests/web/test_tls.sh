#!/usr/bin/env bash
# TLS of the web face: certificates that are replaced serve at once and cut nobody off; half a pair is never taken. And limits an
# address. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
listen='listen = "tls:127.0.0.1:0";'
make() { # make NAME: a certificate and its key
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -out "$work/$1.pem" -days 2 -subj "/CN=$1" \
        -addext subjectAltName=DNS:localhost 2>/dev/null
}
for name in one two three; do make $name; done
cp "$work/one.pem" "$work/cert.pem" && cp "$work/one.key" "$work/key.pem"
start_web "unknown_clients = \"accept\"; max_per_address = 8; certificate = \"$work/cert.pem\"; key = \"$work/key.pem\";"
port=${url##*:}
trusting() { curl -s -o /dev/null -w '%{http_code}' --cacert "$work/$1.pem" "https://localhost:$port/health"; }
shown() { [ "$(echo | openssl s_client -connect "127.0.0.1:$port" 2>/dev/null | sed -n 's/^subject=CN = //p')" = "$1" ]; }
reload() { "$build/bin/hilum" --data "$work/server/data" config reload >/dev/null; }

equal "with the first certificate" 200 "$(trusting one)"
check "no old protocol" sh -c "! curl -s --tls-max 1.1 --cacert '$work/one.pem' 'https://localhost:$port/health'"
# A connection of before goes on.
exec 3> >($python - "$port" "$work" <<'PY'
import http.client, os, ssl, sys, time
context = ssl.create_default_context(cafile=sys.argv[2] + "/one.pem")
c = http.client.HTTPSConnection("localhost", int(sys.argv[1]), context=context)
def ask():
    c.request("GET", "/health")
    r = c.getresponse()
    r.read()
    return r.status
open(sys.argv[2] + "/before", "w").write(str(ask()))
while not os.path.exists(sys.argv[2] + "/go"):
    time.sleep(0.05)
open(sys.argv[2] + "/after", "w").write(str(ask()))
PY
)
check "a client is connected" await 10 test -s "$work/before"
cp "$work/two.pem" "$work/cert.pem"
reload
sleep 1.5
check "half a pair is not taken" shown one
cp "$work/two.key" "$work/key.pem"
reload
check "the pair is" await 10 shown two
equal "and trusted" 200 "$(trusting two)"
check "the first is not shown any more" sh -c "! curl -s --cacert '$work/one.pem' 'https://localhost:$port/health'"
touch "$work/go"
check "who was connected is still served" await 10 grep -qs 200 "$work/after"
echo "no certificate" >"$work/cert.pem"
reload
sleep 1.5
equal "what is no certificate changes nothing" 200 "$(trusting two)"
check "and is told" grep -q 'certificate .*cert.pem' "$work/server/log"
cp "$work/three.key" "$work/key.pem" && cp "$work/three.pem" "$work/cert.pem"
check "the next pair serves" await 10 shown three

check "one address has so many connections" $python - "$port" <<'PY'
import socket, sys, time
peers = [socket.create_connection(("127.0.0.1", int(sys.argv[1]))) for _ in range(12)]
def is_open(s):
    s.settimeout(0.3)
    try:
        return s.recv(1) != b""
    except socket.timeout:
        return True
    except OSError:
        return False
sys.exit(not (1 <= sum(is_open(s) for s in peers) <= 8))
PY
check "it stops" stop_server
report
