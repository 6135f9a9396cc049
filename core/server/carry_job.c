/* What goes to a peer and comes from it another way than by DIMSE: jobs of the outbox given to a `carrier`
 * (hilum/carrier.h).
 *
 * A carrier is pinned and entered for one batch: a plugin may be swapped between two batches,
 * and never under one. What it answers has three meanings for the lane: an object's own
 * outcome; a failure of the object for good; or that nothing was reached, which costs no
 * attempt and closes the lane.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/server/server.h"
#include "hilum/carrier.h"

struct carrier {
    struct hl_plugins *plugins;
    const struct hilum_cap *cap;
    void *instance;
};

static const struct hilum_carrier *table_of(const struct carrier *carrier)
{
    return (const struct hilum_carrier *)(const void *)carrier->cap;
}

/* On an error out->cap is NULL and nothing has to be put back. */
static hilum_rc carrier_get(struct hl_server *server, const char *via, struct carrier *out)
{
    *out = (struct carrier){.plugins = server->plugins};
    if (strcmp(via, "dimse") == 0)
        return hl_fail(HILUM_EUNSUP, "nothing is fetched by DIMSE here");
    hilum_rc rc =
        hl_plugins_acquire(server->plugins, HILUM_CAP_CARRIER, via, &out->cap, &out->instance);
    if (rc != HILUM_OK)
        return hl_fail(
            rc, "no plugin sends via \"%s\" (plugins in hilum.cfg; dicomweb: dicomweb-client)",
            via);
    hl_plugins_enter(server->plugins, out->cap);
    return HILUM_OK;
}

/* In this order: leaving lets the next caller in, unpinning lets the plugin go. */
static void carrier_put(struct carrier *carrier)
{
    hl_plugins_leave(carrier->plugins, carrier->cap);
    hl_plugins_unpin(carrier->plugins, carrier->cap);
}

/* What leaves was admitted when it was queued: a rule's verb or a person's command was asked
 * for then. */
static const struct hl_principal outbox = {.kind = HL_PRINCIPAL_SYSTEM, .name = "outbox"};

/* Borrowed from the peer, which the caller holds until the carrier has returned. Secrets are
 * names of files: the carrier reads them itself, so that they are in no memory of ours. */
static struct hilum_destination destination_of(const struct hl_peer *peer)
{
    return (struct hilum_destination){.size = sizeof(struct hilum_destination),
                                      .who = (const hilum_principal *)&outbox,
                                      .name = peer->name,
                                      .url = peer->url,
                                      .token_file = peer->token_file,
                                      .user = peer->user,
                                      .password_file = peer->password_file,
                                      .ca = peer->has_tls ? peer->tls.ca : NULL,
                                      .certificate = peer->has_tls ? peer->tls.certificate : NULL,
                                      .key = peer->has_tls ? peer->tls.key : NULL,
                                      .connect_ms = (uint32_t)peer->connect_ms,
                                      .idle_ms = (uint32_t)peer->idle_ms};
}

/* ---- sending ---- */

/* What the carrier did not touch has rc 0 from calloc: HILUM_OK is only believed after it
 * returned without an error. */
static void deliver(const struct carrier *carrier, const struct hl_peer *peer,
                    const struct hl_job_wish *wishes, struct hl_job_attempt *attempts, size_t n)
{
    const struct hilum_destination to = destination_of(peer);
    struct hilum_delivery *items = calloc(n, sizeof *items);
    if (!items) {
        hl_server_not_reached(attempts, n, hl_fail(HILUM_ENOMEM, "out of memory"));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        items[i].instance = attempts[i].job.instance_id;
        items[i].as_of = attempts[i].job.as_of;
        items[i].transfer_syntax = wishes[i].has ? wishes[i].pack.transfer_syntax : NULL;
    }
    hilum_rc rc = table_of(carrier)->send(carrier->instance, &to, items, (uint32_t)n);
    if (rc < 0)
        hl_server_not_reached(attempts, n, rc);
    for (size_t i = 0; rc >= 0 && i < n; i++) {
        attempts[i].rc = items[i].rc;
        attempts[i].is_permanent = items[i].rc < 0 && items[i].is_permanent;
        snprintf(attempts[i].result, sizeof attempts[i].result, "%s", items[i].detail);
    }
    free(items);
}

