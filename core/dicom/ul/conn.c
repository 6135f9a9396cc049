/* One accepted connection: handshake, request, negotiation, message tasks, end. The loop thread
 * never blocks here; whatever may block runs in a pool. It knows no DIMSE.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/ul/server.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    /* After a message its thread waits this long for the next one: a sender in full flow needs no
     * trip through epoll and the pool. */
    CHAIN_MS = 2,
    MAX_CONTROL_BACKLOG = 1000
};

#define TOO_MANY "too many connections without an association request"
#define TLS_LATE "TLS handshake not complete in time"

/* ---- lists (with the lock held) ---------------------------------------------------------------
 */

static void unlink_conn(struct hl_ul_list *list, struct hl_ul_conn *conn)
{
    *(conn->prev ? &conn->prev->next : &list->first) = conn->next;
    *(conn->next ? &conn->next->prev : &list->last) = conn->prev;
    list->n--;
}

/* From the end: deadlines of one list nearly always come in order. */
static void insert_conn(struct hl_ul_list *list, struct hl_ul_conn *conn)
{
    struct hl_ul_conn *after = list->last;
    while (after && after->deadline > conn->deadline)
        after = after->prev;
    conn->prev = after;
    conn->next = after ? after->next : list->first;
    *(conn->prev ? &conn->prev->next : &list->first) = conn;
    *(conn->next ? &conn->next->prev : &list->last) = conn;
    list->n++;
}

void hl_ul_conn_move(struct hl_ul_conn *conn, enum hl_ul_place place, int64_t deadline)
{
    struct hl_ul_server *server = conn->server;
    if (conn->place != HL_UL_PLACES)
        unlink_conn(&server->places[conn->place], conn);
    conn->place = place;
    conn->deadline = deadline;
    if (place != HL_UL_PLACES)
        insert_conn(&server->places[place], conn);
}

/* One-shot: after an event the socket is silent until whoever handles the connection arms it again,
 * so no two threads ever hold it. */
static bool arm(struct hl_ul_conn *conn, int operation)
{
    struct epoll_event event = {.events = (conn->assoc.io.want == POLLOUT ? EPOLLOUT : EPOLLIN) |
                                          EPOLLONESHOT,
                                .data.ptr = &conn->source};
    return epoll_ctl(conn->server->epoll, operation, conn->assoc.io.fd, &event) == 0;
}

/* ---- ends -------------------------------------------------------------------------------------
 */

/* Counted for malloc_trim, which the loop asks for now and then. */
static void free_conn(struct hl_ul_conn *conn)
{
    atomic_fetch_add_explicit(&conn->server->ended, 1, memory_order_relaxed);
    hl_buf_fini(&conn->request);
    hl_ul_assoc_fini(&conn->assoc);
    free(conn);
}

void hl_ul_conn_bury(struct hl_ul_server *server)
{
    while (server->buried) {
        struct hl_ul_conn *conn = server->buried;
        server->buried = conn->next;
        free_conn(conn);
    }
}

/* Takes the connection off its list and away from its socket, in one step: until then a stopping
 * server may shut the descriptor. A broken one is closed; any other must not lose our last PDU. */
static void part(struct hl_ul_conn *conn)
{
    struct hl_ul_server *server = conn->server;
    int fd = conn->assoc.io.fd;
    conn->assoc.io.ops->finish(&conn->assoc.io);
    if (conn->assoc.end != HL_UL_GONE)
        shutdown(fd, SHUT_WR);
    pthread_mutex_lock(&server->lock);
    hl_ul_conn_move(conn, HL_UL_PLACES, 0);
    if (conn->assoc.end == HL_UL_GONE)
        hl_ul_forget(server, fd);
    else
        hl_ul_linger_start(server, fd);
    pthread_mutex_unlock(&server->lock);
}

/* What refused() is told, copied: the connection is freed before the pool gets to it. */
struct refusal {
    struct hl_ul_server *server;
    char address[64], why[160];
};

