/* Calls of a renderer. Scenes live here until they are closed or the worker dies; the frames
 * they are made of stay in the server and are asked for.
 *
 * A scene outlives the call that opened it, but its source can be read during calls only: the
 * renderer's threads cannot ask. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/renderer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/worker/worker.h"

enum { TEXTS = 3 };

/* A scene and its source, whose texts are ours. */
struct worker_scene {
    struct hilum_self *self;
    struct hilum_source source;
    char *names[4];
    char *texts[TEXTS]; /* borrowed by the renderer until its next question */
    struct hilum_frame frame;
    struct hl_buf bytes; /* of the attribute asked for last */
    void *scene;
};

/* ---- the source, as the renderer sees it ---- */

/* Keeps text i until the next question of its kind. */
static const char *keep(struct worker_scene *s, unsigned i, const char *text)
{
    free(s->texts[i]);
    s->texts[i] = text ? strdup(text) : NULL;
    return s->texts[i];
}

/* A question about slice i. */
static void begin(struct worker_scene *s, enum hl_wire_ask what, uint32_t i)
{
    worker_ask(s->self, what);
    hl_wire_put_u32(&s->self->ask, i);
}

/* hilum_source.describe. The pointers in the slice that was sent are the server's: each is
 * replaced. */
static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    struct worker_scene *s = ctx;
    struct hl_wire *wire = &s->self->ask;
    struct hilum_slice slice;
    begin(s, HL_ASK_SLICE, i);
    hilum_rc rc = worker_ask_send(s->self);
    if (rc != HILUM_OK)
        return rc;
    s->frame.size = sizeof s->frame;
    hl_wire_bytes(wire, &slice, sizeof slice);
    slice.sop_instance = keep(s, 0, hl_wire_text(wire));
    slice.unit = keep(s, 1, hl_wire_text(wire));
    hl_wire_frame(wire, &s->frame);
    slice.frame = &s->frame;
    hl_sized_give(out, &slice, sizeof slice);
    return wire->bad ? hl_fail(HILUM_EIO, "an answer that ends early") : HILUM_OK;
}

struct pixels {
    unsigned char *to;
    uint64_t left;
};

/* A sink into the renderer's own memory, `left` bytes long. */
static hilum_rc take_pixels(void *ctx, const void *bytes, uint64_t n)
{
    struct pixels *p = ctx;
    if (n > p->left)
        return hl_fail(HILUM_EIO, "an answer that is too long");
    memcpy(p->to, bytes, n);
    p->to += n;
    p->left -= n;
    return HILUM_OK;
}

/* hilum_source.read. Through the socket in pieces: the shared memory holds the picture being
 * made. */
static hilum_rc read_slice(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    struct worker_scene *s = ctx;
    struct pixels pixels = {dst, n};
    struct hilum_sink sink = {.size = sizeof sink, .write = take_pixels, .ctx = &pixels};
    begin(s, HL_ASK_PIXELS, i);
    hl_wire_put_u64(&s->self->ask, n);
    return worker_pour(s->self, &sink);
}

static hilum_rc read_reduced(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n)
{
    struct worker_scene *s = ctx;
    struct pixels pixels = {dst, n};
    struct hilum_sink sink = {.size = sizeof sink, .write = take_pixels, .ctx = &pixels};
    begin(s, HL_ASK_REDUCED, i);
    hl_wire_put_u64(&s->self->ask, n);
    hl_wire_put_u32(&s->self->ask, reduce);
    return worker_pour(s->self, &sink);
}

static hilum_rc value(void *ctx, uint32_t i, const char *path, const void **bytes, uint64_t *n)
{
    struct worker_scene *s = ctx;
    struct hilum_sink sink = {.size = sizeof sink, .write = hl_buf_sink, .ctx = &s->bytes};
    hl_buf_fini(&s->bytes);
    begin(s, HL_ASK_BYTES, i);
    hl_wire_put_text(&s->self->ask, path);
    hilum_rc rc = worker_pour(s->self, &sink);
    *bytes = s->bytes.data;
    *n = s->bytes.len;
    return rc;
}

static uint64_t items(void *ctx, uint32_t i, const char *path)
{
    struct worker_scene *s = ctx;
    begin(s, HL_ASK_ITEMS, i);
    hl_wire_put_text(&s->self->ask, path);
    return worker_ask_send(s->self) == HILUM_OK ? hl_wire_u64(&s->self->ask) : 0;
}

static const char *text(void *ctx, uint32_t i, const char *path)
{
    struct worker_scene *s = ctx;
    begin(s, HL_ASK_ATTRIBUTE, i);
    hl_wire_put_text(&s->self->ask, path);
    return worker_ask_send(s->self) == HILUM_OK ? keep(s, 2, hl_wire_text(&s->self->ask)) : NULL;
}

static hilum_rc go_on(void *ctx)
{
    return worker_ask_go_on(((struct worker_scene *)ctx)->self);
}

/* ---- scenes ---- */

