/* The system calls left to a worker. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_WORKER_FILTER_H
#define HL_WORKER_FILTER_H

#include <stdint.h>

#include "hilum/abi.h"

/* Adds HL_JAIL_SECCOMP to *in_force unless the kernel has no filters. For the calling process, for good; needs
 * no_new_privs. */
hilum_rc hl_filter_enter(uint32_t *in_force);

/* Is this built with a sanitizer, which asks for more than a worker may have? gcc says so by macros, clang by features. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HL_IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HL_IS_SANITIZED 1
#endif
#endif
#ifndef HL_IS_SANITIZED
#define HL_IS_SANITIZED 0
#endif

#endif
