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

/* 0: there is no such action. */
static uint64_t action_bit(const char *word, size_t n)
{
    for (size_t i = 0; hl_action_at(i) != NULL; i++)
        if (strlen(hl_action_at(i)) == n && memcmp(hl_action_at(i), word, n) == 0)
            return UINT64_C(1) << i;
    return 0;
}

static void add_words(const char *words, const char *separators, uint64_t *mask)
{
    for (const char *p = words; *(p += strspn(p, separators)) != '\0';) {
        size_t n = strcspn(p, separators);
        if (n == 1 && *p == '*')
            *mask = UINT64_MAX;
        else
            *mask |= action_bit(p, n);
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

/* ---- faults ---- */

static void add_unknown(const struct hl_node *node, const char *key, const char *word, size_t n,
                        const char *(*at)(size_t i), struct hl_faults *faults)
{
    const char *words[64];
    char name[64];
    size_t n_words = 0;
    while (n_words < 64 && (words[n_words] = at(n_words)) != NULL)
        n_words++;
    snprintf(name, sizeof name, "%.*s", (int)n, word);
    const char *nearest = hl_nearest(name, words, n_words);
    hl_faults_add(faults, node->file, node->line, "%s, found \"%s\"%s%s%s", key, name,
                  nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                  nearest != NULL ? "\"?" : "");
}

/* Actions are parted by blanks within a text too, as the shipped roles have them. */
static void check_actions(const struct hl_node *allow, struct hl_faults *faults)
{
    for (size_t i = 0; allow != NULL && i < allow->n_children; i++) {
        const struct hl_node *node = allow->children[i];
        for (const char *p = node->text; *(p += strspn(p, " ")) != '\0'; p += strcspn(p, " ")) {
            size_t n = strcspn(p, " ");
            if (!(n == 1 && *p == '*') && action_bit(p, n) == 0)
                add_unknown(node, "roles[].allow: expected an action or \"*\"", p, n, hl_action_at,
                            faults);
        }
    }
}

static bool role_is_known(const struct hl_config *config, const char *name)
{
    for (size_t i = 0; hl_role_at(i) != NULL; i++)
        if (strcmp(hl_role_at(i), name) == 0)
            return true;
    return hl_role_node(config, name) != NULL;
}

static void check_peer(const struct hl_config *config, const struct hl_node *peer,
                       struct hl_faults *faults)
{
    const struct hl_node *roles = hl_node_get(peer, "roles");
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++)
        if (!role_is_known(config, roles->children[i]->text))
            add_unknown(
                roles->children[i], "peers[].roles: expected a shipped role or one of roles",
                roles->children[i]->text, strlen(roles->children[i]->text), hl_role_at, faults);
}

void hl_roles_check(const struct hl_config *config, struct hl_faults *faults)
{
    const struct hl_node *roles = hl_config_node(config, "roles");
    const struct hl_node *peers = hl_config_node(config, "peers");
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++) {
        const struct hl_node *role = roles->children[i];
        const char *name = hl_node_text(role, "name", "");
        if (*name == '\0' || strchr(name, ',') != NULL)
            hl_faults_add(faults, role->file, role->line,
                          "roles[].name: expected a name without a comma, found \"%s\"", name);
        check_actions(hl_node_get(role, "allow"), faults);
    }
    for (size_t i = 0; peers != NULL && i < peers->n_children; i++)
        check_peer(config, peers->children[i], faults);
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
