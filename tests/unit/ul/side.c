/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/side.h"

static void tell_bytes(const char *what, const uint8_t *bytes, size_t n, struct hl_buf *out)
{
    hl_buf_printf(out, " %s=", what);
    for (size_t i = 0; i < n; i++)
        hl_buf_printf(out, "%02x", bytes[i]);
}

static void tell_roles(const struct hl_ul_context *context, struct hl_buf *out)
{
    if (context->has_roles)
        hl_buf_printf(out, " scu=%d scp=%d", context->scu_role, context->scp_role);
}

static void tell_extended(const struct hl_ul_params *params, struct hl_buf *out)
{
    for (size_t i = 0; i < params->n_extended; i++) {
        hl_buf_printf(out, "extended %s", params->extended[i].sop_class);
        tell_bytes("info", params->extended[i].info, params->extended[i].length, out);
        hl_buf_text(out, "\n");
    }
}

void side_tell_proposal(const struct hl_ul_params *params, struct hl_buf *out)
{
    const struct hl_ul_identity *identity = &params->identity;
    hl_buf_printf(out, "\"%s\" calls \"%s\" and takes %u\n", params->calling_aet,
                  params->called_aet, params->max_pdu);
    for (size_t i = 0; i < params->n_contexts; i++) {
        const struct hl_ul_context *context = &params->contexts[i];
        hl_buf_printf(out, "context %u %s", context->id, context->abstract_syntax);
        tell_roles(context, out);
        for (size_t k = 0; k < context->n_transfer_syntaxes; k++)
            hl_buf_printf(out, " %s", context->transfer_syntaxes[k]);
        hl_buf_text(out, "\n");
    }
    tell_extended(params, out);
    if (identity->type) {
        hl_buf_printf(out, "identity %u response=%d", identity->type, identity->wants_response);
        tell_bytes("primary", identity->primary, identity->primary_length, out);
        tell_bytes("secondary", identity->secondary, identity->secondary_length, out);
        hl_buf_text(out, "\n");
    }
}

void side_tell_answer(const struct hl_ul_params *params, struct hl_buf *out)
{
    const struct hl_ul_identity *identity = &params->identity;
    hl_buf_printf(out, "answered by one who takes %u\n", params->max_pdu);
    for (size_t i = 0; i < params->n_contexts; i++) {
        const struct hl_ul_context *context = &params->contexts[i];
        hl_buf_printf(out, "context %u", context->id);
        if (context->result == HL_UL_ACCEPTED) {
            hl_buf_printf(out, " accepted in %s", context->transfer_syntax);
            tell_roles(context, out);
        } else {
            hl_buf_printf(out, " refused %u", context->result);
        }
        hl_buf_text(out, "\n");
    }
    tell_extended(params, out);
    if (identity->response) {
        hl_buf_text(out, "identity");
        tell_bytes("response", identity->response, identity->response_length, out);
        hl_buf_text(out, "\n");
    }
}

void side_tell_reject(const struct hl_ul_reject *reject, struct hl_buf *out)
{
    hl_buf_printf(out, "rejected %u/%u/%u\n", reject->result, reject->source, reject->reason);
}

/* FNV-1a: a difference in one byte shows. */
void side_tell_part(uint8_t context, bool is_command, const struct hl_buf *bytes,
                    struct hl_buf *out)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; i < bytes->len; i++)
        hash = (hash ^ (uint8_t)bytes->data[i]) * 0x100000001b3;
    hl_buf_printf(out, "context %u: %s of %zu bytes, %016llx\n", context,
                  is_command ? "command" : "data set", bytes->len, (unsigned long long)hash);
}

void side_tell_end(const char *end, struct hl_buf *out)
{
    hl_buf_printf(out, "%s\n", end);
}

void side_fill(struct hl_buf *out, size_t n, unsigned seed)
{
    uint32_t state = seed * 2654435761u + 1;
    hl_buf_clear(out);
    if (!hl_buf_reserve(out, n))
        return;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        out->data[i] = (char)(state >> 24);
    }
    out->len = n;
}
