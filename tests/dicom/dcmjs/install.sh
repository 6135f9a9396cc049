#!/usr/bin/env bash
# Puts dcmjs-dimse below build/dcmjs and prints that folder; otherwise prints why not and fails.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
modules=$root/build/dcmjs
mkdir -p "$modules"
cp "$root"/tests/dicom/dcmjs/package*.json "$modules"
command -v npm >/dev/null || { echo "npm is not installed"; exit 1; }
[ -d "$modules/node_modules/dcmjs-dimse" ] ||
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >/dev/null 2>&1 ||
    { echo "npm could not install dcmjs-dimse"; exit 1; }
echo "$modules"
