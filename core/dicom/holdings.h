/* How many objects could leave in a transfer syntax: what the choice for C-GET contexts rests on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_HOLDINGS_H
#define HL_DICOM_HOLDINGS_H

#include "core/record/record.h"

struct hl_holdings; /* thread-safe */

hilum_rc hl_holdings_new(struct hl_record *record, struct hl_holdings **out);
void hl_holdings_free(struct hl_holdings *holdings);

/* Of the newest objects (as of a minute ago at most), those of this class that are stored in the syntax or can be
 * converted to it. 0 also when the catalogue cannot be asked. May block for a page of the catalogue. */
uint64_t hl_holdings_leaving(struct hl_holdings *holdings, const char *sop_class,
                             const char *syntax);

#endif
