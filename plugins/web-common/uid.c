/* SPDX-License-Identifier: Apache-2.0 */
#include "uid.h"

#include <string.h>

bool web_is_uid(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 64 && strspn(text, "0123456789.") == n;
}
