/* Any bytes as a request's path, query, Range, If-None-Match and Accept-Encoding: what is taken stays within its bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (text == NULL)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void try_path(const uint8_t *data, size_t size)
{
    const char *segments[HTTP_SEGMENTS];
    unsigned n = 0;
    char *path = text_of(data, size);
    if (http_path_split(path, segments, &n)) {
        if (n > HTTP_SEGMENTS)
            abort();
        for (unsigned i = 0; i < n; i++)
            if (strcmp(segments[i], "..") == 0 || strcmp(segments[i], ".") == 0 ||
                strchr(segments[i], '/') != NULL)
                abort();
    }
    free(path);
}

static void try_query(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    ptrdiff_t n = http_decode(text, strlen(text), true);
    if (n > (ptrdiff_t)size || (n > 0 && memchr(text, '\0', (size_t)n) != NULL))
        abort();
    free(text);
}

static void try_range(const char *text, uint64_t total)
{
    uint64_t first = 0, length = 0;
    int verdict = http_range(text, total, &first, &length);
    if (verdict == 1 && (length == 0 || first >= total || length > total - first))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    try_path(data, size);
    try_query(data, size);
    try_range(text, 0);
    try_range(text, 1000);
    try_range(text, UINT64_MAX);
    (void)http_etag_matches(text, "\"abc\"");
    int quality = http_accepts_coding(text, "gzip");
    if (quality < 0 || quality > 1000)
        abort();
    (void)http_is_host(text);
    (void)http_is_field_value(text);
    free(text);
    return 0;
}
