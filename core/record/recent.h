/* Answers of the catalogue that still hold: where an instance lies, and which object three UIDs name. Who looks at a study
 * asks for the same objects again and again, and each question is three transactions of the database.
 *
 * An answer holds as long as nothing has been committed since before it was asked for. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_RECENT_H
#define HL_RECORD_RECENT_H

#include "core/record/record.h"

struct hl_recent;

/* An object as hl_record_objects tells it. */
struct hl_recent_object {
    int64_t as_of, instance;
    uint64_t length;
    char sop_class[65], sop_instance[65], transfer_syntax[65], series_uid[65], study_uid[65];
};

hilum_rc hl_recent_new(struct hl_recent **out);
void hl_recent_free(struct hl_recent *recent); /* NULL is fine */

/* With the writer's turn: once before and once after a commit that may change what was answered. */
void hl_recent_commits(struct hl_recent *recent);

/* Any thread. Before the first look into the database, for the hl_recent_keep_... of what is found there. */
uint64_t hl_recent_now(const struct hl_recent *recent);

/* Any thread. False: not known, or it may not hold any more. */
bool hl_recent_stored(struct hl_recent *recent, int64_t instance, struct hl_stored *out);
void hl_recent_keep_stored(struct hl_recent *recent, uint64_t asked,
                           const struct hl_stored *stored);
/* The one object of these UIDs, as it is for whom nothing is withheld. */
bool hl_recent_object(struct hl_recent *recent, const char *study_uid, const char *series_uid,
                      const char *sop_instance, struct hl_recent_object *out);
void hl_recent_keep_object(struct hl_recent *recent, uint64_t asked,
                           const struct hl_recent_object *object);

#endif
