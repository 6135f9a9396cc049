/* The proxy of a renderer. A scene lives in the worker that opened it; if that one dies the scene is opened again where it
 * was, by the next call. Frames stay here until they are asked for. SPDX-License-Identifier: Apache-2.0 */
#include "hilum/renderer.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/plugin/remote/remote.h"

enum { MAX_FRAME = 1024 * 1024 * 1024 };

struct remote_renderer {
    struct hilum_renderer table;
    struct hl_remote *remote;
    uint32_t index;
};

struct remote_scene {
    const struct hilum_source *source; /* lent until close */
    struct hl_place place;             /* where it is open */
    uint32_t number;                   /* there */
    unsigned char *pixels;             /* of the frame asked for last */
    uint64_t n_pixels;
};

/* ---- what a worker asks ---- */

static hilum_rc ask_slice(const struct hilum_source *source, uint32_t i, struct hl_wire *answer)
{
    struct hilum_slice slice = {.size = sizeof slice};
    hilum_rc rc = source->describe(source->ctx, i, &slice);
    if (rc != HILUM_OK)
        return rc;
    const char *sop_instance = slice.sop_instance, *unit = slice.unit;
    const struct hilum_frame *frame = slice.frame;
    slice.sop_instance = slice.unit = NULL;
    slice.frame = NULL;
    hl_wire_put_bytes(answer, &slice, sizeof slice);
    hl_wire_put_text(answer, sop_instance);
    hl_wire_put_text(answer, unit);
    hl_wire_put_frame(answer, frame);
    return HILUM_OK;
}

/* Room for n bytes that the worker then fetches in pieces. */
static hilum_rc reserve(struct remote_scene *scene, uint64_t n)
{
    if (!n || n > MAX_FRAME)
        return hl_fail(HILUM_EINVAL, "a frame of %llu bytes", (unsigned long long)n);
    if (n != scene->n_pixels) {
        free(scene->pixels);
        scene->pixels = malloc((size_t)n);
        scene->n_pixels = scene->pixels ? n : 0;
    }
    return scene->pixels ? HILUM_OK : hl_fail(HILUM_ENOMEM, "no memory for a frame");
}

/* `n` is the worker's word: memory is taken for what the source has, not for what is asked. */
static hilum_rc check_size(const struct hilum_source *source, uint32_t i, uint64_t n,
                           bool is_reduced)
{
    struct hilum_slice slice = {.size = sizeof slice};
    hilum_rc rc = source->describe(source->ctx, i, &slice);
    uint64_t whole = rc == HILUM_OK ? hilum_frame_bytes(slice.frame) : 0;
    if (rc == HILUM_OK && (is_reduced ? n > whole : n != whole))
        rc = hl_fail(HILUM_EINVAL, "a frame of %llu bytes", (unsigned long long)n);
    return rc;
}

static hilum_rc ask_pixels(struct remote_scene *scene, uint32_t i, struct hl_wire *question,
                           bool is_reduced, struct hl_wire *answer)
{
    const struct hilum_source *source = scene->source;
    uint64_t n = hl_wire_u64(question);
    uint32_t reduce = is_reduced ? hl_wire_u32(question) : 0;
    hilum_rc rc = check_size(source, i, n, is_reduced);
    if (rc == HILUM_OK)
        rc = reserve(scene, n);
    if (rc != HILUM_OK)
        return rc;
    hl_wire_put_u64(answer, n);
    if (is_reduced)
        return source->read_reduced(source->ctx, i, reduce, scene->pixels, n);
    return source->read(source->ctx, i, scene->pixels, n);
}

static hilum_rc ask_bytes(struct remote_scene *scene, uint32_t i, const char *path,
                          struct hl_wire *answer)
{
    const void *bytes = NULL;
    uint64_t n = 0;
    hilum_rc rc = scene->source->bytes(scene->source->ctx, i, path, &bytes, &n);
    if (rc == HILUM_OK)
        rc = reserve(scene, n);
    if (rc != HILUM_OK)
        return rc;
    memcpy(scene->pixels, bytes, (size_t)n);
    hl_wire_put_u64(answer, n);
    return HILUM_OK;
}

static hilum_rc ask_more(const struct remote_scene *scene, uint64_t at, struct hl_wire *answer)
{
    uint64_t left = at < scene->n_pixels ? scene->n_pixels - at : 0;
    if (!left)
        return hl_fail(HILUM_EINVAL, "nothing is there to be asked for");
    hl_wire_put_bytes(answer, scene->pixels + at, left < HL_WIRE_CHUNK ? left : HL_WIRE_CHUNK);
    return HILUM_OK;
}

