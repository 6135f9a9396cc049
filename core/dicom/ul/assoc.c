/* One association after negotiation: P-DATA in pieces as bytes arrive, P-DATA out, deadlines on
 * progress. It knows no server, no thread and no DIMSE.
 *
 * One thread at a time uses an association; only `cancelled` is set from elsewhere. Invariant of
 * reading: head_n > 0 means between PDUs with a part of the next head, pdu_left > 0 means inside
 * a P-DATA-TF of which that many bytes are still to be read, and in_pdv that pdv_left of them
 * belong to the PDV begun last. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    PDV_HEAD = 6,      /* 4 bytes of length, context id, message control header */
    PDUS_AT_ONCE = 16, /* in one sendmsg */
    MESSAGE_IS_COMMAND = 1,
    MESSAGE_IS_LAST = 2 /* PS3.8 E.2 */
};

/* ---- ends -------------------------------------------------------------------------------------
 */

/* An ended association answers every later call alike, so that a user of the layer who missed the
 * first failure meets it again. */
static hilum_rc end_rc(const struct hl_ul_assoc *assoc)
{
    static const hilum_rc codes[] = {
        [HL_UL_LIVE] = HILUM_OK,
        [HL_UL_RELEASED] = HILUM_ECLOSED,
        [HL_UL_PEER_ABORTED] = HILUM_ECLOSED,
        [HL_UL_GONE] = HILUM_ECLOSED,
        [HL_UL_LATE] = HILUM_ETIMEDOUT,
        [HL_UL_VIOLATED] = HILUM_EINVAL,
        [HL_UL_CANCELLED] = HILUM_ECLOSED,
    };
    return hl_fail(codes[assoc->end], "%s", assoc->why);
}

/* The first reason stays: what fails afterwards (a write on the broken socket) is a consequence. */
hilum_rc hl_ul_assoc_end(struct hl_ul_assoc *assoc, enum hl_ul_end end, const char *format, ...)
{
    if (assoc->end == HL_UL_LIVE) {
        va_list args;
        va_start(args, format);
        vsnprintf(assoc->why, sizeof assoc->why, format, args);
        va_end(args);
        assoc->end = end;
    }
    return end_rc(assoc);
}

hilum_rc hl_ul_assoc_violated(struct hl_ul_assoc *assoc, uint8_t reason, const char *what)
{
    assoc->abort_reason = reason;
    return hl_ul_assoc_end(assoc, HL_UL_VIOLATED, "protocol violation: %s", what);
}

/* Every PDV names its context: a look-up among 128 would be paid per PDV. */
void hl_ul_assoc_index(struct hl_ul_assoc *assoc)
{
    for (size_t i = 0; i < assoc->params.n_contexts; i++)
        if (assoc->params.contexts[i].result == HL_UL_ACCEPTED)
            assoc->accepted[assoc->params.contexts[i].id / 2] = (uint8_t)(i + 1);
}

const struct hl_ul_params *hl_ul_params(const struct hl_ul_assoc *assoc)
{
    return &assoc->params;
}

const char *hl_ul_why(const struct hl_ul_assoc *assoc)
{
    return assoc->why;
}

/* Ids are odd (PS3.8 9.3.2.2), so half of one is its index. */
const struct hl_ul_context *hl_ul_context(const struct hl_ul_assoc *assoc, uint8_t id)
{
    uint8_t index = id % 2 ? assoc->accepted[id / 2] : 0;
    return index ? &assoc->params.contexts[index - 1] : NULL;
}

void hl_ul_assoc_fini(struct hl_ul_assoc *assoc)
{
    hl_ul_params_fini(&assoc->params);
    free(assoc->in);
    assoc->in = NULL;
}

/* ---- waiting ----------------------------------------------------------------------------------
 */

