/* Text that grows as it is made. SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdlib.h>

/* Failure sticks and is asked for once, at the end: callers that put a hundred pieces together
 * have one place to check. */
void web_text_add(struct web_text *text, const char *bytes, size_t n)
{
    if (n > text->cap - text->n) {
        size_t cap = 2 * (text->n + n) + 256;
        char *grown = realloc(text->bytes, cap);
        if (grown == NULL) {
            text->failed = true;
            return;
        }
        text->bytes = grown;
        text->cap = cap;
    }
    if (n > 0)
        memcpy(text->bytes + text->n, bytes, n);
    text->n += n;
}

hilum_rc web_text_write(void *text, const void *bytes, uint64_t n)
{
    struct web_text *out = text;
    web_text_add(out, bytes, (size_t)n);
    return out->failed ? HILUM_ENOMEM : HILUM_OK;
}

void web_text_put(struct web_text *text, const char *words)
{
    web_text_add(text, words, strlen(words));
}

void web_text_fini(struct web_text *text)
{
    free(text->bytes);
    *text = (struct web_text){0};
}
