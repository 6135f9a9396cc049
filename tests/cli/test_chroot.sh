#!/usr/bin/env bash
# The tutorial of sdk/README.md where there is nothing but gcc, cmake, make and the SDK's package: a root directory made of
# the files of exactly these Debian packages and of what they depend on. SPDX-License-Identifier: Apache-2.0
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=${HILUM_BUILD:-$root/build/release}
skip() { echo "SKIP: $*"; exit 77; }
[ "$(id -u)" -eq 0 ] || skip "a root directory of its own needs root"
command -v dpkg-query >/dev/null || skip "the packages' files are Debian's"
[ -n "${HILUM_IN_NAMESPACE:-}" ] || { unshare --mount true 2>/dev/null || skip "no mount namespaces here"; HILUM_IN_NAMESPACE=1 exec unshare --mount bash "$0"; }
work=$(mktemp -d)
trap 'umount -R "$work/root/proc" "$work/root/dev" 2>/dev/null; rm -rf --one-file-system "$work"' EXIT
new=$work/root
mkdir -p "$new"
cpack --config "$build/CPackConfig.cmake" -B "$work/deb" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
deb=$(echo "$work"/deb/hilum-sdk_*.deb)

# ---- names of packages and of all they depend on, as installed here
dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Provides}\n' | grep '^ii' | sed 's/^ii *//; s/([^)]*)//g; s/,/ /g' >"$work/installed"
# who NAME: the package that is it, or stands for it; nothing where none is here.
who() { awk -v p="$1" '$1 == p { is = $1 } { for (i = 2; i <= NF; i++) if ($i == p && !as) as = $1 } END { print is ? is : as }' "$work/installed"; }
declare -A have=()
need() { # need "a (>= 1), b | c": one of each alternative
    local all choice name found
    IFS=, read -ra all <<<"$1"
    for choice in "${all[@]}"; do
        found=
        for name in $(sed 's/([^)]*)//g; s/:any//g; s/|/ /g' <<<"$choice"); do
            found=$(who "$name")
            [ -z "$found" ] || break
        done
        [ -n "$found" ] || { [ -z "${choice// /}" ] && continue; echo "nothing here is $choice"; exit 1; }
        [ -z "${have[$found]:-}" ] || continue
        have[$found]=1
        need "$(dpkg-query -W -f '${Pre-Depends}, ${Depends}' "$found" | head -n 1)"
    done
}
need "base-files, bash, coreutils, sed, gcc, libc6-dev, cmake, make, $(dpkg-deb -f "$deb" Depends)"
for name in "${!have[@]}"; do dpkg-query -L "$name"; done | sort -u >"$work/files"

# ---- their files, and what the packages' scripts would have made of them
for link in bin sbin lib lib64; do [ ! -L "/$link" ] || ln -s "$(readlink "/$link")" "$new/$link"; done
grep -E '^/(usr|etc|bin|sbin|lib|lib64)/' "$work/files" | grep -vE '^/usr/share/(doc|man|locale|info)/' |
    sed -E 's,^/(bin|sbin|lib|lib64)/,/usr/\1/,; s,^/,,' | sort -u >"$work/list"
tar -C / --no-recursion --ignore-failed-read -cf - --files-from "$work/list" 2>/dev/null | tar -C "$new" -xf - || true
mkdir -p "$new"/{tmp,proc,dev,root}
ln -sf gcc "$new/usr/bin/cc"
ln -sf bash "$new/usr/bin/sh"
dpkg-deb -x "$deb" "$new"
mount --bind /proc "$new/proc"
mount --rbind /dev "$new/dev" && mount --make-rslave "$new/dev"
inside() { chroot "$new" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/root /bin/bash -c "cd /root && $1"; }
for tool in python3 git ninja g++ pkg-config; do
    [ ! -e "$new/usr/bin/$tool" ] || { echo "$tool is there: this is not what a vendor may have"; exit 1; }
done
echo "a root directory of ${#have[@]} packages, $(du -sm "$new" --exclude=proc --exclude=dev | cut -f1) MB"

# ---- the ten minutes, word by word as the README has them
for step in 'hilum-plugin-new hook acme-counter' 'cmake -S acme-counter -B acme-counter/build && cmake --build acme-counter/build' \
    'hilum-plugin-check acme-counter/build/acme-counter.so'; do
    grep -qF "\`$step\`" "$root/sdk/README.md" || { echo "the tutorial has no step \"$step\""; exit 1; }
    inside "$step" >"$work/log" 2>&1 || { cat "$work/log"; echo "step \"$step\" failed"; exit 1; }
done
grep -q ' ok, 0 faults' "$work/log"
inside 'ctest --test-dir acme-counter/build --no-tests=error' >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
inside 'gcc -std=gnu17 -shared -fPIC -fvisibility=hidden -Wl,-z,now -I/usr/include acme-counter/acme-counter.c -o one.so && hilum-plugin-check --name acme-counter one.so' >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
echo "the tutorial holds where there is nothing else"
