/* What the kernel lends to plugins of stored objects (hilum/object.h): opened, whole, closed.
 *
 * A plugin opens, reads and closes on whatever thread it likes, one at a time. An open object
 * keeps its bytes: what is erased meanwhile is still read to its end.
 *
 * What leaves here is what a peer would get: corrections of people are applied, and `as_of`
 * holds them at one moment, so that a study fetched object by object is one state of the
 * study.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/dicom/uid.h"
#include "core/server/server.h"

static void object_close(hilum_object *object)
{
    if (object == NULL)
        return;
    hl_object_parts_close(object);
    hl_outgoing_close(object->out);
    hl_buf_fini(&object->meta);
    hl_buf_fini(&object->text);
    hl_buf_fini(&object->colours);
    hl_buf_fini(&object->gathered);
    free(object);
}

/* Whoever sees some studies only: numbers of instances are no secret. Roles with grants by
 * study are looked up in the catalogue only where there are any: for everybody else the action
 * was decided before the object was opened. */
static hilum_rc study_allow(const hilum_principal *who, const char *study_uid)
{
    const struct hl_principal *principal = (const struct hl_principal *)who;
    const struct hl_resource about = {.study_uid = study_uid};
    return principal != NULL && hl_filter_of(principal, "retrieve").n > 0
               ? hl_allow(principal, "retrieve", &about)
               : HILUM_OK;
}

/* A plugin that names nobody asks as itself. The study is known only once the object is open,
 * so rights are asked twice: for the action, and for this study. What is refused is closed
 * again before the plugin sees it. */
static hilum_rc object_open(hilum_self *self, const hilum_principal *who, int64_t instance,
                            int64_t as_of, hilum_object **out)
{
    struct hl_server *server = hl_plugins_context(self);
    const struct hl_principal own = {.kind = HL_PRINCIPAL_SYSTEM}; /* what is loaded is trusted */
    *out = NULL;
    hilum_rc rc = hl_allow(who != NULL ? (const struct hl_principal *)who : &own, "retrieve", NULL);
    if (rc != HILUM_OK)
        return rc;
    struct hilum_object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an object");
    object->store = server->store;
    object->instance = instance;
    object->as_of = as_of;
    rc = hl_outgoing_open(server->store, instance, as_of, &object->out);
    if (rc == HILUM_OK)
        rc = study_allow(who, hl_outgoing_stored(object->out)->study_uid);
    if (rc == HILUM_OK) {
        snprintf(object->syntax, sizeof object->syntax, "%s",
                 hl_outgoing_stored(object->out)->transfer_syntax);
        *out = object;
    } else {
        object_close(object);
    }
    return rc;
}

/* Of the catalogue, not of the bytes: after a correction both say the same. Borrowed until
 * close. */
static hilum_rc object_names(hilum_object *object, struct hilum_object_names *out)
{
    const struct hl_stored *stored = hl_outgoing_stored(object->out);
    const struct hilum_object_names names = {.size = sizeof names,
                                             .sop_class = stored->sop_class,
                                             .sop_instance = stored->sop_instance,
                                             .series_uid = stored->series_uid,
                                             .study_uid = stored->study_uid,
                                             .transfer_syntax = stored->transfer_syntax};
    hl_sized_give(out, &names, sizeof names);
    return HILUM_OK;
}

/* What plugins are given is made whole first: theirs may be of an older SDK, and shorter. */
static hilum_rc object_find(hilum_object *object, const char *path, struct hilum_extent *out)
{
    struct hilum_extent extent = {.size = sizeof extent};
    hilum_rc rc = hl_object_find(object, path, &extent);
    hl_sized_give(out, &extent, sizeof extent);
    return rc;
}

static hilum_rc object_frames(hilum_object *object, struct hilum_frames *out)
{
    struct hilum_frames frames = {.size = sizeof frames};
    hilum_rc rc = hl_object_frames(object, &frames);
    hl_sized_give(out, &frames, sizeof frames);
    return rc;
}

/* The file meta information names the transfer syntax, so it is made again. Before the first
 * piece is taken. HILUM_EUNSUP: it cannot leave in that syntax; it still can as it was. */
static hilum_rc object_convert(hilum_object *object, const char *transfer_syntax)
{
    hilum_rc rc = HILUM_OK;
    if (strcmp(object->syntax, transfer_syntax) == 0)
        return HILUM_OK;
    rc = hl_outgoing_recode(object->out, transfer_syntax);
    if (rc == HILUM_OK)
        snprintf(object->syntax, sizeof object->syntax, "%s", transfer_syntax);
    hl_buf_clear(&object->meta);
    return rc;
}

