/* The requestor: resolve, connect, negotiate, release. It knows no server and no DIMSE.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"
#include "core/dicom/ul/resolve.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where hl_ul_connect says 0. */
enum {
    CONNECT_MS = 10 * 1000,
    NEGOTIATE_MS = 30 * 1000,
    PDU_MS = 60 * 1000,
    WRITE_MS = 60 * 1000,
    CLOSE_MS = 1000 /* after the last PDU */
};

static uint32_t or_default(uint32_t value, uint32_t fallback)
{
    return value ? value : fallback;
}

/* ---- connection -------------------------------------------------------------------------------
 */

/* The address, not only the name: which of several failed matters. */
static hilum_rc connect_failed(const char *address, int reason)
{
    hilum_rc rc = reason == ETIMEDOUT ? HILUM_ETIMEDOUT : HILUM_EIO;
    return hl_fail(rc, "connect to %s: %s", address, strerror(reason));
}

/* A refused connection is also "ready"; SO_ERROR tells them apart. */
static bool await_connection(int fd, int64_t deadline)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int ready = -1;
    for (int64_t left; ready < 0 && (left = deadline - hl_mono_ms()) > 0;)
        ready = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left); /* again after a signal */
    return ready > 0;
}

/* Non-blocking connect, since a blocking one waits for the system's two minutes. */
static hilum_rc connect_one(const struct sockaddr_storage *to, uint16_t port, int64_t deadline,
                            int *out)
{
    char address[64];
    uint16_t ignored;
    socklen_t n =
        to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    hl_ul_address_text(to, address, sizeof address, &ignored);
    int fd = socket(to->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return connect_failed(address, errno);
    int reason = connect(fd, (const void *)to, n) == 0 ? 0 : errno;
    if (reason == EINPROGRESS) {
        socklen_t size = sizeof reason;
        reason = ETIMEDOUT;
        if (await_connection(fd, deadline))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &reason, &size);
    }
    if (reason) {
        close(fd);
        hilum_rc rc = connect_failed(address, reason);
        return hl_fail_in(rc, "port %u", port);
    }
    *out = fd;
    return HILUM_OK;
}

/* Each address gets its share of the time that is left: a first one that answers nothing must not
 * use up that of the next. */
static hilum_rc connect_any(const struct hl_ul_connect *how, int *out,
                            struct sockaddr_storage *peer)
{
    struct hl_ul_addresses found;
    int64_t deadline = hl_mono_ms() + or_default(how->connect_ms, CONNECT_MS);
    hilum_rc rc = hl_ul_resolve(how->host, how->port, deadline, &found);
    for (size_t i = 0; rc == HILUM_OK && i < found.n; i++) {
        int64_t now = hl_mono_ms();
        int64_t share = (deadline - now) / (int64_t)(found.n - i);
        rc = connect_one(&found.list[i], how->port, now + share, out);
        *peer = found.list[i];
        if (rc == HILUM_OK)
            break;
        if (i + 1 < found.n)
            rc = HILUM_OK;
    }
    return rc;
}

/* Steps until done; plain connections are done at the first. */
static hilum_rc handshake(struct hl_ul_assoc *assoc, int64_t deadline)
{
    for (;;) {
        int done = assoc->io.ops->handshake(&assoc->io);
        if (done == 1)
            return HILUM_OK;
        if (done != HL_UL_IO_AGAIN)
            return hl_ul_assoc_end(assoc, HL_UL_GONE, "TLS handshake: %s", hl_error());
        hilum_rc rc = hl_ul_assoc_wait(assoc, assoc->io.want, deadline);
        if (rc)
            return rc == HILUM_ETIMEDOUT
                       ? hl_ul_assoc_end(assoc, HL_UL_LATE, "TLS handshake not complete in time")
                       : rc;
    }
}

/* ---- negotiation ------------------------------------------------------------------------------
 */

/* The bytes held a passcode: wiped. */
static hilum_rc send_request(struct hl_ul_assoc *assoc, const struct hl_ul_params *propose)
{
    struct hl_buf pdu = {0};
    hl_ul_encode_rq(propose, assoc->max_pdu, &pdu);
    struct iovec iov = {pdu.data, pdu.len};
    hilum_rc rc = pdu.failed ? hl_fail(HILUM_EINVAL, "A-ASSOCIATE-RQ: too large or no memory")
                             : hl_ul_assoc_send(assoc, &iov, 1);
    if (pdu.data)
        explicit_bzero(pdu.data, pdu.len);
    hl_buf_fini(&pdu);
    hl_ul_io_quickack(&assoc->io);
    return rc;
}

