#!/usr/bin/env bash
# Every source in C is taken by clang too, with the same warnings as errors: the fuzzers are built by it, and vendors may.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
commands=${HILUM_BUILD:-$root/build/release}/compile_commands.json
[ -e "$commands" ] || { echo "no $commands: build first"; exit 1; }
# gcc's own option is taken out; so are launchers, and what names an output. Left alone: libseccomp's macros, which name no last
# field, and the tables of the hostile plugin, of which each of its builds uses some.
python3 - "$commands" <<'EOF' | xargs -0 -P "$(nproc)" -n 1 sh -c
import json, shlex, sys

for unit in json.load(open(sys.argv[1])):
    if not unit["file"].endswith(".c"):
        continue
    words = shlex.split(unit["command"])
    while not words[0].rsplit("/", 1)[-1] in ("cc", "gcc", "clang"):
        words.pop(0)
    words = [w for w in words[1:] if w not in ("-fno-gnu-unique", "-c")]
    words = words[:words.index("-o")] + words[words.index("-o") + 2:]
    command = ["clang", "-fsyntax-only", "-Wno-unknown-warning-option", *words,
               "-Wno-missing-field-initializers", "-Wno-unneeded-internal-declaration"]
    print(f"cd {shlex.quote(unit['directory'])} && {shlex.join(command)}", end="\0")
EOF
