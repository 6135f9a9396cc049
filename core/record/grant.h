/* Grants by study as SQL. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_GRANT_H
#define HL_RECORD_GRANT_H

#include "core/access/view.h"
#include "core/record/match.h"

/* " AND (...)" for each view of the filter, about the row of table `study` that stands under this letter. */
void hl_filter_add(struct hl_sql *sql, const struct hl_filter *filter, char study);

#endif
