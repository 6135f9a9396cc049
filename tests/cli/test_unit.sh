#!/usr/bin/env bash
# The server, and the workers of its codecs, live with the system calls its systemd unit leaves them.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/../dicom/lib.sh"
command -v systemd-analyze >/dev/null || skip "systemd-analyze is not installed"
[ -x "$build/lib/hilum-allow" ] || skip "the tests' tools are not built"

# calls GROUP...: system calls of groups and of groups within them, as systemd expands them.
calls() {
    local name
    for name in "$@"; do
        case $name in
        @*) # shellcheck disable=SC2046
            calls $(systemd-analyze syscall-filter "$name" | sed -n 's/^    \([@a-z].*\)/\1/p') ;;
        *) echo "$name" ;;
        esac
    done
}
unit=$root/etc/systemd/hilum.service.in
# shellcheck disable=SC2046
list=$(calls @default $(sed -n 's/^SystemCallFilter=//p' "$unit") | sort -u | tr '\n' ' ')
check "groups are expanded" [ "$(wc -w <<<"$list")" -gt 200 ]

HILUM_WRAP="$build/lib/hilum-allow $list --"
start_server 'dicom = { aet = "HILUM"; unknown_peers = "accept"; };
plugins = ( { name = "codec-rle"; isolation = "process-weak"; } );'
check "it answers" echoscu -aec HILUM 127.0.0.1 "$port"
"$build/bin/hilum" --data "$work/server/data" plugin list codec-rle --json >"$work/plugin.json"
check "a codec runs in a worker" $python -c '
import json, sys
p = json.load(open(sys.argv[1]))
sys.exit(not (p["state"] == "running" and p["workers"] and p["crashes"] == 0))' "$work/plugin.json"
stop_server
check "an orderly end" [ $? = 0 ]
report
