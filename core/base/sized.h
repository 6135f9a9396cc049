/* Structs that begin with `uint32_t size` and may be of another version on the other side of a plugin's border. It knows
 * nothing of what is in them. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_SIZED_H
#define HL_BASE_SIZED_H

#include <stddef.h>
#include <stdint.h>

/* Copies as much as both sides know. `size` is of the source. The rest of `to` is zero; its own
 * size is kept. */
void hl_sized_copy(void *to, size_t to_size, const void *from, uint32_t size);

/* What we filled in, `whole`, into a caller's struct, which says itself how long it is: nothing behind it is touched. A size
 * nobody can mean (0, or 256 bytes over ours) is taken as forgotten, and the struct as ours. */
void hl_sized_give(void *to, const void *whole, uint32_t whole_size);

#endif
