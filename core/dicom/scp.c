/* The provider put together: listeners, the policy in force, reload, status. It owns the policy
 * and the counts under `lock`; the upper layer owns connections and threads. What a message
 * means is message.c's.
 *
 * Two locks: `lock` for pointer swaps and counts, `server_lock` so that a status does not meet
 * a stop; neither is held while anything is waited for.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/scp_internal.h"

/* Taken once an association: whoever holds it sees one configuration to the end, whatever is
 * reloaded meanwhile. */
struct hl_policy *hl_scp_policy(struct hl_scp *scp)
{
    pthread_mutex_lock(&scp->lock);
    struct hl_policy *policy = hl_policy_ref(scp->policy);
    pthread_mutex_unlock(&scp->lock);
    return policy;
}

/* ---- listeners --------------------------------------------------------------------------------
 */

/* In the configuration's order, which is that of ports and certificates everywhere below. */
static const struct hl_node *listen_list(const struct hl_policy *policy)
{
    return hl_config_node(policy->config, "dicom.listen");
}

static const char *listen_address(const struct hl_node *entry)
{
    return entry->type == HL_NODE_TEXT ? entry->text : hl_node_text(entry, "address", NULL);
}

/* So that an audit row is not in the way of an answer; see inquiry.c for what happens when they
 * fall behind. The record has one writer anyway. */
enum { AFTER_MAX = 2 };

/* Listeners as the upper layer wants them; each tls is ours to unref. */
struct listeners {
    struct hl_ul_listen *items;
    size_t n;
};

static void free_listeners(struct listeners *listeners)
{
    for (size_t i = 0; i < listeners->n; i++)
        hl_ul_tls_unref(listeners->items[i].tls);
    free(listeners->items);
}

/* On failure too the caller frees what is in `out`. */
static hilum_rc read_listeners(const struct hl_policy *policy, struct listeners *out)
{
    static const char fallback[] = "127.0.0.1:11112";
    const struct hl_node *list = listen_list(policy);
    *out = (struct listeners){.items = calloc(list ? list->n_children + 1 : 1, sizeof *out->items)};
    if (!out->items)
        return hl_fail(HILUM_ENOMEM, "listeners: out of memory");
    for (size_t i = 0; list && i < list->n_children; i++) {
        struct hl_ul_listen *item = &out->items[out->n++];
        item->address = listen_address(list->children[i]);
        hilum_rc rc = hl_policy_listener_tls(policy, list->children[i], &item->tls);
        if (rc)
            return hl_fail_in(rc, "dicom.listen %s", item->address);
    }
    if (!out->n)
        out->items[out->n++].address = fallback;
    return HILUM_OK;
}

/* "[::]:0" that got port 4711 is reached as "[::1]:4711", "0.0.0.0:0" as "127.0.0.1:4711". */
static void note_address(struct hl_scp *scp, const char *listen, uint16_t port)
{
    const char *colon = strrchr(listen, ':');
    int host = colon ? (int)(colon - listen) : 0;
    const char *text = listen;
    if (!host || !strncmp(listen, "0.0.0.0:", 8) || !strncmp(listen, "*:", 2)) {
        text = "127.0.0.1";
        host = 9;
    } else if (!strncmp(listen, "[::]:", 5)) {
        text = "[::1]";
        host = 5;
    }
    snprintf(scp->address, sizeof scp->address, "%.*s:%u", host, text, port);
}

static hilum_rc start_server(struct hl_scp *scp)
{
    struct hl_ul_handler handler = {.negotiate = hl_assoc_negotiate,
                                    .message = hl_assoc_message,
                                    .closed = hl_assoc_closed,
                                    .refused = hl_assoc_refused,
                                    .ctx = scp};
    struct listeners listeners = {0};
    hilum_rc rc = read_listeners(scp->policy, &listeners);
    uint16_t *ports = calloc(listeners.n + 1, sizeof *ports);
    if (!rc && !ports)
        rc = hl_fail(HILUM_ENOMEM, "listeners: out of memory");
    if (!rc)
        rc = hl_ul_server_start(listeners.items, listeners.n, &scp->policy->limits, &handler, ports,
                                &scp->server);
    if (!rc) {
        note_address(scp, listeners.items[0].address, ports[0]);
        scp->started = hl_policy_ref(scp->policy);
    }
    free_listeners(&listeners);
    free(ports);
    return rc;
}

/* ---- life -------------------------------------------------------------------------------------
 */

void hl_scp_free(struct hl_scp *scp)
{
    if (!scp)
        return;
    for (struct hl_peer_count *count = scp->counts, *next; count; count = next) {
        next = count->next;
        free(count);
    }
    hl_pool_free(scp->after);
    hl_policy_unref(scp->policy);
    hl_policy_unref(scp->started);
    hl_holdings_free(scp->holdings);
    hl_failures_fini(&scp->failures);
    pthread_mutex_destroy(&scp->server_lock);
    pthread_mutex_destroy(&scp->lock);
    free(scp);
}

hilum_rc hl_scp_start(const struct hl_scp_parts *parts, struct hl_config *config,
                      struct hl_scp **out)
{
    struct hl_scp *scp = calloc(1, sizeof *scp);
    if (!scp)
        return hl_fail(HILUM_ENOMEM, "association provider: out of memory");
    scp->parts = *parts;
    pthread_mutex_init(&scp->lock, NULL);
    pthread_mutex_init(&scp->server_lock, NULL);
    hl_failures_init(&scp->failures);
    hl_scp_services(scp);
    hilum_rc rc = hl_holdings_new(parts->record, &scp->holdings);
    if (!rc)
        rc = hl_pool_new("after", AFTER_MAX, &scp->after);
    if (!rc)
        rc = hl_policy_new(config, &scp->policy);
    if (!rc)
        rc = start_server(scp);
    if (rc)
        hl_scp_free(scp);
    else
        *out = scp;
    return rc;
}