/* The answer is bounded like a request; its length is checked before memory is taken. */
static hilum_rc take_accept(struct hl_ul_assoc *assoc, size_t n, int64_t deadline)
{
    if (n > HL_UL_MAX_ASSOCIATE)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE,
                                    "A-ASSOCIATE-AC longer than 1 MiB");
    uint8_t *body = malloc(n + 1);
    if (!body)
        return hl_fail(HILUM_ENOMEM, "A-ASSOCIATE-AC: out of memory");
    hilum_rc rc = hl_ul_assoc_read_exact(assoc, body, n, deadline);
    if (rc == HILUM_OK && hl_ul_parse_ac(body, n, &assoc->params))
        rc = hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, hl_error());
    free(body);
    return rc;
}

/* RJ and ABORT both end here, but only a rejection is an answer to what was asked:
 * HILUM_EDENIED. */
static hilum_rc take_refusal(struct hl_ul_assoc *assoc, uint8_t type, int64_t deadline)
{
    uint8_t body[4];
    char text[128];
    hilum_rc rc = hl_ul_assoc_read_exact(assoc, body, sizeof body, deadline);
    if (rc)
        return rc;
    if (type == HL_PDU_ABORT) {
        hl_ul_abort_text(body[2], body[3], text, sizeof text);
        return hl_ul_assoc_end(assoc, HL_UL_PEER_ABORTED, "aborted by the peer: %s", text);
    }
    assoc->rejection = (struct hl_ul_reject){body[1], body[2], body[3]};
    hl_ul_reject_text(&assoc->rejection, text, sizeof text);
    hl_ul_assoc_end(assoc, HL_UL_RELEASED, "association %s", text);
    return hl_fail(HILUM_EDENIED, "association %s", text);
}

/* State 5 of PS3.8 9.2: only an answer to the request may come. */
static hilum_rc take_answer(struct hl_ul_assoc *assoc, int64_t deadline)
{
    uint8_t head[HL_UL_HEAD];
    hilum_rc rc = hl_ul_assoc_read_exact(assoc, head, sizeof head, deadline);
    if (rc)
        return rc;
    switch (head[0]) {
    case HL_PDU_ASSOCIATE_AC: return take_accept(assoc, hl_ul_be32(head + 2), deadline);
    case HL_PDU_ASSOCIATE_RJ:
    case HL_PDU_ABORT: return take_refusal(assoc, head[0], deadline);
    case HL_PDU_ASSOCIATE_RQ:
    case HL_PDU_DATA:
    case HL_PDU_RELEASE_RQ:
    case HL_PDU_RELEASE_RP:
        return hl_ul_assoc_violated(assoc, HL_ABORT_UNEXPECTED_PDU,
                                    "another PDU instead of an answer to the request");
    default: return hl_ul_assoc_violated(assoc, HL_ABORT_UNRECOGNIZED_PDU, "unrecognized PDU type");
    }
}

/* One deadline over handshake, request and answer: a peer that drips uses it up. */
static hilum_rc negotiate(struct hl_ul_assoc *assoc, const struct hl_ul_connect *how)
{
    int64_t deadline = hl_mono_ms() + or_default(how->negotiate_ms, NEGOTIATE_MS);
    hilum_rc rc = handshake(assoc, deadline);
    if (rc)
        return rc;
    hl_ul_tls_describe(&assoc->io, &assoc->params);
    rc = send_request(assoc, how->propose);
    rc = rc ? rc : take_answer(assoc, deadline);
    if (rc == HILUM_OK)
        hl_ul_assoc_index(assoc);
    return rc;
}

/* A copy of what the caller asked for, with defaults, and never more than we hold ourselves to. */
static void take_limits(struct hl_ul_assoc *assoc, const struct hl_ul_connect *how)
{
    assoc->max_pdu = or_default(how->max_pdu, HL_UL_MAX_PDU_DEFAULT);
    if (assoc->max_pdu > HL_UL_MAX_PDU_CAP)
        assoc->max_pdu = HL_UL_MAX_PDU_CAP;
    assoc->pdu_ms = or_default(how->pdu_ms, PDU_MS);
    assoc->write_ms = or_default(how->write_ms, WRITE_MS);
    assoc->min_rate = how->min_rate;
}

/* Also for one that was never connected: `io` is zero then. */
static void free_assoc(struct hl_ul_assoc *assoc)
{
    hl_ul_io_close(&assoc->io);
    hl_ul_assoc_fini(assoc);
    free(assoc);
}

/* The proposal is copied first: an association outlives the caller's memory. */
static hilum_rc prepare(struct hl_ul_assoc *assoc, const struct hl_ul_connect *how)
{
    struct sockaddr_storage peer = {0};
    int fd = -1;
    hilum_rc rc = hl_ul_params_copy(how->propose, &assoc->params);
    rc = rc ? rc : connect_any(how, &fd, &peer);
    rc = rc ? rc : hl_ul_io_init(&assoc->io, fd, how->tls);
    if (rc)
        return rc;
    hl_ul_address_text(&peer, assoc->params.address, sizeof assoc->params.address,
                       &assoc->params.port);
    return how->tls ? hl_ul_tls_expect(&assoc->io, how->host) : HILUM_OK;
}

/* A failure that is the peer's protocol error still sends the A-ABORT it calls for; the reason
 * of the first failure is kept for the caller, whatever sending it does. */
