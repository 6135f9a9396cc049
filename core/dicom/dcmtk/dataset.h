/* Data sets and the data dictionary, for those who need more than the header scan: queries, rules,
 * tools. DCMTK stays behind this header. It knows nothing of associations, files' places or records.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_DATASET_H
#define HL_DICOM_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hl_buf;

/* Loads the data dictionary and silences DCMTK's loggers (its failures come back as codes). The first
 * call into this header does it too; calling it at start finds a missing dictionary at once:
 * HILUM_ENOTFOUND. Any thread, any number of times. */
hilum_rc hl_dicom_init(void);

/* ---- dictionary: immutable once loaded, any thread ---- */

/* The tag of "PatientID", "(0010,0020)", "0010,0020" or "00100020" (private tags too); 0 when it is
 * none of these. Keywords are those of PS3.6, retired ones without prefix; case matters. */
uint32_t hl_dict_tag(const char *name);
/* The PS3.6 keyword ("PatientID"), or NULL: private, unknown. Static. */
const char *hl_dict_keyword(uint32_t tag);
/* The VR, "UN" when not known: group lengths UL, private creators LO, US for US-or-SS, OW for
 * OB-or-OW. Static. */
const char *hl_dict_vr(uint32_t tag);

/* ---- data sets: one thread at a time ---- */

enum { HL_DATASET_MAX = 16 << 20, HL_DATASET_DEPTH = 64 };

struct hl_dataset;

hilum_rc hl_dataset_new(struct hl_dataset **out);
void hl_dataset_free(struct hl_dataset *dataset);
hilum_rc hl_dataset_copy(const struct hl_dataset *dataset, struct hl_dataset **out);

/* From n bytes in `transfer_syntax` (unknown ones: explicit little endian). HILUM_EINVAL: not a data
 * set, cut short, or nested over HL_DATASET_DEPTH; HILUM_EFULL: over HL_DATASET_MAX bytes, inflated. */
hilum_rc hl_dataset_parse(const void *bytes, size_t n, const char *transfer_syntax,
                          struct hl_dataset **out);
/* The data set of a Part 10 file (or a bare one) up to the pixel data, at most `max` bytes (0:
 * HL_DATASET_MAX) of it. HILUM_EIO, HILUM_EINVAL, HILUM_EFULL. transfer_syntax (may be NULL) receives
 * the file's, 65 bytes. */
hilum_rc hl_dataset_open(const char *path, size_t max, char *transfer_syntax,
                         struct hl_dataset **out);
/* Appends the data set coded in `transfer_syntax` (native ones, deflated too; HILUM_EUNSUP otherwise
 * when there is pixel data), lengths defined, no group lengths. */
hilum_rc hl_dataset_write(const struct hl_dataset *dataset, const char *transfer_syntax,
                          struct hl_buf *out);

/* A path is attributes joined by '.', each a name as for hl_dict_tag, items by index:
 * "PatientID", "RequestAttributesSequence[0].ScheduledProcedureStepID"; without index: item 0. */

/* Appends the value as UTF-8, values joined by '\', without padding; numbers as decimal text.
 * HILUM_ENOTFOUND: absent; HILUM_EINVAL: bad path, or a sequence. An empty value appends nothing. */
hilum_rc hl_dataset_get(const struct hl_dataset *dataset, const char *path, struct hl_buf *out);
/* The same into out, cut at a character if need be, "" when absent. Returns out. */
const char *hl_dataset_text(const struct hl_dataset *dataset, const char *path, char *out,
                            size_t size);
bool hl_dataset_has(const struct hl_dataset *dataset, const char *path);
/* Items of a sequence; 0 when absent or none. */
size_t hl_dataset_items(const struct hl_dataset *dataset, const char *path);

/* Sets a value from UTF-8 with the dictionary's VR (unknown tags: LO), coded in the character set that
 * holds at that place (what it cannot say becomes '?': set "ISO_IR 192" before to lose nothing). "" is an
 * empty value. Items on the way are made; an index may be at most one past the last.
 * HILUM_EINVAL: bad path or index, or no value of that VR. */
hilum_rc hl_dataset_put(struct hl_dataset *dataset, const char *path, const char *utf8);
/* HILUM_ENOTFOUND: was not there. "Seq[1]" removes an item. */
hilum_rc hl_dataset_remove(struct hl_dataset *dataset, const char *path);

/* Converts all text to `charset` (a Specific Character Set value) and sets (0008,0005), everywhere. Text
 * the set cannot say: the whole data set becomes ISO_IR 192 instead, and 1 is returned. */
hilum_rc hl_dataset_set_charset(struct hl_dataset *dataset, const char *charset);

/* One element of the top level. */
struct hl_field {
    uint32_t tag;
    char vr[3];
    bool is_sequence;
    const void *raw; /* bytes as held (numbers in host order); NULL: sequence or empty. Borrowed */
    size_t length;
};
size_t hl_dataset_count(const struct hl_dataset *dataset);
/* false past the end. */
bool hl_dataset_at(const struct hl_dataset *dataset, size_t i, struct hl_field *out);

/* Appends the DICOM JSON Model (PS3.18 annex F), for tools. Binary values over 64 KiB are left out. */
hilum_rc hl_dataset_json(const struct hl_dataset *dataset, struct hl_buf *out);

/* A value that is not in the data set but belongs there. */
struct hl_json_bulk {
    uint32_t tag;
    char vr[3];
};
struct hl_json_options {
    const char *
        bulk_url; /* binary values over inline_max bytes become "<bulk_url>/<tag>[/<item>/<tag>]" */
    size_t inline_max;
    const struct hl_json_bulk *bulk; /* at the top level, ascending by tag: told by URI as well */
    size_t n_bulk;
};
/* The same with URIs for what is large (PS3.18 F.2.6). */
hilum_rc hl_dataset_json_bulk(const struct hl_dataset *dataset,
                              const struct hl_json_options *options, struct hl_buf *out);
/* The bytes of a value as held (numbers in host order), borrowed until the data set changes. HILUM_ENOTFOUND: absent
 * or empty; HILUM_EINVAL: bad path, or a sequence. */
hilum_rc hl_dataset_raw(const struct hl_dataset *dataset, const char *path, const void **bytes,
                        size_t *n);

#ifdef __cplusplus
}
#endif
#endif
