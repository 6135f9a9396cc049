/* A-ASSOCIATE bodies from strangers: as a request, as an answer to a proposal, as either; what is
 * accepted must survive being encoded and parsed again. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/ul/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse_again(const struct hl_ul_params *params)
{
    struct hl_ul_params again;
    struct hl_buf pdu = {0};
    hl_ul_encode_rq(params, 16384, &pdu);
    if (!pdu.failed) {
        const uint8_t *body = (const uint8_t *)pdu.data + HL_UL_HEAD;
        if (hl_ul_parse_associate(body, pdu.len - HL_UL_HEAD, &again))
            abort();
        if (again.n_contexts != params->n_contexts || again.n_extended != params->n_extended)
            abort();
        hl_ul_params_fini(&again);
    }
    hl_buf_fini(&pdu);
}

static void as_request(const uint8_t *data, size_t size)
{
    struct hl_ul_params params;
    struct hl_ul_reject reject = {0};
    struct hl_buf pdu = {0};
    if (hl_ul_parse_rq(data, size, &params, &reject))
        return;
    if (!reject.result)
        parse_again(&params);
    hl_ul_encode_ac(&params, NULL, 0, &pdu);
    hl_buf_fini(&pdu);
    hl_ul_params_fini(&params);
}

static void as_answer(const uint8_t *data, size_t size)
{
    static char syntaxes[1][HL_UID_MAX] = {"1.2.840.10008.1.2"};
    struct hl_ul_context contexts[] = {
        {.id = 1,
         .abstract_syntax = "1.2.3",
         .transfer_syntaxes = syntaxes,
         .n_transfer_syntaxes = 1},
        {.id = 3,
         .abstract_syntax = "1.2.4",
         .transfer_syntaxes = syntaxes,
         .n_transfer_syntaxes = 1},
    };
    const struct hl_ul_params proposal = {.contexts = contexts, .n_contexts = 2};
    struct hl_ul_params params;
    if (hl_ul_params_copy(&proposal, &params))
        return;
    (void)hl_ul_parse_ac(data, size, &params);
    hl_ul_params_fini(&params);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hl_ul_params params;
    as_request(data, size);
    as_answer(data, size);
    if (hl_ul_parse_associate(data, size, &params) == HILUM_OK)
        hl_ul_params_fini(&params);
    return 0;
}
