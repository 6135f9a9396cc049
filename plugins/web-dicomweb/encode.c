/* Attributes of the DICOM JSON Model (PS3.18 F) to a data set in explicit little endian (PS3.5 7.1), written as it is made:
 * sequences and items of undefined length, bulk data from the spool.
 *
 * Nothing of the data set is held: each attribute goes out as it is met, which is possible
 * because sequences and items may have undefined length (PS3.5 7.5.1) and bulk data have known
 * ones. The buffer only saves calls. Errors stick (encode->rc): the first is kept with the tag it
 * was found at, and everything after it does nothing, so that no put_ has to be checked.
 *
 * Input is from the network: depth, number of attributes and lengths are bounded here; what
 * the values mean is not judged, that is the intake's, which reads the data set as it does any
 * other.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "stow.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPLICIT "1.2.840.10008.1.2.1"

/* DEPTH_MAX bounds our own stack. SHORT_MAX: lengths of 16 bits, and even (PS3.5 7.1.1).
 * DS_MAX: a decimal string has 16 bytes (PS3.5 6.2). */
enum {
    DEPTH_MAX = 32,
    ATTRIBUTES_MAX = 20000,
    SHORT_MAX = 65534,
    DS_MAX = 16,
    PIXELS = 0x7FE00010
};

/* ---- bytes ---- */

/* The first error wins: what follows is mostly its consequence. */
static void bad(struct web_encode *encode, uint32_t tag, const char *why)
{
    if (encode->rc != HILUM_OK)
        return;
    encode->rc = HILUM_EINVAL;
    encode->why = why;
    snprintf(encode->tag, sizeof encode->tag, "%08X", (unsigned)tag);
}

static void flush(struct web_encode *encode)
{
    if (encode->rc == HILUM_OK && encode->fill > 0)
        encode->rc = encode->write(encode->arg, encode->buffer, encode->fill);
    encode->fill = 0;
}

/* What is larger than the buffer goes past it: after a flush, so that the order stays. */
static void put(struct web_encode *encode, const void *bytes, size_t n)
{
    if (n > sizeof encode->buffer - encode->fill)
        flush(encode);
    if (encode->rc != HILUM_OK || n == 0)
        return;
    if (n > sizeof encode->buffer) {
        encode->rc = encode->write(encode->arg, bytes, n);
        return;
    }
    memcpy(encode->buffer + encode->fill, bytes, n);
    encode->fill += n;
}

static void put_number(struct web_encode *encode, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    put(encode, bytes, n);
}

static void put_tag(struct web_encode *encode, uint32_t tag)
{
    put_number(encode, tag >> 16, 2);
    put_number(encode, tag & 0xFFFF, 2);
}

/* PS3.5 7.1.2: these have two reserved bytes and 32 bits of length, all others 16 bits. */
static bool is_long(const char *vr)
{
    static const char kinds[] = "OB OW OF OD OL OV SQ UC UN UR UT SV UV";
    return strlen(vr) == 2 && strstr(kinds, vr) != NULL;
}

static void put_head(struct web_encode *encode, uint32_t tag, const char *vr, uint64_t length)
{
    if (!is_long(vr) && length > SHORT_MAX) {
        bad(encode, tag, "is longer than its VR allows");
        return;
    }
    put_tag(encode, tag);
    put(encode, vr, 2);
    if (is_long(vr))
        put_number(encode, 0, 2);
    put_number(encode, length, is_long(vr) ? 4 : 2);
}

/* ---- texts ---- */

/* Digits enough to read the same number back, and no more than the VR holds. 1 to 17 digits:
 * 0.1 stays "0.1" and is not "0.10000000000000001"; 17 are enough for any double. What then is
 * too long for a DS loses its last digits: the nearest that fits. */
static void real_text(double value, size_t max, char out[40])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 40, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    for (int digits = 16; digits > 0 && strlen(out) > max; digits--)
        snprintf(out, 40, "%.*g", digits, value);
}

/* PS3.18 F.2.2, the other way round: groups in this order with '=', none behind the last that
 * is there. */
