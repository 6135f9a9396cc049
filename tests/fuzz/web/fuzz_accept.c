/* Any text as an Accept header: every range is read once, qualities are in their bounds, a choice is one of the offers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "web.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct web_offer offers[] = {{NULL, "application/dicom", "1.2.840.10008.1.2.1"},
                                              {"application/dicom+json", NULL, NULL}};
    struct web_range range;
    size_t n = 0;
    char *text = malloc(size + 1);
    if (text == NULL)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (const char *p = text; web_range_next(&p, &range); n++)
        if (range.quality < 0 || range.quality > WEB_QUALITY_ONE || n > size)
            abort();
    int best = web_accept(text, offers, 2);
    if (best < -1 || best > 1)
        abort();
    free(text);
    return 0;
}
