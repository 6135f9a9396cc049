/* The arena: blocks that are filled from the front and freed together. It knows nothing of what
 * lies in it. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Two pages: most arenas (an event, a rule's plan) never need a second block. */
enum { BLOCK = 8192 };

/* The newest block is first, and only it is filled: what is left in the others is given up. */
struct hl_arena_block {
    struct hl_arena_block *next;
    size_t size, used;
    alignas(16) unsigned char bytes[];
};

/* Zeroed although much of it is overwritten: callers rely on it for NULL members and for the NUL
 * at the end of copies. */
void *hl_arena_alloc(struct hl_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size = (size + 15) & ~(size_t)15;
    struct hl_arena_block *b = arena->head;
    if (!b || b->size - b->used < size) {
        size_t room = size > BLOCK ? size : BLOCK;
        b = malloc(sizeof *b + room);
        if (!b)
            return NULL;
        *b = (struct hl_arena_block){.next = arena->head, .size = room};
        arena->head = b;
    }
    void *p = b->bytes + b->used;
    b->used += size;
    arena->used += size;
    return memset(p, 0, size);
}

char *hl_arena_strndup(struct hl_arena *arena, const char *text, size_t n)
{
    char *copy = hl_arena_alloc(arena, n + 1);
    if (copy)
        memcpy(copy, text, n);
    return copy;
}

char *hl_arena_strdup(struct hl_arena *arena, const char *text)
{
    return hl_arena_strndup(arena, text, strlen(text));
}

void hl_arena_fini(struct hl_arena *arena)
{
    while (arena->head) {
        struct hl_arena_block *next = arena->head->next;
        free(arena->head);
        arena->head = next;
    }
    arena->used = 0;
}