static void name_text(const json_t *value, struct web_text *out)
{
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    size_t last = 0;
    for (size_t i = 0; i < 3; i++)
        if (json_is_string(json_object_get(value, groups[i])))
            last = i + 1;
    for (size_t i = 0; i < last; i++) {
        const char *text = json_string_value(json_object_get(value, groups[i]));
        web_text_put(out, i > 0 ? "=" : "");
        web_text_put(out, text != NULL ? text : "");
    }
}

/* One value; null is an empty one. */
static bool value_text(const json_t *value, const char *vr, struct web_text *out)
{
    char number[40];
    if (json_is_object(value))
        name_text(value, out);
    else if (json_is_string(value))
        web_text_put(out, json_string_value(value));
    else if (json_is_integer(value) || json_is_real(value)) {
        if (json_is_integer(value))
            snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
        else
            real_text(json_real_value(value), strcmp(vr, "DS") == 0 ? DS_MAX : 39, number);
        web_text_put(out, number);
    } else if (!json_is_null(value))
        return false;
    return true;
}

/* Even length (PS3.5 6.2): a UI is filled with NUL, everything else with a space. */
static void put_texts(struct web_encode *encode, uint32_t tag, const char *vr, const json_t *values)
{
    struct web_text text = {0};
    for (size_t i = 0; i < json_array_size(values); i++) {
        web_text_put(&text, i > 0 ? "\\" : "");
        if (!value_text(json_array_get(values, i), vr, &text))
            bad(encode, tag, "holds what is no value of its VR");
    }
    if (text.n % 2 != 0)
        web_text_add(&text, strcmp(vr, "UI") == 0 ? "" : " ", 1); /* "": its NUL */
    if (text.failed)
        encode->rc = HILUM_ENOMEM;
    put_head(encode, tag, vr, text.n);
    put(encode, text.bytes, text.n);
    web_text_fini(&text);
}

/* ---- binary numbers ---- */

static size_t unit_of(const char *vr)
{
    static const struct {
        const char *vr;
        size_t n;
    } units[] = {{"US", 2}, {"SS", 2}, {"UL", 4}, {"SL", 4}, {"AT", 4},
                 {"FL", 4}, {"FD", 8}, {"UV", 8}, {"SV", 8}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(units[i].vr, vr) == 0)
            return units[i].n;
    return 0;
}

static bool real_of(const json_t *value, double *out)
{
    char *end = NULL;
    const char *text = json_string_value(value);
    *out = text != NULL ? strtod(text, &end) : json_number_value(value);
    return text != NULL ? end != text && *end == '\0' : json_is_number(value);
}

/* The model may tell a number as a text (PS3.18 table F.2.3-1), which 64 bits need: a JSON
 * number of a browser has 53. */
static bool whole_of(const json_t *value, const char *vr, uint64_t *out)
{
    char *end = NULL;
    const char *text = json_string_value(value);
    bool is_signed = vr[0] == 'S';
    if (text == NULL) {
        *out = (uint64_t)json_integer_value(value);
        return json_is_integer(value) && (is_signed || json_integer_value(value) >= 0);
    }
    if (strcmp(vr, "AT") == 0) {
        uint64_t tag = strtoull(text, &end, 16);
        *out = (tag & 0xFFFF) << 16 | tag >> 16; /* group first */
        return strlen(text) == 8 && *end == '\0';
    }
    *out = is_signed ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    return end != text && *end == '\0' && (is_signed || *text != '-');
}

/* A value over the VR's range is refused rather than cut: a cut number is another measurement. */
static bool fits(uint64_t value, const char *vr, size_t unit)
{
    if (unit == 8 || strcmp(vr, "AT") == 0)
        return true;
    int64_t limit = INT64_C(1) << (8 * unit - 1);
    return vr[0] == 'S' ? (int64_t)value >= -limit && (int64_t)value < limit
                        : value < (uint64_t)limit * 2;
}

/* Writes something in any case, so that the length told before holds; after bad() nothing more
 * leaves. */
static void put_value(struct web_encode *encode, uint32_t tag, const char *vr, const json_t *value)
{
    size_t unit = unit_of(vr);
    uint64_t bits = 0;
    double real = 0;
    if (vr[0] == 'F' && real_of(value, &real)) {
        float single = (float)real;
        if (unit == 4)
            memcpy(&bits, &single, 4);
        else
            memcpy(&bits, &real, 8);
    } else if (vr[0] == 'F' || !whole_of(value, vr, &bits) || !fits(bits, vr, unit)) {
        bad(encode, tag, "holds what is no value of its VR");
    }
    put_number(encode, bits, unit);
}

