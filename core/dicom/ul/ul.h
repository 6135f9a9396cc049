/* The DICOM upper layer (PS3.8) over TCP and TLS: listeners, association negotiation, PDVs.
 * It knows PDUs and presentation contexts; it knows nothing of DIMSE, of SOP classes, of peers'
 * permissions, of storage. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_UL_H
#define HL_UL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/abi.h"

/* What this implementation calls itself (PS3.7 D.3.3.2; a UUID-derived UID, PS3.5 B.2). */
#define HL_UL_IMPLEMENTATION_CLASS   "2.25.197471310784933133281895279962141277980"
#define HL_UL_IMPLEMENTATION_VERSION "HILUM_" HILUM_VERSION

enum { HL_UID_MAX = 65, HL_AE_MAX = 17 }; /* text and NUL; PS3.5 9.1, PS3.8 7.1.1.3 */

/* Result of one presentation context in an A-ASSOCIATE-AC (PS3.8 9.3.3.2). */
enum hl_ul_result {
    HL_UL_ACCEPTED = 0,
    HL_UL_USER_REJECTION = 1,
    HL_UL_NO_REASON = 2,
    HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED = 3,
    HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED = 4,
    HL_UL_NOT_ANSWERED = 255 /* ours, never sent: the A-ASSOCIATE-AC left the context out */
};

/* A-ASSOCIATE-RJ result, source and reason (PS3.8 9.3.4). result 0: not rejected. */
struct hl_ul_reject {
    uint8_t result, source, reason;
};

/* One proposed context and what became of it. */
struct hl_ul_context {
    uint8_t id;              /* odd, 1-255 */
    uint8_t result;          /* enum hl_ul_result; set by negotiate() or the peer */
    bool has_roles;          /* a role selection item named this abstract syntax */
    bool scu_role, scp_role; /* proposed by, or accepted for, the requestor */
    char abstract_syntax[HL_UID_MAX];
    char (*transfer_syntaxes)[HL_UID_MAX]; /* as proposed, n_transfer_syntaxes of them */
    uint16_t n_transfer_syntaxes;
    char transfer_syntax[HL_UID_MAX]; /* the accepted one; "" until then */
};

/* SOP class extended negotiation (PS3.7 D.3.3.5): application information as raw bytes.
 * An acceptor answers only items whose `is_accepted` negotiate() set, with `info` as it then is
 * (malloc; replaced info is the replacer's to free, what is left is freed by the layer). */
struct hl_ul_extended {
    char sop_class[HL_UID_MAX];
    bool is_accepted;
    uint16_t length;
    uint8_t *info;
};

/* User identity (PS3.7 D.3.3.7). type 0: none; 1 user name, 2 + passcode, 3 Kerberos, 4 SAML, 5
 * JWT. primary/secondary are raw bytes followed by a NUL that is not counted. Never logged. */
struct hl_ul_identity {
    uint8_t type;
    bool wants_response;
    uint16_t primary_length, secondary_length;
    uint8_t *primary, *secondary;
    uint16_t response_length; /* acceptor: set by negotiate() if wants_response (malloc, freed by */
    uint8_t *response;        /* the layer); requestor: the acceptor's answer, NULL if none */
};

/* An association's negotiated facts. Lives as long as the association; strings are NUL-terminated
 * and stripped of surrounding spaces. */
struct hl_ul_params {
    char called_aet[HL_AE_MAX], calling_aet[HL_AE_MAX];
    char implementation_class[HL_UID_MAX], implementation_version[HL_AE_MAX];
    uint32_t max_pdu;                        /* what the peer receives; 0 = no limit stated */
    uint16_t async_invoked, async_performed; /* 0,0: not proposed */
    struct hl_ul_context *contexts;
    uint16_t n_contexts;
    struct hl_ul_extended *extended;
    uint16_t n_extended;
    struct hl_ul_identity identity;
    char address[64]; /* peer's numeric address, no port: "10.0.0.5", "::1" */
    uint16_t port;    /* peer's port */
    bool is_tls;
    char certificate_subject[256]; /* peer's verified certificate (RFC 2253); "" if none */
    char certificate_sha256[65];   /* its fingerprint in hex; "" if none */
    /* Its alternative names (RFC 5280 4.2.1.6), a line each: DNS names in lower case, addresses, mail addresses, URIs.
     * What does not fit, or is not printable ASCII, is left out. */
    char certificate_names[1024];
};

struct hl_ul_assoc; /* one association, either side */

/* ---- TLS --------------------------------------------------------------------------------------
 * BCP 195 (RFC 9325): TLS 1.2 with AEAD ECDHE suites and TLS 1.3; nothing older. */
