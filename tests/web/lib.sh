# For the shell tests of this folder: a server with its web face, on top of those of tests/dicom.
# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
command -v curl >/dev/null || skip "curl is not installed"

# start_web [HTTP-OPTIONS [SITE-TEXT]]: sets $url.
start_web() {
    start_server "dicom = { unknown_peers = \"accept\"; };
plugins = ( { name = \"web-dicomweb\"; required = true; }, { name = \"demo-phantom\"; },
    { name = \"http\"; required = true; options = { listen = \"127.0.0.1:0\"; unknown_clients = \"accept\"; ${1:-} }; } );
peers = ( { name = \"HILUM_SELF\"; aet = \"HILUM_SELF\"; cidr = ( \"127.0.0.0/8\" ); services = ( \"echo\", \"store\" ); } );
${2:-}"
    url=$(sed -n 's/^READY.* http=//p' "$work/server/out")
}

send_demo() {
    "$build/bin/hilum" --data "$work/server/data" --json demo send >/dev/null
}

# status CURL-ARGUMENT...: the answer's body and head are files then.
status() { curl -s -D "$work/head" -o "$work/body" -w '%{http_code}' "$@"; }
