/* Capability `service`: a DIMSE SOP class served by a plugin; and what the kernel offers to serve it:
 * requests, responses, sub-operations, data sets. Knows nothing of PDUs and of storage.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_SERVICE_H
#define HILUM_SERVICE_H

#include "hilum/catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_exchange hilum_exchange; /* one DIMSE request being answered (PS3.7) */
typedef struct hilum_dataset hilum_dataset;   /* a data set (PS3.5); one thread at a time */

/* Command fields a service is asked with (PS3.7 E.1). C-ECHO, C-STORE and C-CANCEL are the kernel's. */
enum {
    HILUM_C_GET = 0x0010,
    HILUM_C_FIND = 0x0020,
    HILUM_C_MOVE = 0x0021,
    HILUM_N_EVENT_REPORT = 0x0100,
    HILUM_N_GET = 0x0110,
    HILUM_N_SET = 0x0120,
    HILUM_N_ACTION = 0x0130,
    HILUM_N_CREATE = 0x0140,
    HILUM_N_DELETE = 0x0150
};

/* Statuses any service may need (PS3.7 C). Others are the SOP class's own. */
enum {
    HILUM_STATUS_SUCCESS = 0x0000,
    HILUM_STATUS_NO_SUCH_ATTRIBUTE = 0x0105,
    HILUM_STATUS_INVALID_ATTRIBUTE = 0x0106,
    HILUM_STATUS_PROCESSING_FAILURE = 0x0110,
    HILUM_STATUS_DUPLICATE_INSTANCE = 0x0111,
    HILUM_STATUS_NO_SUCH_INSTANCE = 0x0112,
    HILUM_STATUS_NO_SUCH_EVENT = 0x0113,
    HILUM_STATUS_INVALID_ARGUMENT = 0x0115,
    HILUM_STATUS_NO_SUCH_CLASS = 0x0118,
    HILUM_STATUS_MISSING_ATTRIBUTE = 0x0120,
    HILUM_STATUS_MISSING_VALUE = 0x0121,
    HILUM_STATUS_NO_SUCH_ACTION = 0x0123,
    HILUM_STATUS_NOT_AUTHORIZED = 0x0124,
    HILUM_STATUS_UNRECOGNIZED_OPERATION = 0x0211,
    HILUM_STATUS_CANCELLED = 0xFE00,
    HILUM_STATUS_PENDING = 0xFF00
};

/* The request's command set. Borrowed for the exchange; texts are never NULL. */
struct hilum_dimse_request {
    uint32_t size;
    uint16_t command_field, message_id; /* HILUM_C_*, HILUM_N_* */
    uint16_t priority, has_dataset;
    const char *sop_class;        /* Affected or Requested SOP Class UID */
    const char *sop_instance;     /* Affected or Requested SOP Instance UID; "" if none */
    const char *move_destination; /* C-MOVE: AE title; "" otherwise */
    const char *calling_aet, *called_aet;
    const char *transfer_syntax; /* of the context */
    const uint8_t *extended;     /* accepted extended negotiation information; NULL if none */
    uint64_t extended_length;
    uint16_t action_type;       /* N-ACTION: Action Type ID (0000,1008) */
    uint16_t event_type;        /* N-EVENT-REPORT: Event Type ID (0000,1002) */
    uint32_t n_attributes;      /* N-GET: how many; 0: all attributes are wanted */
    const uint32_t *attributes; /* N-GET: Attribute Identifier List (0000,1005), tags */
};

/* Sub-operation counts of C-MOVE and C-GET (PS3.7 9.1.4.1.6-9). */
struct hilum_suboperations {
    uint32_t size, remaining, completed, failed, warning, reserved;
};

/* A response in full; absent parts are zero. What pointers point to is borrowed for the call. */
struct hilum_dimse_response {
    uint32_t size;
    uint16_t status;     /* pending (FF00, FF01) or final: exactly one final response a request */
    uint16_t error_id;   /* (0000,0903), 0: absent */
    hilum_dataset *data; /* attribute list, action or event reply, identifier; NULL: none */
    const struct hilum_suboperations *counts; /* C-MOVE, C-GET; otherwise NULL */
    const char *comment; /* Error Comment: 64 ASCII characters of it are sent, no patient data */
    const char
        *sop_instance; /* N-CREATE without an instance UID: the one you gave; NULL: as asked */
    const uint32_t *offending; /* tags for (0000,0901) of C- services, (0000,1005) of N- services */
    uint32_t n_offending, reserved; /* at most 8 of C-, 128 of N-services are sent */
};

