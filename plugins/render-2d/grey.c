/* Samples of one channel to shades. Up to 16 stored bits go through a table of integers, the rest one by one.
 *
 * The table has a place for each value that can be stored, and the ramp is run for those between
 * the least and the greatest of the frame instead of once a pixel; the loop over pixels is a
 * look-up the compiler unrolls.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <endian.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a sample ---- */

static uint32_t stored_bits(const struct samples *s)
{
    uint32_t bits = s->frame.bits_stored;
    return bits > 0 && bits < s->frame.bits_allocated ? bits : s->frame.bits_allocated;
}

static double widen(uint32_t raw, uint32_t bits, bool is_signed)
{
    uint64_t sign = (uint64_t)1 << (bits - 1);
    return is_signed && raw & sign ? (double)raw - 2.0 * (double)sign : (double)raw;
}

static uint64_t wide(const uint8_t *p, uint32_t n)
{
    uint64_t value = 0;
    for (uint32_t k = n; k-- > 0;)
        value = value << 8 | p[k];
    return value;
}

/* Sample i, whatever its kind. The slow way, for every kind: 1 bit, 32 bits, floats. */
double sample_value(const struct samples *s, uint64_t i)
{
    uint32_t unit = s->frame.bits_allocated / 8, bits = stored_bits(s);
    if (s->frame.bits_allocated == 1)
        return s->pixels[i / 8] >> i % 8 & 1;
    uint64_t raw = wide(s->pixels + i * unit, unit);
    if (s->frame.sample_type == HILUM_SAMPLE_FLOAT) {
        float single;
        double value;
        uint32_t low = (uint32_t)raw;
        memcpy(&single, &low, sizeof single);
        memcpy(&value, &raw, sizeof value);
        return unit == 4 ? (double)single : value;
    }
    raw >>= s->shift;
    if (bits < 64)
        raw &= ((uint64_t)1 << bits) - 1;
    if (bits > 32)
        return s->frame.sample_type == HILUM_SAMPLE_SIGNED ? (double)(int64_t)raw : (double)raw;
    return widen((uint32_t)raw, bits, s->frame.sample_type == HILUM_SAMPLE_SIGNED);
}

/* ---- how far the pixels go ---- */

static uint64_t count(const struct samples *s)
{
    return (uint64_t)s->frame.columns * s->frame.rows;
}

struct reach {
    double low, high; /* in output units */
};

/* Padding is not part of what a window is to show (PS3.3 C.7.5.1.1.2). */
static void reach_to(const struct ramp *ramp, double stored, struct reach *out)
{
    if (!isfinite(stored) || ramp_is_padding(ramp, stored))
        return;
    double value = ramp_value(ramp, stored);
    out->low = value < out->low ? value : out->low;
    out->high = value > out->high ? value : out->high;
}

/* Few bits: a value counts once, however many pixels have it. */
static bool is_tabled(const struct samples *s)
{
    return (s->frame.bits_allocated == 8 || s->frame.bits_allocated == 16) &&
           s->frame.sample_type != HILUM_SAMPLE_FLOAT;
}

/* Marked first and ramped after: a picture of 16 million pixels has 65536 values at most. */
static void reach_marked(const struct ramp *ramp, const struct samples *s, struct reach *out)
{
    uint32_t bits = stored_bits(s), mask = (1u << bits) - 1, unit = s->frame.bits_allocated / 8;
    uint8_t *is_used = calloc(1, (size_t)mask + 1);
    const uint8_t *p = s->pixels;
    uint64_t n = is_used != NULL ? count(s) : 0;
    for (uint64_t i = 0; i < n && unit == 2; i++)
        is_used[((uint32_t)p[2 * i] | (uint32_t)p[2 * i + 1] << 8) >> s->shift & mask] = 1;
    for (uint64_t i = 0; i < n && unit == 1; i++)
        is_used[(uint32_t)p[i] >> s->shift & mask] = 1;
    for (uint32_t raw = 0; is_used != NULL && raw <= mask; raw++)
        if (is_used[raw])
            reach_to(ramp, widen(raw, bits, s->frame.sample_type == HILUM_SAMPLE_SIGNED), out);
    free(is_used);
}