static void tell_refusal(void *arg)
{
    struct refusal *refusal = arg;
    const struct hl_ul_handler *handler = &refusal->server->handler;
    handler->refused(handler->ctx, refusal->address, refusal->why);
    free(refusal);
}

/* A crowd of refused connections may be too many to tell; the log line says that it happened. */
static void report_refusal(struct hl_ul_conn *conn)
{
    struct hl_ul_server *server = conn->server;
    if (!server->handler.refused)
        return;
    struct refusal *refusal = malloc(sizeof *refusal);
    if (!refusal || hl_pool_backlog(server->control) > MAX_CONTROL_BACKLOG) {
        hl_log(HL_DEBUG, "ul", "%s: refused, not traced: %s", conn->address, conn->assoc.why);
        free(refusal);
        return;
    }
    refusal->server = server;
    memcpy(refusal->address, conn->address, sizeof refusal->address);
    memcpy(refusal->why, conn->assoc.why, sizeof refusal->why);
    if (hl_pool_run(server->control, tell_refusal, refusal))
        free(refusal);
}

/* Before negotiate() ran. ARTIM expiry closes without an abort (PS3.8 9.2, AA-2). */
static void refuse(struct hl_ul_conn *conn)
{
    if (conn->assoc.end == HL_UL_VIOLATED)
        hl_ul_assoc_send_abort(&conn->assoc);
    part(conn);
    report_refusal(conn);
}

/* On the loop thread the memory stays until the batch of events is over: it may be in it. */
static void refuse_in_loop(struct hl_ul_conn *conn)
{
    refuse(conn);
    conn->next = conn->server->buried;
    conn->server->buried = conn;
}

void hl_ul_conn_drop(struct hl_ul_conn *conn, const char *why)
{
    hl_ul_assoc_end(&conn->assoc, HL_UL_LATE, "%s", why);
    refuse_in_loop(conn);
}

/* RELEASED: nothing more is to be said, no abort follows a rejection (PS3.8 9.2, AE-8). */
static void send_reject(struct hl_ul_conn *conn, const struct hl_ul_reject *reject)
{
    char text[128];
    hl_ul_assoc_send_short(&conn->assoc, HL_PDU_ASSOCIATE_RJ, reject->result, reject->source,
                           reject->reason);
    hl_ul_reject_text(reject, text, sizeof text);
    hl_ul_assoc_end(&conn->assoc, HL_UL_RELEASED, "%s", text);
}

/* Pool thread, or the loop's when there is no memory for a task. After negotiate() ran.
 * The abort goes out before closed() is called: what the user of the layer does there may take long
 * and the peer need not wait for it. */
static void end_task(void *arg)
{
    struct hl_ul_conn *conn = arg;
    const struct hl_ul_handler *handler = &conn->server->handler;
    hl_ul_assoc_send_abort(&conn->assoc);
    if (conn->assoc.end == HL_UL_LIVE)
        hl_ul_assoc_end(&conn->assoc, HL_UL_RELEASED, "aborted here: %s", hl_error());
    part(conn);
    if (handler->closed)
        handler->closed(handler->ctx, &conn->assoc, conn->user, conn->assoc.why);
    free_conn(conn);
}

/* Without memory or threads the loop itself does the task: late for others, but the connection and
 * its closed() are not lost. */
static void run_or_do(struct hl_pool *pool, void (*task)(void *), struct hl_ul_conn *conn)
{
    if (hl_pool_run(pool, task, conn) == HILUM_OK)
        return;
    hl_ul_assoc_end(&conn->assoc, HL_UL_CANCELLED, "%s", hl_error());
    if (conn->is_negotiated)
        end_task(conn);
    else
        refuse_in_loop(conn);
}

void hl_ul_conn_cancel(struct hl_ul_conn *conn, enum hl_ul_end end, const char *why)
{
    hl_ul_assoc_end(&conn->assoc, end, "%s", why);
    run_or_do(conn->server->control, end_task, conn);
}

