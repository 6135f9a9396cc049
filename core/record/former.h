/* Former identities of patients, within a unit. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_FORMER_H
#define HL_RECORD_FORMER_H

#include "core/record/corrections.h"

/* What an object says about whose it is; "" for what it does not say. Borrowed. The issuer is
 * resolved already: the object's, its peer's, or the site's. */
struct hl_identity {
    const char *patient_id, *issuer, *name, *sex;
    char birth_date[65]; /* normal, where it is a date */
};

/* The patient `was` has been called as its row says, `is` (often the same) is to be found by it: `changes` is
 * what the correction makes of it. Before the row is changed. */
hilum_rc hl_former_add(struct hl_session *session, int64_t was, int64_t is,
                       const struct hl_attrs *changes, const struct hl_correction *c);
/* All former identities of a patient that becomes another. */
hilum_rc hl_former_move(struct hl_session *session, int64_t from, int64_t to);
/* The one patient who was called exactly so and is not now, and the number of that identity;
 * 0: nobody, or more than one. "Exactly" leaves case, accents and empty components aside, and
 * an empty value says nothing. */
hilum_rc hl_former_find(struct hl_session *session, const struct hl_identity *newcomer,
                        int64_t *patient, int64_t *former);
/* The corrections made since, for a study that arrived under it; audited. */
hilum_rc hl_former_correct(struct hl_session *session, int64_t former, int64_t study,
                           const struct hl_attrs *attrs);

#endif
