#!/usr/bin/env bash
# What a stranger does first: scripts/run.sh with an empty data directory, the commands it prints, SIGTERM.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=""
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

"$root/scripts/run.sh" --data "$work/data" --dicom-port 0 >"$work/out" 2>"$work/err" &
server=$!
for _ in $(seq 600); do
    grep -q '^READY dicom=' "$work/out" && break
    kill -0 "$server" 2>/dev/null || { cat "$work/out" "$work/err"; echo "run.sh ended before READY"; exit 1; }
    sleep 0.1
done
address=$(sed -n 's/^READY dicom=//p' "$work/out")
port=${address##*:}
echo "ready at $address"

hilum="$root/build/release/bin/hilum"
"$hilum" --data "$work/data" study find wang | tee "$work/find"
grep -q '王^小明' "$work/find"
findscu -S -aec HILUM -k QueryRetrieveLevel=STUDY -k PatientName -k StudyDescription 127.0.0.1 "$port" >"$work/findscu" 2>&1
[ "$(grep -c 'Thorax p.a.\|Chest CT, calcium score\|Carotid ultrasound' "$work/findscu")" -eq 3 ]
echo "findscu sees the three demo studies"

kill -TERM "$server"
wait "$server"
server=""
echo "SIGTERM drained, exit 0"

# A second start takes seconds and does not store the demo again.
begin=$(date +%s)
"$root/scripts/run.sh" --data "$work/data" --dicom-port 0 --http-port 0 --no-viewer >"$work/out2" 2>&1 &
server=$!
for _ in $(seq 300); do grep -qs "^READY dicom=" "$work/out2" && break; sleep 0.1; done
grep -q '^READY dicom=' "$work/out2"
took=$(($(date +%s) - begin))
[ "$took" -le 10 ] || { echo "second start took $took s"; exit 1; }
[ "$("$hilum" --data "$work/data" --json study find | grep -o StudyInstanceUID | wc -l)" -eq 3 ]
url=$(sed -n 's/^READY dicom=[^ ]* http=//p' "$work/out2")
[ "$(curl -s -o /dev/null -w '%{http_code}' "$url/ready")" = 200 ] || { echo "READY names no server: $url"; exit 1; }
for _ in $(seq 100); do grep -qs "^The first administrator: .* user create" "$work/out2" && break; sleep 0.1; done
grep -q "^Pages: $url/ (from this machine without signing in)" "$work/out2"
if command -v npm >/dev/null; then
    [ "$(curl -s -o /dev/null -w '%{http_code}' "$url/")" = 200 ] || { echo "no page at $url/"; cat "$work/out2"; exit 1; }
fi
# Films: made where ffmpeg is installed, and 501 says what to write where it is not.
us=$(curl -s "$url/dicom-web/instances?Modality=US" | sed -n 's/.*"00081190":{"vr":"UR","Value":\["\([^"]*\)"\]}.*/\1/p' | head -1)
[ -n "$us" ] || { echo "no ultrasound in the demo"; exit 1; }
wanted=501
[ ! -x /usr/bin/ffmpeg ] || wanted=200
got=$(curl -s -o "$work/film" -w '%{http_code}' -H 'Accept: video/mp4' "$us/rendered")
[ "$got" = "$wanted" ] || { echo "a film: $got, expected $wanted"; cat "$work/film"; exit 1; }
kill -TERM "$server"
wait "$server"
server=""
echo "second start: $took s, still three studies"
