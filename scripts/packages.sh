# Sourced by run.sh and tests/run.sh: installs Debian packages that are missing, and says so.

hilum_build_packages="g++ python3-minimal cmake ninja-build pkg-config libltdl-dev libconfig-dev libdcmtk-dev
    liblua5.4-dev libsqlite3-dev libssl-dev libicu-dev libxxhash-dev libjansson-dev zlib1g-dev
    uuid-dev libcmocka-dev libmicrohttpd-dev libgnutls28-dev libzstd-dev
    libseccomp-dev libsodium-dev libcurl4-openssl-dev libxml2-dev libarchive-dev libcharls-dev libopenjp2-7-dev libopenjph-dev libjxl-dev libjpeg62-turbo-dev libpng-dev
    libfreetype-dev liblcms2-dev libharfbuzz-dev libfribidi-dev libsimde-dev"

# need_packages NAME...: needs root or sudo only when something is missing.
need_packages() {
    local missing=() package as_root=() log
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null || {
            echo "missing packages; install them as root: apt-get install ${missing[*]}" >&2
            return 1
        }
        as_root=(sudo)
    fi
    echo "installing: ${missing[*]}"
    log=$(mktemp)
    if ! { "${as_root[@]}" apt-get update -qq &&
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
            --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        echo "apt-get could not install: ${missing[*]}" >&2
        return 1
    fi
    rm -f "$log"
}

# build_preset ROOT PRESET [TARGET...]: configures once, then builds what changed. Quiet unless it fails;
# on a terminal one line of progress.
build_preset() {
    local root=$1 preset=$2 dir=$1/build/$2 log
    shift 2
    log=$(mktemp)
    if ! { [ -f "$dir/build.ninja" ] ||
        cmake -S "$root" -B "$dir" -G Ninja -DHILUM_PRESET="$preset" >"$log" 2>&1; } ||
        ! if [ -t 1 ]; then ninja -C "$dir" "$@"; else ninja -C "$dir" "$@" >"$log" 2>&1; fi; then
        tail -n 60 "$log" >&2
        rm -f "$log"
        echo "building the $preset preset failed" >&2
        return 1
    fi
    rm -f "$log"
}