/* PS3.10 7.1, with the names of the catalogue. */
static hilum_rc meta_make(hilum_object *object)
{
    if (object->meta.len == 0)
        hl_outgoing_meta(object->out, object->syntax, &object->meta);
    return object->meta.failed ? hl_fail(HILUM_ENOMEM, "no memory for a file's head") : HILUM_OK;
}

/* Mapped objects only: their bytes stay in place, so that a web server may send them from
 * where they lie. Converted ones exist a piece at a time. */
static hilum_rc object_lends(hilum_object *object, uint64_t *length)
{
    if (!hl_outgoing_stays(object->out))
        return hl_fail(HILUM_EUNSUP, "this object is made as it leaves");
    hilum_rc rc = meta_make(object);
    *length = object->meta.len + hl_outgoing_length(object->out);
    return rc;
}

static hilum_rc object_length(hilum_object *object, uint64_t *n)
{
    hilum_rc rc = hl_outgoing_total(object->out, n);
    if (rc == HILUM_OK)
        rc = meta_make(object);
    *n += object->meta.len;
    return rc;
}

/* The head is never skipped to its last byte: what is given there would be an end. */
static hilum_rc object_skip(hilum_object *object, uint64_t n)
{
    hilum_rc rc = meta_make(object);
    if (rc != HILUM_OK)
        return rc;
    if (n < object->meta.len) {
        object->meta_skip = (size_t)n;
        return HILUM_OK;
    }
    object->is_meta_given = true;
    return hl_outgoing_skip(object->out, n - object->meta.len);
}

/* First the file's head, then the data set, in pieces borrowed until the next call; *n 0 is the
 * end. */
static hilum_rc object_next(hilum_object *object, const void **bytes, uint64_t *n)
{
    size_t got = 0;
    if (!object->is_meta_given) {
        hilum_rc made = meta_make(object);
        object->is_meta_given = true;
        *bytes = object->meta.data + object->meta_skip;
        *n = object->meta.len - object->meta_skip;
        return made;
    }
    hilum_rc rc = hl_outgoing_next(object->out, bytes, &got);
    *n = got;
    return rc;
}

hilum_rc hl_object_decoded(hilum_rc rc)
{
    return rc == HILUM_ECLOSED      ? hl_fail(HILUM_EUNSUP, "%s", hl_error())
           : rc == HILUM_ECANCELLED ? hl_fail(HILUM_ECLOSED, "%s", hl_error())
                                    : rc;
}

hilum_rc hl_object_go_on(const hilum_object *object)
{
    return hl_wish_ask(&object->wish) == HILUM_OK
               ? HILUM_OK
               : hl_fail(HILUM_ECLOSED, "nobody waits for this any more");
}

static void object_while_wanted(hilum_object *object, hilum_rc (*go_on)(void *arg), void *arg)
{
    object->wish = (struct hl_wish){go_on, arg};
    hl_outgoing_while_wanted(object->out, &object->wish);
}

/* Decoded, whatever the stored syntax; random access. Borrowed until the next call on the
 * object. */
static hilum_rc object_pixels(hilum_object *object, uint64_t i, struct hilum_frame *out,
                              const void **pixels, uint64_t *n)
{
    struct hilum_frame frame = {.size = sizeof frame};
    hilum_rc rc = hl_outgoing_frame(object->out, i, &frame, pixels, n);
    hl_sized_give(out, &frame, sizeof frame);
    return hl_object_decoded(rc);
}

/* NULL also for what fails: a renderer draws without a label rather than not at all. */
static const char *object_text(hilum_object *object, const char *path)
{
    struct hl_dataset *data = NULL;
    object->text.len = 0;
    object->text.failed = false;
    if (hl_object_data(object, &data) != HILUM_OK ||
        hl_dataset_get(data, path, &object->text) != HILUM_OK || object->text.failed)
        return NULL;
    return hl_buf_str(&object->text);
}

/* `size` first, and every member set: a plugin of an older SDK sees a shorter table, a newer
 * one asks HILUM_HAS. */
const struct hilum_object_api hl_object_api = {
    .size = sizeof hl_object_api,
    .open = object_open,
    .close = object_close,
    .names = object_names,
    .convert = object_convert,
    .next = object_next,
    .json = hl_object_json,
    .find = object_find,
    .frames = object_frames,
    .frame = hl_object_frame,
    .native_frame = hl_object_native_frame,
    .part = hl_object_part,
    .next_part = hl_object_next_part,
    .receive = hl_object_receive,
    .intake_write = hl_intake_write,
    .intake_end = hl_intake_end,
    .intake_close = hl_intake_close,
    .pixels = object_pixels,
    .lends = object_lends,
    .source = hl_object_source,
    .text = object_text,
    .encoded_frame = hl_object_encoded_frame,
    .length = object_length,
    .skip = object_skip,
    .part_length = hl_object_part_length,
    .skip_part = hl_object_skip_part,
    .while_wanted = object_while_wanted,
};
