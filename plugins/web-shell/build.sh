#!/usr/bin/env bash
# Bundles the pages: build.sh NODE-DIRECTORY OUT STAMP. npm puts the bundler below the first. Where that cannot be, says
# why and leaves no stamp: a server can be built without pages.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
modules=$1 out=$2 stamp=$3
command -v npm >/dev/null && command -v node >/dev/null || { echo "web-shell: node and npm are not installed: no pages" >&2; exit 0; }
mkdir -p "$modules" "$(dirname "$out")"
if ! cmp -s "$here/package-lock.json" "$modules/installed.json"; then
    cp "$here/package.json" "$here/package-lock.json" "$modules"
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >"$modules/npm.log" 2>&1 || {
        echo "web-shell: npm could not install the bundler (see $modules/npm.log): no pages" >&2
        exit 0
    }
    cp "$here/package-lock.json" "$modules/installed.json"
fi
node "$here/build.mjs" "$here/pages" "$modules" "$out"
touch "$stamp"
