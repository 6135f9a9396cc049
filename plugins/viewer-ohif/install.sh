#!/usr/bin/env bash
# Fetches OHIF's prebuilt distribution and makes a bundle of it: install.sh DIRECTORY. All or nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: install.sh DIRECTORY}
package=@ohif/app@3.13.2
digest=sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==
command -v npm >/dev/null && command -v node >/dev/null || { echo "viewer-ohif: node and npm are needed" >&2; exit 1; }
mkdir -p "$(dirname "$out")"
work=$(mktemp -d "$out.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Without its dependencies: they are in the bundle already.
(cd "$work" && npm pack --silent "$package" >/dev/null) || { echo "viewer-ohif: npm could not fetch $package; is there a network?" >&2; exit 1; }
found=sha512-$(openssl dgst -sha512 -binary "$work"/ohif-app-*.tgz | base64 -w0)
[ "$found" = "$digest" ] || { echo "viewer-ohif: $package is not what was expected: $found" >&2; exit 1; }
tar -xzf "$work"/ohif-app-*.tgz -C "$work"
node "$here/install.mjs" "$work/package/dist" "$work/bundle"
cp "$work/package/LICENSE" "$work/bundle/LICENSE.txt"
# Compressed once here rather than at each request; what does not shrink is left alone.
find "$work/bundle" -type f \( -name '*.js' -o -name '*.css' -o -name '*.wasm' -o -name '*.svg' -o -name '*.json' \) -size +1k -print0 |
    xargs -0 -n 8 -P 2 gzip -k -6 -n
rm -rf "$out"
mv "$work/bundle" "$out"
