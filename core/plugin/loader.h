/* Opening a shared object, in the server and in a worker. It knows nothing of what is inside but the name of the
 * entry. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_LOADER_H
#define HL_PLUGIN_LOADER_H

#include "hilum/plugin.h"

typedef const struct hilum_plugin *(*hl_plugin_entry)(uint16_t host_major, uint16_t host_minor);

/* May this file be opened: a regular file that root or we own and nobody else can write, in
 * folders nobody else can write? Looks only. HILUM_EDENIED: owner or mode; HILUM_EINVAL,
 * HILUM_ENOTFOUND. Any thread. */
hilum_rc hl_loader_check_file(const char *path);
/* Maps it for good, local to itself, and finds its entry; constructors of the object run.
 * HILUM_EINVAL with the system loader's reason. Any thread, one after the other. */
hilum_rc hl_loader_open(const char *path, hl_plugin_entry *out);

#endif
