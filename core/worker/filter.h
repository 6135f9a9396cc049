/* The system calls left to a worker. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_FILTER_H
#define HL_WORKER_FILTER_H

#include <stdint.h>

#include "hilum/abi.h"

/* Adds HL_JAIL_SECCOMP to *in_force unless the kernel has no filters. For the calling process, for good; needs
 * no_new_privs. */
hilum_rc hl_filter_enter(uint32_t *in_force);

#endif
