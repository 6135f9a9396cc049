/* Corrections as edits of a data set.
 *
 * The stored object is never changed: what leaves is corrected on its way, and says so (Original
 * Attributes Sequence, PS3.3 C.12.1.1.9). Texts are written in the object's own character set;
 * where that cannot say a correction the data set becomes UTF-8, if nothing nested stands in the
 * way. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/error.h"
#include "core/dicom/charset.h"

/* Four megabytes of earlier corrections, or of one nested sequence that is looked through:
 * beyond what people write by hand. */
enum { ORIGINAL_MAX = 4 * 1024 * 1024 };

#define TAG_CHARSET  HL_TAG(0x0008, 0x0005)
#define TAG_ORIGINAL HL_TAG(0x0400, 0x0561)
#define UTF8         "ISO_IR 192"

struct plan {
    struct hl_outgoing *outgoing;
    const struct hl_store *store;
    const struct hl_scan *scan;
    const struct hl_overlays *overlays;
    const char *charset;   /* texts are written in */
    char declared[256];    /* (0008,0005) as stored */
    struct hl_arena arena; /* of the edits' values */
    struct hl_edit *edits;
    size_t n, cap;
};

static hilum_rc edit_add(struct plan *plan, const struct hl_edit *edit)
{
    if (!hl_grow(&plan->edits, &plan->cap, plan->n, sizeof *plan->edits))
        return hl_fail(HILUM_ENOMEM, "no memory for overlays");
    plan->edits[plan->n++] = *edit;
    return HILUM_OK;
}

/* The element's own VR, else ours, else the dictionary's. */
static void vr_of(const struct plan *plan, uint32_t tag, char vr[3])
{
    const struct hl_element *element = hl_scan_find(plan->scan, tag);
    const struct hl_header_field *field = hl_header_field_at(tag);
    const char *found = "LO";
    if (element != NULL && element->vr[0] != '\0' && strcmp(element->vr, "UN") != 0)
        found = element->vr;
    else if (field != NULL)
        found = field->vr;
    else if (plan->store->options.vr != NULL)
        found = plan->store->options.vr(tag);
    snprintf(vr, 3, "%s", found);
}

/* Decimal text of a binary number VR into its bytes. */
static size_t number_encode(const struct plan *plan, const char *vr, const char *text,
                            uint8_t out[8])
{
    size_t size = vr[1] == 'S' ? 2 : 4;
    unsigned long long value = (unsigned long long)strtoll(text, NULL, 10);
    for (size_t i = 0; i < size; i++)
        out[hl_scan_is_big_endian(plan->scan) ? size - 1 - i : i] = (uint8_t)(value >> (8 * i));
    return size;
}

/* 1: the character set cannot say it. Other binary VRs (FD, AT, ...) are not corrected by
 * people; their texts would go out as they are. */
static hilum_rc value_encode(struct plan *plan, const char *vr, const char *text,
                             struct hl_buf *out)
{
    static const char *const numbers[] = {"US", "SS", "UL", "SL"};
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        if (strcmp(vr, numbers[i]) == 0) {
            hl_buf_add(out, bytes, number_encode(plan, vr, text, bytes));
            return HILUM_OK;
        }
    }
    return hl_charset_from_utf8(text, strlen(text), plan->charset, out);
}

/* One attribute set to a text; *is_lossy becomes true if the character set cannot say it. */
static hilum_rc text_edit(struct plan *plan, uint32_t tag, const char *utf8, bool *is_lossy)
{
    struct hl_edit edit = {.tag = tag};
    struct hl_buf value = {0};
    vr_of(plan, tag, edit.vr);
    hilum_rc rc = value_encode(plan, edit.vr, utf8, &value);
    *is_lossy = *is_lossy || rc == 1;
    if (value.len > 0)
        edit.value = (const uint8_t *)hl_arena_strndup(&plan->arena, value.data, value.len);
    edit.length = value.len;
    if (rc >= 0 && (value.failed || (value.len > 0 && edit.value == NULL)))
        rc = hl_fail(HILUM_ENOMEM, "no memory for overlays");
    hl_buf_fini(&value);
    return rc < 0 ? rc : edit_add(plan, &edit);
}