/* Questions for an attribute, of a slice or a presentation state. */
static hilum_rc ask_attribute(struct remote_scene *scene, uint32_t what, uint32_t i,
                              struct hl_wire *question, struct hl_wire *answer)
{
    const struct hilum_source *source = scene->source;
    const char *path = hl_wire_text(question);
    bool is_new = HILUM_HAS(struct hilum_source, source->size, items) && source->items;
    if (!path || i >= source->n_slices + (uint64_t)(is_new ? source->n_states : 0))
        return hl_fail(HILUM_EINVAL, "a series is not asked for that");
    if (what == HL_ASK_ATTRIBUTE)
        hl_wire_put_text(answer, source->text(source->ctx, i, path));
    else if (!is_new)
        return hl_fail(HILUM_EUNSUP, "this series does not tell that");
    else if (what == HL_ASK_BYTES)
        return ask_bytes(scene, i, path, answer);
    else
        hl_wire_put_u64(answer, source->items(source->ctx, i, path));
    return HILUM_OK;
}

static hilum_rc ask(void *arg, uint32_t what, struct hl_wire *question, struct hl_wire *answer)
{
    struct remote_scene *scene = arg;
    const struct hilum_source *source = scene->source;
    if (what == HL_ASK_MORE)
        return ask_more(scene, hl_wire_u64(question), answer);
    if (what == HL_ASK_GO_ON)
        return HILUM_HAS(struct hilum_source, source->size, go_on) && source->go_on
                   ? source->go_on(source->ctx)
                   : HILUM_OK;
    uint32_t i = hl_wire_u32(question);
    if (what == HL_ASK_ATTRIBUTE || what == HL_ASK_BYTES || what == HL_ASK_ITEMS)
        return ask_attribute(scene, what, i, question, answer);
    if (i >= source->n_slices)
        return hl_fail(HILUM_EINVAL, "slice %u of %u", i, source->n_slices);
    if (what == HL_ASK_SLICE)
        return ask_slice(source, i, answer);
    if (what == HL_ASK_PIXELS)
        return ask_pixels(scene, i, question, false, answer);
    if (what == HL_ASK_REDUCED && HILUM_HAS(struct hilum_source, source->size, read_reduced) &&
        source->read_reduced)
        return ask_pixels(scene, i, question, true, answer);
    return hl_fail(HILUM_EINVAL, "a series is not asked for that");
}

/* ---- scenes ---- */

/* In a worker that has been taken: the message of the call itself begins after it. */
static bool open_there(struct remote_scene *scene, struct hl_process *process, hilum_rc *rc)
{
    struct hl_wire *wire = hl_process_wire(process);
    const struct hilum_source *source = scene->source;
    hl_wire_put_u32(wire, source->n_slices);
    hl_wire_put_text(wire, source->study_uid);
    hl_wire_put_text(wire, source->series_uid);
    hl_wire_put_text(wire, source->modality);
    hl_wire_put_text(wire, source->frame_of_reference);
    hl_wire_put_u32(wire,
                    HILUM_HAS(struct hilum_source, source->size, items) ? source->n_states : 0);
    hl_remote_answers(process, ask, scene);
    if (!hl_remote_run(process, rc) || *rc != HILUM_OK)
        return false;
    scene->number = hl_wire_u32(wire);
    scene->place = hl_process_place(process);
    if (wire->bad)
        *rc = hl_remote_nonsense(process, "no scene");
    return *rc == HILUM_OK;
}

static hilum_rc open_scene(void *self, const struct hilum_source *source, void **out)
{
    const struct remote_renderer *r = self;
    struct remote_scene *scene = calloc(1, sizeof *scene);
    hilum_rc rc = HILUM_OK;
    *out = NULL;
    if (!scene)
        return hl_fail(HILUM_ENOMEM, "no memory for a scene");
    scene->source = source;
    struct hl_process *process =
        hl_remote_begin(r->remote, HL_OP_RENDERER_OPEN, r->index, HL_WIRE_DOCUMENT, &rc);
    bool is_open = process && open_there(scene, process, &rc);
    if (process)
        hl_remote_end(process);
    if (!is_open) {
        free(scene->pixels);
        free(scene);
        return rc;
    }
    *out = scene;
    return HILUM_OK;
}

