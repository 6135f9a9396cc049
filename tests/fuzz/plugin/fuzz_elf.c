/* A shared object is read before it is opened, by hand: any bytes give a verdict and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/plugin/host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void *aligned = malloc(size ? size : 1);
    if (!aligned)
        return 0;
    if (size)
        memcpy(aligned, data, size);
    hl_elf_check_bytes("fuzz.so", aligned, size);
    free(aligned);
    return 0;
}
