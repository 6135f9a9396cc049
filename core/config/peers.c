/* Peers out of the configuration, and whose association this is. SPDX-License-Identifier:
 * Apache-2.0 */
#include "core/config/peers.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/log.h"

struct hl_peers {
    atomic_uint refs;
    struct hl_arena arena;
    struct hl_config *config; /* owns the texts peers borrow */
    struct hl_peer *peers;
    size_t count;
};

/* A look-up of one peer's host, running beside the others'. */
struct lookup {
    struct gaicb request;
    struct hl_peer *peer;
};

/* In the order of the bits of enum hl_service. */
static const char *const service_words[] = {"echo", "store", "find", "move", "get"};

unsigned hl_service_from_text(const char *text)
{
    for (unsigned i = 0; i < sizeof service_words / sizeof *service_words; i++)
        if (strcmp(text, service_words[i]) == 0)
            return 1u << i;
    return 0;
}

/* Texts are borrowed from the configuration, which the peers keep alive. */
static hilum_rc type_texts(struct hl_arena *arena, const struct hl_node *list, const char ***out,
                           size_t *n)
{
    if (!list || list->n_children == 0)
        return HILUM_OK;
    const char **texts = hl_arena_alloc(arena, list->n_children * sizeof *texts);
    if (!texts)
        return HILUM_ENOMEM;
    for (size_t i = 0; i < list->n_children; i++)
        if (list->children[i]->type == HL_NODE_TEXT)
            texts[(*n)++] = list->children[i]->text;
    *out = texts;
    return HILUM_OK;
}

/* What does not parse was told as a fault already and holds nobody here. */
static hilum_rc type_cidrs(struct hl_arena *arena, const struct hl_node *list, struct hl_peer *peer)
{
    if (!list || list->n_children == 0)
        return HILUM_OK;
    peer->cidrs = hl_arena_alloc(arena, list->n_children * sizeof *peer->cidrs);
    if (!peer->cidrs)
        return HILUM_ENOMEM;
    for (size_t i = 0; i < list->n_children; i++) {
        const struct hl_node *node = list->children[i];
        struct hl_cidr *cidr = &peer->cidrs[peer->n_cidrs];
        if (node->type == HL_NODE_TEXT && hl_cidr_parse(node->text, cidr) == HILUM_OK)
            peer->n_cidrs++;
    }
    return HILUM_OK;
}

static void type_tls(const struct hl_config *config, const struct hl_node *node,
                     struct hl_peer *peer)
{
    const struct hl_node *tls = hl_node_get(node, "tls");
    /* `tls = true` takes all of dicom.tls; a group may name one file and take the others from there. */
    peer->has_tls = tls && (tls->type == HL_NODE_GROUP || tls->integer);
    peer->tls.certificate =
        hl_node_text(tls, "certificate", hl_config_text(config, "dicom.tls.certificate"));
    peer->tls.key = hl_node_text(tls, "key", hl_config_text(config, "dicom.tls.key"));
    peer->tls.ca = hl_node_text(tls, "ca", hl_config_text(config, "dicom.tls.ca"));
    peer->tls.server_name = hl_node_text(tls, "server_name", NULL);
    peer->tls.require_peer_certificate =
        hl_config_bool(config, "dicom.tls.require_peer_certificate");
}

