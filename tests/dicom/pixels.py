#!/usr/bin/env python3
"""Decodes compressed files of the shared data and compares each with a foreign decoder: pixels.py DATA BUILD WORK [--all].

Lossless streams must agree bit for bit (below Bits Stored), lossy ones within what rounding of colours may differ.
Families (one picture in many syntaxes) must agree among themselves too. SPDX-License-Identifier: Apache-2.0"""
import concurrent.futures
import glob
import os
import subprocess
import sys
import zlib

import numpy
import pydicom

DATA, BUILD, WORK = sys.argv[1:4]
PREFIX = "1.2.840.10008.1.2."
JPEG = {"4.50", "4.51", "4.53", "4.55", "4.57", "4.70"}
JPEGLS, J2K, HTJ2K = {"4.80", "4.81"}, {"4.90", "4.91"}, {"4.201", "4.202", "4.203"}
JPEGXL = {"4.110", "4.111", "4.112"}
LOSSLESS = {"4.57", "4.70", "4.80", "4.90", "4.110", "4.201", "4.202", "5", "8.1", "1.98"}
REFUSED = {"dicom/wsi/multiframe.dcm": "another kind"}  # its last tiles have other dimensions than the data set says
A_FOLDER = 100000 if "--all" in sys.argv else 2  # files of one syntax from folders that are no families


def short(uid):
    return uid[len(PREFIX):] if uid.startswith(PREFIX) else uid


def chosen():
    """Rows of the manifest with pixels to decode: all of the families, some of each other folder and syntax."""
    seen, rows = {}, []
    with open(f"{DATA}/MANIFEST.tsv", encoding="utf-8") as manifest:
        next(manifest)
        for line in manifest:
            path, syntax = line.split("\t")[0], short(line.split("\t")[4])
            if syntax not in JPEG | JPEGLS | J2K | HTJ2K | JPEGXL | {"5", "8.1", "1.98"} or "/malformed" in path:
                continue
            folder = path.split("/")[1]
            seen[folder, syntax] = seen.get((folder, syntax), 0) + 1
            if folder.startswith("codec_") or seen[folder, syntax] <= A_FOLDER:
                rows.append((path, syntax))
    return rows


def decode(rows):
    plugins = sorted(glob.glob(f"{BUILD}/lib/hilum/plugins/codec-*.so"))
    os.makedirs(f"{WORK}/raw")
    done = subprocess.run([f"{BUILD}/bin/decode-files", f"{WORK}/raw", *plugins], text=True, check=False,
                          input="".join(f"{DATA}/{path}\n" for path, _ in rows), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL)
    assert done.returncode == 0, f"decode-files ended with {done.returncode} after {done.stdout.splitlines()[-1:]}"
    return [line.split("\t") for line in done.stdout.splitlines()]


def pixels(raw, shape, bits, signed):
    """Samples as integers, cut to `bits`."""
    rows, columns, samples, allocated = shape
    if allocated == 1:
        count = rows * columns
        frames = len(raw) // ((count + 7) // 8)
        values = numpy.unpackbits(numpy.frombuffer(raw, "u1").reshape(frames, -1), axis=1, count=count, bitorder="little")
        return values.astype(numpy.int64).reshape(frames, rows, columns, samples)
    values = numpy.frombuffer(raw, dtype=f"<u{allocated // 8}").astype(numpy.int64)
    values &= (1 << bits) - 1
    if signed:
        values -= (values >> (bits - 1)) << bits
    return values.reshape(-1, rows, columns, samples)


# ---- foreign decoders ---------------------------------------------------------------------------------------------


def run(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False).returncode == 0


def foreign_dicom(path, syntax, out):
    """The file uncompressed by somebody else; None: nobody can."""
    source = f"{DATA}/{path}"
    tools = []
    if syntax in JPEG:
        tools = [("dcmdjpeg", source, out), ("gdcmconv", "-w", source, out)]
    elif syntax in JPEGLS:
        tools = [("gdcmconv", "-w", source, out), ("dcmdjpls", source, out)]
    elif syntax == "5":
        tools = [("dcmdrle", source, out), ("gdcmconv", "-w", source, out)]
    elif syntax in J2K:
        tools = [("gdcmconv", "-w", source, out)]
    found = []
    for tool in tools:
        if os.path.exists(out):
            os.unlink(out)
        if run(*tool) and os.path.exists(out):
            found.append(pydicom.dcmread(out, force=True))
    return found


def foreign_htj2k(dataset, frames, samples, out):
    streams = [bytes(f) for f in pydicom.encaps.generate_pixel_data_frame(dataset.PixelData, frames)]
    result = []
    for stream in (streams[0], streams[-1]) if frames > 1 else streams[:1]:
        with open(out + ".j2c", "wb") as f:
            f.write(stream)
        image = out + (".pgm" if samples == 1 else ".ppm")
        if not run("ojph_expand", "-i", out + ".j2c", "-o", image):
            return None
        with open(image, "rb") as f:
            kind, size, most = f.readline(), f.readline(), int(f.readline())
            columns, rows = map(int, size.split())
            raw = numpy.frombuffer(f.read(), dtype=">u2" if most > 255 else "u1").astype(numpy.int64)
        result.append(raw.reshape(rows, columns, samples))
    return numpy.stack(result)


