/* Roles as sets of actions: the shipped ones, and what the configuration says instead.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/config/config.h"

struct role {
    const char *name;
    const char *actions; /* by spaces; "*": all of them */
};

/* What each may do, as tests/unit/access/roles.tsv shows it to a reviewer. Nobody but the administrator and the
 * security officer manages accounts; who runs the machine sees no images. */
static const struct role shipped[] = {
    {"administrator", "*"},
    {"security officer",
     "status user.manage audit.read log.read plugin.list peer.list study.explain"},
    {"auditor", "status audit.read log.read study.explain peer.list"},
    {"it", "status echo job.list job.manage peer.list peer.echo peer.trace log.read archive.check "
           "config.check plugin.list quarantine.list"},
    {"registrar", "find patient.edit study.explain"},
    {"technologist", "find retrieve get store study.send study.explain quarantine.list"},
    {"resident", "find retrieve get"},
    {"radiologist", "find retrieve get study.send study.explain"},
    {"chief", "find retrieve get store study.send study.explain patient.edit quarantine.list "
              "quarantine.release job.list status"},
    {"clinician", "find retrieve get"},
    {"statistician", "find"},
    {"research", "find retrieve get export"},
    {"gateway", "echo find retrieve get store"},
};

const char *hl_role_at(size_t i)
{
    return i < sizeof shipped / sizeof *shipped ? shipped[i].name : NULL;
}

static void add_word(const char *word, size_t n, uint64_t *mask)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n, word);
    for (size_t i = 0; hl_action_at(i) != NULL; i++)
        if (strcmp(hl_action_at(i), name) == 0)
            *mask |= UINT64_C(1) << i;
}

static void add_words(const char *words, const char *separators, uint64_t *mask)
{
    for (const char *p = words; *(p += strspn(p, separators)) != '\0';) {
        size_t n = strcspn(p, separators);
        if (n == 1 && *p == '*')
            *mask = UINT64_MAX;
        else
            add_word(p, n, mask);
        p += n;
    }
}

/* A role of the configuration replaces the shipped one of that name. */
static bool add_configured(const struct hl_config *config, const char *name, uint64_t *mask)
{
    const struct hl_node *roles = config != NULL ? hl_config_node(config, "roles") : NULL;
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++) {
        const struct hl_node *allow = hl_node_get(roles->children[i], "allow");
        if (strcmp(hl_node_text(roles->children[i], "name", ""), name) != 0)
            continue;
        for (size_t k = 0; allow != NULL && k < allow->n_children; k++)
            add_words(allow->children[k]->text, " ", mask);
        return true;
    }
    return false;
}

static void add_role(const struct hl_config *config, const char *name, uint64_t *mask)
{
    if (add_configured(config, name, mask))
        return;
    for (size_t i = 0; i < sizeof shipped / sizeof *shipped; i++)
        if (strcmp(shipped[i].name, name) == 0)
            add_words(shipped[i].actions, " ", mask);
}

uint64_t hl_roles_mask(const struct hl_config *config, const char *roles, const char *scope)
{
    uint64_t mask = 0, narrowed = 0;
    char name[64];
    for (const char *p = roles; *(p += strspn(p, ", ")) != '\0';) {
        size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        add_role(config, name, &mask);
        p += n;
    }
    if (scope == NULL || *scope == '\0')
        return mask;
    add_words(scope, ", ", &narrowed);
    return mask & narrowed;
}
