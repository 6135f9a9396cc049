/* Where the plugin's own files lie. SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* Made on every use, not at the start: an administrator may empty the folder under a running
 * server. Nothing in it is the only copy of anything. */
hilum_rc web_folder(const struct web *web, const char *inner, char *out, size_t size)
{
    char why[200];
    int n = snprintf(out, size, "%s/web-dicomweb", web->host->data_dir(web->self));
    size_t at = (size_t)n;
    bool is_made = at + strlen(inner) + 2 < size && (mkdir(out, 0700) == 0 || errno == EEXIST);
    if (is_made && *inner != '\0') {
        snprintf(out + at, size - at, "/%s", inner);
        is_made = mkdir(out, 0700) == 0 || errno == EEXIST;
    }
    if (is_made)
        return HILUM_OK;
    snprintf(why, sizeof why, "the folder web-dicomweb/%s of the data directory: %s", inner,
             at + strlen(inner) + 2 < size ? strerror(errno) : "its name is too long");
    return web->host->fail(web->self, HILUM_EIO, why);
}
