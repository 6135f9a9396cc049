/* Whose association this is. Knows claims and peers; not what a match allows (core/access).
 *
 * Called for every association, on the thread that negotiates it; peers are immutable, so it
 * takes no lock. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/config/peers.h"

/* How far the claim came with the peers seen so far: the furthest refusal explains best. */
enum stage { NO_TITLE, NO_ADDRESS, NO_CERTIFICATE, NO_CALLED, MATCHED };

struct verdict {
    enum stage stage;
    unsigned rank; /* of a match: a pinned certificate before any prefix, a longer prefix first */
};

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* Titles are compared exactly: PS3.5 6.2 gives AE no case folding, and two peers may differ in case. */
static bool allows_called(const struct hl_peer *peer, const char *called)
{
    for (size_t i = 0; i < peer->n_called_aets; i++)
        if (strcmp(peer->called_aets[i], called) == 0)
            return true;
    return peer->n_called_aets == 0;
}

/* One of the lines of `names` is exactly `name`. */
static bool has_line(const char *names, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = names; *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strcspn(p, "\n") == n && strncmp(p, name, n) == 0)
            return true;
    return false;
}

static bool asks_certificate(const struct hl_peer *peer)
{
    return peer->certificate_sha256 || peer->certificate_subject || peer->certificate_san;
}

/* All that is configured of it. An empty claim is no certificate, and matches nothing. */
static bool shows_certificate(const struct hl_peer *peer, const struct hl_peer_claim *claim)
{
    if (!*or_empty(claim->certificate_sha256))
        return false;
    if (peer->certificate_sha256 &&
        strcasecmp(peer->certificate_sha256, claim->certificate_sha256) != 0)
        return false;
    if (peer->certificate_subject &&
        strcmp(peer->certificate_subject, or_empty(claim->certificate_subject)) != 0)
        return false;
    return !peer->certificate_san ||
           has_line(or_empty(claim->certificate_names), peer->certificate_san);
}

/* -1: none holds the address. */
static int longest_prefix(const struct hl_peer *peer, const uint8_t address[16])
{
    int longest = -1;
    for (size_t i = 0; i < peer->n_cidrs; i++)
        if (peer->cidrs[i].bits > longest && hl_cidr_has(&peer->cidrs[i], address))
            longest = peer->cidrs[i].bits;
    return longest;
}

/* How well one peer fits the claim. What is checked later in here counts as further: `explain`
 * uses the order. An address that could not be parsed (NULL) is in no prefix. */
static struct verdict judge(const struct hl_peer *peer, const struct hl_peer_claim *claim,
                            const uint8_t *address)
{
    unsigned rank = 1000;
    if (strcmp(peer->aet, or_empty(claim->calling_aet)) != 0)
        return (struct verdict){NO_TITLE, 0};
    /* A pin is proof of more than an address, so the address is not asked (README, 2026-11-23). */
    if (asks_certificate(peer)) {
        if (!shows_certificate(peer, claim))
            return (struct verdict){NO_CERTIFICATE, 0};
    } else {
        int prefix = address ? longest_prefix(peer, address) : -1;
        if (prefix < 0)
            return (struct verdict){NO_ADDRESS, 0};
        rank = (unsigned)prefix;
    }
    bool is_called = allows_called(peer, or_empty(claim->called_aet));
    return (struct verdict){is_called ? MATCHED : NO_CALLED, rank};
}

/* For whoever set the peer up: says which key to look at, never more of the peer than its name. */
static void explain(const struct hl_peer_claim *claim, const struct hl_peer *nearest,
                    enum stage stage, char *why, size_t size)
{
    const char *name = nearest ? nearest->name : "";
    const char *address = or_empty(claim->address);
    switch (stage) {
    case NO_TITLE:
        snprintf(why, size, "no peer has the AE title \"%.16s\"", or_empty(claim->calling_aet));
        break;
    case NO_ADDRESS:
        snprintf(why, size,
                 "peer %s has this AE title but not the address %.63s; see its host and cidr", name,
                 address);
        break;
    case NO_CERTIFICATE:
        snprintf(why, size, "peer %s has this AE title but %s", name,
                 *or_empty(claim->certificate_sha256)
                     ? "shows another certificate than its certificate_sha256, _subject or _san"
                     : "showed no certificate; its certificate_sha256, _subject or _san asks for "
                       "one");
        break;
    case NO_CALLED:
        snprintf(why, size, "peer %s may not call us \"%.16s\"; see its called_aets", name,
                 or_empty(claim->called_aet));
        break;
    case MATCHED: snprintf(why, size, "peer %s", name); break;
    }
}

/* Of equal matches the first configured wins: only a strictly longer prefix takes over. All
 * peers are looked at, some hundreds at most, against a network round trip each association
 * costs anyway. */
const struct hl_peer *hl_peers_match(const struct hl_peers *peers,
                                     const struct hl_peer_claim *claim, char *why, size_t why_size)
{
    uint8_t bytes[16];
    bool has_address = claim->address && hl_address_parse(claim->address, bytes) == HILUM_OK;
    const struct hl_peer *best = NULL;
    struct verdict reached = {NO_TITLE, 0};
    for (size_t i = 0; i < hl_peers_count(peers); i++) {
        const struct hl_peer *peer = hl_peers_at(peers, i);
        struct verdict v = judge(peer, claim, has_address ? bytes : NULL);
        if (v.stage > reached.stage || (v.stage == MATCHED && v.rank > reached.rank)) {
            best = peer;
            reached = v;
        }
    }
    if (why && why_size > 0)
        explain(claim, best, reached.stage, why, why_size);
    return reached.stage == MATCHED ? best : NULL;
}
