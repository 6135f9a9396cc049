/* What `dicom` and `peers` of a configuration say, typed once. Immutable after hl_policy_new; a
 * reload makes another one and the old one dies with the last association that began under it.
 * It knows no socket.
 *
 * Peers are typed by core/access; this adds what associations need: titles, limits, and for
 * each peer that has roles the view that narrows what it may see.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/policy.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

/* The count is hidden: those who get a policy cannot touch it. */
struct counted {
    struct hl_policy policy; /* first: the public part */
    atomic_uint references;
};

/* The texts of a list, after `first` if that is not NULL. Borrowed from the configuration. */
static const char **texts(const struct hl_node *list, const char *first, size_t *n)
{
    size_t count = list ? list->n_children : 0;
    const char **out = calloc(count + 2, sizeof *out);
    *n = 0;
    if (!out)
        return NULL;
    if (first)
        out[(*n)++] = first;
    for (size_t i = 0; i < count; i++)
        if (list->children[i]->type == HL_NODE_TEXT)
            out[(*n)++] = list->children[i]->text;
    return out;
}

static uint32_t number(const struct hl_config *config, const char *path)
{
    int64_t value = hl_config_int(config, path);
    return value < 0 ? 0 : (uint32_t)value;
}

/* Saturated: 49 days are as good as never, a wrapped value would be seconds. */
static uint32_t ms(const struct hl_config *config, const char *path)
{
    int64_t value = hl_config_ms(config, path);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static uint32_t bytes(const struct hl_config *config, const char *path)
{
    uint64_t value = hl_config_bytes(config, path);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static void read_limits(const struct hl_config *config, struct hl_ul_limits *out)
{
    out->max_pdu = bytes(config, "dicom.limits.max_pdu");
    out->max_associations = number(config, "dicom.limits.max_associations");
    out->max_per_address = number(config, "dicom.limits.max_per_address");
    out->max_connecting = number(config, "dicom.limits.max_connecting");
    out->negotiate_ms = ms(config, "dicom.limits.negotiate_timeout");
    out->pdu_ms = ms(config, "dicom.limits.pdu_timeout");
    out->idle_ms = ms(config, "dicom.limits.idle_timeout");
    out->write_ms = ms(config, "dicom.limits.write_timeout");
    out->min_rate = bytes(config, "dicom.limits.min_rate");
    out->max_threads = number(config, "dicom.limits.max_threads");
}

static void read_switches(const struct hl_config *config, struct hl_policy *out)
{
    out->accept_unknown_peers = !strcmp(hl_config_text(config, "dicom.unknown_peers"), "accept");
    out->accept_unknown_classes = hl_config_bool(config, "dicom.accept_unknown_sop_classes");
    out->max_passcode_failures = number(config, "dicom.limits.max_passcode_failures");
    out->trace = number(config, "dicom.trace");
}

/* A peer without roles has no view: the grants of its kind hold, unnarrowed. */
static hilum_rc view_make(const struct hl_config *config, const struct hl_peer *peer,
                          struct hl_view **out)
{
    const struct hl_view_of of = {.role_list = peer->roles,
                                  .n_role_list = peer->n_roles,
                                  .department_list = peer->departments,
                                  .n_department_list = peer->n_departments,
                                  .sender = peer->name};
    return peer->has_roles ? hl_view_new(config, &of, out) : HILUM_OK;
}

static hilum_rc views_make(struct hl_policy *policy)
{
    size_t n = hl_peers_count(policy->peers);
    hilum_rc rc = HILUM_OK;
    policy->views = calloc(n + 1, sizeof(struct hl_view *));
    if (!policy->views)
        return hl_fail(HILUM_ENOMEM, "association policy: out of memory");
    for (size_t i = 0; rc == HILUM_OK && i < n; i++)
        rc = view_make(policy->config, hl_peers_at(policy->peers, i), &policy->views[i]);
    return rc;
}

/* By name, since callers may have a peer of another policy. */
const struct hl_view *hl_policy_view(const struct hl_policy *policy, const struct hl_peer *peer)
{
    for (size_t i = 0; peer && i < hl_peers_count(policy->peers); i++)
        if (!strcmp(hl_peers_at(policy->peers, i)->name, peer->name))
            return policy->views[i];
    return NULL;
}

static void views_free(struct hl_policy *policy)
{
    for (size_t i = 0; policy->views && i < hl_peers_count(policy->peers); i++)
        hl_view_unref(policy->views[i]);
    free(policy->views);
}

hilum_rc hl_policy_new(struct hl_config *config, struct hl_policy **out)
{
    struct counted *counted = calloc(1, sizeof *counted);
    if (!counted)
        return hl_fail(HILUM_ENOMEM, "association policy: out of memory");
    atomic_init(&counted->references, 1);
    struct hl_policy *policy = &counted->policy;
    policy->config = hl_config_ref(config);
    policy->aet = hl_config_text(config, "dicom.aet");
    policy->aets = texts(hl_config_node(config, "dicom.aets"), policy->aet, &policy->n_aets);
    policy->private_classes = texts(hl_config_node(config, "dicom.private_sop_classes"), NULL,
                                    &policy->n_private_classes);
    read_limits(config, &policy->limits);
    read_switches(config, policy);
    hilum_rc rc = policy->aets && policy->private_classes
                      ? hl_peers_new(config, &policy->peers)
                      : hl_fail(HILUM_ENOMEM, "association policy: out of memory");
    if (!rc)
        rc = views_make(policy);
    if (rc)
        hl_policy_unref(policy);
    else
        *out = policy;
    return rc;
}

struct hl_policy *hl_policy_ref(struct hl_policy *policy)
{
    atomic_fetch_add(&((struct counted *)policy)->references, 1);
    return policy;
}

/* On whatever thread the last association ends. */
void hl_policy_unref(struct hl_policy *policy)
{
    struct counted *counted = (struct counted *)policy;
    if (!counted || atomic_fetch_sub(&counted->references, 1) != 1)
        return;
    views_free(policy);
    hl_peers_unref(policy->peers);
    hl_config_unref(policy->config);
    free(policy->aets);
    free(policy->private_classes);
    free(counted);
}

bool hl_policy_is_our_aet(const struct hl_policy *policy, const char *aet)
{
    for (size_t i = 0; i < policy->n_aets; i++)
        if (!strcmp(policy->aets[i], aet))
            return true;
    return false;
}

/* A member of the listener's own group, else of dicom.tls. */
static const char *tls_file(const struct hl_config *config, const struct hl_node *own,
                            const char *key, const char *path)
{
    const char *text = own && own->type == HL_NODE_GROUP ? hl_node_text(own, key, NULL) : NULL;
    return text ? text : hl_config_text(config, path);
}

hilum_rc hl_policy_listener_tls(const struct hl_policy *policy, const struct hl_node *listener,
                                struct hl_ul_tls **out)
{
    const struct hl_node *own =
        listener->type == HL_NODE_GROUP ? hl_node_get(listener, "tls") : NULL;
    *out = NULL;
    if (!own || (own->type == HL_NODE_BOOL && !own->integer))
        return HILUM_OK;
    const struct hl_config *config = policy->config;
    bool common = hl_config_bool(config, "dicom.tls.require_peer_certificate");
    struct hl_ul_tls_config tls = {
        .certificate = tls_file(config, own, "certificate", "dicom.tls.certificate"),
        .key = tls_file(config, own, "key", "dicom.tls.key"),
        .ca = tls_file(config, own, "ca", "dicom.tls.ca"),
        .require_peer_certificate = own->type == HL_NODE_GROUP
                                        ? hl_node_bool(own, "require_peer_certificate", common)
                                        : common,
    };
    return hl_ul_tls_new(&tls, true, out);
}
