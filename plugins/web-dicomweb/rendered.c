/* Rendered resources (PS3.18 10.4.1.1.4) and WADO-URI pictures: frames drawn by the renderer `2d`, one by one as they
 * leave.
 *
 * A request names frames of an object, all of one object, or those of a whole study. They
 * leave as parts, each drawn in the turn of the stream in which it leaves (rendered_begin): a
 * study of thousands of pictures costs the memory of one, and a client that goes away ends it.
 * Only a picture that leaves alone is drawn before the answer begins, so that what is wrong
 * with it can be told with a status.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "hilum/renderer.h"

/* PICTURE_MAX: what one answer may hold in memory, drawn or made by ffmpeg. KEPT_MAX: of a
 * file that is read whole. */
enum { FRAMES_MAX = 100000, PICTURE_MAX = 256 * 1024 * 1024, KEPT_MAX = 16 * 1024 * 1024 };
#define FILM "video/mp4"

/* ---- a picture ---- */

/* HILUM_EFULL past PICTURE_MAX ends the renderer, or ffmpeg, whose output it takes; is_over tells it from theirs. */
hilum_rc web_picture_write(void *ctx, const void *bytes, uint64_t n)
{
    struct web_picture *picture = ctx;
    picture->is_over = n > PICTURE_MAX - picture->n;
    if (picture->is_over)
        return HILUM_EFULL;
    if (n > picture->cap - picture->n) {
        size_t cap = (picture->n + (size_t)n) * 2;
        char *grown = realloc(picture->bytes, cap);
        if (grown == NULL)
            return HILUM_ENOMEM;
        picture->bytes = grown;
        picture->cap = cap;
    }
    memcpy(picture->bytes + picture->n, bytes, (size_t)n);
    picture->n += (size_t)n;
    return HILUM_OK;
}

void web_picture_fini(struct web_picture *picture)
{
    free(picture->bytes);
    *picture = (struct web_picture){.bytes = NULL};
}

/* RepresentativeFrameNumber counts from 1; a number out of range is met in practice and means
 * nothing. */
uint32_t web_representative(const struct hilum_source *source)
{
    const char *named = source->text(source->ctx, 0, "RepresentativeFrameNumber");
    unsigned long number = named != NULL ? strtoul(named, NULL, 10) : 0;
    if (number >= 1 && number <= source->n_slices)
        return (uint32_t)number - 1;
    return source->n_slices / 2;
}

/* The parameters with the region in pixels of the frame, to be freed. HILUM_EINVAL: none of it
 * lies in the picture. The size is that of the frame as stored, before what turns or scales
 * it: regions of both protocols are of the image (PS3.18 8.3.5.1.3). What lies partly outside
 * is the renderer's to cut. */
static hilum_rc region_place(const struct web *web, const struct web_view *wanted,
                             const struct hilum_source *source, uint32_t slice, char **out)
{
    struct hilum_slice known = {.size = sizeof known};
    hilum_rc rc = source->describe(source->ctx, slice, &known);
    if (rc != HILUM_OK)
        return rc;
    double columns = known.frame->columns, rows = known.frame->rows;
    bool is_in_pixels = wanted->region_in == WEB_IN_PIXELS;
    double across = is_in_pixels ? 1 : columns, down = is_in_pixels ? 1 : rows;
    double x = wanted->region[0] * across, width = wanted->region[2] * across;
    double y = wanted->region[1] * down, height = wanted->region[3] * down;
    if (x >= columns || y >= rows || x + fabs(width) <= 0 || y + fabs(height) <= 0) {
        char why[160];
        snprintf(why, sizeof why, "the region lies outside the picture, which has %u x %u pixels",
                 known.frame->columns, known.frame->rows);
        return web->host->fail(web->self, HILUM_EINVAL, why);
    }
    const char *rest = wanted->parameters + 1; /* behind its '{' */
    if (asprintf(out, "{\"region\":[%.6f,%.6f,%.6f,%.6f]%s%s", x, y, width, height,
                 *rest == '}' ? "" : ",", rest) >= 0)
        return HILUM_OK;
    *out = NULL;
    return HILUM_ENOMEM;
}

