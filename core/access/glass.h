/* Broken glass: studies that somebody sees for a while although his roles withhold them. In memory: a restart closes
 * them, and who needs one breaks it again. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_ACCESS_GLASS_H
#define HL_ACCESS_GLASS_H

#include "core/access/view.h"

enum { HL_GLASSES_OF_ONE = 32 }; /* open at once for one account */

struct hl_glasses;
hilum_rc hl_glasses_new(struct hl_glasses **out); /* HILUM_ENOMEM */
void hl_glasses_free(struct hl_glasses *all);     /* NULL is fine */

/* Opens one for `user` until until_us (wall clock); one that is open already is prolonged. HILUM_EFULL: he, or all
 * together, have too many open. Any thread. */
hilum_rc hl_glass_break(struct hl_glasses *all, const char *user, const struct hl_glass *glass,
                        int64_t until_us);
/* Those open for `user` now: at most HL_GLASSES_OF_ONE into out. Any thread. */
size_t hl_glasses_of(struct hl_glasses *all, const char *user, struct hl_glass *out);

#endif