/* A picture of 8 bits without any hint is as it is to be seen; of the others, what there is is spread. */
static void window_make(struct ramp *ramp, const struct samples *s)
{
    uint32_t bits = stored_bits(s);
    bool is_plain = ramp->modality.n == 0 && ramp->slope == 1 && ramp->intercept == 0;
    ramp->function = VOI_LINEAR_EXACT;
    if (bits <= 8 && is_plain && s->frame.sample_type == HILUM_SAMPLE_UNSIGNED) {
        ramp->window = (1 << bits) - 1;
        ramp->level = ramp->window / 2;
        return;
    }
    struct reach reach = {INFINITY, -INFINITY};
    if (is_tabled(s))
        reach_marked(ramp, s, &reach);
    for (uint64_t i = 0; !is_tabled(s) && i < count(s); i++)
        reach_to(ramp, sample_value(s, i), &reach);
    ramp->window = reach.high > reach.low ? reach.high - reach.low : 1;
    ramp->level = reach.high >= reach.low ? reach.low + (reach.high - reach.low) / 2 : 0;
}

/* ---- shades ---- */

/* Padding is black whatever the ramp says, also when inverted. */
static uint16_t shade_of(const struct ramp *ramp, double stored, double most)
{
    if (ramp_is_padding(ramp, stored))
        return 0;
    return (uint16_t)(ramp_shade(ramp, stored) * most + 0.5);
}

/* From the least to the greatest stored value of a frame, in the order of what they mean: the sign's bit is turned. */
struct span {
    uint32_t low, high, turned;
};

/* Signed words, which every processor compares many at a time: hence the turn of the highest bit as well. */
static void span_of_words(const struct samples *s, struct span *out)
{
    uint16_t keep = (uint16_t)out->high, turned = (uint16_t)(out->turned ^ 0x8000u);
    int16_t low = INT16_MAX, high = INT16_MIN;
    uint32_t shift = s->shift;
    uint64_t n = count(s);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t word;
        memcpy(&word, s->pixels + 2 * i, sizeof word);
        int16_t value = (int16_t)((le16toh(word) >> shift & keep) ^ turned);
        if (value < low)
            low = value;
        if (value > high)
            high = value;
    }
    out->low = (uint16_t)low ^ 0x8000u;
    out->high = (uint16_t)high ^ 0x8000u;
}

/* All values where there are few: ramps cost less than a look at the pixels then. */
static struct span span_of(const struct samples *s)
{
    enum { FEW = 4096 };
    uint32_t mask = (1u << stored_bits(s)) - 1;
    bool is_signed = s->frame.sample_type == HILUM_SAMPLE_SIGNED;
    struct span span = {0, mask, is_signed ? mask ^ mask >> 1 : 0};
    if (mask >= FEW)
        span_of_words(s, &span);
    return span;
}

