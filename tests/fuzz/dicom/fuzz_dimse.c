/* Command sets from strangers: whatever parses must survive a trip through the encoder.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/dicom/dimse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(bool holds)
{
    if (!holds)
        abort();
}

static void check_terminated(const struct hl_dimse *message)
{
    check(memchr(message->sop_class, 0, sizeof message->sop_class));
    check(memchr(message->sop_instance, 0, sizeof message->sop_instance));
    check(memchr(message->move_destination, 0, sizeof message->move_destination));
    check(memchr(message->originator_aet, 0, sizeof message->originator_aet));
    check(memchr(message->comment, 0, sizeof message->comment));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct hl_dimse first, second;
    if (hl_dimse_parse(bytes, n, &first))
        return 0;
    check_terminated(&first);
    struct hl_buf out = {0};
    hl_dimse_encode(&first, &out);
    check(!out.failed);
    check(hl_dimse_parse((const uint8_t *)out.data, out.len, &second) == HILUM_OK);
    check(second.command_field == first.command_field);
    check(second.has_dataset == first.has_dataset);
    hl_buf_fini(&out);
    return 0;
}
