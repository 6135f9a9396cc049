/* Frames and bulk data (PS3.18 10.4.1.1.3, 10.4.1.1.5): stored bytes, read where they lie, or what is made of them.
 *
 * Five ways, from cheap to dear: one native frame is lent from the mapped file; several, or
 * compressed ones, stream as they are stored; decoded ones, and those encoded anew, stream, each
 * made as its turn comes. Which of them a client gets is chosen in forms.c.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

/* A list of 100,000 numbers is over what fits a request's line anyhow; all frames at once (no
 * list) have no such bound, since they need no memory each. */
enum { FRAMES_MAX = 100000 };
#define NONE_READY UINT64_MAX

/* object stays open until the body has left: pieces are borrowed from it. */
struct frames {
    struct web_parts parts; /* first: freed as such */
    struct web_call call;   /* whom its object asks */
    hilum_object *object;
    uint64_t ready;    /* frame, from 0, that is prepared and not read yet; NONE_READY */
    uint64_t *numbers; /* from 1; NULL: all of n, or one bulk data value */
    uint64_t n, at;
    struct web_pixels pixels;
    struct web_form form;
    char why[400]; /* what a codec said last; "": nothing */
    struct hilum_extent extent;
    struct web_tag tag;
    char type[WEB_TYPE_MAX];
};

/* In that form. */
static hilum_rc frame_prepare(const struct frames *frames, const struct web_form *form, uint64_t i)
{
    const struct hilum_object_api *objects = frames->parts.web->host->objects;
    const struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = form->syntax};
    switch (form->way) {
    case WEB_VALUE: return objects->part(frames->object, &frames->extent);
    case WEB_STORED: return objects->frame(frames->object, i);
    case WEB_DECODED: return objects->native_frame(frames->object, i);
    default: return objects->encoded_frame(frames->object, i, &wanted);
    }
}

/* Prepares a frame, from 0; one that was made and not read is not made again. Whoever goes to another form forgets it. */
static hilum_rc frame_make(struct frames *frames, const struct web_form *form, uint64_t i)
{
    if (frames->ready == i)
        return HILUM_OK;
    frames->ready = NONE_READY;
    hilum_rc rc = frame_prepare(frames, form, i);
    if (rc == HILUM_OK)
        frames->ready = i;
    return rc;
}

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

/* Tried before the answer is begun, since what cannot be had must not be offered; what was made is kept and not made
 * again for the first part. */
static hilum_rc try_form(void *arg, const struct web_form *form)
{
    struct frames *frames = arg;
    const struct web *web = frames->parts.web;
    frames->ready = NONE_READY;
    hilum_rc rc = frame_make(frames, form, frames->numbers != NULL ? frames->numbers[0] - 1 : 0);
    if (rc != HILUM_OK)
        snprintf(frames->why, sizeof frames->why, "%s", web->host->reason(web->self));
    return rc;
}

static hilum_rc frame_length(struct web_parts *parts, uint64_t *n)
{
    return parts->web->host->objects->part_length(((struct frames *)parts)->object, n);
}

static hilum_rc choose_form(const struct web_call *call, struct frames *frames)
{
    hilum_rc rc = web_form_choose(web_accept_of(call), &frames->pixels, &frames->form);
    if (rc != HILUM_OK)
        return rc;
    frames->parts.is_single = frames->form.is_single;
    frames->n = frames->parts.n_parts = frames->form.n_parts;
    if (frames->n == 1 || frames->form.way == WEB_STORED) /* others are made one by one */
        frames->parts.length = frame_length;
    web_form_type(&frames->form, frames->type);
    return HILUM_OK;
}

/* ---- the stream ---- */

