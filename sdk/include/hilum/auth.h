/* Capability `auth` (preview): who is it? Providers form a chain in ascending `order`; the first that knows
 * the account decides. What somebody may do is not asked here: roles are permission sets of the
 * configuration, and hilum_host.allow decides. SPDX-License-Identifier: MIT */
#ifndef HILUM_AUTH_H
#define HILUM_AUTH_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What somebody shows. */
enum {
    HILUM_CRED_PASSWORD = 1,    /* user and secret */
    HILUM_CRED_BEARER = 2,      /* secret: an API token, or a JSON web token */
    HILUM_CRED_CERTIFICATE = 3, /* secret: DER; the chain has been verified by the server */
    HILUM_CRED_DIMSE = 4,       /* User Identity of PS3.7 D.3.3.7: user and maybe secret */
    HILUM_CRED_CALLBACK =
        5 /* secret: the query string with which a sign-in page elsewhere sent the browser
                                 * back (OpenID Connect); see redirect() */
};

/* Borrowed for the call. secret is wiped by the host afterwards: copy it nowhere, log it never. */
struct hilum_credentials {
    uint32_t size;
    uint32_t kind;      /* HILUM_CRED_* */
    const char *user;   /* as typed, UTF-8; "" if the kind has none */
    const void *secret; /* secret_length bytes; not NUL-terminated */
    uint64_t secret_length;
    const char *remote;  /* address it came from, for rate limits and lockout */
    const char *service; /* "http", "dicom", "control" */
    const char *totp;    /* second factor as typed; "" if none */
    const char *state;   /* CALLBACK: what redirect() was given back in its `state`; "" otherwise */
};

/* Who it is. Borrowed until the callback returns. */
struct hilum_identity {
    uint32_t size;
    uint32_t flags;          /* HILUM_IDENTITY_* */
    const char *user;        /* stable and unique with this provider: audit and rules name it */
    const char *display;     /* for people; UTF-8 */
    const char *roles;       /* names of the configuration's roles, separated by commas */
    const char *departments; /* likewise; for per-study rules */
    const char
        *scope;      /* a token's: actions it is narrowed to, by commas; "": all the roles allow */
    int64_t expires; /* seconds since 1970 UTC; 0: as long as a session lasts */
};
enum {
    HILUM_IDENTITY_SERVICE = 1,      /* a program, not a person */
    HILUM_IDENTITY_MUST_CHANGE = 2,  /* may do nothing but change its password */
    HILUM_IDENTITY_SECOND_FACTOR = 4 /* was proven with two factors */
};
/* What somebody wants to see although his roles withhold it, for a while: one study or one patient. Texts are UTF-8 of up
 * to 64 bytes, "" where not meant, never NULL. */
struct hilum_glass {
    uint32_t size, reserved;
    const char *study_uid;
    const char *patient_id, *issuer; /* issuer "": of any */
    const char *reason;              /* 10 to 500 bytes; goes into the audit record */
};

/* Called at most once, on the caller's thread, within check() or find(). */
typedef hilum_rc (*hilum_identity_cb)(void *arg, const struct hilum_identity *identity);

enum { HILUM_AUTH_UNKNOWN = 1 }; /* "not an account of mine": the next provider is asked */

/* Threads: as cap.threads says; check() may take a second on purpose (password hashing). Not isolatable: who
 * decides who you are is trusted anyway. */
struct hilum_auth {
    struct hilum_cap cap;
    int32_t order;  /* 0..1000, ascending; auth-local has 100 */
    uint32_t kinds; /* sum of 1 << HILUM_CRED_* it understands */

    /* HILUM_OK after each(arg, identity); HILUM_AUTH_UNKNOWN; HILUM_EDENIED: an account of mine and the
     * credentials are wrong, expired or locked out: nobody else is asked, the reason goes to the audit
     * record, and the client hears no more than "refused". HILUM_EAGAIN: the directory cannot be reached.
     * Takes as long for an unknown user as for a wrong password. */
    hilum_rc (*check)(void *self, const struct hilum_credentials *shown, hilum_identity_cb each,
                      void *arg);
    /* Optional. The identity of a known user as it is now, so that a running session notices a changed role
     * or a closed account. HILUM_ENOTFOUND: closed: its sessions end. */
    hilum_rc (*find)(void *self, const char *user, hilum_identity_cb each, void *arg);
    /* Optional. Where a browser is sent to sign in: an URL into `url`; `state` of at most 128 characters that the
     * host keeps with the browser and gives back with HILUM_CRED_CALLBACK. return_url is ours. */
    hilum_rc (*redirect)(void *self, const char *return_url, struct hilum_sink *url,
                         struct hilum_sink *state);
    /* Optional. HILUM_EDENIED: the old password is wrong; HILUM_EINVAL: the new one breaks the policy, which the
     * reason explains to the person. */
    hilum_rc (*change)(void *self, const char *user, const void *old_secret, uint64_t old_length,
                       const void *new_secret, uint64_t new_length);
};

#ifdef __cplusplus
}
#endif
#endif
