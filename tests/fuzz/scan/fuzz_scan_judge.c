/* Arbitrary bytes: where the header scan finds nothing to remark and DCMTK takes them too, both must
 * see the same elements. The first byte picks the syntax. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "core/dicom/uid.h"
#include "tests/fuzz/scan/judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const syntaxes[] = {
    HL_UID_EXPLICIT_LITTLE_ENDIAN, HL_UID_IMPLICIT_LITTLE_ENDIAN, HL_UID_EXPLICIT_BIG_ENDIAN,
    HL_UID_DEFLATED_LITTLE_ENDIAN, HL_UID_JPEG_BASELINE,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const char *syntax = syntaxes[data[0] % (sizeof syntaxes / sizeof syntaxes[0])];
    struct hl_scan *scan;
    struct hl_dataset *dataset = NULL;
    if (hl_scan_new(syntax, NULL, &scan) != HILUM_OK)
        abort();
    hilum_rc rc = hl_scan_feed(scan, data + 2, size - 2);
    if (rc == HILUM_OK)
        rc = hl_scan_end(scan);
    hilum_rc judged = hl_dataset_parse(data + 2, size - 2, syntax, &dataset);
    if (rc == HILUM_OK && judged == HILUM_OK && hl_scan_remarks(scan) == 0) {
        const char *verdict = judge(scan, dataset);
        if (verdict[0]) {
            fprintf(stderr, "%s\n", verdict);
            abort();
        }
    }
    hl_dataset_free(dataset);
    hl_scan_free(scan);
    return 0;
}
