/* Roles as sets of actions: the shipped ones, and what the configuration says instead.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/access/role.h"
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
    {"resident", "find retrieve get access.break"},
    {"radiologist", "find retrieve get study.send study.explain access.break"},
    {"chief",
     "find retrieve get access.break store study.send study.explain patient.edit quarantine.list "
     "quarantine.release job.list status"},
    {"clinician", "find retrieve get access.break"},
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

uint64_t hl_actions_mask(const char *words, const char *separators)
{
    uint64_t mask = 0;
    add_words(words, separators, &mask);
    return mask;
}

const struct hl_node *hl_role_node(const struct hl_config *config, const char *name)
{
    const struct hl_node *roles = config != NULL ? hl_config_node(config, "roles") : NULL;
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++)
        if (strcmp(hl_node_text(roles->children[i], "name", ""), name) == 0)
            return roles->children[i];
    return NULL;
}

/* What the configuration says a role allows replaces what the shipped one of that name does. */
uint64_t hl_role_mask(const struct hl_config *config, const char *name)
{
    const struct hl_node *allow = hl_node_get(hl_role_node(config, name), "allow");
    uint64_t mask = 0;
    for (size_t k = 0; allow != NULL && k < allow->n_children; k++)
        mask |= hl_actions_mask(allow->children[k]->text, " ");
    for (size_t i = 0; allow == NULL && i < sizeof shipped / sizeof *shipped; i++)
        if (strcmp(shipped[i].name, name) == 0)
            mask |= hl_actions_mask(shipped[i].actions, " ");
    return mask;
}
