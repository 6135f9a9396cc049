/* A small set of attributes of one object: tag -> UTF-8 text, the currency between the header scan,
 * the rules, the catalogue and the overlays. Knows nothing of VRs' encodings.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_ATTRS_H
#define HL_RECORD_ATTRS_H

#include <stdint.h>

#include "core/base/arena.h"
#include "hilum/abi.h"

struct hl_attr {
    uint32_t tag;
    const char *text; /* UTF-8, backslash between values, trimmed; never NULL */
};

/* Zero-initialised is empty. Texts live in the arena. Not thread-safe. */
struct hl_attrs {
    struct hl_arena arena;
    struct hl_attr *items; /* ascending tags */
    size_t n, cap;
};

/* Sets (copies); replaces an earlier value. HILUM_ENOMEM. */
hilum_rc hl_attrs_set(struct hl_attrs *attrs, uint32_t tag, const char *utf8);
/* The text, NULL if absent. Borrowed. */
const char *hl_attrs_get(const struct hl_attrs *attrs, uint32_t tag);
/* The text, "" if absent. */
const char *hl_attrs_text(const struct hl_attrs *attrs, uint32_t tag);
void hl_attrs_fini(struct hl_attrs *attrs);

#endif