/* HILUM_ETIMEDOUT does not end the association: what being late means is for the caller to say. */
static hilum_rc wait_quietly(struct hl_ul_assoc *assoc, short events, int64_t deadline)
{
    for (;;) {
        if (atomic_load_explicit(&assoc->cancelled, memory_order_relaxed))
            return hl_ul_assoc_end(assoc, HL_UL_CANCELLED, "the server stops");
        int64_t left = deadline - hl_mono_ms();
        if (left <= 0)
            return HILUM_ETIMEDOUT;
        struct pollfd poll_fd = {.fd = assoc->io.fd, .events = events};
        int ready = poll(&poll_fd, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (ready > 0)
            return HILUM_OK;
        if (ready < 0 && errno != EINTR)
            return hl_ul_assoc_end(assoc, HL_UL_GONE, "poll: %s", strerror(errno));
    }
}

void hl_ul_wait_elsewhere(struct hl_ul_assoc *assoc, bool is_waiting)
{
    if (assoc->waits)
        assoc->waits(assoc->waits_arg, is_waiting);
}

/* Every wait for the peer goes through here, so that a pool gets its place back meanwhile. */
hilum_rc hl_ul_assoc_wait(struct hl_ul_assoc *assoc, short events, int64_t deadline)
{
    hl_ul_wait_elsewhere(assoc, true);
    hilum_rc rc = wait_quietly(assoc, events, deadline);
    hl_ul_wait_elsewhere(assoc, false);
    return rc;
}

/* A rate is judged once `grace` ms were spent waiting; time the user of the layer takes is not
 * the peer's. */
static bool is_too_slow(const struct hl_ul_assoc *assoc, const struct hl_ul_rate *rate,
                        uint32_t grace)
{
    return assoc->min_rate && rate->waited_ms > grace &&
           (int64_t)rate->bytes * 1000 < (int64_t)assoc->min_rate * rate->waited_ms;
}

/* Only waiting inside a command or a data set counts for the rate: between an answer and the next
 * request a peer may take its time, and idle_ms or the user of the layer bounds that. */
static hilum_rc wait_to_read(struct hl_ul_assoc *assoc, int64_t deadline)
{
    int64_t start = hl_mono_ms();
    /* A peer with Nagle on holds its next bytes back until these are acknowledged. */
    hl_ul_io_quickack(&assoc->io);
    hilum_rc rc = hl_ul_assoc_wait(assoc, assoc->io.want, deadline);
    bool is_mid_message = assoc->pdu_left > 0 || assoc->in_fragments;
    if (is_mid_message)
        assoc->in_rate.waited_ms += hl_mono_ms() - start;
    if (rc == HILUM_ETIMEDOUT)
        return hl_ul_assoc_end(assoc, HL_UL_LATE, "%s",
                               assoc->pdu_left > 0 || assoc->head_n > 0
                                   ? "a PDU did not complete in time"
                                   : "no PDU came in time");
    if (rc == HILUM_OK && is_mid_message && is_too_slow(assoc, &assoc->in_rate, assoc->pdu_ms))
        return hl_ul_assoc_end(assoc, HL_UL_LATE, "data arrives below %u bytes a second",
                               assoc->min_rate);
    return rc;
}

/* An orderly end without A-RELEASE is as much a loss of the association as a reset (AA-4). */
static hilum_rc read_ended(struct hl_ul_assoc *assoc, ssize_t result)
{
    if (result == HL_UL_IO_EOF)
        return hl_ul_assoc_end(assoc, HL_UL_GONE, "connection closed without release");
    return hl_ul_assoc_end(assoc, HL_UL_GONE, "read: %s", hl_error());
}

/* Reads no byte more than asked: what follows an A-ASSOCIATE PDU belongs to the buffered reader. */
hilum_rc hl_ul_assoc_read_exact(struct hl_ul_assoc *assoc, void *out, size_t n, int64_t deadline)
{
    uint8_t *at = out;
    while (n > 0) {
        ssize_t got = assoc->io.ops->read(&assoc->io, at, n);
        if (got == HL_UL_IO_AGAIN) {
            hilum_rc rc = hl_ul_assoc_wait(assoc, assoc->io.want, deadline);
            if (rc)
                return rc == HILUM_ETIMEDOUT
                           ? hl_ul_assoc_end(assoc, HL_UL_LATE, "no complete answer in time")
                           : rc;
            continue;
        }
        if (got <= 0)
            return read_ended(assoc, got);
        at += got;
        n -= (size_t)got;
    }
    return HILUM_OK;
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* Bytes read from the socket and not yet looked at. */
static uint32_t buffered(const struct hl_ul_assoc *assoc)
{
    return assoc->in_end - assoc->in_start;
}

/* One read into the buffer's free end. 1: bytes came, 0: none now. */
static hilum_rc fill_now(struct hl_ul_assoc *assoc)
{
    if (atomic_load_explicit(&assoc->cancelled, memory_order_relaxed))
        return hl_ul_assoc_end(assoc, HL_UL_CANCELLED, "the server stops");
    if (!assoc->in)
        assoc->in = malloc(HL_UL_READ_BUFFER);
    if (!assoc->in)
        return hl_ul_assoc_end(assoc, HL_UL_GONE, "read buffer: out of memory");
    /* Only a PDV head must lie in one piece; data is handed out wherever it is. So at most five
     * bytes are ever moved. */
    if (assoc->in_start == assoc->in_end) {
        assoc->in_start = assoc->in_end = 0;
    } else if (HL_UL_READ_BUFFER - assoc->in_end < PDV_HEAD) {
        memmove(assoc->in, assoc->in + assoc->in_start, buffered(assoc));
        assoc->in_end -= assoc->in_start;
        assoc->in_start = 0;
    }
    ssize_t got = assoc->io.ops->read(&assoc->io, assoc->in + assoc->in_end,
                                      HL_UL_READ_BUFFER - assoc->in_end);
    if (got == HL_UL_IO_AGAIN)
        return 0;
    if (got <= 0)
        return read_ended(assoc, got);
    assoc->in_end += (uint32_t)got;
    assoc->in_rate.bytes += (uint64_t)got;
    return 1;
}

/* Inside a PDU its deadline counts; between PDUs the next one must begin within the same time. */
static hilum_rc fill(struct hl_ul_assoc *assoc)
{
    bool in_pdu = assoc->pdu_left > 0 || assoc->head_n > 0;
    int64_t deadline = in_pdu ? assoc->pdu_deadline : hl_mono_ms() + assoc->pdu_ms;
    for (;;) {
        hilum_rc rc = fill_now(assoc);
        if (rc)
            return rc;
        rc = wait_to_read(assoc, deadline);
        if (rc)
            return rc;
    }
}

/* The abort's source and reason, if they came along with its head. */
static hilum_rc note_abort(struct hl_ul_assoc *assoc)
{
    uint8_t body[4];
    char text[64];
    ssize_t got = -1;
    if (buffered(assoc) >= sizeof body) {
        memcpy(body, assoc->in + assoc->in_start, sizeof body);
        got = sizeof body;
    } else if (buffered(assoc) == 0) {
        got = assoc->io.ops->read(&assoc->io, body, sizeof body);
    }
    if (got != sizeof body)
        return hl_ul_assoc_end(assoc, HL_UL_PEER_ABORTED, "aborted by the peer");
    hl_ul_abort_text(body[2], body[3], text, sizeof text);
    return hl_ul_assoc_end(assoc, HL_UL_PEER_ABORTED, "aborted by the peer: %s", text);
}

/* The length is believed only up to what we announced: a PDU of 2 GB ends here, before its body. */
static hilum_rc begin_data(struct hl_ul_assoc *assoc)
{
    uint32_t n = hl_ul_be32(assoc->head + 2);
    if (n > assoc->max_pdu)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE,
                                    "P-DATA-TF longer than the maximum announced");
    if (n < PDV_HEAD)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, "P-DATA-TF without a PDV");
    assoc->head_n = 0;
    assoc->left_at = 0;
    assoc->pdu_left = n;
    return 1;
}

