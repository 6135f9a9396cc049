# For the shell tests of this folder: a server with its web face, on top of those of tests/dicom.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
command -v curl >/dev/null || skip "curl is not installed"

# start_web [HTTP-OPTIONS [SITE-TEXT [PLUGINS]]]: sets $url. $listen: where, if not on a free port.
start_web() {
    start_server "dicom = { unknown_peers = \"accept\"; };
plugins = ( { name = \"web-dicomweb\"; required = true; }, { name = \"demo-phantom\"; }, ${3:-}
    { name = \"http\"; required = true; options = { ${1:-unknown_clients = \"accept\";} ${listen:-listen = \"127.0.0.1:0\";} }; } );
peers = ( { name = \"HILUM_SELF\"; aet = \"HILUM_SELF\"; cidr = ( \"127.0.0.0/8\" ); services = ( \"echo\", \"store\" ); } );
${2:-}"
    url=$(sed -n 's/^READY.* http=//p' "$work/server/out")
}

send_demo() {
    "$build/bin/hilum" --data "$work/server/data" --json demo send >/dev/null
}

# What came in lies in the intake log until senders pause, and streams from there; as files it is lent. settled N: N files.
files_are() { [ "$(find "$work/server/data/objects/objects" -name '*.dcm' 2>/dev/null | wc -l)" -ge "$1" ]; }
settled() { await 30 files_are "$1"; }

# number NAME: what the server's status says.
number() { "$build/bin/hilum" --data "$work/server/data" --json status | grep -o "\"$1\": *[0-9]*" | head -1 | grep -o '[0-9]*$'; }

# status CURL-ARGUMENT...: the answer's body and head are files then.
status() { curl -s -D "$work/head" -o "$work/body" -w '%{http_code}' "$@"; }

# A multi-frame RLE object: study 2.25.7003, series 2.25.7002, instance 2.25.7001; frame f holds bytes 16 f to 16 f + 15.
send_rle() {
    $python - "$work" <<'PY'
import sys
lines = """(0008,0005) CS [ISO_IR 192]
(0008,0016) UI =MultiframeGrayscaleByteSecondaryCaptureImageStorage
(0008,0018) UI [2.25.7001]
(0008,0060) CS [OT]
(0010,0010) PN [Frames^Three]
(0010,0020) LO [WEB-RLE]
(0020,000d) UI [2.25.7003]
(0020,000e) UI [2.25.7002]
(0028,0002) US 1
(0028,0004) CS [MONOCHROME2]
(0028,0008) IS [3]
(0028,0009) AT (0018,1063)
(0028,0010) US 4
(0028,0011) US 4
(0028,0100) US 8
(0028,0101) US 8
(0028,0102) US 7
(0028,0103) US 0
(5400,0100) SQ (waveforms)
(fffe,e000) na (item)
(5400,1010) OW %s
(fffe,e00d) na (end)
(fffe,e0dd) na (end)
(7fe0,0010) OB %s
""" % ("\\".join(["5a5a"] * 1000), "\\".join("%02x" % (f * 16 + i) for f in range(3) for i in range(16)))
open(sys.argv[1] + "/rle.dump", "w").write(lines)
PY
    dump2dcm -q +l 20000 +te "$work/rle.dump" "$work/native.dcm" && dcmcrle -q "$work/native.dcm" "$work/rle.dcm"
    storescu -q -xr -aec HILUM 127.0.0.1 "$port" "$work/rle.dcm"
}

# sign_up NAME ROLE: an account whose first password has been changed; sets $password.
sign_up() {
    local first csrf
    first=$("$build/bin/hilum" --data "$work/server/data" --json user create "$1" "$2" | $python -c 'import json,sys; print(json.load(sys.stdin)["password"])')
    password="nine quiet words 4711"
    csrf=$(curl -s -c "$work/jar" --data-urlencode "user=$1" --data-urlencode "password=$first" "$url/auth/login" | sed 's/.*"csrf":"\([^"]*\)".*/\1/')
    curl -s -b "$work/jar" -H "X-Hilum-CSRF: $csrf" --data-urlencode "old=$first" --data-urlencode "new=$password" "$url/auth/password"
}
