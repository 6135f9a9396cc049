/* PDUs as bytes: A-ASSOCIATE-RQ and -AC (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3) and the 10-byte ones.
 * It knows no socket.
 *
 * A buffer that could not grow, or an item over 64 KiB, leaves `failed` set in `out`; the caller
 * looks once at the end. It trusts its input: params come from our own code or from parse.c.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/ul/internal.h"
#include "core/dicom/ul/items.h"
#include "core/dicom/uid.h"

#include <string.h>

static void add16(struct hl_buf *out, size_t value)
{
    hl_buf_byte(out, (uint8_t)(value >> 8));
    hl_buf_byte(out, (uint8_t)value);
}

static void add32(struct hl_buf *out, uint32_t value)
{
    add16(out, value >> 16);
    add16(out, value & 0xffff);
}

/* Items carry their length before their contents: begun with room for it, filled in at the end. */
static size_t item_begin(struct hl_buf *out, uint8_t type)
{
    hl_buf_byte(out, type);
    hl_buf_byte(out, 0);
    add16(out, 0);
    return out->len;
}

static void item_end(struct hl_buf *out, size_t start)
{
    size_t n = out->len - start;
    if (out->failed)
        return;
    if (n > UINT16_MAX) {
        out->failed = true;
        return;
    }
    out->data[start - 2] = (char)(n >> 8);
    out->data[start - 1] = (char)n;
}

static void text_item(struct hl_buf *out, uint8_t type, const char *text)
{
    size_t start = item_begin(out, type);
    hl_buf_text(out, text);
    item_end(out, start);
}

/* User items carry text behind a 2-byte length of its own (PS3.7 D.3.3). */
static void sized_text(struct hl_buf *out, const char *text)
{
    add16(out, strlen(text));
    hl_buf_text(out, text);
}

static void sized_bytes(struct hl_buf *out, const uint8_t *bytes, size_t n)
{
    add16(out, n);
    hl_buf_add(out, bytes, n);
}

/* PS3.8 9.3.2: 16 bytes, padded with spaces. */
static void ae_title(struct hl_buf *out, const char *title)
{
    char padded[16];
    size_t n = strnlen(title, sizeof padded);
    memset(padded, ' ', sizeof padded);
    memcpy(padded, title, n);
    hl_buf_add(out, padded, sizeof padded);
}

/* Reserved bytes of the request come back unchanged in the answer, as PS3.8 9.3.3 wants. */
static void associate_begin(struct hl_buf *out, uint8_t type, const struct hl_ul_params *params,
                            const uint8_t *mirror)
{
    static const uint8_t reserved[32];
    hl_buf_byte(out, type);
    hl_buf_byte(out, 0);
    add32(out, 0);
    add16(out, 1); /* protocol version: bit 0 */
    add16(out, 0);
    if (mirror) {
        hl_buf_add(out, mirror, HL_UL_MIRROR);
    } else {
        ae_title(out, params->called_aet);
        ae_title(out, params->calling_aet);
        hl_buf_add(out, reserved, sizeof reserved);
    }
    text_item(out, HL_ITEM_APPLICATION_CONTEXT, HL_UID_APPLICATION_CONTEXT);
}

/* The PDU's length, known only now. */
static void associate_end(struct hl_buf *out)
{
    if (!out->failed)
        hl_ul_put32((uint8_t *)out->data + 2, (uint32_t)out->len - HL_UL_HEAD);
}

/* An abstract syntax once, its transfer syntaxes in order of preference. */
static void context_rq(struct hl_buf *out, const struct hl_ul_context *context)
{
    size_t start = item_begin(out, HL_ITEM_CONTEXT_RQ);
    hl_buf_byte(out, context->id);
    hl_buf_add(out, "\0\0", 3);
    text_item(out, HL_ITEM_ABSTRACT_SYNTAX, context->abstract_syntax);
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++)
        text_item(out, HL_ITEM_TRANSFER_SYNTAX, context->transfer_syntaxes[i]);
    item_end(out, start);
}

/* A refused context still needs a transfer syntax item; its value is not significant (9.3.3.2). */
static const char *answered_syntax(const struct hl_ul_context *context)
{
    if (context->transfer_syntax[0])
        return context->transfer_syntax;
    return context->n_transfer_syntaxes ? context->transfer_syntaxes[0] : "";
}

static void context_ac(struct hl_buf *out, const struct hl_ul_context *context)
{
    size_t start = item_begin(out, HL_ITEM_CONTEXT_AC);
    hl_buf_byte(out, context->id);
    hl_buf_byte(out, 0);
    hl_buf_byte(out, context->result);
    hl_buf_byte(out, 0);
    text_item(out, HL_ITEM_TRANSFER_SYNTAX, answered_syntax(context));
    item_end(out, start);
}

/* PS3.8 D.1 and PS3.7 D.3.3.2: mandatory in both directions. */
static void common_user_items(struct hl_buf *out, uint32_t max_pdu)
{
    size_t start = item_begin(out, HL_ITEM_MAX_LENGTH);
    add32(out, max_pdu);
    item_end(out, start);
    text_item(out, HL_ITEM_IMPLEMENTATION_CLASS, HL_UL_IMPLEMENTATION_CLASS);
}

