/* Sending to peers: which objects share an association, what became of each, and C-ECHO. It
 * knows nothing of who wants them sent and of retries.
 *
 * Callers are job lanes, the exchange of a C-MOVE and commands, each on a thread of its own; the
 * lock covers the shared lists and is never held while a peer is talked to. A link (one
 * association) belongs to one caller until it is put back. SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/pool.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"

/* Workers of shared sendings over all C-MOVEs; more of them wait their turn. 16 C-MOVEs with
 * four associations each. */
enum { POOL_MAX = 64 };

struct hl_peer_sent {
    struct hl_peer_sent *next;
    char peer[64];
    uint64_t sent, failed;
};

/* ---- life -------------------------------------------------------------------------------------
 */

hilum_rc hl_scu_new(struct hl_store *store, struct hl_record *record, struct hl_trace *trace,
                    struct hl_scu **out)
{
    struct hl_scu *scu = calloc(1, sizeof *scu);
    if (!scu)
        return hl_fail(HILUM_ENOMEM, "connections to peers: out of memory");
    scu->store = store;
    scu->record = record;
    scu->trace = trace;
    pthread_mutex_init(&scu->lock, NULL);
    hilum_rc rc = hl_pool_new("scu", POOL_MAX, &scu->pool);
    if (!rc)
        rc = hl_link_start(scu);
    if (rc) {
        hl_pool_free(scu->pool);
        free(scu);
    } else {
        *out = scu;
    }
    return rc;
}

/* Workers first, for they put links back; then the reaper releases what is kept. */
void hl_scu_free(struct hl_scu *scu)
{
    if (!scu)
        return;
    hl_pool_free(scu->pool);
    hl_link_stop(scu);
    hl_link_forget(scu);
    hl_policy_unref(scu->policy);
    for (struct hl_peer_sent *sent = scu->sent, *next; sent; sent = next) {
        next = sent->next;
        free(sent);
    }
    pthread_mutex_destroy(&scu->lock);
    free(scu);
}

/* Links of before are released when they are put back or by the reaper; those in use finish what
 * they carry. */
hilum_rc hl_scu_configure(struct hl_scu *scu, const struct hl_config *config)
{
    struct hl_policy *policy;
    /* The policy takes a reference, which is all it changes of a configuration. */
    hilum_rc rc = hl_policy_new((struct hl_config *)config, &policy);
    if (rc)
        return rc;
    pthread_mutex_lock(&scu->lock);
    struct hl_policy *old = scu->policy;
    scu->policy = policy;
    scu->generation++;
    hl_link_forget(scu);
    pthread_cond_signal(&scu->wake);
    pthread_mutex_unlock(&scu->lock);
    hl_policy_unref(old);
    return HILUM_OK;
}

struct hl_policy *hl_scu_policy(struct hl_scu *scu, unsigned *generation)
{
    pthread_mutex_lock(&scu->lock);
    struct hl_policy *policy = scu->policy ? hl_policy_ref(scu->policy) : NULL;
    *generation = scu->generation;
    pthread_mutex_unlock(&scu->lock);
    return policy;
}

/* ---- status -----------------------------------------------------------------------------------
 */

/* By name, so that a count survives a reload of the peer. Without memory nothing is counted. */
void hl_scu_count(struct hl_scu *scu, const char *peer, bool is_sent)
{
    pthread_mutex_lock(&scu->lock);
    struct hl_peer_sent *count = scu->sent;
    while (count && strcmp(count->peer, peer))
        count = count->next;
    if (!count && (count = calloc(1, sizeof *count))) {
        snprintf(count->peer, sizeof count->peer, "%s", peer);
        count->next = scu->sent;
        scu->sent = count;
    }
    if (count)
        *(is_sent ? &count->sent : &count->failed) += 1;
    pthread_mutex_unlock(&scu->lock);
}

/* Lock held. */
static unsigned kept_of(const struct hl_scu *scu, const char *peer)
{
    unsigned n = 0;
    for (const struct hl_link *link = scu->kept; link; link = link->next)
        n += !strcmp(link->peer, peer);
    return n;
}

