/* STOW-RS of metadata and bulk data (PS3.18 10.5.2): what its files share. SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_STOW_H
#define WEB_STOW_H

#include <jansson.h>

#include "web.h"

/* ---- bulk data as they came (spool.c) ---- */

/* offset, length: in the spool's file. */
struct web_bulk {
    char *location; /* Content-Location of its part */
    uint64_t offset, length;
    char type[128], syntax[68]; /* of its Content-Type */
};
/* All parts in one file, one behind the other. Zero-initialised but for web is empty. */
struct web_spool {
    struct web *web;
    int fd;
    bool is_open;
    uint64_t length;
    struct web_bulk *parts;
    size_t n, cap;
};
/* A part begins; web_spool_data goes on with it. HILUM_EFULL: too many, or too much;
 * HILUM_EIO. */
hilum_rc web_spool_begin(struct web_spool *spool, const struct web_part_head *head);
hilum_rc web_spool_data(struct web_spool *spool, const void *bytes, size_t n);
/* The i-th part with this location. NULL: there is none. */
const struct web_bulk *web_spool_find(const struct web_spool *spool, const char *uri, size_t i);
/* n bytes from a place in the file; HILUM_EIO also where it is shorter. */
hilum_rc web_spool_read(struct web_spool *spool, uint64_t at, void *out, size_t n);
void web_spool_fini(struct web_spool *spool);

/* ---- the Native DICOM Model (model.c) ---- */

/* A document as an object of the DICOM JSON Model; numbers are texts. NULL: it is none, or has a DTD, and *why says
 * what. Free with json_decref. */
json_t *web_model_read(const char *xml, size_t n, const char **why);

/* ---- attributes as a data set (encode.c) ---- */

enum { WEB_ENCODE_BUFFER = 64 * 1024 };

/* Some 64 KiB: part of what its user allocates. write() and the members above it are the
 * caller's to set. */
struct web_encode {
    const struct hilum_dicom_api *dicom;
    struct web_spool *spool;
    hilum_rc (*write)(void *arg, const void *bytes, uint64_t n);
    void *arg;
    const char *why; /* what is wrong with them; NULL: nothing */
    char tag[12];    /* where */
    /* ---- of encode.c ---- */
    hilum_rc rc;
    size_t fill;
    int depth;
    char buffer[WEB_ENCODE_BUFFER];
};
/* Writes a Part 10 file of an object of the DICOM JSON Model, explicit little endian, or in the syntax its pixel data
 * came in. HILUM_EINVAL: see why and tag; otherwise what write() or the spool returned. */
hilum_rc web_encode(struct web_encode *encode, const json_t *attributes);
/* The first value of an attribute as a text; "" none. */
const char *web_json_text(const json_t *attributes, const char *tag);

#endif
