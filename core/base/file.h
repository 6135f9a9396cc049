/* Names of files that survive a power loss. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_FILE_H
#define HL_BASE_FILE_H

#include "hilum/abi.h"

/* An fsync of a directory: a file that is durable itself is lost when its name is not. Blocks; any thread. What the system
 * said, with the directory's name. */
hilum_rc hl_dir_sync(const char *path);
/* Of the directory that the file at `path` lies in. */
hilum_rc hl_parent_sync(const char *path);

#endif