hilum_rc hl_ul_open(const struct hl_ul_connect *how, struct hl_ul_assoc **out)
{
    struct hl_ul_assoc *assoc = calloc(1, sizeof *assoc);
    if (!assoc)
        return hl_fail(HILUM_ENOMEM, "association to %s: out of memory", how->host);
    take_limits(assoc, how);
    hilum_rc rc = prepare(assoc, how);
    if (rc == HILUM_OK) {
        rc = negotiate(assoc, how);
        if (rc && assoc->end != HL_UL_LIVE)
            hl_ul_assoc_send_abort(assoc);
    }
    if (rc == HILUM_OK) {
        *out = assoc;
        return HILUM_OK;
    }
    if (how->failure) {
        how->failure->reject = assoc->rejection;
        snprintf(how->failure->address, sizeof how->failure->address, "%s", assoc->params.address);
    }
    free_assoc(assoc);
    return hl_fail_in(rc, "association to %s:%u", how->host, how->port);
}

/* ---- end --------------------------------------------------------------------------------------
 */

/* Up to the peer's close: closing over unread bytes would reset the connection and lose our PDU. */
static void drain(struct hl_ul_assoc *assoc, int64_t deadline)
{
    uint8_t bytes[4096];
    shutdown(assoc->io.fd, SHUT_WR);
    while (hl_ul_assoc_wait(assoc, POLLIN, deadline) == HILUM_OK &&
           recv(assoc->io.fd, bytes, sizeof bytes, 0) > 0)
        ;
}

/* Asked between PDUs too: a read that finds bytes never waits, and so never meets its deadline. */
static bool is_in_time(struct hl_ul_assoc *assoc, int64_t deadline)
{
    if (hl_mono_ms() < deadline)
        return true;
    hl_ul_assoc_end(assoc, HL_UL_LATE, "the peer goes on sending instead of releasing");
    return false;
}

/* States 7, 9 and 11 of PS3.8 9.2: data still on its way is read and dropped; a release of the
 * peer's that crosses ours is answered. */
static void await_release(struct hl_ul_assoc *assoc, int64_t deadline)
{
    uint8_t head[HL_UL_HEAD], bytes[4096];
    size_t had = assoc->head_n; /* of a head, by a poll */
    memcpy(head, assoc->head, had);
    while (is_in_time(assoc, deadline) &&
           hl_ul_assoc_read_exact(assoc, head + had, sizeof head - had, deadline) == HILUM_OK) {
        size_t n = hl_ul_be32(head + 2);
        had = 0;
        if (head[0] == HL_PDU_RELEASE_RP || head[0] == HL_PDU_ABORT)
            return;
        if (head[0] == HL_PDU_RELEASE_RQ)
            hl_ul_assoc_send_short(assoc, HL_PDU_RELEASE_RP, 0, 0, 0);
        else if (head[0] != HL_PDU_DATA || n > assoc->max_pdu)
            hl_ul_assoc_violated(assoc, HL_ABORT_UNEXPECTED_PDU, "unexpected PDU while releasing");
        while (assoc->end == HL_UL_LIVE && n > 0) {
            size_t now = n < sizeof bytes ? n : sizeof bytes;
            hl_ul_assoc_read_exact(assoc, bytes, now, deadline);
            n -= now;
        }
        if (assoc->end)
            return;
    }
}

/* The rest of what was read in part: the answer to the release is looked for at a PDU's start. */
static void skip_rest(struct hl_ul_assoc *assoc, int64_t deadline)
{
    struct hl_ul_pdv pdv;
    while (assoc->end == HL_UL_LIVE && (assoc->pdu_left > 0 || assoc->in_start < assoc->in_end) &&
           is_in_time(assoc, deadline))
        (void)hl_ul_read(assoc, &pdv); /* what goes wrong ends the association */
}

/* At most pdu_ms in all. The connection is closed whether or not the peer answered: nothing it
 * says later matters. */
void hl_ul_release(struct hl_ul_assoc *assoc)
{
    if (!assoc)
        return;
    int64_t deadline = hl_mono_ms() + assoc->pdu_ms; /* over all of it, whatever the peer does */
    skip_rest(assoc, deadline);
    if (assoc->end == HL_UL_LIVE) {
        hl_ul_assoc_send_short(assoc, HL_PDU_RELEASE_RQ, 0, 0, 0);
        hl_ul_io_quickack(&assoc->io);
        await_release(assoc, deadline);
    }
    if (assoc->end)
        hl_ul_assoc_send_abort(assoc);
    free_assoc(assoc);
}

void hl_ul_abort(struct hl_ul_assoc *assoc)
{
    if (!assoc)
        return;
    hl_ul_assoc_send_abort(assoc);
    if (assoc->end != HL_UL_GONE && assoc->end != HL_UL_PEER_ABORTED)
        drain(assoc, hl_mono_ms() + CLOSE_MS);
    free_assoc(assoc);
}