/* State 6 of PS3.8 9.2, data transfer: what each PDU type means there. 1: P-DATA-TF. */
static hilum_rc begin_pdu(struct hl_ul_assoc *assoc)
{
    switch (assoc->head[0]) {
    case HL_PDU_DATA: return begin_data(assoc);
    case HL_PDU_RELEASE_RQ:
        hl_ul_assoc_send_short(assoc, HL_PDU_RELEASE_RP, 0, 0, 0);
        return hl_ul_assoc_end(assoc, HL_UL_RELEASED, "released");
    case HL_PDU_ABORT: return note_abort(assoc);
    case HL_PDU_ASSOCIATE_RQ:
    case HL_PDU_ASSOCIATE_AC:
    case HL_PDU_ASSOCIATE_RJ:
    case HL_PDU_RELEASE_RP:
        return hl_ul_assoc_violated(assoc, HL_ABORT_UNEXPECTED_PDU,
                                    "association or release PDU inside an association");
    default: return hl_ul_assoc_violated(assoc, HL_ABORT_UNRECOGNIZED_PDU, "unrecognized PDU type");
    }
}

/* The deadline of a PDU starts with its first byte. 1: the head is whole. */
static bool take_head(struct hl_ul_assoc *assoc)
{
    uint32_t n = buffered(assoc);
    if (n > (uint32_t)(HL_UL_HEAD - assoc->head_n))
        n = (uint32_t)(HL_UL_HEAD - assoc->head_n);
    if (n > 0 && assoc->head_n == 0)
        assoc->pdu_deadline = hl_mono_ms() + assoc->pdu_ms;
    if (n > 0)
        memcpy(assoc->head + assoc->head_n, assoc->in + assoc->in_start, n);
    assoc->head_n = (uint8_t)(assoc->head_n + n);
    assoc->in_start += n;
    return assoc->head_n == HL_UL_HEAD;
}

