/* Capability `carrier` (preview): another way than DICOM's upper layer to take objects to a peer and to fetch them from
 * it, such as DICOMweb. The outbox decides what goes when, and again; a carrier makes one attempt.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_CARRIER_H
#define HILUM_CARRIER_H

#include "hilum/catalog.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A configured peer, as a carrier sees it. Borrowed for the call; texts are NULL where nothing was configured, files are
 * absolute paths, to be read anew for each attempt: they change. */
struct hilum_destination {
    uint32_t size, reserved;
    const hilum_principal *who;       /* in whose name objects are opened and stored: the outbox */
    const char *name;                 /* what rules and people call it */
    const char *url;                  /* "https://pacs.example/dicom-web" */
    const char *token_file;           /* a bearer token */
    const char *user, *password_file; /* otherwise */
    const char *ca, *certificate, *key; /* PEM; ca NULL: those of the system */
    uint32_t connect_ms, idle_ms;       /* to reach it; without any progress */
};

/* One object of an attempt. Element of arrays: frozen for the major. */
struct hilum_delivery {
    const char *transfer_syntax; /* as a rule wishes; NULL: as stored */
    int64_t instance, as_of;     /* for hilum_object_api.open; as_of 0: as of now */
    hilum_rc rc;                 /* out: HILUM_OK: the peer has it */
    int32_t is_permanent;        /* out: it would be refused again */
    char detail[192];            /* out: one line, proof or reason, without patient data */
};

/* What a fetch came to. The caller fills in size. */
struct hilum_fetched {
    uint32_t size, reserved;
    uint64_t n_stored, n_failed;
    char detail[192]; /* one line */
};

/* Threads: as cap.threads says. Not isolatable: it needs the network, which a worker does not have. */
struct hilum_carrier {
    struct hilum_cap cap; /* name: what `via` says of a peer or a rule */
    /* Tells of each item. An error: the peer was not reached, and none of them was delivered. */
    hilum_rc (*send)(void *self, const struct hilum_destination *to, struct hilum_delivery *items,
                     uint32_t n);
    /* Fetches a study, a series or an instance and stores it here; UIDs that are not named are NULL. HILUM_EAGAIN: the
     * peer was not reached; HILUM_ENOTFOUND, HILUM_EDENIED, HILUM_EUNSUP: it will not give that; other errors: again. */
    hilum_rc (*fetch)(void *self, const struct hilum_destination *from, const char *study_uid,
                      const char *series_uid, const char *sop_instance_uid,
                      struct hilum_fetched *out);
    /* Optional. Searches the peer for studies: `query` as of QIDO-RS (PS3.18 8.3.4), escaped: "PatientID=1&limit=9". The
     * answers are written to `answer` as one array of the DICOM JSON Model. Errors as of fetch; HILUM_EFULL: too long. */
    hilum_rc (*search)(void *self, const struct hilum_destination *at, const char *query,
                       struct hilum_sink *answer);
    /* since 1.1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
