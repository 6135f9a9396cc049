/* Attributes a search for instances asks for and the catalogue does not keep, sequences among them: read from the objects'
 * own metadata, and put among the others. SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

enum { MEMBERS_MAX = 4096 };

/* An attribute in the text of an object of the DICOM JSON Model as the kernel writes it. */
struct member {
    uint32_t tag;
    const char *text; /* from its key's quote on */
    size_t n;
};

/* Behind the string that begins at p. */
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

/* Both in the order of tags; where both have one, the catalogue's. */
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

hilum_rc web_extras_add(const struct web_call *call, const struct web_extras *extras,
                        const char *const uids[3], struct web_text *json)
{
    struct web_call one = {call->web, call->api, call->http, {uids[0], uids[1], uids[2]}};
    struct web_text whole = {0}, merged = {0};
    struct member *members = calloc((size_t)2 * MEMBERS_MAX, sizeof *members);
    hilum_rc rc = members != NULL ? web_instance_json(&one, &whole) : HILUM_ENOMEM;
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
