/* Attributes a search asks for and the catalogue does not keep, sequences among them: read from the objects'
 * own metadata, and put among the others.
 *
 * Works on the text of our own JSON without reading it: an attribute is a key and what lies
 * between its brackets, copied as it is. So a sequence of any depth, and a number digit for
 * digit, costs a memcpy. It relies on what the kernel writes: keys in ascending order, an
 * object for each.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

/* Attributes of one object at its top; those beyond are not found, which is told like those
 * that are not there. */
enum { MEMBERS_MAX = 4096 };

/* An attribute in the text of an object of the DICOM JSON Model as the kernel writes it. */
struct member {
    uint32_t tag;
    const char *text; /* from its key's quote on */
    size_t n;
};

/* Behind the string that begins at p. A backslash takes the next character with it, so an
 * escaped quote is no end. */
static const char *string_skip(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        p += *p == '\\';
    return p < end ? p + 1 : end;
}

/* Behind the value that begins at p: an object with all it holds. */
static const char *object_skip(const char *p, const char *end)
{
    int depth = 0;
    while (p < end) {
        if (*p == '"') {
            p = string_skip(p, end);
            continue;
        }
        depth += *p == '{' || *p == '[';
        depth -= *p == '}' || *p == ']';
        p++;
        if (depth == 0)
            break;
    }
    return p;
}

static const char *next_quote(const char *p, const char *end)
{
    const char *found = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
    return found != NULL ? found : end;
}

static size_t members_of(const char *json, size_t n, struct member *out)
{
    const char *end = json + n;
    size_t count = 0;
    for (const char *p = next_quote(json, end); p < end && count < MEMBERS_MAX;
         p = next_quote(p, end)) {
        struct member *member = &out[count++];
        *member = (struct member){(uint32_t)strtoul(p + 1, NULL, 16), p, 0};
        p = string_skip(p, end);
        while (p < end && *p != '{')
            p++;
        p = object_skip(p, end);
        member->n = (size_t)(p - member->text);
    }
    return count;
}

static bool is_wanted(const struct web_extras *extras, uint32_t tag)
{
    if (extras->has_all)
        return true;
    for (size_t i = 0; i < extras->n; i++)
        if (extras->tags[i] == tag)
            return true;
    return false;
}

static void member_put(struct web_text *out, const struct member *member)
{
    web_text_put(out, out->n > 1 ? "," : "");
    web_text_add(out, member->text, member->n);
}

/* Both in the order of tags; where both have one the catalogue's stands: it may be a
 * correction, and what was matched is to be what is told. */
static void merge(const struct web_extras *extras, const struct member *a, size_t n_a,
                  const struct member *b, size_t n_b, struct web_text *out)
{
    size_t i = 0, j = 0;
    web_text_put(out, "{");
    while (i < n_a || j < n_b) {
        if (j == n_b || (i < n_a && a[i].tag <= b[j].tag)) {
            j += j < n_b && a[i].tag == b[j].tag;
            member_put(out, &a[i++]);
        } else {
            if (is_wanted(extras, b[j].tag))
                member_put(out, &b[j]);
            j++;
        }
    }
    web_text_put(out, "}");
}

/* Fills in the series and the instance that stand for what is named. */
static hilum_rc instance_choose(const struct web_call *call, char uids[3][68])
{
    static const uint32_t tags[3] = {TAG_STUDY, TAG_SERIES, TAG_SOP_INSTANCE};
    const struct web *web = call->web;
    struct hilum_catalog_key keys[2];
    hilum_cursor *cursor = NULL;
    uint32_t n = 0;
    for (size_t i = 0; i < 2; i++)
        if (uids[i][0] != '\0')
            keys[n++] = (struct hilum_catalog_key){tags[i], 0, uids[i]};
    const struct hilum_catalog_query query = {.size = sizeof query,
                                              .level = HILUM_LEVEL_IMAGE,
                                              .keys = keys,
                                              .n_keys = n,
                                              .returns = tags,
                                              .n_returns = 3,
                                              .limit = 1};
    hilum_rc rc =
        web->host->catalog->open(web->self, call->api->request(call->http)->who, &query, &cursor);
    if (rc == HILUM_OK)
        rc = web->host->catalog->next(cursor);
    for (size_t i = 1; rc == 1 && i < 3; i++) {
        const char *value = web->host->catalog->value(cursor, tags[i]);
        snprintf(uids[i], sizeof uids[i], "%s", value != NULL ? value : "");
    }
    if (cursor != NULL)
        web->host->catalog->close(cursor);
    return rc == 1 ? HILUM_OK : rc == 0 ? HILUM_ENOTFOUND : rc;
}

/* json is replaced only when all went well: after an error it is as it was. The object is
 * opened as the user, by web_list_make: what may not be seen is told without. */
hilum_rc web_extras_add(const struct web_call *call, const struct web_extras *extras,
                        char uids[3][68], struct web_text *json)
{
    struct web_call one = {call->web, call->api, call->http, {uids[0], uids[1], uids[2]}};
    struct web_text whole = {0}, merged = {0};
    struct member *members = calloc((size_t)2 * MEMBERS_MAX, sizeof *members);
    hilum_rc rc = members != NULL ? HILUM_OK : HILUM_ENOMEM;
    if (rc == HILUM_OK && uids[2][0] == '\0')
        rc = instance_choose(call, uids);
    if (rc == HILUM_OK)
        rc = web_instance_json(&one, &whole);
    if (rc == HILUM_OK) {
        size_t n_a = members_of(json->bytes, json->n, members);
        size_t n_b = members_of(whole.bytes, whole.n, members + MEMBERS_MAX);
        merge(extras, members, n_a, members + MEMBERS_MAX, n_b, &merged);
        rc = merged.failed ? HILUM_ENOMEM : HILUM_OK;
    }
    if (rc == HILUM_OK) {
        web_text_fini(json);
        *json = merged;
    } else {
        web_text_fini(&merged);
    }
    web_text_fini(&whole);
    free(members);
    return rc;
}
