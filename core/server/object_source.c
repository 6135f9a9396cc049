/* An object's frames as renderers see them (hilum/renderer.h): where each lies in the patient, its pixels, its
 * attributes and those of a presentation state.
 *
 * A source is lent to a renderer until the object is closed or asked for another. Places and windows are read for each
 * slice, since a multi-frame object may say them frame by frame (PS3.3 C.7.6.16); those of the last one asked for are kept,
 * as a renderer asks several times for it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/objects.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/server/server.h"
#include "core/store/pixels.h"
#include "hilum/renderer.h"

enum { PATH_MAX_LENGTH = 400 };

/* `table` is what the renderer holds; its ctx leads back here. */
struct hl_object_source {
    struct hilum_source table;
    hilum_object *object, *state; /* state NULL: none */
    struct hl_dataset *data, *state_data;
    struct hilum_frame frame;
    struct hilum_slice known; /* of slice n_known - 1 */
    uint32_t n_known;         /* 0: none */
    uint32_t levels;
    bool is_streamed; /* deflated: frames have no place of their own */
    bool has_groups;  /* of frames or of all frames (PS3.3 C.7.6.16) */
    char modality[17], reference[65], unit[17];
    struct hl_buf text; /* answered last */
    uint8_t *bytes;     /* likewise, where it is no part of a data set */
};

/* ---- attributes ---- */

static struct hl_dataset *data_of(const struct hl_object_source *s, uint32_t i)
{
    if (i < s->table.n_slices)
        return s->data;
    return i == s->table.n_slices ? s->state_data : NULL;
}

static const char *text(void *ctx, uint32_t i, const char *path)
{
    struct hl_object_source *s = ctx;
    const struct hl_dataset *data = data_of(s, i);
    s->text.len = 0;
    s->text.failed = false;
    if (data == NULL || hl_dataset_get(data, path, &s->text) != HILUM_OK || s->text.failed)
        return NULL;
    return hl_buf_str(&s->text);
}

static uint64_t items(void *ctx, uint32_t i, const char *path)
{
    const struct hl_dataset *data = data_of(ctx, i);
    return data != NULL ? hl_dataset_items(data, path) : 0;
}

/* What is large at the top level is not in the data set. Overlays and lookup tables, say:
 * copied, since a renderer wants them in one piece; bounded like a data set. */
