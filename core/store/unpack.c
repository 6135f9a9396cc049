/* Compressed pixels become native ones. Two uses share the code. An object that leaves decoded:
 * hl_unpack_new reads the map, decodes all frames into a spool where they fit (so that a broken
 * one is found before the first byte leaves), and tells the edits of the header that go with
 * native pixels. A consumer of frames: hl_unpack_view, which decodes what it is asked for and
 * nothing else.
 *
 * Codecs are plugins and are not believed either: what comes out is compared with what the
 * data set declares and with the first frame, and has exactly the room that was promised.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/pixels.h"
#include "core/store/scan_head.h"

/* make_edits adds 12 at most. */
enum { EDITS_MAX = 16 };
static const uint64_t none = UINT64_MAX;

/* A frame's fragments in one piece; grows with the largest. */
struct coded {
    uint8_t *bytes;
    uint64_t cap;
};

struct hl_unpack {
    const struct hl_codecs *codecs;
    char transfer_syntax[65];
    struct hl_frame_source source;
    struct hl_frames frames;
    struct hilum_frame declared; /* by the data set */
    struct hilum_frame frame;    /* as every frame comes out */
    uint32_t levels;             /* every frame can be halved so many times while it is decoded */
    uint64_t frame_bytes, length, current;
    struct hl_spool
        spool;    /* all frames, one behind the other; length 0: they are decoded as they leave */
    bool is_lent; /* frames: another's */
    struct coded coded;
    uint8_t *pixels; /* NULL: no frame was asked for (hl_unpack_into has the caller's memory) */
    struct hl_edit edits[EDITS_MAX];
    size_t n_edits;
    uint8_t numbers[EDITS_MAX][2]; /* values of edits */
    char ratio[17];
};

/* ---- a frame ---- */

/* The codec gets one piece whatever the fragments: a copy costs little beside decoding, and no
 * codec has to know of fragments. */
static hilum_rc read_coded(const struct hl_unpack *unpack, uint64_t i, struct coded *coded,
                           uint64_t *n)
{
    const struct hl_frames *frames = &unpack->frames;
    size_t first = frames->starts[i], end = frames->starts[i + 1];
    *n = 0;
    for (size_t k = first; k < end; k++)
        *n += frames->fragments[k].n;
    if (*n > HL_FRAME_MAX)
        return hl_fail(HILUM_EUNSUP, "frame %llu of %llu compressed bytes",
                       (unsigned long long)i + 1, (unsigned long long)*n);
    if (*n > coded->cap) {
        free(coded->bytes);
        coded->bytes = malloc((size_t)*n);
        coded->cap = coded->bytes ? *n : 0;
        if (!coded->bytes)
            return hl_fail(HILUM_ENOMEM, "no memory for a frame of %llu bytes",
                           (unsigned long long)*n);
    }
    hilum_rc rc = HILUM_OK;
    uint8_t *to = coded->bytes;
    for (size_t k = first; k < end && rc == HILUM_OK; k++) {
        rc = unpack->source.read(unpack->source.arg, frames->fragments[k].at, to,
                                 frames->fragments[k].n);
        to += frames->fragments[k].n;
    }
    return rc;
}

/* A call of the codec of each rank until one knows the stream. */
struct call {
    const struct hl_unpack *unpack;
    struct coded *memory;
    struct hilum_coded coded;
    struct hilum_fragment fragment;
    struct hilum_frame *out;
    struct hilum_code_info *info;      /* not NULL: only ask what it is */
    const struct hilum_decode *wanted; /* NULL: the whole frame */
    void *dst;
    uint64_t dst_size;
};

static hilum_rc ask(void *arg, const struct hilum_codec *codec, void *instance)
{
    const struct call *call = arg;
    *call->out = (struct hilum_frame){.size = sizeof *call->out};
    return call->info ? codec->info(instance, &call->coded, call->info)
                      : codec->decode(instance, &call->coded, call->wanted, call->dst,
                                      call->dst_size, call->out);
}

static hilum_rc call_codecs(struct call *call, uint64_t i)
{
    const struct hl_unpack *unpack = call->unpack;
    uint64_t n = 0;
    hilum_rc rc = read_coded(unpack, i, call->memory, &n);
    if (rc != HILUM_OK)
        return rc;
    call->fragment = (struct hilum_fragment){call->memory->bytes, n};
    call->coded = (struct hilum_coded){.size = sizeof call->coded,
                                       .n_fragments = 1,
                                       .fragments = &call->fragment,
                                       .transfer_syntax = unpack->transfer_syntax,
                                       .declared = &unpack->declared};
    rc = hl_codecs_ask(unpack->codecs, unpack->transfer_syntax, HILUM_CODEC_DECODES, ask, call);
    return rc == HILUM_OK ? rc : hl_fail_in(rc, "frame %llu", (unsigned long long)i + 1);
}

