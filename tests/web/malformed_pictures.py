#!/usr/bin/env python3
"""Malformed objects looked at: every file of the shared malformed groups, and sound ones of each codec with a lie about their
pixels. Each that is stored is asked for as frames, pictures and thumbnail, and all together: a picture or a reason, in time, in
bounded memory; and a sound picture is still there in between."""
import collections, http.client, json, os, shutil, subprocess, sys, tempfile, time, urllib.error, urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../lib"))
from peers import BUILD, ROOT, Hilum, skip

try:
    import pydicom
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence
except ImportError:
    skip("python3-pydicom is not installed")

DATA = os.path.join(os.environ.get("HILUM_SHARED_DATA", os.path.join(ROOT, "../shared/data")), "dicom")
RSS_MAX = 1500 if "asan" in BUILD else 400
IN_TIME = 15
OCTETS = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1"
SOUND = ("small/CT_small.dcm", "small/MR_small_RLE.dcm", "small/JPEG2000.dcm", "small/JPGExtended.dcm", "small/JPGLosslessP14SV1_1s_1f_8b.dcm",
         "us/US-YBR_FULL_422-EVRLE.dcm", "us/OBXXXX1A.dcm", "lut/ovly_p01.dcm", "wsi/sm_image_jpegls.dcm")
failures, tally, slowest = [], collections.Counter(), [0, ""]


def bad(what, more):
    failures.append(what)
    print("BAD ", what, more)


def ask(url, accept, body=None, kind=None):
    """(status, body, seconds); status 0: no answer."""
    begun = time.monotonic()
    request = urllib.request.Request(url, data=body, headers={"Accept": accept, **({"Content-Type": kind} if kind else {})})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, data = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, data = error.code, error.read()
    except (OSError, http.client.HTTPException) as error:
        status, data = 0, str(error).encode()
    return status, data, time.monotonic() - begun


def is_picture(kind, data):
    return len(data) > 0 if kind.startswith("/frames/1,") or kind == "/frames/1" else \
        data[:4] == b"\x89PNG" or data[:3] == b"\xff\xd8\xff"


def look(name, url):
    for kind, accept in (("/frames/1", OCTETS), ("/frames/1", "*/*"), ("/rendered", "image/png"), ("/rendered?viewport=200,200", "image/jpeg"),
                         ("/thumbnail", "image/jpeg")):
        status, data, seconds = ask(url + kind, accept)
        tally[f"{kind.split('?')[0]} {status}"] += 1
        if seconds > slowest[0]:
            slowest[:] = seconds, name + kind
        # What is inflated as it leaves is known to be cut only where it ends: the answer ends there too.
        is_cut = status == 0 and "dfl" in name and b"IncompleteRead" in data
        has_reason = is_cut or (data[:1] == b"{" and status >= 400 and len(json.loads(data).get("detail", "")) > 10)
        if seconds > IN_TIME or not (has_reason or (status == 200 and is_picture(kind, data))):
            bad(f"{name} {kind}", f"{status} {data[:200]} {seconds:.1f} s")


def put(base, data):
    status, answer, _ = ask(base + "/studies", "application/dicom+json", data, "application/dicom")
    tally[f"stored {status}"] += 1
    if status in (200, 202) and answer[:1] == b"{":
        return [item["00081190"]["Value"][0] for item in json.loads(answer).get("00081199", {}).get("Value", [])]
    if status < 200 or status >= 500 or not answer:
        bad("store", f"{status} {answer[:200]}")
    return []


# ---- lies ----

def table(values, n=65535):
    item = Dataset()
    item.LUTDescriptor, item.LUTData = [n, 0, 16], values
    return Sequence([item])


def overlay(d, rows, columns, n, bytes_):
    for element, vr, value in ((0x10, "US", rows), (0x11, "US", columns), (0x15, "IS", n), (0x50, "SS", [-30000, 32767]), (0x100, "US", 1),
                               (0x102, "US", 0), (0x3000, "OW", bytes_)):
        d.add_new(0x60000000 + element, vr, value)