/* The upper layer gives fingerprints in lower case; people paste them in either. */
static hilum_rc lower_text(struct hl_arena *arena, const struct hl_node *node, const char *key,
                           const char **out)
{
    const char *text = hl_node_text(node, key, NULL);
    char *lower = text ? hl_arena_strdup(arena, text) : NULL;
    if (text && !lower)
        return HILUM_ENOMEM;
    for (char *p = lower; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    *out = lower;
    return HILUM_OK;
}

static hilum_rc type_certificate(struct hl_arena *arena, const struct hl_node *node,
                                 struct hl_peer *peer)
{
    peer->certificate_subject = hl_node_text(node, "certificate_subject", NULL);
    hilum_rc rc = lower_text(arena, node, "certificate_san", &peer->certificate_san);
    return rc == HILUM_OK ? lower_text(arena, node, "certificate_sha256", &peer->certificate_sha256)
                          : rc;
}

/* The outbox's values for this peer: its own go before those of `outbox`. */
static void type_delivery(const struct hl_config *config, const struct hl_node *node,
                          struct hl_peer *peer)
{
    peer->max_associations = (uint32_t)hl_node_int(node, "max_associations", 0);
    peer->connections =
        (uint32_t)hl_node_int(node, "connections", hl_config_int(config, "outbox.connections"));
    peer->attempts =
        (uint32_t)hl_node_int(node, "attempts", hl_config_int(config, "outbox.attempts"));
    peer->retry_first_ms =
        hl_node_ms(node, "retry_first", hl_config_ms(config, "outbox.retry_first"));
    peer->retry_max_ms = hl_node_ms(node, "retry_max", hl_config_ms(config, "outbox.retry_max"));
    peer->idle_ms = hl_node_ms(node, "idle", hl_config_ms(config, "outbox.idle"));
    peer->connect_ms = hl_node_ms(node, "connect_timeout", 10000);
    peer->max_pdu = (uint32_t)hl_node_bytes(node, "max_pdu", 0);
}

/* An empty list is a decision (nothing), an absent one is not (everything). */
static unsigned type_services(const struct hl_node *list)
{
    unsigned services = list ? 0 : HL_SERVICE_ALL;
    for (size_t i = 0; list && i < list->n_children; i++)
        if (list->children[i]->type == HL_NODE_TEXT)
            services |= hl_service_from_text(list->children[i]->text);
    return services;
}

/* Everything but the addresses behind `host`: those need a resolver and are asked for all peers
 * together. */
static hilum_rc type_peer(struct hl_peers *peers, const struct hl_node *node, struct hl_peer *peer)
{
    const struct hl_config *config = peers->config;
    peer->name = hl_node_text(node, "name", "");
    peer->aet = hl_node_text(node, "aet", "");
    peer->own_aet = hl_node_text(node, "own_aet", NULL);
    peer->host = hl_node_text(node, "host", NULL);
    peer->port = (uint16_t)hl_node_int(node, "port", 104);
    peer->url = hl_node_text(node, "url", NULL);
    peer->token_file = hl_node_text(node, "token_file", NULL);
    peer->user = hl_node_text(node, "user", NULL);
    peer->password_file = hl_node_text(node, "password_file", NULL);
    peer->via = hl_node_text(node, "via", peer->host || !peer->url ? "dimse" : "dicomweb");
    peer->charset = hl_node_text(node, "charset", NULL);
    peer->default_issuer =
        hl_node_text(node, "default_issuer", hl_config_text(config, "identity.default_issuer"));
    peer->services = type_services(hl_node_get(node, "services"));
    type_tls(config, node, peer);
    type_delivery(config, node, peer);
    hilum_rc rc = type_certificate(&peers->arena, node, peer);
    if (rc == HILUM_OK)
        rc = type_cidrs(&peers->arena, hl_node_get(node, "cidr"), peer);
    if (rc == HILUM_OK)
        rc = type_texts(&peers->arena, hl_node_get(node, "called_aets"), &peer->called_aets,
                        &peer->n_called_aets);
    peer->has_roles = hl_node_get(node, "roles") != NULL;
    if (rc == HILUM_OK)
        rc = type_texts(&peers->arena, hl_node_get(node, "roles"), &peer->roles, &peer->n_roles);
    if (rc == HILUM_OK)
        rc = type_texts(&peers->arena, hl_node_get(node, "departments"), &peer->departments,
                        &peer->n_departments);
    if (rc == HILUM_OK)
        rc = type_texts(&peers->arena, hl_node_get(node, "transfer_syntaxes"),
                        &peer->transfer_syntaxes, &peer->n_transfer_syntaxes);
    peer->only_listed_syntaxes =
        peer->n_transfer_syntaxes > 0 && hl_node_bool(node, "transfer_syntaxes_only", false);
    peer->may_lose = hl_node_bool(node, "lossy", false);
    return rc;
}

/* One resolved address as a prefix of all its bits, IPv4 in its mapped form. */
static void add_address(const struct sockaddr *from, struct hl_peer *peer)
{
    struct hl_cidr *cidr = &peer->cidrs[peer->n_cidrs];
    cidr->bits = 128;
    if (from->sa_family == AF_INET6) {
        memcpy(cidr->address, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, 16);
    } else {
        memset(cidr->address + 10, 0xFF, 2);
        memcpy(cidr->address + 12, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
    }
    peer->n_cidrs++;
}

/* A name that does not resolve is no fault of the configuration: name servers come and go, and
 * the peer may still be called, when its name resolves again. */
static hilum_rc take_addresses(struct hl_peers *peers, struct lookup *lookup)
{
    size_t n = 0;
    for (struct addrinfo *a = lookup->request.ar_result; a; a = a->ai_next)
        n++;
    int error = gai_error(&lookup->request);
    if (error != 0 || n == 0) {
        hl_log(HL_WARN, "config", "peer %s: host %s: %s; it is not known by address when it calls",
               lookup->peer->name, lookup->peer->host, gai_strerror(error));
        return HILUM_OK;
    }
    lookup->peer->cidrs = hl_arena_alloc(&peers->arena, n * sizeof *lookup->peer->cidrs);
    if (!lookup->peer->cidrs)
        return HILUM_ENOMEM;
    for (struct addrinfo *a = lookup->request.ar_result; a; a = a->ai_next)
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6)
            add_address(a->ai_addr, lookup->peer);
    return HILUM_OK;
}

/* A numeric host needs no resolver, and so no threads of libc's own. *rc: HILUM_ENOMEM. */
static bool take_numeric(struct hl_peers *peers, struct hl_peer *peer, hilum_rc *rc)
{
    uint8_t address[16];
    if (hl_address_parse(peer->host, address) != HILUM_OK)
        return false;
    peer->cidrs = hl_arena_alloc(&peers->arena, sizeof *peer->cidrs);
    if (!peer->cidrs) {
        *rc = HILUM_ENOMEM;
        return true;
    }
    memcpy(peer->cidrs[0].address, address, sizeof address);
    peer->cidrs[0].bits = 128;
    peer->n_cidrs = 1;
    return true;
}

/* All names at once: with a dead name server the start waits for one timeout, not one a peer. */
static hilum_rc resolve_hosts(struct hl_peers *peers)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct lookup *lookups = calloc(peers->count + 1, sizeof *lookups);
    struct gaicb **list = calloc(peers->count + 1, sizeof *list);
    hilum_rc rc = lookups && list ? HILUM_OK : HILUM_ENOMEM;
    int n = 0;
    for (size_t i = 0; rc == HILUM_OK && i < peers->count; i++) {
        struct hl_peer *peer = &peers->peers[i];
        /* With a cidr the host is only where we call; no name server is asked for it. */
        if (!peer->host || peer->n_cidrs > 0 || take_numeric(peers, peer, &rc))
            continue;
        lookups[n].request.ar_name = peer->host;
        lookups[n].request.ar_request = &hints;
        lookups[n].peer = peer;
        list[n] = &lookups[n].request;
        n++;
    }
    if (n > 0)
        (void)getaddrinfo_a(GAI_WAIT, list, n, NULL); /* each request carries its own error */
    for (int i = 0; i < n; i++) {
        if (rc == HILUM_OK)
            rc = take_addresses(peers, &lookups[i]);
        if (lookups[i].request.ar_result)
            freeaddrinfo(lookups[i].request.ar_result);
    }
    free(list);
    free(lookups);
    return rc;
}