hilum_rc hl_scp_check(struct hl_config *config)
{
    struct hl_policy *policy = NULL;
    struct listeners listeners = {0};
    hilum_rc rc = hl_policy_new(config, &policy);
    if (!rc)
        rc = read_listeners(policy, &listeners);
    free_listeners(&listeners);
    hl_policy_unref(policy);
    return rc;
}

const char *hl_scp_address(const struct hl_scp *scp)
{
    return scp->address;
}

/* Listeners close at once; associations with a message in progress get `ms`. Nothing of ours
 * runs afterwards. */
void hl_scp_stop(struct hl_scp *scp, uint32_t ms)
{
    if (!scp)
        return;
    pthread_mutex_lock(&scp->server_lock);
    struct hl_ul_server *server = scp->server;
    scp->server = NULL;
    pthread_mutex_unlock(&scp->server_lock);
    /* Outside the lock: it waits for messages, during which somebody may ask for the status. */
    hl_ul_server_stop(server, ms);
    hl_pool_free(scp->after); /* drained: the record outlives the provider */
    scp->after = NULL;
}

/* ---- reload -----------------------------------------------------------------------------------
 */

/* Addresses only: certificates of the same listener are replaced while it listens. */
static bool is_same_listen(const struct hl_policy *a, const struct hl_policy *b)
{
    const struct hl_node *one = listen_list(a), *other = listen_list(b);
    if (!one || !other)
        return one == other;
    if (one->n_children != other->n_children)
        return false;
    for (size_t i = 0; i < one->n_children; i++)
        if (strcmp(listen_address(one->children[i]), listen_address(other->children[i])))
            return false;
    return true;
}

/* By address, for what is configured now may be another list than what listens. */
static const struct hl_ul_listen *listener_find(const struct listeners *listeners,
                                                const char *address)
{
    for (size_t i = 0; i < listeners->n; i++)
        if (!strcmp(listeners->items[i].address, address))
            return &listeners->items[i];
    return NULL;
}

/* Limits, and the certificates of those that listen and still shall; others stay as they are until a restart. */
static hilum_rc reload_server(struct hl_scp *scp, const struct hl_policy *policy)
{
    const struct hl_node *started = listen_list(scp->started);
    size_t n = started && started->n_children ? started->n_children : 1;
    struct listeners listeners = {0};
    struct hl_ul_renewal *renewals = calloc(n, sizeof *renewals);
    hilum_rc rc = read_listeners(policy, &listeners);
    if (!rc && !renewals)
        rc = hl_fail(HILUM_ENOMEM, "listeners: out of memory");
    for (size_t i = 0; !rc && started && i < started->n_children; i++) {
        const struct hl_ul_listen *item =
            listener_find(&listeners, listen_address(started->children[i]));
        if (item)
            renewals[i] = (struct hl_ul_renewal){.is_renewed = true, .tls = item->tls};
    }
    if (!rc)
        rc = hl_ul_server_reload(scp->server, &policy->limits, renewals);
    free_listeners(&listeners);
    free(renewals);
    return rc;
}

/* Certificates are read before anything is replaced: a reload that fails leaves the provider as
 * it was. */
hilum_rc hl_scp_reload(struct hl_scp *scp, struct hl_config *config, struct hl_buf *needs_restart)
{
    struct hl_policy *policy;
    hilum_rc rc = hl_policy_new(config, &policy);
    if (rc)
        return rc;
    struct hl_policy *old = hl_scp_policy(scp);
    if (!is_same_listen(scp->started, policy))
        hl_buf_text(needs_restart, "dicom.listen: other addresses need a restart\n");
    rc = reload_server(scp, policy);
    if (old->limits.max_threads != policy->limits.max_threads)
        hl_buf_text(needs_restart, "dicom.limits.max_threads needs a restart\n");
    if (!rc) {
        pthread_mutex_lock(&scp->lock);
        struct hl_policy *replaced = scp->policy;
        scp->policy = policy;
        pthread_mutex_unlock(&scp->lock);
        policy = replaced;
    }
    hl_policy_unref(policy);
    hl_policy_unref(old);
    return rc;
}

/* ---- for people -------------------------------------------------------------------------------
 */

void hl_scp_status(struct hl_scp *scp, struct hl_buf *json)
{
    uint32_t open = 0, busy = 0, connecting = 0;
    pthread_mutex_lock(&scp->server_lock);
    if (scp->server)
        hl_ul_server_count(scp->server, &open, &busy, &connecting);
    pthread_mutex_unlock(&scp->server_lock);
    hl_buf_text(json, "{\"address\":");
    hl_buf_json_string(json, scp->address);
    hl_buf_printf(json, ",\"open\":%u,\"busy\":%u,\"connecting\":%u", open, busy, connecting);
    hl_buf_printf(json, ",\"accepted\":%llu,\"rejected\":%llu,\"messages\":%llu}",
                  atomic_load(&scp->associations), atomic_load(&scp->rejected),
                  atomic_load(&scp->messages));
}
