#!/usr/bin/env python3
"""Encodes files of the shared data in every lossless syntax: encoders.py DATA BUILD WORK [--all].

Each round trip must give back every allocated bit, and foreign decoders must find the pixels that went in (their SHA-256 are
compared, below Bits Stored). Prints who agreed, then what the archive would weigh in each syntax and what it costs.
Without --all: a few files of each folder and kind. SPDX-License-Identifier: Apache-2.0"""
import concurrent.futures
import glob
import hashlib
import os
import shutil
import subprocess
import sys
import warnings
import zlib

import numpy
import pydicom

DATA, BUILD, WORK = sys.argv[1:4]
warnings.simplefilter("ignore")
IS_ALL = "--all" in sys.argv
PREFIX = "1.2.840.10008.1.2."
NATIVE = {"1", "", "2"}
KEEPS = {"4.57", "4.70", "4.80", "4.90", "4.110", "4.201", "4.202", "5", "8.1", "1.98"} # what a source may be in: nothing was lost
TARGETS = {  # and who else reads it
    "4.201": ["ojph"], "4.202": ["ojph"], "4.80": ["dcmdjpls", "gdcmconv -w"], "4.90": ["gdcmconv -w", "opj"], "4.110": ["djxl"],
    "4.70": ["dcmdjpeg", "gdcmconv -w"], "4.57": ["dcmdjpeg", "gdcmconv -w"], "5": ["dcmdrle", "gdcmconv -w"],
    "8.1": ["zlib"], "1.98": ["plain"]}
NAMES = {"4.201": "HTJ2K", "4.202": "HTJ2K RPCL", "4.80": "JPEG-LS", "4.90": "JPEG 2000", "4.110": "JPEG XL", "4.70": "JPEG lossless", "4.57": "JPEG lossless (.57)",
         "5": "RLE", "8.1": "deflated frames", "1.98": "encapsulated uncompressed"}
A_FOLDER = 1000 if IS_ALL else 1


def short(uid):
    return uid[len(PREFIX):] if uid.startswith(PREFIX) else "" if uid == PREFIX[:-1] else uid


def chosen():
    """Rows of the manifest with pixels of which nothing was lost: (path, modality, is native)."""
    seen, rows = {}, []
    with open(f"{DATA}/MANIFEST.tsv", encoding="utf-8") as manifest:
        next(manifest)
        for line in manifest:
            path, size, modality, _, syntax, _, dimensions, samples = line.split("\t")[:8]
            syntax, folder = short(syntax), path.split("/")[1]
            if syntax not in NATIVE | KEEPS or not dimensions or dimensions.startswith("x") or "/malformed" in path:
                continue
            if syntax not in NATIVE and (folder.startswith("codec_") or (int(size) > 40e6 and not IS_ALL)):
                continue # one picture in many syntaxes is counted once
            kind = folder, syntax in NATIVE, samples
            seen[kind] = seen.get(kind, 0) + 1
            if seen[kind] <= A_FOLDER:
                rows.append((path, modality or "-", syntax in NATIVE))
    return rows


def encode(jobs, part):
    plugins = sorted(glob.glob(f"{BUILD}/lib/hilum/plugins/codec-*.so"))
    out = f"{WORK}/enc{part}"
    os.makedirs(out)
    done = subprocess.run([f"{BUILD}/bin/encode-files", out, *plugins], text=True, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, input="".join(f"{DATA}/{row[0]}\t{PREFIX}{to}\n" for row, to in jobs))
    assert done.returncode == 0, f"encode-files ended with {done.returncode} after {done.stdout.splitlines()[-1:]}"
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == len(jobs), f"{len(lines)} answers for {len(jobs)} files"
    return [(row, to, int(line[1]), [int(v) for v in line[2].split()], line[3], f"{out}/{line[0]}.dcm")
            for (row, to), line in zip(jobs, lines)]


# ---- foreign decoders ------------------------------------------------------------------------------------------------


