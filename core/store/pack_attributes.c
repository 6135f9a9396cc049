/* What an encoded data set says of its pixels: colours, offsets, and, where something was lost,
 * that it is another object than the one it was made from (PS3.3 C.7.6.1.1.5, C.7.6.3, C.12.4;
 * PS3.5 8.2, A.4).
 *
 * Edits ascend by tag (hl_splice_plan asks for it), and so do the calls here. HL_PACK_EDITS
 * bounds their number. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/pack_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/store_internal.h"

enum {
    TAG_IMAGE_TYPE = 0x00080008,
    TAG_SOP_CLASS = 0x00080016,
    TAG_SOP_INSTANCE = 0x00080018,
    TAG_CODE_VALUE = 0x00080100,
    TAG_CODE_SCHEME = 0x00080102,
    TAG_CODE_MEANING = 0x00080104,
    TAG_REFERENCED_CLASS = 0x00081150,
    TAG_REFERENCED_INSTANCE = 0x00081155,
    TAG_DERIVATION = 0x00082111,
    TAG_SOURCE_IMAGES = 0x00082112,
    TAG_DERIVATION_CODES = 0x00089215,
    TAG_PURPOSE = 0x0040A170,
    DERIVATION_MAX = 1024, /* ST */
    VALUES_MAX = 4096,
    SEQUENCE_MAX = 1 << 20
};
static const struct hl_coding explicit_little = {0};

static hilum_rc no_memory(void)
{
    return hl_fail(HILUM_ENOMEM, "no memory for attributes of an encoded object");
}

/* ---- edits ---- */

/* There is always room: HL_PACK_EDITS is more than all calls together. */
static struct hl_edit *edit_add(struct hl_pack *pack, uint32_t tag, const char *vr)
{
    struct hl_edit *edit = &pack->edits[pack->n_edits++];
    *edit = (struct hl_edit){.tag = tag};
    snprintf(edit->vr, sizeof edit->vr, "%s", vr);
    return edit;
}

/* The bytes are copied into the pack's arena. */
static hilum_rc edit_bytes(struct hl_pack *pack, uint32_t tag, const char *vr, const void *bytes,
                           size_t n)
{
    uint8_t *kept = hl_arena_alloc(&pack->arena, n + 1);
    if (!kept)
        return no_memory();
    if (n)
        memcpy(kept, bytes, n);
    struct hl_edit *edit = edit_add(pack, tag, vr);
    edit->value = kept;
    edit->length = n;
    return HILUM_OK;
}

static hilum_rc edit_text(struct hl_pack *pack, uint32_t tag, const char *vr, const char *text)
{
    return edit_bytes(pack, tag, vr, text, strlen(text));
}

static hilum_rc edit_number(struct hl_pack *pack, uint32_t tag, uint32_t value)
{
    const uint8_t bytes[] = {(uint8_t)value, (uint8_t)(value >> 8)};
    return edit_bytes(pack, tag, "US", bytes, sizeof bytes);
}

/* Nothing where the element is not there. */
static void edit_delete(struct hl_pack *pack, uint32_t tag)
{
    if (hl_scan_find(pack->scan, tag))
        edit_add(pack, tag, "")->is_delete = true;
}

/* One more value behind those there are. */
static hilum_rc edit_append(struct hl_pack *pack, uint32_t tag, const char *vr, const char *value)
{
    char text[VALUES_MAX];
    size_t n = hl_scan_text(pack->scan, tag, text, sizeof text - 32);
    if (n == 0 || n >= sizeof text - 32)
        return edit_text(pack, tag, vr, value);
    snprintf(text + n, sizeof text - n, "\\%.30s", value);
    return edit_text(pack, tag, vr, text);
}

/* ---- derived from what was stored ---- */

/* "ORIGINAL\PRIMARY" becomes "DERIVED\PRIMARY". */
static hilum_rc edit_image_type(struct hl_pack *pack)
{
    char text[VALUES_MAX] = "", out[VALUES_MAX + 16];
    size_t n = hl_scan_text(pack->scan, TAG_IMAGE_TYPE, text, sizeof text);
    const char *rest = n < sizeof text ? strchr(text, '\\') : NULL;
    snprintf(out, sizeof out, "DERIVED%s", rest ? rest : "\\PRIMARY");
    return edit_text(pack, TAG_IMAGE_TYPE, "CS", out);
}

/* The same for the same object and the same loss, so that what is sent twice is one object. A
 * new UID because what lost something is another object. */
static hilum_rc edit_instance(struct hl_pack *pack)
{
    const struct hl_pack_wish *wish = &pack->wish;
    char stored[65] = "", seed[256];
    hl_scan_text(pack->scan, TAG_SOP_INSTANCE, stored, sizeof stored);
    int n = snprintf(seed, sizeof seed, "%s\n%s\n%u\n%u\n%.6g", stored, wish->transfer_syntax,
                     wish->quality, wish->max_error, wish->ratio);
    hl_derive_uid(seed, (size_t)n, pack->sop_instance);
    return edit_text(pack, TAG_SOP_INSTANCE, "UI", pack->sop_instance);
}