static hilum_rc decode(struct hl_unpack *unpack, uint64_t i, struct hilum_frame *out)
{
    struct call call = {.unpack = unpack,
                        .memory = &unpack->coded,
                        .out = out,
                        .dst = unpack->pixels,
                        .dst_size = unpack->frame_bytes};
    return call_codecs(&call, i);
}

static bool is_same_frame(const struct hilum_frame *a, const struct hilum_frame *b)
{
    return a->columns == b->columns && a->rows == b->rows && a->samples == b->samples &&
           a->bits_allocated == b->bits_allocated && a->photometric == b->photometric &&
           a->sample_type == b->sample_type && a->is_planar == b->is_planar;
}

/* Bits from `shift` on of the bytes at p, moved to the front; the last byte is filled with
 * zeros. Pixels of a byte begin with its lowest bit (PS3.5 8.1.1). */
static void align_bits(uint8_t *p, uint64_t bytes, unsigned shift, uint64_t bits)
{
    for (uint64_t k = 0; shift && k < bytes; k++)
        p[k] = (uint8_t)(p[k] >> shift | p[k + 1] << (8 - shift));
    if (bits % 8)
        p[bytes - 1] &= (uint8_t)((1u << bits % 8) - 1);
}

/* Native frames lie where arithmetic says; those of 1-bit pixels begin anywhere in a byte. Big
 * endian are the words of OW, whatever a sample has of them, lowest first (PS3.5 7.3, 8.1.1), as
 * they are when the object is converted; real numbers are whole units of OF and OD. */
static hilum_rc read_native(const struct hl_unpack *unpack, uint64_t i, uint8_t *p)
{
    const struct hl_syntax *syntax = hl_uid_syntax(unpack->transfer_syntax);
    uint64_t bit = i * unpack->frames.bits, bits = unpack->frames.bits;
    uint64_t n = (bit % 8 + bits + 7) / 8;
    uint32_t unit = unpack->frame.bits_allocated / 8;
    if (unit > 2 && unpack->frame.sample_type != HILUM_SAMPLE_FLOAT)
        unit = 2;
    hilum_rc rc = unpack->source.read(unpack->source.arg, unpack->frames.first + bit / 8, p, n);
    if (rc != HILUM_OK)
        return rc;
    if (unpack->frame.bits_allocated == 1)
        align_bits(p, unpack->frame_bytes, (unsigned)(bit % 8), bits);
    bool is_turned = syntax && syntax->flags & HL_SYNTAX_BIG_ENDIAN && unit > 1;
    for (uint64_t at = 0; is_turned && at + unit <= n; at += unit)
        for (uint32_t k = 0; k < unit / 2; k++) {
            uint8_t byte = p[at + k];
            p[at + k] = p[at + unit - 1 - k];
            p[at + unit - 1 - k] = byte;
        }
    return HILUM_OK;
}

/* `current` is given up first: after a failure there is half a frame in `pixels`. */
static hilum_rc load(struct hl_unpack *unpack, uint64_t i)
{
    struct hilum_frame frame = unpack->frame;
    if (unpack->current == i)
        return HILUM_OK;
    unpack->current = none;
    if (!unpack->pixels) /* a frame of bits may begin late, hence two more */
        unpack->pixels = calloc(1, (size_t)unpack->frame_bytes + 2);
    if (!unpack->pixels)
        return hl_fail(HILUM_ENOMEM, "no memory for a frame");
    hilum_rc rc = unpack->frames.is_native ? read_native(unpack, i, unpack->pixels)
                                           : decode(unpack, i, &frame);
    if (rc == HILUM_OK && !is_same_frame(&frame, &unpack->frame))
        rc = hl_fail(HILUM_ECORRUPT, "frame %llu is of another kind than the first",
                     (unsigned long long)i + 1);
    if (rc == HILUM_OK)
        unpack->current = i;
    return rc;
}

/* ---- what the data set has to say instead ---- */

static struct hl_edit *edit_add(struct hl_unpack *unpack, uint32_t tag, const char *vr)
{
    struct hl_edit *edit = &unpack->edits[unpack->n_edits++];
    *edit = (struct hl_edit){.tag = tag};
    snprintf(edit->vr, sizeof edit->vr, "%s", vr);
    return edit;
}

