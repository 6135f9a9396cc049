/* The configured DICOM peers, typed, and the question every association asks: which of them is
 * this? Knows nothing of sockets, of associations and of what a peer may do (core/access).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CONFIG_PEERS_H
#define HL_CONFIG_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/config/config.h"

/* An address prefix. IPv4 is kept as IPv4-mapped IPv6 (::ffff:a.b.c.d, RFC 4291 2.5.5.2), so that
 * an IPv4 client on a dual-stack listener and one on an IPv4 listener are the same. */
struct hl_cidr {
    uint8_t address[16];
    uint8_t bits; /* 0-128, of the mapped form: 10.0.0.0/8 has 104 */
};
/* "10.0.0.0/8", "10.0.0.5", "fe80::/10", "::1". HILUM_EINVAL: anything else, or bits set beyond the
 * prefix ("10.0.0.5/8" is a mistake more often than a shorthand). */
hilum_rc hl_cidr_parse(const char *text, struct hl_cidr *out);
/* A numeric address, with or without "%scope", into its 16-byte mapped form. HILUM_EINVAL. */
hilum_rc hl_address_parse(const char *text, uint8_t out[16]);
/* Does the prefix hold the address? An IPv6 prefix shorter than the mapped range never holds an
 * IPv4 address. */
bool hl_cidr_has(const struct hl_cidr *cidr, const uint8_t address[16]);
/* Is the numeric address 127.0.0.0/8, ::1 or the mapped form of the first? */
bool hl_address_is_loopback(const char *address);

/* What a peer may ask of us: a set. */
enum hl_service {
    HL_SERVICE_ECHO = 1,
    HL_SERVICE_STORE = 2,
    HL_SERVICE_FIND = 4,
    HL_SERVICE_MOVE = 8,
    HL_SERVICE_GET = 16,
    HL_SERVICE_ALL = 31
};

/* TLS towards (or required from) somebody. Absolute paths; NULL where not configured. */
struct hl_peer_tls {
    const char *certificate, *key; /* ours, PEM */
    const char *ca;                /* bundle the other side must chain to */
    const char *server_name;       /* requestor: the name to verify; NULL: the host */
    bool require_peer_certificate;
};

/* One peer. Immutable; strings and lists belong to the hl_peers it came from. */
struct hl_peer {
    const char *name;    /* what rules, routes and people call it */
    const char *aet;     /* its AE title, calling and called */
    const char *own_aet; /* the calling title we use towards it; NULL: dicom.aet */
    const char *host;    /* NULL: it only calls us */
    uint16_t port;
    struct hl_cidr *cidrs; /* where it may call from: cidr, else the addresses of host */
    size_t n_cidrs;
    const char **called_aets; /* titles it may call us by; n 0: every one of ours */
    size_t n_called_aets;
    unsigned services;  /* set of enum hl_service */
    bool has_roles;     /* `roles` is said: they narrow its services, none of them to nothing */
    const char **roles; /* names */
    size_t n_roles;
    const char **departments; /* what "own" means in its roles */
    size_t n_departments;
    /* Preference in both directions, best first: UIDs or PS3.6 keywords; n 0: as stored, as proposed. */
    const char **transfer_syntaxes;
    size_t n_transfer_syntaxes;
    bool only_listed_syntaxes;       /* no other is accepted or sent; false without a list */
    bool may_lose;                   /* lossy syntaxes of its list are encoded to */
    bool has_tls;                    /* connect to it with TLS */
    struct hl_peer_tls tls;          /* falls back to dicom.tls member by member */
    const char *certificate_sha256;  /* 64 lower-case hex digits; NULL: not pinned */
    const char *certificate_subject; /* RFC 2253; NULL: any */
    const char *certificate_san;     /* an alternative name, in lower case; NULL: any */
    const char *url;                 /* of its DICOMweb service; NULL: none */
    const char *token_file, *user, *password_file;
    const char *via;            /* how it is sent to: "dimse", or a carrier; never NULL */
    const char *default_issuer; /* issuer of its patient IDs that name none; never NULL */
    const char *charset; /* "GB18030": what undeclared text of it really is; NULL: no repair */
    uint32_t max_associations; /* at once from it; 0: only the limits of dicom.limits */
    uint32_t connections;      /* of the outbox to it, at once */
    uint32_t attempts;         /* of a delivery; 0: until it is cancelled */
    int64_t retry_first_ms, retry_max_ms, idle_ms;
    int64_t connect_ms;
    uint32_t max_pdu; /* what we offer to receive from it; 0: dicom.limits.max_pdu */
};

/* All of them: immutable and reference counted, replaced whole by a reload. */
struct hl_peers;

/* Types the peers of a configuration. In one with faults what does not fit is left out, so that a check
 * can go on to rules and plugins. Host names are resolved here, all
 * at once; one that does not resolve is logged and its peer is known by cidr or certificate only.
 * HILUM_ENOMEM. Blocks for as long as the resolver does. */
hilum_rc hl_peers_new(const struct hl_config *config, struct hl_peers **out);
struct hl_peers *hl_peers_ref(struct hl_peers *peers); /* any thread */
void hl_peers_unref(struct hl_peers *peers);           /* NULL is fine */

size_t hl_peers_count(const struct hl_peers *peers);
const struct hl_peer *hl_peers_at(const struct hl_peers *peers,
                                  size_t i); /* in order of configuration */
/* NULL if there is none. Borrowed from `peers`. By AE title: the first that has a host, so that
 * a C-MOVE destination is found although a second peer only calls with the same title. */
const struct hl_peer *hl_peers_by_name(const struct hl_peers *peers, const char *name);
const struct hl_peer *hl_peers_by_aet(const struct hl_peers *peers, const char *aet);

/* Who somebody says he is, as the upper layer saw it. Any text may be "" or NULL. */
struct hl_peer_claim {
    const char *address; /* numeric */
    const char *calling_aet, *called_aet;
    const char *certificate_sha256, *certificate_subject;
    const char *certificate_names; /* a line each, in lower case */
};
/* The peer with that calling AE title whose certificate (fingerprint, subject, alternative name: all that is configured)
 * was shown or, if none is configured,
 * whose addresses hold this one (longest prefix first); and whose called_aets allow the called
 * title. NULL: nobody, and `why` (may be NULL) says for the association trace what was nearest. */
const struct hl_peer *hl_peers_match(const struct hl_peers *peers,
                                     const struct hl_peer_claim *claim, char *why, size_t why_size);

/* "echo" -> HL_SERVICE_ECHO; 0 for a word that is none. */
unsigned hl_service_from_text(const char *text);

#endif
