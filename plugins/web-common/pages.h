/* What plugins that serve pages have in common: where their bundle lies, and texts for a page.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef PLUGIN_WEB_PAGES_H
#define PLUGIN_WEB_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "hilum/host.h"

enum { PAGES_PATH_MAX = 1024 };

/* The directory of a plugin's bundle: `configured`, or where that is empty LIBDIR/hilum/web/<id>, beside the plugins'
 * directory this code was loaded from. False: the path is too long. */
bool pages_root(const char *configured, const char *id, char out[PAGES_PATH_MAX]);
/* Says in the log, with advice, where there is no index.html below root: at the start of a plugin. */
void pages_look(const struct hilum_host *host, hilum_self *self, const char *root,
                const char *advice);
/* A whole small file with each `mark` replaced by `with`. NULL: it is not there, larger than 256 KiB, or there is no
 * memory. Free with free(). */
char *pages_template(const char *root, const char *name, const char *mark, const char *with,
                     size_t *n);
/* As the text of a JSON or JavaScript string, without quotes: also for a <script> element. False: does not fit. */
bool pages_quote(const char *text, char *out, size_t size);

#endif
