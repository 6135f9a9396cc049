/* The Native DICOM Model (PS3.19 A.1) of what the kernel tells as DICOM JSON: texts and numbers pass as they are written,
 * digit for digit. The JSON is ours; what is not of its form is refused all the same.
 *
 * A single pass from text to text without a tree: JSON is read by recursive descent while the
 * XML is written, one attribute at a time. A JSON library would turn 0.10 into 0.1, and the
 * model is to have what was stored.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* CREATORS: blocks of private tags in one item; those beyond are written without the name of
 * their creator. */
enum { DEPTH_MAX = 64, CREATORS = 32 };

static void put_format(struct web_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put_format(struct web_text *text, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    web_text_put(text, line);
}

/* What XML 1.0 has no place for (2.2) becomes U+FFFD. */
static void put_escaped(struct web_text *text, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c == '&')
            web_text_put(text, "&amp;");
        else if (c == '<')
            web_text_put(text, "&lt;");
        else if (c == '>')
            web_text_put(text, "&gt;");
        else if (c == '"')
            web_text_put(text, "&quot;");
        else if (c == '\r')
            web_text_put(text, "&#13;");
        else if (c < ' ' && c != '\t' && c != '\n')
            web_text_put(text, "\xEF\xBF\xBD");
        else
            web_text_add(text, bytes + i, 1);
    }
}

/* ---- the JSON ---- */

/* is_bad sticks, like failed of a text: it is asked for at the end. Every loop ends when it is
 * set, or at end. */
struct json {
    const char *p, *end;
    bool is_bad;
};

/* 0: the end. JSON of ours holds no NUL. */
static char peek(struct json *json)
{
    while (json->p < json->end && strchr(" \t\r\n", *json->p) != NULL && *json->p != '\0')
        json->p++;
    if (json->p == json->end)
        return '\0';
    return *json->p;
}

/* The next character, whatever it is; 0: the end. */
static char next_char(struct json *json)
{
    if (json->p == json->end)
        return '\0';
    return *json->p++;
}

static bool take(struct json *json, char c)
{
    if (peek(json) != c)
        return false;
    json->p++;
    return true;
}

static void want(struct json *json, char c)
{
    if (!take(json, c))
        json->is_bad = true;
}

/* More members or elements? Begins with the bracket already taken. */
static bool more(struct json *json, bool *is_first, char close)
{
    if (json->is_bad || take(json, close))
        return false;
    if (!*is_first)
        want(json, ',');
    *is_first = false;
    return !json->is_bad;
}

static unsigned hex4(struct json *json)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char c = next_char(json);
        const char *digits = "0123456789abcdef", *at = strchr(digits, c | 0x20);
        if (c == '\0' || at == NULL)
            json->is_bad = true;
        else
            value = value << 4 | (unsigned)(at - digits);
    }
    return value;
}

static void utf8_put(struct web_text *out, unsigned code)
{
    char bytes[4];
    size_t n = 0;
    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xC0 | code >> 6);
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        bytes[n++] = (char)(0xE0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    } else {
        bytes[n++] = (char)(0xF0 | code >> 18);
        bytes[n++] = (char)(0x80 | (code >> 12 & 0x3F));
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3F));
        bytes[n++] = (char)(0x80 | (code & 0x3F));
    }
    web_text_add(out, bytes, n);
}

/* Beyond U+FFFF a JSON text has two escapes (RFC 8259 7). */
static void escape_read(struct json *json, struct web_text *out)
{
    static const char from[] = "bfnrt\"\\/", to[] = "\b\f\n\r\t\"\\/";
    char c = next_char(json);
    const char *at = c != '\0' ? strchr(from, c) : NULL;
    if (at != NULL) {
        web_text_add(out, &to[at - from], 1);
        return;
    }
    unsigned code = c == 'u' ? hex4(json) : 0;
    if (code >= 0xD800 && code < 0xDC00 && json->end - json->p > 6 && json->p[0] == '\\' &&
        json->p[1] == 'u') {
        json->p += 2;
        code = 0x10000 + ((code - 0xD800) << 10 | (hex4(json) & 0x3FF));
    }
    if (c != 'u')
        json->is_bad = true;
    utf8_put(out, code);
}