/* ---- messages (pool threads) ------------------------------------------------------------------
 */

/* From here the connection may be another thread's. */
static bool park(struct hl_ul_conn *conn, int64_t deadline)
{
    struct hl_ul_server *server = conn->server;
    if (conn->assoc.head_n > 0)
        deadline = conn->assoc.pdu_deadline;
    conn->assoc.io.want = POLLIN;
    hl_ul_assoc_shrink(&conn->assoc);
    pthread_mutex_lock(&server->lock);
    bool is_parked = !server->is_stopping;
    if (is_parked) {
        hl_ul_conn_move(conn, HL_UL_PARKED, deadline);
        arm(conn, EPOLL_CTL_MOD);
    }
    pthread_mutex_unlock(&server->lock);
    if (!is_parked)
        hl_ul_assoc_end(&conn->assoc, HL_UL_CANCELLED, "the server stops");
    return is_parked;
}

/* Asked under the lock, from pool threads. */
static bool is_stopping(struct hl_ul_server *server)
{
    pthread_mutex_lock(&server->lock);
    bool stopping = server->is_stopping;
    pthread_mutex_unlock(&server->lock);
    return stopping;
}

/* A crowd of peers that begin messages and do not go on must not take all places from those that do. */
static void lend_place(void *arg, bool is_waiting)
{
    struct hl_ul_server *server = arg;
    if (is_waiting)
        hl_pool_pause(server->messages);
    else
        hl_pool_resume(server->messages);
}

/* One message after the other while they come within CHAIN_MS. Errors of the handler and of the
 * connection end alike, in end_task; only a parked association leaves here alive. */
static void message_task(void *arg)
{
    struct hl_ul_conn *conn = arg;
    struct hl_ul_server *server = conn->server;
    const struct hl_ul_handler *handler = &server->handler;
    hilum_rc rc;
    conn->assoc.waits = lend_place;
    conn->assoc.waits_arg = server;
    do {
        rc = handler->message(handler->ctx, &conn->assoc, conn->user);
        if (rc >= 0)
            rc = hl_ul_poll(&conn->assoc, is_stopping(server) ? 0 : CHAIN_MS);
    } while (rc == 1 && !is_stopping(server));
    if (rc == 1)
        hl_ul_assoc_end(&conn->assoc, HL_UL_CANCELLED, "the server stops");
    conn->assoc.waits = NULL;
    if (rc == 0 && park(conn, hl_mono_ms() + conn->idle_ms))
        return;
    end_task(conn);
}

/* ---- negotiation (pool threads) ---------------------------------------------------------------
 */

/* Refused until accepted: a user of the layer that overlooks a context must not open it. */
static void describe(struct hl_ul_conn *conn)
{
    struct hl_ul_params *params = &conn->assoc.params;
    memcpy(params->address, conn->address, sizeof params->address);
    params->port = conn->port;
    hl_ul_tls_describe(&conn->assoc.io, params);
    for (size_t i = 0; i < params->n_contexts; i++)
        params->contexts[i].result = HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED;
}

/* The user of the layer may have accepted a context and forgotten its syntax. */
static void settle_contexts(struct hl_ul_params *params)
{
    for (size_t i = 0; i < params->n_contexts; i++)
        if (params->contexts[i].result == HL_UL_ACCEPTED && !params->contexts[i].transfer_syntax[0])
            params->contexts[i].result = HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED;
}

/* The request is given back before the association may idle for hours. */
static hilum_rc send_accept(struct hl_ul_conn *conn)
{
    struct hl_buf pdu = {0};
    const uint8_t *mirror = (const uint8_t *)conn->request.data + 4;
    settle_contexts(&conn->assoc.params);
    hl_ul_encode_ac(&conn->assoc.params, mirror, conn->assoc.max_pdu, &pdu);
    struct iovec iov = {pdu.data, pdu.len};
    hilum_rc rc = pdu.failed ? hl_fail(HILUM_ENOMEM, "A-ASSOCIATE-AC: too large or no memory")
                             : hl_ul_assoc_send(&conn->assoc, &iov, 1);
    hl_buf_fini(&pdu);
    hl_buf_fini(&conn->request);
    hl_ul_assoc_index(&conn->assoc);
    hl_ul_io_quickack(&conn->assoc.io);
    return rc;
}