def native(dataset):
    """First and last frame of an uncompressed data set, pixel by pixel."""
    frames = int(getattr(dataset, "NumberOfFrames", 1) or 1)
    samples, allocated = dataset.SamplesPerPixel, dataset.BitsAllocated
    count = dataset.Rows * dataset.Columns
    if allocated == 1:
        values = numpy.unpackbits(numpy.frombuffer(dataset.PixelData, "u1"), bitorder="little").astype(numpy.int64)
        return values[:frames * count].reshape(frames, dataset.Rows, dataset.Columns, 1)[[0, -1] if frames > 1 else [0]]
    size = count * samples * allocated // 8
    values = []
    for i in (0, frames - 1) if frames > 1 else (0,):
        raw = dataset.PixelData[i * size:(i + 1) * size]
        frame = numpy.frombuffer(raw, dtype=f"<u{allocated // 8}").astype(numpy.int64)
        if samples > 1 and getattr(dataset, "PlanarConfiguration", 0) == 1:
            frame = frame.reshape(samples, -1).T
        values.append(frame.reshape(dataset.Rows, dataset.Columns, samples))
    return numpy.stack(values)


def cut(values, bits, signed):
    values = values & ((1 << bits) - 1)
    return values - ((values >> (bits - 1)) << bits) if signed else values


# ---- one file -----------------------------------------------------------------------------------------------------


def to_rgb(values):
    y, cb, cr = (values[..., i].astype(float) for i in range(3))
    rgb = (y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128))
    return numpy.clip(numpy.rint(numpy.stack(rgb, axis=-1)), 0, 255).astype(numpy.int64)


def compare(path, syntax, line):
    """None: agrees; "": nobody to compare with; else what is wrong."""
    number, rc, shape, message = line
    if path in REFUSED:
        return None if rc != "0" and REFUSED[path] in message else "was to be refused"
    if rc != "0":
        return f"not decoded: {message}"
    columns, rows, samples, allocated, _, _, photometric, frames = map(int, shape.split())
    dataset = pydicom.dcmread(f"{DATA}/{path}", force=True)
    bits, signed = dataset.BitsStored, dataset.PixelRepresentation == 1
    with open(f"{WORK}/raw/{number}.raw", "rb") as f:
        ours = pixels(f.read(), (rows, columns, samples, allocated), bits, signed)
    family = f"{DATA}/{path[:path.rfind('_')]}_UNC.dcm"
    if syntax in LOSSLESS and "/codec_wg04/" in path and os.path.exists(family):
        return None if numpy.array_equal(native(pydicom.dcmread(family)), cut(ours, 16, False) if signed else ours) else "not its family's pixels"
    if syntax == "8.1":
        size = (rows * columns * samples * allocated + 7) // 8
        streams = list(pydicom.encaps.generate_pixel_data_frame(dataset.PixelData, frames))
        raw = b"".join(zlib.decompress(s, -15)[:size] for s in ((streams[0], streams[-1]) if frames > 1 else streams))
        theirs = [("zlib", pixels(raw, (rows, columns, samples, allocated), bits, signed))]
    elif syntax in HTJ2K and signed:
        theirs = [] # what ojph_expand writes has no sign
    elif syntax in HTJ2K:
        theirs = foreign_htj2k(dataset, frames, samples, f"{WORK}/raw/{number}")
        theirs = [] if theirs is None else [("", theirs)]
    else:
        theirs = [(d.PhotometricInterpretation, native(d)) for d in foreign_dicom(path, syntax, f"{WORK}/raw/{number}.dcm")]
    worst = ""
    for colours, values in theirs:
        values = cut(values, bits, signed)
        if samples == 3 and photometric == 4 and colours.startswith("YBR_FULL"):
            values = to_rgb(values)
        if values.shape != ours.shape:
            worst = f"{ours.shape}, foreign {values.shape}"
            continue
        most = int(numpy.abs(values - ours).max())
        if samples == 3 and colours == "RGB" and syntax in JPEG and photometric == 4:
            # Foreign decoders believe a data set that says RGB of a stream with halved colour differences.
            most = min(most, int(numpy.abs(to_rgb(values) - ours).max()))
        allowed = 0 if syntax in LOSSLESS else 4 if samples == 3 else 2
        if most <= allowed:
            return None
        worst = f"differs by {most} from {colours or 'OpenJPH'} ({numpy.count_nonzero(values != ours)} samples)"
    return worst


def main():
    rows = chosen()
    lines = decode(rows)
    assert len(lines) == len(rows), f"{len(lines)} answers for {len(rows)} files"
    table, passed, failed = {}, 0, 0
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = pool.map(lambda both: compare(*both[0], both[1]), zip(rows, lines))
        for (path, syntax), answer in zip(rows, answers):
            counts = table.setdefault(syntax, [0, 0, 0])
            counts[0] += 1
            counts[1] += answer is None
            counts[2] += answer == ""
            if answer:
                failed += 1
                print(f"FAILED: {path}: {answer}")
            else:
                passed += answer is None
    for syntax in sorted(table):
        print(f"{PREFIX}{syntax}: {table[syntax][0]} files, {table[syntax][1]} agree, {table[syntax][2]} without a judge")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0 or passed == 0)


main()
