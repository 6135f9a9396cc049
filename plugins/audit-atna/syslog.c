/* RFC 5424 as PS3.15 A.6 wants it. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "atna.h"

enum { PRIORITY = 10 * 8 + 5 /* security and authorization, notice */ };

/* MSGID "DICOM+RFC3881" and UTF-8 with a byte order mark are what PS3.15 A.6 asks for. The
 * time is the row's, not the sending's. */
void atna_frame(const char *host_name, int64_t at_us, const struct text *message, struct text *out)
{
    char head[400], at[32];
    struct tm day;
    time_t seconds = (time_t)(at_us / 1000000);
    gmtime_r(&seconds, &day);
    strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%S", &day);
    snprintf(head, sizeof head, "<%d>1 %s.%06dZ %.255s hilum %ld DICOM+RFC3881 - \xEF\xBB\xBF",
             PRIORITY, at, (int)(at_us % 1000000), host_name, (long)getpid());
    out->n = 0;
    out->is_cut = false;
    text_add(out, head);
    text_add(out, message->bytes);
}