/* number is from 1 in the URL (PS3.18 10.4.1.1.3), from 0 inside. */
static hilum_rc frame_begin(struct web_parts *parts, char type[WEB_TYPE_MAX])
{
    struct frames *frames = (struct frames *)parts;
    if (frames->at == frames->n)
        return 0;
    memcpy(type, frames->type, WEB_TYPE_MAX);
    uint64_t number = frames->numbers != NULL ? frames->numbers[frames->at] : frames->at + 1;
    frames->at++;
    hilum_rc rc = frame_make(frames, &frames->form, number - 1);
    return rc == HILUM_OK ? 1 : rc;
}

static hilum_rc frame_read(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    struct frames *frames = (struct frames *)parts;
    frames->ready = NONE_READY;
    return parts->web->host->objects->next_part(frames->object, bytes, n);
}

static hilum_rc frame_skip(struct web_parts *parts, uint64_t n)
{
    struct frames *frames = (struct frames *)parts;
    frames->ready = NONE_READY;
    return parts->web->host->objects->skip_part(frames->object, n);
}

static void frames_rewind(struct web_parts *parts)
{
    ((struct frames *)parts)->at = 0;
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
    if (frames == NULL)
        return NULL;
    frames->call = *call;
    frames->ready = NONE_READY;
    frames->extent.size = sizeof frames->extent;
    frames->parts = (struct web_parts){.web = call->web,
                                       .who = call->api->request(call->http)->who,
                                       .begin = frame_begin,
                                       .read = frame_read,
                                       .rewind = frames_rewind,
                                       .skip = frame_skip,
                                       .free = frames_free};
    return frames;
}

/* ---- one native frame, which most requests are for: lent from where it lies, without a copy ---- */

static void lent_back(void *arg)
{
    frames_free(arg);
}

/* Those pages of [at, at + n) that the kernel does not have in memory; `at` is the beginning of one. Of a file that is not
 * ours it does not tell, and says that they are there. */
static void pages_touch(const uint8_t *at, size_t n, size_t page)
{
    unsigned char are_there[256];
    volatile uint8_t sum = 0;
    for (size_t step = 0; n > 0; at += step, n -= step) {
        step = n < sizeof are_there * page ? n : sizeof are_there * page;
        bool is_told = mincore((void *)(uintptr_t)at, step, are_there) == 0;
        for (size_t i = 0; i * page < step; i++)
            if (!is_told || (are_there[i] & 1) == 0)
                sum = (uint8_t)(sum + at[i * page]);
    }
}

/* Read here: the loop that sends it would wait for the disk. On this worker that is only this client's wait. To ask
 * of all pages costs a fifth of reading a byte of each. */
static void touch(const uint8_t *bytes, uint64_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (0 - (uintptr_t)bytes) % page;
    volatile uint8_t first = n > 0 ? *bytes : 0;
    (void)first;
    if (n > skip)
        pages_touch(bytes + skip, (size_t)n - skip, page);
}

/* frames belongs to http with the first lend() that was called, whatever it returned:
 * lent_back frees it. */
static hilum_rc lend(const struct web_call *call, struct frames *frames, const void *bytes,
                     uint64_t n)
{
    char whole[WEB_LINE_MAX], head[WEB_LINE_MAX], tail[WEB_LINE_MAX];
    struct web_parts *parts = &frames->parts;
    touch(bytes, n);
    web_parts_texts(parts, frames->form.media, frames->type, whole, head, tail);
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
    web_tag_add(tag, frames->form.way);
    if (frames->form.way == WEB_ENCODED) /* another codec's stream of the same pixels is another */
        web_tag_text(tag, HILUM_VERSION);
    for (uint64_t i = 0; frames->numbers != NULL && i < frames->n; i++)
        web_tag_add(tag, frames->numbers[i]);
    web_tag_form(tag, frames->parts.web, frames->parts.is_single);
    web_tag_boundary(frames->parts.web, tag, frames->parts.boundary);
}

/* As chosen; frees. native_length: of one frame that lies as it leaves; 0: none does.
 * next_part() may return less than the frame where the object is not mapped whole: then it
 * streams. */
