/* hilum_host.scu: which peer a plugin means, and whether it may.
 *
 * Called on any thread of a plugin; each call makes an association of its own and waits for its
 * end. Peers are looked up in the configuration in force now, and held until the call returns.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/access/access.h"
#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/dicom/policy.h"
#include "core/dicom/scu_query.h"
#include "core/server/server.h"

/* WAIT_MS holds between two messages of the peer, not for the whole: a C-MOVE of a large study
 * may take hours. LONGEST_MS keeps a plugin's slip from holding a thread for days. */
enum { WAIT_MS = 60000, LONGEST_MS = 3600000, HOST_SIZE = 256 };

/* A call with what its peer's texts live in. On the caller's stack: a call ends within the
 * call. */
struct asked {
    struct hl_query_call call;
    struct hl_policy *policy; /* of now; owns the configured peers */
    struct hl_peer made;
    char host[HOST_SIZE];
};

/* By name first: an AE title may be shared. */
static const struct hl_peer *named(struct hl_peers *peers, const char *name)
{
    const struct hl_peer *peer = hl_peers_by_name(peers, name);
    return peer ? peer : hl_peers_by_aet(peers, name);
}

/* What comes back by C-GET is stored here as if the peer had sent it, and so with its rights. */
static struct hl_principal sender_of(const struct hl_server *server, const struct hl_policy *policy,
                                     const struct hl_peer *peer)
{
    return (struct hl_principal){.kind = HL_PRINCIPAL_PEER,
                                 .peer = peer,
                                 .address = peer->host,
                                 .aet = peer->aet,
                                 .view = hl_policy_view(policy, peer),
                                 .studies = &server->studies};
}

/* end() must follow whatever the answer. A peer by name has what the configuration says (TLS,
 * titles, limits); one by address is made up for this call and may be asked, but nothing may
 * be fetched from it (check_store). */
static hilum_rc begin(hilum_self *self, const struct hilum_scu_peer *peer, struct asked *out)
{
    struct hl_server *server = hl_plugins_context(self);
    uint32_t wait_ms = peer->wait_ms ? peer->wait_ms : WAIT_MS;
    out->call = (struct hl_query_call){.scu = server->scu,
                                       .wait_ms = wait_ms < LONGEST_MS ? wait_ms : LONGEST_MS};
    unsigned generation;
    out->policy = hl_scu_policy(server->scu, &generation);
    if (!out->policy)
        return hl_fail(HILUM_ECLOSED, "no peers are configured yet");
    if (!peer->name) {
        out->call.peer = &out->made;
        return hl_query_peer(peer->address, peer->called_aet, out->host, &out->made);
    }
    out->call.peer = named(out->policy->peers, peer->name);
    if (!out->call.peer)
        return hl_fail(HILUM_ENOTFOUND, "peer %s: none of this name or AE title is configured",
                       peer->name);
    out->call.sender = sender_of(server, out->policy, out->call.peer);
    return HILUM_OK;
}

/* The policy is let go last: the peer's texts are its. */
static hilum_rc end(struct asked *asked, hilum_rc rc)
{
    hl_policy_unref(asked->policy);
    return rc;
}

static hilum_rc echo(hilum_self *self, const struct hilum_scu_peer *peer, uint32_t *ms)
{
    struct asked asked;
    int64_t took = 0;
    hilum_rc rc = begin(self, peer, &asked);
    if (rc == HILUM_OK)
        rc = hl_scu_echo(asked.call.scu, asked.call.peer, &took);
    if (ms)
        *ms = (uint32_t)took;
    return end(&asked, rc);
}

/* each() runs on this thread between two responses: a plugin that takes long holds the peer
 * up. An error of it cancels the query (PS3.4 C.4.1.3). */
static hilum_rc find(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                     hilum_dataset *identifier, hilum_rc (*each)(void *arg, hilum_dataset *answer),
                     void *arg, uint16_t *status)
{
    struct asked asked;
    hilum_rc rc = begin(self, peer, &asked);
    if (rc == HILUM_OK)
        rc = hl_query_find(&asked.call, sop_class, identifier, each, arg, status);
    return end(&asked, rc);
}

/* Where no destination is named the peer sends to us (PS3.4 C.4.2): it must know our title.
 * The configuration is held until the end, for our title is a text of it. */
static hilum_rc move(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                     hilum_dataset *identifier, const char *destination, hilum_send_cb progress,
                     void *arg, struct hilum_suboperations *total, uint16_t *status)
{
    struct asked asked;
    struct hilum_suboperations whole = {.size = sizeof whole};
    struct hl_config *config = hl_server_config(hl_plugins_context(self));
    const struct hl_query_retrieve retrieve = {
        .sop_class = sop_class,
        .destination = destination ? destination : hl_config_text(config, "dicom.aet"),
        .progress = progress,
        .arg = arg,
        .total = &whole};
    hilum_rc rc = begin(self, peer, &asked);
    if (rc == HILUM_OK)
        rc = hl_query_retrieve(&asked.call, &retrieve, identifier, status);
    hl_sized_give(total, &whole, sizeof whole);
    hl_config_unref(config);
    return end(&asked, rc);
}

/* Asked before anything is fetched; of each study it is asked again. The principal is the peer
 * as if it sent by itself: what a peer may not store it may not have fetched either. */
static hilum_rc check_store(const struct asked *asked)
{
    return asked->call.peer == &asked->made
               ? hl_fail(HILUM_EDENIED, "%s: objects are fetched from peers of the configuration",
                         asked->made.name)
               : hl_allow(&asked->call.sender, "store", NULL);
}

/* Objects come back over this association (PS3.4 C.4.3) and are stored before the peer is told
 * so. */
static hilum_rc get(hilum_self *self, const struct hilum_scu_peer *peer, const char *sop_class,
                    const char *const *sop_classes, hilum_dataset *identifier,
                    hilum_send_cb progress, void *arg, struct hilum_suboperations *total,
                    uint16_t *status)
{
    struct asked asked;
    struct hilum_suboperations whole = {.size = sizeof whole};
    const struct hl_query_retrieve retrieve = {.sop_class = sop_class,
                                               .sop_classes = sop_classes,
                                               .progress = progress,
                                               .arg = arg,
                                               .total = &whole};
    hilum_rc rc = begin(self, peer, &asked);
    if (rc == HILUM_OK)
        rc = check_store(&asked);
    if (rc == HILUM_OK)
        rc = hl_query_retrieve(&asked.call, &retrieve, identifier, status);
    hl_sized_give(total, &whole, sizeof whole);
    return end(&asked, rc);
}

/* N-services and whatever else has one answer; the answer's data set is the caller's. */
static hilum_rc request(hilum_self *self, const struct hilum_scu_peer *peer,
                        const struct hilum_dimse_request *given, hilum_dataset *data,
                        struct hilum_scu_answer *answer)
{
    struct asked asked;
    struct hilum_scu_answer whole = {.size = sizeof whole};
    hilum_rc rc = begin(self, peer, &asked);
    if (rc == HILUM_OK)
        rc = hl_query_request(&asked.call, given, data, &whole);
    hl_sized_give(answer, &whole, sizeof whole);
    return end(&asked, rc);
}

const struct hilum_scu_api hl_scu_api = {.size = sizeof hl_scu_api,
                                         .echo = echo,
                                         .find = find,
                                         .move = move,
                                         .get = get,
                                         .request = request};