def values_of(ds, raw=None, bits=0):
    """Samples of the first and the last frame, pixel by pixel, cut to Bits Stored."""
    frames, rows, columns, samples = int(getattr(ds, "NumberOfFrames", 1) or 1), ds.Rows, ds.Columns, ds.SamplesPerPixel
    raw = ds.PixelData if raw is None else raw
    if ds.BitsAllocated == 1:
        bits = numpy.unpackbits(numpy.frombuffer(raw, "u1"), bitorder="little")[:frames * rows * columns]
        return bits.reshape(frames, rows, columns)[[0, -1]]
    count = frames * rows * columns * samples
    order = "<" if ds.is_little_endian is not False else ">"
    raw = raw[:count * ds.BitsAllocated // 8]
    if order == ">" and ds.BitsAllocated > 16:  # words of OW are turned, not samples (PS3.5 7.3)
        raw, order = numpy.frombuffer(raw, ">u2").astype("<u2").tobytes(), "<"
    values = numpy.frombuffer(raw, f"{order}u{ds.BitsAllocated // 8}").astype(numpy.uint64)
    if samples > 1 and getattr(ds, "PlanarConfiguration", 0) == 1:
        values = values.reshape(frames, samples, rows, columns).transpose(0, 2, 3, 1)
    return values.reshape(frames, rows, columns, samples)[[0, -1]] & numpy.uint64((1 << (bits or ds.BitsStored)) - 1)


def sha(values):
    return hashlib.sha256(numpy.ascontiguousarray(values.reshape(-1)).astype(numpy.uint64).tobytes()).hexdigest()


def run(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False).returncode == 0


def picture_of(path):
    with open(path, "rb") as f:
        words = []
        while len(words) < 4: # kind, columns, rows, largest value; with comments in between
            words += f.readline().split(b"#")[0].split()
        columns, rows, most = map(int, words[1:4])
        raw = numpy.frombuffer(f.read(), dtype=">u2" if most > 255 else "u1").astype(numpy.uint64)
    return raw.reshape(1, rows, columns, -1)


def by_djxl(stream, ds, out):
    """Stretched to 16 bits, from which as many are taken back as make the samples fall on steps."""
    with open(out + ".jxl", "wb") as f:
        f.write(stream)
    image = out + (".pgm" if ds.SamplesPerPixel == 1 else ".ppm")
    if ds.BitsAllocated > 16 or not run("djxl", "--bits_per_sample=16", out + ".jxl", image):
        return None
    stretched = picture_of(image)
    for bits in (ds.BitsStored, ds.BitsAllocated):
        most = numpy.uint64((1 << bits) - 1)
        values = (stretched * most + numpy.uint64(32767)) // numpy.uint64(65535)
        steps = (values * numpy.uint64(65535) + most // numpy.uint64(2)) // most
        if numpy.abs(steps.astype(int) - stretched.astype(int)).max() <= (bits < 15):  # djxl rounds in its own way
            return values
    return None


def by_stream(tool, ds, out):
    frames = int(getattr(ds, "NumberOfFrames", 1) or 1)
    streams = list(pydicom.encaps.generate_pixel_data_frame(ds.PixelData, frames))
    size = (ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated + 7) // 8
    if tool in ("zlib", "plain"):
        raw = [zlib.decompress(s, -15)[:size] if tool == "zlib" else s[:size] for s in (streams[0], streams[-1])]
        if ds.BitsAllocated == 1:
            return numpy.stack([numpy.unpackbits(numpy.frombuffer(r, "u1"), bitorder="little")[:ds.Rows * ds.Columns] for r in raw])
        ds.NumberOfFrames = 2
        return values_of(ds, b"".join(raw))
    if (ds.PixelRepresentation == 1 and tool != "djxl") or ds.SamplesPerPixel not in (1, 3):
        return None  # what these tools write has no sign
    found = []
    if tool == "djxl":
        found = [by_djxl(stream, ds, out) for stream in (streams[0], streams[-1])]
        return None if any(f is None for f in found) else numpy.concatenate(found) & numpy.uint64((1 << ds.BitsStored) - 1)
    for stream in (streams[0], streams[-1]):
        with open(out + ".j2c", "wb") as f:
            f.write(stream)
        image = out + (".pgm" if ds.SamplesPerPixel == 1 else ".ppm")
        if tool == "opj" and not shutil.which("opj_decompress"):
            return None
        done = run("ojph_expand", "-i", out + ".j2c", "-o", image) if tool == "ojph" else run("opj_decompress", "-i", out + ".j2c", "-o", image)
        if not done:
            return None
        found.append(picture_of(image))
    return numpy.concatenate(found) & numpy.uint64((1 << ds.BitsStored) - 1)


def foreign(tool, path, out, bits):
    """The pixels as somebody else decodes them; None: he cannot."""
    if tool in ("ojph", "opj", "djxl", "zlib", "plain"):
        return by_stream(tool, pydicom.dcmread(path), out)
    if os.path.exists(out):
        os.unlink(out)
    if not run(*tool.split(), path, out) or not os.path.exists(out):
        return None
    return values_of(pydicom.dcmread(out, force=True), bits=bits)


def judge(answer):
    """None: agrees; "": nobody to ask; else what is wrong."""
    (path, _, is_native), to, rc, (_, _, _, _, is_same), message, made = answer
    if rc == -3 or rc != 0:
        return f"refused: {message}"
    if not is_same:
        return "does not come back as it was"
    if not is_native:
        return ""
    sent = pydicom.dcmread(f"{DATA}/{path}", force=True)
    if sent.PhotometricInterpretation == "YBR_FULL_422":
        return "" # two of three samples: everybody writes them out in his own way
    wanted, verdicts = sha(values_of(sent)), []
    for tool in TARGETS[to]:
        theirs = foreign(tool, made, f"{made}.{tool.split()[0]}", sent.BitsStored)
        if theirs is None:
            continue
        bits = theirs.reshape(-1) if sent.BitsAllocated > 1 else theirs
        verdicts.append(sha(bits) == wanted)
    os.unlink(made)
    return "" if not verdicts else None if any(verdicts) else "foreign decoders find other pixels"


# ---- tables ------------------------------------------------------------------------------------------------------------


def table(answers):
    print("\nWhat the pixels weigh, in per cent of native, and encoding and decoding in MB of native pixels a second (one core):")
    print(f"{'':26} {'files':>6} {'size %':>8} {'encode':>8} {'decode':>8}")
    groups = {}
    for (path, modality, _), to, rc, (native, coded, enc, dec, same), _, _ in answers:
        if rc == 0 and same:
            for group in ("all", modality):
                g = groups.setdefault((group, to), [0, 0, 0, 0, 0])
                for i, v in enumerate((1, native, coded, enc, dec)):
                    g[i] += v
    for group in ["all"] + sorted({g for g, _ in groups} - {"all"}):
        for to in ("4.201", "4.80", "4.90", "4.110", "4.70", "5", "8.1") if group == "all" else ("4.201", "4.80", "4.110"):
            if (group, to) in groups:
                n, native, coded, enc, dec = groups[group, to]
                print(f"{group + ' ' + NAMES[to]:26} {n:6} {100 * coded / native:8.2f} {native / max(enc, 1):8.1f} {native / max(dec, 1):8.1f}")


def main():
    rows = chosen()
    jobs = [(row, to) for row in rows for to in TARGETS if row[2] or to in ("4.201", "4.80", "4.90", "4.110", "4.70", "5", "8.1")]
    half = [jobs[0::2], jobs[1::2]]
    counts, passed, failed = {}, 0, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = [a for part in pool.map(encode, half, range(2)) for a in part if "no pixel data" not in a[4]]
        for answer, problem in zip(answers, pool.map(judge, answers)):
            row, to = answer[0], answer[1]
            c = counts.setdefault(to, [0, 0, 0, 0])
            refused = bool(problem) and problem.startswith("refused")
            for i, is_it in enumerate((True, problem is None, problem == "", refused)):
                c[i] += is_it
            passed += not problem
            if problem and not refused:
                failed += 1
                print(f"FAILED: {row[0]} to {NAMES[to]}: {problem}")
            elif refused and ("--why" in sys.argv):
                print(f"refused: {row[0]} to {NAMES[to]}: {problem}")
    for to in TARGETS:
        n, agree, alone, refused = counts[to]
        print(f"{NAMES[to]:26} {PREFIX + to:26} {n:4} files, {agree:4} confirmed by others, {alone:4} by ourselves alone, {refused:4} refused (no such pixels in this syntax)")
    table(answers)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0 or passed == 0)


main()
