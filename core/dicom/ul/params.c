/* Negotiated facts as memory: copy and free; results and reasons in words. It knows no byte of a
 * PDU. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* User identity can be a passcode or a token. */
static void free_secret(uint8_t *bytes, size_t n)
{
    if (bytes)
        explicit_bzero(bytes, n);
    free(bytes);
}

/* Of both sides, also half filled; all is zero afterwards, so twice is fine. */
void hl_ul_params_fini(struct hl_ul_params *params)
{
    for (size_t i = 0; i < params->n_contexts; i++)
        free(params->contexts[i].transfer_syntaxes);
    for (size_t i = 0; i < params->n_extended; i++)
        free(params->extended[i].info);
    free(params->contexts);
    free(params->extended);
    free_secret(params->identity.primary, params->identity.primary_length);
    free_secret(params->identity.secondary, params->identity.secondary_length);
    free_secret(params->identity.response, params->identity.response_length);
    memset(params, 0, sizeof *params);
}

/* Never NULL for want of bytes: n may be 0, and the byte behind is a NUL. */
static void *copy_bytes(const void *bytes, size_t n)
{
    uint8_t *copy = calloc(1, n + 1);
    if (copy && n)
        memcpy(copy, bytes, n);
    return copy;
}

/* Results start as refused: what an answer does not mention was not accepted. */
static bool copy_contexts(const struct hl_ul_params *from, struct hl_ul_params *out)
{
    out->contexts = calloc(from->n_contexts + 1u, sizeof *out->contexts);
    for (; out->contexts && out->n_contexts < from->n_contexts; out->n_contexts++) {
        const struct hl_ul_context *source = &from->contexts[out->n_contexts];
        struct hl_ul_context *context = &out->contexts[out->n_contexts];
        *context = *source;
        context->transfer_syntaxes = copy_bytes(
            source->transfer_syntaxes, source->n_transfer_syntaxes * sizeof(char[HL_UID_MAX]));
        context->transfer_syntax[0] = 0;
        context->result = HL_UL_NO_REASON;
        if (!context->transfer_syntaxes)
            return false;
    }
    return out->contexts;
}

static bool copy_extended(const struct hl_ul_params *from, struct hl_ul_params *out)
{
    out->extended = calloc(from->n_extended + 1u, sizeof *out->extended);
    for (; out->extended && out->n_extended < from->n_extended; out->n_extended++) {
        struct hl_ul_extended *extended = &out->extended[out->n_extended];
        *extended = from->extended[out->n_extended];
        extended->info = copy_bytes(extended->info, extended->length);
        if (!extended->info)
            return false;
    }
    return out->extended;
}

hilum_rc hl_ul_params_copy(const struct hl_ul_params *from, struct hl_ul_params *out)
{
    *out = *from;
    out->contexts = NULL;
    out->extended = NULL;
    out->n_contexts = out->n_extended = 0;
    /* The secret goes out in the A-ASSOCIATE-RQ and is not kept. */
    out->identity = (struct hl_ul_identity){.type = from->identity.type,
                                            .wants_response = from->identity.wants_response};
    if (copy_contexts(from, out) && copy_extended(from, out))
        return HILUM_OK;
    hl_ul_params_fini(out);
    return hl_fail(HILUM_ENOMEM, "association proposal: out of memory");
}

/* The tables of PS3.8 9.3.4 and 9.3.8; a row without text ends one. */
struct words {
    uint8_t source, reason;
    const char *text;
};

/* Codes of a foreign peer may be any byte. */
static const char *look_up(const struct words *words, uint8_t source, uint8_t reason)
{
    for (; words->text; words++)
        if (words->source == source && words->reason == reason)
            return words->text;
    return "reason not known";
}

void hl_ul_reject_text(const struct hl_ul_reject *reject, char *out, size_t size)
{
    static const struct words words[] = {
        {1, 1, "no reason given"},
        {1, 2, "application context name not supported"},
        {1, 3, "calling AE title not recognized"},
        {1, 7, "called AE title not recognized"},
        {2, 1, "no reason given"},
        {2, 2, "protocol version not supported"},
        {3, 1, "temporary congestion"},
        {3, 2, "local limit exceeded"},
        {0, 0, NULL},
    };
    static const char *const sources[] = {"unknown source", "service user",
                                          "service provider (ACSE)",
                                          "service provider (presentation)"};
    snprintf(out, size, "rejected %s by the %s: %s (%u/%u/%u)",
             reject->result == 2 ? "for now" : "permanently",
             sources[reject->source <= 3 ? reject->source : 0],
             look_up(words, reject->source, reject->reason), reject->result, reject->source,
             reject->reason);
}

void hl_ul_abort_text(uint8_t source, uint8_t reason, char *out, size_t size)
{
    static const struct words words[] = {
        {2, 0, "reason not specified"},
        {2, 1, "unrecognized PDU"},
        {2, 2, "unexpected PDU"},
        {2, 4, "unrecognized PDU parameter"},
        {2, 5, "unexpected PDU parameter"},
        {2, 6, "invalid PDU parameter value"},
        {0, 0, NULL},
    };
    if (source == HL_ABORT_BY_PROVIDER)
        snprintf(out, size, "service provider, %s (%u/%u)", look_up(words, source, reason), source,
                 reason);
    else
        snprintf(out, size, "service user (%u/%u)", source, reason);
}