/* The user's own time between two reads is not the peer's and moves the deadline of the PDU. */
static void pause_deadline(struct hl_ul_assoc *assoc, bool is_leaving)
{
    if (assoc->pdu_left == 0)
        return;
    int64_t now = hl_mono_ms();
    if (is_leaving)
        assoc->left_at = now;
    else if (assoc->left_at)
        assoc->pdu_deadline += now - assoc->left_at;
}

/* Also the loop thread's, for parked associations: it must neither wait nor take memory here. */
hilum_rc hl_ul_assoc_peek(struct hl_ul_assoc *assoc)
{
    if (assoc->end)
        return end_rc(assoc);
    while (!take_head(assoc)) {
        /* Without a buffer, as in a parked association: no more than the head is read. */
        uint8_t *at = assoc->head + assoc->head_n;
        ssize_t got = assoc->io.ops->read(&assoc->io, at, (size_t)(HL_UL_HEAD - assoc->head_n));
        if (got == HL_UL_IO_AGAIN)
            return 0;
        if (got <= 0)
            return read_ended(assoc, got);
        if (assoc->head_n == 0)
            assoc->pdu_deadline = hl_mono_ms() + assoc->pdu_ms;
        assoc->head_n = (uint8_t)(assoc->head_n + got);
    }
    hilum_rc rc = begin_pdu(assoc);
    pause_deadline(assoc, true);
    return rc;
}

/* A parked association costs its facts and no buffer: thousands may idle. */
void hl_ul_assoc_shrink(struct hl_ul_assoc *assoc)
{
    if (buffered(assoc) > 0)
        return;
    free(assoc->in);
    assoc->in = NULL;
    assoc->in_start = assoc->in_end = 0;
}

/* PS3.8 9.3.5.1: the item length counts the context id and the message control header. */
static hilum_rc check_pdv(struct hl_ul_assoc *assoc, uint32_t n, uint8_t flags)
{
    if (n < 2)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, "PDV shorter than its head");
    if (n > assoc->pdu_left - 4)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, "PDV longer than its PDU");
    /* PS3.8 E.1: fragments hold an even number of bytes. A data set of odd length can but end in
     * an odd one, and what a data set holds is for those above to judge. */
    bool may_be_odd = (flags & MESSAGE_IS_LAST) && !(flags & MESSAGE_IS_COMMAND);
    if (n % 2 && !may_be_odd)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, "PDV of odd length");
    return HILUM_OK;
}

/* The head may be split over segments, and over TLS records. */
static hilum_rc begin_pdv(struct hl_ul_assoc *assoc)
{
    if (assoc->pdu_left < PDV_HEAD)
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE, "PDU with a cut PDV head");
    while (buffered(assoc) < PDV_HEAD) {
        hilum_rc rc = fill(assoc);
        if (rc < 0)
            return rc;
    }
    const uint8_t *head = assoc->in + assoc->in_start;
    hilum_rc rc = check_pdv(assoc, hl_ul_be32(head), head[5]);
    if (rc)
        return rc;
    assoc->pdv_left = hl_ul_be32(head) - 2;
    assoc->pdv_id = head[4];
    assoc->pdv_flags = head[5];
    assoc->in_start += PDV_HEAD;
    assoc->pdu_left -= PDV_HEAD;
    if (!hl_ul_context(assoc, assoc->pdv_id))
        return hl_ul_assoc_violated(assoc, HL_ABORT_INVALID_VALUE,
                                    "PDV on a presentation context that was not accepted");
    assoc->in_pdv = true;
    return HILUM_OK;
}

