/* Messages in and out, for both sides. Every read is bounded by what arrived, every write by
 * HL_WIRE_MAX; after the first that does not fit the message is `bad` and stays so, so that a reader
 * may read on and look once at the end. Numbers are in the machine's own order: both ends run on it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/worker/wire.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/sized.h"
#include "core/base/error.h"

enum { WIRE_MAGIC = 0x57494C48, NULL_TEXT = 0xFFFFFFFF };
enum { AWAKE_NS = 300 * 1000, CROWDED_NS = 1000 * 1000, CROWDED_FOR_NS = 1000 * 1000 * 1000 };

/* ---- writing ---- */

void hl_wire_put_bytes(struct hl_wire *wire, const void *bytes, size_t n)
{
    if (n > sizeof wire->bytes - wire->len) {
        wire->bad = true;
        return;
    }
    if (n)
        memcpy(wire->bytes + wire->len, bytes, n);
    wire->len += n;
}

void hl_wire_begin(struct hl_wire *wire, enum hl_wire_type type, uint32_t number, int32_t rc)
{
    const struct hl_wire_head head = {WIRE_MAGIC, type, number, rc};
    wire->len = wire->at = 0;
    wire->bad = false;
    hl_wire_put_bytes(wire, &head, sizeof head);
}

void hl_wire_put_u32(struct hl_wire *wire, uint32_t value)
{
    hl_wire_put_bytes(wire, &value, sizeof value);
}

void hl_wire_put_u64(struct hl_wire *wire, uint64_t value)
{
    hl_wire_put_bytes(wire, &value, sizeof value);
}

/* Its length, the bytes, a NUL, so that a reader can borrow it. */
void hl_wire_put_text(struct hl_wire *wire, const char *text)
{
    size_t n = text ? strnlen(text, HL_WIRE_TEXT_MAX + 1) : 0;
    if (n > HL_WIRE_TEXT_MAX)
        wire->bad = true;
    hl_wire_put_u32(wire, text ? (uint32_t)n : NULL_TEXT);
    if (text && !wire->bad)
        hl_wire_put_bytes(wire, text, n + 1);
}

void hl_wire_put_frame(struct hl_wire *wire, const struct hilum_frame *frame)
{
    struct hilum_frame whole = {.size = sizeof whole};
    if (frame)
        hl_sized_copy(&whole, sizeof whole, frame, frame->size);
    hl_wire_put_bytes(wire, &whole, sizeof whole);
}

/* Room for the reason is always there, so that a failure can be told however long the results
 * are. */
void hl_wire_begin_reply(struct hl_wire *wire, enum hl_wire_type type, uint32_t number)
{
    const char reason[HL_WIRE_REASON] = {0};
    hl_wire_begin(wire, type, number, HILUM_OK);
    hl_wire_put_bytes(wire, reason, sizeof reason);
}

/* Results that were too long for a message are dropped, and the caller is told so. */
void hl_wire_finish_reply(struct hl_wire *wire, int32_t rc, const char *why)
{
    if (wire->bad) {
        hl_wire_begin_reply(wire, hl_wire_head(wire).type, hl_wire_head(wire).number);
        rc = HILUM_EFULL;
        why = "what is to be said is too long for a message";
    }
    struct hl_wire_head head = hl_wire_head(wire);
    head.rc = rc;
    memcpy(wire->bytes, &head, sizeof head);
    if (rc != HILUM_OK)
        snprintf((char *)wire->bytes + sizeof head, HL_WIRE_REASON, "%s", why);
}

/* ---- reading ---- */

struct hl_wire_head hl_wire_head(const struct hl_wire *wire)
{
    struct hl_wire_head head;
    memcpy(&head, wire->bytes, sizeof head);
    return head;
}

bool hl_wire_bytes(struct hl_wire *wire, void *out, size_t n)
{
    if (wire->bad || n > wire->len - wire->at) {
        wire->bad = true;
        memset(out, 0, n);
        return false;
    }
    memcpy(out, wire->bytes + wire->at, n);
    wire->at += n;
    return true;
}

uint32_t hl_wire_u32(struct hl_wire *wire)
{
    uint32_t value;
    hl_wire_bytes(wire, &value, sizeof value);
    return value;
}

uint64_t hl_wire_u64(struct hl_wire *wire)
{
    uint64_t value;
    hl_wire_bytes(wire, &value, sizeof value);
    return value;
}