/* Left out where it would not fit: the text is for people. */
static hilum_rc edit_derivation(struct hl_pack *pack, const char *ratio)
{
    char text[DERIVATION_MAX + 1] = "", add[128];
    size_t n = hl_scan_text(pack->scan, TAG_DERIVATION, text, sizeof text);
    int more = snprintf(add, sizeof add, "%sLossy compression, %s, ratio %s", n ? "; " : "",
                        hl_uid_name(pack->wish.transfer_syntax), ratio);
    if (n + (size_t)more > DERIVATION_MAX)
        return HILUM_OK;
    memcpy(text + n, add, (size_t)more + 1);
    return edit_text(pack, TAG_DERIVATION, "ST", text);
}

static hilum_rc put_text(struct hl_buf *out, uint32_t tag, const char *vr, const char *text)
{
    struct hl_edit edit = {.tag = tag, .value = (const uint8_t *)text, .length = strlen(text)};
    memcpy(edit.vr, vr, 2);
    return hl_edit_encode(&edit, explicit_little, out);
}

/* A coded entry of PS3.16 (DCM): value, scheme, meaning. */
static hilum_rc put_code(struct hl_buf *out, const char *value, const char *meaning)
{
    hilum_rc rc = put_text(out, TAG_CODE_VALUE, "SH", value);
    if (rc == HILUM_OK)
        rc = put_text(out, TAG_CODE_SCHEME, "SH", "DCM");
    return rc == HILUM_OK ? put_text(out, TAG_CODE_MEANING, "LO", meaning) : rc;
}

/* With a defined length. */
static void put_item(struct hl_buf *out, const struct hl_buf *content)
{
    hl_head_put(out, HL_TAG_ITEM, "", (uint32_t)content->len, explicit_little);
    hl_buf_add(out, content->data, content->len);
    out->failed |= content->failed;
}

/* The items a sequence has, without its delimiter. One that is too long is begun anew. */
static hilum_rc put_existing(struct hl_pack *pack, uint32_t tag, struct hl_buf *out)
{
    const struct hl_element *e = hl_scan_find(pack->scan, tag);
    uint64_t at = e ? e->offset + e->header_length : 0;
    uint64_t left = e ? e->length - (e->is_undefined && e->length >= 8 ? 8 : 0) : 0;
    if (left > SEQUENCE_MAX)
        return HILUM_OK;
    while (left > 0) {
        const uint8_t *bytes = NULL;
        size_t n = (size_t)left;
        hilum_rc rc = hl_spool_read(&pack->rest, at, &n, &bytes);
        if (rc != HILUM_OK || n == 0)
            return rc;
        hl_buf_add(out, bytes, n);
        at += n;
        left -= n;
    }
    return HILUM_OK;
}

/* One more item behind those there are. */
static hilum_rc edit_sequence(struct hl_pack *pack, uint32_t tag, const struct hl_buf *item)
{
    struct hl_buf value = {0};
    hilum_rc rc = put_existing(pack, tag, &value);
    put_item(&value, item);
    if (rc == HILUM_OK && value.failed)
        rc = no_memory();
    if (rc == HILUM_OK)
        rc = edit_bytes(pack, tag, "SQ", value.data, value.len);
    hl_buf_fini(&value);
    return rc;
}

/* Source Image Sequence (PS3.3 C.12.4): the stored object is the uncompressed
 * predecessor. */
static hilum_rc edit_source(struct hl_pack *pack)
{
    struct hl_buf item = {0}, code = {0}, codes = {0};
    char class_uid[65] = "", stored[65] = "";
    hl_scan_text(pack->scan, TAG_SOP_CLASS, class_uid, sizeof class_uid);
    hl_scan_text(pack->scan, TAG_SOP_INSTANCE, stored, sizeof stored);
    hilum_rc rc = put_text(&item, TAG_REFERENCED_CLASS, "UI", class_uid);
    if (rc == HILUM_OK)
        rc = put_text(&item, TAG_REFERENCED_INSTANCE, "UI", stored);
    if (rc == HILUM_OK)
        rc = put_code(&code, "121320", "Uncompressed predecessor");
    if (rc == HILUM_OK) {
        const struct hl_edit purpose = {.tag = TAG_PURPOSE, .vr = "SQ"};
        struct hl_edit edit = purpose;
        put_item(&codes, &code);
        edit.value = (const uint8_t *)codes.data;
        edit.length = codes.len;
        rc = hl_edit_encode(&edit, explicit_little, &item);
    }
    if (rc == HILUM_OK)
        rc = edit_sequence(pack, TAG_SOURCE_IMAGES, &item);
    hl_buf_fini(&item);
    hl_buf_fini(&code);
    hl_buf_fini(&codes);
    return rc;
}