struct hl_ul_tls_config {
    const char *certificate, *key; /* PEM files */
    const char *ca;                /* PEM bundle that peers' certificates must chain to */
    bool require_peer_certificate; /* acceptor: mutual TLS */
    const char *server_name;       /* requestor: name to verify; NULL: address */
};
struct hl_ul_tls; /* an SSL_CTX; reference counted, replaced whole on reload */
/* HILUM_EINVAL names the file and what OpenSSL says of it: no certificate, a key that does not
 * fit or has a passphrase, authorities that cannot be read. *out has one reference, the
 * caller's. An SSL_CTX is shared by any number of connections and threads; ref and unref may be
 * called on any, NULL is fine. */
hilum_rc hl_ul_tls_new(const struct hl_ul_tls_config *config, bool acceptor,
                       struct hl_ul_tls **out);
struct hl_ul_tls *hl_ul_tls_ref(struct hl_ul_tls *tls);
void hl_ul_tls_unref(struct hl_ul_tls *tls);

/* ---- acceptor ---------------------------------------------------------------------------------
 */

/* What the user of the layer decides. All run on pool threads, never on the loop thread, and may
 * block; different associations run in parallel, one association's calls never overlap. */
struct hl_ul_handler {
    /* The A-ASSOCIATE-RQ is whole and well formed. Set each context's result and transfer_syntax
     * (and roles; they hold what was proposed); fill *reject to refuse the association. A context
     * left alone is refused (abstract syntax not supported). `*user` is the user's. */
    void (*negotiate)(void *ctx, struct hl_ul_assoc *assoc, struct hl_ul_params *params,
                      struct hl_ul_reject *reject, void **user);
    /* The first bytes of a P-DATA-TF arrived: read one DIMSE message and deal with it. HILUM_OK
     * parks the association again; an error aborts it (A-ABORT, source 0). */
    hilum_rc (*message)(void *ctx, struct hl_ul_assoc *assoc, void *user);
    /* The end, exactly once after negotiate() ran: "released", or what was wrong. */
    void (*closed)(void *ctx, struct hl_ul_assoc *assoc, void *user, const char *why);
    /* A connection that ended before negotiate(): refused by limits, malformed, too slow. For
     * traces. */
    void (*refused)(void *ctx, const char *address, const char *why);
    void *ctx;
};

/* 0 takes the default in brackets. */
struct hl_ul_limits {
    uint32_t max_pdu;          /* what we receive; 0: 131072 + 6. Never more than 1 MiB */
    uint32_t max_associations; /* at once [1024]; beyond: A-ASSOCIATE-RJ local limit exceeded */
    uint32_t max_per_address;  /* at once from one address [no limit of its own] */
    uint32_t max_connecting;   /* connections without a complete A-ASSOCIATE-RQ [256]; beyond, the
                                  oldest of them goes */
    uint32_t negotiate_ms;     /* connect to complete A-ASSOCIATE-RQ, TLS included [30 s] (ARTIM) */
    uint32_t pdu_ms;           /* a PDU's first byte to its last [60 s] */
    uint32_t idle_ms;          /* parked without a byte [10 min] */
    uint32_t write_ms;         /* no progress in writing [60 s] */
    uint32_t min_rate;         /* bytes a second over a message in progress; 0: none */
    uint32_t max_threads; /* messages in work at once [max_associations]; one that waits for its
                                  peer does not count */
};

struct hl_ul_listen {
    const char *address;   /* "127.0.0.1:11112", "[::]:104" (dual stack), ":0" for any port */
    struct hl_ul_tls *tls; /* NULL: plain. The layer takes its own reference */
};

struct hl_ul_server;
/* Binds and starts all listeners: one loop thread, one pool. HILUM_EINVAL names the listener and
 * the cause (address in use, ...). `ports` (may be NULL) receives the bound port of each listener.
 */
hilum_rc hl_ul_server_start(const struct hl_ul_listen *listen, size_t n,
                            const struct hl_ul_limits *limits, const struct hl_ul_handler *handler,
                            uint16_t *ports, struct hl_ul_server **out);
/* What becomes of a listener. */
struct hl_ul_renewal {
    bool is_renewed;       /* false: it stays as it is */
    struct hl_ul_tls *tls; /* then: its certificate, NULL: plain. Borrowed */
};
/* New limits and certificates for connections from now on; max_threads stays as started. `renewals`
 * are one a listener, in start order. Always HILUM_OK. Any thread. */
hilum_rc hl_ul_server_reload(struct hl_ul_server *server, const struct hl_ul_limits *limits,
                             const struct hl_ul_renewal *renewals);
/* No new associations; waits up to `ms` for those with a message in progress; aborts the rest;
 * frees. */
void hl_ul_server_stop(struct hl_ul_server *server, uint32_t ms);
/* Associations now, those with a message in progress, and connections still negotiating. */
void hl_ul_server_count(struct hl_ul_server *server, uint32_t *open, uint32_t *busy,
                        uint32_t *connecting);

/* ---- requestor --------------------------------------------------------------------------------
 */

