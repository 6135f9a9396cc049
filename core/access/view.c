/* Views made from roles: which actions on which studies. SPDX-License-Identifier: Apache-2.0 */
#include "core/access/view.h"

#include <stdlib.h>
#include <string.h>

#include "core/access/access.h"
#include "core/access/role.h"
#include "core/base/error.h"
#include "core/config/config.h"

/* An account with every role of a large site has some tens. */
enum { GRANTS_MAX = 256, WORD = 256 };

/* A view in the making. */
struct making {
    const struct hl_config *config;
    const struct hl_view_of *of;
    struct hl_view *view;
    uint64_t scope, mask; /* mask: of all roles, wherever they reach */
    bool failed;          /* no memory, or too many grants */
};

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

/* ---- lists of texts ---- */

static void text_add(struct making *making, struct hl_any_of *out, const char *text, size_t n)
{
    struct hl_arena *arena = &making->view->arena;
    const char **grown = hl_arena_alloc(arena, (out->n + 1) * sizeof *grown);
    const char *copy = hl_arena_strndup(arena, text, n);
    out->is_said = true;
    if (grown == NULL || copy == NULL) {
        making->failed = true;
        return;
    }
    for (size_t i = 0; i < out->n; i++)
        grown[i] = out->texts[i];
    grown[out->n++] = copy;
    out->texts = grown;
}

/* What "own" stands for: texts by commas (NULL: none), and a list of them. */
struct own {
    const char *text;
    const char *const *list;
    size_t n;
};

/* What somebody says of himself is a value, never a pattern. */
static void value_add(struct making *making, struct hl_any_of *out, const char *text, size_t n)
{
    if (memchr(text, '*', n) == NULL && memchr(text, '?', n) == NULL &&
        memchr(text, '\\', n) == NULL)
        text_add(making, out, text, n);
}

static void own_add(struct making *making, struct hl_any_of *out, const struct own *own)
{
    for (const char *p = or_empty(own->text); *(p += strspn(p, ", ")) != '\0';) {
        size_t n = strcspn(p, ",");
        value_add(making, out, p, n);
        p += n;
    }
    for (size_t i = 0; i < own->n; i++)
        value_add(making, out, own->list[i], strlen(own->list[i]));
}

/* The texts of a list of the configuration; "own" stands for those of who the view is for; NULL: for itself. */
static void list_read(struct making *making, const struct hl_node *grant, const char *key,
                      const struct own *own, struct hl_any_of *out)
{
    const struct hl_node *list = hl_node_get(grant, key);
    out->is_said = list != NULL;
    for (size_t i = 0; list != NULL && i < list->n_children; i++) {
        const char *text = list->children[i]->text;
        if (own != NULL && strcmp(text, "own") == 0)
            own_add(making, out, own);
        else
            text_add(making, out, text, strlen(text));
    }
}

/* ---- grants ---- */

static struct hl_grant *grant_new(struct making *making)
{
    struct hl_view *view = making->view;
    if (view->grants == NULL)
        view->grants = hl_arena_alloc(&view->arena, GRANTS_MAX * sizeof *view->grants);
    making->failed = making->failed || view->grants == NULL || view->n == GRANTS_MAX;
    if (making->failed)
        return NULL;
    struct hl_grant *grant = &view->grants[view->n++];
    *grant = (struct hl_grant){0};
    return grant;
}

static void grant_read(struct making *making, const struct hl_node *node, uint64_t mask)
{
    const struct hl_view_of *of = making->of;
    struct hl_grant *grant = grant_new(making);
    if (grant == NULL)
        return;
    grant->actions = mask;
    const struct own departments = {of->departments, of->department_list, of->n_department_list};
    const struct own person = {.text = of->person}, sender = {.text = of->sender};
    list_read(making, node, "departments", &departments, &grant->departments);
    list_read(making, node, "referring", &person, &grant->referring);
    list_read(making, node, "labels", NULL, &grant->labels);
    list_read(making, node, "without_labels", NULL, &grant->without_labels);
    list_read(making, node, "senders", &sender, &grant->senders);
}

static void glass_add(struct making *making, const struct hl_glass *glass)
{
    struct hl_grant *grant = grant_new(making);
    if (grant == NULL)
        return;
    grant->actions = making->mask & hl_actions_of_reading();
    if (glass->study_uid[0] != '\0')
        text_add(making, &grant->studies, glass->study_uid, strlen(glass->study_uid));
    if (glass->patient_id[0] != '\0') {
        grant->patient_id = hl_arena_strdup(&making->view->arena, glass->patient_id);
        grant->issuer = hl_arena_strdup(&making->view->arena, glass->issuer);
        making->failed = making->failed || grant->patient_id == NULL || grant->issuer == NULL;
    }
}

/* ---- roles ---- */

static void role_add(struct making *making, const char *name)
{
    const struct hl_node *studies = hl_node_get(hl_role_node(making->config, name), "studies");
    uint64_t mask = hl_role_mask(making->config, name) & making->scope;
    /* Who may have a study may have it sent, here or there. */
    if (mask & hl_actions_mask("retrieve", " "))
        mask |= hl_actions_mask("get move receive", " ") & making->scope;
    making->mask |= mask;
    making->view->everywhere |= studies == NULL ? mask : mask & ~hl_actions_about_studies();
    for (size_t i = 0; studies != NULL && i < studies->n_children; i++)
        grant_read(making, studies->children[i], mask & hl_actions_about_studies());
}

static void roles_add(struct making *making)
{
    char name[WORD];
    for (const char *p = or_empty(making->of->roles); *(p += strspn(p, ", ")) != '\0';) {
        size_t n = strcspn(p, ",");
        if (n < sizeof name) {
            memcpy(name, p, n);
            name[n] = '\0';
            role_add(making, name);
        }
        p += n;
    }
    for (size_t i = 0; i < making->of->n_role_list; i++)
        role_add(making, making->of->role_list[i]);
}

hilum_rc hl_view_new(const struct hl_config *config, const struct hl_view_of *of,
                     struct hl_view **out)
{
    struct hl_view *view = calloc(1, sizeof *view);
    *out = NULL;
    if (view == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for what a role sees");
    atomic_init(&view->references, 1);
    struct making making = {.config = config, .of = of, .view = view, .scope = UINT64_MAX};
    if (*or_empty(of->scope) != '\0')
        making.scope = hl_actions_mask(of->scope, ", ");
    roles_add(&making);
    for (size_t i = 0; i < of->n_glasses; i++)
        glass_add(&making, &of->glasses[i]);
    if (making.failed) {
        hl_view_unref(view);
        return hl_fail(HILUM_ENOMEM, "no memory for what a role sees, or over %d grants",
                       GRANTS_MAX);
    }
    *out = view;
    return HILUM_OK;
}

struct hl_view *hl_view_ref(struct hl_view *view)
{
    if (view != NULL)
        atomic_fetch_add(&view->references, 1);
    return view;
}

void hl_view_unref(struct hl_view *view)
{
    if (view == NULL || atomic_fetch_sub(&view->references, 1) != 1)
        return;
    hl_arena_fini(&view->arena);
    free(view);
}

uint64_t hl_view_actions(const struct hl_view *view)
{
    uint64_t mask = view->everywhere;
    for (size_t i = 0; i < view->n; i++)
        mask |= view->grants[i].actions;
    return mask;
}