static void scene_free(struct worker_scene *s)
{
    for (size_t i = 0; s && i < sizeof s->names / sizeof *s->names; i++)
        free(s->names[i]);
    for (size_t i = 0; s && i < TEXTS; i++)
        free(s->texts[i]);
    if (s)
        hl_buf_fini(&s->bytes);
    free(s);
}

/* Reads what HL_OP_RENDERER_OPEN has of the source; the rest is asked for. */
static struct worker_scene *scene_new(struct hilum_self *self)
{
    struct worker_scene *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->self = self;
    uint32_t n = hl_wire_u32(&self->in);
    for (size_t i = 0; i < sizeof s->names / sizeof *s->names; i++) {
        const char *name = hl_wire_text(&self->in);
        s->names[i] = name ? strdup(name) : NULL;
    }
    s->source = (struct hilum_source){.size = sizeof s->source,
                                      .n_slices = n,
                                      .study_uid = s->names[0],
                                      .series_uid = s->names[1],
                                      .modality = s->names[2],
                                      .frame_of_reference = s->names[3],
                                      .describe = describe,
                                      .read = read_slice,
                                      .text = text,
                                      .ctx = s,
                                      .n_states = hl_wire_u32(&self->in),
                                      .bytes = value,
                                      .items = items,
                                      .read_reduced = read_reduced,
                                      .go_on = go_on};
    return s;
}

/* The scene's number goes to the server. WORKER_MAX_SCENES bounds what a worker holds. */
static hilum_rc open_scene(const struct hilum_renderer *r, void *instance, struct hilum_self *self)
{
    uint32_t i = 0;
    while (i < WORKER_MAX_SCENES && self->scenes[i])
        i++;
    if (i == WORKER_MAX_SCENES)
        return hl_fail(HILUM_EFULL, "more than %d scenes in one worker", WORKER_MAX_SCENES);
    struct worker_scene *s = scene_new(self);
    if (!s)
        return hl_fail(HILUM_ENOMEM, "no memory for a scene");
    hilum_rc rc = self->in.bad ? hl_fail(HILUM_EINVAL, "a call that cannot be read")
                               : r->open(instance, &s->source, &s->scene);
    if (rc != HILUM_OK) {
        scene_free(s);
        return rc;
    }
    self->scenes[i] = s;
    hl_wire_put_u32(&self->out, i);
    return HILUM_OK;
}

/* NULL: a number that is not of an open scene. */
static struct worker_scene *scene_of(struct hilum_self *self, uint32_t *i)
{
    *i = hl_wire_u32(&self->in);
    return *i < WORKER_MAX_SCENES ? self->scenes[*i] : NULL;
}

/* ---- pictures and figures ---- */

/* Texts of the view are sent behind it: pointers of the server mean nothing here. */
static hilum_rc render(const struct hilum_renderer *r, void *instance, struct hilum_self *self,
                       void *scene)
{
    struct hilum_view view;
    struct hilum_rendered done = {.size = sizeof done};
    hl_wire_bytes(&self->in, &view, sizeof view);
    view.mode = hl_wire_text(&self->in);
    view.media_type = hl_wire_text(&self->in);
    view.parameters = hl_wire_text(&self->in);
    uint64_t size = hl_wire_u64(&self->in);
    struct worker_target target = {worker_memory(self, 0, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    if (self->in.bad || !target.bytes)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    hilum_rc rc = r->render(instance, scene, &view, &sink, &done);
    hl_wire_put_u64(&self->out, target.n);
    hl_wire_put_bytes(&self->out, &done, sizeof done);
    return rc;
}

/* The answer lies in the shared memory like a picture: figures of a histogram may be longer
 * than a message. */
static hilum_rc query(const struct hilum_renderer *r, void *instance, struct hilum_self *self,
                      void *scene)
{
    const char *request = hl_wire_text(&self->in);
    uint64_t size = hl_wire_u64(&self->in);
    struct worker_target target = {worker_memory(self, 0, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    if (self->in.bad || !target.bytes || !r->query)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    hilum_rc rc = r->query(instance, scene, request, &sink);
    hl_wire_put_u64(&self->out, target.n);
    return rc;
}

hilum_rc worker_renderer(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_renderer *r = (const struct hilum_renderer *)(const void *)cap->cap;
    uint32_t i;
    if (op == HL_OP_RENDERER_OPEN)
        return open_scene(r, cap->instance, self);
    struct worker_scene *s = scene_of(self, &i);
    if (!s)
        return hl_fail(HILUM_EINVAL, "a scene that is not open");
    switch (op) {
    case HL_OP_RENDERER_RENDER: return render(r, cap->instance, self, s->scene);
    case HL_OP_RENDERER_QUERY: return query(r, cap->instance, self, s->scene);
    case HL_OP_RENDERER_CLOSE:
        r->close(cap->instance, s->scene);
        scene_free(s);
        self->scenes[i] = NULL;
        return HILUM_OK;
    default: return hl_fail(HILUM_EUNSUP, "operation %u is none of a renderer", op);
    }
}
