#!/usr/bin/env bash
# As a vendor: the installed SDK alone, a plugin of every kind begun, built and checked; and what
# hilum-plugin-check says of bad ones, and of our own.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sdk=$work/prefix
cmake --install "$build" --component sdk --prefix "$sdk" >"$work/log"
[ ! -e "$sdk/sbin/hilumd" ]
cd "$work"

# ---- one of each kind, by its CMake package, without anything of ours in the environment
begin() {
    local kind=$1 clean=(env -i PATH="/usr/bin:/bin" CMAKE_PREFIX_PATH="$sdk")
    "$sdk/bin/hilum-plugin-new" "$kind" "acme-$kind" &&
        "${clean[@]}" cmake -G Ninja -S "acme-$kind" -B "acme-$kind/build" &&
        "${clean[@]}" cmake --build "acme-$kind/build" &&
        "${clean[@]}" ctest --test-dir "acme-$kind/build" --no-tests=error --output-on-failure
}
export -f begin
export sdk
kinds=$(cd "$sdk/share/hilum/sdk/examples" && echo *)
for kind in $kinds; do
    begin "$kind" >"$work/log" 2>&1 || { cat "$work/log"; echo "kind $kind failed"; exit 1; }
    ! grep -rq "example-$kind" "acme-$kind"/*.c || { echo "acme-$kind still calls itself an example"; exit 1; }
done
[ "$(echo "$kinds" | wc -w)" -ge 11 ]
echo "a plugin of each kind begun, built and checked: $kinds"

# ---- the one command of the tutorial, with pkg-config's flags
flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$sdk" -name hilum-sdk.pc)") pkg-config --cflags hilum-sdk | sed "s|-I[^ ]*/include|-I$sdk/include|")
# shellcheck disable=SC2086
cc -std=c17 -Wall -Werror -shared -fPIC -fvisibility=hidden -Wl,-z,now $flags acme-hook/acme-hook.c -o acme-hook.so
"$sdk/bin/hilum-plugin-check" acme-hook.so >"$work/out" || { cat "$work/out"; exit 1; }

# ---- nothing is overwritten, nothing odd is accepted
! "$sdk/bin/hilum-plugin-new" hook acme-hook 2>"$work/err"
grep -q 'nothing was changed' "$work/err"
! "$sdk/bin/hilum-plugin-new" hook '../x' 2>/dev/null
! "$sdk/bin/hilum-plugin-new" blob acme-blob 2>/dev/null

# ---- what is said of plugins that are not sound
# expect NAME WORDS SED [compiler...]: the operator with one thing wrong.
expect() {
    local name=$1 words=$2 change=$3 code=0
    shift 3
    [ $# -gt 0 ] || set -- cc -std=c17
    sed "$change" acme-operator/acme-operator.c >bad.c
    cp bad.c bad.cc
    case $1 in *++) source=bad.cc ;; *) source=bad.c ;; esac
    "${@:1:2}" -w -shared -fPIC -fvisibility=hidden -Wl,-z,now "${@:3}" -I "$sdk/include" "$source" -o bad.so
    "$sdk/bin/hilum-plugin-check" --seconds 2 --name acme-operator bad.so >"$work/out" 2>&1 || code=$?
    { [ "$code" -eq 1 ] && grep -q "^BAD .*$words" "$work/out"; } ||
        { cat "$work/out"; echo "$name: expected \"$words\", exit $code"; exit 1; }
}
before='    return host->provide(self, &table.cap, NULL);'
expect "null write" 'init: the process was killed by Segmentation fault' "s|^$before|    *(volatile int *)0 = 1;\n&|"
expect "endless init" 'init: is not over in time' "s|^$before|    for (volatile int i = 0;; i++);\n&|"
expect "exit" 'init: the plugin ended the process' "s|^$before|    _exit(0);\n&|; s|^#include <stddef.h>|&\n#include <unistd.h>|"
expect "thread" 'drain and fini: 1 threads still run' "s|^$before|    pthread_t t; pthread_create(\&t, 0, (void *(*)(void *))pause, 0);\n&|; s|^#include <stddef.h>|&\n#include <pthread.h>\n#include <unistd.h>|"
expect "file" 'a second life: 1 files are left open' "s|^$before|    open(\"/dev/null\", 0);\n&|; s|^#include <stddef.h>|&\n#include <fcntl.h>|"
expect "no licence" 'descriptor: licence' 's|\.licence = "MIT"|.licence = ""|'
expect "undocumented option" 'options: depth: help is missing' 's|^    static const struct hilum_plugin plugin|    static const struct hilum_option options[] = {{"depth", HILUM_OPT_INT, 0, "1", "1..9", ""}, {0}};\n&|; s|\.init = init|.conf_size = 8, .options = options, .init = init|'
expect "missing member" 'init: .*apply is missing' 's|\.apply = apply,||'
expect "lazy" 'file: .*binds lazily' 's|^$||' cc -std=c17 -Wl,-z,lazy
expect "unique symbols" 'file: .*unique symbols; build it with -fno-gnu-unique' \
    's|^HILUM_EXPORT|__attribute__((visibility("default"))) inline int \&_shared() { static int n; return n; }\nint (*keep_)(void) __attribute__((visibility("hidden"))) = (int (*)(void))(void *)_shared;\n&|' c++ -std=c++20 -fpermissive
echo "ten faults are named"

# ---- our own
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
for plugin in "$build"/lib/hilum/plugins/*.so; do
    options=()
    [ "$(basename "$plugin")" != http.so ] || options=("listen=127.0.0.1:$port")
    "$sdk/bin/hilum-plugin-check" "$plugin" "${options[@]}" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err"; exit 1; }
done
echo "our own plugins are sound"
