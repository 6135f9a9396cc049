/* Entity tags (RFC 9110 8.8.3) of what is made of stored objects, and boundaries that follow from them: the same bytes
 * for the same tag, so that a range of a multipart body is a range of one body.
 *
 * Stored objects never change, corrections have numbers and the request is part of the tag, so
 * that a tag needs no byte of the body: it is known before an object is read. Multipart bodies
 * have a boundary, though, and a client that asks for the rest of a body by Range with If-Range
 * must get the same boundary again: it is derived from the tag and a secret of this life of the
 * server. The secret is new with each start, and goes into the tag of everything that has a
 * boundary: after a restart a tag of before does not match, and the client begins anew.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

/* ---- a keyed digest (SipHash-2-4): nobody can store an object that holds the boundary of another one's answer ---- */

/* SipHash (Aumasson, Bernstein 2012). Here words come in whole, never bytes. */
static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static uint64_t keyed(const uint64_t key[2], const uint64_t *words, size_t n)
{
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736F6D6570736575), key[1] ^ UINT64_C(0x646F72616E646F6D),
                     key[0] ^ UINT64_C(0x6C7967656E657261), key[1] ^ UINT64_C(0x7465646279746573)};
    for (size_t i = 0; i <= n; i++) {
        uint64_t word = i < n ? words[i] : (uint64_t)n << 59; /* the length ends it */
        v[3] ^= word;
        sip_round(v);
        sip_round(v);
        v[0] ^= word;
    }
    v[2] ^= 0xFF;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- tags ---- */

/* Two mixings that have nothing in common: values that fall together in one hardly do in the
 * other. Not secret, not against attack: two requests of one client with the same tag would be
 * its own doing. */
void web_tag_add(struct web_tag *tag, uint64_t value)
{
    tag->a = (tag->a ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    tag->a ^= tag->a >> 29;
    tag->b = (rotate(tag->b, 17) + value) * UINT64_C(0xBF58476D1CE4E5B9);
    tag->b ^= tag->b >> 32;
}

void web_tag_text(struct web_tag *tag, const char *text)
{
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001B3);
    web_tag_add(tag, hash);
}

/* The query as it was written: the same parameters in another order are another tag, which
 * costs a drawing and no more. */
void web_tag_request(struct web_tag *tag, const struct web_call *call, const char *type)
{
    web_tag_text(tag, call->api->request(call->http)->path);
    web_tag_text(tag, call->api->request(call->http)->query);
    web_tag_text(tag, type);
    web_tag_text(tag, HILUM_VERSION);
}

/* secret[2] is not one of the boundary's keys: a tag is shown to everybody. */
void web_tag_form(struct web_tag *tag, const struct web *web, bool is_single)
{
    web_tag_add(tag, is_single ? 1 : web->secret[2]);
}

/* Instances have numbers that are never used again in a catalogue, so that a replaced object
 * has another; as_of counts corrections. Length last: a list is no prefix of another. */
void web_tag_list(struct web_tag *tag, const struct web_list *list)
{
    web_tag_add(tag, (uint64_t)list->as_of);
    for (size_t i = 0; i < list->n; i++)
        web_tag_add(tag, (uint64_t)list->items[i].instance);
    web_tag_add(tag, list->n);
}

void web_tag_boundary(const struct web *web, const struct web_tag *tag, char out[33])
{
    const uint64_t words[3] = {tag->a, tag->b, 1};
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)keyed(web->secret, words, 2),
             (unsigned long long)keyed(web->secret, words, 3));
}

/* strstr: the header is a list, in which W/"x" matches "x" (RFC 9110 13.1.2 compares weakly).
 * "*" is not asked for by anybody who sends GET. */
bool web_tag_show(const struct web_call *call, const struct web_tag *tag)
{
    char text[40];
    const char *known = call->api->header(call->http, "If-None-Match");
    snprintf(text, sizeof text, "%s\"%016llx%016llx\"", tag->is_weak ? "W/" : "",
             (unsigned long long)tag->a, (unsigned long long)tag->b);
    call->api->add_header(call->http, "ETag", text);
    return known != NULL && strstr(known, strchr(text, '"')) != NULL;
}

hilum_rc web_unchanged(const struct web_call *call)
{
    hilum_rc rc = call->api->begin(call->http, 200, NULL, 0); /* the server makes 304 of it */
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}