/* A string, decoded. */
static void string_read(struct json *json, struct web_text *out)
{
    out->n = 0;
    want(json, '"');
    while (!json->is_bad && json->p < json->end && *json->p != '"') {
        if (*json->p == '\\') {
            json->p++;
            escape_read(json, out);
            continue;
        }
        size_t n = 0;
        while (json->p + n < json->end && json->p[n] != '"' && json->p[n] != '\\')
            n++;
        web_text_add(out, json->p, n);
        json->p += n;
    }
    want(json, '"');
}

/* A string, or a number as it is written. Also true, false, null, NaN, Inf: letters that may
 * be in them pass; the kernel writes nothing else. */
static void scalar_read(struct json *json, struct web_text *out)
{
    if (peek(json) == '"') {
        string_read(json, out);
        return;
    }
    size_t n = 0;
    while (json->p + n < json->end && strchr("+-.0123456789eEaflnrstuINy", json->p[n]) != NULL &&
           json->p[n] != '\0')
        n++;
    out->n = 0;
    web_text_add(out, json->p, n);
    json->p += n;
    json->is_bad = json->is_bad || n == 0;
}

/* ---- the model ---- */

/* word is one for all depths: who needs it beyond the next read copies it. */
struct model {
    const struct hilum_dicom_api *dicom;
    struct json json;
    struct web_text *out, word; /* word: of the value under way */
    int depth;
};

/* Private creators of the item under way: blocks are named before they are used, tags ascend. */
struct creators {
    size_t n;
    struct {
        uint32_t block; /* group and the element's upper byte */
        char name[68];
    } list[CREATORS];
};

/* The fifth component takes the rest, whatever it holds. */
static void components_write(struct model *model, const char *group)
{
    static const char *const parts[] = {"FamilyName", "GivenName", "MiddleName", "NamePrefix",
                                        "NameSuffix"};
    const char *p = model->word.bytes, *end = p + model->word.n;
    put_format(model->out, "<%s>", group);
    for (size_t i = 0; i < 5 && p != NULL && p <= end; i++) {
        const char *stop = memchr(p, '^', (size_t)(end - p));
        size_t n = (size_t)((stop != NULL && i < 4 ? stop : end) - p);
        if (n > 0) {
            put_format(model->out, "<%s>", parts[i]);
            put_escaped(model->out, p, n);
            put_format(model->out, "</%s>", parts[i]);
        }
        p += n + 1;
    }
    put_format(model->out, "</%s>", group);
}

static void name_write(struct model *model, unsigned number)
{
    bool is_first = true;
    char group[16];
    put_format(model->out, "<PersonName number=\"%u\">", number);
    want(&model->json, '{');
    while (more(&model->json, &is_first, '}')) {
        string_read(&model->json, &model->word);
        snprintf(group, sizeof group, "%.*s", (int)model->word.n,
                 model->word.bytes != NULL ? model->word.bytes : "");
        want(&model->json, ':');
        string_read(&model->json, &model->word);
        components_write(model, group);
    }
    web_text_put(model->out, "</PersonName>");
}

static void attributes_write(struct model *model);

static void value_write(struct model *model, bool is_name, unsigned number)
{
    if (peek(&model->json) == '{' && is_name) {
        name_write(model, number);
    } else if (peek(&model->json) == '{') {
        put_format(model->out, "<Item number=\"%u\">", number);
        attributes_write(model);
        web_text_put(model->out, "</Item>");
    } else {
        bool is_null = peek(&model->json) == 'n';
        scalar_read(&model->json, &model->word);
        if (is_null)
            return; /* its place is told by the next one's number */
        put_format(model->out, "<Value number=\"%u\">", number);
        put_escaped(model->out, model->word.bytes, model->word.n);
        web_text_put(model->out, "</Value>");
    }
}

static void values_write(struct model *model, bool is_name)
{
    bool is_first = true;
    unsigned number = 0;
    want(&model->json, '[');
    while (more(&model->json, &is_first, ']'))
        value_write(model, is_name, ++number);
}

/* What an attribute has besides its VR. */
static void content_write(struct model *model, const char *key, bool is_name)
{
    if (strcmp(key, "Value") == 0) {
        values_write(model, is_name);
        return;
    }
    scalar_read(&model->json, &model->word);
    if (strcmp(key, "BulkDataURI") == 0) {
        web_text_put(model->out, "<BulkData uri=\"");
        put_escaped(model->out, model->word.bytes, model->word.n);
        web_text_put(model->out, "\"/>");
    } else if (strcmp(key, "InlineBinary") == 0) {
        web_text_put(model->out, "<InlineBinary>");
        put_escaped(model->out, model->word.bytes, model->word.n);
        web_text_put(model->out, "</InlineBinary>");
    }
}

