/* Associations to peers: opened with the contexts that are needed, kept for the next object,
 * released when nobody came for a while. It knows nothing of messages.
 *
 * Kept links are in one list under the lock, marked with the generation of the configuration
 * they were opened under; one of an older generation is never handed out again. The reaper
 * thread releases those whose time is over, outside the lock, since a release waits for the
 * peer. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/trace.h"

/* A peer's TLS context: reading certificates costs more than an association. */
struct hl_scu_tls {
    struct hl_scu_tls *next;
    char peer[64];
    struct hl_ul_tls *tls;
};

/* ---- TLS --------------------------------------------------------------------------------------
 */

/* No require_peer_certificate: a requestor always verifies. */
static hilum_rc new_tls(const struct hl_peer *peer, struct hl_ul_tls **out)
{
    struct hl_ul_tls_config config = {.certificate = peer->tls.certificate,
                                      .key = peer->tls.key,
                                      .ca = peer->tls.ca,
                                      .server_name = peer->tls.server_name};
    hilum_rc rc = hl_ul_tls_new(&config, false, out);
    return rc ? hl_fail_in(rc, "peer %s", peer->name) : HILUM_OK;
}

/* With a reference for the caller; NULL for a peer without TLS. Made outside the lock, for it
 * reads files; two threads may make the same one, which costs a context and no more. */