static hilum_rc type_peers(struct hl_peers *peers, const struct hl_node *list)
{
    size_t n = list ? list->n_children : 0;
    peers->peers = hl_arena_alloc(&peers->arena, n * sizeof *peers->peers + 1);
    hilum_rc rc = peers->peers ? HILUM_OK : HILUM_ENOMEM;
    for (size_t i = 0; rc == HILUM_OK && i < n; i++)
        if (list->children[i]->type == HL_NODE_GROUP)
            rc = type_peer(peers, list->children[i], &peers->peers[peers->count++]);
    return rc == HILUM_OK ? resolve_hosts(peers) : rc;
}

/* The configuration is kept alive by the peers, since they borrow its texts. */
hilum_rc hl_peers_new(const struct hl_config *config, struct hl_peers **out)
{
    *out = NULL;
    struct hl_peers *peers = calloc(1, sizeof *peers);
    if (!peers)
        return hl_fail(HILUM_ENOMEM, "typing the configured peers");
    atomic_init(&peers->refs, 1);
    peers->config = hl_config_ref((struct hl_config *)config);
    hilum_rc rc = type_peers(peers, hl_config_node(config, "peers"));
    if (rc != HILUM_OK) {
        hl_peers_unref(peers);
        return rc == HILUM_ENOMEM ? hl_fail(rc, "typing the configured peers") : rc;
    }
    *out = peers;
    return HILUM_OK;
}

struct hl_peers *hl_peers_ref(struct hl_peers *peers)
{
    atomic_fetch_add(&peers->refs, 1);
    return peers;
}

void hl_peers_unref(struct hl_peers *peers)
{
    if (!peers || atomic_fetch_sub(&peers->refs, 1) != 1)
        return;
    hl_config_unref(peers->config);
    hl_arena_fini(&peers->arena);
    free(peers);
}

size_t hl_peers_count(const struct hl_peers *peers)
{
    return peers->count;
}

const struct hl_peer *hl_peers_at(const struct hl_peers *peers, size_t i)
{
    return i < peers->count ? &peers->peers[i] : NULL;
}

/* Linear, as by_aet is: some hundreds of peers, asked once a job or association. */
const struct hl_peer *hl_peers_by_name(const struct hl_peers *peers, const char *name)
{
    for (size_t i = 0; i < peers->count; i++)
        if (strcmp(peers->peers[i].name, name) == 0)
            return &peers->peers[i];
    return NULL;
}

const struct hl_peer *hl_peers_by_aet(const struct hl_peers *peers, const char *aet)
{
    const struct hl_peer *silent = NULL;
    for (size_t i = 0; i < peers->count; i++) {
        if (strcmp(peers->peers[i].aet, aet) != 0)
            continue;
        if (peers->peers[i].host)
            return &peers->peers[i];
        if (!silent)
            silent = &peers->peers[i];
    }
    return silent;
}
