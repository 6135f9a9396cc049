#!/usr/bin/env bash
# As a vendor: the unpacked SDK package alone, a plugin of every kind begun, built and checked; and what
# hilum-plugin-check says of bad ones, of plugins built for each ABI there was, and of our own.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sdk=$work/package/usr
cpack --config "$build/CPackConfig.cmake" -B "$work/deb" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
dpkg-deb -x "$work"/deb/hilum-sdk_*.deb "$work/package"
[ ! -e "$sdk/sbin/hilumd" ]
grep -q "hilum_host" "$sdk/share/doc/hilum-sdk/reference.html"
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
    "$sdk/bin/hilum-plugin-check" "acme-$kind/build/acme-$kind.so" >"$work/out" 2>&1
    [ "$kind" = hook ] || grep -q '^ok .*contract of '"$kind"': every test' "$work/out" || { echo "kind $kind has no suite"; exit 1; }
    [ "$kind" = hook ] || [ -s "$sdk/share/hilum/sdk/contract/contract_$kind.c" ]
    ! grep -rq "example-$kind" "acme-$kind"/*.c || { echo "acme-$kind still calls itself an example"; exit 1; }
done
[ "$(echo "$kinds" | wc -w)" -ge 13 ]
echo "a plugin of each kind begun, built and checked: $kinds"

# ---- the one command of the tutorial, with pkg-config's flags
flags=$(PKG_CONFIG_PATH=$(dirname "$(find "$sdk" -name hilum-sdk.pc)") pkg-config --cflags hilum-sdk | sed "s|-I[^ ]*/include|-I$sdk/include|")
# shellcheck disable=SC2086
cc -std=gnu17 -Wall -Werror -shared -fPIC -fvisibility=hidden -Wl,-z,now $flags acme-hook/acme-hook.c -o acme-hook.so
"$sdk/bin/hilum-plugin-check" acme-hook.so >"$work/out" || { cat "$work/out"; exit 1; }

# ---- nothing is overwritten, nothing odd is accepted
! "$sdk/bin/hilum-plugin-new" hook acme-hook 2>"$work/err"
grep -q 'nothing was changed' "$work/err"
! "$sdk/bin/hilum-plugin-new" hook '../x' 2>/dev/null
! "$sdk/bin/hilum-plugin-new" blob acme-blob 2>/dev/null

# ---- what is said of plugins that are not sound
# expect NAME WORDS SED [compiler...]: the plugin of kind $kind with one thing wrong.
kind=operator
expect() {
    local name=$1 words=$2 change=$3 code=0
    shift 3
    [ $# -gt 0 ] || set -- cc -std=gnu17
    sed "$change" "acme-$kind/acme-$kind.c" >bad.c
    ! cmp -s bad.c "acme-$kind/acme-$kind.c" || [ "$name" = lazy ] || { echo "$name: nothing was changed"; exit 1; }
    cp bad.c bad.cc
    case $1 in *++) source=bad.cc ;; *) source=bad.c ;; esac
    "${@:1:2}" -w -shared -fPIC -fvisibility=hidden -Wl,-z,now "${@:3}" -I "$sdk/include" "$source" -o bad.so
    "$sdk/bin/hilum-plugin-check" --seconds 2 --name "acme-$kind" bad.so >"$work/out" 2>&1 || code=$?
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
expect "lazy" 'file: .*binds lazily' 's|^$||' cc -std=gnu17 -Wl,-z,lazy
expect "unique symbols" 'file: .*unique symbols; build it with -fno-gnu-unique' \
    's|^HILUM_EXPORT|__attribute__((visibility("default"))) inline int \&_shared() { static int n; return n; }\nint (*keep_)(void) __attribute__((visibility("hidden"))) = (int (*)(void))(void *)_shared;\n&|' c++ -std=c++20 -fpermissive