const char *hl_wire_text(struct hl_wire *wire)
{
    uint32_t n = hl_wire_u32(wire);
    if (wire->bad || n == NULL_TEXT)
        return NULL;
    const char *text = (const char *)wire->bytes + wire->at;
    /* The sender's word for the length is checked before its NUL is looked at. */
    if (n >= wire->len - wire->at || memchr(text, 0, n + 1u) != text + n) {
        wire->bad = true;
        return NULL;
    }
    wire->at += n + 1u;
    return text;
}

void hl_wire_frame(struct hl_wire *wire, struct hilum_frame *out)
{
    struct hilum_frame whole;
    hl_wire_bytes(wire, &whole, sizeof whole);
    hl_sized_give(out, &whole, sizeof whole);
}

/* A code that is none of ours becomes HILUM_EINTERNAL: callers decide by the code. */
hilum_rc hl_wire_outcome(struct hl_wire *wire)
{
    char reason[HL_WIRE_REASON];
    int32_t rc = hl_wire_head(wire).rc;
    bool is_known =
        rc == HILUM_OK || rc == HILUM_EINTERNAL || (rc <= HILUM_EINVAL && rc >= HILUM_ECLOSED);
    hl_wire_bytes(wire, reason, sizeof reason);
    reason[sizeof reason - 1] = '\0';
    if (!is_known)
        rc = HILUM_EINTERNAL;
    return rc == HILUM_OK ? rc : hl_fail(rc, "%s", reason);
}

/* ---- the socket ---- */

hilum_rc hl_wire_send(int fd, const struct hl_wire *wire)
{
    if (wire->bad)
        return hl_fail(HILUM_EFULL, "a message of more than %d bytes, or a text of more than %d",
                       HL_WIRE_MAX, HL_WIRE_TEXT_MAX);
    ssize_t n;
    do
        n = send(fd, wire->bytes, wire->len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? hl_fail(HILUM_ECLOSED, "%s", strerror(errno)) : HILUM_OK;
}

/* Most answers come within a fraction of a millisecond, and a processor that has gone to sleep
 * meanwhile takes another tenth of one to wake (more in a virtual machine): so the first moment is
 * waited awake, giving way to whoever has something to do. Where somebody had, waiting asleep is
 * better: who is woken comes before who runs, who gave way comes after. */
static bool comes_soon(struct hl_wire *wire, struct pollfd *poller)
{
    int64_t now = hl_mono_ns(), end = now + AWAKE_NS;
    int n = 0;
    while (now >= wire->crowded_until_ns && now < end && (n = poll(poller, 1, 0)) == 0) {
        int64_t before = hl_mono_ns();
        sched_yield();
        now = hl_mono_ns();
        if (now - before > CROWDED_NS)
            wire->crowded_until_ns = now + CROWDED_FOR_NS;
    }
    return n > 0;
}

/* `deadline_ms` on the monotonic clock. A signal does not lengthen it. */
static hilum_rc wait_for_message(int fd, struct hl_wire *wire, int64_t deadline_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    if (comes_soon(wire, &poller))
        return HILUM_OK;
    for (;;) {
        int64_t left = deadline_ms == INT64_MAX ? -1 : deadline_ms - hl_mono_ms();
        if (deadline_ms != INT64_MAX && left < 0)
            left = 0;
        int n = poll(&poller, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (n > 0)
            return HILUM_OK;
        if (n == 0)
            return hl_fail(HILUM_ETIMEDOUT, "no answer within the deadline");
        if (errno != EINTR)
            return hl_fail(HILUM_EIO, "poll: %s", strerror(errno));
    }
}

hilum_rc hl_wire_receive(int fd, struct hl_wire *wire, int64_t deadline_ms)
{
    wire->len = wire->at = 0;
    wire->bad = false;
    hilum_rc rc = wait_for_message(fd, wire, deadline_ms);
    if (rc != HILUM_OK)
        return rc;
    /* With MSG_TRUNC the length is the sender's, so that a message too long does not look whole. */
    ssize_t n = recv(fd, wire->bytes, sizeof wire->bytes, MSG_TRUNC);
    if (n <= 0)
        return hl_fail(HILUM_ECLOSED, "%s", n ? strerror(errno) : "closed");
    wire->len = (size_t)n;
    if (wire->len > sizeof wire->bytes || wire->len < sizeof(struct hl_wire_head) ||
        hl_wire_head(wire).magic != WIRE_MAGIC)
        return hl_fail(HILUM_ECORRUPT, "%zd bytes that are no message", n);
    wire->at = sizeof(struct hl_wire_head);
    return HILUM_OK;
}

uint64_t hl_wire_align(uint64_t at)
{
    return (at + HL_WIRE_ALIGN - 1) / HL_WIRE_ALIGN * HL_WIRE_ALIGN;
}
