/* Frames and bulk data (PS3.18 10.4.1.1.3, 10.4.1.1.5): stored bytes, read where they lie.
 *
 * Four ways, from cheap to dear: one native frame is lent from the mapped file; several, or
 * compressed ones, stream as they are stored; decoded ones stream, each decoded as its turn
 * comes. A client that names what it takes gets that or 406 with what there is: frames are never
 * encoded anew here (retrieve.c does so for whole instances).
 *
 * Media types tell the transfer syntax (PS3.18 8.7.3.3, table 8.7.3-5): a viewer decodes
 * image/jls by its type, and needs no more than the part.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define OCTETS "application/octet-stream"

/* A list of 100,000 numbers is over what fits a request's line anyhow; all frames at once (no
 * list) have no such bound, since they need no memory each. */
enum { FRAMES_MAX = 100000 };

/* object stays open until the body has left: pieces are borrowed from it. */
struct frames {
    struct web_parts parts; /* first: freed as such */
    hilum_object *object;
    uint64_t *numbers; /* from 1; NULL: all of n, or one bulk data value */
    uint64_t n, at;
    bool is_bulk, is_decoded;
    hilum_rc undecoded; /* why the first cannot be decoded; HILUM_OK: it can, or nobody tried */
    char why[400];
    struct hilum_extent extent;
    struct web_tag tag;
    char type[WEB_TYPE_MAX];
};

/* ---- which frames ---- */

/* "1,2,7"; 0: no such list. */
uint64_t web_frame_numbers(const char *text, uint64_t *out, uint64_t max)
{
    uint64_t n = 0;
    for (const char *p = text;; p++) {
        char *end = NULL;
        if (n == max || *p < '1' || *p > '9')
            return 0;
        out[n++] = strtoull(p, &end, 10);
        p = end;
        if (*p == '\0')
            return n;
        if (*p != ',')
            return 0;
    }
}

/* Each number costs a digit and a comma, hence half the length. All are checked before the
 * first byte: one that is not there is a 404 of the whole request. */
static hilum_rc choose_frames(const struct web_call *call, struct frames *frames, uint64_t total)
{
    const char *list = call->api->param(call->http, "frames");
    if (list == NULL) {
        frames->n = total;
        return HILUM_OK;
    }
    size_t max = strlen(list) / 2 + 1;
    if (max > FRAMES_MAX)
        return call->web->host->fail(call->web->self, HILUM_EINVAL, "too many frames");
    frames->numbers = calloc(max, sizeof *frames->numbers);
    if (frames->numbers == NULL)
        return HILUM_ENOMEM;
    frames->n = web_frame_numbers(list, frames->numbers, max);
    if (frames->n == 0)
        return call->web->host->fail(call->web->self, HILUM_EINVAL,
                                     "expected frame numbers from 1, separated by commas");
    for (uint64_t i = 0; i < frames->n; i++)
        if (frames->numbers[i] > total)
            return call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                         "the instance has fewer frames");
    return HILUM_OK;
}

/* ---- in which form ---- */

