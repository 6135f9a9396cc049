/* Where the frames of an object lie, kept in a file beside the data so that no object is walked twice: derived, checked when
 * it is read, made again when it is lost. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_FRAME_MAP_H
#define HL_STORE_FRAME_MAP_H

#include "core/store/frames.h"
#include "hilum/codec.h"

/* What has to be known to read and decode any frame; offsets count in the data set as stored. */
struct hl_frame_map {
    struct hl_frames frames;
    struct hilum_frame declared; /* what each is, as the data set says */
};

/* Whose map: the file's name is made of where the object lies, and what lies there is compared. */
struct hl_frame_map_of {
    const char *folder; /* NULL: nothing is kept */
    const char *store, *key;
    uint64_t length; /* of the data set */
    const uint8_t *digest;
};

/* HILUM_ENOTFOUND: none, of another version, of another object, or damaged. Free with hl_frames_fini(&out->frames). */
hilum_rc hl_frame_map_load(const struct hl_frame_map_of *of, struct hl_frame_map *out);
/* Whole or not at all; not flushed, since it can be made again. */
hilum_rc hl_frame_map_save(const struct hl_frame_map_of *of, const struct hl_frame_map *map);
/* The object goes. */
void hl_frame_map_erase(const char *folder, const char *store, const char *key);

#endif
