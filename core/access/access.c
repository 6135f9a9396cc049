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

/* What grants by study mean for an action. */
enum about {
    NO_STUDY, /* about none: they do not matter */
    FILTERED, /* the catalogue leaves out what they withhold; of a study that is named they are asked */
    READING, /* likewise, and a broken glass is for it */
    A_STUDY  /* only where its study is named */
};

struct action {
    const char *name;
    unsigned services; /* a known peer needs one of these; 0: no peer may */
    enum unknown unknown;
    bool is_for_rules;
    enum about about;
};

static const struct action actions[] = {
    {"echo", HL_SERVICE_ECHO, ALWAYS, false, NO_STUDY},
    {"store", HL_SERVICE_STORE, ALWAYS, false, FILTERED},
    /* What is sent to a peer. Its services say what it may ask for, so any will do: workstations fetch and never store. */
    {"receive", HL_SERVICE_ALL, ALWAYS, false, FILTERED},
    {"find", HL_SERVICE_FIND, FROM_LOOPBACK, true, READING},
    {"move", HL_SERVICE_MOVE, FROM_LOOPBACK, false, READING},
    {"get", HL_SERVICE_GET, FROM_LOOPBACK, false, READING},
    {"retrieve", HL_SERVICE_MOVE | HL_SERVICE_GET, FROM_LOOPBACK, false, READING},
    {"study.send", 0, NEVER, true, A_STUDY},
    {"instance.tag", 0, NEVER, true, A_STUDY},
    {"instance.keep", 0, NEVER, true, A_STUDY},
    {"quarantine.hold", 0, NEVER, true, A_STUDY},
    {"status", 0, NEVER, false, NO_STUDY},
    {"access.break", 0, NEVER, false, NO_STUDY},
    {"patient.edit", 0, NEVER, false, A_STUDY},
    {"study.explain", 0, NEVER, false, A_STUDY},
    {"quarantine.list", 0, NEVER, false, A_STUDY},
    {"quarantine.release", 0, NEVER, false, A_STUDY},
    {"import", 0, NEVER, false, NO_STUDY},
    {"export", 0, NEVER, false, A_STUDY},
    {"export.as_received", 0, NEVER, false, A_STUDY},
    {"job.list", 0, NEVER, false, NO_STUDY},
    {"job.manage", 0, NEVER, false, NO_STUDY},
    {"peer.list", 0, NEVER, false, NO_STUDY},
    {"peer.echo", 0, NEVER, false, NO_STUDY},
    {"peer.trace", 0, NEVER, false, NO_STUDY},
    {"log.read", 0, NEVER, false, NO_STUDY},
    {"archive.check", 0, NEVER, false, NO_STUDY},
    {"archive.repair", 0, NEVER, false, NO_STUDY},
    {"config.check", 0, NEVER, false, NO_STUDY},
    {"config.reload", 0, NEVER, false, NO_STUDY},
    {"plugin.list", 0, NEVER, false, NO_STUDY},
    {"plugin.manage", 0, NEVER, false, NO_STUDY},
    {"audit.read", 0, NEVER, false, NO_STUDY},
    {"user.manage", 0, NEVER, false, NO_STUDY},
    {"admin", 0, NEVER, false, NO_STUDY},
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

static uint64_t bits_of(enum about least, enum about most)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
        if (actions[i].about >= least && actions[i].about <= most)
            bits |= UINT64_C(1) << i;
    return bits;
}

uint64_t hl_actions_about_studies(void)
{
    return bits_of(FILTERED, A_STUDY);
}

uint64_t hl_actions_of_reading(void)
{
    return bits_of(READING, READING);
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
        snprintf(out, size, "%s %s (%s)%s%s", principal->peer ? "peer" : "unknown peer",
                 principal->peer  ? principal->peer->name
                 : principal->aet ? principal->aet
                                  : "",
                 address, principal->user ? " for " : "", principal->user ? principal->user : "");
        break;
    }
    return out;
}

/* ---- principals of other faces ---- */

struct kept_principal {
    struct hl_principal principal;
    struct hl_view *view;
    char texts[];
};

struct hl_view_of hl_view_of_identity(const struct hilum_identity *identity)
{
    return (struct hl_view_of){
        .roles = identity->flags & HILUM_IDENTITY_MUST_CHANGE ? "" : identity->roles,
        .scope = identity->scope,
        .departments = identity->departments,
        .person = identity->display,
        .sender = identity->user};
}

static hilum_rc person_make(struct kept_principal *kept, const struct hl_principal_of *of)
{
    const struct hilum_identity *identity = of->identity;
    struct hl_view_of view = hl_view_of_identity(identity);
    view.glasses = of->glasses;
    view.n_glasses = of->n_glasses;
    kept->principal.kind = HL_PRINCIPAL_PERSON;
    kept->principal.is_service = (identity->flags & HILUM_IDENTITY_SERVICE) != 0;
    kept->principal.studies = of->studies;
    hilum_rc rc = hl_view_new(of->config, &view, &kept->view);
    kept->principal.view = kept->view;
    return rc;
}

