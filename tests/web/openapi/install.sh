#!/usr/bin/env bash
# Puts the judge of OpenAPI below build/openapi and prints that folder; otherwise prints why not and fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
modules=$root/build/openapi
command -v npm >/dev/null || { echo "npm is not installed"; exit 1; }
mkdir -p "$modules"
if ! cmp -s "$root/tests/web/openapi/package-lock.json" "$modules/installed.json"; then
    cp "$root"/tests/web/openapi/package*.json "$modules"
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >"$modules/npm.log" 2>&1 ||
        { echo "npm could not install the judge of OpenAPI (see $modules/npm.log)"; exit 1; }
    cp "$root/tests/web/openapi/package-lock.json" "$modules/installed.json"
fi
cp "$root/tests/web/openapi/judge.mjs" "$modules"
echo "$modules"
