/* `where` from anywhere, matched against an event made of the same bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/bus/bus.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Before the first newline: the condition; after it: the value of the field "a". */
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t length = newline ? (size_t)(newline - data) : size;
    char *where_text = strndup((const char *)data, length);
    char *value = newline ? strndup((const char *)newline + 1, size - length - 1) : strdup("1");
    struct hl_where *where = NULL;
    if (where_text && value && hl_where_parse(where_text, &where) == HILUM_OK) {
        hilum_event *event = hl_event_new("demo.made");
        if (event) {
            hl_event_set_text(event, "a", value);
            hl_event_set_int(event, "n", (int64_t)size);
            bool first = hl_where_match(where, event);
            if (first != hl_where_match(where, event))
                abort(); /* matching changes nothing */
        }
        hl_event_free(event);
    }
    hl_where_free(where);
    free(where_text);
    free(value);
    return 0;
}