hilum_rc hl_principal_new(const struct hl_principal_of *of, struct hl_principal **out)
{
    const struct hilum_identity *identity = of->identity;
    size_t n = strlen(of->address) + 1, m = identity ? strlen(identity->user) + 1 : 0;
    hilum_rc rc = HILUM_OK;
    *out = NULL;
    struct kept_principal *kept = calloc(1, sizeof *kept + n + m);
    if (!kept)
        return hl_fail(HILUM_ENOMEM, "no memory for a principal");
    memcpy(kept->texts, of->address, n);
    kept->principal = (struct hl_principal){.kind = HL_PRINCIPAL_PEER,
                                            .address = kept->texts,
                                            .aet = "by HTTP",
                                            .accept_unknown = true};
    if (identity) {
        memcpy(kept->texts + n, identity->user, m);
        kept->principal.name = kept->texts + n;
        rc = person_make(kept, of);
    }
    if (rc == HILUM_OK)
        *out = &kept->principal;
    else
        free(kept);
    return rc;
}

hilum_rc hl_principal_copy(const struct hl_principal *principal, struct hl_principal **out)
{
    const char *address = principal->address ? principal->address : "";
    const char *name = principal->name ? principal->name : "";
    size_t n = strlen(address) + 1, m = strlen(name) + 1;
    struct kept_principal *kept = calloc(1, sizeof *kept + n + m);
    *out = NULL;
    if (!kept)
        return hl_fail(HILUM_ENOMEM, "no memory for a principal");
    kept->principal = *principal;
    kept->principal.address = memcpy(kept->texts, address, n);
    kept->principal.name = memcpy(kept->texts + n, name, m);
    if (principal->view)
        kept->view = hl_view_ref((struct hl_view *)(uintptr_t)principal->view);
    *out = &kept->principal;
    return HILUM_OK;
}

void hl_principal_free(struct hilum_principal *principal)
{
    struct kept_principal *kept = (struct kept_principal *)principal;
    if (kept)
        hl_view_unref(kept->view);
    free(kept);
}

/* ---- the decision ---- */

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

/* Both views of a principal: its own, and that of the user it speaks for. */
static bool has_action(const struct hl_principal *principal, uint64_t bit)
{
    return (!principal->view || hl_view_actions(principal->view) & bit) &&
           (!principal->user_view || hl_view_actions(principal->user_view) & bit);
}

static struct hl_filter filter_of(const struct hl_principal *principal, uint64_t bit)
{
    const struct hl_view *views[] = {principal->view, principal->user_view};
    struct hl_filter filter = {.action = bit};
    for (size_t i = 0; i < 2; i++)
        if (views[i] && !(views[i]->everywhere & bit))
            filter.views[filter.n++] = views[i];
    return filter;
}

struct hl_filter hl_filter_of(const struct hl_principal *principal, const char *action)
{
    const struct action *known = find_action(action);
    return known ? filter_of(principal, UINT64_C(1) << (known - actions)) : (struct hl_filter){0};
}

/* What roles say, once the kind of principal may. */
static hilum_rc allows_study(const struct hl_principal *principal, const struct action *action,
                             const struct hl_resource *resource, const char **hint)
{
    uint64_t bit = UINT64_C(1) << (action - actions);
    *hint = "not among the actions of the roles, or of the token";
    if (!has_action(principal, bit))
        return 0;
    const struct hl_filter filter = filter_of(principal, bit);
    if (filter.n == 0)
        return 1;
    *hint = "the roles are for some studies only: name one of them";
    if (!resource || !resource->study_uid)
        return action->about == FILTERED || action->about == READING;
    if (!*resource->study_uid)
        return 1;
    *hint = "the roles do not reach this study";
    hilum_rc rc = principal->studies ? principal->studies->has(principal->studies->arg, &filter,
                                                               resource->study_uid)
                                     : 0;
    /* Nobody's yet: there is nothing to withhold. */
    return rc == HILUM_ENOTFOUND ? 1 : rc;
}

static bool allows_kind(const struct hl_principal *principal, const struct action *action,
                        const char **hint)
{
    switch (principal->kind) {
    case HL_PRINCIPAL_NONE: return false;
    case HL_PRINCIPAL_SYSTEM: return true;
    case HL_PRINCIPAL_PEER: return allows_peer(principal, action, hint);
    /* Effective, not real: a daemon that gave up root is the user it became. */
    case HL_PRINCIPAL_USER:
        *hint = "only root and the user hilumd runs as may";
        return principal->uid == 0 || principal->uid == geteuid();
    case HL_PRINCIPAL_RULE: *hint = "rules may not"; return action->is_for_rules;
    case HL_PRINCIPAL_PERSON: *hint = "without roles"; return principal->view != NULL;
    }
    return false;
}

hilum_rc hl_allow(const struct hl_principal *principal, const char *action,
                  const struct hl_resource *resource)
{
    const struct action *known = find_action(action);
    const char *hint = "nobody may";
    char who[200];
    if (!known)
        return hl_fail(HILUM_EINTERNAL, "action \"%.40s\" is not in the table of core/access",
                       action ? action : "");
    hilum_rc rc = allows_kind(principal, known, &hint);
    /* A peer that asks whether we are there is told so, whatever else its roles let it do. */
    bool is_greeting = principal->kind == HL_PRINCIPAL_PEER && known->services == HL_SERVICE_ECHO;
    if (rc == 1 && (principal->view || principal->user_view) && !is_greeting)
        rc = allows_study(principal, known, resource, &hint);
    if (rc == 1)
        return HILUM_OK;
    if (rc < 0)
        return rc;
    return hl_fail(HILUM_EDENIED, "%s: %s: %s", hl_principal_text(principal, who, sizeof who),
                   action, hint);
}
