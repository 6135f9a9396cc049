/* Roles as sets of actions: the shipped ones, and what the configuration says instead.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/access/access.h"
#include "core/access/role.h"
#include "core/base/buf.h"
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

/* ---- what there is ---- */

enum { WORD = 256 }; /* as core/access/view.c reads them */
enum { WORDS = 96 }; /* a site with more roles is told those, and the nearest of them */

/* Borrowed texts: what a message lists. */
struct words {
    const char *at[WORDS];
    size_t n;
    const struct hl_config *config; /* whose roles they are, listed or not; NULL: nobody's */
};

static void add_word(struct words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->at[i], word) == 0) /* a shipped role that the site describes anew */
            return;
    if (words->n < WORDS)
        words->at[words->n++] = word;
}

static void all_roles(const struct hl_config *config, struct words *out)
{
    const struct hl_node *roles = config != NULL ? hl_config_node(config, "roles") : NULL;
    *out = (struct words){.config = config};
    for (size_t i = 0; hl_role_at(i) != NULL; i++)
        add_word(out, hl_role_at(i));
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++)
        add_word(out, hl_node_text(roles->children[i], "name", ""));
}

static void all_actions(struct words *out)
{
    *out = (struct words){0};
    for (size_t i = 0; hl_action_at(i) != NULL; i++)
        add_word(out, hl_action_at(i));
}

static void list_words(const struct words *words, struct hl_buf *out)
{
    for (size_t i = 0; i < words->n; i++)
        hl_buf_printf(out, "%s\"%s\"", i == 0 ? "" : ", ", words->at[i]);
}

/* The end of a message about `word`, which is none of `words`. */
static void add_found(const struct words *words, const char *word, struct hl_buf *out)
{
    const char *nearest = hl_nearest(word, words->at, words->n);
    hl_buf_printf(out, ", found \"%s\"%s%s%s", word, nearest != NULL ? "; did you mean \"" : "",
                  nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
}

static bool has_word(const struct words *words, const char *word)
{
    for (size_t i = 0; i < words->n; i++)
        if (strcmp(words->at[i], word) == 0)
            return true;
    return hl_role_node(words->config, word) != NULL;
}

/* The nearest comes before the list: a long one is cut where errors end. */
static hilum_rc check_words(const struct words *known, const char *what, const char *list,
                            const char *before, const char *between)
{
    char word[WORD];
    for (const char *p = list; *(p += strspn(p, before)) != '\0'; p += strcspn(p, between)) {
        snprintf(word, sizeof word, "%.*s", (int)strcspn(p, between), p);
        if (has_word(known, word))
            continue;
        struct hl_buf text = {0};
        hl_buf_printf(&text, "expected %s", what);
        add_found(known, word, &text);
        hl_buf_text(&text, " (there are ");
        list_words(known, &text);
        hl_buf_byte(&text, ')');
        hilum_rc rc = hl_fail(HILUM_EINVAL, "%s", hl_buf_str(&text));
        hl_buf_fini(&text);
        return rc;
    }
    return HILUM_OK;
}

/* As core/access/view.c reads them: names have blanks. */
hilum_rc hl_roles_known(const struct hl_config *config, const char *roles)
{
    struct words known;
    all_roles(config, &known);
    return check_words(&known, "a role", roles, ", ", ",");
}

hilum_rc hl_actions_known(const char *actions)
{
    struct words known;
    all_actions(&known);
    add_word(&known, "*");
    return check_words(&known, "an action", actions, ", ", ", ");
}

/* ---- faults ---- */

/* Actions are parted by blanks within a text too, as the shipped roles have them. */
static void check_actions(const struct hl_node *allow, struct hl_faults *faults)
{
    struct words known;
    all_actions(&known);
    for (size_t i = 0; allow != NULL && i < allow->n_children; i++) {
        const struct hl_node *node = allow->children[i];
        for (const char *p = node->text; *(p += strspn(p, " ")) != '\0'; p += strcspn(p, " ")) {
            struct hl_buf found = {0};
            char word[64];
            snprintf(word, sizeof word, "%.*s", (int)strcspn(p, " "), p);
            if (strcmp(word, "*") == 0 || has_word(&known, word))
                continue;
            add_found(&known, word, &found);
            hl_faults_add(faults, node->file, node->line,
                          "roles[].allow: expected an action or \"*\"%s", hl_buf_str(&found));
            hl_buf_fini(&found);
        }
    }
}

static void check_peer(const struct words *known, const struct hl_node *peer,
                       struct hl_faults *faults)
{
    const struct hl_node *roles = hl_node_get(peer, "roles");
    for (size_t i = 0; roles != NULL && i < roles->n_children; i++) {
        const struct hl_node *node = roles->children[i];
        struct hl_buf text = {0};
        if (has_word(known, node->text))
            continue;
        list_words(known, &text);
        add_found(known, node->text, &text);
        hl_faults_add(faults, node->file, node->line, "peers[].roles: expected one of %s",
                      hl_buf_str(&text));
        hl_buf_fini(&text);
    }
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
    struct words known;
    all_roles(config, &known);
    for (size_t i = 0; peers != NULL && i < peers->n_children; i++)
        check_peer(&known, peers->children[i], faults);
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
