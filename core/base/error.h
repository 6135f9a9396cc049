/* How a failure is told: a code for programs, one thread-local line for people.
 * Knows nothing of where the line ends up. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_ERROR_H
#define HL_BASE_ERROR_H

#include "hilum/abi.h"

/* Records the reason for this thread and returns `code`, so that a failure is one statement:
 *     return hl_fail(HILUM_EIO, "rename %s: %s", path, strerror(errno));
 * Called once, where most is known: lower case, object and cause, no trailing stop, no patient
 * data. Lines over 511 bytes are cut. */
hilum_rc hl_fail(hilum_rc code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* So that the analyser sees no path on which a failure is success. */
static inline hilum_rc hl_failure(hilum_rc code)
{
    if (code == HILUM_OK)
        __builtin_unreachable();
    return code;
}
#define hl_fail(...) hl_failure((hl_fail)(__VA_ARGS__))
#endif

/* Puts facts an upper layer knows before the recorded reason ("study 1.2.3: ..."). Returns code. */
hilum_rc hl_fail_in(hilum_rc code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last reason recorded on this thread; "" if none. Borrowed until the next hl_fail here. */
const char *hl_error(void);
/* The same if it was recorded with this code, else "": a failure that nobody gave a reason is not told another's. */
const char *hl_error_of(hilum_rc code);
/* Forgets the recorded reason, before calling code that may fail without recording one. */
void hl_error_clear(void);

/* errno as the nearest HILUM_E* (ENOSPC and EDQUOT: HILUM_EFULL; ENOENT: HILUM_ENOTFOUND; ...). */
hilum_rc hl_rc_from_errno(int number);

/* "HILUM_EFULL" for HILUM_EFULL; "HILUM_E?" for a value that is none. */
const char *hl_rc_name(hilum_rc code);

#endif