static void edit_number(struct hl_unpack *unpack, uint32_t tag, uint32_t value)
{
    uint8_t *bytes = unpack->numbers[unpack->n_edits];
    struct hl_edit *edit = edit_add(unpack, tag, "US");
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
    edit->value = bytes;
    edit->length = 2;
}

static void edit_text(struct hl_unpack *unpack, uint32_t tag, const char *vr, const char *value)
{
    struct hl_edit *edit = edit_add(unpack, tag, vr);
    edit->value = (const uint8_t *)value;
    edit->length = strlen(value);
}

static void edit_delete(struct hl_unpack *unpack, const struct hl_scan *scan, uint32_t tag)
{
    if (hl_scan_find(scan, tag))
        edit_add(unpack, tag, "")->is_delete = true;
}

/* PS3.3 C.7.6.1.1.5: the loss is in the pixels, whatever syntax they travel in. Attributes
 * that are there stay. Where a ratio and a method are there they tell the loss already, whose
 * values have to be as many in both. ISO numbers as in PS3.3 C.7.6.1.1.5.1. */
static void edit_lossy(struct hl_unpack *unpack, const struct hl_scan *scan)
{
    char lossy[4] = "", method[17] = "";
    const char *name =
        strncmp(unpack->transfer_syntax, "1.2.840.10008.1.2.4.8", 21) == 0    ? "ISO_14495_1"
        : strncmp(unpack->transfer_syntax, "1.2.840.10008.1.2.4.9", 21) == 0  ? "ISO_15444_1"
        : strncmp(unpack->transfer_syntax, "1.2.840.10008.1.2.4.20", 22) == 0 ? "ISO_15444_15"
                                                                              : "ISO_10918_1";
    uint64_t coded = 0;
    hl_scan_text(scan, HL_TAG_LOSSY, lossy, sizeof lossy);
    for (size_t i = 0; i < unpack->frames.n_fragments; i++)
        coded += unpack->frames.fragments[i].n;
    if (strcmp(lossy, "01") != 0)
        edit_text(unpack, HL_TAG_LOSSY, "CS", "01");
    if (hl_scan_text(scan, HL_TAG_LOSSY_METHOD, method, sizeof method) > 0)
        return;
    snprintf(unpack->ratio, sizeof unpack->ratio, "%.6g",
             (double)(unpack->frame_bytes * unpack->frames.n) / (double)(coded ? coded : 1));
    edit_text(unpack, HL_TAG_LOSSY_RATIO, "DS", unpack->ratio);
    edit_text(unpack, HL_TAG_LOSSY_METHOD, "CS", name);
}

/* Bits Stored stays where the samples still fit: streams of a library's own depth are deeper than what they carry. */
static void edit_depth(struct hl_unpack *unpack)
{
    const struct hilum_frame *declared = &unpack->declared, *frame = &unpack->frame;
    if (frame->bits_allocated == declared->bits_allocated)
        return;
    edit_number(unpack, HL_TAG_ALLOCATED, frame->bits_allocated);
    if (declared->bits_stored && declared->bits_stored <= frame->bits_allocated)
        return;
    edit_number(unpack, HL_TAG_STORED, frame->bits_stored);
    edit_number(unpack, HL_TAG_HIGH_BIT, frame->bits_stored - 1);
}

static void make_edits(struct hl_unpack *unpack, const struct hl_scan *scan, bool is_lossy)
{
    const struct hilum_frame *frame = &unpack->frame;
    const char *photometric = hl_photometric_name(frame->photometric);
    if (frame->photometric != unpack->declared.photometric && photometric)
        edit_text(unpack, HL_TAG_PHOTOMETRIC, "CS", photometric);
    if (frame->samples > 1)
        edit_number(unpack, HL_TAG_PLANAR, frame->is_planar);
    edit_depth(unpack);
    if (is_lossy)
        edit_lossy(unpack, scan);
    edit_delete(unpack, scan, HL_TAG_EXTENDED_TABLE);
    edit_delete(unpack, scan, HL_TAG_EXTENDED_LENGTHS);
    edit_delete(unpack, scan, HL_TAG_TOTAL_LENGTH);
    (void)edit_add(unpack, HL_TAG_PIXEL_DATA, frame->bits_allocated > 8 ? "OW" : "OB");
}

size_t hl_unpack_edits(const struct hl_unpack *unpack, const struct hl_edit **out)
{
    *out = unpack->edits;
    return unpack->n_edits;
}

