/* Asking other DICOM systems: C-ECHO, C-FIND, C-MOVE, C-GET and the N-services as a service class user. C-STORE is
 * hilum_host.store_scu and what rules send. Knows nothing of PDUs. SPDX-License-Identifier: MIT */
#ifndef HILUM_SCU_H
#define HILUM_SCU_H

#include "hilum/service.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Who is asked. Borrowed for the call. */
struct hilum_scu_peer {
    uint32_t size;
    uint32_t wait_ms; /* for the next message of the peer; 0: a minute; an hour at most */
    const char *
        name; /* a peer of the configuration by name or AE title: its address, titles and TLS hold. NULL: */
    const char *address;    /* "10.0.0.5:104", "[::1]:104" */
    const char *called_aet; /* its AE title */
};

/* What an N-service answered. The data set is yours: hilum_dicom_api.dataset_free. */
struct hilum_scu_answer {
    uint32_t size;
    uint16_t status, reserved;
    hilum_dataset *data;   /* NULL: none */
    char sop_instance[68]; /* N-CREATE: of what was made; "" if it was not told */
    char comment[68];      /* Error Comment, "" if none */
};

/* All functions: any thread, one association a call, which it waits for. *total and *answer are filled in as far as their
 * `size` says, which is yours to set. Text of an identifier goes out in UTF-8
 * unless its (0008,0005) says otherwise. Errors of all: HILUM_ENOTFOUND: no such peer; HILUM_EDENIED: it rejects us;
 * HILUM_EUNSUP: it does not serve that SOP class; HILUM_ETIMEDOUT, HILUM_ECLOSED, HILUM_EIO; the reason says what it
 * answered. *status (may be NULL) is that of the final response; one that is neither success nor a warning makes the
 * call fail with HILUM_EIO (0124: HILUM_EDENIED; FE00 after your own error: that error). */
struct hilum_scu_api {
    uint32_t size, reserved;
    /* Verification (PS3.4 A). *ms: how long it took; may be NULL. */
    hilum_rc (*echo)(hilum_self *self, const struct hilum_scu_peer *peer, uint32_t *ms);
    /* C-FIND (PS3.4 C.4.1, K): sop_class is the information model's UID; the identifier has QueryRetrieveLevel, keys and
     * empty return keys. each(arg, answer) for each match, which is borrowed for the call; an error of it sends C-CANCEL,
     * and is returned. */
    hilum_rc (*find)(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                     hilum_dataset *identifier, hilum_rc (*each)(void *arg, hilum_dataset *answer),
                     void *arg, uint16_t *status);
    /* C-MOVE (PS3.4 C.4.2) to the AE title `destination` (NULL: us). progress (may be NULL) hears the counts of each
     * response; an error of it sends C-CANCEL, and is returned. *total: the last counts told; HILUM_OK although some
     * failed if the peer says so by a warning (B000): look at total->failed. */
    hilum_rc (*move)(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                     hilum_dataset *identifier, const char *destination, hilum_send_cb progress,
                     void *arg, struct hilum_suboperations *total, uint16_t *status);
    /* C-GET (PS3.4 C.4.3): objects come over this association and take the way of every object that arrives here: rules,
     * store, record. HILUM_EDENIED: the peer is not of the configuration, or may not store here.
     * sop_classes: UIDs of storage classes to be offered, NULL-ended, at most 60; NULL: the usual ones. Of up to three each
     * object may come as it is stored, in any syntax of PS3.5 that is not retired; of more, and of the usual ones, in those of some
     * common syntaxes that the peer takes. */
    hilum_rc (*get)(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                    const char *const *sop_classes, hilum_dataset *identifier,
                    hilum_send_cb progress, void *arg, struct hilum_suboperations *total,
                    uint16_t *status);
    /* An N-service (PS3.7 10): of `request` command_field, sop_class, sop_instance, action_type, event_type and attributes
     * count; data may be NULL. As N-EVENT-REPORT it is sent in the role of the provider. A response of any status is
     * HILUM_OK: look at answer->status. */
    hilum_rc (*request)(hilum_self *self, const struct hilum_scu_peer *peer,
                        const struct hilum_dimse_request *request, hilum_dataset *data,
                        struct hilum_scu_answer *answer);
    /* since 1.1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
