/* The renderer fed with anybody's data sets. An input is text, "name=value" a line, an empty line, then bytes: pixels, and
 * what the values "@N" take N of. Small names are the frame's and the view's; others are attributes by the last part of
 * their path, or by more of its end where they have a dot, of frames, or with '!' of a presentation state.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/renderer.h"
#include "tests/fake_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LINES_MAX = 200, TEXT_MAX = 16384, SIDE = 200, ROOM = 1 << 20, SLICES = 3 };

struct line {
    const char *name, *value;
    bool is_state;
};

struct input {
    char text[TEXT_MAX + 1];
    struct line lines[LINES_MAX];
    size_t n_lines;
    const uint8_t *rest;
    size_t n_rest;
    struct hilum_frame frame;
};

/* ---- the input ---- */

static void read_lines(struct input *in, const uint8_t *data, size_t size)
{
    size_t n = 0;
    while (n < size && n < TEXT_MAX && !(data[n] == '\n' && n + 1 < size && data[n + 1] == '\n'))
        n++;
    memcpy(in->text, data, n);
    in->text[n] = '\0';
    in->rest = data + (n + 2 < size ? n + 2 : size);
    in->n_rest = (size_t)(data + size - in->rest);
    char *at = in->text;
    while (at && *at && in->n_lines < LINES_MAX) {
        struct line *line = &in->lines[in->n_lines];
        char *end = strchr(at, '\n');
        if (end)
            *end++ = '\0';
        line->is_state = *at == '!';
        line->name = at + line->is_state;
        char *value = strchr(at, '=');
        if (value) {
            *value = '\0';
            line->value = value + 1;
            in->n_lines++;
        }
        at = end;
    }
}

static const char *value_of(const struct input *in, const char *name, bool is_state)
{
    for (size_t k = 0; k < in->n_lines; k++)
        if (in->lines[k].is_state == is_state && strcmp(in->lines[k].name, name) == 0)
            return in->lines[k].value;
    return NULL;
}

static uint32_t number_of(const struct input *in, const char *name, uint32_t otherwise,
                          uint32_t most)
{
    const char *value = value_of(in, name, false);
    unsigned long number = value ? strtoul(value, NULL, 10) : otherwise;
    return number < most ? (uint32_t)number : most;
}

static void read_frame(struct input *in)
{
    static const uint32_t allocated[] = {8, 16, 32, 64, 1};
    struct hilum_frame *f = &in->frame;
    *f = (struct hilum_frame){.size = sizeof *f,
                              .columns = number_of(in, "columns", 8, SIDE),
                              .rows = number_of(in, "rows", 8, SIDE),
                              .samples = number_of(in, "samples", 1, 4),
                              .bits_allocated = allocated[number_of(in, "allocated", 0, 4)],
                              .sample_type = number_of(in, "type", 0, 2),
                              .is_planar = number_of(in, "planar", 0, 1),
                              .photometric = number_of(in, "photometric", 2, 10)};
    f->bits_stored = number_of(in, "stored", f->bits_allocated, f->bits_allocated);
}

/* ---- the source ---- */

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool is_state(uint32_t i)
{
    return i >= SLICES;
}

static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    const struct input *in = ctx;
    uint32_t size = out->size;
    if (is_state(i))
        return HILUM_EINVAL;
    *out = (struct hilum_slice){.size = size,
                                .frame_number = i + 1,
                                .sop_instance = i < 2 ? "1.2.3" : "1.2.4",
                                .frame = &in->frame,
                                .slope = number_of(in, "slope", 1, 100),
                                .window = number_of(in, "recorded", 0, 65535),
                                .level = 40,
                                .unit = "",
                                .levels = number_of(in, "levels", 0, 5)};
    out->has_position = number_of(in, "placed", 0, 1);
    out->orientation[0] = 1;
    out->orientation[4] = number_of(in, "askew", 100, 100) / 100.0;
    out->position[i % 3] = number_of(in, "moved", 0, 100000) / 100.0 * i;
    out->spacing[0] = number_of(in, "down", 0, 1000) / 100.0;
    out->spacing[1] = number_of(in, "across", 0, 1000) / 100.0;
    return HILUM_OK;
}

static void fill(const struct input *in, uint8_t *to, uint64_t n)
{
    for (uint64_t k = 0; k < n; k++)
        to[k] = in->n_rest ? in->rest[k % in->n_rest] : (uint8_t)k;
}

static hilum_rc read_frame_of(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    const struct input *in = ctx;
    if (is_state(i) || n != hilum_frame_bytes(&in->frame))
        abort(); /* the renderer asked for what it was not told of */
    fill(in, dst, n);
    return HILUM_OK;
}

