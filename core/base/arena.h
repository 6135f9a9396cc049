/* Memory that goes all at once. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_ARENA_H
#define HL_BASE_ARENA_H

#include <stddef.h>

/* Zero-initialised is empty. Not thread-safe: one owner at a time. Allocations are 16-byte
 * aligned and zeroed; none can be freed by itself, all go with hl_arena_fini. */
struct hl_arena {
    struct hl_arena_block *head;
    size_t used; /* bytes handed out, for budgets */
};

void *hl_arena_alloc(struct hl_arena *arena, size_t size); /* NULL when there is no memory */
char *hl_arena_strndup(struct hl_arena *arena, const char *text, size_t n);
char *hl_arena_strdup(struct hl_arena *arena, const char *text);
void hl_arena_fini(struct hl_arena *arena);

#endif