/* All wishes of the batch go the same way: the caller has grouped them by it. */
void hl_server_carry(struct hl_server *server, const struct hl_peer *peer,
                     const struct hl_job_wish *wishes, struct hl_job_attempt *attempts, size_t n)
{
    struct carrier carrier;
    hilum_rc rc = carrier_get(server, wishes[0].via, &carrier);
    if (rc == HILUM_OK && !peer->url)
        rc = hl_fail(HILUM_EINVAL, "peer %s has no url", peer->name);
    if (rc == HILUM_OK)
        deliver(&carrier, peer, wishes, attempts, n);
    else
        hl_server_not_reached(attempts, n, rc);
    if (carrier.cap)
        carrier_put(&carrier);
}

/* ---- fetching ---- */

/* Not there, not allowed, not possible, not well asked: no second attempt would be answered
 * otherwise. */
static bool is_final(hilum_rc rc)
{
    return rc == HILUM_ENOTFOUND || rc == HILUM_EDENIED || rc == HILUM_EUNSUP || rc == HILUM_EINVAL;
}

/* What comes in is stored by the carrier through hilum_host.objects, object by object, with
 * the same checks as any other arrival. */
static void fetch(const struct carrier *carrier, const struct hl_peer *peer,
                  struct hl_job_attempt *attempt)
{
    const struct hilum_destination from = destination_of(peer);
    struct hilum_fetched got = {.size = sizeof got};
    json_t *arguments = json_loads(attempt->job.arguments, 0, NULL);
    const char *study = json_string_value(json_object_get(arguments, "study"));
    const char *series = json_string_value(json_object_get(arguments, "series"));
    const char *instance = json_string_value(json_object_get(arguments, "instance"));
    attempt->rc = study && *study ? table_of(carrier)->fetch(carrier->instance, &from, study,
                                                             series, instance, &got)
                                  : hl_fail(HILUM_EINVAL, "retrieve: expected the UID of a study");
    attempt->is_unreachable = attempt->rc == HILUM_EAGAIN;
    attempt->is_permanent = is_final(attempt->rc);
    snprintf(attempt->result, sizeof attempt->result, "%s",
             got.detail[0]     ? got.detail
             : attempt->rc < 0 ? hl_error()
                               : "fetched");
    json_decref(arguments);
}

/* A batch is one job here (send_job.c), so a study that takes long delays no other peer's
 * lane. */
void hl_server_fetch(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct hl_server *server = arg;
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, hl_lane_peer(lane));
    for (size_t i = 0; i < n; i++) {
        struct carrier carrier = {0};
        struct hl_job_wish wish;
        hl_server_job_wish(peer, &attempts[i].job, &wish);
        if (strcmp(wish.via, "dimse") == 0 && peer && peer->url)
            snprintf(wish.via, sizeof wish.via, "dicomweb");
        hilum_rc rc = peer && peer->url
                          ? carrier_get(server, wish.via, &carrier)
                          : hl_fail(HILUM_ENOTFOUND, "peer %s is not configured, or has no url",
                                    hl_lane_peer(lane));
        if (rc == HILUM_OK)
            fetch(&carrier, peer, &attempts[i]);
        else
            hl_server_not_reached(&attempts[i], 1, rc);
        if (carrier.cap)
            carrier_put(&carrier);
    }
    hl_peers_unref(peers);
}

/* ---- searching ---- */

hilum_rc hl_server_search_peer(struct hl_server *server, const struct hl_peer *peer,
                               const char *query, struct hilum_sink *answer)
{
    const char *via = peer->via && strcmp(peer->via, "dimse") != 0 ? peer->via : "dicomweb";
    const struct hilum_destination at = destination_of(peer);
    struct carrier carrier;
    hilum_rc rc = carrier_get(server, via, &carrier);
    if (rc != HILUM_OK)
        return rc;
    const struct hilum_carrier *table = table_of(&carrier);
    rc = HILUM_HAS(struct hilum_carrier, table->cap.size, search) && table->search
             ? table->search(carrier.instance, &at, query, answer)
             : hl_fail(HILUM_EUNSUP, "what goes via \"%s\" cannot search", via);
    carrier_put(&carrier);
    return rc;
}