static bool parse_request(struct hl_ul_conn *conn)
{
    struct hl_ul_reject reject = {0};
    hilum_rc rc = hl_ul_parse_rq((const uint8_t *)conn->request.data, conn->request.len,
                                 &conn->assoc.params, &reject);
    if (rc)
        hl_ul_assoc_violated(&conn->assoc, HL_ABORT_INVALID_VALUE, hl_error());
    else if (reject.result)
        send_reject(conn, &reject);
    return conn->assoc.end == HL_UL_LIVE;
}

/* Parsing is done here and not on the loop thread: 1 MiB of items takes milliseconds. */
static void negotiate_task(void *arg)
{
    struct hl_ul_conn *conn = arg;
    const struct hl_ul_handler *handler = &conn->server->handler;
    struct hl_ul_reject reject = {0};
    if (!parse_request(conn)) {
        refuse(conn);
        free_conn(conn);
        return;
    }
    describe(conn);
    conn->is_negotiated = true;
    handler->negotiate(handler->ctx, &conn->assoc, &conn->assoc.params, &reject, &conn->user);
    if (reject.result)
        send_reject(conn, &reject);
    else if (send_accept(conn) == HILUM_OK && park(conn, hl_mono_ms() + conn->idle_ms))
        return;
    end_task(conn);
}

/* ---- connecting (loop thread) -----------------------------------------------------------------
 */

/* State 2 of PS3.8 9.2, judged by six bytes: whatever cannot become a request is refused before its
 * body is read. */
static hilum_rc check_request_head(struct hl_ul_conn *conn)
{
    const uint8_t *head = conn->assoc.head;
    if (head[0] == HL_PDU_ABORT)
        return hl_ul_assoc_end(&conn->assoc, HL_UL_PEER_ABORTED, "aborted before the request");
    if (head[0] == 0x16)
        return hl_ul_assoc_violated(&conn->assoc, HL_ABORT_UNRECOGNIZED_PDU,
                                    "TLS spoken to a listener without TLS");
    if (head[0] == 0 || head[0] > HL_PDU_ABORT)
        return hl_ul_assoc_violated(&conn->assoc, HL_ABORT_UNRECOGNIZED_PDU,
                                    "unrecognized PDU type instead of an A-ASSOCIATE-RQ");
    if (head[0] != HL_PDU_ASSOCIATE_RQ)
        return hl_ul_assoc_violated(&conn->assoc, HL_ABORT_UNEXPECTED_PDU,
                                    "another PDU before an A-ASSOCIATE-RQ");
    if (hl_ul_be32(head + 2) > HL_UL_MAX_ASSOCIATE)
        return hl_ul_assoc_violated(&conn->assoc, HL_ABORT_INVALID_VALUE,
                                    "A-ASSOCIATE-RQ longer than 1 MiB");
    return HILUM_OK;
}

static hilum_rc read_result(struct hl_ul_conn *conn, ssize_t got)
{
    if (got > 0)
        return 1;
    if (got == HL_UL_IO_AGAIN)
        return 0;
    return hl_ul_assoc_end(&conn->assoc, HL_UL_GONE, "%s before an association request",
                           got == HL_UL_IO_EOF ? "connection closed" : hl_error());
}

