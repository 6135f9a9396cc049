#!/usr/bin/env bash
# Who is let in, what he gets and what is remembered of it; plain and TLS, IPv4 and IPv6.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v openssl >/dev/null || skip "openssl is not installed"
$python -c 'import pydicom' 2>/dev/null || skip "python3-pydicom is not installed"

# One authority; a certificate for us, one for a peer, one of a stranger's own making.
self_made() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.pem" 2>/dev/null
}
signed() {
    openssl req -newkey rsa:2048 -nodes -subj "/CN=$1" -keyout "$work/$1.key" -out "$work/$1.csr" 2>/dev/null
    openssl x509 -req -days 2 -in "$work/$1.csr" -CA "$work/authority.pem" -CAkey "$work/authority.key" -CAcreateserial \
        -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$work/$1.pem" 2>/dev/null
}
self_made authority
self_made stranger
signed us
signed peer
peer_print=$(openssl x509 -in "$work/peer.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr 'A-F' 'a-f')

tls=$(free_port) six=$(free_port) sink=$(free_port) single=$(free_port) picky=$(free_port) secret=$(free_port)
start_server "dicom = { aet = \"HILUM\"; aets = ( \"SECOND\" ); unknown_peers = \"refuse\";
  tls = { certificate = \"$work/us.pem\"; key = \"$work/us.key\"; ca = \"$work/authority.pem\"; require_peer_certificate = true; };
  listen = ( { address = \"127.0.0.1:__PORT__\"; }, { address = \"127.0.0.1:$tls\"; tls = true; }, { address = \"[::1]:$six\"; } ); };
peers = ( { name = \"ct\"; aet = \"CT1\"; cidr = ( \"127.0.0.0/8\", \"::1\" ); services = ( \"echo\", \"store\" ); },
          { name = \"ws\"; aet = \"WS1\"; cidr = ( \"127.0.0.0/8\" ); services = ( \"echo\", \"find\" ); called_aets = ( \"SECOND\" ); },
          { name = \"far\"; aet = \"FAR\"; cidr = ( \"192.0.2.0/24\" ); },
          { name = \"pinned\"; aet = \"PIN\"; certificate_sha256 = \"$peer_print\"; },
          { name = \"subject\"; aet = \"SUBJECT\"; certificate_subject = \"CN=peer\"; },
          { name = \"named\"; aet = \"NAMED\"; certificate_san = \"127.0.0.1\"; },
          { name = \"other\"; aet = \"OTHER\"; certificate_san = \"127.0.0.2\"; cidr = ( \"127.0.0.0/8\" ); },
          { name = \"sink\"; aet = \"SINK\"; host = \"127.0.0.1\"; port = $sink; idle = \"0s\"; },
          { name = \"six\"; aet = \"SECOND\"; own_aet = \"CT1\"; host = \"::1\"; port = $six; },
          { name = \"single\"; aet = \"SINGLE\"; host = \"127.0.0.1\"; port = $single; idle = \"60s\"; connect_timeout = \"3s\"; },
          { name = \"picky\"; aet = \"PICKY\"; host = \"127.0.0.1\"; port = $picky; },
          { name = \"secret\"; aet = \"SECRET\"; host = \"127.0.0.1\"; port = $secret;
            tls = { certificate = \"$work/us.pem\"; key = \"$work/us.key\"; ca = \"$work/authority.pem\"; }; } );"

quiet() {
    "$@" >/dev/null 2>&1
}
refused() { # refused REASON CALLING CALLED [echoscu options]
    local reason=$1 calling=$2 called=$3
    shift 3
    echoscu -aet "$calling" -aec "$called" "$@" 127.0.0.1 "$port" 2>&1 | grep -q "$reason"
}
check "CT1 is let in" echoscu -aet CT1 -aec HILUM 127.0.0.1 "$port"
check "CT1 by the second title" echoscu -aet CT1 -aec SECOND 127.0.0.1 "$port"
check "no such title" refused "Called AE Title Not Recognized" CT1 NOBODY
check "unknown caller" refused "Calling AE Title Not Recognized" X1 HILUM
check "wrong address" refused "Calling AE Title Not Recognized" FAR HILUM
check "title not his" refused "Calling AE Title Not Recognized" WS1 HILUM
check "pinned without certificate" refused "Calling AE Title Not Recognized" PIN HILUM
check "his title" echoscu -aet WS1 -aec SECOND 127.0.0.1 "$port"

# ---- contexts
$python "$root/tests/dicom/make_find_data.py" "$work/data"
one=$work/data/1.2.999.3.1.1.dcm
check "CT1 stores" storescu -aet CT1 -aec HILUM 127.0.0.1 "$port" "$one"
check "WS1 may not" bash -c "! storescu -aet WS1 -aec SECOND 127.0.0.1 $port $one >/dev/null 2>&1"
check "WS1 finds" quiet findscu -S -aet WS1 -aec SECOND 127.0.0.1 "$port" -k QueryRetrieveLevel=STUDY -k StudyInstanceUID
trace=$("$build/bin/hilum" --data "$work/server/data" --json peer trace ws 2>&1)
check "the trace says why" grep -q 'may not\|not allowed\|store' <<<"$trace"
check "the trace has the class" grep -q DigitalXRayImageStorageForPresentation <<<"$trace"

# ---- TLS (echoscu: +tls key certificate; -ic trusts every server)
secure() { # secure NAME CALLING
    echoscu -aet "$2" -aec HILUM +tls "$work/$1.key" "$work/$1.pem" +cf "$work/authority.pem" 127.0.0.1 "$tls" 2>&1
}
if echoscu --version | grep -qi 'openssl\|tls' || echoscu --help | grep -q -- '+tls'; then
    check "TLS with the authority's certificate" secure peer CT1
    check "TLS with the pinned certificate" secure peer PIN
    check "TLS by its subject" secure peer SUBJECT
    check "another's subject" bash -c "! echoscu -aet SUBJECT -aec HILUM +tls $work/us.key $work/us.pem +cf $work/authority.pem 127.0.0.1 $tls >/dev/null 2>&1"
    check "TLS by an alternative name" secure peer NAMED
    check "an alternative name it has not, though the address would do" bash -c "! echoscu -aet OTHER -aec HILUM +tls $work/peer.key $work/peer.pem +cf $work/authority.pem 127.0.0.1 $tls >/dev/null 2>&1"
    check "by name, but without TLS" bash -c "! echoscu -aet NAMED -aec HILUM 127.0.0.1 $port >/dev/null 2>&1"
    check "TLS with a stranger's certificate" bash -c "! echoscu -aet CT1 -aec HILUM +tls $work/stranger.key $work/stranger.pem -ic 127.0.0.1 $tls >/dev/null 2>&1"
    check "plain on the TLS port" bash -c "! timeout 20 echoscu -to 5 -aet CT1 -aec HILUM 127.0.0.1 $tls >/dev/null 2>&1"
fi

# ---- IPv6: DCMTK 3.6 cannot connect by it; 20 lines can
check "a verification over IPv6" $python - "$six" <<'PY'
import socket, struct, sys
def item(kind, body): return struct.pack(">BBH", kind, 0, len(body)) + body
context = item(0x20, b"\1\0\0\0" + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2"))
user = item(0x50, item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3"))
body = struct.pack(">HH16s16s32x", 1, 0, b"HILUM".ljust(16), b"CT1".ljust(16)) + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
s = socket.create_connection(("::1", int(sys.argv[1])), 5)
s.sendall(struct.pack(">BBI", 1, 0, len(body)) + body)
sys.exit(0 if s.recv(1) == b"\2" else 1)
PY

# ---- what we request is remembered too: DCMTK's receivers as peers
hilum() {
    "$build/bin/hilum" --data "$work/server/data" "$@"
}
receiver() { # receiver DIRECTORY PORT [storescp options]
    mkdir -p "$work/$1"
    storescp -od "$work/$1" "${@:3}" "$2" >"$work/$1.log" 2>&1 &
    pids+=("$!")
    await 10 $python -c "import socket; socket.create_connection(('127.0.0.1', $2), 1)" 2>/dev/null
}
quiet hilum peer echo six # itself, over IPv6
receiver sink "$sink" +xi      # implicit little endian only
receiver picky "$picky" --refuse
receiver secret "$secret" +tls "$work/peer.key" "$work/peer.pem" +cf "$work/authority.pem"
study=$(dcmdump +P 0020,000D "$one" | sed 's/.*\[\(.*\)\].*/\1/')
quiet hilum study send "$study" sink
quiet hilum peer echo picky
quiet hilum peer echo secret
latest() { # latest PEER EXPRESSION: of the newest outbound association, which has ended
    hilum --json peer trace "$1" | $python -c "
import json, sys
a = [a for a in json.load(sys.stdin) if a['direction'] == 'out'][0]
sys.exit(0 if $2 else 1)" 2>/dev/null
}
check "the trace of a sending: contexts" await 10 latest sink \
    "a['result'] == 'accepted' and a.get('ended') == 'released' and a['messages'] >= 1 and all(c['accepted'] == '1.2.840.10008.1.2' for c in a['contexts'] if '1.2.840.10008.1.2' in c['proposed'])"
check "the trace of a sending: a context that the peer does not take" latest sink \
    "any(c['result'] == 4 and 'transfer syntaxes' in c['why'] for c in a['contexts'])"
check "the trace of a rejected request" latest picky "a['result'] == 'rejected' and a['code'] == '1/1/1' and 'rejected permanently' in a['why']"
check "the trace of a request over TLS" latest secret "a['result'] == 'accepted' and a['tls'] and a['ended'] == 'released'"
check "the trace of a request over IPv6" latest six "a['result'] == 'accepted' and a['address'] == '::1' and a['ended'] == 'released'"
check "in lines: what we asked" grep -q '  out  .*SINK .* accepted, .* refused' <(hilum peer trace sink)
check "in lines: over TLS" grep -q '  out TLS  ' <(hilum peer trace secret)
check "in lines: the rejection" grep -q '  out  .*rejected permanently' <(hilum peer trace picky)

# A receiver that serves one association at a time: what is kept for the next object gives way to what needs another one.
receiver single "$single"
other=$(ls "$work"/data/*.4.*.dcm | head -n 1) # of another SOP class
quiet storescu -aet CT1 -aec HILUM 127.0.0.1 "$port" "$other"
jobs_done() {
    hilum --json job list | $python -c "import json, sys; sys.exit(sum(j.get('done', 0) for j in json.load(sys.stdin) if j['lane'] == 'single') != $1)"
}
quiet hilum study send "$study" single
check "sent to a receiver of one association" await 10 jobs_done 1
quiet hilum study send "$(dcmdump +P 0020,000D "$other" | sed 's/.*\[\(.*\)\].*/\1/')" single
check "sent to it while the first association is kept" await 2 jobs_done 2
check "an echo to it while another is kept" quiet timeout 2 "$build/bin/hilum" --data "$work/server/data" peer echo single
check "none had to wait" latest single "a['result'] == 'accepted'"
kill "${pids[-2]}" && wait "${pids[-2]}" 2>/dev/null
receiver plain "$secret"
quiet hilum peer echo secret
check "the trace of a TLS handshake that fails" latest secret "a['result'] == 'failed' and a['tls'] and 'TLS' in a['why'] and a['address'] == '127.0.0.1'"

# ---- a reload: certificates, peers and limits at once; what needs a restart is said
serial() { openssl s_client -connect "127.0.0.1:$tls" -cert "$work/peer.pem" -key "$work/peer.key" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
reload() { "$build/bin/hilum" --data "$work/server/data" --json config reload >"$work/reloaded" 2>&1; }
before=$(serial)
signed renewed
cp "$work/renewed.pem" "$work/us.pem" && cp "$work/renewed.key" "$work/us.key"
check "a reload of certificates" reload
check "we show the renewed one" test "$(serial)" = "$(openssl x509 -in "$work/renewed.pem" -noout -serial)" -a "$before" != "$(serial)"
check "which a peer accepts" quiet secure peer CT1
cp "$work/stranger.key" "$work/us.key"
check "a key of another certificate is refused" bash -c "! '$build/bin/hilum' --data '$work/server/data' config reload >'$work/reloaded' 2>&1"
check "with its file" grep -q "us\\.\\(key\\|pem\\)" "$work/reloaded"
check "and the old one stays" quiet secure peer CT1
cp "$work/renewed.key" "$work/us.key"
sed -i 's/services = ( "echo", "find" ); called/services = ( "find" ); called/; s/name = "far"; aet = "FAR"; cidr = ( "192.0.2.0\/24" )/name = "far"; aet = "FAR"; cidr = ( "127.0.0.0\/8" )/' "$work/server/site/10-test.cfg"
echo 'dicom = { limits = { max_pdu = 20000; }; listen = ( "127.0.0.1:1" ); };' >"$work/server/site/20-more.cfg"
check "a reload of peers and limits" reload
check "a peer that was far is near" echoscu -aet FAR -aec HILUM 127.0.0.1 "$port"
check "one has lost a service" bash -c "! echoscu -aet WS1 -aec SECOND 127.0.0.1 $port >/dev/null 2>&1"
echoscu -d -aet CT1 -aec HILUM 127.0.0.1 "$port" >"$work/pdu.log" 2>&1
check "larger PDUs than ours are not offered" grep -q "Their Max PDU Receive Size: *20000" "$work/pdu.log"
check "a listener needs a restart, and that is said" grep -q 'restart.*dicom.listen' "$work/reloaded"
check "a second reload" reload
check "finds the listeners as they are" test "$(serial)" = "$(openssl x509 -in "$work/renewed.pem" -noout -serial)"
report
