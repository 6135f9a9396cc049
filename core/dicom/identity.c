/* Whom a peer says it speaks for (User Identity Negotiation, PS3.7 D.3.3.7): kind 1, a user name,
 * and kind 2, name and passcode, are checked by the `auth` plugins that take HILUM_CRED_DIMSE.
 * Kinds 3 to 5 (Kerberos, SAML, JWT) are refused where there is such a plugin, and passed over
 * where there is none, as every system did before.
 *
 * A name alone proves nothing: an unknown one is let in as nobody, with the rights of the
 * peer. A wrong passcode refuses the association. The passcode is wiped as soon as it was
 * shown to the plugins.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/identity.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"

enum { USER_NAME = 1, USER_NAME_AND_PASSCODE = 2 };

struct asking {
    const struct hl_config *config;
    struct hl_user *out;
    hilum_rc rc;
};

/* Called by the plugin while it checks, with an identity that is lent for the call: hence
 * copied, and its view made here. */
static hilum_rc take(void *arg, const struct hilum_identity *identity)
{
    struct asking *asking = arg;
    const struct hl_view_of of = hl_view_of_identity(identity);
    if (strlen(identity->user) >= sizeof asking->out->name)
        return hl_fail(HILUM_EINVAL, "user identity: the account's name is too long");
    snprintf(asking->out->name, sizeof asking->out->name, "%s", identity->user);
    asking->rc = hl_view_new(asking->config, &of, &asking->out->view);
    return asking->rc;
}

/* The next provider that takes it, in their order; NULL: no more. The caller unpins. */
static const struct hilum_auth *provider(struct hl_plugins *plugins, uint32_t *i, void **instance)
{
    const struct hilum_cap *cap = NULL;
    while (hl_plugins_nth(plugins, HILUM_CAP_AUTH, (*i)++, &cap, instance) == HILUM_OK) {
        const struct hilum_auth *auth = (const struct hilum_auth *)(const void *)cap;
        if (auth->kinds & 1u << HILUM_CRED_DIMSE)
            return auth;
        hl_plugins_unpin(plugins, cap);
    }
    return NULL;
}

/* HILUM_AUTH_UNKNOWN: nobody's account. *n: how many were asked. The first that knows the
 * account decides, also by refusing. */
static hilum_rc ask(struct hl_plugins *plugins, const struct hilum_credentials *shown,
                    struct asking *asking, unsigned *n)
{
    hilum_rc rc = HILUM_AUTH_UNKNOWN;
    const struct hilum_auth *auth;
    void *instance = NULL;
    uint32_t i = 0;
    while (rc == HILUM_AUTH_UNKNOWN && (auth = provider(plugins, &i, &instance)) != NULL) {
        ++*n;
        rc = auth->check(instance, shown, take, asking);
        hl_plugins_unpin(plugins, &auth->cap);
    }
    return rc;
}

/* A user name in ISO 646 or UTF-8 (D.3.3.7): without a NUL, that somebody would compare up to. */
static hilum_rc check_name(struct hl_plugins *plugins, const struct hl_ul_params *params,
                           struct asking *asking, unsigned *n)
{
    const struct hl_ul_identity *identity = &params->identity;
    bool has_passcode = identity->type == USER_NAME_AND_PASSCODE;
    const struct hilum_credentials shown = {.size = sizeof shown,
                                            .kind = HILUM_CRED_DIMSE,
                                            .user = (const char *)identity->primary,
                                            .secret = has_passcode ? identity->secondary : NULL,
                                            .secret_length =
                                                has_passcode ? identity->secondary_length : 0,
                                            .remote = params->address,
                                            .service = "dicom",
                                            .totp = "",
                                            .state = ""};
    if (strlen(shown.user) != identity->primary_length)
        return hl_fail(HILUM_EDENIED, "user identity: a NUL in the name");
    hilum_rc rc = ask(plugins, &shown, asking, n);
    if (rc == HILUM_AUTH_UNKNOWN && has_passcode && *n > 0)
        return hl_fail(HILUM_EDENIED, "user identity: no such account, or a wrong passcode");
    return rc == HILUM_AUTH_UNKNOWN ? HILUM_OK : rc;
}

bool hl_identity_has_passcode(const struct hl_ul_identity *identity)
{
    return identity->type == USER_NAME_AND_PASSCODE;
}

void hl_identity_forget(const struct hl_ul_identity *identity)
{
    OPENSSL_cleanse(identity->secondary, identity->secondary_length);
}

/* Asked at negotiation: an answer (D.3.3.7.2) is due only where somebody can check. */
bool hl_identity_is_checked(struct hl_plugins *plugins)
{
    void *instance = NULL;
    uint32_t i = 0;
    const struct hilum_auth *auth = provider(plugins, &i, &instance);
    if (auth != NULL)
        hl_plugins_unpin(plugins, &auth->cap);
    return auth != NULL;
}

hilum_rc hl_identity_check(struct hl_plugins *plugins, const struct hl_config *config,
                           const struct hl_ul_params *params, struct hl_user *out)
{
    const struct hl_ul_identity *identity = &params->identity;
    struct asking asking = {.config = config, .out = out};
    unsigned n = 0;
    *out = (struct hl_user){.name = ""};
    if (identity->type == 0 || plugins == NULL)
        return HILUM_OK;
    if (identity->type == USER_NAME || identity->type == USER_NAME_AND_PASSCODE) {
        hilum_rc rc = check_name(plugins, params, &asking, &n);
        hl_identity_forget(identity);
        return rc;
    }
    return hl_identity_is_checked(plugins)
               ? hl_fail(HILUM_EDENIED, "user identity: kind %u is not taken here (1 and 2 are)",
                         identity->type)
               : HILUM_OK;
}