/* ---- life ---- */

/* Everyone who reads the pixels goes by the data set's Rows and Columns; a stream that says
 * otherwise has come under a wrong header. UINT64_MAX / 2: so that length cannot overflow. */
static hilum_rc check_info(struct hl_unpack *unpack, const struct hilum_frame *frame)
{
    const struct hilum_frame *declared = &unpack->declared;
    if (frame->columns != declared->columns || frame->rows != declared->rows ||
        frame->samples != declared->samples)
        return hl_fail(HILUM_ECORRUPT,
                       "stream of %ux%u pixels, %u samples; data set says %ux%u, %u",
                       frame->columns, frame->rows, frame->samples, declared->columns,
                       declared->rows, declared->samples);
    unpack->frame = *frame;
    unpack->frame_bytes = hilum_frame_bytes(frame);
    if (!unpack->frame_bytes || unpack->frame_bytes > HL_FRAME_MAX ||
        unpack->frames.n > UINT64_MAX / 2 / HL_FRAME_MAX)
        return hl_fail(HILUM_EUNSUP, "frames of %llu bytes",
                       (unsigned long long)unpack->frame_bytes);
    uint64_t bits = (uint64_t)frame->columns * frame->rows * unpack->frames.n;
    unpack->length =
        frame->bits_allocated == 1 ? (bits + 7) / 8 : unpack->frame_bytes * unpack->frames.n;
    unpack->length += unpack->length % 2;
    return HILUM_OK;
}

/* What the data set says is all there is to know. */
static hilum_rc open_native(struct hl_unpack *unpack)
{
    unpack->frame = unpack->declared;
    unpack->frame_bytes = hilum_frame_bytes(&unpack->frame);
    if (!unpack->frame_bytes || unpack->frame_bytes > HL_FRAME_MAX ||
        unpack->frame_bytes != (unpack->frames.bits + 7) / 8)
        return hl_fail(HILUM_EUNSUP, "frames of %llu bytes",
                       (unsigned long long)unpack->frame_bytes);
    return HILUM_OK;
}

/* ---- all frames before the first leaves ---- */

/* In native pixel data a frame of 1-bit pixels may begin in the middle of a byte (PS3.5 8.1.1). */
static bool is_split(const struct hl_unpack *unpack)
{
    const struct hilum_frame *frame = &unpack->frame;
    return frame->bits_allocated == 1 && unpack->frames.n > 1 &&
           (uint64_t)frame->columns * frame->rows % 8;
}

/* Asks the codec what the first frame is. */
static hilum_rc open_encapsulated(struct hl_unpack *unpack, struct hilum_code_info *info)
{
    struct hilum_frame frame = {.size = sizeof frame};
    struct call call = {.unpack = unpack, .memory = &unpack->coded, .out = &frame, .info = info};
    *info = (struct hilum_code_info){.size = sizeof *info, .frame = &frame};
    hilum_rc rc = call_codecs(&call, 0);
    if (rc == HILUM_OK)
        rc = check_info(unpack, &frame);
    unpack->levels = info->levels;
    info->frame = NULL;
    return rc;
}

/* The frame behind the `filled` bits (0 to 7) that wait in *waiting; what is left of it waits for the next. */
static hilum_rc add_bits(struct hl_unpack *unpack, uint8_t *waiting, unsigned *filled)
{
    uint64_t bits = (uint64_t)unpack->frame.columns * unpack->frame.rows, all = *filled + bits;
    uint8_t *p = unpack->pixels;
    for (uint64_t k = 0; *filled && k < unpack->frame_bytes; k++) {
        uint8_t byte = p[k];
        p[k] = (uint8_t)(byte << *filled | *waiting);
        *waiting = (uint8_t)(byte >> (8 - *filled));
    }
    p[unpack->frame_bytes] = *filled ? *waiting : 0;
    unpack->current = none; /* it has been moved */
    *filled = (unsigned)(all % 8);
    *waiting = (uint8_t)(p[all / 8] & ((1u << *filled) - 1));
    return hl_spool_add(&unpack->spool, p, (size_t)(all / 8));
}

static hilum_rc spool_split(struct hl_unpack *unpack)
{
    uint8_t waiting = 0;
    unsigned filled = 0;
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = 0; rc == HILUM_OK && i < unpack->frames.n; i++) {
        rc = load(unpack, i);
        if (rc == HILUM_OK)
            rc = add_bits(unpack, &waiting, &filled);
    }
    return rc == HILUM_OK && filled ? hl_spool_add(&unpack->spool, &waiting, 1) : rc;
}

