/* Capability `service`: a DIMSE SOP class served by a plugin; and what the kernel offers to serve it.
 * Knows nothing of PDUs and of storage. SPDX-License-Identifier: MIT */
#ifndef HILUM_SERVICE_H
#define HILUM_SERVICE_H

#include "hilum/catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_exchange hilum_exchange; /* one DIMSE request being answered (PS3.7) */
typedef struct hilum_dataset hilum_dataset;   /* a data set (PS3.5); one thread at a time */

/* The request's command set. Borrowed for the exchange. */
struct hilum_dimse_request {
    uint32_t size;
    uint16_t
        command_field; /* 0x0020 C-FIND-RQ, 0x0021 C-MOVE-RQ, 0x0010 C-GET-RQ, N-*: PS3.7 E.1 */
    uint16_t message_id;
    uint16_t priority, has_dataset;
    const char *sop_class;        /* Affected or Requested SOP Class UID */
    const char *sop_instance;     /* Affected or Requested SOP Instance UID; "" if none */
    const char *move_destination; /* C-MOVE: AE title; "" otherwise */
    const char *calling_aet, *called_aet;
    const char *transfer_syntax; /* of the context */
    const uint8_t *extended;     /* accepted extended negotiation information; NULL if none */
    uint64_t extended_length;
};

/* Sub-operation counts of C-MOVE and C-GET (PS3.7 9.1.4.1.6-9). */
struct hilum_suboperations {
    uint32_t size, remaining, completed, failed, warning, reserved;
};

/* Progress of hilum_dicom_api.send: HILUM_OK to go on, HILUM_ECANCELLED to stop after this object. */
typedef hilum_rc (*hilum_send_cb)(void *arg, const struct hilum_suboperations *counts);

struct hilum_dicom_api {
    uint32_t size, reserved;

    /* ---- the exchange (only on the thread that runs handle()) ---- */
    const struct hilum_dimse_request *(*request)(hilum_exchange *exchange);
    const hilum_principal *(*principal)(hilum_exchange *exchange);
    /* The request's data set, parsed (at most 16 MiB); NULL when there was none or it is malformed (the
     * reason is recorded). Owned by the exchange. */
    hilum_dataset *(*identifier)(hilum_exchange *exchange);
    /* Sends one response. data may be NULL; its text is sent in the requester's character set. comment: the
     * Error Comment, at most 64 ASCII characters are sent; NULL none. counts: NULL unless C-MOVE/C-GET.
     * HILUM_ECLOSED when the peer has gone: return it from handle(). */
    hilum_rc (*respond)(hilum_exchange *exchange, uint16_t status, hilum_dataset *data,
                        const struct hilum_suboperations *counts, const char *comment);
    /* 1 when a C-CANCEL-RQ for this message has arrived (looks at the socket, never waits), 0 when not,
     * negative when the association is over. */
    hilum_rc (*cancelled)(hilum_exchange *exchange);
    /* Sends the objects (instance numbers of hilum_object_ref, as_of from `objects`) to the peer with this
     * AE title, or back over this association when destination is NULL (C-GET). Streams from the store,
     * overlays applied. Calls progress after each object. *failed receives the SOP Instance UIDs that
     * failed, joined by backslash (borrowed until the exchange ends). HILUM_ENOTFOUND: no such
     * destination (status A801); HILUM_EDENIED; HILUM_ECANCELLED. */
    hilum_rc (*send)(hilum_exchange *exchange, const char *destination, const int64_t *instances,
                     uint64_t n, int64_t as_of, hilum_send_cb progress, void *arg,
                     struct hilum_suboperations *total, const char **failed);

    /* ---- data sets ---- */
    hilum_dataset *(*dataset_new)(void); /* NULL: out of memory */
    void (*dataset_free)(hilum_dataset *data);
    /* Text (UTF-8) of an element by keyword, tag or path ("PatientID", "00100020",
     * "RequestAttributesSequence[0].AccessionNumber"). NULL: absent; "": empty. Borrowed until changed. */
    const char *(*get)(hilum_dataset *data, const char *path);
    /* Sets (UTF-8); "" makes the element empty, NULL removes it. VR from the dictionary. */
    hilum_rc (*put)(hilum_dataset *data, const char *path, const char *utf8);
    /* Top-level elements in tag order: fills tag and VR of the i-th. HILUM_ENOTFOUND past the last. */
    hilum_rc (*at)(hilum_dataset *data, uint64_t i, uint32_t *tag, char vr[3]);
    const char *(*get_tag)(hilum_dataset *data, uint32_t tag);
    hilum_rc (*put_tag)(hilum_dataset *data, uint32_t tag, const char *utf8);
    /* "PatientID" -> tag; 0 when the dictionary has no such keyword. */
    uint32_t (*tag)(const char *keyword);

    /* Names an element of the identifier that is at fault: Offending Element (0000,0901) of the final response, if
     * that is a failure. At most 8 are told. Only on the thread that runs handle(). */
    void (*offend)(hilum_exchange *exchange, uint32_t tag);
};

struct hilum_service {
    struct hilum_cap cap;
    const char *const *sop_classes; /* UIDs served, NULL-ended */
    /* Answers one request completely: every response incl. the final one goes through respond().
     * HILUM_OK keeps the association; an error without a final response sent makes the host answer
     * 0110 (processing failure) with a reference number. */
    hilum_rc (*handle)(void *self, hilum_exchange *exchange);
    /* Optional: information to answer an extended negotiation item with; *n 0: none. */
    hilum_rc (*negotiate)(void *self, const char *sop_class, const uint8_t *info, uint64_t length,
                          uint8_t *answer, uint64_t capacity, uint64_t *n);
};

#ifdef __cplusplus
}
#endif
#endif