/* 1: whole, 0: more to come. */
/* Byte by byte if need be: the connection's deadline counts from accept, not from its last byte. */
static hilum_rc read_request_head(struct hl_ul_conn *conn)
{
    struct hl_ul_assoc *assoc = &conn->assoc;
    while (assoc->head_n < HL_UL_HEAD) {
        ssize_t got = assoc->io.ops->read(&assoc->io, assoc->head + assoc->head_n,
                                          (size_t)(HL_UL_HEAD - assoc->head_n));
        hilum_rc rc = read_result(conn, got);
        if (rc != 1)
            return rc;
        assoc->head_n = (uint8_t)(assoc->head_n + got);
        if (assoc->head_n == HL_UL_HEAD)
            rc = check_request_head(conn);
        if (rc < 0)
            return rc;
    }
    return 1;
}

/* Memory follows what came, not what the head promises. */
static hilum_rc read_request_body(struct hl_ul_conn *conn)
{
    struct hl_buf *request = &conn->request;
    size_t whole = hl_ul_be32(conn->assoc.head + 2);
    while (request->len < whole) {
        size_t room = request->len < 4096 ? 4096 : request->len;
        if (room > whole - request->len)
            room = whole - request->len;
        if (!hl_buf_reserve(request, room))
            return hl_ul_assoc_end(&conn->assoc, HL_UL_GONE, "A-ASSOCIATE-RQ: out of memory");
        ssize_t got = conn->assoc.io.ops->read(&conn->assoc.io, request->data + request->len, room);
        hilum_rc rc = read_result(conn, got);
        if (rc != 1)
            return rc;
        request->len += (size_t)got;
    }
    return 1;
}

/* May take several steps; io.want says what the next one waits for. */
static hilum_rc secure(struct hl_ul_conn *conn)
{
    int done = conn->assoc.io.ops->handshake(&conn->assoc.io);
    if (done == HL_UL_IO_AGAIN)
        return 0;
    /* Not GONE: the alert that tells the peer why must reach it. */
    if (done != 1)
        return hl_ul_assoc_end(&conn->assoc, HL_UL_PEER_ABORTED, "TLS handshake: %s", hl_error());
    conn->is_secured = true;
    /* Writable at once: the loop looks for what OpenSSL read already and epoll does not know of. */
    conn->assoc.io.want = POLLOUT;
    return 1;
}

/* With the lock held. NULL: go on. */
static const char *why_unwanted(const struct hl_ul_conn *conn)
{
    if (conn->server->is_stopping)
        return "the server stops";
    if (conn->place != HL_UL_DOOMED)
        return NULL;
    return conn->deadline <= hl_mono_ms() ? TLS_LATE : TOO_MANY;
}

/* Has it been given up while it waited for its turn? */
static hilum_rc check_turn(struct hl_ul_conn *conn)
{
    pthread_mutex_lock(&conn->server->lock);
    const char *why = why_unwanted(conn);
    pthread_mutex_unlock(&conn->server->lock);
    return why ? hl_ul_assoc_end(&conn->assoc, HL_UL_LATE, "%s", why) : HILUM_OK;
}

/* To the loop, from where on the connection is the loop's; unless it was given up meanwhile. */
static hilum_rc hand_back(struct hl_ul_conn *conn)
{
    struct hl_ul_server *server = conn->server;
    pthread_mutex_lock(&server->lock);
    const char *why = why_unwanted(conn);
    if (!why) {
        hl_ul_conn_move(conn, HL_UL_CONNECTING, conn->deadline);
        arm(conn, EPOLL_CTL_MOD);
    }
    pthread_mutex_unlock(&server->lock);
    return why ? hl_ul_assoc_end(&conn->assoc, HL_UL_LATE, "%s", why) : HILUM_OK;
}

/* One step of a handshake: a signature is a millisecond that the loop does not have for a crowd. */
static void secure_task(void *arg)
{
    struct hl_ul_conn *conn = arg;
    if (check_turn(conn) == HILUM_OK && secure(conn) >= 0 && hand_back(conn) == HILUM_OK)
        return;
    refuse(conn);
    free_conn(conn);
}

