#!/usr/bin/env bash
# dcmjs-dimse as sender, finder and receiver: an upper layer that is not DCMTK's.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
modules=$("$root/tests/dicom/dcmjs/install.sh") || { echo "$modules"; exit 77; }
cp "$root/tests/dicom/dcmjs/client.js" "$modules"
exec python3 "$root/tests/dicom/dcmjs/run.py" "$modules/client.js"
