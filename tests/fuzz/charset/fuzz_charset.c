/* Any bytes in any declared set give valid UTF-8; what was read can be written and read again.
 * The first line of the input is the declaration. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/dicom/charset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct hl_buf *b)
{
    if (!hl_utf8_is_valid(hl_buf_str(b), b->len))
        abort();
}

/* Text that a set can say comes back as it was, unless it needed no more than guesses to be read. */
static void check_round_trip(const char *utf8, size_t n, const char *declared)
{
    struct hl_buf coded = {0}, again = {0};
    bool was_repaired = false;
    if (hl_charset_from_utf8(utf8, n, declared, &coded) == HILUM_OK) {
        hl_charset_to_utf8(hl_buf_str(&coded), coded.len, declared, NULL, &again, &was_repaired);
        check(&again);
    }
    hl_buf_fini(&coded);
    hl_buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const repairs[] = {NULL, "GB18030", "GBK", "latin1"};
    const uint8_t *line = size ? memchr(data, '\n', size) : NULL;
    if (!line || line - data > 200)
        return 0;
    char declared[256] = "";
    memcpy(declared, data, (size_t)(line - data));
    const char *text = (const char *)line + 1;
    size_t n = size - (size_t)(line - data) - 1;
    for (size_t i = 0; i < sizeof repairs / sizeof repairs[0]; i++) {
        struct hl_buf out = {0};
        if (hl_charset_to_utf8(text, n, declared, repairs[i], &out, NULL) != HILUM_OK)
            abort();
        check(&out);
        check_round_trip(hl_buf_str(&out), out.len, declared);
        hl_buf_fini(&out);
    }
    struct hl_buf folded = {0};
    if (hl_utf8_is_valid(text, n) && !memchr(text, 0, n)) {
        char *copy = strndup(text, n);
        hl_text_fold(copy, &folded);
        hl_text_bigrams(copy, &folded);
        hl_text_pinyin(copy, &folded);
        hl_text_same_name(copy, declared);
        free(copy);
        check(&folded);
    }
    hl_buf_fini(&folded);
    return 0;
}
