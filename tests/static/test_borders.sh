#!/usr/bin/env bash
# Who may include what (core/README.md), in a few lines of grep; the shape tool, where it is, says more.
cd "$(dirname "$0")/../.." || exit 1
bad=0
# border NAME PATTERN ALLOWED: files that match PATTERN outside of ALLOWED.
border() {
    local found
    found=$(git grep -lE "$2" -- '*.c' '*.h' '*.cc' | grep -vE "$3")
    [ -z "$found" ] || { echo "border $1 crossed in: $found"; bad=1; }
}
border libltdl '# *include *[<"]ltdl\.h' '^core/plugin/loader\.c$'
border libconfig '# *include *[<"]libconfig\.h' '^core/config/'
border Lua '# *include *[<"]l(ua|auxlib|ualib)\.h' '^(core/script/|tests/)'
border DCMTK '# *include *[<"]dcmtk/' '^(core/dicom/dcmtk/|plugins/codec-jpeg/ijg\.cc|tests/)'
border SQLite '# *include *[<"]sqlite3\.h' '^(plugins/db-sqlite/|sdk/examples/database/|tests/)'
border SQL '"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\b' '^(core/record/|plugins/db-|tests/|sdk/)'
border 'kernel in a plugin' '# *include *"core/' '^(core|tests)/'
border 'C++ outside its home' '^extern "C" \{' '^(core/dicom/dcmtk/|plugins/codec-|sdk/|tests/)'
long=$(git ls-files '*.c' '*.h' '*.cc' | xargs wc -l | awk '$1 > 800 && $2 != "total" {print $2 " (" $1 ")"}')
[ -z "$long" ] || { echo "over 800 lines: $long"; bad=1; }
exit $bad