/* The renderer is asked for anew each time: it may be unloaded or another one between two
 * pictures; while it is acquired it stays. */
hilum_rc web_picture_draw_source(const struct web *web, const struct hilum_source *source,
                                 const struct web_view *wanted, uint64_t frame, uint64_t laid,
                                 struct web_picture *out)
{
    const struct hilum_cap *cap = NULL;
    void *instance = NULL, *scene = NULL;
    char *region = NULL;
    struct hilum_view view = wanted->view;
    struct hilum_rendered done = {.size = sizeof done};
    struct hilum_sink sink = {.size = sizeof sink, .write = web_picture_write, .ctx = out};
    if (frame > source->n_slices)
        return web->host->fail(web->self, HILUM_ENOTFOUND, "the instance has fewer frames");
    view.slice = frame > 0 ? (uint32_t)frame - 1 : web_representative(source);
    hilum_rc rc = HILUM_OK;
    if (wanted->region_in != WEB_NO_REGION)
        rc = region_place(web, wanted, source, view.slice, &region);
    if (rc != HILUM_OK)
        return rc;
    if (region != NULL)
        view.parameters = region;
    if (web->host->acquire(web->self, HILUM_CAP_RENDERER, "2d", &cap, &instance) != HILUM_OK) {
        free(region);
        return web->host->fail(web->self, HILUM_EUNSUP, "no renderer is loaded: plugin render-2d");
    }
    const struct hilum_renderer *table = (const struct hilum_renderer *)(const void *)cap;
    uint64_t bytes = 0;
    rc = web_drawing_begin(web->drawing, source, &view, laid, &bytes);
    if (rc == HILUM_OK)
        rc = table->open(instance, source, &scene);
    if (rc == HILUM_OK) {
        rc = table->render(instance, scene, &view, &sink, &done);
        table->close(instance, scene);
    }
    web_drawing_end(web->drawing, bytes);
    web->host->unpin(web->self, cap);
    free(region);
    return rc == HILUM_EFULL && out->is_over
               ? web->host->fail(web->self, rc,
                                 "a picture of over 256 MiB: ask for a smaller viewport, or "
                                 "image/jpeg")
               : rc;
}

hilum_rc web_picture_draw_plain(struct web *web, hilum_object *object, const struct web_view *view,
                                uint64_t frame, struct web_picture *out)
{
    const struct hilum_source *source = NULL;
    if (web_is_video(web, object))
        return web_video_still(web, object, view, out);
    hilum_rc rc = web->host->objects->source(object, NULL, &source);
    return rc == HILUM_OK ? web_picture_draw_source(web, source, view, frame, 0, out) : rc;
}

/* False also for an empty file: one that lost its content with the power is made again. */
bool web_picture_read(const char *path, struct web_picture *out)
{
    char piece[16384];
    size_t n = 0;
    FILE *file = fopen(path, "rbe");
    out->n = 0;
    if (file == NULL)
        return false;
    bool is_good = true;
    while (is_good && (n = fread(piece, 1, sizeof piece, file)) > 0)
        is_good = out->n < KEPT_MAX && web_picture_write(out, piece, n) == HILUM_OK;
    is_good = is_good && !ferror(file) && out->n > 0;
    fclose(file);
    if (!is_good)
        out->n = 0;
    return is_good;
}

/* ---- what is drawn, one after the other ---- */

/* view's texts point into the exchange, which outlives the body. */
struct rendered {
    struct web_parts parts; /* first: freed as such */
    struct web_call call;   /* its exchange outlives the body */
    struct web_view view;
    struct web_list list;
    size_t at;                /* in the list */
    hilum_object *object;     /* the one of the list under way */
    uint64_t n_frames, frame; /* of it, from 0 */
    uint64_t *numbers;        /* of frames, from 1; NULL: all */
    size_t n_numbers;
    struct web_picture picture;
    bool is_given;
    const char *type;
};