static hilum_rc large_bytes(struct hl_object_source *s, hilum_object *object, const char *path,
                            const void **bytes, uint64_t *n)
{
    struct hilum_extent extent;
    char name[9];
    uint32_t tag = strchr(path, '.') == NULL ? hl_dict_tag(path) : 0;
    if (tag == 0)
        return HILUM_ENOTFOUND;
    snprintf(name, sizeof name, "%08X", (unsigned)tag);
    hilum_rc rc = hl_object_find(object, name, &extent);
    if (rc != HILUM_OK)
        return rc;
    if (extent.length == 0 || extent.length > HL_DATASET_MAX)
        return hl_fail(HILUM_ENOTFOUND, "%s is empty or over 16 MiB", name);
    free(s->bytes);
    s->bytes = malloc((size_t)extent.length);
    if (s->bytes == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for %s", name);
    *bytes = s->bytes;
    *n = extent.length;
    return hl_object_read_all(object, extent.offset, s->bytes, (size_t)extent.length);
}

/* First among the small attributes, in any depth; then, at the top level only, in the stored
 * bytes. */
static hilum_rc bytes(void *ctx, uint32_t i, const char *path, const void **out, uint64_t *n)
{
    struct hl_object_source *s = ctx;
    const struct hl_dataset *data = data_of(s, i);
    size_t length = 0;
    *n = 0;
    if (data == NULL)
        return hl_fail(HILUM_ENOTFOUND, "no slice %u", i);
    hilum_rc rc = hl_dataset_raw(data, path, out, &length);
    *n = length;
    if (rc == HILUM_ENOTFOUND)
        rc = large_bytes(s, i < s->table.n_slices ? s->object : s->state, path, out, n);
    return rc;
}

/* ---- where a frame lies ---- */

/* An attribute of a functional group (PS3.3 C.7.6.16): of the frame, of all frames, or at the
 * top level. In this order, because a frame's own value overrules the shared one, and an
 * object that is not enhanced has neither sequence and says it at the top. */
static const char *grouped(struct hl_object_source *s, uint32_t i, const char *group,
                           const char *name)
{
    char path[PATH_MAX_LENGTH];
    if (!s->has_groups)
        return text(s, i, name);
    snprintf(path, sizeof path, "PerFrameFunctionalGroupsSequence[%u].%s[0].%s", i, group, name);
    const char *value = text(s, i, path);
    if (value != NULL && *value != '\0')
        return value;
    snprintf(path, sizeof path, "SharedFunctionalGroupsSequence[0].%s[0].%s", group, name);
    value = text(s, i, path);
    return value != NULL && *value != '\0' ? value : text(s, i, name);
}

/* Up to max numbers joined by backslash. Returns how many. DS values (PS3.5 6.2). What is no
 * finite number ends the list: what stands before it still counts. strtod follows the locale;
 * the server never sets one. */
static size_t numbers(const char *value, double *out, size_t max)
{
    size_t n = 0;
    for (const char *p = value; p != NULL && n < max; n++) {
        char *end = NULL;
        double number = strtod(p, &end);
        if (end == p || !isfinite(number))
            break;
        out[n] = number;
        end += strspn(end, " "); /* each may be padded (PS3.5 6.2) */
        p = *end == '\\' ? end + 1 : NULL;
    }
    return n;
}

/* Pixel Spacing is in the patient, Imager Pixel Spacing at the detector (PS3.3 10.7): the
 * second is better than nothing for proportions, and no measure of the patient. */
static void describe_place(struct hl_object_source *s, uint32_t i, struct hilum_slice *out)
{
    if (numbers(grouped(s, i, "PixelMeasuresSequence", "PixelSpacing"), out->spacing, 2) != 2 &&
        numbers(text(s, i, "ImagerPixelSpacing"), out->spacing, 2) != 2)
        out->spacing[0] = out->spacing[1] = 0;
    numbers(grouped(s, i, "PixelMeasuresSequence", "SliceThickness"), &out->thickness, 1);
    out->has_position =
        numbers(grouped(s, i, "PlanePositionSequence", "ImagePositionPatient"), out->position, 3) ==
            3 &&
        numbers(grouped(s, i, "PlaneOrientationSequence", "ImageOrientationPatient"),
                out->orientation, 6) == 6;
}

/* Rescale Type (PS3.3 C.11.1.1.2): "US" is "unspecified", not a unit. A CT without one is in
 * HU. */
static const char *unit_of(const char *modality, const char *rescale_type)
{
    if (rescale_type != NULL && *rescale_type != '\0' && strcmp(rescale_type, "US") != 0)
        return rescale_type;
    return strcmp(modality, "CT") == 0 ? "HU" : "";
}

/* A slope of 0 would make every pixel the same: taken as absent. A window without its centre
 * is none. */
static void describe_values(struct hl_object_source *s, uint32_t i, struct hilum_slice *out)
{
    static const char values[] = "PixelValueTransformationSequence", voi[] = "FrameVOILUTSequence";
    out->slope = 1;
    if (numbers(grouped(s, i, values, "RescaleSlope"), &out->slope, 1) != 1 || out->slope == 0)
        out->slope = 1;
    numbers(grouped(s, i, values, "RescaleIntercept"), &out->intercept, 1);
    if (numbers(grouped(s, i, voi, "WindowCenter"), &out->level, 1) != 1 ||
        numbers(grouped(s, i, voi, "WindowWidth"), &out->window, 1) != 1)
        out->level = out->window = 0;
    snprintf(s->unit, sizeof s->unit, "%s",
             unit_of(s->modality, grouped(s, i, values, "RescaleType")));
    out->unit = s->unit;
}

/* Copied to the size the renderer was built with: an older one gets the members it knows. */
static hilum_rc describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    struct hl_object_source *s = ctx;
    struct hilum_object_names names = {.size = sizeof names};
    if (i >= s->table.n_slices)
        return hl_fail(HILUM_EINVAL, "frame %u of %u", i + 1, s->table.n_slices);
    if (s->n_known != i + 1) {
        hl_object_api.names(s->object, &names);
        s->known = (struct hilum_slice){
            .size = sizeof s->known, .frame_number = i + 1, .frame = &s->frame};
        s->known.sop_instance = names.sop_instance;
        s->known.levels = s->levels;
        describe_place(s, i, &s->known);
        describe_values(s, i, &s->known);
        s->n_known = i + 1;
    }
    hl_sized_give(out, &s->known, sizeof s->known);
    return HILUM_OK;
}

/* ---- pixels ---- */

/* Of a deflated object: in pieces, as it is inflated. Each call begins again from the first
 * frame if it must go back: renderers read forwards. */
static hilum_rc read_streamed(struct hl_object_source *s, uint32_t i, uint8_t *dst, uint64_t n)
{
    hilum_rc rc = hl_object_frame(s->object, i);
    for (uint64_t at = 0; rc == HILUM_OK && at < n;) {
        const void *piece = NULL;
        uint64_t got = 0;
        rc = hl_object_next_part(s->object, &piece, &got);
        if (rc == HILUM_OK && (got == 0 || got > n - at))
            return hl_fail(HILUM_ECORRUPT, "frame %u is of another length than it should", i + 1);
        if (rc == HILUM_OK)
            memcpy(dst + at, piece, (size_t)got);
        at += got;
    }
    return rc;
}

