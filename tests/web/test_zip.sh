#!/usr/bin/env bash
# application/zip of a study, a series, an instance: the files that leave one by one, told by other people's unzip.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
start_web
send_demo
send_rle
dw=$url/dicom-web
settled 68
zip() { status -H 'Accept: application/zip' "$@"; }
status "$dw/instances?Modality=CT&limit=1" >/dev/null
value() { $python -c 'import json,sys; print(json.load(open(sys.argv[1]))[0][sys.argv[2]]["Value"][0])' "$work/body" "$1"; }
study=$(value 0020000D) series=$(value 0020000E) instance=$(value 00080018)
equal "a study" 200 "$(zip "$dw/studies/$study")"
check "has a name" grep -qi "^content-disposition: attachment; filename=\"$study.zip\"" "$work/head"
tag=$(sed -n 's/^[Ee][Tt]ag: *\([^[:space:]]*\).*/\1/p' "$work/head")
cp "$work/body" "$work/study.zip"
check "its files are those that leave alone" $python - "$work/study.zip" "$dw" "$study" <<'PY'
import sys, urllib.request, zipfile
path, dw, study = sys.argv[1:]
with zipfile.ZipFile(path) as archive:
    names = archive.namelist()
    assert archive.testzip() is None and len(set(names)) == 65, len(names)
    for name in names[::8]:
        series, instance = name.removesuffix(".dcm").split("/")
        request = urllib.request.Request(f"{dw}/studies/{study}/series/{series}/instances/{instance}",
                                         headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert archive.read(name) == urllib.request.urlopen(request).read(), name
    assert sum(i.compress_size for i in archive.infolist()) < sum(i.file_size for i in archive.infolist())
PY
equal "not again" 304 "$(zip -H "If-None-Match: $tag" "$dw/studies/$study")"
equal "told again" 200 "$(zip "$dw/studies/$study")"
check "are the same bytes" cmp "$work/body" "$work/study.zip"
equal "a series" 200 "$(zip "$dw/studies/$study/series/$series")"
equal "an instance" 200 "$(zip "$dw/studies/$study/series/$series/instances/$instance")"
check "is one file" $python -c 'import sys, zipfile; assert zipfile.ZipFile(sys.argv[1]).namelist() == [sys.argv[2]]' "$work/body" "$series/$instance.dcm"
equal "decoded, as who names no syntax gets it" 200 "$(zip "$dw/studies/2.25.7003")"
check "is explicit little endian" $python -c 'import io, pydicom, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); d = pydicom.dcmread(io.BytesIO(z.read(z.namelist()[0]))); assert d.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1", d.file_meta' "$work/body"
equal "as stored" 200 "$(status -H 'Accept: application/zip; transfer-syntax=*' "$dw/studies/2.25.7003")"
check "is compressed once" $python -c 'import io, pydicom, sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); i = z.infolist()[0]; assert i.compress_type == zipfile.ZIP_STORED and pydicom.dcmread(io.BytesIO(z.read(i))).file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"' "$work/body"
equal "in a syntax there is none of" 406 "$(status -H 'Accept: application/zip; transfer-syntax=1.2.840.10008.1.2.4.91' "$dw/studies/$study")"
equal "parts are liked better" 200 "$(status -H 'Accept: application/zip;q=0.5, multipart/related; type="application/dicom"' "$dw/studies/$study")"
check "and come" grep -qi '^content-type: multipart' "$work/head"
equal "nothing there" 404 "$(zip "$dw/studies/1.2.3")"

# A damaged object ends the archive early: nobody takes a part for the whole.
status "$dw/instances?Modality=CT&limit=1&offset=40" >/dev/null
instance=$(value 00080018)
file=$(find "$work/server/data/objects/objects" -name '*.dcm' -exec grep -l "$instance" {} + | head -1)
printf '\xff\xff' | dd of="$file" bs=1 seek=200000 conv=notrunc status=none
curl -s -H 'Accept: application/zip' -o "$work/cut.zip" "$dw/studies/$study"
equal "a damaged object cuts it" 18 "$?"
check "and it is no archive" sh -c "! $python -m zipfile -t '$work/cut.zip' >/dev/null 2>&1"
report
