/* Under AddressSanitizer only: whose code it was that a report is about. A library that hands memset what lies past its own
 * memory is why it is in a worker, and costs one call; the same from our own code is a defect, which fuzzers are to find. The
 * server tells the first line that says something; this is it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/worker/filter.h"

#if HL_IS_SANITIZED
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <unwind.h>

/* The nearest to the report that is neither the sanitiser nor this program, which holds it where it is linked in. */
struct culprit {
    const void *program;
    const char *file;
};

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *arg)
{
    struct culprit *culprit = arg;
    Dl_info place;
    const void *pc = (const void *)_Unwind_GetIP(context); // NOLINT(performance-no-int-to-ptr)
    if (dladdr(pc, &place) == 0 || !place.dli_fname || place.dli_fbase == culprit->program ||
        strstr(place.dli_fname, "/libasan"))
        return _URC_NO_REASON;
    culprit->file = place.dli_fname;
    return _URC_NORMAL_STOP;
}

/* Called before the report is written, on the thread that it is about. */
__attribute__((visibility("default"))) void __asan_on_error(void);
void __asan_on_error(void)
{
    struct culprit culprit = {NULL, "this program"};
    Dl_info place;
    if (dladdr((const void *)&step, &place) != 0)
        culprit.program = place.dli_fbase;
    _Unwind_Backtrace(step, &culprit);
    const char *slash = strrchr(culprit.file, '/');
    dprintf(STDERR_FILENO, "AddressSanitizer on %s\n", slash ? slash + 1 : culprit.file);
}
#else
typedef int nothing_without_sanitisers; /* a source has to declare something */
#endif