/* 1: one is open; 0: the list is at its end. What has no pixels counts as one frame that
 * cannot be drawn. */
static hilum_rc open_next(struct rendered *r)
{
    const struct web *web = r->call.web;
    struct hilum_frames known = {.size = sizeof known};
    web->host->objects->close(r->object);
    r->object = NULL;
    if (r->at == r->list.n)
        return 0;
    hilum_rc rc = web->host->objects->open(web->self, r->parts.who, r->list.items[r->at++].instance,
                                           r->list.as_of, &r->object);
    if (rc != HILUM_OK)
        return rc;
    web_for_client(&r->call, r->object);
    r->frame = 0;
    r->n_frames = r->n_numbers;
    if (r->numbers == NULL)
        r->n_frames =
            web->host->objects->frames(r->object, &known) == HILUM_OK && known.n > 0 ? known.n : 1;
    return 1;
}

/* What cannot be drawn (reports) is left out, where there are others; a picture alone
 * fails with its reason. Goes on to the next where one cannot be drawn, unless that tells of
 * the request (a parameter the renderer refuses at the very first picture), of memory, of a
 * client that has gone, or of frames named one by one, each of which is expected. */
static hilum_rc rendered_begin(struct web_parts *parts, char type[WEB_TYPE_MAX])
{
    struct rendered *r = (struct rendered *)parts;
    bool is_alone = r->parts.is_single;
    for (;;) {
        while (r->object == NULL || r->frame == r->n_frames) {
            hilum_rc rc = open_next(r);
            if (rc <= 0)
                return rc;
        }
        uint64_t number = r->numbers != NULL ? r->numbers[r->frame] : is_alone ? 0 : r->frame + 1;
        r->frame++;
        r->picture.n = 0;
        r->is_given = false;
        hilum_rc rc = web_picture_draw(&r->call, r->object, &r->view, number, &r->picture);
        if (rc == HILUM_OK) {
            snprintf(type, WEB_TYPE_MAX, "%s", r->type);
            return 1;
        }
        if (rc == HILUM_EAGAIN && !is_alone)
            r->frame--; /* asked for again: a video's still waits for the films under way */
        bool is_refused =
            rc == HILUM_EINVAL && parts->n_begun == 0; /* one of several may only differ */
        if (is_alone || rc == HILUM_EAGAIN || r->numbers != NULL || is_refused ||
            rc == HILUM_ENOMEM || rc == HILUM_ECLOSED)
            return rc;
    }
}

static hilum_rc rendered_read(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    struct rendered *r = (struct rendered *)parts;
    *bytes = r->picture.bytes;
    *n = r->is_given ? 0 : r->picture.n;
    r->is_given = true;
    return HILUM_OK;
}

static void rendered_free(struct web_parts *parts)
{
    struct rendered *r = (struct rendered *)parts;
    r->call.web->host->objects->close(r->object);
    web_list_fini(&r->list);
    web_view_fini(&r->view);
    web_picture_fini(&r->picture);
    free(r->numbers);
    free(r);
}

static struct rendered *rendered_new(const struct web_call *call)
{
    struct rendered *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->call = *call;
    r->parts = (struct web_parts){.web = call->web,
                                  .who = call->api->request(call->http)->who,
                                  .begin = rendered_begin,
                                  .read = rendered_read,
                                  .free = rendered_free};
    return r;
}

/* ---- requests ---- */

static hilum_rc read_frames(const struct web_call *call, struct rendered *r)
{
    const char *list = call->api->param(call->http, "frames");
    if (list == NULL)
        return HILUM_OK;
    size_t most = strlen(list) / 2 + 1;
    r->numbers = most <= FRAMES_MAX ? calloc(most, sizeof *r->numbers) : NULL;
    if (r->numbers == NULL)
        return call->web->host->fail(call->web->self, HILUM_EINVAL, "too many frames");
    r->n_numbers = (size_t)web_frame_numbers(list, r->numbers, most);
    return r->n_numbers > 0
               ? HILUM_OK
               : call->web->host->fail(call->web->self, HILUM_EINVAL,
                                       "expected frame numbers from 1, separated by commas");
}

