#!/usr/bin/env bash
# Files of a plugin's pages: media types, entity tags, small forms, names kept for good, and no way out of the directory.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pages=$work/pages
mkdir -p "$pages/sub"
printf '<!doctype html><p>page' >"$pages/index.html"
printf 'secret' >"$work/secret.txt"
printf 'hidden' >"$pages/.hidden"
head -c 5000 /dev/zero | tr '\0' 'a' >"$pages/app-7KQX2MNB.js"
gzip -k "$pages/app-7KQX2MNB.js"
printf 'wasm' >"$pages/0ddf166f7a343eda.wasm"
printf 'deep' >"$pages/sub/deep.css"
printf 'plain' >"$pages/interpolation.js"
ln -s ../secret.txt "$pages/link.txt"
ln -s .. "$pages/up"
mkfifo "$pages/pipe.js"
start_web '' '' "{ name = \"web-shell\"; options = { root = \"$pages\"; }; },"

head_of() { grep -i "^$1:" "$work/head" | tr -d '\r' | sed 's/^[^:]*: *//'; }
equal "the page" 200 "$(status "$url/")"
equal "its type" "text/html; charset=utf-8" "$(head_of content-type)"
equal "is asked for again" "private, no-cache" "$(head_of cache-control)"
tag=$(head_of etag)
equal "not changed" 304 "$(status -H "If-None-Match: $tag" "$url/")"
equal "changed" 200 "$(status -H 'If-None-Match: "other"' "$url/")"
check "nothing from elsewhere" grep -qi "^content-security-policy: default-src 'none'; script-src 'self'" "$work/head"
equal "a script" 200 "$(status "$url/shell/app-7KQX2MNB.js")"
equal "is whole" 5000 "$(wc -c <"$work/body")"
equal "for good" "public, max-age=31536000, immutable" "$(head_of cache-control)"
large=$(head_of etag)
equal "its small form" 200 "$(status -H 'Accept-Encoding: gzip' "$url/shell/app-7KQX2MNB.js")"
equal "is told" gzip "$(head_of content-encoding)"
check "is small" [ "$(wc -c <"$work/body")" -lt 200 ]
check "has a tag of its own" [ "$(head_of etag)" != "$large" ]
check "is the same" sh -c "gzip -dc <'$work/body' | cmp - '$pages/app-7KQX2MNB.js'"
equal "small form refused" 200 "$(status -H 'Accept-Encoding: gzip;q=0' "$url/shell/app-7KQX2MNB.js")"
equal "a range" 206 "$(status -H 'Range: bytes=10-19' "$url/shell/app-7KQX2MNB.js")"
equal "of ten" 10 "$(wc -c <"$work/body")"
equal "HEAD" 200 "$(status -I "$url/shell/app-7KQX2MNB.js")"
status "$url/shell/0ddf166f7a343eda.wasm" >/dev/null
equal "WebAssembly" "application/wasm" "$(head_of content-type)"
check "by its hash" grep -qi '^cache-control:.*immutable' "$work/head"
status "$url/shell/interpolation.js" >/dev/null
check "a word is no hash" sh -c "! grep -qi immutable '$work/head'"
equal "a folder's file" 200 "$(status "$url/shell/sub/deep.css")"
for path in none.js sub sub/ .hidden link.txt up/secret.txt ../secret.txt %2e%2e/secret.txt ..%2fsecret.txt pipe.js sub//deep.css; do
    code=$(status --path-as-is "$url/shell/$path")
    check "no $path" [ "$code" = 404 -o "$code" = 400 ]
    check "nothing of it" sh -c "! grep -q 'secret\|hidden' '$work/body'"
done
by() { "$build/bin/hilum" --data "$work/server/data" --json plugin list "$1" | grep -o '"swap": *"[a-z]*"' | sed 's/.*"\([a-z]*\)"$/\1/'; }
equal "pages change by" restart "$(by web-shell)" # what a route answers may be under way, whatever its descriptor says
equal "the web face by" handover "$(by http)"
equal "queries" beside "$(by dicom-query)"
equal "no posting" 405 "$(status -X POST "$url/shell/sub/deep.css")"
check "it stops" stop_server
report