/* PS3.18 table 8.7.3-5. Prefixes, the longer ones first where one is part of the other. */
static const char *media_of(const char *syntax)
{
    static const struct {
        const char *prefix, *media;
    } table[] = {
        {"1.2.840.10008.1.2.5", "image/dicom-rle"}, {"1.2.840.10008.1.2.4.5", "image/jpeg"},
        {"1.2.840.10008.1.2.4.6", "image/jpeg"},    {"1.2.840.10008.1.2.4.70", "image/jpeg"},
        {"1.2.840.10008.1.2.4.80", "image/jls"},    {"1.2.840.10008.1.2.4.81", "image/jls"},
        {"1.2.840.10008.1.2.4.90", "image/jp2"},    {"1.2.840.10008.1.2.4.91", "image/jp2"},
        {"1.2.840.10008.1.2.4.92", "image/jpx"},    {"1.2.840.10008.1.2.4.93", "image/jpx"},
        {"1.2.840.10008.1.2.4.100", "video/mpeg2"}, {"1.2.840.10008.1.2.4.101", "video/mpeg2"},
        {"1.2.840.10008.1.2.4.107", "video/H265"},  {"1.2.840.10008.1.2.4.108", "video/H265"},
        {"1.2.840.10008.1.2.4.10", "video/mp4"},    {"1.2.840.10008.1.2.4.11", "image/jxl"},
        {"1.2.840.10008.1.2.4.20", "image/jphc"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strncmp(syntax, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].media;
    return OCTETS;
}

#define EXPLICIT "1.2.840.10008.1.2.1"

/* Can the first of those that are wanted be decoded? It is kept for when it leaves. Tried
 * before the answer is begun, since "decoded" is offered only where it works; what was decoded
 * is kept by the object and not done again for the first part. */
static bool can_decode(struct frames *frames, const char *syntax)
{
    const struct hilum_object_api *objects = frames->parts.web->host->objects;
    if (syntax == NULL || strcmp(syntax, EXPLICIT) == 0)
        return false;
    frames->undecoded =
        objects->native_frame(frames->object, frames->numbers != NULL ? frames->numbers[0] - 1 : 0);
    if (frames->undecoded != HILUM_OK)
        snprintf(frames->why, sizeof frames->why, "%s",
                 frames->parts.web->host->reason(frames->parts.web->self));
    return frames->undecoded == HILUM_OK;
}

/* Parts of this media type, then one part alone where only one is asked for; decoded ones
 * last. An octet stream of a compressed syntax is for those who name it, or take any.
 * The order is our liking, which decides for clients that take anything: as stored, in parts;
 * decoded pixels cost a run of the codec and are for those who name them. */
static bool choose_form(const struct web_call *call, struct frames *frames, const char *syntax,
                        const char **media)
{
    const char *kinds[] = {syntax != NULL ? media_of(syntax) : OCTETS, OCTETS, OCTETS};
    const char *syntaxes[] = {syntax, syntax, EXPLICIT};
    struct web_offer offers[6];
    size_t n = 0, n_kinds = can_decode(frames, syntax) ? 3 : 2;
    for (size_t i = 0; i < n_kinds; i++)
        offers[n++] = (struct web_offer){NULL, kinds[i], syntaxes[i]};
    for (size_t i = 0; i < n_kinds && frames->n == 1; i++)
        offers[n++] = (struct web_offer){kinds[i], NULL, syntaxes[i]};
    int best = web_accept(web_accept_of(call), offers, n);
    if (best < 0)
        return false;
    size_t kind = (size_t)best % n_kinds;
    frames->parts.is_single = (size_t)best >= n_kinds;
    frames->is_decoded = kind == 2;
    *media = kinds[kind];
    if (syntax != NULL)
        snprintf(frames->type, sizeof frames->type, "%s; transfer-syntax=%s", *media,
                 syntaxes[kind]);
    else
        snprintf(frames->type, sizeof frames->type, "%s", *media);
    return true;
}

/* ---- the stream ---- */

/* number is from 1 in the URL (PS3.18 10.4.1.1.3), from 0 inside. */
static hilum_rc frame_begin(struct web_parts *parts, char type[WEB_TYPE_MAX])
{
    struct frames *frames = (struct frames *)parts;
    const struct hilum_object_api *objects = parts->web->host->objects;
    if (frames->at == frames->n)
        return 0;
    memcpy(type, frames->type, WEB_TYPE_MAX);
    uint64_t number = frames->numbers != NULL ? frames->numbers[frames->at] : frames->at + 1;
    frames->at++;
    hilum_rc rc = frames->is_bulk      ? objects->part(frames->object, &frames->extent)
                  : frames->is_decoded ? objects->native_frame(frames->object, number - 1)
                                       : objects->frame(frames->object, number - 1);
    return rc == HILUM_OK ? 1 : rc;
}

static hilum_rc frame_read(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    struct frames *frames = (struct frames *)parts;
    return parts->web->host->objects->next_part(frames->object, bytes, n);
}

static void frames_free(struct web_parts *parts)
{
    struct frames *frames = (struct frames *)parts;
    parts->web->host->objects->close(frames->object);
    free(frames->numbers);
    free(frames);
}

static struct frames *frames_new(const struct web_call *call)
{
    struct frames *frames = calloc(1, sizeof *frames);
    if (frames != NULL)
        frames->parts = (struct web_parts){.web = call->web,
                                           .who = call->api->request(call->http)->who,
                                           .begin = frame_begin,
                                           .read = frame_read,
                                           .free = frames_free};
    return frames;
}

/* Who would have taken decoded pixels is told why there are none. A damaged frame is its own
 * status (as rc says), not 406: the client did nothing wrong. */
static hilum_rc refuse_form(const struct web_call *call, const struct frames *frames,
                            const char *syntax)
{
    static const struct web_offer decoded[] = {{NULL, OCTETS, EXPLICIT}, {OCTETS, NULL, EXPLICIT}};
    char text[700];
    if (frames->undecoded != HILUM_OK && frames->undecoded != HILUM_EUNSUP &&
        web_accept(web_accept_of(call), decoded, frames->n == 1 ? 2 : 1) >= 0)
        return frames->undecoded;
    if (syntax == NULL)
        return web_refuse(call, 406, "this value is sent as application/octet-stream");
    snprintf(text, sizeof text,
             "these frames are stored as, and only to be had as, %s; transfer-syntax=%s%s%s",
             media_of(syntax), syntax, frames->why[0] != '\0' ? ": " : "", frames->why);
    return web_refuse(call, 406, text);
}

/* ---- one native frame, which most requests are for: lent from where it lies, without a copy ---- */

static void lent_back(void *arg)
{
    frames_free(arg);
}

/* Read here: the loop that sends it would wait for the disk. A page of x86 and of arm64 as
 * Debian builds it. On this worker the fault is only this client's wait. */
static void touch(const uint8_t *bytes, uint64_t n)
{
    volatile uint8_t sum = 0;
    for (uint64_t at = 0; at < n; at += 4096)
        sum = (uint8_t)(sum + bytes[at]);
}

/* frames belongs to http with the first lend() that was called, whatever it returned:
 * lent_back frees it. */
static hilum_rc lend(const struct web_call *call, struct frames *frames, const char *media,
                     const void *bytes, uint64_t n)
{
    char whole[WEB_LINE_MAX], head[WEB_LINE_MAX], tail[WEB_LINE_MAX];
    struct web_parts *parts = &frames->parts;
    touch(bytes, n);
    web_parts_texts(parts, media, frames->type, whole, head, tail);
    hilum_rc rc = call->api->begin(call->http, 200, whole, HILUM_LENGTH_UNKNOWN);
    if (rc == HILUM_OK)
        rc = call->api->write(call->http, head, strlen(head));
    if (rc != HILUM_OK) {
        frames_free(parts);
        return rc;
    }
    rc = call->api->lend(call->http, bytes, n, lent_back, frames);
    if (rc == HILUM_OK)
        rc = call->api->write(call->http, tail, strlen(tail));
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

/* Everything the body depends on. */
static void tag_finish(struct frames *frames, const char *path)
{
    struct web_tag *tag = &frames->tag;
    web_tag_text(tag, frames->type);
    web_tag_text(tag, path != NULL ? path : "");
    web_tag_add(tag, frames->is_decoded);
    for (uint64_t i = 0; frames->numbers != NULL && i < frames->n; i++)
        web_tag_add(tag, frames->numbers[i]);
    web_tag_form(tag, frames->parts.web, frames->parts.is_single);
    web_tag_boundary(frames->parts.web, tag, frames->parts.boundary);
}

/* As chosen; frees. native_length: of one frame that lies as it leaves; 0: none does.
 * next_part() may return less than the frame where the object is not mapped whole: then it
 * streams. */
static hilum_rc send_chosen(const struct web_call *call, struct frames *frames, const char *media,
                            uint64_t native_length)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    const void *bytes = NULL;
    uint64_t n = 0;
    if (native_length > 0 && frames->n == 1 &&
        objects->frame(frames->object, frames->numbers != NULL ? frames->numbers[0] - 1 : 0) ==
            HILUM_OK &&
        objects->next_part(frames->object, &bytes, &n) == HILUM_OK && n == native_length)
        return lend(call, frames, media, bytes, n);
    return web_parts_send(call, 200, media, &frames->parts);
}

/* Sends, or answers why not; frees. The audit row comes before the check for 304: that a
 * client looks at what it has is a look all the same. */
static hilum_rc send(const struct web_call *call, struct frames *frames, const char *syntax,
                     uint64_t native_length)
{
    const char *media = NULL;
    bool is_chosen = choose_form(call, frames, syntax, &media);
    if (is_chosen) {
        tag_finish(frames, call->api->param(call->http, "path"));
        web_audit_retrieve(call, frames->is_bulk ? "bulk data" : "frames", frames->n, true);
    }
    if (is_chosen && !web_tag_show(call, &frames->tag))
        return send_chosen(call, frames, media, native_length);
    hilum_rc rc = is_chosen ? web_unchanged(call) : refuse_form(call, frames, syntax);
    frames_free(&frames->parts);
    return rc;
}

static hilum_rc send_frames(const struct web_call *call, struct frames *frames)
{
    struct hilum_frames known;
    hilum_rc rc = call->web->host->objects->frames(frames->object, &known);
    if (rc == HILUM_OK && known.n == 0)
        rc = call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                   "the instance has no pixel data");
    if (rc == HILUM_OK)
        rc = choose_frames(call, frames, known.n);
    if (rc == HILUM_OK)
        return send(call, frames, known.transfer_syntax, known.length);
    frames_free(&frames->parts);
    return rc;
}

hilum_rc web_frames(const struct web_call *call)
{
    struct frames *frames = frames_new(call);
    if (frames == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = web_open_one(call, &frames->object, &frames->tag);
    if (rc == HILUM_OK)
        return send_frames(call, frames);
    frames_free(&frames->parts);
    return rc;
}

/* Compressed pixel data as bulk data are their frames (PS3.18 8.7.3.3.2). */
hilum_rc web_bulk(const struct web_call *call)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    const char *path = call->api->param(call->http, "path");
    struct hilum_frames known = {0};
    struct frames *frames = frames_new(call);
    if (frames == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = web_open_one(call, &frames->object, &frames->tag);
    bool is_pixels = strcasecmp(path, "7FE00010") == 0;
    if (rc == HILUM_OK && is_pixels && objects->frames(frames->object, &known) == HILUM_OK &&
        known.is_encapsulated)
        return send_frames(call, frames);
    if (rc == HILUM_OK)
        rc = objects->find(frames->object, path, &frames->extent);
    if (rc == HILUM_OK) {
        frames->is_bulk = true;
        frames->n = 1;
        return send(call, frames, NULL, 0);
    }
    frames_free(&frames->parts);
    return rc;
}
