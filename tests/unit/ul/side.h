/* One side of an association played by a given implementation of PS3.8, ours or DCMTK's, from the
 * same script; what it saw is told in the same words. For the oracle test.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef UL_SIDE_H
#define UL_SIDE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "core/base/buf.h"
#include "core/dicom/ul/ul.h"

/* The requestor sends a command of SIDE_COMMAND bytes and `asked` bytes of data set, the acceptor
 * answers likewise with `answered`. */
struct side_message {
    uint8_t context;
    uint32_t asked, answered;
};
enum { SIDE_COMMAND = 58 };

/* What happens after the messages. HALFWAY: an A-ABORT instead of the last data set's last
 * fragment; UNANSWERED: the acceptor aborts instead of answering the last message. */
enum side_end { SIDE_RELEASE, SIDE_ABORT, SIDE_ABORT_HALFWAY, SIDE_ABORT_UNANSWERED };

struct scenario {
    const char *name;
    struct hl_ul_params proposal;             /* as hl_ul_connect.propose */
    uint32_t requestor_takes, acceptor_takes; /* largest PDU; DCMTK: 4096 to 131072 */
    /* The acceptor's mind, as hl_ul_handler.negotiate: contexts come as refused. */
    void (*decide)(struct hl_ul_params *params, struct hl_ul_reject *reject);
    const struct side_message *messages;
    size_t n_messages;
    enum side_end end;
};

/* An implementation. Accounts are lines of text, appended. */
struct side {
    const char *name;
    /* Listens on a free port of 127.0.0.1 for one association. NULL: could not. */
    void *(*listen)(const struct scenario *scenario, uint16_t *port);
    /* Waits for its end (10 s at most), tells what the acceptor saw and frees it. */
    void (*finish)(void *acceptor, struct hl_buf *account);
    /* The whole association; tells what the requestor saw. */
    void (*request)(const struct scenario *scenario, uint16_t port, struct hl_buf *account);
};
extern const struct side side_hilum, side_dcmtk;

/* ---- for implementations: the same words for the same facts -----------------------------------
 */

/* The proposal as it reached the acceptor. */
void side_tell_proposal(const struct hl_ul_params *params, struct hl_buf *out);
/* The answer as it reached the requestor. */
void side_tell_answer(const struct hl_ul_params *params, struct hl_buf *out);
void side_tell_reject(const struct hl_ul_reject *reject, struct hl_buf *out);
/* A command or a data set that came whole. */
void side_tell_part(uint8_t context, bool is_command, const struct hl_buf *bytes,
                    struct hl_buf *out);
/* "released", "aborted", or what went wrong. */
void side_tell_end(const char *end, struct hl_buf *out);
/* n bytes that differ by seed. */
void side_fill(struct hl_buf *out, size_t n, unsigned seed);

#ifdef __cplusplus
}
#endif
#endif