/* *done counts the frames that were decoded well. */
static hilum_rc spool_frames(struct hl_unpack *unpack, uint64_t *done)
{
    hilum_rc rc = HILUM_OK;
    for (*done = 0; rc == HILUM_OK && *done < unpack->frames.n;) {
        rc = load(unpack, *done);
        if (rc != HILUM_OK)
            break;
        ++*done;
        rc = hl_spool_add(&unpack->spool, unpack->pixels, (size_t)unpack->frame_bytes);
    }
    return rc;
}

/* Decoded to see that they can be, and again as they leave: time for what there is no room for. */
static hilum_rc prove_frames(struct hl_unpack *unpack, uint64_t first)
{
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = first; rc == HILUM_OK && i < unpack->frames.n; i++)
        rc = load(unpack, i);
    return rc;
}

/* No room is no reason to refuse what may be sound. Split frames have to be spooled, as they
 * cannot be found by arithmetic; all others are kept only to be spared the second decoding,
 * which a full disk or HL_UNPACK_SPOOLED may end. */
static hilum_rc spool(struct hl_unpack *unpack, const struct hl_spool_place *place)
{
    unpack->spool.place = place;
    if (is_split(unpack))
        return spool_split(unpack);
    if (!place || unpack->frames.n == 1)
        return HILUM_OK;
    uint64_t most = place->most ? place->most : HL_UNPACK_SPOOLED, done = 1;
    hilum_rc rc = unpack->length <= most ? spool_frames(unpack, &done) : HILUM_EFULL;
    if (rc != HILUM_EFULL)
        return rc;
    hl_spool_fini(&unpack->spool);
    return prove_frames(unpack, done);
}

static hilum_rc open_unpack(struct hl_unpack *unpack, const struct hl_scan *scan, int64_t shift,
                            const struct hl_spool_place *place)
{
    struct hilum_code_info info = {.size = sizeof info};
    hl_pixels_declared(scan, &unpack->declared);
    hilum_rc rc =
        hl_frames_map(scan, shift, unpack->transfer_syntax, &unpack->source, &unpack->frames);
    if (rc == HILUM_OK && unpack->frames.is_native)
        rc = hl_fail(HILUM_EUNSUP, "pixel data is not in fragments");
    if (rc == HILUM_OK)
        rc = open_encapsulated(unpack, &info);
    if (rc == HILUM_OK)
        rc = load(unpack, 0);
    if (rc == HILUM_OK)
        rc = spool(unpack, place);
    if (rc == HILUM_OK)
        make_edits(unpack, scan, info.is_lossless == 0);
    return rc;
}

static struct hl_unpack *unpack_make(const struct hl_codecs *codecs, const char *transfer_syntax,
                                     const struct hl_frame_source *source)
{
    struct hl_unpack *unpack = calloc(1, sizeof *unpack);
    if (!unpack)
        return NULL;
    unpack->codecs = codecs;
    unpack->source = *source;
    unpack->current = none;
    snprintf(unpack->transfer_syntax, sizeof unpack->transfer_syntax, "%s", transfer_syntax);
    return unpack;
}

static hilum_rc take(struct hl_unpack *unpack, hilum_rc rc, struct hl_unpack **out)
{
    *out = rc == HILUM_OK ? unpack : NULL;
    if (rc != HILUM_OK)
        hl_unpack_free(unpack);
    return rc;
}

hilum_rc hl_unpack_new(const struct hl_codecs *codecs, const char *transfer_syntax,
                       const struct hl_scan *scan, int64_t shift,
                       const struct hl_frame_source *source, const struct hl_spool_place *place,
                       struct hl_unpack **out)
{
    struct hl_unpack *unpack = unpack_make(codecs, transfer_syntax, source);
    *out = NULL;
    if (!unpack)
        return hl_fail(HILUM_ENOMEM, "no memory to decode an object");
    return take(unpack, open_unpack(unpack, scan, shift, place), out);
}

hilum_rc hl_unpack_view(const struct hl_codecs *codecs, const char *transfer_syntax,
                        const struct hl_frame_map *map, const struct hl_frame_source *source,
                        struct hl_unpack **out)
{
    struct hilum_code_info info;
    struct hl_unpack *unpack = unpack_make(codecs, transfer_syntax, source);
    *out = NULL;
    if (!unpack)
        return hl_fail(HILUM_ENOMEM, "no memory to decode an object");
    unpack->frames = map->frames;
    unpack->is_lent = true;
    unpack->declared = map->declared;
    return take(unpack,
                map->frames.is_native ? open_native(unpack) : open_encapsulated(unpack, &info),
                out);
}