/* One picture alone, or several as parts; where one is wanted of several it is the one in the
 * middle. A film is for who asks for one, of one object. Types come in pairs (JPEG before PNG:
 * smaller); which pair is bare depends on how many pictures there are. MP4 is last, so that
 * only who names it gets it. */
static bool choose_type(const struct web_call *call, struct rendered *r)
{
    static const char *const types[] = {"image/jpeg", "image/png", "image/gif", "image/jpeg",
                                        "image/png",  "image/gif", FILM};
    enum { KINDS = 3, ALL = 2 * KINDS + 1 };
    struct web_offer offers[ALL];
    bool is_one = r->n_numbers == 1 || (r->list.n == 1 && r->n_numbers == 0);
    for (size_t i = 0; i < ALL; i++) {
        bool is_bare = i == ALL - 1 || (i < KINDS) == is_one;
        offers[i] = is_bare ? (struct web_offer){types[i], NULL, NULL}
                            : (struct web_offer){NULL, types[i], NULL};
    }
    bool may_be_film = r->list.n == 1 && r->numbers == NULL;
    int best = web_accept(web_accept_of(call), offers, may_be_film ? ALL : ALL - 1);
    if (best < 0)
        return false;
    r->type = types[best];
    r->view.view.media_type = r->type;
    r->parts.is_single = offers[best].type == NULL;
    if (r->parts.is_single && r->list.n > 1)
        r->at = r->list.n / 2;
    return true;
}

/* Pictures are the same as long as objects, corrections, the request and this Hilum are. */
static void tag_make(const struct web_call *call, struct rendered *r, struct web_tag *tag)
{
    *tag = (struct web_tag){0};
    web_tag_request(tag, call, r->type);
    web_tag_list(tag, &r->list);
    web_tag_form(tag, call->web, r->parts.is_single);
    web_tag_boundary(call->web, tag, r->parts.boundary);
}

/* A film lies in a file, so that a browser can go to and fro in it, or in memory where it is
 * of the client's making. What the usual film costs is paid once: only a request without a
 * query is kept, or every window a viewer tries would become a file. */
static hilum_rc send_film(const struct web_call *call, struct rendered *r)
{
    struct web *web = call->web;
    int fd = -1;
    uint64_t length = 0;
    hilum_rc rc = open_next(r);
    if (rc < 0)
        return rc;
    bool is_of_state = web_list_has_state(&r->list); /* depends on what it names, and is not kept */
    bool is_usual =
        !is_of_state && *call->api->request(call->http)->query == '\0' && web->conf->thumbnails > 0;
    if (is_of_state)
        rc = web_cine_state(call, r->object, &r->view, &r->picture);
    else if (is_usual)
        rc = web_cine_kept(call, r->object, r->list.items[0].instance, &fd, &length);
    else
        rc = web_cine(call, r->object, &r->view, &r->picture);
    if (rc != HILUM_OK)
        return rc;
    web_audit_retrieve(call, "rendered", 1, true);
    return is_usual ? call->api->respond_fd(call->http, 200, FILM, fd, 0, length)
                    : call->api->respond(call->http, 200, FILM, r->picture.bytes, r->picture.n);
}

static void one_left(void *arg)
{
    rendered_free(&((struct rendered *)arg)->parts);
}

/* A picture alone leaves as one piece whose length is known: no turn of a worker for its end, and ranges of it where it has
 * a tag. The object is let go before the client takes its time. r is http's with lend(). */