static hilum_rc read_frame(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    struct hl_object_source *s = ctx;
    if (n != hilum_frame_bytes(&s->frame))
        return hl_fail(HILUM_EINVAL, "a frame has %llu bytes",
                       (unsigned long long)hilum_frame_bytes(&s->frame));
    hilum_rc rc = hl_object_go_on(s->object);
    if (rc != HILUM_OK)
        return rc;
    if (s->is_streamed)
        return read_streamed(s, i, dst, n);
    return hl_object_decoded(hl_outgoing_frame_into(s->object->out, i, dst, n));
}

static hilum_rc lend(void *ctx, uint32_t i, const void **pixels, uint64_t n)
{
    struct hl_object_source *s = ctx;
    if (s->is_streamed)
        return hl_fail(HILUM_EUNSUP, "frames that are inflated as they are read");
    return hl_outgoing_frame_lent(s->object->out, i, pixels, n);
}

static hilum_rc read_reduced(void *ctx, uint32_t i, uint32_t reduce, void *dst, uint64_t n)
{
    struct hl_object_source *s = ctx;
    hilum_rc rc = hl_object_go_on(s->object);
    if (rc != HILUM_OK)
        return rc;
    if (s->is_streamed)
        return hl_fail(HILUM_EUNSUP, "frames that cannot be halved");
    return hl_object_decoded(hl_outgoing_reduced(s->object->out, i, reduce, dst, n));
}

static hilum_rc go_on(void *ctx)
{
    return hl_object_go_on(((struct hl_object_source *)ctx)->object);
}

/* ---- life ---- */

/* Frames of a deflated object have no place of their own; they can be read in order only, and
 * only if native. UINT32_MAX is left free: n_slices and what follows it are indices of
 * presentation states. */
static hilum_rc kind_make(struct hl_object_source *s)
{
    struct hilum_frames frames;
    char why[512] = "";
    uint64_t n = 0;
    hilum_rc rc = hl_object_decoded(hl_outgoing_kind(s->object->out, &s->frame, &s->levels, &n));
    if (rc == HILUM_EUNSUP)
        snprintf(why, sizeof why, "%s", hl_error());
    if (rc == HILUM_EUNSUP && hl_object_frames(s->object, &frames) == HILUM_OK && frames.n > 0 &&
        !frames.is_encapsulated) {
        hl_pixels_declared(s->object->scan, &s->frame);
        s->is_streamed = true;
        n = frames.n;
        rc = hilum_frame_bytes(&s->frame) == frames.length ? HILUM_OK : HILUM_EUNSUP;
    }
    if (rc == HILUM_EUNSUP)
        return hl_fail(rc, "%s", why);
    if (rc == HILUM_OK && n > UINT32_MAX - 1)
        return hl_fail(HILUM_EUNSUP, "too many frames");
    s->table.n_slices = (uint32_t)n;
    return rc;
}

/* What does not change from frame to frame is found once; places and values are looked up frame
 * by frame, when asked. */
static hilum_rc source_fill(struct hl_object_source *s)
{
    struct hilum_object_names names = {.size = sizeof names};
    hilum_rc rc = hl_object_data(s->object, &s->data);
    if (rc == HILUM_OK && s->state != NULL)
        rc = hl_object_data(s->state, &s->state_data);
    if (rc == HILUM_OK)
        rc = kind_make(s);
    if (rc != HILUM_OK)
        return rc;
    s->has_groups = hl_dataset_has(s->data, "PerFrameFunctionalGroupsSequence") ||
                    hl_dataset_has(s->data, "SharedFunctionalGroupsSequence");
    hl_dataset_text(s->data, "Modality", s->modality, sizeof s->modality);
    hl_dataset_text(s->data, "FrameOfReferenceUID", s->reference, sizeof s->reference);
    hl_object_api.names(s->object, &names);
    s->table.size = sizeof s->table;
    s->table.study_uid = names.study_uid;
    s->table.series_uid = names.series_uid;
    s->table.modality = s->modality;
    s->table.frame_of_reference = s->reference;
    s->table.n_states = s->state != NULL;
    return HILUM_OK;
}

void hl_object_source_free(struct hl_object_source *source)
{
    if (source == NULL)
        return;
    hl_buf_fini(&source->text);
    free(source->bytes);
    free(source);
}

/* One source per object: asking again replaces the one before, whose table is then invalid. */
hilum_rc hl_object_source(hilum_object *object, hilum_object *state,
                          const struct hilum_source **out)
{
    struct hl_object_source *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an object's frames");
    *s = (struct hl_object_source){.object = object,
                                   .state = state,
                                   .frame = {.size = sizeof s->frame},
                                   .table = {.describe = describe,
                                             .read = read_frame,
                                             .text = text,
                                             .bytes = bytes,
                                             .items = items,
                                             .read_reduced = read_reduced,
                                             .lend = lend,
                                             .go_on = go_on,
                                             .ctx = s}};
    hilum_rc rc = source_fill(s);
    hl_object_source_free(object->source);
    object->source = NULL;
    if (rc != HILUM_OK) {
        hl_object_source_free(s);
        return rc;
    }
    object->source = s;
    *out = &s->table;
    return HILUM_OK;
}
