#!/usr/bin/env bash
# What demo-phantom makes: valid by a foreign judge, names in three scripts, one frame of reference, calcium and airway where they belong.
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
command -v dciodvfy >/dev/null || skip "dciodvfy is not installed (dicom3tools)"
$python -c 'import pydicom, numpy' 2>/dev/null || skip "python3-pydicom and python3-numpy are not installed"
mkdir "$work/demo"
"$build/bin/demo-phantom-files" "$work/demo" >/dev/null
for file in "$work"/demo/*.dcm; do
    dciodvfy "$file" 2>&1 | grep '^Error' | sed "s|^|$(basename "$file"): |"
done >"$work/errors"
equal "errors by dciodvfy" "" "$(head -n 5 "$work/errors")"
equal "errors by dcentvfy" "" "$(dcentvfy "$work"/demo/*.dcm 2>&1 | grep '^Error' | head -n 5)"
check "content" $python - "$work/demo" <<'PY'
import glob, sys
import numpy, pydicom
all_of = [pydicom.dcmread(f) for f in sorted(glob.glob(sys.argv[1] + "/*.dcm"))]
names = {str(d.PatientName) for d in all_of}
assert names == {"Wang^Xiaoming=王^小明", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Müller^Jürgen"}, names
chest = sorted((d for d in all_of if d.get("SeriesDescription") == "Axial 3.0 mm"), key=lambda d: float(d.ImagePositionPatient[2]))
scout = [d for d in all_of if d.get("SeriesDescription") == "Localizer"]
assert len(scout) == 1 and len({d.FrameOfReferenceUID for d in chest + scout}) == 1
loop, film = ([d for d in all_of if d.Modality == m][0] for m in ("US", "CR"))
assert int(loop.NumberOfFrames) > 1 and loop.SamplesPerPixel == 3 and film.Rows * film.Columns > 8e6

def hu(x, y, z):
    d = min(chest, key=lambda d: abs(float(d.ImagePositionPatient[2]) - z))
    column, row = ((p - float(o)) / float(s) for p, o, s in zip((x, y), d.ImagePositionPatient, d.PixelSpacing))
    return float(d.pixel_array[round(row), round(column)]) * float(d.RescaleSlope) + float(d.RescaleIntercept)

for plaque in ((22, -62, 12), (34, -60, 0), (58, -30, -8), (-34, -34, -12)):  # LAD, LAD, LCX, RCA
    assert hu(*plaque) > 200, (plaque, hu(*plaque))
for lumen, wall in (((0, 22, 60), (9.8, 22, 60)), ((-7, 23.5, 20), None), ((10, 23.5, 20), None)):  # trachea, main bronchi
    assert hu(*lumen) < -900 and (wall is None or hu(*wall) > -200), (lumen, hu(*lumen), wall and hu(*wall))
PY
report
