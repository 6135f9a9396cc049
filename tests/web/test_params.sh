#!/usr/bin/env bash
# Every query parameter and header that the code of a web plugin reads is declared for OpenAPI, and nothing that it does not
# read. Of which route is contract_route's to judge; here branches count that no request of a test reaches.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 - <<'PY'
import glob, re, sys

READS = [r'(?<!_)query\([^;"]*?"(\w+)"', r'read_side\(call, "(\w+)"', r'header\([\w>.-]*http, "([\w-]+)"\)']
ACCEPT = "Accept"  # what a route gives says it


def judged(plugin):
    read, declared = set(), set()
    for path in glob.glob(f"plugins/{plugin}/*.c"):
        text = open(path).read()
        for pattern in READS:
            read |= set(re.findall(pattern, text))
        if path.endswith("search.c"):
            read |= set(re.findall(r'strcmp\(name, "(\w+)"\) == 0', text.split("hilum_rc read_parameter")[1].split("\n}")[0]))
        declared |= set(re.findall(r'(?:QUERY|REQUIRED)\("(\w+)"', text))
        declared |= set(re.findall(r'"([\w-]+)", HILUM_IN_\w+', text))
    return read - {ACCEPT}, declared


wrong = []
for plugin in ("web-dicomweb", "web-admin", "web-shell", "viewer-ohif"):
    read, declared = judged(plugin)
    wrong += [f"{plugin}: reads {name}, which it does not declare" for name in read - declared]
    # Range is read by the server itself, `attributes` is an object of any name.
    wrong += [f"{plugin}: declares {name}, which it does not read" for name in declared - read - {"Range", "attributes"}]
    if plugin == "web-dicomweb" and len(read) < 25:
        wrong.append(f"{plugin}: reads {len(read)} names only: this test has gone blind")
sys.exit("\n".join(wrong) or 0)
PY