/* Its deadline stays and is watched; the task sees when it passed. */
static void secure_elsewhere(struct hl_ul_conn *conn)
{
    struct hl_ul_server *server = conn->server;
    pthread_mutex_lock(&server->lock);
    hl_ul_conn_move(conn, HL_UL_SECURING, conn->deadline);
    pthread_mutex_unlock(&server->lock);
    if (hl_pool_run(server->handshakes, secure_task, conn) == HILUM_OK)
        return;
    hl_ul_assoc_end(&conn->assoc, HL_UL_GONE, "TLS handshake: %s", hl_error());
    refuse_in_loop(conn);
}

/* A scan: some 1000 connections cost 0.1 ms per new association, a table would have to be kept. */
static uint32_t count_address(const struct hl_ul_list *list, const char *address)
{
    uint32_t n = 0;
    for (const struct hl_ul_conn *conn = list->first; conn; conn = conn->next)
        n += strcmp(conn->address, address) == 0;
    return n;
}

/* With the lock held. An association counts from its request on, also while it is negotiated. */
static bool is_over_limit(struct hl_ul_server *server, const char *address)
{
    const struct hl_ul_list *parked = &server->places[HL_UL_PARKED];
    const struct hl_ul_list *busy = &server->places[HL_UL_BUSY];
    const struct hl_ul_limits *limits = &server->limits;
    if (parked->n + busy->n >= limits->max_associations)
        return true;
    return limits->max_per_address < limits->max_associations &&
           count_address(parked, address) + count_address(busy, address) >= limits->max_per_address;
}

/* The request is whole: into negotiation, or rejected for now (PS3.8 9.3.4, source 3 reason 2). */
static void admit(struct hl_ul_conn *conn)
{
    struct hl_ul_server *server = conn->server;
    pthread_mutex_lock(&server->lock);
    bool is_refused = is_over_limit(server, conn->address);
    if (!is_refused)
        hl_ul_conn_move(conn, HL_UL_BUSY, 0);
    pthread_mutex_unlock(&server->lock);
    conn->assoc.head_n = 0;
    if (is_refused) {
        send_reject(conn, &(struct hl_ul_reject){2, 3, 2});
        refuse_in_loop(conn);
        return;
    }
    run_or_do(server->control, negotiate_task, conn);
}

/* As far as the bytes at hand allow; OpenSSL may hold some that epoll does not know of, so it goes
 * on until a read says AGAIN. */
static void connecting_event(struct hl_ul_conn *conn)
{
    if (!conn->is_secured) {
        secure_elsewhere(conn);
        return;
    }
    hilum_rc rc = read_request_head(conn);
    if (rc == 1)
        rc = read_request_body(conn);
    if (rc == 1)
        admit(conn);
    else if (rc < 0)
        refuse_in_loop(conn);
    else
        arm(conn, EPOLL_CTL_MOD);
}

/* Taken off the list by the caller. */
static void parked_event(struct hl_ul_conn *conn, int64_t deadline)
{
    hilum_rc rc = hl_ul_assoc_peek(&conn->assoc);
    if (rc == 1)
        run_or_do(conn->server->messages, message_task, conn);
    else if (rc < 0 || !park(conn, deadline))
        run_or_do(conn->server->control, end_task, conn);
}

/* Whose turn it is was decided by `place` when the event was taken; an event for a connection
 * that has moved on since (its task has it) is dropped, for whoever has it arms it again. */
void hl_ul_conn_event(struct hl_ul_conn *conn)
{
    pthread_mutex_lock(&conn->server->lock);
    bool was_parked = conn->place == HL_UL_PARKED;
    bool is_connecting = conn->place == HL_UL_CONNECTING;
    int64_t deadline = conn->deadline;
    if (was_parked)
        hl_ul_conn_move(conn, HL_UL_BUSY, 0);
    pthread_mutex_unlock(&conn->server->lock);
    if (is_connecting)
        connecting_event(conn);
    else if (was_parked)
        parked_event(conn, deadline);
}