static void put_numbers(struct web_encode *encode, uint32_t tag, const char *vr,
                        const json_t *values)
{
    size_t n = json_array_size(values);
    put_head(encode, tag, vr, n * unit_of(vr));
    for (size_t i = 0; i < n; i++)
        put_value(encode, tag, vr, json_array_get(values, i));
}

/* ---- binary values ---- */

static int digit64(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* Own decoding, since spaces and line ends are met in practice; a character that is neither is
 * an error, not the end. */
static void put_inline(struct web_encode *encode, uint32_t tag, const char *vr, const char *text)
{
    struct web_text bytes = {0};
    unsigned bits = 0, n = 0;
    for (const char *p = text; *p != '\0' && *p != '='; p++) {
        int digit = digit64(*p);
        if (isspace((unsigned char)*p))
            continue;
        if (digit < 0) {
            bad(encode, tag, "is no base64");
            break;
        }
        bits = bits << 6 | (unsigned)digit;
        n += 6;
        if (n >= 8) {
            char byte = (char)(bits >> (n -= 8));
            web_text_add(&bytes, &byte, 1);
        }
    }
    if (bytes.n % 2 != 0)
        web_text_add(&bytes, "", 1);
    if (bytes.failed)
        encode->rc = HILUM_ENOMEM;
    put_head(encode, tag, vr, bytes.n);
    put(encode, bytes.bytes, bytes.n);
    web_text_fini(&bytes);
}

/* In pieces: a video of gigabytes passes through 16 KiB of stack. */
static void put_spooled(struct web_encode *encode, const struct web_bulk *bulk)
{
    char piece[16 * 1024];
    for (uint64_t done = 0; encode->rc == HILUM_OK && done < bulk->length;) {
        size_t n =
            bulk->length - done < sizeof piece ? (size_t)(bulk->length - done) : sizeof piece;
        encode->rc = web_spool_read(encode->spool, bulk->offset + done, piece, n);
        put(encode, piece, n);
        done += n;
    }
    if (bulk->length % 2 != 0)
        put(encode, "", 1);
}

/* Without a word on the syntax bytes are native and little endian. */
static bool is_native(const char *syntax)
{
    return *syntax == '\0' || strcmp(syntax, EXPLICIT) == 0 ||
           strcmp(syntax, "1.2.840.10008.1.2") == 0;
}

/* What images of a media type are without further words (PS3.18 table 8.7.3-5). */
static const char *syntax_of(const struct web_bulk *bulk)
{
    static const struct {
        const char *type, *syntax;
    } table[] = {
        {"image/jpeg", "1.2.840.10008.1.2.4.50"},   {"image/dicom-rle", "1.2.840.10008.1.2.5"},
        {"image/jls", "1.2.840.10008.1.2.4.80"},    {"image/jp2", "1.2.840.10008.1.2.4.90"},
        {"image/jpx", "1.2.840.10008.1.2.4.92"},    {"image/jphc", "1.2.840.10008.1.2.4.201"},
        {"video/mpeg2", "1.2.840.10008.1.2.4.100"}, {"video/mp4", "1.2.840.10008.1.2.4.102"},
        {"image/jxl", "1.2.840.10008.1.2.4.110"}};
    if (bulk->syntax[0] != '\0')
        return bulk->syntax;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].type, bulk->type) == 0)
            return table[i].syntax;
    return "";
}

/* Each part a frame (PS3.5 A.4), without an offset table. An offset table (PS3.5 A.4) may be
 * empty, and is: the parts' lengths are known only when all were found. The kernel finds
 * frames without. */
static void put_frames(struct web_encode *encode, const char *uri)
{
    const struct web_bulk *bulk;
    put_head(encode, PIXELS, "OB", UINT32_MAX);
    put_tag(encode, 0xFFFEE000);
    put_number(encode, 0, 4);
    for (size_t i = 0; (bulk = web_spool_find(encode->spool, uri, i)) != NULL; i++) {
        put_tag(encode, 0xFFFEE000);
        put_number(encode, bulk->length + bulk->length % 2, 4);
        put_spooled(encode, bulk);
    }
    put_tag(encode, 0xFFFEE0DD);
    put_number(encode, 0, 4);
}

