/* Capability `report` (preview): a report between Hilum's own form (JSON) and a format people or systems
 * take: PDF, HTML, DICOM SR, CDA, HL7 ORU, spreadsheet. It knows nothing of who asks and where it goes.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_REPORT_H
#define HILUM_REPORT_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a report's JSON refers to, lent for the call; one thread at a time. */
struct hilum_report_source {
    uint32_t size, reserved;
    /* Bytes of an image or attachment named in the JSON ("image:3"), as `media_type`. HILUM_ENOTFOUND. */
    hilum_rc (*attachment)(void *ctx, const char *name, const char *media_type,
                           struct hilum_sink *out);
    /* A template or style sheet of the site by name. HILUM_ENOTFOUND: use a built-in one. */
    hilum_rc (*style)(void *ctx, const char *name, struct hilum_sink *out);
    void *ctx;
};

/* Threads: as cap.threads says. Isolatable. Errors every member may return: HILUM_EINVAL (the JSON or the
 * document; the reason says where), HILUM_EUNSUP, HILUM_ENOMEM, and what the source returned. */
struct hilum_report {
    struct hilum_cap cap;    /* name: "pdf" */
    const char *media_type;  /* "application/pdf" */
    const char *sop_class;   /* UID of the DICOM object that carries it; NULL: none */
    const char *file_suffix; /* ".pdf" */
    /* Writes the report (n bytes of JSON). The same input gives the same bytes: reports are signed. */
    hilum_rc (*write)(void *self, const char *report_json, uint64_t n,
                      const struct hilum_report_source *source, struct hilum_sink *out);
    /* Optional. The other way: a document of n bytes to JSON. */
    hilum_rc (*parse)(void *self, const void *document, uint64_t n, struct hilum_sink *report_json);
};

#ifdef __cplusplus
}
#endif
#endif