void hl_scu_status(struct hl_scu *scu, struct hl_buf *json)
{
    hl_buf_text(json, "[");
    pthread_mutex_lock(&scu->lock);
    for (struct hl_peer_sent *count = scu->sent; count; count = count->next) {
        hl_buf_text(json, count == scu->sent ? "{\"peer\":" : ",{\"peer\":");
        hl_buf_json_string(json, count->peer);
        hl_buf_printf(json, ",\"kept\":%u,\"sent\":%llu,\"failed\":%llu}",
                      kept_of(scu, count->peer), (unsigned long long)count->sent,
                      (unsigned long long)count->failed);
    }
    pthread_mutex_unlock(&scu->lock);
    hl_buf_text(json, "]");
}

/* ---- C-ECHO -----------------------------------------------------------------------------------
 */

/* PS3.7 9.1.5. A peer that answers at all but refuses verification is told apart from one that
 * is not there. */
static hilum_rc echo_on(struct hl_link *link, const char *peer)
{
    const struct hl_ul_params *params = hl_ul_params(link->ul);
    if (params->contexts[0].result != HL_UL_ACCEPTED)
        return hl_fail(HILUM_EUNSUP, "peer %s does not take verification", peer);
    struct hl_dimse request = {.command_field = HL_C_ECHO_RQ,
                               .message_id = ++link->last_message_id,
                               .context_id = params->contexts[0].id,
                               .sop_class = HL_UID_VERIFICATION};
    struct hl_dimse response;
    hilum_rc rc = hl_dimse_write(link->ul, &request, NULL, 0);
    if (!rc)
        rc = hl_dimse_read(link->ul, &response);
    if (rc)
        return hl_fail_in(rc, "peer %s", peer);
    link->answered++;
    if (response.command_field != (HL_C_ECHO_RQ | HL_RSP) || response.status)
        return hl_fail(HILUM_EIO, "peer %s answers a C-ECHO by command %04x status %04x", peer,
                       response.command_field, response.status);
    return HILUM_OK;
}

/* Always over a new association: a kept one would say nothing about whether the peer lets us in
 * now. */
hilum_rc hl_scu_echo(struct hl_scu *scu, const struct hl_peer *peer, int64_t *ms)
{
    struct hl_pairs *pairs = calloc(1, sizeof *pairs);
    struct hl_link *link = NULL;
    int64_t start = hl_mono_ms();
    if (!pairs)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    pairs->is_exact = true;
    (void)hl_pairs_add(pairs, HL_UID_VERIFICATION, HL_UID_IMPLICIT_LITTLE_ENDIAN, NULL);
    hilum_rc rc = hl_link_get(scu, peer, pairs, true, &link);
    free(pairs);
    if (rc)
        return rc;
    rc = echo_on(link, peer->name);
    if (ms)
        *ms = hl_mono_ms() - start;
    if (rc)
        hl_link_drop(link, hl_error());
    else
        hl_link_release(link);
    return rc;
}

/* ---- C-STORE ----------------------------------------------------------------------------------
 */

/* A call of hl_scu_store under way. */
struct call {
    struct hl_scu *scu;
    const struct hl_peer *peer;
    const struct hl_send_options *options;
    struct hl_pairs pairs; /* of the batch */
    struct hl_link *link;
    bool is_stopped;
    struct hl_ahead ahead;
    bool only_fresh; /* a kept association turned out dead: the others may be too */
};

/* Each object ends exactly once; the caller may stop the rest here. */
static void end_item(struct call *call, struct hl_send_item *item)
{
    hl_scu_count(call->scu, call->peer->name, item->rc == HILUM_OK);
    if (call->options && call->options->progress &&
        call->options->progress(call->options->arg, item))
        call->is_stopped = true;
}

/* The reason is that of hl_error() now; status 0 says that the peer never answered. */
static void note_failure(struct hl_send_item *item, hilum_rc rc)
{
    item->rc = rc;
    item->status = 0;
    snprintf(item->detail, sizeof item->detail, "%s", hl_error());
}

static hilum_rc send_on_link(struct call *call, struct hl_send_item *item,
                             const struct hl_send_item *next)
{
    struct hl_sending sending = {.ul = call->link->ul,
                                 .peer = call->peer->name,
                                 .preference = call->peer,
                                 .message_id = ++call->link->last_message_id,
                                 .options = call->options,
                                 .ahead = &call->ahead,
                                 .next = next};
    hilum_rc rc = hl_sending_object(&sending, call->scu->store, item);
    call->link->answered += item->rc == HILUM_OK || item->status;
    return rc;
}