expect "overrun" 'contract of operator: the suite failed' 's|i + 1 < n; i += 2|i < n + 8; i += 2|'
expect "edited input" 'contract of operator: the suite failed' 's|to\[i\] = (unsigned char)|((unsigned char *)from)[i] = to[i] = (unsigned char)|'
expect "no entry" 'file: .*does not export hilum_plugin_entry' 's|^HILUM_EXPORT const struct hilum_plugin .hilum_plugin_entry|const struct hilum_plugin *other_entry|'
expect "another symbol" 'file: .*exports 1 symbols beside hilum_plugin_entry (more)' 's|^HILUM_EXPORT|__attribute__((visibility("default"))) int more(void) { return 1; }\n&|'
expect "undefined symbol" 'file: .*nobody_has_this' 's|^HILUM_EXPORT|extern int nobody_has_this(void); int (*keep_)(void) = nobody_has_this;\n&|'
expect "another ABI" 'file: .*ABI 9' 's|\.abi_major = HILUM_ABI_MAJOR|.abi_major = 9|'
expect "a newer ABI" 'file: .*ABI 1.77.*update Hilum' 's|\.abi_minor = HILUM_ABI_MINOR|.abi_minor = 77|'
kind=codec
expect "planes taken for pixels" 'contract of codec: the suite failed' 's|if (frame->is_planar .. frame->samples > 1)|if (0)|'
expect "a count that is believed" 'contract of codec: .*failed\|contract of codec: .*killed' 's/ || (uint64_t)count > n - done//'
kind=service
expect "two final responses" 'contract of service: the suite failed' 's|^    dicom->dataset_free(data);|    dicom->respond(exchange, 0, NULL, NULL, NULL);\n&|'
expect "no response" 'contract of service: the suite failed' 's|^    if (request->command_field != HILUM_N_GET)|    if (request->command_field == HILUM_N_SET) return HILUM_OK;\n&|'
kind=route
expect "no answer" 'contract of route: the suite failed' 's|return api->respond(.*|return HILUM_OK;|'
kind=auth
expect "open door" 'contract of auth: the suite failed' 's/return difference == 0 .. length > 0/return 1/'
kind=report
expect "a report that differs" 'contract of report: the suite failed' 's|rc = put(out, "REPORT")|{ static char n[2] = "0"; n[0]++; rc = put(out, n); }|'
kind=renderer
expect "deaf renderer" 'contract of renderer: the suite failed' 's|rc = out->write(out->ctx, pixels, n)|out->write(out->ctx, pixels, n)|'
kind=hl7
expect "a result that is none" 'contract of hl7: the suite failed' 's|return HILUM_PASS_ON|return 7|'
kind=notifier
expect "cannot take long texts" 'contract of notifier: the suite failed' 's|n = (int)sizeof line - 1|*(volatile char *)0 = 1|'
kind=carrier
mkdir "$work/peer"
export HILUM_CHECK_PEER=file://$work/peer
expect "a carrier that tells lies" 'contract of carrier: the suite failed' 's|item->rc = place(c, object, folder)|item->rc = HILUM_OK|'
expect "a carrier that leaks objects" 'contract of carrier: the suite failed' 's|^    objects->close(object);||'
expect "a carrier that takes any path" 'contract of carrier: the suite failed' 's|return n > 0 && n <= 64 && .*|return n < 1000;|'
unset HILUM_CHECK_PEER
kind=store
expect "no flush" 'contract of store: the suite failed' 's|txn->is_synced = rc == HILUM_OK|(void)0|'
echo "the faults are named"

# ---- what vendors built once goes on to work
for plugin in "$root"/tests/contract/frozen/*/*.so; do
    [ "$(uname -m)" = x86_64 ] || break
    "$sdk/bin/hilum-plugin-check" "$plugin" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err"; exit 1; }
done
echo "plugins of each ABI so far are sound"

# ---- our own
for plugin in "$build"/lib/hilum/plugins/*.so; do
    options=() env=()
    [ "$(basename "$plugin")" != http.so ] || options=("listen=127.0.0.1:0")
    # Its log as shipped is larger than the suite's small medium, which making it fills now and then.
    [ "$(basename "$plugin")" != store-fs.so ] || options=(intake=log segment=2MiB segments=3 memory=4MiB)
    # Its library aborts on some damaged streams, so it is shipped to run in workers.
    [ "$(basename "$plugin")" != codec-htj2k.so ] || env=(env HILUM_CHECK_WORKER=yes)
    "${env[@]}" "$sdk/bin/hilum-plugin-check" "$plugin" "${options[@]}" >"$work/out" 2>"$work/err" || { cat "$work/out" "$work/err"; exit 1; }
done
echo "our own plugins are sound"