static const char *creator_of(const struct creators *creators, uint32_t tag)
{
    for (size_t i = 0; i < creators->n; i++)
        if (creators->list[i].block == tag >> 8)
            return creators->list[i].name;
    return NULL;
}

/* (gggg,00bb) names block bb: remembered when its value comes by. */
static void creator_note(struct creators *creators, uint32_t tag, const struct web_text *value)
{
    if ((tag >> 16 & 1) == 0 || (tag & 0xFFFF) < 0x10 || (tag & 0xFFFF) > 0xFF ||
        creators->n == CREATORS)
        return;
    creators->list[creators->n].block = tag >> 16 << 8 | (tag & 0xFF);
    snprintf(creators->list[creators->n++].name, sizeof creators->list[0].name, "%.*s",
             (int)(value->n < 64 ? value->n : 64), value->bytes != NULL ? value->bytes : "");
}

/* Not before the VR is known, though the tag came first: hence has_head in attribute_write. */
static void head_write(struct model *model, uint32_t tag, const char *vr,
                       const struct creators *creators)
{
    const char *keyword = model->dicom->keyword(tag), *creator = creator_of(creators, tag);
    put_format(model->out, "<DicomAttribute tag=\"%08X\" vr=\"", (unsigned)tag);
    put_escaped(model->out, vr, strlen(vr));
    if (keyword != NULL)
        put_format(model->out, "\" keyword=\"%s", keyword);
    if (creator != NULL) {
        web_text_put(model->out, "\" privateCreator=\"");
        put_escaped(model->out, creator, strlen(creator));
    }
    web_text_put(model->out, "\">");
}

/* {"vr": "..", ...}; the VR comes first in what the kernel writes. */
static void attribute_write(struct model *model, uint32_t tag, struct creators *creators)
{
    bool is_first = true, has_head = false;
    char key[16], vr[8] = "UN";
    want(&model->json, '{');
    while (more(&model->json, &is_first, '}')) {
        string_read(&model->json, &model->word);
        snprintf(key, sizeof key, "%.*s", (int)model->word.n,
                 model->word.bytes != NULL ? model->word.bytes : "");
        want(&model->json, ':');
        if (strcmp(key, "vr") == 0) {
            string_read(&model->json, &model->word);
            snprintf(vr, sizeof vr, "%.*s", (int)model->word.n,
                     model->word.bytes != NULL ? model->word.bytes : "");
            continue;
        }
        if (!has_head)
            head_write(model, tag, vr, creators);
        has_head = true;
        content_write(model, key, strcmp(vr, "PN") == 0);
    }
    if (!has_head)
        head_write(model, tag, vr, creators);
    creator_note(creators, tag, &model->word);
    web_text_put(model->out, "</DicomAttribute>\n");
}

/* creators is allocated for each depth, two kilobytes: 64 levels would be too much of a
 * worker's stack. */
static void attributes_write(struct model *model)
{
    struct creators *creators = calloc(1, sizeof *creators);
    bool is_first = true;
    if (creators == NULL || ++model->depth > DEPTH_MAX) {
        model->json.is_bad = true;
        free(creators);
        return;
    }
    want(&model->json, '{');
    while (more(&model->json, &is_first, '}')) {
        char tag[16];
        string_read(&model->json, &model->word);
        snprintf(tag, sizeof tag, "%.*s", (int)model->word.n,
                 model->word.bytes != NULL ? model->word.bytes : "");
        want(&model->json, ':');
        attribute_write(model, (uint32_t)strtoul(tag, NULL, 16), creators);
    }
    model->depth--;
    free(creators);
}

hilum_rc web_xml(const struct hilum_dicom_api *dicom, const char *json, size_t n,
                 struct web_text *out)
{
    struct model model = {.dicom = dicom, .json = {.p = json, .end = json + n}, .out = out};
    web_text_put(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<NativeDicomModel "
                      "xmlns=\"http://dicom.nema.org/PS3.19/models/NativeDICOM\" "
                      "xml:space=\"preserve\">\n");
    attributes_write(&model);
    web_text_put(out, "</NativeDicomModel>\n");
    bool is_full = out->failed || model.word.failed;
    web_text_fini(&model.word);
    return is_full ? HILUM_ENOMEM : model.json.is_bad ? HILUM_EINVAL : HILUM_OK;
}