static hilum_rc send_chosen(const struct web_call *call, struct frames *frames,
                            uint64_t native_length)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    const void *bytes = NULL;
    uint64_t n = 0;
    if (frames->form.way == WEB_STORED && native_length > 0 && frames->n == 1 &&
        frame_make(frames, &frames->form, frames->numbers != NULL ? frames->numbers[0] - 1 : 0) ==
            HILUM_OK &&
        objects->next_part(frames->object, &bytes, &n) == HILUM_OK && n == native_length)
        return lend(call, frames, bytes, n);
    frames->ready = bytes == NULL ? frames->ready : NONE_READY;
    return web_parts_send(call, 200, frames->form.media, &frames->parts);
}

/* Sends, or answers why not; frees. The audit row comes before the check for 304: that a
 * client looks at what it has is a look all the same. A damaged frame is its own status (as rc
 * says), not 406: the client did nothing wrong. */
static hilum_rc send(const struct web_call *call, struct frames *frames, uint64_t native_length)
{
    hilum_rc rc = choose_form(call, frames);
    if (rc == HILUM_OK) {
        tag_finish(frames, call->api->param(call->http, "path"));
        web_audit_retrieve(call, frames->form.way == WEB_VALUE ? "bulk data" : "frames", frames->n,
                           true);
        if (!web_tag_show(call, &frames->tag))
            return send_chosen(call, frames, native_length);
        rc = web_unchanged(call);
    } else if (rc == HILUM_EUNSUP) {
        rc = web_form_refuse(call, &frames->pixels, frames->why);
    }
    frames_free(&frames->parts);
    return rc;
}

static void pixels_set(struct frames *frames, const char *stored, uint64_t n, bool is_value)
{
    frames->pixels = (struct web_pixels){
        .stored = stored, .is_value = is_value, .n = n, .try = try_form, .arg = frames};
}

static hilum_rc send_frames(const struct web_call *call, struct frames *frames)
{
    struct hilum_frames known = {.size = sizeof known};
    hilum_rc rc = call->web->host->objects->frames(frames->object, &known);
    if (rc == HILUM_OK && known.n == 0)
        rc = call->web->host->fail(call->web->self, HILUM_ENOTFOUND,
                                   "the instance has no pixel data");
    if (rc == HILUM_OK)
        rc = choose_frames(call, frames, known.n);
    if (rc == HILUM_OK) {
        pixels_set(frames, known.transfer_syntax, frames->n, false);
        return send(call, frames, known.length);
    }
    frames_free(&frames->parts);
    return rc;
}

static hilum_rc object_open(const struct web_call *call, struct frames *frames)
{
    hilum_rc rc = web_open_one(call, &frames->object, &frames->tag);
    if (rc == HILUM_OK)
        web_for_client(&frames->call, frames->object);
    return rc;
}

hilum_rc web_frames(const struct web_call *call)
{
    struct frames *frames = frames_new(call);
    if (frames == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = object_open(call, frames);
    if (rc == HILUM_OK)
        return send_frames(call, frames);
    frames_free(&frames->parts);
    return rc;
}

/* Compressed pixel data as bulk data are their frames (PS3.18 8.7.3.3.2), and so are others where the client wants them
 * compressed. */
hilum_rc web_bulk(const struct web_call *call)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    const char *path = call->api->param(call->http, "path");
    struct hilum_frames known = {.size = sizeof known};
    struct frames *frames = frames_new(call);
    if (frames == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = object_open(call, frames);
    bool is_pixels = rc == HILUM_OK && strcasecmp(path, "7FE00010") == 0 &&
                     objects->frames(frames->object, &known) == HILUM_OK && known.n > 0;
    if (is_pixels && known.is_encapsulated)
        return send_frames(call, frames);
    if (rc == HILUM_OK)
        rc = objects->find(frames->object, path, &frames->extent);
    if (rc == HILUM_OK) {
        pixels_set(frames, is_pixels ? known.transfer_syntax : NULL, known.n, true);
        return send(call, frames, 0);
    }
    frames_free(&frames->parts);
    return rc;
}