/* depth 1: pixel data of the object itself; those of an icon image in a sequence are never
 * compressed here. */
static void put_bulk(struct web_encode *encode, uint32_t tag, const char *vr, const char *uri)
{
    const struct web_bulk *bulk = web_spool_find(encode->spool, uri, 0);
    if (bulk == NULL)
        bad(encode, tag,
            "names bulk data that did not come: no part has its BulkDataURI as Content-Location");
    else if (tag == PIXELS && encode->depth == 1 && !is_native(syntax_of(bulk)))
        put_frames(encode, uri);
    else if (bulk->length + 1 >= UINT32_MAX)
        bad(encode, tag, "is longer than a value can be");
    else {
        put_head(encode, tag, vr, bulk->length + bulk->length % 2);
        put_spooled(encode, bulk);
    }
}

/* ---- data sets ---- */

static void put_attributes(struct web_encode *encode, const json_t *attributes);

static void put_items(struct web_encode *encode, uint32_t tag, const json_t *items)
{
    put_head(encode, tag, "SQ", UINT32_MAX);
    for (size_t i = 0; encode->rc == HILUM_OK && i < json_array_size(items); i++) {
        put_tag(encode, 0xFFFEE000);
        put_number(encode, UINT32_MAX, 4);
        put_attributes(encode, json_array_get(items, i));
        put_tag(encode, 0xFFFEE00D);
        put_number(encode, 0, 4);
    }
    put_tag(encode, 0xFFFEE0DD);
    put_number(encode, 0, 4);
}

/* Text of the model is UTF-8, whatever its attributes say of the object it was made from. */
static void put_charset(struct web_encode *encode)
{
    static const char name[] = "ISO_IR 192";
    put_head(encode, 0x00080005, "CS", sizeof name - 1);
    put(encode, name, sizeof name - 1);
}

static void put_attribute(struct web_encode *encode, uint32_t tag, const json_t *attribute)
{
    const char *vr = json_string_value(json_object_get(attribute, "vr"));
    const char *uri = json_string_value(json_object_get(attribute, "BulkDataURI"));
    const char *binary = json_string_value(json_object_get(attribute, "InlineBinary"));
    const json_t *values = json_object_get(attribute, "Value");
    if (vr == NULL)
        vr = encode->dicom->vr(tag);
    if (strlen(vr) != 2 || !isupper((unsigned char)vr[0]) || !isupper((unsigned char)vr[1]) ||
        !json_is_object(attribute) || (values != NULL && !json_is_array(values)))
        bad(encode, tag, "is no attribute of the DICOM JSON Model");
    else if (uri != NULL)
        put_bulk(encode, tag, vr, uri);
    else if (binary != NULL)
        put_inline(encode, tag, vr, binary);
    else if (strcmp(vr, "SQ") == 0)
        put_items(encode, tag, values);
    else if (tag == 0x00080005)
        put_charset(encode);
    else if (unit_of(vr) > 0)
        put_numbers(encode, tag, vr, values);
    else if (vr[0] == 'O' && json_array_size(values) > 0)
        bad(encode, tag, "is binary: InlineBinary or BulkDataURI is wanted");
    else
        put_texts(encode, tag, vr, values);
}

/* Borrowed from the JSON, which outlives the encoding. */
struct entry {
    uint32_t tag;
    const json_t *attribute;
};

static int by_tag(const void *a, const void *b)
{
    uint32_t x = ((const struct entry *)a)->tag, y = ((const struct entry *)b)->tag;
    return x < y ? -1 : x > y;
}

static bool is_tag(const char *key)
{
    return strlen(key) == 8 && strspn(key, "0123456789ABCDEFabcdef") == 8;
}

/* In the order of tags; group lengths and file meta information are made anew where they are wanted. NULL: no memory, or
 * no attributes. */