/* What is late is told by where it waited; ARTIM (PS3.8 9.2) is the CONNECTING case. */
void hl_ul_conn_expire(struct hl_ul_conn *conn)
{
    if (conn->place == HL_UL_CONNECTING) {
        hl_ul_conn_drop(conn, conn->is_secured ? "no complete A-ASSOCIATE-RQ in time" : TLS_LATE);
        return;
    }
    hl_ul_conn_cancel(conn, HL_UL_LATE,
                      conn->assoc.head_n ? "a PDU did not complete in time" : "idle for too long");
}

/* address NULL: any. Of two lists in order of their deadlines, which is that of arrival. */
static struct hl_ul_conn *oldest(struct hl_ul_server *server, const char *address)
{
    static const enum hl_ul_place places[] = {HL_UL_CONNECTING, HL_UL_SECURING};
    struct hl_ul_conn *found = NULL;
    for (size_t i = 0; i < 2; i++) {
        struct hl_ul_conn *conn = server->places[places[i]].first;
        while (conn && address && strcmp(conn->address, address) != 0)
            conn = conn->next;
        if (conn && (!found || conn->deadline < found->deadline))
            found = conn;
    }
    return found;
}

/* The oldest connection without a request makes room: of the same address first, so that one
 * silent crowd costs itself and not others. One in its handshake is for its task to end: NULL then.
 * With the lock held. */
static struct hl_ul_conn *one_too_many(struct hl_ul_server *server, const char *address)
{
    struct hl_ul_list *connecting = &server->places[HL_UL_CONNECTING];
    struct hl_ul_list *securing = &server->places[HL_UL_SECURING];
    struct hl_ul_conn *victim = NULL;
    if (count_address(connecting, address) + count_address(securing, address) >=
        server->limits.max_per_address)
        victim = oldest(server, address);
    if (!victim && connecting->n + securing->n >= server->limits.max_connecting)
        victim = oldest(server, NULL);
    if (!victim || victim->place == HL_UL_CONNECTING)
        return victim;
    hl_ul_conn_move(victim, HL_UL_DOOMED, victim->deadline);
    return NULL;
}

/* A copy: a reload changes connections to come, not the deadlines of a message under way. */
static void take_limits(struct hl_ul_conn *conn, const struct hl_ul_limits *limits)
{
    conn->idle_ms = limits->idle_ms;
    conn->assoc.max_pdu = limits->max_pdu;
    conn->assoc.pdu_ms = limits->pdu_ms;
    conn->assoc.write_ms = limits->write_ms;
    conn->assoc.min_rate = limits->min_rate;
}

/* Loop thread. From calloc on everything has one owner, the loop, until a task takes it. */
void hl_ul_conn_accept(struct hl_ul_listener *listener, struct hl_ul_server *server, int fd,
                       const struct sockaddr_storage *from)
{
    struct hl_ul_conn *conn = calloc(1, sizeof *conn);
    if (!conn) {
        close(fd);
        return;
    }
    conn->source.kind = HL_UL_CONN;
    conn->server = server;
    conn->place = HL_UL_PLACES;
    hl_ul_address_text(from, conn->address, sizeof conn->address, &conn->port);
    pthread_mutex_lock(&server->lock);
    struct hl_ul_conn *victim = one_too_many(server, conn->address);
    take_limits(conn, &server->limits);
    conn->is_secured = !listener->tls;
    hilum_rc rc = hl_ul_io_init(&conn->assoc.io, fd, listener->tls);
    hl_ul_conn_move(conn, HL_UL_CONNECTING, hl_mono_ms() + server->limits.negotiate_ms);
    pthread_mutex_unlock(&server->lock);
    if (victim)
        hl_ul_conn_drop(victim, TOO_MANY);
    if (rc || !arm(conn, EPOLL_CTL_ADD)) {
        hl_ul_assoc_end(&conn->assoc, HL_UL_GONE, "%s", rc ? hl_error() : "epoll: no room");
        refuse_in_loop(conn);
    }
}
