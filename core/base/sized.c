/* Sized structs across versions. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/sized.h"

#include <string.h>

/* No struct grows by more while a plugin built against it may still be loaded: a larger size is
 * memory that nobody filled in. */
enum { GROWTH = 256 };

void hl_sized_copy(void *to, size_t to_size, const void *from, uint32_t size)
{
    uint32_t own = (uint32_t)to_size;
    size_t n = size < to_size ? size : to_size;
    memcpy(to, from, n);
    memset((char *)to + n, 0, to_size - n);
    if (to_size >= sizeof own)
        memcpy(to, &own, sizeof own);
}

void hl_sized_give(void *to, const void *whole, uint32_t whole_size)
{
    uint32_t size;
    memcpy(&size, to, sizeof size);
    if (size < sizeof size || size > whole_size + GROWTH)
        size = whole_size;
    hl_sized_copy(to, size, whole, whole_size);
}
