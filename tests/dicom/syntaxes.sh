#!/usr/bin/env bash
# The table of syntaxes, decoded and encoded, with counts of files of the shared data; minutes. Not a test: what fails is told by
# test_pixels.sh and test_encoders.sh, which it runs over everything. SPDX-License-Identifier: Apache-2.0
here=$(dirname "${BASH_SOURCE[0]}")
export HILUM_ALL=1
out=$(mktemp -d) && trap 'rm -rf "$out"' EXIT
bash "$here/test_pixels.sh" >"$out/decoded"
[ $? -ne 77 ] || { cat "$out/decoded"; exit 77; }
bash "$here/test_encoders.sh" >"$out/encoded"
python3 - "$out" <<'PY'
import re, sys

decoded, encoded, rest = {}, {}, []
for line in open(sys.argv[1] + "/decoded"):
    found = re.match(r"([\d.]+): (\d+) files, (\d+) agree, (\d+) without a judge", line)
    if found:
        decoded[found[1]] = found.groups()[1:]
    else:
        rest.append("decoding: " + line.rstrip())
for line in open(sys.argv[1] + "/encoded"):
    found = re.match(r"(.+?) +(1\.2\.840[\d.]+) +(\d+) files, +(\d+) confirmed by others, +(\d+) by ourselves alone, +(\d+) refused", line)
    if found:
        encoded[found[2]] = found.groups()[2:]
    elif not line.startswith("refused:"):
        rest.append(line.rstrip())
print("| syntax | files decoded | agree with a foreign decoder | nobody else decodes | files encoded | confirmed by others | by ourselves alone | refused |")
print("|---|---|---|---|---|---|---|---|")
key = lambda uid: [int(part) for part in uid.split(".")]
for uid in sorted({*decoded, *encoded}, key=key):
    cells = [*decoded.get(uid, ("", "", "")), *encoded.get(uid, ("", "", "", ""))]
    print(f"| {uid.replace('1.2.840.10008.1.2', '')} | " + " | ".join(cells) + " |")
print("\n".join(["", *rest]))
PY
