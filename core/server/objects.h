/* What objects.c and object_parts.c share.
 *
 * An object has up to three sources of bytes: `out`, the data set as it leaves (corrections
 * applied, perhaps converted), read once from front to back; the same read at any place, for
 * parts; and `anew`, a second conversion for objects whose stored bytes have no usable places
 * (deflated, big endian).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SERVER_OBJECTS_H
#define HL_SERVER_OBJECTS_H

#include "core/base/buf.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/store/frame_map.h"
#include "core/store/ingest.h"
#include "core/store/scan.h"
#include "hilum/object.h"

/* Bytes of the data set as it leaves, counted from its beginning. */
struct hl_range {
    uint64_t offset, length;
};

/* Made by object_open, freed by close; every pointer a plugin was given from it dies with it,
 * most of them at the next call already. */
struct hilum_object {
    struct hl_store *store;
    int64_t instance, as_of;
    struct hl_outgoing *out; /* as it leaves whole */
    struct hl_buf meta;      /* file meta information, until it has been given */
    bool is_meta_given;
    size_t meta_skip; /* bytes of it that are left out */
    char syntax[65];  /* it leaves in */

    /* ---- parts: object_parts.c ---- */
    bool is_native_anew; /* read through `anew`, explicit little endian, in one direction */
    struct hl_outgoing *anew;
    const uint8_t *piece; /* of anew, and where it lies */
    size_t piece_length;
    uint64_t piece_at;
    struct hl_scan *scan;    /* up to the pixel data; NULL: not done yet */
    struct hl_dataset *data; /* without what is large; NULL: not made yet */
    struct hl_json_bulk *bulk;
    size_t n_bulk, cap_bulk;
    struct hl_range *ranges; /* what next_part() gives */
    size_t n_ranges, cap_ranges, range;
    uint64_t range_at;
    const uint8_t *nested; /* in `data`: given instead of ranges */
    size_t n_nested;
    struct hl_buf colours;  /* a decoded frame in those of its data set */
    struct hl_buf gathered; /* a native frame that lies in no file as it is (object_coded.c) */
    struct hl_buf text;     /* asked for last */
    struct hl_object_source *source; /* object_source.c; NULL: not asked for */
    struct hl_wish wish;             /* of whoever it is read for */
};

/* Of what parts are read from: up to max bytes at `at`, borrowed until the next call. *n 0: the end. */
hilum_rc hl_object_read(struct hilum_object *object, uint64_t at, size_t max, const uint8_t **bytes,
                        size_t *n);
void hl_object_parts_close(struct hilum_object *object);

/* hilum/object.h says what each does; here only who has it. All of one object on one thread at a
 * time, until close; HILUM_EINVAL is a data set that is not what its header says. */
hilum_rc hl_object_json(hilum_object *object, const char *bulk_url, const struct hilum_sink *sink);
hilum_rc hl_object_find(hilum_object *object, const char *path, struct hilum_extent *out);
hilum_rc hl_object_frames(hilum_object *object, struct hilum_frames *out);
/* What decoding said, as plugins hear it: a codec in quarantine is none to them (HILUM_EUNSUP, the reason stays), for
 * HILUM_ECLOSED means that who asked has gone (HILUM_ECANCELLED within the store). */
hilum_rc hl_object_decoded(hilum_rc rc);
/* Does anybody wait for what is made of it? HILUM_ECLOSED: no. */
hilum_rc hl_object_go_on(const hilum_object *object);
hilum_rc hl_object_frame(hilum_object *object, uint64_t i);
hilum_rc hl_object_native_frame(hilum_object *object, uint64_t i);
hilum_rc hl_object_encoded_frame(hilum_object *object, uint64_t i,
                                 const struct hilum_encode *wanted); /* object_coded.c */
hilum_rc hl_object_part(hilum_object *object, const struct hilum_extent *extent);
hilum_rc hl_object_part_length(hilum_object *object, uint64_t *n);
hilum_rc hl_object_skip_part(hilum_object *object, uint64_t n);
hilum_rc hl_object_next_part(hilum_object *object, const void **bytes, uint64_t *n);

/* The attributes but for large values at the top level; borrowed. Made at the first question
 * and kept: some dozen KiB, at most HL_DATASET_MAX. HILUM_EFULL: more than that; HILUM_EINVAL:
 * not a data set. */
hilum_rc hl_object_data(hilum_object *object, struct hl_dataset **out);
/* Exactly n bytes from `at`, or an error: HILUM_EINVAL where the data set ends before. */
hilum_rc hl_object_read_all(hilum_object *object, uint64_t at, void *out, size_t n);

/* object_colour.c: a decoded frame as the data set declares its pixels; into `out` where that is another form, *pixels and
 * *n then lead there. HILUM_EUNSUP: there is no such form. */
hilum_rc hl_object_as_declared(const struct hilum_frame *declared, const struct hilum_frame *frame,
                               const void **pixels, uint64_t *n, struct hl_buf *out);

/* The same for what is to be encoded: colours as a decoder is to give them back, none of them halved; *frame becomes what
 * the pixels are then. */
hilum_rc hl_object_as_encoded(const struct hilum_frame *declared, struct hilum_frame *frame,
                              const void **pixels, uint64_t *n, struct hl_buf *out);
/* From now on next_part() gives these bytes, which stay where they are until the next call for the object. */
void hl_object_give(hilum_object *object, const void *bytes, uint64_t n);

/* object_source.c: `state` (may be NULL) is a presentation state that is open too and stays so
 * as long as the source. HILUM_ENOTFOUND: no pixels; HILUM_EUNSUP: none that can be decoded
 * here. */
hilum_rc hl_object_source(hilum_object *object, hilum_object *state,
                          const struct hilum_source **out);
void hl_object_source_free(struct hl_object_source *source); /* NULL is fine */

/* intake.c: the same checks as for a peer's C-STORE, which are rights, rules, duplicates,
 * durability. */
hilum_rc hl_object_receive(hilum_self *self, const hilum_principal *who,
                           const struct hilum_intake_source *source, hilum_intake **out);
hilum_rc hl_intake_write(hilum_intake *intake, const void *bytes, uint64_t n);
void hl_intake_end(hilum_intake *intake, struct hilum_intake_result *out);
void hl_intake_close(hilum_intake *intake);

#endif