/* Takes the scene's worker and begins a call of the scene; opens it again where that worker is a new one. */
static struct hl_process *begin(const struct remote_renderer *r, struct remote_scene *scene,
                                enum hl_wire_op op, hilum_rc *rc)
{
    struct hl_process *process = hl_remote_begin_at(r->remote, &scene->place, HL_OP_RENDERER_OPEN,
                                                    r->index, HL_WIRE_DOCUMENT, rc);
    if (!process)
        return NULL;
    if (hl_process_place(process).birth != scene->place.birth && !open_there(scene, process, rc)) {
        hl_remote_end(process);
        return NULL;
    }
    hl_remote_again(process, op, r->index);
    hl_wire_put_u32(hl_process_wire(process), scene->number);
    hl_remote_answers(process, ask, scene);
    return process;
}

static hilum_rc take(struct hl_process *process, uint64_t n, struct hilum_sink *out)
{
    if (hl_process_wire(process)->bad || n > HL_WIRE_DOCUMENT)
        return hl_remote_nonsense(process, "a picture longer than its memory");
    return out->write(out->ctx, hl_process_memory(process), n);
}

static hilum_rc render(void *self, void *scene, const struct hilum_view *view,
                       struct hilum_sink *out, struct hilum_rendered *done)
{
    struct hilum_view local;
    struct hilum_rendered said;
    hilum_rc rc = HILUM_OK;
    struct hl_process *process = begin(self, scene, HL_OP_RENDERER_RENDER, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    hl_sized_copy(&local, sizeof local, view, view->size);
    const char *texts[] = {local.mode, local.media_type, local.parameters};
    local.mode = local.media_type = local.parameters = NULL;
    hl_wire_put_bytes(wire, &local, sizeof local);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hl_wire_put_text(wire, texts[i]);
    hl_wire_put_u64(wire, HL_WIRE_DOCUMENT);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        uint64_t n = hl_wire_u64(wire);
        hl_wire_bytes(wire, &said, sizeof said);
        rc = take(process, n, out);
        if (rc == HILUM_OK)
            hl_sized_give(done, &said, sizeof said);
    }
    hl_remote_end(process);
    return rc;
}

static hilum_rc query(void *self, void *scene, const char *request_json, struct hilum_sink *out)
{
    hilum_rc rc = HILUM_OK;
    struct hl_process *process = begin(self, scene, HL_OP_RENDERER_QUERY, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_put_text(wire, request_json);
    hl_wire_put_u64(wire, HL_WIRE_DOCUMENT);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK)
        rc = take(process, hl_wire_u64(wire), out);
    hl_remote_end(process);
    return rc;
}

/* Where its worker has died there is nothing to close. */
static void close_scene(void *self, void *arg)
{
    const struct remote_renderer *r = self;
    struct remote_scene *scene = arg;
    hilum_rc rc;
    struct hl_process *process = hl_remote_begin_at(r->remote, &scene->place, HL_OP_RENDERER_CLOSE,
                                                    r->index, HL_WIRE_DOCUMENT, &rc);
    if (process && hl_process_place(process).birth == scene->place.birth) {
        hl_wire_put_u32(hl_process_wire(process), scene->number);
        hl_remote_answers(process, ask, scene);
        hl_remote_run(process, &rc);
    }
    if (process)
        hl_remote_end(process);
    free(scene->pixels);
    free(scene);
}

/* ---- the table ---- */

hilum_rc hl_remote_renderer(struct hl_remote *remote, uint32_t index, const char *name,
                            struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_renderer *r = hl_arena_alloc(arena, sizeof *r);
    bool is_whole = hl_wire_u32(wire) != 0, queries = hl_wire_u32(wire) != 0;
    if (!r)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    r->remote = remote;
    r->index = index;
    r->table.cap = (struct hilum_cap){.size = sizeof r->table,
                                      .kind = HILUM_CAP_RENDERER,
                                      .threads = HILUM_PARALLEL,
                                      .name = hl_arena_strdup(arena, name ? name : "")};
    r->table.modes = hl_remote_copy(remote, wire);
    r->table.media_types = hl_remote_copy(remote, wire);
    r->table.parameters_schema = hl_remote_copy(remote, wire);
    r->table.open = is_whole ? open_scene : NULL;
    r->table.render = is_whole ? render : NULL;
    r->table.close = is_whole ? close_scene : NULL;
    r->table.query = queries ? query : NULL;
    if (wire->bad || !r->table.cap.name)
        return hl_fail(HILUM_EINVAL, "renderer %s: a table that cannot be read", name ? name : "");
    *cap = &r->table.cap;
    *instance = r;
    return HILUM_OK;
}
