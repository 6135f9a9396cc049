/* Who may do what: the one function that decides. DIMSE, the control socket, Lua verbs and the
 * web ask hl_allow before they act, and nobody decides for himself. It knows the policy and
 * nothing of how an action is carried out. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_ACCESS_H
#define HL_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/access/view.h"
#include "hilum/auth.h"
#include "hilum/catalog.h"

struct hl_peer; /* core/config/peers.h */

enum hl_principal_kind {
    HL_PRINCIPAL_NONE,   /* zero-initialised: nobody; refused everything */
    HL_PRINCIPAL_PEER,   /* a DICOM peer, matched or not */
    HL_PRINCIPAL_USER,   /* a Unix user on the control socket */
    HL_PRINCIPAL_RULE,   /* a Lua rule or a configured route */
    HL_PRINCIPAL_PERSON, /* somebody signed in, or a program with a token */
    HL_PRINCIPAL_SYSTEM  /* the kernel itself: recovery, retention, outbox */
};

/* Where grants by study are looked up: by the catalogue. */
struct hl_studies {
    /* Is the study in all views of the filter? 1, 0; HILUM_ENOTFOUND: there is none of that UID. */
    hilum_rc (*has)(void *arg, const struct hl_filter *filter, const char *study_uid);
    void *arg;
};

/* Somebody who wants something. Built by the face that met him; borrowed during the call. */
struct hl_principal {
    enum hl_principal_kind kind;
    const struct hl_peer *peer; /* PEER: the matched one; NULL: unknown */
    const char *address;        /* PEER: numeric, for loopback and the reason; may be NULL */
    const char *aet;            /* PEER: calling AE title, for the reason; may be NULL */
    bool accept_unknown;        /* PEER: dicom.unknown_peers = "accept" */
    uid_t uid;                  /* USER */
    const char *name;           /* RULE, PERSON: for the reason and the audit */
    /* PERSON: what the roles allow. PEER: what its roles narrow its services to; NULL: nothing. */
    const struct hl_view *view;
    const struct hl_view *user_view;  /* PEER: of the user it speaks for, who narrows it; or NULL */
    const char *user;                 /* PEER: that one's name; NULL: none */
    const struct hl_studies *studies; /* for grants by study; NULL: those grant nothing */
    bool is_service;                  /* PERSON: a program's token */
};

/* What it is about. All members may be NULL: then "any". */
struct hl_resource {
    const char *study_uid; /* "": of some study; which one is asked once it is known */
    const char *patient_key;
    const char *peer; /* destination of a send */
};

/* May `principal` do `action`? HILUM_OK, or HILUM_EDENIED with the reason by hl_fail. `resource`
 * may be NULL. An action that is not in the table is a defect of the caller: HILUM_EINTERNAL.
 *
 *   action           known peer          unknown peer, "accept"    rule   user root/own   system
 *   echo             services has echo   yes                       no     yes             yes
 *   store            services has store  yes                       no     yes             yes
 *   find             services has find   from loopback             yes    yes             yes
 *   move             services has move   from loopback             no     yes             yes
 *   get              services has get    from loopback             no     yes             yes
 *   retrieve         move or get         from loopback             no     yes             yes
 *   receive          any service         yes                       no     yes             yes
 *   study.send       no                  no                        yes    yes             yes
 *   instance.tag     no                  no                        yes    yes             yes
 *   instance.keep    no                  no                        yes    yes             yes
 *   quarantine.hold  no                  no                        yes    yes             yes
 *   the rest         no                  no                        no     yes             yes
 *
 * Persons may what their roles allow (roles.c), on the studies the roles are for: with a study in `resource` it is looked
 * up; without one, actions whose answers the catalogue filters (echo to retrieve above) are allowed, the others not.
 * A peer with roles, or with a user, may what its services and those allow. With "refuse" an unknown peer may do nothing. "The rest": status, patient.edit, study.explain,
 * access.break, quarantine.list, quarantine.release, import, export, export.as_received, job.list, job.manage, peer.list, peer.echo,
 * peer.trace, log.read, archive.check, archive.repair, config.check, config.reload, plugin.list,
 * plugin.manage, audit.read, user.manage, admin. */
hilum_rc hl_allow(const struct hl_principal *principal, const char *action,
                  const struct hl_resource *resource);

/* What the catalogue has to leave out when `principal` does `action`, which hl_allow has allowed. The views are the
 * principal's. */
struct hl_filter hl_filter_of(const struct hl_principal *principal, const char *action);

/* Is the action in the table? For registries that take one by name and want to find out early. */
bool hl_action_is_known(const char *action);
/* The i-th action of the table, NULL beyond its end: for lists and for the test of the matrix. */
const char *hl_action_at(size_t i);
/* Bits of the actions that are about a study, and so are narrowed by grants. */
uint64_t hl_actions_about_studies(void);
/* Bits of those a broken glass is for: to find and to look. */
uint64_t hl_actions_of_reading(void);

/* Bits of the actions named in a list by any of `separators`; "*": all. */
uint64_t hl_actions_mask(const char *words, const char *separators);
/* The i-th shipped role, NULL beyond the end. */
const char *hl_role_at(size_t i);

/* Are there all these roles, parted by commas, shipped or in the configuration? Are there these actions, by commas or
 * blanks, "*" among them? HILUM_EINVAL names the first that is not there, the nearest, and those there are. Any thread. */
hilum_rc hl_roles_known(const struct hl_config *config, const char *roles);
hilum_rc hl_actions_known(const char *actions);

struct hl_faults;
/* Adds a fault for each action in `roles` and each role in `peers` that there is none of: a slip of the hand there would
 * take rights away without a word. Keeps nothing; from any thread. */
void hl_roles_check(const struct hl_config *config, struct hl_faults *faults);

/* Whose view an account's is, without broken glass: nothing while its password must be changed. Borrows its texts. */
struct hl_view_of hl_view_of_identity(const struct hilum_identity *identity);

/* Whoever came by HTTP: a person with the roles of `identity`; NULL is nobody in particular, with an unknown peer's
 * rights where those are accepted: from loopback a look, and storing. glasses: open for him. Strings are copied;
 * `studies` outlives the principal. HILUM_ENOMEM. */
struct hl_principal_of {
    const struct hl_config *config;
    const struct hilum_identity *identity;
    const char *address;
    const struct hl_studies *studies;
    const struct hl_glass *glasses;
    size_t n_glasses;
};
hilum_rc hl_principal_new(const struct hl_principal_of *of, struct hl_principal **out);
/* The same, with strings of its own: for work that outlives the exchange it was asked in. A matched peer, its
 * user and the AE title stay borrowed. HILUM_ENOMEM. */
hilum_rc hl_principal_copy(const struct hl_principal *principal, struct hl_principal **out);
/* Of hl_principal_new and hl_principal_copy; NULL is fine. */
void hl_principal_free(struct hilum_principal *principal);

/* "peer ARCHIVE (10.0.0.5)", "user 0", "rule site/ct": for the audit record. Returns out. */
char *hl_principal_text(const struct hl_principal *principal, char *out, size_t size);

#endif
