#!/usr/bin/env bash
# dcmjs-dimse as sender, finder and receiver: an upper layer that is not DCMTK's.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
modules=$root/build/dcmjs
mkdir -p "$modules"
cp "$root"/tests/dicom/dcmjs/package*.json "$modules"
command -v npm >/dev/null || { echo "npm is not installed"; exit 77; }
[ -d "$modules/node_modules/dcmjs-dimse" ] ||
    npm ci --prefix "$modules" --no-audit --no-fund --ignore-scripts >/dev/null 2>&1 ||
    { echo "npm could not install dcmjs-dimse"; exit 77; }
cp "$root/tests/dicom/dcmjs/client.js" "$modules"
exec python3 "$root/tests/dicom/dcmjs/run.py" "$modules/client.js"