/* What is known of an association that did not come about, beside the error. */
struct hl_ul_failure {
    char address[64];           /* that was connected to; "" if none */
    struct hl_ul_reject reject; /* the peer's; result 0: not rejected */
};
struct hl_ul_connect {
    const char *host; /* name or address, IPv4 or IPv6 */
    uint16_t port;
    struct hl_ul_tls *tls;              /* NULL: plain */
    const struct hl_ul_params *propose; /* called/calling AE, contexts, extended, identity */
    uint32_t connect_ms, negotiate_ms, pdu_ms, write_ms, min_rate;
    uint32_t max_pdu;              /* what we receive; 0: default */
    struct hl_ul_failure *failure; /* filled by a failing hl_ul_open; may be NULL */
};
/* Connects and negotiates (blocking). HILUM_EDENIED: rejected (the reason in words and codes);
 * HILUM_ETIMEDOUT, HILUM_ECLOSED, HILUM_EIO. *out is closed by hl_ul_release or hl_ul_abort. */
hilum_rc hl_ul_open(const struct hl_ul_connect *how, struct hl_ul_assoc **out);
/* A-RELEASE handshake (PS3.8 7.2), then closes and frees: pdu_ms at most, whatever the peer
 * does. What it still sends is read and dropped. NULL is fine. */
void hl_ul_release(struct hl_ul_assoc *assoc);
/* A-ABORT, closes and frees (requestor only; an acceptor returns an error from message()). Waits
 * a second at most for the peer's close. NULL is fine. */
void hl_ul_abort(struct hl_ul_assoc *assoc);

/* ---- both sides -------------------------------------------------------------------------------
 */

/* What was negotiated, borrowed for as long as the association lives; not to be changed after
 * negotiate(). */
const struct hl_ul_params *hl_ul_params(const struct hl_ul_assoc *assoc);
/* Why it is over, in words; "" while it lives. Valid as long as the association. */
const char *hl_ul_why(const struct hl_ul_assoc *assoc);
/* The accepted context with this id, or NULL. */
const struct hl_ul_context *hl_ul_context(const struct hl_ul_assoc *assoc, uint8_t id);

/* A piece of a PDV. Pieces of one PDV come in order as bytes arrive from the socket: a large PDV is
 * never held whole. `data` is borrowed until the next read on this association. */
struct hl_ul_pdv {
    uint8_t context_id;
    bool is_command; /* message control header bit 0 (PS3.8 E.2) */
    bool is_last;    /* this piece ends the last fragment of the command or data set */
    const uint8_t *data;
    size_t length; /* may be 0 only when is_last */
};
/* Next piece. Waits pdu_ms for a PDU to begin: a longer wait (a slow answer) is hl_ul_poll's.
 * HILUM_ECLOSED: peer released (answered by the layer), aborted or went away;
 * HILUM_ETIMEDOUT: deadline; HILUM_EINVAL: protocol violation (an A-ABORT was or will be sent).
 * When the read returns HILUM_ECLOSED, `message` returns it and the layer does the rest. */
hilum_rc hl_ul_read(struct hl_ul_assoc *assoc, struct hl_ul_pdv *out);
/* Is anything there to read? Waits up to ms (0: looks only). 1 yes, 0 no, negative: connection
 * over. */
hilum_rc hl_ul_poll(struct hl_ul_assoc *assoc, uint32_t ms);
/* From within message(): the handler waits for somebody else from now on (or no longer), as for the
 * destination of a C-MOVE; others get its place among max_threads. */
void hl_ul_wait_elsewhere(struct hl_ul_assoc *assoc, bool is_waiting);
/* Sends n bytes as PDVs no larger than the peer takes, head and body of each PDU in one sendmsg.
 * `last` marks the last fragment of the command or data set. Sets TCP_QUICKACK after. */
hilum_rc hl_ul_write(struct hl_ul_assoc *assoc, uint8_t context_id, bool is_command,
                     const void *bytes, size_t n, bool last);
/* hl_ul_write of a whole command set whose data set follows at once: kept (a short one) until the first piece of
 * that is written, so that both are one sendmsg and one packet. A read before then sends it. */
hilum_rc hl_ul_write_command(struct hl_ul_assoc *assoc, uint8_t context_id, const void *bytes,
                             size_t n);

/* Whether more is written at once after what is written from now on: small messages then leave together, none later than
 * 200 ms. Of no effect under TLS. */
void hl_ul_more(struct hl_ul_assoc *assoc, bool is_more);

/* ---- pieces for tests and fuzzers -------------------------------------------------------------
 */
/* Parses the body of an A-ASSOCIATE-RQ (type 0x01) or -AC (0x02) of n bytes (after the 6-byte
 * head). HILUM_EINVAL names the item and offset. Free with hl_ul_params_fini. */
hilum_rc hl_ul_parse_associate(const uint8_t *body, size_t n, struct hl_ul_params *out);
void hl_ul_params_fini(struct hl_ul_params *params);

#endif