void hl_unpack_free(struct hl_unpack *unpack)
{
    if (!unpack)
        return;
    if (!unpack->is_lent)
        hl_frames_fini(&unpack->frames);
    hl_spool_fini(&unpack->spool);
    free(unpack->coded.bytes);
    free(unpack->pixels);
    free(unpack);
}

/* ---- pixels ---- */

uint64_t hl_unpack_length(const struct hl_unpack *unpack)
{
    return unpack->length;
}

uint64_t hl_unpack_frames(const struct hl_unpack *unpack)
{
    return unpack->frames.n;
}

hilum_rc hl_unpack_frame(struct hl_unpack *unpack, uint64_t i, struct hilum_frame *out,
                         const void **pixels, uint64_t *n)
{
    if (i >= unpack->frames.n)
        return hl_fail(HILUM_ENOTFOUND, "frame %llu of %llu", (unsigned long long)i + 1,
                       (unsigned long long)unpack->frames.n);
    hilum_rc rc = load(unpack, i);
    if (rc != HILUM_OK)
        return rc;
    *out = unpack->frame;
    *pixels = unpack->pixels;
    *n = unpack->frame_bytes;
    return HILUM_OK;
}

uint32_t hl_unpack_kind(const struct hl_unpack *unpack, struct hilum_frame *out)
{
    *out = unpack->frame;
    return unpack->levels;
}

/* Of a frame that may be halved: `frame` says what came. */
static bool is_expected(const struct hl_unpack *unpack, const struct hilum_frame *frame,
                        uint32_t reduce, uint64_t n)
{
    if (reduce == 0)
        return is_same_frame(frame, &unpack->frame);
    return frame->samples == unpack->frame.samples &&
           frame->bits_allocated == unpack->frame.bits_allocated && hilum_frame_bytes(frame) == n;
}

/* Uses nothing of `unpack` that changes, hence several threads at once: its own memory for the
 * code stream, the caller's for the pixels. */
hilum_rc hl_unpack_into(const struct hl_unpack *unpack, uint64_t i,
                        const struct hl_unpack_wish *how, void *dst, uint64_t n,
                        struct hilum_frame *out)
{
    const uint32_t reduce = how ? how->reduce : 0;
    struct hilum_decode wanted = {.size = sizeof wanted, .reduce = reduce};
    struct coded memory = {NULL, 0};
    struct call call = {.unpack = unpack,
                        .memory = &memory,
                        .out = out,
                        .wanted = how ? &wanted : NULL,
                        .dst = dst,
                        .dst_size = n};
    if (i >= unpack->frames.n)
        return hl_fail(HILUM_ENOTFOUND, "frame %llu of %llu", (unsigned long long)i + 1,
                       (unsigned long long)unpack->frames.n);
    if (reduce > unpack->levels)
        return hl_fail(HILUM_EUNSUP, "frames that cannot be halved %u times", reduce);
    if (how && how->wish) {
        wanted.go_on = how->wish->go_on;
        wanted.arg = how->wish->arg;
    }
    *out = unpack->frame;
    hilum_rc rc = unpack->frames.is_native ? read_native(unpack, i, dst) : call_codecs(&call, i);
    free(memory.bytes);
    if (rc == HILUM_OK && !is_expected(unpack, out, reduce, n))
        rc = hl_fail(HILUM_ECORRUPT, "frame %llu is of another kind than the first",
                     (unsigned long long)i + 1);
    return rc;
}

/* Read forwards each frame is decoded once; a jump back decodes again. */
hilum_rc hl_unpack_bytes(struct hl_unpack *unpack, uint64_t at, size_t *n, const uint8_t **bytes)
{
    static const uint8_t padding = 0;
    if (at < unpack->spool.length)
        return hl_spool_read(&unpack->spool, at, n, bytes);
    uint64_t i = at / unpack->frame_bytes, within = at % unpack->frame_bytes;
    if (unpack->spool.length || i >= unpack->frames.n) {
        *bytes = &padding;
        *n = at < unpack->length && *n ? 1 : 0;
        return HILUM_OK;
    }
    hilum_rc rc = load(unpack, i);
    uint64_t left = unpack->frame_bytes - within;
    *bytes = unpack->pixels + within;
    if (*n > left)
        *n = (size_t)left;
    return rc;
}
