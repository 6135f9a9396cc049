/* Look-up tables as data sets hold them: modality, VOI, presentation (PS3.3 C.11) and palettes (C.7.6.3.1.5, C.7.9).
 * SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdlib.h>
#include <string.h>

/* SEGMENTS_MAX: a segment may refer to others (C.7.9.2.3); so many steps end what goes around. */
enum { ENTRIES_MAX = 65536, SEGMENTS_MAX = 1 << 20 };

static uint16_t word(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

/* Entries of 8 bits come packed, or each in a word, in its lower byte or in both. Words in
 * either form are told from each other by the values there are. */
static hilum_rc unpack(const struct scene *scene, const uint8_t *bytes, uint64_t length, uint32_t n,
                       uint32_t bits, uint16_t **out)
{
    bool is_packed = length < (uint64_t)n * 2;
    uint16_t *entries = calloc(n, sizeof *entries), most = 0;
    *out = NULL;
    if (entries == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a look-up table");
    if (length < (is_packed ? n : (uint64_t)n * 2)) {
        free(entries);
        return render_fail(scene->render, HILUM_EINVAL,
                           "look-up table of %u entries has %llu bytes", n,
                           (unsigned long long)length);
    }
    for (uint32_t i = 0; i < n; i++) {
        entries[i] = is_packed ? bytes[i] : word(bytes + 2 * (size_t)i);
        most = entries[i] > most ? entries[i] : most;
    }
    for (uint32_t i = 0; bits <= 8 && most > 255 && i < n; i++)
        entries[i] >>= 8;
    *out = entries;
    return HILUM_OK;
}

/* Its words are US or SS by what the table is applied to, and many writers use one for the
 * other (PS3.3 C.11.1.1). 0 entries stand for 65536. */
bool table_descriptor(const struct scene *scene, uint32_t i, const char *path, bool is_signed,
                      uint32_t *n, uint32_t *bits, int32_t *first)
{
    double d[3];
    if (attribute_numbers(attribute(scene, i, path), d, 3) != 3)
        return false;
    if (d[0] < 0) /* a signed VR where none belongs */
        d[0] += 65536;
    *n = d[0] < 1 || d[0] > ENTRIES_MAX ? ENTRIES_MAX : (uint32_t)d[0];
    *bits = d[2] >= 1 && d[2] <= 16 ? (uint32_t)d[2] : 16;
    if (is_signed && d[1] > 32767)
        d[1] -= 65536;
    if (!is_signed && d[1] < 0)
        d[1] += 65536;
    *first = (int32_t)d[1];
    return true;
}

hilum_rc table_read(const struct scene *scene, uint32_t i, const char *descriptor, const char *data,
                    bool is_signed, struct table *out)
{
    const void *bytes = NULL;
    uint64_t length = 0;
    uint32_t n, bits;
    *out = (struct table){.n = 0};
    if (!table_descriptor(scene, i, descriptor, is_signed, &n, &bits, &out->first) ||
        attribute_bytes(scene, i, data, &bytes, &length) != HILUM_OK)
        return HILUM_ENOTFOUND;
    hilum_rc rc = unpack(scene, bytes, length, n, bits, &out->entries);
    if (out->entries == NULL)
        return rc;
    out->n = n;
    uint32_t most = (1u << bits) - 1;
    for (uint32_t k = 0; k < out->n; k++) /* more than was promised: such tables are about */
        while (out->entries[k] > most)
            most = most * 2 + 1;
    out->scale = 1.0 / most;
    return HILUM_OK;
}

/* Below the first value the first entry counts, above the last the last. */
double table_entry(const struct table *table, double value)
{
    double at = value - table->first + 0.5;
    if (!(at > 0))
        return table->entries[0];
    return table->entries[at >= table->n ? table->n - 1 : (uint32_t)at];
}

void table_fini(struct table *table)
{
    free(table->entries);
    table->entries = NULL;
    table->n = 0;
}

/* ---- segments ---- */

struct expansion {
    const uint8_t *bytes;
    uint64_t n_words;
    uint16_t *entries;
    uint32_t n, at;
    uint32_t steps; /* taken: indirect segments repeat others */
};

static void put(struct expansion *e, uint16_t value)
{
    if (e->at < e->n)
        e->entries[e->at++] = value;
}

static void line_to(struct expansion *e, uint32_t length, uint16_t end)
{
    int32_t from = e->at > 0 ? e->entries[e->at - 1] : 0;
    for (uint32_t k = 1; k <= length; k++)
        put(e, (uint16_t)(from + ((int64_t)end - from) * k / length));
}

/* The segment at word `at`; the next one's place, 0: not to be understood. Indirect segments
 * repeat earlier ones and may not lead to another indirect one (PS3.3 C.7.9.2), so this ends;
 * `steps` bounds the work. */
static uint64_t segment(struct expansion *e, uint64_t at, bool may_repeat)
{
    if (at + 2 > e->n_words || e->steps++ > SEGMENTS_MAX)
        return 0;
    uint32_t kind = word(e->bytes + 2 * at), length = word(e->bytes + 2 * at + 2);
    at += 2;
    if (kind == 0 && at + length <= e->n_words) {
        for (uint32_t k = 0; k < length; k++)
            put(e, word(e->bytes + 2 * (at + k)));
        return at + length;
    }
    if (kind == 1 && at + 1 <= e->n_words) {
        line_to(e, length, word(e->bytes + 2 * at));
        return at + 1;
    }
    if (kind != 2 || !may_repeat || at + 2 > e->n_words)
        return 0;
    uint64_t from = (word(e->bytes + 2 * at) | (uint64_t)word(e->bytes + 2 * at + 2) << 16) / 2;
    for (uint32_t k = 0; k < length && from < e->n_words; k++)
        if ((from = segment(e, from, false)) == 0)
            return 0;
    return at + 2;
}

/* PS3.3 C.7.9.2: segments are run until all entries are there; at 0 a segment was not
 * well-formed. Fewer entries than promised is an error: a palette with holes shows wrong
 * colours. */
hilum_rc table_expand(const struct scene *scene, const uint8_t *bytes, uint64_t length, uint32_t n,
                      uint16_t **out)
{
    struct expansion e = {.bytes = bytes, .n_words = length / 2, .n = n};
    e.entries = calloc(n, sizeof *e.entries);
    *out = e.entries;
    if (e.entries == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a palette");
    for (uint64_t at = 0; at < e.n_words && e.at < n;)
        if ((at = segment(&e, at, true)) == 0)
            break;
    if (e.at == n)
        return HILUM_OK;
    free(e.entries);
    *out = NULL;
    return render_fail(scene->render, HILUM_EINVAL, "segmented palette: %u entries of %u", e.at, n);
}