static struct entry *entries_of(struct web_encode *encode, const json_t *attributes, size_t *n)
{
    const char *key;
    json_t *value;
    size_t count = json_object_size(attributes);
    struct entry *entries = count <= ATTRIBUTES_MAX ? calloc(count + 1, sizeof *entries) : NULL;
    *n = 0;
    if (entries == NULL)
        encode->rc = HILUM_ENOMEM;
    json_object_foreach((json_t *)(uintptr_t)attributes, key, value)
    {
        uint32_t tag = (uint32_t)strtoul(key, NULL, 16);
        if (!is_tag(key))
            bad(encode, 0, "is no tag of eight hexadecimal digits");
        else if (entries != NULL && (tag & 0xFFFF) != 0 && tag >> 16 > 2)
            entries[(*n)++] = (struct entry){tag, value};
    }
    if (entries != NULL && *n > 0)
        qsort(entries, *n, sizeof *entries, by_tag);
    return entries;
}

/* Specific Character Set is put in where the sender told none or another: texts leave as
 * UTF-8, and a data set that says otherwise would be misread for ever. It belongs before the
 * first tag above (0008,0005). */
static void put_attributes(struct web_encode *encode, const json_t *attributes)
{
    size_t n = 0;
    bool has_charset = encode->depth > 0; /* items have the object's */
    if (encode->depth == DEPTH_MAX || !json_is_object(attributes)) {
        bad(encode, 0, "items are nested too deeply, or are no objects");
        return;
    }
    encode->depth++;
    struct entry *entries = entries_of(encode, attributes, &n);
    for (size_t i = 0; entries != NULL && encode->rc == HILUM_OK && i < n; i++) {
        if (!has_charset && entries[i].tag > 0x00080005)
            put_charset(encode);
        has_charset = has_charset || entries[i].tag >= 0x00080005;
        put_attribute(encode, entries[i].tag, entries[i].attribute);
    }
    free(entries);
    encode->depth--;
}

/* ---- the file ---- */

const char *web_json_text(const json_t *attributes, const char *tag)
{
    const json_t *values = json_object_get(json_object_get(attributes, tag), "Value");
    const char *text = json_string_value(json_array_get(values, 0));
    return text != NULL ? text : "";
}

/* That of its pixel data if they came compressed. Only the first part's media type is looked
 * at: all frames of an object are of its one syntax. */
static const char *file_syntax(const struct web_encode *encode, const json_t *attributes)
{
    const char *uri =
        json_string_value(json_object_get(json_object_get(attributes, "7FE00010"), "BulkDataURI"));
    const struct web_bulk *bulk = uri != NULL ? web_spool_find(encode->spool, uri, 0) : NULL;
    return bulk != NULL && !is_native(syntax_of(bulk)) ? syntax_of(bulk) : EXPLICIT;
}

/* PS3.10 7.1. The group's length comes first and is counted beforehand; what else group 2 may
 * hold is not needed to read the file. */
static void put_meta(struct web_encode *encode, const json_t *attributes)
{
    static const uint8_t preamble[132] = {[128] = 'D', 'I', 'C', 'M'}, version[2] = {0, 1};
    const struct {
        uint32_t tag;
        const char *uid;
    } uids[] = {{0x00020002, web_json_text(attributes, "00080016")},
                {0x00020003, web_json_text(attributes, "00080018")},
                {0x00020010, file_syntax(encode, attributes)}};
    uint64_t length = 12 + sizeof version;
    for (size_t i = 0; i < 3; i++)
        length += 8 + strlen(uids[i].uid) + strlen(uids[i].uid) % 2;
    put(encode, preamble, sizeof preamble);
    put_head(encode, 0x00020000, "UL", 4);
    put_number(encode, length, 4);
    put_head(encode, 0x00020001, "OB", sizeof version);
    put(encode, version, sizeof version);
    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(uids[i].uid);
        put_head(encode, uids[i].tag, "UI", n + n % 2);
        put(encode, uids[i].uid, n + n % 2); /* its NUL fills up */
    }
}

hilum_rc web_encode(struct web_encode *encode, const json_t *attributes)
{
    encode->rc = HILUM_OK;
    encode->fill = 0;
    encode->depth = 0;
    encode->why = NULL;
    put_meta(encode, attributes);
    put_attributes(encode, attributes);
    flush(encode);
    return encode->rc;
}