/* Operations window, PS3.7 D.3.3.3.1: 0 is "unlimited", 1 is what everybody does who says
 * nothing. */
static void async_item(struct hl_buf *out, uint16_t invoked, uint16_t performed)
{
    size_t start = item_begin(out, HL_ITEM_ASYNC_WINDOW);
    add16(out, invoked);
    add16(out, performed);
    item_end(out, start);
}

/* Has no earlier context of the same abstract syntax told its roles? */
static bool is_first_of_its_class(const struct hl_ul_params *params, size_t index)
{
    const char *abstract_syntax = params->contexts[index].abstract_syntax;
    for (size_t i = 0; i < index; i++)
        if (params->contexts[i].has_roles &&
            strcmp(params->contexts[i].abstract_syntax, abstract_syntax) == 0)
            return false;
    return true;
}

/* One item an abstract syntax, however many contexts carry it (PS3.7 D.3.3.4). */
static void role_items(struct hl_buf *out, const struct hl_ul_params *params)
{
    for (size_t i = 0; i < params->n_contexts; i++) {
        const struct hl_ul_context *context = &params->contexts[i];
        if (!context->has_roles || !is_first_of_its_class(params, i))
            continue;
        size_t start = item_begin(out, HL_ITEM_ROLES);
        sized_text(out, context->abstract_syntax);
        hl_buf_byte(out, context->scu_role);
        hl_buf_byte(out, context->scp_role);
        item_end(out, start);
    }
}

static void extended_item(struct hl_buf *out, const struct hl_ul_extended *extended)
{
    size_t start = item_begin(out, HL_ITEM_EXTENDED);
    sized_text(out, extended->sop_class);
    hl_buf_add(out, extended->info, extended->length);
    item_end(out, start);
}

/* Zero lengths stay in place: the item has no optional part (PS3.7 D.3.3.7.1). */
static void identity_rq(struct hl_buf *out, const struct hl_ul_identity *identity)
{
    size_t start = item_begin(out, HL_ITEM_IDENTITY_RQ);
    hl_buf_byte(out, identity->type);
    hl_buf_byte(out, identity->wants_response);
    sized_bytes(out, identity->primary, identity->primary_length);
    sized_bytes(out, identity->secondary, identity->secondary_length);
    item_end(out, start);
}

/* PS3.7 D.3.3.7.2: the server's response, for the types that have one. */
static void identity_ac(struct hl_buf *out, const struct hl_ul_identity *identity)
{
    size_t start = item_begin(out, HL_ITEM_IDENTITY_AC);
    sized_bytes(out, identity->response, identity->response_length);
    item_end(out, start);
}

/* Encoders build whole PDUs into memory: they are kilobytes, and sent in one write. */
void hl_ul_encode_rq(const struct hl_ul_params *params, uint32_t max_pdu, struct hl_buf *out)
{
    hl_buf_clear(out);
    associate_begin(out, HL_PDU_ASSOCIATE_RQ, params, NULL);
    for (size_t i = 0; i < params->n_contexts; i++)
        context_rq(out, &params->contexts[i]);
    size_t start = item_begin(out, HL_ITEM_USER_INFORMATION);
    common_user_items(out, max_pdu);
    if (params->async_invoked || params->async_performed)
        async_item(out, params->async_invoked, params->async_performed);
    role_items(out, params);
    text_item(out, HL_ITEM_IMPLEMENTATION_VERSION, HL_UL_IMPLEMENTATION_VERSION);
    for (size_t i = 0; i < params->n_extended; i++)
        extended_item(out, &params->extended[i]);
    if (params->identity.type)
        identity_rq(out, &params->identity);
    item_end(out, start);
    associate_end(out);
}

void hl_ul_encode_ac(const struct hl_ul_params *params, const uint8_t *mirror, uint32_t max_pdu,
                     struct hl_buf *out)
{
    hl_buf_clear(out);
    associate_begin(out, HL_PDU_ASSOCIATE_AC, params, mirror);
    for (size_t i = 0; i < params->n_contexts; i++)
        context_ac(out, &params->contexts[i]);
    size_t start = item_begin(out, HL_ITEM_USER_INFORMATION);
    common_user_items(out, max_pdu);
    /* Operations run one at a time; saying so is only allowed when asked (PS3.7 D.3.3.3). */
    if (params->async_invoked || params->async_performed)
        async_item(out, 1, 1);
    role_items(out, params);
    text_item(out, HL_ITEM_IMPLEMENTATION_VERSION, HL_UL_IMPLEMENTATION_VERSION);
    for (size_t i = 0; i < params->n_extended; i++)
        if (params->extended[i].is_accepted)
            extended_item(out, &params->extended[i]);
    if (params->identity.wants_response && params->identity.response)
        identity_ac(out, &params->identity);
    item_end(out, start);
    associate_end(out);
}

/* RJ, RELEASE and ABORT share one layout; fields a type lacks are reserved zeros (PS3.8
 * 9.3.4-9.3.8). */
void hl_ul_encode_short(uint8_t out[HL_UL_SHORT_PDU], uint8_t type, uint8_t result, uint8_t source,
                        uint8_t reason)
{
    memset(out, 0, HL_UL_SHORT_PDU);
    out[0] = type;
    out[5] = 4;
    out[7] = result;
    out[8] = source;
    out[9] = reason;
}
