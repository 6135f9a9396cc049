/* What the files that bring a lost catalogue back share. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_RESTORE_H
#define HL_RECORD_RESTORE_H

#include <jansson.h>

#include "core/record/record_private.h"

/* The number a row had, ?1, where it is free, else a new one. */
#define HL_ID_SQL(table)                                                                           \
    "(SELECT CASE WHEN EXISTS (SELECT 1 FROM " table " WHERE id = ?1) "                            \
    "THEN (SELECT max(id) + 1 FROM " table ") ELSE ?1 END)"

struct hl_restoring;
/* Makes the rows of a line; *new_id: what it is called now. Within a unit. */
typedef hilum_rc (*hl_restore_fn)(struct hl_restoring *restoring, struct hl_session *session,
                                  const json_t *line, int64_t *new_id);
/* One for all pages of a kind; `n` is what the last page held. */
struct hl_restoring {
    struct hl_record *record;
    int kind; /* enum hl_fact */
    hl_restore_fn apply;
    unsigned notes;
    size_t n;
};
/* All lines of a kind that are not done, some hundred a unit. Ends when a page is not full.
 * Each page is a transaction that marks its own lines as done. */
hilum_rc hl_restore_pages(struct hl_record *record, int kind, hl_restore_fn apply, unsigned notes);
/* hl_restore_fn for studies that have a row. */
hilum_rc hl_restore_known_study(struct hl_restoring *restoring, struct hl_session *session,
                                const json_t *line, int64_t *study);

/* Columns of a row of a line; "" and 0 where there is none. */
const char *hl_line_text(const json_t *row, size_t i);
int64_t hl_line_int(const json_t *row, size_t i);
/* "CATALOGUE:NUMBER": how `saved` calls the thing with that number in the database that wrote the line. */
void hl_line_name(const json_t *line, int64_t id, char out[64]);
/* The row a thing became; 0: none. */
hilum_rc hl_restore_new_id(struct hl_session *session, int kind, const char *name, int64_t *out);

#endif
