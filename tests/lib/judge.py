"""What whole-server tests say of what they see: counted comparisons, and DICOM files compared by their data sets."""
import glob, io, os, sys, tempfile, time

import pydicom

ROOT = "1.2.999."
failures, passed = [], 0


def equal(what, expected, found):
    global passed
    if expected == found:
        passed += 1
    else:
        failures.append(what)
        print(f"FAILED: {what}: expected {expected!r}, found {found!r}")


def until(condition, seconds=30):
    """Polls a foreign process's state; there is no event to wait for."""
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            return False
        time.sleep(0.05)
    return True


def data_set(part10):
    assert part10[128:132] == b"DICM"
    return part10[144 + int.from_bytes(part10[140:144], "little"):]


def uid_of(part10):
    return str(pydicom.dcmread(io.BytesIO(part10), specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def export(server, work, study):
    target = tempfile.mkdtemp(dir=work) + "/out"
    server.cli("export", study, target)
    files = (open(path, "rb").read() for path in glob.glob(target + "/*"))
    return {uid_of(f): f for f in files}


def originals(work, study):
    """Files of make_find_data.py: the SOP Instance UID begins with the study's."""
    paths = glob.glob(f"{work}/data/{study}.*.dcm")
    return {os.path.basename(p)[:-4]: open(p, "rb").read() for p in paths}


def same(what, expected, found):
    equal(f"{what}: objects", sorted(expected), sorted(found))
    for uid in sorted(set(expected) & set(found)):
        equal(f"{what}: {uid} bit for bit", True, data_set(expected[uid]) == data_set(found[uid]))


def verdict():
    """The last line, and the exit code."""
    print(f"{passed} passed, {len(failures)} failed, 0 skipped")
    sys.exit(1 if failures else 0)