/* A correction without a text deletes. */
static hilum_rc overlay_edits(struct plan *plan, bool *is_lossy)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < plan->overlays->n && rc == HILUM_OK; i++) {
        const struct hl_overlay *overlay = &plan->overlays->items[i];
        if (overlay->text != NULL) {
            rc = text_edit(plan, overlay->tag, overlay->text, is_lossy);
            continue;
        }
        rc = edit_add(plan, &(struct hl_edit){.tag = overlay->tag, .is_delete = true});
    }
    return rc;
}

/* ---- the object's character set cannot say the correction ---- */

static bool is_overlaid(const struct plan *plan, uint32_t tag)
{
    for (size_t i = 0; i < plan->overlays->n; i++) {
        if (plan->overlays->items[i].tag == tag)
            return true;
    }
    return false;
}

/* In implicit VR nothing but the dictionary says so, and that only of what it knows: a value the scan has not kept
 * may be one. Pixels are none, and end the part that has text. */
static bool may_be_sequence(const struct plan *plan, const struct hl_element *element)
{
    char vr[3];
    if (element->tag >> 16 == 0x7FE0)
        return false;
    if (element->vr[0] != '\0' && strcmp(element->vr, "UN") != 0)
        return strcmp(element->vr, "SQ") == 0;
    vr_of(plan, element->tag, vr);
    return strcmp(vr, "SQ") == 0 || element->is_undefined ||
           (element->value == NULL && element->length > 0);
}

/* Text inside sequences keeps its bytes, so the set may only change where these are plain
 * ASCII. The scan knows no nested elements, so bytes have to do. A doubt costs a '?' in one
 * value; a wrong yes would make all nested names unreadable. */
static bool may_become_utf8(struct plan *plan)
{
    for (size_t i = 0; i < hl_scan_count(plan->scan); i++) {
        const struct hl_element *element = hl_scan_at(plan->scan, i);
        uint64_t n = element->length;
        if (!may_be_sequence(plan, element))
            continue;
        uint8_t *bytes = n <= ORIGINAL_MAX ? malloc(n + 1) : NULL;
        bool is_plain = bytes != NULL &&
                        hl_outgoing_read(plan->outgoing, element->offset + element->header_length,
                                         bytes, n) == HILUM_OK;
        /* two high bytes in a row, or an escape: text; delimiters and lengths look otherwise */
        for (uint64_t k = 1; is_plain && k < n; k++)
            is_plain = bytes[k] != 0x1B && !(bytes[k] >= 0x80 && bytes[k] < 0xFF &&
                                             bytes[k - 1] >= 0x80 && bytes[k - 1] < 0xFF);
        free(bytes);
        if (!is_plain)
            return false;
    }
    return true;
}

/* Every other text of the top level, written anew in UTF-8, and the character set itself.
 * Values the scan has not kept (over 64 KiB) keep their bytes: no text VR that is shown is so
 * long. */
static hilum_rc recode_edits(struct plan *plan)
{
    struct hl_buf text = {0};
    bool is_lossy = false, was_repaired = false;
    hilum_rc rc = text_edit(plan, TAG_CHARSET, UTF8, &is_lossy);
    for (size_t i = 0; i < hl_scan_count(plan->scan) && rc == HILUM_OK; i++) {
        const struct hl_element *element = hl_scan_at(plan->scan, i);
        char vr[3];
        vr_of(plan, element->tag, vr);
        if (element->tag == TAG_CHARSET || is_overlaid(plan, element->tag) ||
            element->value == NULL || !hl_header_is_text_vr(vr))
            continue;
        hl_buf_clear(&text);
        rc = hl_charset_to_utf8((const char *)element->value, (size_t)element->length,
                                plan->declared, NULL, &text, &was_repaired);
        if (rc == HILUM_OK &&
            (text.len != element->length || memcmp(text.data, element->value, text.len) != 0))
            rc = text_edit(plan, element->tag, hl_buf_str(&text), &is_lossy);
    }
    hl_buf_fini(&text);
    return rc;
}

/* ---- what was there ---- */

