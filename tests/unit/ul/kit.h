/* Test kit of the upper layer: a server that answers C-ECHO and C-STORE with hand-made bytes, what
 * it saw, and a requestor's proposal. SPDX-License-Identifier: Apache-2.0 */
#ifndef UL_KIT_H
#define UL_KIT_H

#include "core/dicom/ul/internal.h"

#include <pthread.h>

#define KIT_VERIFICATION "1.2.840.10008.1.1"
#define KIT_CT           "1.2.840.10008.5.1.4.1.1.2"
#define KIT_IMPLICIT     "1.2.840.10008.1.2"
#define KIT_EXPLICIT     "1.2.840.10008.1.2.1"

enum { KIT_WHYS = 512 };

struct kit {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned negotiated, closed, refused;
    unsigned begun; /* messages read and not necessarily answered */
    uint64_t messages, bytes;
    char whys[KIT_WHYS][160]; /* of closed() and refused(), in order */
    unsigned n_whys;
    struct hl_ul_reject reject; /* answered by negotiate() when result is set */
    unsigned hold_ms;           /* message() takes this long */
    size_t flood;               /* bytes of zeros sent instead of an answer */
    char subject[256], sha256[65];
    struct hl_ul_server *server;
    uint16_t port, tls_port;
};

/* Short deadlines, so that a test of a slow peer takes 300 ms. */
extern const struct hl_ul_limits kit_limits;

void kit_start(struct kit *kit, const char *address, const struct hl_ul_limits *limits,
               struct hl_ul_tls *tls);
/* Plain at port, TLS at tls_port, both of 127.0.0.1. */
void kit_start_both(struct kit *kit, const struct hl_ul_limits *limits, struct hl_ul_tls *tls);
void kit_stop(struct kit *kit);
/* Waits up to 5 s until closed + refused reaches n; false if it does not. */
bool kit_await_ends(struct kit *kit, unsigned n);
/* Waits until a message was read. */
void kit_await_message(struct kit *kit);
uint64_t kit_messages(struct kit *kit);
/* Was `text` part of a reason told by closed() or refused()? */
bool kit_was_told(struct kit *kit, const char *text);

/* A proposal of verification and CT, each in implicit and explicit little endian. Static memory. */
const struct hl_ul_params *kit_proposal(void);
hilum_rc kit_open(const struct kit *kit, const char *host, struct hl_ul_tls *tls,
                  struct hl_ul_assoc **out);
/* One C-ECHO on context 1; the status, or negative. */
int kit_echo(struct hl_ul_assoc *assoc);

/* A plain socket to the kit's port, with a receive timeout of 5 s. */
int kit_socket(const struct kit *kit);
/* Bytes of an A-ASSOCIATE-RQ, of a P-DATA-TF with a C-ECHO-RQ, of an A-RELEASE-RQ. */
void kit_request(struct hl_buf *out);
void kit_echo_pdu(struct hl_buf *out);
void kit_release_pdu(struct hl_buf *out);

int64_t kit_now_ms(void);

#endif
