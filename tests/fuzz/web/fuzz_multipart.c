/* Any bytes as a multipart body: in pieces of any size it is taken apart as in one piece, and parts end as often as
 * they begin but for the last. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    unsigned begun, ended;
};

static void mix(struct seen *seen, const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        seen->hash = (seen->hash ^ (uint8_t)bytes[i]) * UINT64_C(0x100000001B3);
}

static hilum_rc on_begin(void *arg, const struct web_part_head *head)
{
    struct seen *seen = arg;
    if (seen->begun++ != seen->ended)
        abort();
    mix(seen, head->type, strlen(head->type) + 1);
    mix(seen, head->location, strlen(head->location) + 1);
    return HILUM_OK;
}

static hilum_rc on_data(void *arg, const void *bytes, size_t n)
{
    mix(arg, bytes, n);
    return HILUM_OK;
}

static hilum_rc on_end(void *arg)
{
    struct seen *seen = arg;
    if (++seen->ended != seen->begun)
        abort();
    mix(seen, "\n", 1);
    return HILUM_OK;
}

/* Bodies are compared where both were understood: what is refused may be refused earlier or later. */
static hilum_rc run(struct web_multipart *multipart, const uint8_t *data, size_t size, size_t step,
                    struct seen *seen)
{
    const struct web_multipart_calls calls = {on_begin, on_data, on_end, seen};
    hilum_rc rc = HILUM_OK;
    if (!web_multipart_init(multipart, "multipart/related; boundary=\"B\"", &calls))
        abort();
    for (size_t at = 0, n = 0; rc == HILUM_OK && at < size; at += n) {
        char *room = web_multipart_room(multipart, &n);
        if (n == 0)
            abort();
        n = n < step ? n : step;
        n = n < size - at ? n : size - at;
        memcpy(room, data + at, n);
        rc = web_multipart_put(multipart, n);
    }
    if (rc == HILUM_OK && web_multipart_is_whole(multipart) && seen->ended != seen->begun)
        abort();
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seen whole = {0}, pieces = {0};
    struct web_multipart *multipart = malloc(sizeof *multipart);
    if (multipart == NULL || size == 0) {
        free(multipart);
        return 0;
    }
    size_t step = 1 + data[0] % 16;
    hilum_rc first = run(multipart, data + 1, size - 1, SIZE_MAX, &whole);
    hilum_rc second = run(multipart, data + 1, size - 1, step, &pieces);
    if (first == HILUM_OK && second == HILUM_OK && web_multipart_is_whole(multipart) &&
        (whole.hash != pieces.hash || whole.ended != pieces.ended))
        abort();
    free(multipart);
    return 0;
}
