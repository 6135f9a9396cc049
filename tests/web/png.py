# PNG, PGM and PPM files as numpy arrays (rows, columns, channels), for tests. No library: Debian's build has none.
# SPDX-License-Identifier: Apache-2.0
import struct
import zlib

import numpy


def unfilter(lines, stride, unit):
    out = numpy.zeros((len(lines), stride), dtype=numpy.uint8)
    above = numpy.zeros(stride, dtype=numpy.int32)
    for y, line in enumerate(lines):
        kind, raw = line[0], numpy.frombuffer(line, dtype=numpy.uint8)[1:].astype(numpy.int32)
        if kind == 0:
            row = raw
        elif kind == 2:
            row = (raw + above) & 255
        elif kind == 1:
            row = raw.copy()
            for c in range(unit):
                row[c::unit] = numpy.cumsum(raw[c::unit]) & 255
        else:
            raise ValueError("filter %d" % kind)
        out[y] = row
        above = row
    return out


def read_png(data):
    assert data[:8] == b"\x89PNG\r\n\x1a\n", "no PNG"
    at, idat = 8, b""
    while at < len(data):
        n, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + n]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + n:at + 12 + n])[0]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        elif kind == b"IDAT":
            idat += body
        at += 12 + n
    channels = {0: 1, 2: 3}[colour]
    unit = channels * depth // 8
    raw, stride = zlib.decompress(idat), width * unit
    lines = [raw[y * (stride + 1):(y + 1) * (stride + 1)] for y in range(height)]
    pixels = unfilter(lines, stride, unit)
    if depth == 16:
        pixels = pixels.reshape(height, -1, 2).astype(numpy.uint16)
        pixels = pixels[:, :, 0] << 8 | pixels[:, :, 1]
    return pixels.reshape(height, width, channels)


def read_pnm(data):
    fields, at = [], 0
    while len(fields) < 4:
        end = at
        while data[end:end + 1] not in (b" ", b"\n", b"\t"):
            end += 1
        word = data[at:end]
        if word.startswith(b"#"):
            end = data.index(b"\n", at)
        elif word:
            fields.append(word)
        at = end + 1
    width, height, most = (int(f) for f in fields[1:])
    channels = 3 if fields[0] == b"P6" else 1
    kind = numpy.uint8 if most < 256 else ">u2"
    return numpy.frombuffer(data[at:], dtype=kind)[:width * height * channels].reshape(height, width, channels)
