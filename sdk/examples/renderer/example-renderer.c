/* example-renderer: one slice of a series as an 8-bit grey picture of its own size, windowed, without a file
 * format around it. It knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "hilum/host.h"
#include "hilum/renderer.h"

/* A series being looked at; one scene is never in two calls. */
struct scene {
    const struct hilum_source *source;
};

static hilum_rc open_scene(void *instance, const struct hilum_source *source, void **out)
{
    (void)instance;
    struct scene *scene = source->n_slices ? calloc(1, sizeof *scene) : NULL;
    if (!scene)
        return source->n_slices ? HILUM_ENOMEM : HILUM_EUNSUP;
    scene->source = source;
    *out = scene;
    return HILUM_OK;
}

static void close_scene(void *instance, void *scene)
{
    (void)instance;
    free(scene);
}

/* PS3.3 C.11.2.1.2, the linear function, for stored values times slope plus intercept. */
static unsigned char shade(double value, double window, double level)
{
    double y = (value - (level - 0.5)) / (window - 1.0) + 0.5;
    return (unsigned char)(y <= 0 ? 0 : y >= 1 ? 255 : y * 255.0 + 0.5);
}

static double sample(const struct hilum_frame *frame, const unsigned char *pixels, uint64_t i)
{
    uint32_t value = frame->bits_allocated == 8
                         ? pixels[i]
                         : (uint32_t)pixels[2 * i] | (uint32_t)pixels[2 * i + 1] << 8;
    uint32_t sign = 1u << (frame->bits_stored - 1);
    value &= sign | (sign - 1);
    if (frame->sample_type == HILUM_SAMPLE_SIGNED && value & sign)
        return (double)value - 2.0 * sign;
    return value;
}

static void draw(const struct hilum_slice *slice, const struct hilum_view *view,
                 unsigned char *pixels, uint64_t n)
{
    double window = view->window > 1 ? view->window : slice->window;
    double level = view->window > 1 ? view->level : slice->level;
    if (window <= 1)
        window = 4096, level = 1024;
    for (uint64_t i = 0; i < n; i++) /* in place: a picture's byte never lies past its sample */
        pixels[i] =
            shade(sample(slice->frame, pixels, i) * slice->slope + slice->intercept, window, level);
}

static hilum_rc render(void *instance, void *opened, const struct hilum_view *view,
                       struct hilum_sink *out, struct hilum_rendered *done)
{
    const struct hilum_source *source = ((struct scene *)opened)->source;
    struct hilum_slice slice = {.size = sizeof slice};
    (void)instance;
    hilum_rc rc = source->describe(source->ctx, view->slice, &slice);
    if (rc != HILUM_OK)
        return rc;
    const struct hilum_frame *frame = slice.frame;
    if (frame->samples != 1 || (frame->bits_allocated != 8 && frame->bits_allocated != 16) ||
        frame->bits_stored < 1 || frame->bits_stored > frame->bits_allocated)
        return HILUM_EUNSUP;
    uint64_t bytes = hilum_frame_bytes(frame), n = (uint64_t)frame->columns * frame->rows;
    unsigned char *pixels = malloc((size_t)bytes);
    if (!pixels)
        return HILUM_ENOMEM;
    rc = source->read(source->ctx, view->slice, pixels, bytes);
    if (rc == HILUM_OK) {
        draw(&slice, view, pixels, n);
        rc = out->write(out->ctx, pixels, n);
    }
    free(pixels);
    done->width = frame->columns;
    done->height = frame->rows;
    done->pixel_spacing[0] = slice.spacing[0];
    done->pixel_spacing[1] = slice.spacing[1];
    return rc;
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_renderer table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_RENDERER,
                .threads = HILUM_PARALLEL,
                .name = "example-renderer"},
        .modes = "flat",
        .media_types = "application/octet-stream",
        .open = open_scene,
        .render = render,
        .close = close_scene,
    };
    (void)conf;
    *state = NULL;
    return host->provide(self, &table.cap, NULL);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-renderer",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
