/* Numbered migrations of the kernel's tables, embedded from sql/. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_MIGRATE_H
#define HL_RECORD_MIGRATE_H

#include "hilum/database.h"

struct hl_migration {
    int number;
    const char *name, *dialect, *sql; /* dialect "": portable */
};
extern const struct hl_migration hl_migrations[]; /* by number; ends with number 0 */

/* Brings the database up to the last migration, one transaction each. A number has a portable
 * file, or one a dialect, or both (then the dialect's is used); a number without a file for
 * this dialect is counted and does nothing. HILUM_EUNSUP: the database is newer than this
 * program. A crash between two leaves the earlier ones done; the next start goes on. Nothing
 * is ever migrated back: an older program refuses a newer catalogue. */
hilum_rc hl_migrate(const struct hilum_database *db, void *writer_session);

#endif