/* A place for every value that can be stored; those of the frame's span are filled: a CT has some thousand of the 65536. */
static hilum_rc table_make(const struct scene *scene, const struct ramp *ramp,
                           const struct samples *s, double most, uint16_t **out)
{
    uint32_t bits = stored_bits(s);
    bool is_signed = s->frame.sample_type == HILUM_SAMPLE_SIGNED;
    struct span span = span_of(s);
    *out = malloc(sizeof **out << bits);
    if (*out == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a table of shades");
    for (uint32_t value = span.low; value <= span.high; value++) {
        uint32_t raw = value ^ span.turned;
        (*out)[raw] = shade_of(ramp, widen(raw, bits, is_signed), most);
    }
    return HILUM_OK;
}

/* A table of 256 bytes stays in the nearest cache. */
static void look_up8(const struct samples *s, const uint16_t *table, struct picture *out)
{
    uint8_t narrow[256], *to = out->pixels;
    uint32_t mask = (1u << stored_bits(s)) - 1;
    for (uint32_t k = 0; k < 256; k++)
        narrow[k] = (uint8_t)table[k >> s->shift & mask];
    for (uint64_t i = 0; i < count(s); i++)
        to[i] = narrow[s->pixels[i]];
}

/* Four pixels side by side, shifted so that the stored bits are the lowest of each word. Bits above them may hold overlays,
 * or come from the neighbour: hence the mask. */
static uint32_t four_shades(uint64_t words, const uint16_t *table, uint32_t mask)
{
    return (uint32_t)table[words & mask] | (uint32_t)table[words >> 16 & mask] << 8 |
           (uint32_t)table[words >> 32 & mask] << 16 | (uint32_t)table[words >> 48 & mask] << 24;
}

/* The loop most pictures spend their time in: one read and one write for four look-ups. Lent pixels are in no cache yet, and
 * processors do not look ahead beyond a page by themselves. */
static void look_up16(const struct samples *s, const uint16_t *table, struct picture *out)
{
    uint32_t mask = (1u << stored_bits(s)) - 1, shift = s->shift;
    uint8_t *to = out->pixels;
    const uint8_t *from = s->pixels;
    enum { AHEAD = 1024 }; /* pixels */
    uint64_t n = count(s), i = 0;
    for (; i + 4 <= n; i += 4) {
        uint64_t words;
        if (n - i > AHEAD)
            __builtin_prefetch(from + 2 * (i + AHEAD));
        memcpy(&words, from + 2 * i, sizeof words);
        uint32_t shades = htole32(four_shades(le64toh(words) >> shift, table, mask));
        memcpy(to + i, &shades, sizeof shades);
    }
    for (; i < n; i++)
        to[i] = (uint8_t)table[wide(from + 2 * i, 2) >> shift & mask];
}

static void look_up_deep(const struct samples *s, const uint16_t *table, struct picture *out)
{
    uint32_t mask = (1u << stored_bits(s)) - 1, unit = s->frame.bits_allocated / 8;
    uint16_t *to = out->pixels;
    for (uint64_t i = 0; i < count(s); i++)
        to[i] = table[wide(s->pixels + i * unit, unit) >> s->shift & mask];
}

/* All of modality, VOI and presentation in one table of stored values: a look-up a pixel,
 * whatever they are. */
static hilum_rc shade_by_table(const struct scene *scene, const struct ramp *ramp,
                               const struct samples *s, struct picture *out)
{
    uint16_t *table = NULL;
    hilum_rc rc = table_make(scene, ramp, s, out->depth == 8 ? 255 : 65535, &table);
    if (rc != HILUM_OK)
        return rc;
    if (out->depth == 16)
        look_up_deep(s, table, out);
    else if (s->frame.bits_allocated == 8)
        look_up8(s, table, out);
    else
        look_up16(s, table, out);
    free(table);
    return HILUM_OK;
}

/* For samples that no table has room for: floats, 32 bits. */
static void shade_each(const struct ramp *ramp, const struct samples *s, struct picture *out)
{
    double most = out->depth == 8 ? 255 : 65535;
    for (uint64_t i = 0; i < count(s); i++) {
        uint16_t shade = shade_of(ramp, sample_value(s, i), most);
        if (out->depth == 8)
            ((uint8_t *)out->pixels)[i] = (uint8_t)shade;
        else
            ((uint16_t *)out->pixels)[i] = shade;
    }
}

/* Differences have no modality and no recorded window. */
static void forget(struct ramp *ramp, const struct request *request)
{
    table_fini(&ramp->modality);
    table_fini(&ramp->voi);
    ramp->slope = 1;
    ramp->intercept = 0;
    ramp->has_padding = false;
    ramp->window = request->window;
    ramp->level = request->level;
}

/* Output units already, and padding is marked (subtract.c). */
static void mask_is_done(struct ramp *ramp)
{
    ramp->has_padding = true;
    ramp->padding[0] = ramp->padding[1] = -INFINITY;
}

/* A window of the object's or the caller's counts; only without any the pixels are asked. */
hilum_rc grey_picture(const struct scene *scene, const struct request *request,
                      const struct hilum_slice *slice, const struct samples *samples,
                      struct picture *out)
{
    struct ramp ramp;
    hilum_rc rc = ramp_read(scene, request, slice, &ramp);
    if (rc == HILUM_OK && samples->is_difference)
        forget(&ramp, request);
    if (rc == HILUM_OK && samples->is_masked)
        mask_is_done(&ramp);
    if (rc == HILUM_OK && ramp.voi.n == 0 && ramp.window == 0)
        window_make(&ramp, samples);
    if (rc == HILUM_OK)
        rc = picture_room(scene->render, samples->frame.columns, samples->frame.rows, 1,
                          request->depth, out);
    if (rc == HILUM_OK && is_tabled(samples))
        rc = shade_by_table(scene, &ramp, samples, out);
    else if (rc == HILUM_OK)
        shade_each(&ramp, samples, out);
    ramp_fini(&ramp);
    return rc;
}
