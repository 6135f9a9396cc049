/* render-2d: flat pictures of frames, windowed and annotated, as JPEG, PNG, GIF or bare samples. The plugin's options, its
 * table and the order of the steps. SPDX-License-Identifier: Apache-2.0 */
#include "render.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Packages of Debian; what is not installed is passed over. */
#define FONTS                                                                                      \
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc:"                                              \
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc:"                                      \
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:"                                             \
    "/usr/share/fonts/truetype/noto/NotoSansArabic-Regular.ttf:"                                   \
    "/usr/share/fonts/truetype/noto/NotoSansHebrew-Regular.ttf:"                                   \
    "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf:"                                     \
    "/usr/share/fonts/truetype/noto/NotoSansDevanagari-Regular.ttf:"                               \
    "/usr/share/fonts/truetype/noto/NotoSansBengali-Regular.ttf:"                                  \
    "/usr/share/fonts/truetype/noto/NotoSansTamil-Regular.ttf:"                                    \
    "/usr/share/fonts/truetype/noto/NotoSansTelugu-Regular.ttf:"                                   \
    "/usr/share/fonts/truetype/lohit-devanagari/Lohit-Devanagari.ttf"

static const struct hilum_option options[] = {
    {"fonts", HILUM_OPT_STR, offsetof(struct render_conf, fonts), FONTS, NULL,
     "Fonts to write with, joined by ':'; the first that has a character is taken."},
    {"quality", HILUM_OPT_INT, offsetof(struct render_conf, quality), "90", "1..100",
     "Quality of JPEG where a request names none."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static const char schema[] =
    "{\"type\":\"object\",\"properties\":{"
    "\"region\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":4,\"maxItems\":4},"
    "\"voi\":{\"enum\":[\"linear\",\"linear-exact\",\"sigmoid\"]},"
    "\"window_index\":{\"type\":\"integer\",\"minimum\":0},"
    "\"suv\":{\"type\":\"boolean\"},\"invert\":{\"type\":\"boolean\"},"
    "\"overlays\":{\"type\":\"boolean\",\"default\":true},\"scale_bar\":{\"type\":\"boolean\"},"
    "\"mask\":{\"type\":\"boolean\"},"
    "\"annotation\":{\"type\":\"array\",\"items\":{\"enum\":[\"patient\",\"technique\"]}},"
    "\"depth\":{\"enum\":[8,16],\"default\":8},"
    "\"icc\":{\"enum\":[\"no\",\"yes\",\"srgb\",\"adobergb\",\"rommrgb\",\"displayp3\"]},"
    "\"operators\":{\"type\":\"array\",\"maxItems\":8,\"items\":{\"type\":\"object\","
    "\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\"},"
    "\"mask\":{\"type\":\"integer\",\"minimum\":0},\"parameters\":{\"type\":\"object\"}}}}}}";

hilum_rc render_fail(const struct render *render, hilum_rc code, const char *format, ...)
{
    char why[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return render->host->fail(render->self, code, why);
}

/* ---- samples ---- */

/* How often the frame can be halved and still have more pixels than are drawn. Marks in its
 * bits want the whole. Codecs of wavelets and DCT give a half or a quarter for a fraction of
 * the work. */
static uint32_t reduce_of(const struct scene *scene, const struct request *request,
                          const struct hilum_slice *slice, const struct layout *layout)
{
    uint32_t reduce = 0;
    double across = layout->width / layout->region[2], down = layout->height / layout->region[3];
    double scale = across > down ? across : down;
    if (!HILUM_HAS(struct hilum_source, scene->source->size, read_reduced) ||
        scene->source->read_reduced == NULL ||
        !HILUM_HAS(struct hilum_slice, slice->size, levels) || request->n_operators > 0)
        return 0;
    while (reduce < slice->levels && reduce < 10 && scale * (1 << (reduce + 1)) <= 1)
        reduce++;
    bool needs_all =
        reduce > 0 && request->has_overlays && overlay_is_embedded(scene, request->slice);
    return needs_all ? 0 : reduce;
}

static uint32_t reduced(uint32_t side, uint32_t reduce)
{
    return (uint32_t)(((uint64_t)side + (1u << reduce) - 1) >> reduce);
}

/* Bits below the stored ones, where High Bit says so (PS3.5 8.1.1). Only where Bits Stored is
 * as the frame says: decoded frames have their bits at the bottom already. */
static uint32_t shift_of(const struct scene *scene, uint32_t slice, const struct hilum_frame *frame)
{
    double high = attribute_number(scene, slice, "HighBit", frame->bits_stored - 1.0);
    double stored = attribute_number(scene, slice, "BitsStored", frame->bits_stored);
    if (high < frame->bits_stored || high >= frame->bits_allocated || stored != frame->bits_stored)
        return 0;
    return (uint32_t)(high + 1 - frame->bits_stored);
}

void samples_fini(struct samples *samples)
{
    free(samples->own);
    samples->pixels = NULL;
    samples->own = NULL;
}

void samples_replace(struct samples *samples, void *pixels, uint64_t n)
{
    free(samples->own);
    samples->pixels = samples->own = pixels;
    samples->n = n;
}

/* Words only where words may lie: operators and loops of ours read them as such. */
static bool is_lent(const struct scene *scene, uint32_t i, struct samples *out)
{
    const struct hilum_source *source = scene->source;
    const void *pixels = NULL;
    if (!HILUM_HAS(struct hilum_source, source->size, lend) || source->lend == NULL ||
        out->frame.bits_allocated > 16 ||
        source->lend(source->ctx, i, &pixels, out->n) != HILUM_OK || (uintptr_t)pixels % 2 != 0)
        return false;
    out->pixels = pixels;
    return true;
}

/* 2 GiB, as codecs have it. */
hilum_rc samples_read(const struct scene *scene, uint32_t i, const struct hilum_slice *slice,
                      uint32_t reduce, struct samples *out)
{
    const struct hilum_source *source = scene->source;
    *out = (struct samples){.frame = *slice->frame, .reduce = reduce};
    out->frame.columns = reduced(out->frame.columns, reduce);
    out->frame.rows = reduced(out->frame.rows, reduce);
    out->shift = shift_of(scene, i, &out->frame);
    out->n = hilum_frame_bytes(&out->frame);
    if (out->n == 0 || out->n > (uint64_t)1 << 31)
        return render_fail(scene->render, HILUM_EUNSUP, "a frame of %llu bytes",
                           (unsigned long long)out->n);
    if (reduce == 0 && is_lent(scene, i, out))
        return HILUM_OK;
    samples_replace(out, malloc((size_t)out->n), out->n);
    if (out->own == NULL)
        return render_fail(scene->render, HILUM_ENOMEM, "no memory for a frame");
    return reduce > 0 ? source->read_reduced(source->ctx, i, reduce, out->own, out->n)
                      : source->read(source->ctx, i, out->own, out->n);
}

/* ---- the steps ---- */

/* Which of the four ways: colours, a palette, shades in the colours of a state, shades. */
static hilum_rc frame_picture(const struct scene *scene, const struct request *request,
                              const struct hilum_slice *slice, const struct samples *samples,
                              struct picture *out)
{
    if (samples->frame.samples >= 3)
        return colour_picture(scene, samples, out);
    if (samples->frame.samples != 1)
        return render_fail(scene->render, HILUM_EUNSUP, "%u samples a pixel",
                           samples->frame.samples);
    if (samples->frame.photometric == HILUM_PHOTO_PALETTE)
        return palette_picture(scene, request->slice, samples, out);
    uint32_t state;
    if (request->state_item[0] == '\0' && scene_state(scene, &state) &&
        palette_is_there(scene, state, "")) {
        struct request deep = *request;
        deep.depth = 16;
        hilum_rc rc = grey_picture(scene, &deep, slice, samples, out);
        return rc == HILUM_OK ? palette_shades(scene, state, "", out) : rc;
    }
    hilum_rc rc = grey_picture(scene, request, slice, samples, out);
    return rc == HILUM_OK ? palette_supplement(scene, request->slice, samples, out) : rc;
}

/* Pixels as the modality stored them, shaded, without anything laid over: for blending, which
 * lays marks once, at the end. */
hilum_rc slice_picture(const struct scene *scene, const struct request *request,
                       struct samples *samples, struct picture *out)
{
    struct hilum_slice slice;
    struct samples own = {.pixels = NULL};
    hilum_rc rc = scene_describe(scene, request->slice, &slice);
    if (rc == HILUM_OK)
        rc = samples_read(scene, request->slice, &slice, 0, &own);
    if (rc == HILUM_OK)
        rc = frame_picture(scene, request, &slice, &own, out);
    if (samples != NULL)
        *samples = own;
    else
        samples_fini(&own);
    return rc;
}

/* In pixels of the image, before it is turned and scaled: overlays are as it was stored. A
 * state's own lie over the image's. */
static void overlays(const struct scene *scene, const struct request *request,
                     const struct samples *samples, struct picture *picture)
{
    uint32_t state;
    bool has_state = scene_state(scene, &state);
    if (request->has_overlays) {
        overlay_draw(scene, request->slice, request->slice, samples, picture);
        if (has_state)
            overlay_draw(scene, state, 0, samples, picture);
    }
    overlay_shutter(scene, has_state ? state : request->slice, request, samples, picture);
}

/* What lies below another picture is drawn whole, by its own item of the state. The under
 * image takes 8 bits, as colours are mixed. */
static void below(const struct blend *blend, struct request *request)
{
    memcpy(request->state_item, blend->under_item, sizeof request->state_item);
    request->depth = 8;
}

/* The samples that the picture is of: the frame's, or what is left of them when its mask is
 * subtracted. A codec may refuse to reduce this stream: then the whole frame is read. */
static hilum_rc frame_samples(const struct scene *scene, struct request *request, uint32_t reduce,
                              const struct display *display, struct samples *out)
{
    struct mask mask;
    struct hilum_slice slice;
    *out = (struct samples){.pixels = NULL};
    hilum_rc found = mask_find(scene, request, display, &mask);
    if (found != HILUM_OK && found != HILUM_ENOTFOUND)
        return found;
    request->is_masked = found == HILUM_OK;
    hilum_rc rc = scene_describe(scene, request->slice, &slice); /* others may have been since */
    if (rc == HILUM_OK)
        rc = samples_read(scene, request->slice, &slice, request->is_masked ? 0 : reduce, out);
    if (rc == HILUM_EUNSUP && reduce > 0) {
        samples_fini(out);
        rc = samples_read(scene, request->slice, &slice, 0, out);
    }
    if (rc == HILUM_OK && request->is_masked)
        rc = subtract_mask(scene, &mask, out);
    return rc == HILUM_OK ? operators_samples(scene, request, out) : rc;
}

/* The frame as a picture of its own size, with what belongs to its pixels. */
static hilum_rc draw_frame(const struct scene *scene, const struct request *wanted,
                           const struct layout *layout, const struct blend *blend,
                           struct picture *out)
{
    struct samples samples = {.pixels = NULL};
    struct request own = *wanted;
    struct hilum_slice slice;
    struct display display;
    const struct request *request = &own;
    hilum_rc rc = scene_describe(scene, request->slice, &slice);
    if (rc != HILUM_OK)
        return rc;
    display_read(scene, request->slice, &slice, &display);
    if (blend != NULL)
        below(blend, &own);
    uint32_t reduce =
        blend != NULL || display.filter > 0 ? 0 : reduce_of(scene, request, &slice, layout);
    rc = frame_samples(scene, &own, reduce, &display, &samples);
    if (rc == HILUM_OK) /* again: another slice may have been looked at */
        rc = scene_describe(scene, request->slice, &slice);
    if (rc == HILUM_OK)
        rc = frame_picture(scene, request, &slice, &samples, out);
    if (rc == HILUM_OK && blend != NULL)
        rc = blend_apply(scene, request, blend, out);
    if (rc == HILUM_OK)
        rc = icc_apply(scene, request, out);
    if (rc == HILUM_OK && display.filter > 0)
        rc = operators_enhance(scene, display.filter, out);
    if (rc == HILUM_OK)
        rc = operators_picture(scene, request, out);
    if (rc == HILUM_OK)
        overlays(scene, request, &samples, out);
    samples_fini(&samples);
    return rc;
}

/* The same where a state makes it of several. Planes of the image are seen if the state says so. */
static hilum_rc draw_composed(const struct scene *scene, const struct request *request,
                              struct picture *out)
{
    const struct samples none = {.pixels = NULL};
    hilum_rc rc = compose_picture(scene, request, out);
    if (rc == HILUM_OK)
        rc = icc_apply(scene, request, out);
    if (rc == HILUM_OK)
        rc = operators_picture(scene, request, out);
    if (rc == HILUM_OK)
        overlays(scene, request, &none, out);
    return rc;
}

/* What the frame's picture is made of. */
static hilum_rc draw_whole(const struct scene *scene, const struct request *request,
                           const struct layout *layout, struct picture *out)
{
    struct blend blend;
    hilum_rc rc = compose_check(scene, request->slice);
    if (rc == HILUM_OK)
        return draw_composed(scene, request, out);
    if (rc == HILUM_ENOTFOUND)
        rc = blend_find(scene, request->slice, &blend);
    if (rc == HILUM_OK)
        return draw_frame(scene, request, layout, &blend, out);
    return rc == HILUM_ENOTFOUND ? draw_frame(scene, request, layout, NULL, out) : rc;
}

static hilum_rc fit_picture(const struct scene *scene, const struct layout *layout,
                            struct picture *from, struct picture *out)
{
    double turned = layout->turns % 2 == 1 ? layout->rows : layout->columns;
    double region[4], factor;
    hilum_rc rc = picture_turn(scene->render, from, layout->turns, layout->is_flipped);
    factor = from->width / turned; /* where the frame was read reduced */
    for (int i = 0; i < 4; i++)
        region[i] = layout->region[i] * factor;
    if (factor != 1) { /* a side that was rounded up holds less than it seems */
        double height = layout->turns % 2 == 1 ? layout->columns : layout->rows;
        region[1] = layout->region[1] * from->height / height;
        region[3] = layout->region[3] * from->height / height;
    }
    if (rc == HILUM_OK && picture_is_all(from, region, layout->width, layout->height)) {
        *out = *from;
        from->pixels = NULL;
    } else if (rc == HILUM_OK) {
        rc = picture_scale(scene, from, region, layout->width, layout->height, out);
    }
    if (rc == HILUM_OK && (layout->is_mirrored_x || layout->is_mirrored_y))
        rc = picture_turn(scene->render, out, layout->is_mirrored_y ? 2 : 0,
                          layout->is_mirrored_x != layout->is_mirrored_y);
    return rc;
}

/* Over the scaled picture, in its pixels: lines and letters stay sharp. The shutter first, so
 * that it hides nothing of what is drawn about the image; who it is last. */
static hilum_rc marks(const struct scene *scene, const struct request *request,
                      const struct hilum_slice *slice, const struct layout *layout,
                      struct picture *picture)
{
    uint32_t state;
    bool has_state = scene_state(scene, &state);
    hilum_rc rc = shutter_draw(scene, has_state ? state : request->slice, slice, layout, picture);
    if (rc == HILUM_OK)
        rc = state_draw(scene, slice, layout, picture);
    if (rc == HILUM_OK)
        rc = legend_draw(scene, request, layout, picture);
    return rc;
}

/* JPEG is what nobody asking means: smallest, and every client has it. */
static hilum_rc encode(const struct scene *scene, const struct request *request,
                       const struct labels *labels, const char *media_type,
                       const struct picture *picture, struct hilum_sink *out)
{
    if (media_type == NULL || *media_type == '\0' || strcmp(media_type, "image/jpeg") == 0)
        return encode_jpeg(scene, picture, request->quality, labels, out);
    if (strcmp(media_type, "image/png") == 0)
        return encode_png(scene, picture, labels, out);
    if (strcmp(media_type, "image/gif") == 0)
        return encode_gif(scene->render, picture, out);
    if (strcmp(media_type, "application/octet-stream") == 0)
        return encode_raw(scene->render, picture, out);
    return render_fail(scene->render, HILUM_EUNSUP, "pictures are not written as %s", media_type);
}

/* The slice is described anew after another one was looked at: a source's texts are lent until
 * the next question. */
static hilum_rc draw(const struct scene *scene, const struct request *request,
                     const char *media_type, struct hilum_sink *out, struct hilum_rendered *done)
{
    struct hilum_slice slice = {.size = sizeof slice};
    struct picture frame = {.pixels = NULL}, picture = {.pixels = NULL};
    struct labels labels = {.profile = NULL};
    struct layout layout;
    hilum_rc rc = scene_describe(scene, request->slice, &slice);
    if (rc == HILUM_OK)
        rc = layout_make(scene, request, &slice, &layout);
    if (rc == HILUM_OK)
        rc = draw_whole(scene, request, &layout, &frame);
    if (rc == HILUM_OK)
        rc = scene_go_on(scene);
    if (rc == HILUM_OK)
        rc = fit_picture(scene, &layout, &frame, &picture);
    picture_fini(&frame);
    if (rc == HILUM_OK) /* again: another slice may have been looked at */
        rc = scene_describe(scene, request->slice, &slice);
    if (rc == HILUM_OK)
        rc = marks(scene, request, &slice, &layout, &picture);
    if (rc == HILUM_OK)
        rc = icc_embedded(scene, request, &picture, &labels.profile, &labels.n_profile);
    if (rc == HILUM_OK) {
        memcpy(labels.spacing, layout.spacing, sizeof labels.spacing);
        rc = encode(scene, request, &labels, media_type, &picture, out);
    }
    if (rc == HILUM_OK) {
        done->width = layout.width;
        done->height = layout.height;
        done->pixel_spacing[0] = layout.spacing[0];
        done->pixel_spacing[1] = layout.spacing[1];
    }
    free(labels.profile);
    picture_fini(&picture);
    return rc;
}

/* ---- the table ---- */

/* Keeps a pointer to the source, which is the caller's until close. Nothing is read yet. */
static hilum_rc render_open(void *self, const struct hilum_source *source, void **out)
{
    const struct render *render = self;
    *out = NULL;
    if (source->n_slices == 0)
        return render_fail(render, HILUM_EUNSUP, "a series without frames");
    struct scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL)
        return render_fail(render, HILUM_ENOMEM, "no memory for a scene");
    scene->render = render;
    scene->source = source;
    *out = scene;
    return HILUM_OK;
}

/* Many at once on one scene: the scene is constant, everything else is on this stack. */
static hilum_rc render_render(void *self, void *opened, const struct hilum_view *view,
                              struct hilum_sink *out, struct hilum_rendered *done)
{
    const struct scene *scene = opened;
    struct request request;
    (void)self;
    hilum_rc rc = request_read(scene, view, &request);
    if (rc == HILUM_OK)
        rc = draw(scene, &request, view->media_type, out, done);
    request_fini(&request);
    return rc;
}

static void render_close(void *self, void *scene)
{
    (void)self;
    free(scene);
}

static const struct hilum_renderer table = {
    .cap = {.size = sizeof table,
            .kind = HILUM_CAP_RENDERER,
            .threads = HILUM_PARALLEL,
            .name = "2d"},
    .modes = "flat",
    .media_types = "image/jpeg,image/png,image/gif,application/octet-stream",
    .parameters_schema = schema,
    .open = render_open,
    .render = render_render,
    .close = render_close,
};

/* ---- life ---- */

static void render_fini(void *state)
{
    struct render *render = state;
    letters_free(render->letters);
    colours_free(render->colours);
    free(render);
}

static hilum_rc render_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                            void **state)
{
    struct render *render = calloc(1, sizeof *render);
    if (render == NULL)
        return host->fail(self, HILUM_ENOMEM, "render-2d: no memory");
    *render = (struct render){.host = host, .self = self, .conf = conf};
    render->letters = letters_new(render->conf->fonts != NULL ? render->conf->fonts : FONTS);
    render->colours = colours_new();
    hilum_rc rc = render->letters != NULL && render->colours != NULL
                      ? host->provide(self, &table.cap, render)
                      : host->fail(self, HILUM_ENOMEM, "render-2d: no memory");
    if (rc != HILUM_OK) {
        render_fini(render);
        return rc;
    }
    *state = render;
    return HILUM_OK;
}

static const char *const provides[] = {"renderer:2d", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct render_conf),
    .id = "render-2d",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = render_init,
    .fini = render_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
