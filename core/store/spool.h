/* Bytes that are made before they leave: in memory while they are few, beyond that in a file that has no name and
 * so ends with its descriptor. Knows nothing of what the bytes are. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_SPOOL_H
#define HL_STORE_SPOOL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

/* Where spools may go. Outlives them. */
struct hl_spool_place {
    const char *dir;           /* for files; NULL: memory only, up to the limit of memory */
    _Atomic uint64_t min_free; /* bytes its medium must keep free */
    uint64_t most; /* bytes of frames that are kept from one decoding; 0: HL_UNPACK_SPOOLED */
};

/* 16 MiB hold nearly every image; with 1000 that leave converted at once these are 16 GB,
 * hence a file beyond and not more. */
enum { HL_SPOOL_MEMORY = 16 * 1024 * 1024, HL_SPOOL_WINDOW = 256 * 1024 };

/* Zeroed but for `place` is empty. One thread at a time. */
struct hl_spool {
    const struct hl_spool_place *place; /* NULL: memory only */
    struct hl_buf memory;               /* all of it, or what is not in the file yet */
    uint64_t length, in_file;
    int fd;          /* valid where in_file > 0 */
    uint8_t *window; /* of the file, HL_SPOOL_WINDOW bytes */
};

/* Appends. HILUM_EFULL: the medium would have less than min_free; HILUM_ENOMEM; HILUM_EIO. */
hilum_rc hl_spool_add(struct hl_spool *spool, const void *bytes, size_t n);
/* Up to *n bytes at `at`, borrowed until the next call; *n becomes how many, 0 at the end. */
hilum_rc hl_spool_read(struct hl_spool *spool, uint64_t at, size_t *n, const uint8_t **bytes);
void hl_spool_fini(struct hl_spool *spool);

#endif
