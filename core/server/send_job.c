/* The job type `send`: a lane's batch of instances over C-STORE to the peer the lane is named after.
 *
 * A lane is a destination. Its jobs come in batches of up to SEND_BATCH, each over one
 * association, and SEND_AT_ONCE batches of a lane may run at once. An object is done when the
 * peer answered success or a warning (PS3.4 B.2.3); proof and reason are kept with the job.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include <jansson.h>

#include "core/base/error.h"
#include "core/dicom/uid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 64 objects are some seconds of work: long enough to pay for an association, short enough
 * that priorities and cancellations are noticed. */
enum { SEND_BATCH = 64, SEND_AT_ONCE = 2 };

void hl_server_not_reached(struct hl_job_attempt *attempts, size_t n, hilum_rc rc)
{
    for (size_t i = 0; i < n; i++) {
        attempts[i].rc = rc;
        attempts[i].is_unreachable = rc != HILUM_ENOMEM;
        snprintf(attempts[i].result, sizeof attempts[i].result, "%s", hl_error());
    }
}

/* Refusals that another attempt with the same bytes cannot change: the peer does not take the
 * object. Cxxx is "cannot understand", A9xx "data set does not match SOP class" (PS3.4 B.2.3);
 * A7xx, out of resources, passes by itself. */
static bool is_permanent(const struct hl_send_item *item)
{
    uint16_t family = item->status & 0xF000;
    return family == 0xC000 || (item->status & 0xFF00) == 0xA900 || item->rc == HILUM_ENOTFOUND;
}

/* The job's own way, then the peer's. A syntax nobody knows is no wish: the peer's list
 * decides then. */
void hl_server_job_wish(const struct hl_peer *peer, const struct hl_job *job,
                        struct hl_job_wish *out)
{
    json_t *arguments = json_loads(job->arguments, 0, NULL);
    const char *via = json_string_value(json_object_get(arguments, "via"));
    const char *syntax = json_string_value(json_object_get(arguments, "syntax"));
    const struct hl_syntax *known = syntax ? hl_uid_syntax_named(syntax) : NULL;
    *out = (struct hl_job_wish){.has = known != NULL};
    snprintf(out->via, sizeof out->via, "%s", via ? via : peer ? peer->via : "dimse");
    if (known) {
        snprintf(out->pack.transfer_syntax, sizeof out->pack.transfer_syntax, "%s", known->uid);
        out->pack.may_lose = (known->flags & HL_SYNTAX_LOSSY) != 0;
        out->pack.quality = (uint32_t)json_integer_value(json_object_get(arguments, "quality"));
    }
    json_decref(arguments);
}

/* One association for the batch. Each object has an outcome of its own; what failed as a whole
 * is no attempt of any. as_of of the first holds for all: jobs of one batch were planned by
 * one event or one person, and 0, "as it is now", is what nearly all have. */
static void send_batch(struct hl_server *server, const struct hl_peer *peer,
                       const struct hl_job_wish *wishes, struct hl_job_attempt *attempts, size_t n)
{
    struct hl_send_item *items = calloc(n, sizeof *items);
    if (!items) {
        hl_server_not_reached(attempts, n, hl_fail(HILUM_ENOMEM, "out of memory"));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        items[i].instance_id = attempts[i].job.instance_id;
        items[i].wish = wishes[i].has ? &wishes[i].pack : NULL;
    }
    struct hl_send_options options = {.as_of = attempts[0].job.as_of};
    hilum_rc rc = hl_scu_store(server->scu, peer, items, n, &options);
    if (rc < 0)
        hl_server_not_reached(attempts, n, rc);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        attempts[i].rc = items[i].rc;
        attempts[i].is_permanent = items[i].rc < 0 && is_permanent(&items[i]);
        snprintf(attempts[i].result, sizeof attempts[i].result, "%s", items[i].detail);
    }
    free(items);
}

/* Jobs that go the same way. */
static void send_same(struct hl_server *server, const struct hl_peer *peer, const char *lane,
                      const struct hl_job_wish *wishes, struct hl_job_attempt *attempts, size_t n)
{
    if (peer && strcmp(wishes[0].via, "dimse") != 0)
        hl_server_carry(server, peer, wishes, attempts, n);
    else if (peer && peer->host)
        send_batch(server, peer, wishes, attempts, n);
    else
        hl_server_not_reached(
            attempts, n,
            hl_fail(HILUM_ENOTFOUND, "peer %s is not configured, or has no host", lane));
}

/* The peer is looked up now: a reload may have changed or removed it since the job was made.
 * Neighbours only are grouped: order within the lane is kept. */
static void run_send(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct hl_server *server = arg;
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, lane);
    struct hl_job_wish *wishes = calloc(n, sizeof *wishes);
    if (!wishes)
        hl_server_not_reached(attempts, n, hl_fail(HILUM_ENOMEM, "out of memory"));
    for (size_t i = 0; wishes && i < n; i++)
        hl_server_job_wish(peer, &attempts[i].job, &wishes[i]);
    /* Wishes of rules differ within a lane: what goes the same way goes together. */
    for (size_t i = 0, end = 0; wishes && i < n; i = end) {
        for (end = i + 1; end < n && strcmp(wishes[i].via, wishes[end].via) == 0;)
            end++;
        send_same(server, peer, lane, wishes + i, attempts + i, end - i);
    }
    free(wishes);
    hl_peers_unref(peers);
}

void hl_server_tune_lane(void *arg, const char *lane, struct hl_jobs_options *options)
{
    struct hl_peers *peers = hl_server_peers(arg);
    const struct hl_peer *peer = hl_peers_by_name(peers, hl_lane_peer(lane));
    if (peer) {
        options->max_attempts = peer->attempts;
        options->retry_first_ms = peer->retry_first_ms;
        options->retry_max_ms = peer->retry_max_ms;
    }
    hl_peers_unref(peers);
}

bool hl_server_rule_version(void *arg, const char *hook, char out[17])
{
    struct hl_server *server = arg;
    return server->script && hl_script_version(server->script, hook, out);
}

hilum_rc hl_server_register_jobs(struct hl_server *server)
{
    const struct hl_job_type send = {.type = "send",
                                     .batch = SEND_BATCH,
                                     .per_lane = SEND_AT_ONCE,
                                     .run = run_send,
                                     .arg = server};
    const struct hl_job_type retrieve = {.type = "retrieve",
                                         .batch = 1,
                                         .per_lane = SEND_AT_ONCE,
                                         .run = hl_server_fetch,
                                         .arg = server};
    hilum_rc rc = hl_jobs_register(server->jobs, &send);
    return rc == HILUM_OK ? hl_jobs_register(server->jobs, &retrieve) : rc;
}