/* A kept association may have died unnoticed: its first object is tried once more on a new
 * one. Later a break is the object's failure, since the peer may have it. An error: there is
 * no association to be had. Whether the peer has an object whose answer never came nobody
 * knows: sending it again would be a duplicate at worst, but that is for the job's retry to
 * decide. */
static hilum_rc send_item(struct call *call, struct hl_send_item *item,
                          const struct hl_send_item *next)
{
    for (;;) {
        hilum_rc rc = call->link ? HILUM_OK
                                 : hl_link_get(call->scu, call->peer, &call->pairs,
                                               call->only_fresh, &call->link);
        if (rc)
            return rc;
        assert(call->link);
        bool was_reused = call->link->is_reused;
        if (!send_on_link(call, item, next)) {
            call->link->is_reused = false;
            return HILUM_OK;
        }
        hl_link_drop(call->link, item->detail);
        call->link = NULL;
        call->only_fresh = true;
        if (!was_reused)
            return HILUM_OK; /* the item says it */
    }
}

/* Once there is no association to be had, the rest of the batch fails for that reason without
 * trying again. */
static hilum_rc send_batch(struct call *call, struct hl_send_item *items, size_t n)
{
    hilum_rc rc = HILUM_OK;
    if (call->link && !hl_link_covers(call->link, &call->pairs)) {
        hl_link_put(call->scu, call->peer, call->link);
        call->link = NULL;
    }
    for (size_t i = 0; i < n; i++) {
        if (items[i].rc == HILUM_OK && !rc && !call->is_stopped)
            rc = send_item(call, &items[i], i + 1 < n ? &items[i + 1] : NULL);
        if (call->is_stopped)
            note_failure(&items[i], hl_fail(HILUM_ECANCELLED, "stopped before this object"));
        else if (rc && items[i].rc == HILUM_OK)
            note_failure(&items[i], rc);
        if (!call->is_stopped)
            end_item(call, &items[i]);
    }
    hl_ahead_drop(&call->ahead);
    hl_pairs_clear(&call->pairs);
    return rc;
}

/* Adds the item's context to the batch; false: the batch is full. The row is read again when
 * the object is sent: it may be compressed meanwhile, and then leaves by another context or is
 * converted. */
static bool plan_item(struct call *call, struct hl_send_item *item)
{
    struct hl_stored stored;
    hilum_rc rc = hl_record_stored_by_id(call->scu->record, item->instance_id, &stored);
    item->rc = HILUM_OK;
    if (rc) {
        note_failure(item, rc);
        return true;
    }
    return hl_pairs_add(&call->pairs, stored.sop_class, stored.transfer_syntax,
                        item->wish ? item->wish->transfer_syntax : NULL);
}

/* Batches of as many objects as share one association's contexts. The result is that of the
 * first batch: only it tells whether anything could be tried. */
static hilum_rc send_all(struct call *call, struct hl_send_item *items, size_t n)
{
    hilum_rc first = HILUM_OK;
    for (size_t start = 0, end = 0; start < n; start = end) {
        while (end < n && plan_item(call, &items[end]))
            end++;
        hilum_rc rc = send_batch(call, items + start, end - start);
        if (start == 0)
            first = rc;
    }
    return first;
}

hilum_rc hl_scu_store_over(struct hl_scu *scu, const struct hl_peer *peer,
                           struct hl_send_item *items, size_t n,
                           const struct hl_send_options *options, struct hl_link **link)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    call->scu = scu;
    call->peer = call->pairs.peer = peer;
    call->options = options;
    call->link = *link;
    hilum_rc rc = send_all(call, items, n);
    *link = call->link;
    free(call);
    return rc;
}

hilum_rc hl_scu_store(struct hl_scu *scu, const struct hl_peer *peer, struct hl_send_item *items,
                      size_t n, const struct hl_send_options *options)
{
    if (options && options->connections > 1)
        return hl_scu_store_shared(scu, peer, items, n, options);
    struct hl_link *link = NULL;
    hilum_rc rc = hl_scu_store_over(scu, peer, items, n, options, &link);
    if (link)
        hl_link_put(scu, peer, link);
    return rc;
}
