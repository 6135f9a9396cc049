#!/usr/bin/env bash
# The samples for nginx and haproxy: they are valid, a study comes through each over HTTP/2 bit for bit, goes in through each,
# and whose request it is gets told. SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
PATH=$PATH:/usr/sbin
command -v nginx >/dev/null || skip "nginx is not installed"
command -v haproxy >/dev/null || skip "haproxy is not installed"

start_web 'unknown_clients = "refuse"; proxies = "127.0.0.1";' '' '{ name = "auth-local"; required = true; },'
send_demo
etc=$root/etc study=2.25.31074444438814285357292730408721544579
token=$("$build/bin/hilum" --data "$work/server/data" --json token create proxied administrator | $python -c 'import json,sys; print(json.load(sys.stdin)["token"])')
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -days 2 -subj /CN=pacs.example \
    -addext subjectAltName=DNS:pacs.example 2>/dev/null
cat "$work/cert.pem" "$work/key.pem" >"$work/both.pem"
address=${url#http://}

mkdir "$work/nginx"
nginx_port=$(free_port)
{
    echo "pid $work/nginx/pid; error_log $work/nginx/log; worker_processes 1; events { }"
    echo "http { access_log off; client_body_temp_path $work/nginx; proxy_temp_path $work/nginx; fastcgi_temp_path $work/nginx; uwsgi_temp_path $work/nginx; scgi_temp_path $work/nginx;"
    sed "s|127.0.0.1:8080;|$address;|; s|listen 443|listen 127.0.0.1:$nginx_port|; /\[::\]:443/d; s|/etc/nginx/pacs.example.pem|$work/cert.pem|; s|/etc/nginx/pacs.example.key|$work/key.pem|" "$etc/nginx/hilum.conf"
    echo "}"
} >"$work/nginx.conf"
check "the nginx sample is valid" nginx -q -t -c "$work/nginx.conf" -e "$work/nginx/log"
nginx -c "$work/nginx.conf" -e "$work/nginx/log" -g 'daemon off;' &
pids+=($!)

haproxy_port=$(free_port)
sed "s|127.0.0.1:8080 check|$address check|; s|bind :443|bind 127.0.0.1:$haproxy_port|; s|/etc/haproxy/pacs.example.pem|$work/both.pem|" "$etc/haproxy/hilum.cfg" >"$work/haproxy.cfg"
check "the haproxy sample is valid" haproxy -c -q -f "$work/haproxy.cfg"
haproxy -db -q -f "$work/haproxy.cfg" >"$work/haproxy.log" 2>&1 &
pids+=($!)

# through PORT CURL-ARGUMENT...
through() {
    local port=$1
    shift
    status --http2 --cacert "$work/cert.pem" --resolve "pacs.example:$port:127.0.0.1" -H "Authorization: Bearer $token" "$@"
}
dicom='multipart/related; type="application/dicom"; transfer-syntax=*'
settled 65
equal "the study itself" 200 "$(status -H "Authorization: Bearer $token" -H "Accept: $dicom" "$url/dicom-web/studies/$study")"
cp "$work/body" "$work/study"
for proxy in nginx haproxy; do
    port=$nginx_port
    [ $proxy = nginx ] || port=$haproxy_port
    base=https://pacs.example:$port/dicom-web
    check "$proxy answers" await 10 sh -c "curl -sf --cacert '$work/cert.pem' --resolve pacs.example:$port:127.0.0.1 https://pacs.example:$port/health >/dev/null"
    equal "$proxy: a study" 200 "$(through "$port" -H "Accept: $dicom" "$base/studies/$study")"
    check "$proxy: by HTTP/2" grep -q '^HTTP/2' "$work/head"
    check "$proxy: bit for bit" cmp "$work/study" "$work/body"
    equal "$proxy: metadata" 200 "$(through "$port" "$base/studies/$study/metadata")"
    check "$proxy: URLs as the client sees us" grep -q "\"BulkDataURI\":\"https://pacs.example:$port/dicom-web/studies/" "$work/body"
    equal "$proxy: a range" 206 "$(through "$port" -r 0-999 -H "Accept: $dicom" "$base/studies/$study")"
    boundary=$(sed -n 's/^--\([0-9a-f]\{32\}\)\r$/\1/p;q' "$work/study")
    equal "$proxy: a study goes in" 200 "$(through "$port" -H "Content-Type: multipart/related; type=\"application/dicom\"; boundary=$boundary" \
        --data-binary @"$work/study" "$base/studies")"
    equal "$proxy: without a token" 401 "$(status --cacert "$work/cert.pem" --resolve "pacs.example:$port:127.0.0.1" "$base/studies")"
done
check "it stops" stop_server
report
