#!/usr/bin/env bash
# Installs what is missing, builds Hilum, starts it with demo studies. Foreground until SIGTERM or Ctrl-C.
set -euo pipefail

usage() {
    cat <<'TXT'
usage: scripts/run.sh [--data DIR] [--site DIR] [--dicom-port N] [--http-port N] [--no-viewer] [--no-demo]

  --data DIR      where studies and the catalogue are kept (default: build/data)
  --site DIR      your configuration: *.cfg, rules/*.lua, tables/*.csv. Without it Hilum listens on
                  127.0.0.1 only and accepts every peer from this machine
  --dicom-port N  DICOM port on 127.0.0.1 (0: any free port); default 11112, with --site what it says
  --http-port N   HTTP too, on this port of 127.0.0.1 (0: any free port), with pages and the OHIF viewer, which npm
                  fetches once (50 MB); otherwise only if --site says so
  --no-viewer     without fetching it
  --no-demo       do not send the demo studies (rules and routes of --site see them too)
TXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
data=$root/build/data site="" port="" http="" demo=yes viewer=yes
while [ $# -gt 0 ]; do
    case $1 in
    --data | --site | --dicom-port | --http-port)
        [ $# -ge 2 ] || { echo "$1 needs a value" >&2; usage >&2; exit 2; }
        case $1 in
        --data) data=$2 ;;
        --site) site=$2 ;;
        --dicom-port) port=$2 ;;
        --http-port) http=$2 ;;
        esac
        shift 2
        ;;
    --no-demo) demo=no; shift ;;
    --no-viewer) viewer=no; shift ;;
    -h | --help) usage; exit 0 ;;
    *) echo "unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
done
# is_port OPTION VALUE
is_port() {
    [ -z "$2" ] || { [[ $2 =~ ^[0-9]{1,5}$ ]] && [ "$2" -le 65535 ]; } && return
    echo "$1 $2: expected a number from 0 to 65535" >&2
    return 1
}
is_port --dicom-port "$port" && is_port --http-port "$http" || exit 2
if [ -n "$site" ] && [ ! -d "$site" ]; then
    echo "--site $site: no such directory" >&2
    exit 2
fi

if [ -n "$site" ]; then
    site=$(cd "$site" && pwd)
elif [ -z "$port" ]; then
    port=11112
fi
# unusable WHAT REASON: the reason as a program told it, "program: place: reason".
unusable() {
    echo "--data $data: $1: ${2##*: }; name a directory that $(id -un) may write to, with some GiB free" >&2
    exit 1
}
said=$(mkdir -p "$data" 2>&1) || unusable "cannot be made" "$said"
data=$(cd "$data" && pwd)
# Asked before anything is written there: what this script writes belongs to the server that runs.
if [ -e "$data/hilumd.lock" ]; then
    said=$( (exec 9<>"$data/hilumd.lock") 2>&1) || unusable "of another user or read-only" "$said"
    if ! flock -n "$data/hilumd.lock" true; then
        echo "$data is in use by a running hilumd: stop it, or name another directory with --data" >&2
        exit 1
    fi
fi

. "$root/scripts/packages.sh"
# shellcheck disable=SC2086
need_packages $hilum_build_packages
[ -x "$root/build/release/bin/hilumd" ] || echo "building (some minutes, the first time only)"
if [ -x "$root/build/release/bin/hilumd" ] && [ ! -w "$root/build/release" ]; then
    echo "using what $(stat -c %U "$root/build/release") built; $(id -un) may not build in $root" >&2
else
    build_preset "$root" release product || {
        echo "the lines above say why. With a compiler error in an old checkout: rm -r $root/build/release; elsewhere: is $root yours, is its disk full?" >&2
        exit 1
    }
fi
# Pages and the viewer are a convenience: without them everything else still runs, and says so.
if [ -n "$http" ] && [ -w "$root/build/release" ]; then
    command -v npm >/dev/null || need_packages nodejs npm ||
        echo "without node and npm there are no pages, only DICOMweb" >&2
    [ -f "$root/build/release/lib/hilum/web/web-shell/index.html" ] || build_preset "$root" release web-shell ||
        echo "the lines above say why there are no pages; DICOMweb is served all the same" >&2
    if [ "$viewer" = yes ] && [ ! -f "$root/build/release/lib/hilum/web/viewer-ohif/index.html" ]; then
        echo "fetching the OHIF viewer (50 MB, the first time only)"
        build_preset "$root" release viewer ||
            echo "the lines above say why there is no viewer; everything else is served all the same" >&2
    fi
fi
bin=$root/build/release/bin

args=(--config "$root/etc/hilum.cfg" --conf-dir "$root/etc/conf.d" --data "$data"
    --plugin-dir "$root/build/release/lib/hilum/plugins" --rules-dir "$root/scripts/core")
[ -z "$site" ] || args+=(--site "$site")

# What this script adds to the configuration; read after everything else.
extra=$data/run.cfg
dicom=""
[ -n "$site" ] || dicom+=' unknown_peers = "accept";'
plugins=""
[ "$demo" = no ] || plugins='{ name = "demo-phantom"; }'
if [ -n "$http" ]; then
    films="" # moving pictures, where Debian's ffmpeg is
    [ ! -x /usr/bin/ffmpeg ] || films=' programs = ( "/usr/bin/ffmpeg" );'
    plugins+="${plugins:+, }{ name = \"web-dicomweb\";$films }, { name = \"auth-local\"; }, { name = \"web-shell\"; }, { name = \"web-admin\"; }, "
    plugins+='{ name = "viewer-ohif"; }, '
    plugins+="{ name = \"http\"; required = true; options = { listen = \"127.0.0.1:$http\";"
    [ -n "$site" ] || plugins+=' unknown_clients = "accept";'
    plugins+=' }; }'
fi
[ -z "$port" ] || dicom+=" listen = ( \"127.0.0.1:$port\" );"
text=$(
    echo "# Written anew by scripts/run.sh at each start."
    [ -z "$dicom" ] || echo "dicom = {$dicom };"
    [ -z "$plugins" ] || echo "plugins = ( $plugins );"
    [ -n "$site" ] || echo 'log = { format = "text"; };'
    if [ "$demo" = yes ]; then
        # The title under which a server calls itself: the demo comes in by the network, as a peer.
        echo 'peers = ( { name = "HILUM_SELF"; aet = "HILUM_SELF"; cidr = ( "127.0.0.0/8", "::1" );'
        echo '            services = ( "echo", "store" ); } );'
    fi
)
# Half of it would be another configuration: written whole or not started.
said=$( (printf '%s\n' "$text" >"$extra") 2>&1) || unusable "cannot be written" "$said"
args+=(--extra "$extra")

ready=$(mktemp -u "$data/ready.XXXXXX")
mkfifo "$ready"
exec 3<>"$ready"
rm -f "$ready"
"$bin/hilumd" "${args[@]}" >&3 &
server=$!
trap 'kill -TERM "$server" 2>/dev/null || true' TERM INT
address="" ready_line="" part=""
while kill -0 "$server" 2>/dev/null; do
    if ! read -r -t 0.2 -u 3 line; then
        part+=$line # the time was up in the middle of a line
    else
        line=$part$line part=""
        case $line in
        "READY dicom="*) ready_line=$line address=${line#READY dicom=} address=${address%% *}; break ;;
        *) echo "$line" ;;
        esac
    fi
done
if [ -z "$address" ]; then
    wait "$server" && code=0 || code=$?
    [ "$code" -eq 0 ] || echo "hilumd did not start; the lines above say why" >&2
    exit "$code"
fi

hilum=$(printf '%q --data %q' "$bin/hilum" "$data")
if [ "$demo" = yes ]; then
    # On a terminal its progress is one line; elsewhere it is noise, until it fails.
    if [ -t 2 ]; then
        "$bin/hilum" --data "$data" demo send >/dev/null
    else
        "$bin/hilum" --data "$data" --json demo send >/dev/null
    fi || echo "the demo studies were not sent, the lines above say why; the server runs all the same ($hilum status)" >&2
fi
host=${address%:*} number=${address##*:}
host=${host#[} host=${host%]}
echo "$ready_line"
echo "Try, in another terminal:"
if [ -n "$site" ]; then
    cat <<TXT
  $hilum status
  $hilum peer list
  $hilum config reload      # after a change in $site
TXT
elif [ "$demo" = yes ]; then
    cat <<TXT
  $hilum study find wang
  $hilum import /path/to/dicom/files
  findscu -S -aec HILUM -k QueryRetrieveLevel=STUDY -k PatientName -k StudyDescription $host $number   # package dcmtk
TXT
else
    cat <<TXT
  $hilum status
  $hilum import /path/to/dicom/files
  storescu -aec HILUM +sd +r $host $number /path/to/dicom/files   # package dcmtk
TXT
fi
url=${ready_line##* http=}
if [ "$url" != "$ready_line" ]; then
    [ -n "$site" ] && how="sign in first" || how="from this machine without signing in"
    echo "Pages: ${url%% *}/ ($how)"
    echo "The first administrator: $hilum user create NAME --admin"
fi
echo "All commands: $hilum help"
echo "Stop with Ctrl-C."
code=0
while kill -0 "$server" 2>/dev/null; do
    wait "$server" && code=0 || code=$?
done
exit "$code"