static hilum_rc send_one(const struct web_call *call, struct rendered *r)
{
    char type[WEB_TYPE_MAX] = "";
    hilum_rc rc = rendered_begin(&r->parts, type);
    call->web->host->objects->close(r->object);
    r->object = NULL;
    if (rc >= 0)
        rc = call->api->begin(call->http, 200, r->type, HILUM_LENGTH_UNKNOWN);
    if (rc != HILUM_OK) {
        rendered_free(&r->parts);
        return rc;
    }
    rc = call->api->lend(call->http, r->picture.bytes, r->picture.n, one_left, r);
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

/* No body is begun before the tag was compared: drawing is what 304 saves. */
static hilum_rc send(const struct web_call *call, struct rendered *r)
{
    struct web_tag tag;
    if (!choose_type(call, r)) {
        rendered_free(&r->parts);
        return web_refuse(call, 406,
                          "pictures are made as image/jpeg, image/png and image/gif, one object "
                          "as video/mp4");
    }
    tag_make(call, r, &tag);
    if (!web_list_has_state(&r->list) && web_tag_show(call, &tag)) {
        rendered_free(&r->parts);
        return web_unchanged(call);
    }
    if (strcmp(r->type, FILM) == 0) {
        hilum_rc rc = send_film(call, r);
        rendered_free(&r->parts);
        return rc;
    }
    web_audit_retrieve(call, "rendered", r->n_numbers > 0 ? r->n_numbers : r->list.n, true);
    if (r->parts.is_single && r->list.n > 1)
        call->api->add_header(call->http, "Warning",
                              "299 - \"one of several pictures; ask for multipart/related\"");
    return r->parts.is_single ? send_one(call, r) : web_parts_send(call, 200, r->type, &r->parts);
}

hilum_rc web_rendered(const struct web_call *call)
{
    struct rendered *r = rendered_new(call);
    if (r == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = web_view_read(call, &r->view);
    if (rc == HILUM_OK)
        rc = read_frames(call, r);
    if (rc == HILUM_OK)
        rc = web_list_make(call, &r->list);
    if (rc == HILUM_OK && !(r->list.n == 1 && r->list.items[0].is_report && r->numbers == NULL))
        return send(call, r);
    if (rc == HILUM_OK)
        rc = web_report(call, web_accept_of(call));
    rendered_free(&r->parts);
    return rc;
}

/* ---- WADO-URI ---- */

/* With a state (is_state: it is one) the picture depends on another object, which may be
 * replaced, and has no tag. */
static hilum_rc uri_draw(const struct web_call *call, const char *content_type,
                         hilum_object *object, bool is_state, struct web_tag *tag)
{
    static const struct web_offer offers[] = {
        {"image/jpeg", NULL, NULL}, {"image/png", NULL, NULL}, {"image/gif", NULL, NULL}};
    struct web_view view;
    struct web_picture picture = {.bytes = NULL};
    int best = web_accept(content_type, offers, 3);
    if (best < 0)
        return web_refuse(call, 406,
                          "contentType: application/dicom, image/jpeg, image/png and image/gif can "
                          "be had");
    hilum_rc rc = web_view_read_uri(call, &view);
    view.view.media_type = offers[best].media;
    web_tag_request(tag, call, offers[best].media);
    bool is_known = rc == HILUM_OK && view.state == NULL && !is_state && web_tag_show(call, tag);
    if (is_known)
        rc = web_unchanged(call);
    else if (rc == HILUM_OK)
        rc = web_picture_draw(call, object, &view, view.frame, &picture);
    if (rc == HILUM_OK && !is_known) {
        web_audit_retrieve(call, "rendered", 1, true);
        rc = call->api->respond(call->http, 200, offers[best].media, picture.bytes, picture.n);
    }
    web_picture_fini(&picture);
    web_view_fini(&view);
    return rc;
}

hilum_rc web_uri_rendered(const struct web_call *call, const char *content_type)
{
    const struct hilum_object_api *objects = call->web->host->objects;
    struct hilum_object_names names = {.size = sizeof names};
    struct web_tag tag = {0};
    hilum_object *object = NULL;
    hilum_rc rc = web_open_one(call, &object, &tag);
    if (rc == HILUM_OK)
        rc = objects->names(object, &names);
    if (rc == HILUM_OK)
        rc = web_is_report(names.sop_class)
                 ? web_report(call, content_type)
                 : uri_draw(call, content_type, object, web_is_state(names.sop_class), &tag);
    objects->close(object);
    return rc;
}
