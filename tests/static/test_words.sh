#!/usr/bin/env bash
# What the audit record, events and jobs are called has words in the page that explains a study, in each language.
# SPDX-License-Identifier: Apache-2.0
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 - <<'PY'
import glob, re, sys

sources = [open(path, encoding="utf-8").read() for path in glob.glob("core/**/*.c", recursive=True) + glob.glob("plugins/**/*.c", recursive=True)]


def told(pattern):
    return {name for text in sources for name in re.findall(pattern, text)}


# Actions about images, studies and patients; those of the machine itself are in no study's story.
actions = {name for text in sources for call in re.findall(r"hl_(?:audit_add|record_audit)\(([^;]*);", text) for name in re.findall(r'"([a-z]+\.[a-z]+)"', call)}
actions = {a for a in actions if a.split(".")[0] in ("instance", "object", "study", "patient", "quarantine", "peer")}
events = set(re.findall(r'\{"((?:instance|object|series|study|patient|retrieve)\.[a-z]+)"', open("core/bus/bus.c").read()))
jobs = {name for name in told(r'\.type = "([a-z-]+)"') | told(r'struct web_study_job job = \{\.name = "([a-z]+)"')}
silent = []
for language in ("en", "zh"):
    page = open(f"plugins/web-shell/pages/src/texts/{language}.ts", encoding="utf-8").read()
    for block, names in (("auditActions", actions), ("events", events), ("jobTypes", jobs)):
        words = set(re.findall(r"'([^']+)': '", re.search(block + r": \{(.*?)\n  \}", page, re.S).group(1)))
        silent += [f"{language}: {block}: {name}" for name in sorted(names - words)]
print(f"{len(actions)} actions, {len(events)} events, {len(jobs)} jobs")
if silent or min(len(actions), len(events), len(jobs)) < 5:
    sys.exit("no words for " + ", ".join(silent))
PY
