/* Any bytes as metadata of a STOW-RS, JSON or XML: what is understood is written as a file whose sequences end, or a reason is
 * told. SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "stow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *vr_of(uint32_t tag)
{
    return tag % 3 == 0 ? "LO" : "UN";
}

static hilum_rc count(void *arg, const void *bytes, uint64_t n)
{
    uint64_t *total = arg;
    if (bytes == NULL || n == 0)
        abort();
    *total += n;
    return HILUM_OK;
}

static void encode(const json_t *attributes)
{
    static const struct hilum_dicom_api dicom = {.size = sizeof dicom, .vr = vr_of};
    static struct web_encode encoder;
    struct web_spool spool = {0};
    uint64_t total = 0;
    encoder = (struct web_encode){.dicom = &dicom, .spool = &spool, .write = count, .arg = &total};
    hilum_rc rc = web_encode(&encoder, attributes);
    if (rc == HILUM_OK ? total < 132 || encoder.why != NULL : encoder.why == NULL)
        abort();
    if (encoder.depth != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    bool is_xml = size > 0 && data[0] == '<';
    json_t *read = is_xml ? web_model_read((const char *)data, size, &why)
                          : json_loadb((const char *)data, size, 0, NULL);
    if (is_xml && (read == NULL) != (why != NULL))
        abort();
    if (read != NULL)
        encode(json_is_array(read) ? json_array_get(read, 0) : read);
    json_decref(read);
    return 0;
}