/* Leaves the association inside a PDV. */
static hilum_rc next_pdv(struct hl_ul_assoc *assoc)
{
    while (assoc->pdu_left == 0) {
        if (!take_head(assoc)) {
            hilum_rc rc = fill(assoc);
            if (rc < 0)
                return rc;
            continue;
        }
        hilum_rc rc = begin_pdu(assoc);
        if (rc < 0)
            return rc;
    }
    return begin_pdv(assoc);
}

/* The last fragment ends the command or the data set, and with it the span the rate is judged
 * over. */
static void end_pdv(struct hl_ul_assoc *assoc)
{
    assoc->in_pdv = false;
    assoc->in_fragments = !(assoc->pdv_flags & MESSAGE_IS_LAST);
    if (!assoc->in_fragments)
        assoc->in_rate = (struct hl_ul_rate){0};
}

/* is_last only with the last byte: a large PDV comes in several pieces, and a user that commits on
 * is_last must not do so early. */
static void take_piece(struct hl_ul_assoc *assoc, struct hl_ul_pdv *out)
{
    uint32_t n = buffered(assoc) < assoc->pdv_left ? buffered(assoc) : assoc->pdv_left;
    *out = (struct hl_ul_pdv){.context_id = assoc->pdv_id,
                              .is_command = assoc->pdv_flags & MESSAGE_IS_COMMAND,
                              .data = assoc->in + assoc->in_start,
                              .length = n};
    assoc->in_start += n;
    assoc->pdv_left -= n;
    assoc->pdu_left -= n;
    if (assoc->pdv_left > 0)
        return;
    out->is_last = assoc->pdv_flags & MESSAGE_IS_LAST;
    end_pdv(assoc);
}

hilum_rc hl_ul_read(struct hl_ul_assoc *assoc, struct hl_ul_pdv *out)
{
    if (assoc->end)
        return end_rc(assoc);
    hilum_rc rc = hl_ul_assoc_flush(assoc);
    if (rc)
        return rc;
    pause_deadline(assoc, false);
    do {
        rc = assoc->in_pdv ? HILUM_OK : next_pdv(assoc);
        if (rc)
            return rc;
        if (assoc->pdv_left > 0 && buffered(assoc) == 0)
            rc = fill(assoc);
        if (rc < 0)
            return rc;
        take_piece(assoc, out);
    } while (out->length == 0 && !out->is_last); /* an empty fragment says nothing */
    pause_deadline(assoc, true);
    return HILUM_OK;
}

/* Looks into the head of the next PDU: a release or an abort is the connection's end, not something
 * to read. */