static hilum_rc read_reduced(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n)
{
    const struct input *in = ctx;
    struct hilum_frame frame = in->frame;
    frame.columns = (frame.columns + (1u << reduce) - 1) >> reduce;
    frame.rows = (frame.rows + (1u << reduce) - 1) >> reduce;
    if (is_state(i) || reduce > 5 || n != hilum_frame_bytes(&frame))
        abort();
    fill(in, dst, n);
    return number_of(in, "unreducible", 0, 1) ? HILUM_EUNSUP : HILUM_OK;
}

/* A name of several parts before one of the last part alone. */
static const char *text(void *ctx, uint32_t i, const char *path)
{
    const struct input *in = ctx;
    size_t n = strlen(path);
    for (size_t k = 0; k < in->n_lines; k++) {
        const struct line *line = &in->lines[k];
        size_t length = strlen(line->name);
        if (line->is_state == is_state(i) && strchr(line->name, '.') && length <= n &&
            strcmp(path + n - length, line->name) == 0)
            return line->value;
    }
    return value_of(in, last_part(path), is_state(i));
}

static hilum_rc bytes(void *ctx, uint32_t i, const char *path, const void **out, uint64_t *n)
{
    const struct input *in = ctx;
    const char *value = text(ctx, i, path);
    if (!value || !*value)
        return HILUM_ENOTFOUND;
    *out = value;
    *n = strlen(value);
    if (*value == '@') {
        *out = in->rest;
        *n = strtoull(value + 1, NULL, 10);
        *n = *n < in->n_rest ? *n : in->n_rest;
    }
    return *n ? HILUM_OK : HILUM_ENOTFOUND;
}

static uint64_t items(void *ctx, uint32_t i, const char *path)
{
    const char *value = text(ctx, i, path);
    return value ? strtoul(value, NULL, 10) % 16 : 0;
}

/* ---- the picture ---- */

static hilum_rc take(void *ctx, const void *from, uint64_t n)
{
    uint64_t *sum = ctx;
    for (uint64_t k = 0; k < n; k++) /* all of it is to be there */
        *sum += ((const uint8_t *)from)[k];
    return HILUM_OK;
}

static const struct hilum_renderer *renderer_get(void **instance)
{
    static const struct hilum_renderer *renderer;
    static void *kept;
    if (!renderer) {
        hilum_self *host = fake_host_open(RENDERER_SO, "/nonexistent", NULL);
        if (!host)
            abort();
        renderer = fake_host_cap(host, HILUM_CAP_RENDERER, &kept);
    }
    *instance = kept;
    return renderer;
}

static void draw(struct input *in, const struct hilum_source *source)
{
    static const char *const types[] = {"image/jpeg", "image/png", "application/octet-stream",
                                        "image/gif"};
    void *instance, *scene = NULL;
    const struct hilum_renderer *renderer = renderer_get(&instance);
    uint64_t sum = 0;
    struct hilum_sink sink = {.size = sizeof sink, .write = take, .ctx = &sum};
    struct hilum_rendered done = {.size = sizeof done};
    const struct hilum_view view = {.size = sizeof view,
                                    .width = number_of(in, "width", 0, 300),
                                    .height = number_of(in, "height", 0, 300),
                                    .slice = number_of(in, "slice", 0, SLICES - 1),
                                    .media_type = types[number_of(in, "media", 1, 3)],
                                    .parameters = value_of(in, "parameters", false),
                                    .window = number_of(in, "window", 0, 65535),
                                    .level = number_of(in, "level", 0, 65535),
                                    .zoom = number_of(in, "zoom", 100, 1000) / 100.0,
                                    .quality = number_of(in, "quality", 0, 100)};
    if (renderer->open(instance, source, &scene) != HILUM_OK)
        return;
    (void)renderer->render(instance, scene, &view, &sink, &done);
    renderer->close(instance, scene);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct input in;
    in = (struct input){.n_lines = 0};
    read_lines(&in, data, size);
    read_frame(&in);
    const struct hilum_source source = {.size = sizeof source,
                                        .n_slices = SLICES,
                                        .study_uid = "1",
                                        .series_uid = "1.2",
                                        .modality = "OT",
                                        .frame_of_reference = "",
                                        .describe = describe,
                                        .read = read_frame_of,
                                        .text = text,
                                        .ctx = &in,
                                        .n_states = number_of(&in, "states", 0, 2),
                                        .bytes = bytes,
                                        .items = items,
                                        .read_reduced = read_reduced};
    if (hilum_frame_bytes(&in.frame) <= ROOM)
        draw(&in, &source);
    return 0;
}
