/* What the files of the upper layer share: an association's insides, the I/O table, PDU encoders.
 * Included by core/dicom/ul and its tests only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_UL_INTERNAL_H
#define HL_UL_INTERNAL_H

#include "core/base/buf.h"
#include "core/dicom/ul/ul.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* PDU types (PS3.8 9.3.1). */
enum {
    HL_PDU_ASSOCIATE_RQ = 1,
    HL_PDU_ASSOCIATE_AC,
    HL_PDU_ASSOCIATE_RJ,
    HL_PDU_DATA,
    HL_PDU_RELEASE_RQ,
    HL_PDU_RELEASE_RP,
    HL_PDU_ABORT
};

/* A-ABORT source and provider reasons (PS3.8 9.3.8). */
enum { HL_ABORT_BY_USER = 0, HL_ABORT_BY_PROVIDER = 2 };
enum {
    HL_ABORT_NOT_SPECIFIED = 0,
    HL_ABORT_UNRECOGNIZED_PDU = 1,
    HL_ABORT_UNEXPECTED_PDU = 2,
    HL_ABORT_INVALID_VALUE = 6
};

enum {
    HL_UL_HEAD = 6,                     /* type, reserved, 4 bytes of length */
    HL_UL_SHORT_PDU = 10,               /* RJ, RELEASE-RQ/RP, ABORT */
    HL_UL_MAX_ASSOCIATE = 1024 * 1024,  /* largest A-ASSOCIATE body read */
    HL_UL_MAX_PDU_DEFAULT = 131072 + 6, /* 128 KiB of data and one PDV head */
    HL_UL_MAX_PDU_CAP = 1024 * 1024,    /* largest we announce */
    HL_UL_SEND_PDU_UNLIMITED = 131072,  /* sent to a peer that states no limit */
    HL_UL_SEND_PDU_CAP = 256 * 1024,    /* sent at most, whatever the peer takes */
    HL_UL_READ_BUFFER = 64 * 1024,
    HL_UL_MIRROR = 64 /* bytes 11-74 of the RQ, repeated in the AC */
};

/* ---- I/O: plain and TLS behind one table ------------------------------------------------------
 */

enum hl_ul_io_result { HL_UL_IO_EOF = 0, HL_UL_IO_AGAIN = -1, HL_UL_IO_FAILED = -2 };

struct hl_ul_io;
/* All are non-blocking. A result above 0 is a number of bytes; AGAIN sets io->want; FAILED leaves
 * its reason in hl_error(). */
struct hl_ul_io_ops {
    ssize_t (*read)(struct hl_ul_io *io, void *out, size_t n);
    ssize_t (*write)(struct hl_ul_io *io, const struct iovec *iov, int n);
    int (*handshake)(struct hl_ul_io *io); /* 1 when done */
    void (*finish)(struct hl_ul_io *io);   /* says goodbye and frees all but the descriptor */
};

struct hl_ul_io {
    const struct hl_ul_io_ops *ops;
    int fd;
    short want;   /* POLLIN or POLLOUT */
    bool is_more; /* more follows at once: the kernel may wait for it, 200 ms at most */
    void *ssl;
    struct hl_ul_tls *tls;
};

/* Takes the descriptor over; non-blocking, TCP_NODELAY, keep-alive. tls NULL: plain. */
hilum_rc hl_ul_io_init(struct hl_ul_io *io, int fd, struct hl_ul_tls *tls);
/* Answers small segments at once from now on; the kernel forgets it at the next send. */
void hl_ul_io_quickack(const struct hl_ul_io *io);
/* Goodbye and close. An io never opened (ops NULL) is fine. */
void hl_ul_io_close(struct hl_ul_io *io);
/* TLS half of hl_ul_io_init. */
hilum_rc hl_ul_tls_attach(struct hl_ul_io *io, struct hl_ul_tls *tls);
/* Names the peer to verify (requestor, before the handshake). */
hilum_rc hl_ul_tls_expect(struct hl_ul_io *io, const char *host);
/* is_tls and the certificate of the peer, after the handshake. */
void hl_ul_tls_describe(const struct hl_ul_io *io, struct hl_ul_params *params);

/* Peer's numeric address without the IPv4-mapped prefix, and port. */
void hl_ul_address_text(const struct sockaddr_storage *from, char *text, size_t size,
                        uint16_t *port);

/* ---- an association ---------------------------------------------------------------------------
 */

/* Why nothing more can be read or written. */
enum hl_ul_end {
    HL_UL_LIVE,
    HL_UL_RELEASED,
    HL_UL_PEER_ABORTED,
    HL_UL_GONE,     /* the connection broke */
    HL_UL_LATE,     /* a deadline passed */
    HL_UL_VIOLATED, /* the peer broke the protocol */
    HL_UL_CANCELLED /* the server stops */
};

struct hl_ul_rate {
    int64_t waited_ms; /* spent waiting for the peer only */
    uint64_t bytes;
};

enum { HL_UL_HELD_MAX = 512 };

