/* Bodies from memory made smaller. Speed before size: the answer is waited for. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* 15 + 16: the largest window, with a gzip head. Level 1, as with zstd. */
static void *gzip(const void *bytes, size_t n, size_t *out)
{
    z_stream stream = {0};
    if (n > UINT32_MAX / 2 ||
        deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    size_t bound = deflateBound(&stream, (uLong)n);
    uint8_t *small = malloc(bound);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)n;
    stream.next_out = small;
    stream.avail_out = (uInt)bound;
    int verdict = small != NULL ? deflate(&stream, Z_FINISH) : Z_MEM_ERROR;
    *out = stream.total_out;
    deflateEnd(&stream);
    if (verdict == Z_STREAM_END)
        return small;
    free(small);
    return NULL;
}

/* Level 1: the client waits, and JSON shrinks well at every level. */
static void *zstd(const void *bytes, size_t n, size_t *out)
{
    size_t bound = ZSTD_compressBound(n);
    void *small = malloc(bound);
    if (small == NULL)
        return NULL;
    *out = ZSTD_compress(small, bound, bytes, n, 1);
    if (!ZSTD_isError(*out))
        return small;
    free(small);
    return NULL;
}

/* What did not get smaller leaves as it is. */
void *http_compress(const char *coding, const void *bytes, size_t n, size_t *out)
{
    void *small = strcmp(coding, "zstd") == 0 ? zstd(bytes, n, out) : gzip(bytes, n, out);
    if (small != NULL && *out >= n) {
        free(small);
        return NULL;
    }
    return small;
}
