#!/usr/bin/env python3
# Texts of presentation states in scripts whose letters join, change places and run the other way. SPDX-License-Identifier: Apache-2.0
import os
import sys

import numpy
from pydicom.sequence import Sequence

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from made import check, failed, image, items, picture, state, stored

number = 300
black = image(299, numpy.zeros((120, 900), numpy.uint8))
stored(black)


def ink(text, justification="LEFT"):
    """Where the text left ink on black: rows and columns."""
    global number
    number += 1
    box = items(BoundingBoxAnnotationUnits="PIXEL", UnformattedTextValue=text, BoundingBoxTopLeftHandCorner=[100.0, 20.0],
                BoundingBoxBottomRightHandCorner=[800.0, 100.0], BoundingBoxTextHorizontalJustification=justification)
    layer = items(GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayGrayscaleValue=65535)
    url = stored(state(number, black, GraphicAnnotationSequence=Sequence([items(GraphicLayer="ONE", TextObjectSequence=Sequence([box]))]),
                       GraphicLayerSequence=Sequence([layer])))
    return picture(url, "?viewport=1800,1800")[:, :, 0] > 100


def crop(mask):
    columns = numpy.flatnonzero(mask.any(axis=0))
    return mask[:, columns[0]:columns[-1] + 1] if len(columns) else mask[:, :0]


def blocks(mask):
    """Pieces of ink with an empty column between them."""
    inked = crop(mask).any(axis=0).astype(int)
    return int((numpy.diff(inked) == 1).sum()) + 1


letters = [blocks(ink(c)) for c in "سلم"]
check("letters by themselves", letters == [1, 1, 1], letters)
check("Arabic letters join", blocks(ink("سلم")) == 1, blocks(ink("سلم")))
check("and are narrower than by themselves", crop(ink("سلم")).shape[1] < sum(crop(ink(c)).shape[1] for c in "سلم"))
hebrew, forced = crop(ink("אב")), crop(ink("\u202dבא\u202c"))
check("Hebrew runs to the left", hebrew.shape == forced.shape and (hebrew == forced).all())
check("which is another picture", not (hebrew.shape == crop(ink("\u202dאב\u202c")).shape and (hebrew == crop(ink("\u202dאב\u202c"))).all()))
mixed, latin = crop(ink("CT צד 12")), crop(ink("CT"))
check("Latin begins where it is first", (mixed[:, :latin.shape[1]] == latin).all())
digits = crop(ink("12"))
check("digits come after Hebrew in a Latin line", blocks(ink("CT צד 12")) >= 5 and mixed.shape[1] > latin.shape[1] + digits.shape[1])
ka, ssa, both = (crop(ink(t)).shape[1] for t in ("क", "ष", "क्ष"))
check("a conjunct is one letter", 0 < both < 0.85 * (ka + ssa), "%d of %d and %d" % (both, ka, ssa))
vowel, bare = crop(ink("कि")), crop(ink("क"))
check("a vowel sign stands before its letter", not (vowel[:, :bare.shape[1]] == bare).all() and vowel.shape[1] > bare.shape[1])
left, middle, right = (numpy.flatnonzero(ink("8 mm", how).any(axis=0)) for how in ("LEFT", "CENTER", "RIGHT"))
check("to the left, in the middle, to the right", left[0] < 220 and abs(middle[0] + middle[-1] - 1800) < 20 and right[-1] > 1580,
      str((left[0], middle[0], middle[-1], right[-1])))
# Over the edge: as much of it is seen as of the same text in the middle.
whole = ink("findings in the left lung").sum()
layer = items(GraphicLayer="ONE", GraphicLayerOrder=1, GraphicLayerRecommendedDisplayGrayscaleValue=65535)
for corner in ([890.0, 20.0], [890.0, 118.0], [-300.0, 60.0]):
    number += 1
    text = items(AnchorPointAnnotationUnits="PIXEL", AnchorPoint=corner, AnchorPointVisibility="N", UnformattedTextValue="findings in the left lung")
    url = stored(state(number, black, GraphicAnnotationSequence=Sequence([items(GraphicLayer="ONE", TextObjectSequence=Sequence([text]))]),
                       GraphicLayerSequence=Sequence([layer])))
    seen = (picture(url, "?viewport=1800,1800")[:, :, 0] > 100).sum()
    check("nothing is cut at %s" % corner, abs(int(seen) - int(whole)) < whole // 20, "%d of %d" % (seen, whole))
sys.exit(failed())
