/* The reason of the last failure, one per thread, and the names of codes. It knows nothing of
 * who reads it. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A fixed line and not a buffer: recording a failure must not need memory, for that may be what
 * failed. */
static _Thread_local char reason[512];
static _Thread_local hilum_rc reason_of; /* the code it was recorded with */

hilum_rc(hl_fail)(hilum_rc code, const char *format, ...)
{
    /* Formatted aside first: an argument may be hl_error() itself. */
    char line[sizeof reason];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    memcpy(reason, line, sizeof reason);
    reason_of = code;
    return code;
}

hilum_rc hl_fail_in(hilum_rc code, const char *format, ...)
{
    char line[sizeof reason];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof line - 1)
        snprintf(line + n, sizeof line - (size_t)n, ": %s", reason);
    memcpy(reason, line, sizeof reason);
    reason_of = code;
    return code;
}

const char *hl_error(void)
{
    return reason;
}

const char *hl_error_of(hilum_rc code)
{
    return code == reason_of ? reason : "";
}

void hl_error_clear(void)
{
    reason[0] = '\0';
    reason_of = HILUM_OK;
}

hilum_rc hl_rc_from_errno(int number)
{
    switch (number) {
    case 0: return HILUM_OK;
    case ENOMEM: return HILUM_ENOMEM;
    case ENOENT: return HILUM_ENOTFOUND;
    case EEXIST: return HILUM_EEXISTS;
    case EAGAIN: return HILUM_EAGAIN;
    case EACCES:
    case EPERM:
    case EROFS: return HILUM_EDENIED;
    case ENOSPC:
    case EDQUOT: return HILUM_EFULL;
    case ETIMEDOUT: return HILUM_ETIMEDOUT;
    case EPIPE:
    case ECONNRESET: return HILUM_ECLOSED;
    case EINVAL: return HILUM_EINVAL;
    default: return HILUM_EIO;
    }
}

const char *hl_rc_name(hilum_rc code)
{
    static const struct {
        hilum_rc code;
        const char *name;
    } names[] = {
        {HILUM_OK, "HILUM_OK"},
        {HILUM_EINVAL, "HILUM_EINVAL"},
        {HILUM_ENOMEM, "HILUM_ENOMEM"},
        {HILUM_ENOTFOUND, "HILUM_ENOTFOUND"},
        {HILUM_EEXISTS, "HILUM_EEXISTS"},
        {HILUM_EIO, "HILUM_EIO"},
        {HILUM_EAGAIN, "HILUM_EAGAIN"},
        {HILUM_EDENIED, "HILUM_EDENIED"},
        {HILUM_ECORRUPT, "HILUM_ECORRUPT"},
        {HILUM_EUNSUP, "HILUM_EUNSUP"},
        {HILUM_ECANCELLED, "HILUM_ECANCELLED"},
        {HILUM_ETIMEDOUT, "HILUM_ETIMEDOUT"},
        {HILUM_EFULL, "HILUM_EFULL"},
        {HILUM_ECONFLICT, "HILUM_ECONFLICT"},
        {HILUM_ECLOSED, "HILUM_ECLOSED"},
        {HILUM_EINTERNAL, "HILUM_EINTERNAL"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "HILUM_E?";
}
