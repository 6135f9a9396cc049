/* Our upper layer as one side. SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/side.h"
#include "core/base/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct acceptor {
    const struct scenario *scenario;
    struct hl_ul_server *server;
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    size_t n; /* messages read */
    struct hl_buf account;
};

static hilum_rc read_part(struct hl_ul_assoc *assoc, bool is_command, struct hl_buf *account)
{
    struct hl_buf bytes = {0};
    struct hl_ul_pdv pdv = {0};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !pdv.is_last) {
        rc = hl_ul_read(assoc, &pdv);
        if (rc == HILUM_OK && pdv.is_command != is_command)
            rc = hl_fail(HILUM_EINVAL, "command and data set mixed");
        if (rc == HILUM_OK)
            hl_buf_add(&bytes, pdv.data, pdv.length);
    }
    if (rc == HILUM_OK)
        side_tell_part(pdv.context_id, is_command, &bytes, account);
    hl_buf_fini(&bytes);
    return rc;
}

static hilum_rc read_message(struct hl_ul_assoc *assoc, struct hl_buf *account)
{
    hilum_rc rc = read_part(assoc, true, account);
    return rc ? rc : read_part(assoc, false, account);
}

static hilum_rc write_message(struct hl_ul_assoc *assoc, uint8_t context, size_t n, unsigned seed,
                              bool is_whole)
{
    struct hl_buf bytes = {0};
    side_fill(&bytes, SIDE_COMMAND, seed);
    hilum_rc rc = hl_ul_write(assoc, context, true, bytes.data, bytes.len, true);
    side_fill(&bytes, n, seed + 1);
    rc = rc ? rc : hl_ul_write(assoc, context, false, bytes.data, bytes.len, is_whole);
    hl_buf_fini(&bytes);
    return rc;
}

/* "released", "aborted by the peer: ...", "permanently rejected ... (1/1/7)": in fewer words. */
static void tell_reason(const char *why, struct hl_buf *out)
{
    struct hl_ul_reject reject;
    const char *codes = strrchr(why, '(');
    if (strstr(why, "reject") && codes &&
        sscanf(codes, "(%hhu/%hhu/%hhu)", &reject.result, &reject.source, &reject.reason) == 3)
        side_tell_reject(&reject, out);
    else if (strstr(why, "aborted"))
        side_tell_end("aborted", out);
    else
        side_tell_end(why, out);
}

/* ---- acceptor ---------------------------------------------------------------------------------
 */

static void negotiate(void *ctx, struct hl_ul_assoc *assoc, struct hl_ul_params *params,
                      struct hl_ul_reject *reject, void **user)
{
    struct acceptor *acceptor = ctx;
    (void)assoc;
    (void)user;
    side_tell_proposal(params, &acceptor->account);
    acceptor->scenario->decide(params, reject);
}

static hilum_rc message(void *ctx, struct hl_ul_assoc *assoc, void *user)
{
    struct acceptor *acceptor = ctx;
    const struct scenario *scenario = acceptor->scenario;
    (void)user;
    hilum_rc rc = read_message(assoc, &acceptor->account);
    if (rc)
        return rc;
    size_t i = acceptor->n++;
    if (i >= scenario->n_messages)
        return hl_fail(HILUM_EINVAL, "a message too many");
    if (scenario->end == SIDE_ABORT_UNANSWERED && i + 1 == scenario->n_messages)
        return hl_fail(HILUM_EDENIED, "as the scenario wants");
    return write_message(assoc, scenario->messages[i].context, scenario->messages[i].answered,
                         1000 + (unsigned)i, true);
}

static void closed(void *ctx, struct hl_ul_assoc *assoc, void *user, const char *why)
{
    struct acceptor *acceptor = ctx;
    (void)assoc;
    (void)user;
    pthread_mutex_lock(&acceptor->lock);
    tell_reason(why, &acceptor->account);
    acceptor->is_over = true;
    pthread_cond_broadcast(&acceptor->over);
    pthread_mutex_unlock(&acceptor->lock);
}

static void refused(void *ctx, const char *address, const char *why)
{
    (void)address;
    closed(ctx, NULL, NULL, why);
}

static void *listen_here(const struct scenario *scenario, uint16_t *port)
{
    struct acceptor *acceptor = calloc(1, sizeof *acceptor);
    const struct hl_ul_listen listen = {"127.0.0.1:0", NULL};
    const struct hl_ul_limits limits = {.max_pdu = scenario->acceptor_takes};
    const struct hl_ul_handler handler = {negotiate, message, closed, refused, acceptor};
    if (!acceptor)
        return NULL;
    acceptor->scenario = scenario;
    pthread_mutex_init(&acceptor->lock, NULL);
    pthread_cond_init(&acceptor->over, NULL);
    if (hl_ul_server_start(&listen, 1, &limits, &handler, port, &acceptor->server) == HILUM_OK)
        return acceptor;
    free(acceptor);
    return NULL;
}

static void finish(void *arg, struct hl_buf *account)
{
    struct acceptor *acceptor = arg;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    int waited = 0;
    pthread_mutex_lock(&acceptor->lock);
    while (!acceptor->is_over && waited == 0)
        waited = pthread_cond_timedwait(&acceptor->over, &acceptor->lock, &until);
    pthread_mutex_unlock(&acceptor->lock);
    hl_ul_server_stop(acceptor->server, 100);
    hl_buf_add(account, acceptor->account.data, acceptor->account.len);
    hl_buf_fini(&acceptor->account);
    pthread_cond_destroy(&acceptor->over);
    pthread_mutex_destroy(&acceptor->lock);
    free(acceptor);
}

/* ---- requestor --------------------------------------------------------------------------------
 */

static hilum_rc exchange(const struct scenario *scenario, struct hl_ul_assoc *assoc,
                         struct hl_buf *account)
{
    for (size_t i = 0; i < scenario->n_messages; i++) {
        const struct side_message *message = &scenario->messages[i];
        bool is_cut = scenario->end == SIDE_ABORT_HALFWAY && i + 1 == scenario->n_messages;
        hilum_rc rc = write_message(assoc, message->context, message->asked, (unsigned)i, !is_cut);
        if (rc || is_cut)
            return rc;
        rc = read_message(assoc, account);
        if (rc)
            return rc;
    }
    return HILUM_OK;
}

static void end(const struct scenario *scenario, struct hl_ul_assoc *assoc, hilum_rc rc,
                struct hl_buf *account)
{
    if (rc) {
        tell_reason(hl_error(), account);
        hl_ul_abort(assoc);
    } else if (scenario->end == SIDE_RELEASE) {
        hl_ul_release(assoc);
        side_tell_end("released", account);
    } else {
        hl_ul_abort(assoc);
        side_tell_end("aborted", account);
    }
}

static void request(const struct scenario *scenario, uint16_t port, struct hl_buf *account)
{
    struct hl_ul_assoc *assoc;
    const struct hl_ul_connect how = {.host = "127.0.0.1",
                                      .port = port,
                                      .propose = &scenario->proposal,
                                      .connect_ms = 10000,
                                      .negotiate_ms = 10000,
                                      .pdu_ms = 10000,
                                      .write_ms = 10000,
                                      .max_pdu = scenario->requestor_takes};
    if (hl_ul_open(&how, &assoc)) {
        tell_reason(hl_error(), account);
        return;
    }
    side_tell_answer(hl_ul_params(assoc), account);
    end(scenario, assoc, exchange(scenario, assoc, account), account);
}

const struct side side_hilum = {"hilum", listen_here, finish, request};