static hilum_rc edit_derivation_code(struct hl_pack *pack)
{
    struct hl_buf item = {0};
    hilum_rc rc = put_code(&item, "113040", "Lossy Compression");
    if (rc == HILUM_OK)
        rc = edit_sequence(pack, TAG_DERIVATION_CODES, &item);
    hl_buf_fini(&item);
    return rc;
}

/* Ascending by tag: up to group 0008. */
static hilum_rc describe_derived(struct hl_pack *pack, const char *ratio)
{
    hilum_rc rc = edit_image_type(pack);
    if (rc == HILUM_OK)
        rc = edit_instance(pack);
    if (rc == HILUM_OK)
        rc = edit_derivation(pack, ratio);
    if (rc == HILUM_OK)
        rc = edit_source(pack);
    return rc == HILUM_OK ? edit_derivation_code(pack) : rc;
}

/* Ratio and method grow by a value with each lossy step (PS3.3 C.7.6.1.1.5). */
static hilum_rc describe_loss(struct hl_pack *pack, const char *ratio)
{
    const char *method = pack->encoded.method ? pack->encoded.method : "";
    hilum_rc rc = edit_text(pack, HL_TAG_LOSSY, "CS", "01");
    if (rc == HILUM_OK)
        rc = edit_append(pack, HL_TAG_LOSSY_RATIO, "DS", ratio);
    return rc == HILUM_OK ? edit_append(pack, HL_TAG_LOSSY_METHOD, "CS", method) : rc;
}

/* ---- offsets ---- */

static void put_le(struct hl_buf *out, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        hl_buf_byte(out, (uint8_t)(value >> (8 * i)));
}

/* An offset, or the table itself, needs more than 32 bits. */
static bool is_far(const struct hl_pack *pack)
{
    return pack->items[pack->n_items - 1].at > UINT32_MAX || pack->n_items > UINT32_MAX / 8;
}

/* A basic table where offsets fit into it, an extended one where they do not, and then the
 * basic one is empty (PS3.3 C.7.6.3.1.8). Always filled where it can be: readers find frames
 * without walking, and need not guess. */
static hilum_rc make_table(struct hl_pack *pack)
{
    size_t n = is_far(pack) ? 0 : pack->n_items;
    hl_head_put(&pack->table, HL_TAG_ITEM, "", (uint32_t)(4 * n), explicit_little);
    for (size_t i = 0; i < n; i++)
        put_le(&pack->table, pack->items[i].at, 4);
    return pack->table.failed ? no_memory() : HILUM_OK;
}

/* Offsets of items and lengths of code streams without their padding (PS3.3 C.7.6.3.1.8). */
static hilum_rc edit_extended(struct hl_pack *pack)
{
    struct hl_buf offsets = {0}, lengths = {0};
    for (size_t i = 0; i < pack->n_items; i++) {
        put_le(&offsets, pack->items[i].at, 8);
        put_le(&lengths, pack->items[i].n, 8);
    }
    hilum_rc rc = offsets.failed || lengths.failed ? no_memory() : HILUM_OK;
    if (rc == HILUM_OK)
        rc = edit_bytes(pack, HL_TAG_EXTENDED_TABLE, "OV", offsets.data, offsets.len);
    if (rc == HILUM_OK)
        rc = edit_bytes(pack, HL_TAG_EXTENDED_LENGTHS, "OV", lengths.data, lengths.len);
    hl_buf_fini(&offsets);
    hl_buf_fini(&lengths);
    return rc;
}

static hilum_rc describe_offsets(struct hl_pack *pack)
{
    hilum_rc rc = HILUM_OK;
    if (is_far(pack)) {
        rc = edit_extended(pack);
    } else {
        edit_delete(pack, HL_TAG_EXTENDED_TABLE);
        edit_delete(pack, HL_TAG_EXTENDED_LENGTHS);
    }
    edit_delete(pack, HL_TAG_TOTAL_LENGTH);
    (void)edit_add(pack, HL_TAG_PIXEL_DATA, "OB");
    return rc == HILUM_OK ? make_table(pack) : rc;
}

/* ---- all of it ---- */

hilum_rc hl_pack_describe(struct hl_pack *pack)
{
    const char *photometric = hl_photometric_name(pack->encoded.photometric);
    bool is_lossy = pack->encoded.is_lossy != 0;
    char ratio[17];
    hilum_rc rc = HILUM_OK;
    snprintf(ratio, sizeof ratio, "%.6g",
             (double)pack->native_bytes / (double)(pack->coded_bytes ? pack->coded_bytes : 1));
    if (is_lossy)
        rc = describe_derived(pack, ratio);
    if (rc == HILUM_OK && photometric && pack->encoded.photometric != pack->frame.photometric)
        rc = edit_text(pack, HL_TAG_PHOTOMETRIC, "CS", photometric);
    if (rc == HILUM_OK && pack->frame.samples > 1 && !pack->is_coded)
        rc = edit_number(pack, HL_TAG_PLANAR, pack->encoded.is_planar);
    if (rc == HILUM_OK && is_lossy)
        rc = describe_loss(pack, ratio);
    return rc == HILUM_OK ? describe_offsets(pack) : rc;
}