LIES = {
    "rows": lambda d: setattr(d, "Rows", 65535),
    "columns": lambda d: setattr(d, "Columns", 1),
    "all rows and columns": lambda d: (setattr(d, "Rows", 65535), setattr(d, "Columns", 65535)),
    "no rows": lambda d: setattr(d, "Rows", 0),
    "rows are absent": lambda d: delattr(d, "Rows"),
    "samples 0": lambda d: setattr(d, "SamplesPerPixel", 0),
    "samples 3": lambda d: setattr(d, "SamplesPerPixel", 3),
    "samples 40000": lambda d: setattr(d, "SamplesPerPixel", 40000),
    "allocated 0": lambda d: setattr(d, "BitsAllocated", 0),
    "allocated 7": lambda d: setattr(d, "BitsAllocated", 7),
    "allocated 64": lambda d: setattr(d, "BitsAllocated", 64),
    "stored 0": lambda d: setattr(d, "BitsStored", 0),
    "stored 255": lambda d: setattr(d, "BitsStored", 255),
    "high bit": lambda d: setattr(d, "HighBit", 60000),
    "sign 9": lambda d: setattr(d, "PixelRepresentation", 9),
    "planar 7": lambda d: setattr(d, "PlanarConfiguration", 7),
    "a kind nobody knows": lambda d: setattr(d, "PhotometricInterpretation", "HSV"),
    "a palette that is not there": lambda d: setattr(d, "PhotometricInterpretation", "PALETTE COLOR"),
    "4:2:0": lambda d: setattr(d, "PhotometricInterpretation", "YBR_PARTIAL_420"),
    "frames 2000000000": lambda d: setattr(d, "NumberOfFrames", 2000000000),
    "frames 0": lambda d: setattr(d, "NumberOfFrames", 0),
    "window": lambda d: (setattr(d, "WindowCenter", "1e308"), setattr(d, "WindowWidth", "1e-300")),
    "slope": lambda d: (setattr(d, "RescaleSlope", "1e308"), setattr(d, "RescaleIntercept", "-1e308")),
    "LUTs": lambda d: (setattr(d, "VOILUTSequence", table(b"\1\2")), setattr(d, "ModalityLUTSequence", table(b"\1\2", 3))),
    "overlay": lambda d: overlay(d, 65535, 65535, 2000000000, b"\xff" * 400),
    "aspect": lambda d: setattr(d, "PixelAspectRatio", ["2000000000", "1"]),
    "shutter": lambda d: (setattr(d, "ShutterShape", ["CIRCULAR", "POLYGONAL"]), setattr(d, "CenterOfCircularShutter", [2147483647, -2147483648]),
                          setattr(d, "RadiusOfCircularShutter", 2147483647), setattr(d, "VerticesOfThePolygonalShutter", [-2147483648] * 6)),
    "cut": lambda d: setattr(d, "PixelData", d.PixelData[:len(d.PixelData) // 4 * 2]),
}


def lies(work):
    number = 0
    for name in SOUND:
        path = os.path.join(DATA, name)
        if not os.path.exists(path):
            continue
        for what, lie in LIES.items():
            d = pydicom.dcmread(path)
            number += 1
            d.SOPInstanceUID = d.file_meta.MediaStorageSOPInstanceUID = f"2.25.66{number}"
            lie(d)
            out = os.path.join(work, "lie.dcm")
            try:
                d.save_as(out, write_like_original=False)
            except Exception:  # it will not write that one
                continue
            yield f"{name}, {what}", open(out, "rb").read()


def main():
    groups = [os.path.join(DATA, group) for group in ("malformed", "malformed_synth")]
    if not all(os.path.isdir(group) for group in groups):
        skip(f"no malformed files below {DATA}")
    work = tempfile.mkdtemp(prefix="hilum-malformed-")
    server = Hilum(work, """storage = { min_free = "64MiB"; duplicates = "replace"; };
plugins = ( { name = "store-fs"; options = { segment = "2MiB"; segments = 2; }; }, { name = "web-dicomweb"; required = true; },
    { name = "http"; required = true; options = { unknown_clients = "accept"; listen = "127.0.0.1:0"; }; } );""")
    line = next(line for line in open(f"{server.dir}/log") if line.startswith("READY"))
    base = line.split("http=")[1].strip() + "/dicom-web"
    good = put(base, open(os.path.join(DATA, "small/CT_small.dcm"), "rb").read())[0]
    files = [(os.path.relpath(os.path.join(top, n), DATA), open(os.path.join(top, n), "rb").read()) for group in groups
             for top, _, names in sorted(os.walk(group)) for n in sorted(names) if not n.endswith((".json", ".tsv", ".txt", ".md"))]
    n_looked = 0
    for name, data in [*files, *lies(work)]:
        for url in put(base, data):
            look(name, url)
            n_looked += 1
        if server.process.poll() is not None:
            bad(name, "ended the server" + server.last_words())
            return 1
    for group in groups:  # those that only come in as files
        subprocess.run([f"{BUILD}/bin/hilum", "--data", server.data, "--json", "import", group], capture_output=True, timeout=120)
    status, answer, _ = ask(base + "/instances?limit=5000", "application/dicom+json")
    for item in json.loads(answer) if status == 200 else []:
        uids = [item.get(tag, {}).get("Value", [""])[0] for tag in ("0020000D", "0020000E", "00080018")]
        if not uids[2].startswith("2.25.66"):
            look(uids[2], f"{base}/studies/{uids[0]}/series/{uids[1]}/instances/{uids[2]}")
    status, data, _ = ask(good + "/rendered", "image/png")
    rss = server.rss_mb()
    for what, is_good in (("a sound picture in the end", status == 200), (f"memory: {rss:.0f} MB", rss < RSS_MAX),
                          ("many were looked at", n_looked > 100), ("ends well", server.stop() == 0)):
        if not is_good:
            bad(what, "")
    shutil.rmtree(work, ignore_errors=True)
    print(f"{len(files)} malformed files, {n_looked} objects looked at, {rss:.0f} MB, the slowest {slowest[0]:.2f} s ({slowest[1]})")
    print(", ".join(f"{what}: {n}" for what, n in sorted(tally.items())))
    print(f"{len(failures)} failures", *failures, sep="\n  ")
    return 1 if failures else 0


sys.exit(main())