/* Progress of hilum_dicom_api.send: HILUM_OK to go on, HILUM_ECANCELLED to stop after this object. */
typedef hilum_rc (*hilum_send_cb)(void *arg, const struct hilum_suboperations *counts);

/* What the kernel offers. Of the data set's functions: any thread, one data set one thread at a time. */
struct hilum_dicom_api {
    uint32_t size, reserved;

    /* ---- the exchange (only on the thread that runs handle()) ---- */
    /* The command set of what was asked; never NULL, borrowed for the exchange. */
    const struct hilum_dimse_request *(*request)(hilum_exchange *exchange);
    /* Who asks, for allow, the catalogue and objects; never NULL, borrowed for the exchange. */
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
     * overlays applied. Calls progress after each object. *total: as far as its `size` says. *failed receives the SOP Instance UIDs that
     * failed, joined by backslash (borrowed until the exchange ends). HILUM_ENOTFOUND: no such
     * destination (status A801); HILUM_EDENIED; HILUM_ECANCELLED. */
    hilum_rc (*send)(hilum_exchange *exchange, const char *destination, const int64_t *instances,
                     uint64_t n, int64_t as_of, hilum_send_cb progress, void *arg,
                     struct hilum_suboperations *total, const char **failed);

    /* ---- data sets ---- */
    hilum_dataset *(*dataset_new)(void); /* NULL: out of memory */
    /* Only of dataset_new, parse and answers of others; NULL is fine. */
    void (*dataset_free)(hilum_dataset *data);
    /* Text (UTF-8) of an element by keyword, tag or path ("PatientID", "00100020",
     * "RequestAttributesSequence[0].AccessionNumber"). NULL: absent; "": empty. Borrowed until changed. */
    const char *(*get)(hilum_dataset *data, const char *path);
    /* Sets (UTF-8); "" makes the element empty, NULL removes it. VR from the dictionary; items on the way are
     * made, an index may be one past the last. HILUM_EINVAL: bad path, or no value of that VR. */
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
    /* ---- N-services, and more of data sets ---- */
    /* As respond(), for responses that say more than a status and a data set. */
    hilum_rc (*answer)(hilum_exchange *exchange, const struct hilum_dimse_response *response);
    /* Items of a sequence at a path; 0 when it is absent, empty or none. */
    uint64_t (*items)(hilum_dataset *data, const char *path);
    /* From n bytes coded in a transfer syntax UID, at most 16 MiB, without preamble and meta header.
     * HILUM_EINVAL: no data set, or cut short; HILUM_EFULL. Free *out. */
    hilum_rc (*parse)(const void *bytes, uint64_t n, const char *transfer_syntax,
                      hilum_dataset **out);
    /* Writes it coded in a native transfer syntax, text in UTF-8 unless (0008,0005) says otherwise.
     * HILUM_EUNSUP: a compressed syntax. */
    hilum_rc (*write)(hilum_dataset *data, const char *transfer_syntax, struct hilum_sink *out);
    /* The VR of PS3.6, "UN" for tags it does not know; static. */
    const char *(*vr)(uint32_t tag);
    /* Writes the data set as an object of the DICOM JSON Model (PS3.18 F). */
    hilum_rc (*json)(hilum_dataset *data, const struct hilum_sink *sink);
    /* The keyword of PS3.6 ("PatientID"); NULL: private, or none it knows. Static. */
    const char *(*keyword)(uint32_t tag);
    /* since 1.1: append here */
};

/* Threads: as cap.threads says; a SERIAL service answers one peer at a time. Not isolatable: it holds an
 * association. Peers need the permission of the SOP class's action, which is "store" for classes the kernel
 * does not know (private ones). */
struct hilum_service {
    struct hilum_cap cap;
    const char *const *sop_classes; /* UIDs served, private ones too; NULL-ended */
    /* Answers one request completely: every response incl. the final one goes through respond() or
     * answer(). Look at command_field: what you do not serve is HILUM_STATUS_UNRECOGNIZED_OPERATION.
     * HILUM_OK keeps the association; an error without a final response sent makes the host answer
     * 0110 (processing failure) with a reference number. A thread of the association; may block, but
     * another peer waits if the service is SERIAL. */
    hilum_rc (*handle)(void *self, hilum_exchange *exchange);
    /* Optional: information to answer an extended negotiation item with; *n 0: none. */
    hilum_rc (*negotiate)(void *self, const char *sop_class, const uint8_t *info, uint64_t length,
                          uint8_t *answer, uint64_t capacity, uint64_t *n);
};

#ifdef __cplusplus
}
#endif
#endif
