/* What of the archive somebody sees: actions he may do on any study, and grants, which allow some on studies of some
 * kind. Data only: whether a study is of that kind the catalogue tells (core/record/grant.c).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_ACCESS_VIEW_H
#define HL_ACCESS_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"
#include "hilum/abi.h"

struct hl_config;
struct hl_node;

/* A condition of a grant. Said and empty holds of no study: the departments of somebody who is in none. */
struct hl_any_of {
    bool is_said;
    size_t n;
    const char **texts;
};

/* All conditions that are said must hold of a study. */
struct hl_grant {
    uint64_t actions;                /* bit i: hl_action_at(i) */
    struct hl_any_of departments;    /* of one of its series; ASCII case aside */
    struct hl_any_of referring;      /* its physician, folded as names are searched */
    struct hl_any_of labels;         /* it carries one */
    struct hl_any_of without_labels; /* it carries none */
    struct hl_any_of senders;        /* peers, or accounts, that sent one of its objects */
    struct hl_any_of studies;        /* UIDs: by a broken glass */
    const char *patient_id, *issuer; /* likewise; NULL: any */
};

/* Immutable but for its reference count. */
struct hl_view {
    atomic_uint references;
    struct hl_arena arena;
    uint64_t everywhere; /* actions on any study, and those that are about none */
    size_t n;
    struct hl_grant *grants;
};

/* A study, or a patient's studies, that somebody sees for a while. "" where it is not that. */
struct hl_glass {
    char study_uid[65], patient_id[65], issuer[65];
};

/* Whose view. Texts may be NULL: none. */
struct hl_view_of {
    const char *roles; /* by commas */
    const char *scope; /* actions by commas the roles are narrowed to; NULL, "": all they allow */
    const char *departments; /* by commas: what "own" means in `departments` */
    /* The same of the configuration, a text each, as well. */
    const char *const *role_list, *const *department_list;
    size_t n_role_list, n_department_list;
    const char *person;             /* as a physician's name, "WANG^LI": "own" in `referring` */
    const char *sender;             /* peer or account: "own" in `senders` */
    const struct hl_glass *glasses; /* open for him */
    size_t n_glasses;
};

/* Roles are those of the configuration's `roles` (may be NULL), then the shipped ones; what is neither adds nothing.
 * HILUM_ENOMEM. */
hilum_rc hl_view_new(const struct hl_config *config, const struct hl_view_of *of,
                     struct hl_view **out);
struct hl_view *hl_view_ref(struct hl_view *view); /* any thread; NULL is fine, as below */
void hl_view_unref(struct hl_view *view);
/* Actions it allows on some study at least. */
uint64_t hl_view_actions(const struct hl_view *view);

/* What the catalogue leaves out of its answers: studies that are not in all of these views. */
struct hl_filter {
    const struct hl_view *views[2];
    unsigned n; /* 0: nothing is left out */
    uint64_t action;
};

#endif
