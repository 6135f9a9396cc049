#!/usr/bin/env bash
# requests.tsv against a server: status and media type of every row.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v dcmcrle >/dev/null || skip "dcmcrle is not installed"

start_web
send_demo
send_rle
first() { grep -o "\"$1\":{\"vr\":\"UI\",\"Value\":\\[\"[0-9.]*" "$work/body" | head -1 | sed 's/.*"//'; }
status "$url/dicom-web/instances?PatientID=DEMO-0001&SOPClassUID=1.2.840.10008.5.1.4.1.1.2&limit=1" >/dev/null
study=$(first 0020000D) series=$(first 0020000E) instance=$(first 00080018)
while IFS=$'\t' read -r section method path accept code type why; do
    case $section in '#'* | section) continue ;; esac
    path=${path//"{study}"/$study} path=${path//"{series}"/$series} path=${path//"{instance}"/$instance}
    path=${path//"{rstudy}"/2.25.7003} path=${path//"{rseries}"/2.25.7002} path=${path//"{rinstance}"/2.25.7001}
    arguments=(-X "$method" -H "Accept: $accept")
    [ "$method" = HEAD ] && arguments=(-I -H "Accept: $accept")
    [ "$accept" = - ] && arguments=(-X "$method")
    got=$(status -g "${arguments[@]}" "$url$path")
    is=$(sed -n 's/^[Cc]ontent-[Tt]ype: *\([^;\r]*\).*/\1/p' "$work/head")
    equal "$section $method $path [$accept] ($why)" "$code $type" "$got ${is:--}"
done <"$root/tests/web/requests.tsv"
check "it stops" stop_server
report