static hilum_rc tls_for(struct hl_scu *scu, const struct hl_peer *peer, unsigned generation,
                        struct hl_ul_tls **out)
{
    *out = NULL;
    if (!peer->has_tls)
        return HILUM_OK;
    pthread_mutex_lock(&scu->lock);
    struct hl_scu_tls *known = scu->tls;
    while (known && strcmp(known->peer, peer->name))
        known = known->next;
    if (known)
        *out = hl_ul_tls_ref(known->tls);
    pthread_mutex_unlock(&scu->lock);
    if (known)
        return HILUM_OK;
    hilum_rc rc = new_tls(peer, out);
    if (rc || !(known = calloc(1, sizeof *known)))
        return rc;
    snprintf(known->peer, sizeof known->peer, "%s", peer->name);
    known->tls = hl_ul_tls_ref(*out);
    pthread_mutex_lock(&scu->lock);
    /* A reload since then has forgotten the old certificates; these must not come back for those after it. */
    bool is_current = generation == scu->generation;
    if (is_current) {
        known->next = scu->tls;
        scu->tls = known;
    }
    pthread_mutex_unlock(&scu->lock);
    if (!is_current) {
        hl_ul_tls_unref(known->tls);
        free(known);
    }
    return HILUM_OK;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

/* Ten seconds where a peer says nothing: a host that is switched off does not answer at all. */
static hilum_rc connect_to(const struct hl_policy *policy, const struct hl_peer *peer,
                           const struct hl_ul_params *params, struct hl_ul_tls *tls,
                           struct hl_ul_failure *failure, struct hl_ul_assoc **out)
{
    uint32_t connect_ms = peer->connect_ms > 0 ? (uint32_t)peer->connect_ms : 10000;
    struct hl_ul_connect how = {.host = peer->host,
                                .port = peer->port,
                                .tls = tls,
                                .propose = params,
                                .failure = failure,
                                .connect_ms = connect_ms,
                                .negotiate_ms = connect_ms,
                                .pdu_ms = policy->limits.pdu_ms,
                                .write_ms = policy->limits.write_ms,
                                .min_rate = policy->limits.min_rate,
                                .max_pdu = peer->max_pdu ? peer->max_pdu : policy->limits.max_pdu};
    return hl_ul_open(&how, out);
}

/* What the peer answered, or how it failed: hl_error(). The proposal is lent to the trace as if
 * it were the negotiated one, hence address and TLS are filled in here. */
static void remember(struct hl_scu *scu, const struct hl_policy *policy, const struct hl_peer *peer,
                     const struct hl_ul_failure *failure, struct hl_ul_params *proposed,
                     struct hl_link *link)
{
    struct hl_trace_note note = {.peer = peer->name,
                                 .is_outbound = true,
                                 .has_failed = !link->ul,
                                 .params = link->ul ? hl_ul_params(link->ul) : proposed,
                                 .reject = &failure->reject,
                                 .why = hl_error(),
                                 .keep = policy->trace};
    proposed->is_tls = peer->has_tls;
    proposed->port = peer->port;
    snprintf(proposed->address, sizeof proposed->address, "%.63s",
             failure->address[0] ? failure->address : peer->host);
    link->trace = scu->trace;
    link->traced = hl_trace_add(scu->trace, &note);
}

/* An association somebody waits for; on his stack. */
struct hl_opening {
    struct hl_opening *next;
    const char *peer;
};

/* On the caller's stack and taken off before it returns: the list holds no memory of its own. */
static void opening_begin(struct hl_scu *scu, struct hl_opening *opening)
{
    pthread_mutex_lock(&scu->lock);
    opening->next = scu->opening;
    scu->opening = opening;
    pthread_mutex_unlock(&scu->lock);
}

static void opening_end(struct hl_scu *scu, const struct hl_opening *opening)
{
    pthread_mutex_lock(&scu->lock);
    struct hl_opening **at = &scu->opening;
    while (*at != opening)
        at = &(*at)->next;
    *at = opening->next;
    pthread_mutex_unlock(&scu->lock);
}

/* Lock held. */
static bool is_awaited(const struct hl_scu *scu, const char *peer)
{
    const struct hl_opening *opening = scu->opening;
    while (opening && strcmp(opening->peer, peer))
        opening = opening->next;
    return opening != NULL;
}

static hilum_rc open_link(struct hl_scu *scu, const struct hl_policy *policy,
                          const struct hl_peer *peer, struct hl_proposal *proposal,
                          struct hl_link *link)
{
    struct hl_ul_failure failure = {0};
    struct hl_ul_tls *tls = NULL;
    snprintf(proposal->params.called_aet, HL_AE_MAX, "%s", peer->aet);
    snprintf(proposal->params.calling_aet, HL_AE_MAX, "%s",
             peer->own_aet ? peer->own_aet : policy->aet);
    hilum_rc rc = tls_for(scu, peer, link->generation, &tls);
    if (!rc)
        rc = connect_to(policy, peer, &proposal->params, tls, &failure, &link->ul);
    remember(scu, policy, peer, &failure, &proposal->params, link);
    hl_ul_tls_unref(tls);
    return rc ? hl_fail_in(rc, "peer %s", peer->name) : HILUM_OK;
}

/* Remembers the pairs, so that a later batch can be told whether this link was proposed for it. */
static struct hl_link *make_link(const struct hl_pairs *pairs)
{
    struct hl_link *link = calloc(1, sizeof *link);
    size_t n = pairs ? pairs->n : 0;
    struct hl_pair *copy = calloc(n + 1, sizeof *copy);
    if (!link || !copy) {
        free(link);
        free(copy);
        return NULL;
    }
    if (n)
        memcpy(copy, pairs->items, n * sizeof *copy);
    link->pairs = copy;
    link->n_pairs = n;
    return link;
}

static void free_link(struct hl_link *link)
{
    if (!link)
        return;
    free(link->pairs);
    free(link);
}

static hilum_rc new_link(struct hl_scu *scu, const struct hl_peer *peer,
                         const struct hl_pairs *pairs, struct hl_proposal *proposal,
                         struct hl_link **out)
{
    if (!peer->host)
        return hl_fail(HILUM_EINVAL, "peer %s has no host: it can only call us", peer->name);
    unsigned generation = 0;
    struct hl_policy *policy = hl_scu_policy(scu, &generation);
    struct hl_link *link = make_link(pairs);
    if (link)
        link->generation = generation;
    hilum_rc rc = policy && link ? open_link(scu, policy, peer, proposal, link)
                                 : hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    hl_policy_unref(policy);
    if (rc) {
        free_link(link);
        return rc;
    }
    snprintf(link->peer, sizeof link->peer, "%s", peer->name);
    *out = link;
    return HILUM_OK;
}

hilum_rc hl_link_open(struct hl_scu *scu, const struct hl_peer *peer, struct hl_proposal *proposal,
                      struct hl_link **out)
{
    return new_link(scu, peer, NULL, proposal, out);
}

static hilum_rc link_for(struct hl_scu *scu, const struct hl_peer *peer,
                         const struct hl_pairs *pairs, struct hl_link **out)
{
    struct hl_proposal *proposal = calloc(1, sizeof *proposal);
    if (!proposal)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    hl_propose(pairs, proposal);
    hilum_rc rc = new_link(scu, peer, pairs, proposal, out);
    free(proposal);
    return rc;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

/* With its wish, if it has one: what was proposed for another's wish serves one without. */
static bool was_proposed(const struct hl_link *link, const struct hl_pair *pair)
{
    for (size_t i = 0; i < link->n_pairs; i++)
        if (!strcmp(link->pairs[i].sop_class, pair->sop_class) &&
            !strcmp(link->pairs[i].syntax, pair->syntax) &&
            (!*pair->wish || !strcmp(link->pairs[i].wish, pair->wish)))
            return true;
    return false;
}

bool hl_link_covers(const struct hl_link *link, const struct hl_pairs *pairs)
{
    for (size_t i = 0; i < pairs->n; i++)
        if (!was_proposed(link, &pairs->items[i]))
            return false;
    return true;
}

/* The trace learns how it ended before the association's own words are gone. */
static void forget(struct hl_link *link, const char *how)
{
    const char *why = hl_ul_why(link->ul);
    hl_trace_end(link->trace, link->traced, *why ? why : how, link->answered);
}

void hl_link_release(struct hl_link *link)
{
    forget(link, "released");
    hl_ul_release(link->ul);
    free_link(link);
}

/* Aborts; up to a second is spent on the peer's close. */
void hl_link_drop(struct hl_link *link, const char *why)
{
    forget(link, why);
    hl_ul_abort(link->ul);
    free_link(link);
}

/* pairs NULL: any of the peer's, also of an older configuration. The first that fits. It is the
 * taker's from here on. */
static struct hl_link *take_kept(struct hl_scu *scu, const char *peer, const struct hl_pairs *pairs)
{
    pthread_mutex_lock(&scu->lock);
    struct hl_link **at = &scu->kept;
    while (*at && (strcmp((*at)->peer, peer) || (pairs && ((*at)->generation != scu->generation ||
                                                           !hl_link_covers(*at, pairs)))))
        at = &(*at)->next;
    struct hl_link *link = *at;
    if (link)
        *at = link->next;
    pthread_mutex_unlock(&scu->lock);
    return link;
}

/* A receiver that serves one association at a time would let the new one wait until the idle
 * one is over (and none is kept while one is awaited). What that had agreed on is proposed
 * again, so that the new one serves both. Released one after the other, each answered or its
 * time over. */
static void give_way(struct hl_scu *scu, const char *peer, struct hl_pairs *wanted)
{
    for (struct hl_link *idle; (idle = take_kept(scu, peer, NULL)); hl_link_release(idle))
        for (size_t i = 0; i < idle->n_pairs && !wanted->is_exact; i++)
            (void)hl_pairs_add(wanted, idle->pairs[i].sop_class, idle->pairs[i].syntax,
                               idle->pairs[i].wish);
}

/* A look at the socket, no message: asking each time would cost a round trip an object. */
hilum_rc hl_link_get(struct hl_scu *scu, const struct hl_peer *peer, const struct hl_pairs *pairs,
                     bool fresh, struct hl_link **out)
{
    struct hl_link *link;
    while (!fresh && (link = take_kept(scu, peer->name, pairs))) {
        /* Anything to read on an idle association is its end: a release, an abort, a close. */
        if (hl_ul_poll(link->ul, 0) == 0) {
            link->is_reused = true;
            *out = link;
            return HILUM_OK;
        }
        hl_link_drop(link, "ended by the peer while it was kept for more");
    }
    struct hl_pairs *wanted = malloc(sizeof *wanted);
    if (!wanted)
        return hl_fail(HILUM_ENOMEM, "peer %s: out of memory", peer->name);
    struct hl_opening opening = {.peer = peer->name};
    *wanted = *pairs;
    opening_begin(scu, &opening);
    give_way(scu, peer->name, wanted);
    hilum_rc rc = link_for(scu, peer, wanted, out);
    opening_end(scu, &opening);
    free(wanted);
    return rc;
}

/* Only between two messages; whoever is in the middle of one drops it. */
void hl_link_put(struct hl_scu *scu, const struct hl_peer *peer, struct hl_link *link)
{
    pthread_mutex_lock(&scu->lock);
    bool is_kept = peer->idle_ms > 0 && !scu->is_stopping && link->generation == scu->generation &&
                   !is_awaited(scu, peer->name);
    if (is_kept) {
        link->idle_until = hl_mono_ms() + peer->idle_ms;
        link->next = scu->kept;
        scu->kept = link;
        pthread_cond_signal(&scu->wake);
    }
    pthread_mutex_unlock(&scu->lock);
    if (!is_kept)
        hl_link_release(link);
}

/* ---- the reaper -------------------------------------------------------------------------------
 */

/* An older configuration's link goes at once, as the peer may have other rights now. */
static bool is_over(const struct hl_scu *scu, const struct hl_link *link, int64_t now)
{
    return scu->is_stopping || link->generation != scu->generation || link->idle_until <= now;
}

/* Takes one link that is over; *next: when the next one will be, 0: never. Lock held. */
static struct hl_link *take_over(struct hl_scu *scu, int64_t now, int64_t *next)
{
    *next = 0;
    for (struct hl_link **at = &scu->kept; *at; at = &(*at)->next) {
        struct hl_link *link = *at;
        if (is_over(scu, link, now)) {
            *at = link->next;
            return link;
        }
        if (!*next || link->idle_until < *next)
            *next = link->idle_until;
    }
    return NULL;
}

/* Lock held; 0: until somebody keeps a link or stops the reaper. */
static void wait_until(struct hl_scu *scu, int64_t due_ms)
{
    struct timespec due = {due_ms / 1000, due_ms % 1000 * 1000000};
    if (due_ms)
        pthread_cond_timedwait(&scu->wake, &scu->lock, &due);
    else
        pthread_cond_wait(&scu->wake, &scu->lock);
}

/* One at a time, so that a peer that does not answer a release delays other releases and nothing
 * else. */
static void *reap(void *arg)
{
    struct hl_scu *scu = arg;
    int64_t next;
    pthread_mutex_lock(&scu->lock);
    for (;;) {
        struct hl_link *link = take_over(scu, hl_mono_ms(), &next);
        if (link) {
            pthread_mutex_unlock(&scu->lock);
            hl_link_release(link);
            pthread_mutex_lock(&scu->lock);
            continue;
        }
        if (scu->is_stopping)
            break;
        wait_until(scu, next);
    }
    pthread_mutex_unlock(&scu->lock);
    return NULL;
}

hilum_rc hl_link_start(struct hl_scu *scu)
{
    hl_mono_cond_init(&scu->wake);
    int error = pthread_create(&scu->reaper, NULL, reap, scu);
    return error ? hl_fail(hl_rc_from_errno(error), "thread for kept associations: %s",
                           strerror(error))
                 : HILUM_OK;
}

void hl_link_stop(struct hl_scu *scu)
{
    pthread_mutex_lock(&scu->lock);
    scu->is_stopping = true;
    pthread_cond_signal(&scu->wake);
    pthread_mutex_unlock(&scu->lock);
    pthread_join(scu->reaper, NULL);
    pthread_cond_destroy(&scu->wake);
}

void hl_link_forget(struct hl_scu *scu)
{
    for (struct hl_scu_tls *known = scu->tls, *next; known; known = next) {
        next = known->next;
        hl_ul_tls_unref(known->tls);
        free(known);
    }
    scu->tls = NULL;
}