hilum_rc hl_ul_poll(struct hl_ul_assoc *assoc, uint32_t ms)
{
    if (assoc->end)
        return end_rc(assoc);
    if (assoc->pdu_left > 0)
        return 1;
    int64_t deadline = hl_mono_ms() + ms;
    hilum_rc rc = hl_ul_assoc_flush(assoc);
    if (rc)
        return rc;
    for (;;) {
        rc = buffered(assoc) > 0 ? 1 : fill_now(assoc);
        if (rc == 1)
            rc = hl_ul_assoc_peek(assoc);
        if (rc || ms == 0)
            return rc;
        hl_ul_io_quickack(&assoc->io);
        rc = hl_ul_assoc_wait(assoc, assoc->io.want, deadline);
        if (rc)
            return rc == HILUM_ETIMEDOUT ? 0 : rc;
    }
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* sendmsg stops anywhere, also in the middle of a head. */
static void skip_sent(struct iovec **iov, int *n, size_t sent)
{
    while (*n > 0 && sent >= (*iov)->iov_len) {
        sent -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + sent;
        (*iov)->iov_len -= sent;
    }
}

/* Bytes in the kernel that the peer has not acknowledged. */
static uint64_t unacknowledged(const struct hl_ul_assoc *assoc)
{
    int n = 0;
    return ioctl(assoc->io.fd, SIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n : 0;
}

/* A socket turns writable again only when a third of its buffer is free: megabytes, on a fast
 * network. Whether the peer takes anything is seen in what it acknowledges. */
static hilum_rc wait_to_write(struct hl_ul_assoc *assoc)
{
    uint64_t before = unacknowledged(assoc), after;
    int64_t start = hl_mono_ms();
    hilum_rc rc = hl_ul_assoc_wait(assoc, assoc->io.want, start + assoc->write_ms);
    assoc->out_rate.waited_ms += hl_mono_ms() - start;
    after = unacknowledged(assoc);
    if (rc == HILUM_ETIMEDOUT && after < before)
        rc = HILUM_OK;
    if (rc == HILUM_ETIMEDOUT)
        return hl_ul_assoc_end(assoc, HL_UL_LATE, "the peer takes no data");
    struct hl_ul_rate taken = assoc->out_rate;
    taken.bytes -= after < taken.bytes ? after : taken.bytes;
    if (rc == HILUM_OK && is_too_slow(assoc, &taken, assoc->write_ms))
        return hl_ul_assoc_end(assoc, HL_UL_LATE, "the peer takes data below %u bytes a second",
                               assoc->min_rate);
    return rc;
}

/* Nothing is copied: heads and the caller's memory go to the kernel as they lie. */
hilum_rc hl_ul_assoc_send(struct hl_ul_assoc *assoc, struct iovec *iov, int n)
{
    while (n > 0) {
        ssize_t sent = assoc->io.ops->write(&assoc->io, iov, n);
        if (sent == HL_UL_IO_FAILED || sent == HL_UL_IO_EOF)
            return hl_ul_assoc_end(assoc, HL_UL_GONE, "write: %s", hl_error());
        if (sent == HL_UL_IO_AGAIN) {
            hilum_rc rc = wait_to_write(assoc);
            if (rc)
                return rc;
            continue;
        }
        assoc->out_rate.bytes += (uint64_t)sent;
        skip_sent(&iov, &n, (size_t)sent);
    }
    return HILUM_OK;
}

/* Ten bytes fit into any socket buffer that is worth waiting for: a peer that has filled its own
 * will not see a goodbye anyway, and the loop thread must not wait. */
void hl_ul_assoc_send_short(struct hl_ul_assoc *assoc, uint8_t type, uint8_t result, uint8_t source,
                            uint8_t reason)
{
    uint8_t pdu[HL_UL_SHORT_PDU];
    hl_ul_encode_short(pdu, type, result, source, reason);
    struct iovec iov = {pdu, sizeof pdu};
    assoc->io.ops->write(&assoc->io, &iov, 1);
}

/* Nothing follows an abort of the peer's, a release or a broken connection (PS3.8 9.2, AA-3,
 * AR-3). */
void hl_ul_assoc_send_abort(struct hl_ul_assoc *assoc)
{
    switch (assoc->end) {
    case HL_UL_LIVE: hl_ul_assoc_send_short(assoc, HL_PDU_ABORT, 0, HL_ABORT_BY_USER, 0); break;
    case HL_UL_LATE:
    case HL_UL_VIOLATED:
    case HL_UL_CANCELLED:
        hl_ul_assoc_send_short(assoc, HL_PDU_ABORT, 0, HL_ABORT_BY_PROVIDER, assoc->abort_reason);
        break;
    default: break;
    }
}

/* Data bytes in one PDU: what the peer takes less the PDV head, even, and bounded. */
static size_t fragment_size(const struct hl_ul_assoc *assoc)
{
    uint32_t max = assoc->params.max_pdu ? assoc->params.max_pdu : HL_UL_SEND_PDU_UNLIMITED;
    if (max > HL_UL_SEND_PDU_CAP)
        max = HL_UL_SEND_PDU_CAP;
    return (max - PDV_HEAD) & ~1u;
}

/* PDU and PDV head side by side: one PDV a PDU, as every known peer sends them. */
static void encode_head(uint8_t head[HL_UL_HEAD + PDV_HEAD], uint8_t context_id, uint8_t flags,
                        size_t n)
{
    head[0] = HL_PDU_DATA;
    head[1] = 0;
    hl_ul_put32(head + 2, (uint32_t)n + PDV_HEAD);
    hl_ul_put32(head + 6, (uint32_t)n + 2);
    head[10] = context_id;
    head[11] = flags;
}

/* As many PDUs as one sendmsg is given; *n loses what they carry. At 16 KiB PDUs system calls dominate
 * (a third of the time, measured): up to 16 PDUs go in one. */
static hilum_rc send_some(struct hl_ul_assoc *assoc, uint8_t context_id, uint8_t flags,
                          const uint8_t **bytes, size_t *n)
{
    uint8_t heads[PDUS_AT_ONCE][HL_UL_HEAD + PDV_HEAD];
    struct iovec all[1 + PDUS_AT_ONCE * 2] = {{assoc->held, assoc->held_n}}, *iov = all + 1;
    size_t fragment = fragment_size(assoc);
    struct iovec *end = iov;
    int pdus = 0, held = assoc->held_n != 0;
    do {
        size_t now = *n < fragment ? *n : fragment;
        uint8_t kept = now < *n ? MESSAGE_IS_COMMAND : MESSAGE_IS_COMMAND | MESSAGE_IS_LAST;
        encode_head(heads[pdus], context_id, flags & kept, now);
        *end++ = (struct iovec){heads[pdus], sizeof heads[pdus]};
        *end++ = (struct iovec){(void *)*bytes, now};
        *bytes += now;
        *n -= now;
        pdus++;
    } while (*n > 0 && pdus < PDUS_AT_ONCE);
    assoc->held_n = 0;
    return hl_ul_assoc_send(assoc, iov - held, pdus * 2 + held);
}

void hl_ul_more(struct hl_ul_assoc *assoc, bool is_more)
{
    assoc->io.is_more = is_more;
}

/* Anything that does not fit the short way (ended, longer than a fragment, a wrong context) is
 * left to hl_ul_write, which sends it at once or says what is wrong. */
hilum_rc hl_ul_write_command(struct hl_ul_assoc *assoc, uint8_t context_id, const void *bytes,
                             size_t n)
{
    if (assoc->end || assoc->held_n || n > fragment_size(assoc) ||
        n > sizeof assoc->held - HL_UL_HEAD - PDV_HEAD || !hl_ul_context(assoc, context_id))
        return hl_ul_write(assoc, context_id, true, bytes, n, true);
    encode_head(assoc->held, context_id, MESSAGE_IS_COMMAND | MESSAGE_IS_LAST, n);
    memcpy(assoc->held + HL_UL_HEAD + PDV_HEAD, bytes, n);
    assoc->held_n = (uint32_t)(HL_UL_HEAD + PDV_HEAD + n);
    return HILUM_OK;
}

/* An ended association drops what it held: there is nobody to send it to. */
hilum_rc hl_ul_assoc_flush(struct hl_ul_assoc *assoc)
{
    struct iovec iov = {assoc->held, assoc->held_n};
    assoc->held_n = 0;
    return iov.iov_len && !assoc->end ? hl_ul_assoc_send(assoc, &iov, 1) : HILUM_OK;
}

hilum_rc hl_ul_write(struct hl_ul_assoc *assoc, uint8_t context_id, bool is_command,
                     const void *bytes, size_t n, bool last)
{
    if (assoc->end)
        return end_rc(assoc);
    if (n == 0 && !last)
        return HILUM_OK;
    if (!last && n % 2)
        return hl_fail(HILUM_EINVAL, "fragment of %zu bytes: only the last one may be odd", n);
    if (!hl_ul_context(assoc, context_id))
        return hl_fail(HILUM_EINVAL, "presentation context %u was not accepted", context_id);
    uint8_t flags = (uint8_t)((is_command ? MESSAGE_IS_COMMAND : 0) | (last ? MESSAGE_IS_LAST : 0));
    const uint8_t *at = n ? bytes : (const uint8_t *)"";
    hilum_rc rc;
    do {
        rc = send_some(assoc, context_id, flags, &at, &n);
    } while (rc == HILUM_OK && n > 0);
    if (!last)
        return rc;
    assoc->out_rate = (struct hl_ul_rate){0};
    hl_ul_io_quickack(&assoc->io);
    return rc;
}