struct hl_ul_assoc {
    struct hl_ul_io io;
    struct hl_ul_params params;
    uint8_t accepted[128]; /* by context id / 2: index into params.contexts + 1 */
    uint32_t max_pdu, pdu_ms, write_ms, min_rate;
    uint8_t head[HL_UL_HEAD], head_n; /* the next PDU's head as far as it has come */
    bool in_pdv, in_fragments;        /* inside a PDV; between fragments of one message part */
    uint8_t pdv_id, pdv_flags;
    uint8_t abort_reason;
    uint32_t pdu_left, pdv_left;
    int64_t pdu_deadline, left_at; /* left_at: when a read returned in the middle of a PDU */
    uint8_t *in;                   /* read buffer; NULL while parked */
    uint32_t in_start, in_end;
    struct hl_ul_rate in_rate, out_rate;
    uint8_t held[HL_UL_HELD_MAX]; /* a command's PDU that goes out with its data set's first */
    uint32_t held_n;
    atomic_bool cancelled;
    void (*waits)(void *arg,
                  bool is_waiting); /* told around every wait for the peer; may be NULL */
    void *waits_arg;
    enum hl_ul_end end;
    struct hl_ul_reject rejection; /* requestor: of the peer's A-ASSOCIATE-RJ */
    char why[160];
};

/* Ends the association for the layer: records the first reason and returns the fitting rc. */
hilum_rc hl_ul_assoc_end(struct hl_ul_assoc *assoc, enum hl_ul_end end, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* VIOLATED with the reason an A-ABORT will carry. */
hilum_rc hl_ul_assoc_violated(struct hl_ul_assoc *assoc, uint8_t reason, const char *what);
/* Index of accepted contexts, after negotiation. */
void hl_ul_assoc_index(struct hl_ul_assoc *assoc);
/* Waits for `events` until the deadline (monotonic ms). */
hilum_rc hl_ul_assoc_wait(struct hl_ul_assoc *assoc, short events, int64_t deadline);
/* Exactly n bytes past any buffer: for PDUs of the negotiation. */
hilum_rc hl_ul_assoc_read_exact(struct hl_ul_assoc *assoc, void *out, size_t n, int64_t deadline);
/* All of iov (which is changed), with the write deadline. */
hilum_rc hl_ul_assoc_send(struct hl_ul_assoc *assoc, struct iovec *iov, int n);
/* Sends a command that waits for its data set, if there is one. */
hilum_rc hl_ul_assoc_flush(struct hl_ul_assoc *assoc);
/* A 10-byte PDU, best effort, never blocks. */
void hl_ul_assoc_send_short(struct hl_ul_assoc *assoc, uint8_t type, uint8_t result, uint8_t source,
                            uint8_t reason);
/* Sends the A-ABORT that the end calls for, if any. */
void hl_ul_assoc_send_abort(struct hl_ul_assoc *assoc);
/* Looks at the next PDU's head without blocking: 1 a P-DATA-TF began, 0 not enough bytes yet,
 * negative: over (a release was answered, an abort noted, a violation recorded). */
hilum_rc hl_ul_assoc_peek(struct hl_ul_assoc *assoc);
/* Gives the read buffer back; only when it holds nothing. */
void hl_ul_assoc_shrink(struct hl_ul_assoc *assoc);
/* Everything but the descriptor, which `io` keeps. */
void hl_ul_assoc_fini(struct hl_ul_assoc *assoc);

/* ---- PDUs -------------------------------------------------------------------------------------
 */

/* Body of an A-ASSOCIATE-RQ. Well formed but not acceptable (version, application context): OK with
 * *reject filled. */
hilum_rc hl_ul_parse_rq(const uint8_t *body, size_t n, struct hl_ul_params *out,
                        struct hl_ul_reject *reject);
/* Body of an A-ASSOCIATE-AC, put into the proposal in `params`. */
hilum_rc hl_ul_parse_ac(const uint8_t *body, size_t n, struct hl_ul_params *params);

void hl_ul_encode_rq(const struct hl_ul_params *params, uint32_t max_pdu, struct hl_buf *out);
/* `mirror`: bytes 11-74 of the RQ (HL_UL_MIRROR of them), or NULL to build them from params. */
void hl_ul_encode_ac(const struct hl_ul_params *params, const uint8_t *mirror, uint32_t max_pdu,
                     struct hl_buf *out);
void hl_ul_encode_short(uint8_t out[HL_UL_SHORT_PDU], uint8_t type, uint8_t result, uint8_t source,
                        uint8_t reason);

/* Deep copy of what a requestor proposes. */
hilum_rc hl_ul_params_copy(const struct hl_ul_params *from, struct hl_ul_params *out);

/* "permanently rejected by the service user: called AE title not recognized (1/1/7)". */
void hl_ul_reject_text(const struct hl_ul_reject *reject, char *out, size_t size);
/* "provider, unexpected PDU (2/2)". */
void hl_ul_abort_text(uint8_t source, uint8_t reason, char *out, size_t size);

static inline uint32_t hl_ul_be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint16_t hl_ul_be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline void hl_ul_put32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 24);
    p[1] = (uint8_t)(value >> 16);
    p[2] = (uint8_t)(value >> 8);
    p[3] = (uint8_t)value;
}

#endif
