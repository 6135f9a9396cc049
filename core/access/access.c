/* The policy, as one table, and the function that reads it. SPDX-License-Identifier: Apache-2.0 */
#include "core/access/access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/config/peers.h"

/* What a peer that is not configured may do under dicom.unknown_peers = "accept". */
enum unknown { NEVER, FROM_LOOPBACK, ALWAYS };

struct action {
    const char *name;
    unsigned services; /* a known peer needs one of these; 0: no peer may */
    enum unknown unknown;
    bool is_for_rules;
};

static const struct action actions[] = {
    {"echo", HL_SERVICE_ECHO, ALWAYS, false},
    {"store", HL_SERVICE_STORE, ALWAYS, false},
    {"receive", HL_SERVICE_STORE, ALWAYS, false},
    {"find", HL_SERVICE_FIND, FROM_LOOPBACK, true},
    {"move", HL_SERVICE_MOVE, FROM_LOOPBACK, false},
    {"get", HL_SERVICE_GET, FROM_LOOPBACK, false},
    {"retrieve", HL_SERVICE_MOVE | HL_SERVICE_GET, FROM_LOOPBACK, false},
    {"study.send", 0, NEVER, true},
    {"instance.tag", 0, NEVER, true},
    {"instance.keep", 0, NEVER, true},
    {"quarantine.hold", 0, NEVER, true},
    {"status", 0, NEVER, false},
    {"patient.edit", 0, NEVER, false},
    {"study.explain", 0, NEVER, false},
    {"quarantine.list", 0, NEVER, false},
    {"quarantine.release", 0, NEVER, false},
    {"import", 0, NEVER, false},
    {"export", 0, NEVER, false},
    {"export.as_received", 0, NEVER, false},
    {"job.list", 0, NEVER, false},
    {"job.manage", 0, NEVER, false},
    {"peer.list", 0, NEVER, false},
    {"peer.echo", 0, NEVER, false},
    {"peer.trace", 0, NEVER, false},
    {"log.read", 0, NEVER, false},
    {"archive.check", 0, NEVER, false},
    {"archive.repair", 0, NEVER, false},
    {"config.check", 0, NEVER, false},
    {"config.reload", 0, NEVER, false},
    {"plugin.list", 0, NEVER, false},
    {"plugin.manage", 0, NEVER, false},
    {"audit.read", 0, NEVER, false},
    {"user.manage", 0, NEVER, false},
    {"admin", 0, NEVER, false},
};

_Static_assert(sizeof actions / sizeof *actions <= 64, "a person's actions are bits");

/* ---- look-ups. The table is short and asked once a message: a scan is cheaper than its hash. */

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; name && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

bool hl_action_is_known(const char *action)
{
    return find_action(action) != NULL;
}

const char *hl_action_at(size_t i)
{
    return i < sizeof actions / sizeof *actions ? actions[i].name : NULL;
}

char *hl_principal_text(const struct hl_principal *principal, char *out, size_t size)
{
    const char *address = principal->address ? principal->address : "no address";
    switch (principal->kind) {
    case HL_PRINCIPAL_NONE: snprintf(out, size, "nobody"); break;
    case HL_PRINCIPAL_SYSTEM: snprintf(out, size, "system"); break;
    case HL_PRINCIPAL_USER: snprintf(out, size, "user %lu", (unsigned long)principal->uid); break;
    case HL_PRINCIPAL_RULE:
        snprintf(out, size, "rule %s", principal->name ? principal->name : "without a name");
        break;
    case HL_PRINCIPAL_PERSON:
        snprintf(out, size, "%s (%s)", principal->name ? principal->name : "somebody", address);
        break;
    case HL_PRINCIPAL_PEER:
        if (principal->peer)
            snprintf(out, size, "peer %s (%s)", principal->peer->name, address);
        else
            snprintf(out, size, "unknown peer %s (%s)", principal->aet ? principal->aet : "",
                     address);
        break;
    }
    return out;
}

/* ---- principals of other faces ---- */

struct kept_principal {
    struct hl_principal principal;
    char texts[];
};

hilum_rc hl_principal_new(const struct hl_config *config, const struct hilum_identity *identity,
                          const char *address, struct hl_principal **out)
{
    size_t n = strlen(address) + 1, m = identity ? strlen(identity->user) + 1 : 0;
    *out = NULL;
    struct kept_principal *kept = calloc(1, sizeof *kept + n + m);
    if (!kept)
        return hl_fail(HILUM_ENOMEM, "no memory for a principal");
    memcpy(kept->texts, address, n);
    kept->principal = (struct hl_principal){.kind = HL_PRINCIPAL_PEER,
                                            .address = kept->texts,
                                            .aet = "by HTTP",
                                            .accept_unknown = true};
    if (identity) {
        memcpy(kept->texts + n, identity->user, m);
        kept->principal = (struct hl_principal){
            .kind = HL_PRINCIPAL_PERSON, .address = kept->texts, .name = kept->texts + n};
        if (!(identity->flags & HILUM_IDENTITY_MUST_CHANGE))
            kept->principal.allowed = hl_roles_mask(config, identity->roles, identity->scope);
    }
    *out = &kept->principal;
    return HILUM_OK;
}

void hl_principal_free(struct hilum_principal *principal)
{
    free(principal);
}

static bool allows_peer(const struct hl_principal *principal, const struct action *action,
                        const char **hint)
{
    if (principal->peer) {
        *hint = action->services ? "not among its services" : "no peer may";
        return (principal->peer->services & action->services) != 0;
    }
    if (!principal->accept_unknown) {
        *hint = "add it to peers";
        return false;
    }
    /* Loopback: whoever runs a program on this machine is trusted with a look, so that a demo needs no
     * configured peers. */
    *hint = action->unknown == FROM_LOOPBACK
                ? "unknown peers may from loopback only; add it to peers"
                : "no peer may";
    return action->unknown == ALWAYS ||
           (action->unknown == FROM_LOOPBACK && hl_address_is_loopback(principal->address));
}

hilum_rc hl_allow(const struct hl_principal *principal, const char *action,
                  const struct hl_resource *resource)
{
    (void)resource; /* grants by study come with users and roles; callers name it from the start */
    const struct action *known = find_action(action);
    const char *hint = "nobody may";
    bool is_allowed = false;
    char who[128];
    if (!known)
        return hl_fail(HILUM_EINTERNAL, "action \"%.40s\" is not in the table of core/access",
                       action ? action : "");
    switch (principal->kind) {
    case HL_PRINCIPAL_NONE: break;
    case HL_PRINCIPAL_SYSTEM: is_allowed = true; break;
    case HL_PRINCIPAL_PEER: is_allowed = allows_peer(principal, known, &hint); break;
    /* Effective, not real: a daemon that gave up root is the user it became. */
    case HL_PRINCIPAL_USER:
        is_allowed = principal->uid == 0 || principal->uid == geteuid();
        hint = "only root and the user hilumd runs as may";
        break;
    case HL_PRINCIPAL_RULE:
        is_allowed = known->is_for_rules;
        hint = "rules may not";
        break;
    case HL_PRINCIPAL_PERSON:
        is_allowed = (principal->allowed >> (known - actions) & 1) != 0;
        hint = "not among the actions of the roles, or of the token";
        break;
    }
    if (is_allowed)
        return HILUM_OK;
    return hl_fail(HILUM_EDENIED, "%s: %s: %s", hl_principal_text(principal, who, sizeof who),
                   action, hint);
}
