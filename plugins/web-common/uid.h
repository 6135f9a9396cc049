/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WEB_COMMON_UID_H
#define WEB_COMMON_UID_H

#include <stdbool.h>

/* Is it a UID (PS3.5 9.1), as far as a path or a query can tell? Nothing else goes into URLs
 * and names of files. By characters and length (PS3.5 9.1); components with a leading zero, or
 * empty, are met in practice and let through. */
bool web_is_uid(const char *text);

#endif
