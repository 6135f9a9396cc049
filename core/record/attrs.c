/* A sorted array: objects have some dozen attributes here, and look-ups are by halves. It knows
 * nothing of VRs. SPDX-License-Identifier: Apache-2.0 */
#include "core/record/attrs.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/error.h"

/* Index of the first item not below tag. */
static size_t lower_bound(const struct hl_attrs *attrs, uint32_t tag)
{
    size_t low = 0, high = attrs->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (attrs->items[middle].tag < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* An earlier text of the tag stays in the arena until the end: others may have borrowed it.
 * The arena grows with each change; sets live as long as an object is on its way. */
hilum_rc hl_attrs_set(struct hl_attrs *attrs, uint32_t tag, const char *utf8)
{
    size_t at = lower_bound(attrs, tag);
    char *copy = hl_arena_strdup(&attrs->arena, utf8);
    if (!copy || !hl_grow(&attrs->items, &attrs->cap, attrs->n, sizeof *attrs->items))
        return hl_fail(HILUM_ENOMEM, "attribute %08x: out of memory", tag);
    if (at == attrs->n || attrs->items[at].tag != tag) {
        memmove(attrs->items + at + 1, attrs->items + at, (attrs->n - at) * sizeof *attrs->items);
        attrs->n++;
    }
    attrs->items[at] = (struct hl_attr){.tag = tag, .text = copy};
    return HILUM_OK;
}

const char *hl_attrs_get(const struct hl_attrs *attrs, uint32_t tag)
{
    size_t at = lower_bound(attrs, tag);
    return at < attrs->n && attrs->items[at].tag == tag ? attrs->items[at].text : NULL;
}

const char *hl_attrs_text(const struct hl_attrs *attrs, uint32_t tag)
{
    const char *text = hl_attrs_get(attrs, tag);
    return text ? text : "";
}

void hl_attrs_fini(struct hl_attrs *attrs)
{
    hl_arena_fini(&attrs->arena);
    free(attrs->items);
    *attrs = (struct hl_attrs){0};
}