/* The items there are, to which ours is added: what an earlier system noted stays. */
static hilum_rc existing_read(struct plan *plan, uint8_t **bytes, size_t *n)
{
    const struct hl_element *element = hl_scan_find(plan->scan, TAG_ORIGINAL);
    *bytes = NULL;
    *n = 0;
    if (element == NULL || element->length == 0)
        return HILUM_OK;
    if (element->length > ORIGINAL_MAX)
        return hl_fail(HILUM_EUNSUP, "Original Attributes Sequence over %d bytes", ORIGINAL_MAX);
    *n = (size_t)element->length;
    *bytes = hl_arena_alloc(&plan->arena, *n);
    if (*bytes == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for overlays");
    return hl_outgoing_read(plan->outgoing, element->offset + element->header_length, *bytes, *n);
}

/* Previous values as they were stored, bytes and all. */
static size_t olds_collect(const struct plan *plan, struct hl_edit *olds)
{
    size_t n = 0;
    for (size_t i = 0; i < plan->overlays->n; i++) {
        const struct hl_element *element = hl_scan_find(plan->scan, plan->overlays->items[i].tag);
        if (element == NULL || (element->value == NULL && element->length > 0))
            continue;
        struct hl_edit old = {
            .tag = element->tag, .value = element->value, .length = (size_t)element->length};
        vr_of(plan, element->tag, old.vr);
        olds[n++] = old;
    }
    return n;
}

/* The time is that of the latest correction: one item tells all of them. UTC with its offset
 * (PS3.5 6.2, DT). Which correction of several said what is in the catalogue's history. */
static hilum_rc original_edit(struct plan *plan)
{
    int64_t when = 0;
    for (size_t i = 0; i < plan->overlays->n; i++)
        when = plan->overlays->items[i].when_us > when ? plan->overlays->items[i].when_us : when;
    char datetime[32];
    time_t seconds = (time_t)(when / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    strftime(datetime, sizeof datetime, "%Y%m%d%H%M%S+0000", &tm);

    uint8_t *existing = NULL;
    size_t n = 0;
    struct hl_edit *olds = hl_arena_alloc(&plan->arena, (plan->overlays->n + 1) * sizeof *olds);
    hilum_rc rc = olds != NULL ? existing_read(plan, &existing, &n)
                               : hl_fail(HILUM_ENOMEM, "no memory for overlays");
    if (rc != HILUM_OK)
        return rc;
    struct hl_original item = {.old = olds,
                               .n_old = olds_collect(plan, olds),
                               .source = "",
                               .system = "HILUM",
                               .datetime = datetime,
                               .reason = "CORRECT"};
    struct hl_buf value = {0};
    struct hl_edit edit = {.tag = TAG_ORIGINAL, .vr = "SQ"};
    rc = hl_original_add(plan->scan, existing, n, &item, &value);
    if (rc == HILUM_OK) {
        edit.value = (const uint8_t *)hl_arena_strndup(&plan->arena, value.data, value.len);
        edit.length = value.len;
        rc = edit.value != NULL ? edit_add(plan, &edit)
                                : hl_fail(HILUM_ENOMEM, "no memory for overlays");
    }
    hl_buf_fini(&value);
    return rc;
}

static int edit_order(const void *a, const void *b)
{
    const struct hl_edit *x = a, *y = b;
    return x->tag < y->tag ? -1 : x->tag > y->tag;
}

/* Tried in the object's character set first; what cannot be said is '?' there, unless the set
 * may change. recode_edits comes after the corrections themselves, so that what is corrected
 * is not recoded as well. */
static hilum_rc texts_plan(struct plan *plan)
{
    bool is_lossy = false;
    hilum_rc rc = overlay_edits(plan, &is_lossy);
    if (rc != HILUM_OK || !is_lossy || is_overlaid(plan, TAG_CHARSET) || !may_become_utf8(plan))
        return rc;
    plan->n = 0;
    plan->charset = UTF8;
    rc = overlay_edits(plan, &is_lossy);
    return rc == HILUM_OK ? recode_edits(plan) : rc;
}

hilum_rc hl_overlay_plan(struct hl_outgoing *outgoing, const struct hl_store *store,
                         const struct hl_scan *scan, const struct hl_overlays *overlays,
                         struct hl_splice *out)
{
    struct plan plan = {.outgoing = outgoing, .store = store, .scan = scan, .overlays = overlays};
    hl_scan_text(scan, TAG_CHARSET, plan.declared, sizeof plan.declared);
    plan.charset = plan.declared;
    hilum_rc rc = texts_plan(&plan);
    if (rc == HILUM_OK)
        rc = original_edit(&plan);
    if (rc == HILUM_OK) {
        qsort(plan.edits, plan.n, sizeof *plan.edits, edit_order);
        rc = hl_splice_plan(scan, plan.edits, plan.n, out);
    }
    free(plan.edits);
    hl_arena_fini(&plan.arena);
    return rc;
}
