/* What a worker gives up before it opens a stranger's code: memory beyond a limit, privileges, files, processes,
 * sockets. Effective for root too, since nothing here asks who one is. It knows nothing of plugins.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_JAIL_H
#define HL_WORKER_JAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/abi.h"

struct hl_jail {
    uint64_t memory;          /* bytes of address space; 0: no limit */
    const char *file;         /* the plugin: read and mapped */
    const char *const *grant; /* further files and folders to be read, NULL-ended */
    bool may_be_weak;         /* go on without seccomp or Landlock */
};

/* For the calling process, for good. Single-threaded. *in_force: HL_JAIL_* of wire.h. HILUM_EUNSUP: the kernel has no
 * seccomp or no Landlock; HILUM_ENOTFOUND names a granted folder that is not there. */
hilum_rc hl_jail_enter(const struct hl_jail *jail, uint32_t *in_force);

#endif
