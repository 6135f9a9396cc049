#!/usr/bin/env bash
# Puts what drives and judges pages below build/pages and prints that folder; otherwise prints why not and fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
modules=$root/build/pages
command -v npm >/dev/null || { echo "npm is not installed"; exit 1; }
[ -x "${HILUM_CHROMIUM:-/usr/bin/chromium}" ] || { echo "chromium is not installed"; exit 1; }
mkdir -p "$modules"
if ! cmp -s "$root/tests/web/pages/package-lock.json" "$modules/installed.json"; then
    cp "$root"/tests/web/pages/package*.json "$modules"
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >"$modules/npm.log" 2>&1 ||
        { echo "npm could not install what drives pages (see $modules/npm.log)"; exit 1; }
    cp "$root/tests/web/pages/package-lock.json" "$modules/installed.json"
fi
cp "$root"/tests/web/pages/*.mjs "$modules"
echo "$modules"
