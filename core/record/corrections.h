/* Writing overlays, within a unit. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_CORRECTIONS_H
#define HL_RECORD_CORRECTIONS_H

#include "core/record/record_private.h"

struct hl_correction {
    int64_t seq; /* shared by all rows of one edit */
    const char *who, *why;
};

/* The version the next edit makes; 1 is the state without any. */
hilum_rc hl_overlay_seq_next(struct hl_session *session, int64_t *out);
/* One attribute for all studies the patient has now. text NULL: removed. A study that comes
 * later under the old name gets it through the former identity (former.h). */
hilum_rc hl_overlay_add(struct hl_session *session, const struct hl_correction *c, int64_t patient,
                        uint32_t tag, const char *text, const char *old_text);

#endif
