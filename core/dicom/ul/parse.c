/* A-ASSOCIATE-RQ and -AC bodies into negotiated facts (PS3.8 9.3.2, 9.3.3; PS3.7 D.3.3). All of
 * it comes from strangers. It knows no socket.
 *
 * Never allocates by a number the peer names alone: counts are bounded by the constants below
 * and bytes by the PDU's 1 MiB. A failing function leaves params in a state that
 * hl_ul_params_fini can free. SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/dicom/ul/internal.h"
#include "core/dicom/ul/items.h"
#include "core/dicom/uid.h"

#include <stdlib.h>
#include <string.h>

enum {
    FIXED_PART = 68,    /* version, AE titles, reserved: up to the first item */
    MAX_CONTEXTS = 128, /* odd ids */
    MAX_SYNTAXES = 128, /* proposed in one context; tools propose about 40 */
    MAX_EXTENDED = 256
};

/* ANY is for tests and fuzzers, which take both kinds of contexts. */
enum kind { ANY, RQ, AC };

/* One item in the body, which is borrowed: n bytes at `body`, after type, reserved byte and
 * length. */
struct item {
    uint8_t type;
    uint16_t n;
    const uint8_t *body;
};

struct cursor {
    const uint8_t *at, *end;
};

struct parser {
    const uint8_t *base; /* for offsets in messages */
    struct hl_ul_params *params;
    enum kind kind;
    bool is_merging; /* an AC answers the proposal already in params */
    bool has_application, has_user_info;
    struct item user_info;
    char application[HL_UID_MAX];
};

typedef hilum_rc item_parser(struct parser *parser, const struct item *item);
struct item_rule {
    uint8_t type;
    item_parser *parse;
};

/* Names type and offset: with a trace of the bytes at hand, that is where to look. */
static hilum_rc bad(const struct parser *parser, const struct item *item, const char *what)
{
    return hl_fail(HILUM_EINVAL, "item 0x%02x at offset %zu: %s", item->type,
                   (size_t)(item->body - parser->base) - 4, what);
}

/* Every length is compared with what is left before a byte behind it is read. */
static hilum_rc next_item(const struct parser *parser, struct cursor *cursor, struct item *out)
{
    size_t left = (size_t)(cursor->end - cursor->at);
    if (left < 4)
        return hl_fail(HILUM_EINVAL, "item head at offset %zu: cut after %zu bytes",
                       (size_t)(cursor->at - parser->base), left);
    *out = (struct item){cursor->at[0], hl_ul_be16(cursor->at + 2), cursor->at + 4};
    if (out->n > left - 4)
        return bad(parser, out, "longer than what holds it");
    cursor->at += 4 + out->n;
    return HILUM_OK;
}

/* Every item between at and end to its rule; those without one are skipped (PS3.8 9.3.1 note). */
static hilum_rc each_item(struct parser *parser, struct cursor cursor,
                          const struct item_rule *rules)
{
    while (cursor.at < cursor.end) {
        struct item item = {0};
        hilum_rc rc = next_item(parser, &cursor, &item);
        if (rc)
            return rc;
        const struct item_rule *rule = rules;
        while (rule->parse && rule->type != item.type)
            rule++;
        rc = rule->parse ? rule->parse(parser, &item) : HILUM_OK;
        if (rc)
            return rc;
    }
    return HILUM_OK;
}

/* Trailing NUL or space: padded by peers that take PS3.5's even length for PS3.8's. */
static bool take_uid(const uint8_t *bytes, size_t n, char out[HL_UID_MAX])
{
    while (n > 0 && (bytes[n - 1] == 0 || bytes[n - 1] == ' '))
        n--;
    if (n == 0 || n >= HL_UID_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((bytes[i] < '0' || bytes[i] > '9') && bytes[i] != '.')
            return false;
    memcpy(out, bytes, n);
    out[n] = 0;
    return true;
}

/* Titles end at a NUL, lose surrounding spaces; what is not printable ASCII cannot match a
 * configured peer and must not reach a log. */
static void take_title(const uint8_t *bytes, size_t n, char out[HL_AE_MAX])
{
    n = strnlen((const char *)bytes, n);
    while (n > 0 && bytes[n - 1] == ' ')
        n--;
    while (n > 0 && *bytes == ' ') {
        bytes++;
        n--;
    }
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(bytes[i] >= ' ' && bytes[i] < 0x7f ? bytes[i] : '?');
    out[n] = 0;
}

/* A copy with a NUL behind it that is not counted; never NULL when true. */
static bool take_bytes(const uint8_t *bytes, size_t n, uint8_t **out)
{
    *out = malloc(n + 1);
    if (!*out)
        return false;
    if (n)
        memcpy(*out, bytes, n);
    (*out)[n] = 0;
    return true;
}

/* ---- presentation contexts --------------------------------------------------------------------
 */

/* At most 128: a scan is quicker than anything that had to be built. */
static struct hl_ul_context *find_context(struct hl_ul_params *params, uint8_t id)
{
    for (size_t i = 0; i < params->n_contexts; i++)
        if (params->contexts[i].id == id)
            return &params->contexts[i];
    return NULL;
}

static hilum_rc add_context(struct parser *parser, const struct item *item,
                            struct hl_ul_context **out)
{
    struct hl_ul_params *params = parser->params;
    uint8_t id = item->body[0];
    if (id % 2 == 0)
        return bad(parser, item, "even presentation context id");
    if (find_context(params, id))
        return bad(parser, item, "presentation context id used twice");
    /* Odd unique ids cannot outgrow 128; room doubles at each power of two. */
    size_t n = params->n_contexts;
    if ((n & (n - 1)) == 0) {
        void *grown = realloc(params->contexts, (n ? n * 2 : 1) * sizeof *params->contexts);
        if (!grown)
            return hl_fail(HILUM_ENOMEM, "presentation contexts: out of memory");
        params->contexts = grown;
    }
    *out = &params->contexts[params->n_contexts++];
    **out = (struct hl_ul_context){.id = id};
    return HILUM_OK;
}

/* Counted first, so that an idle association holds no more memory than its syntaxes need. */
static size_t count_syntaxes(const struct parser *parser, struct cursor cursor)
{
    size_t n = 0;
    struct item item = {0};
    while (cursor.at < cursor.end && next_item(parser, &cursor, &item) == HILUM_OK)
        n += item.type == HL_ITEM_TRANSFER_SYNTAX;
    return n;
}

static hilum_rc proposed_sub_item(struct parser *parser, const struct item *item,
                                  struct hl_ul_context *context)
{
    if (item->type == HL_ITEM_ABSTRACT_SYNTAX) {
        if (context->abstract_syntax[0])
            return bad(parser, item, "second abstract syntax in one context");
        if (!take_uid(item->body, item->n, context->abstract_syntax))
            return bad(parser, item, "abstract syntax is not a UID");
    } else if (item->type == HL_ITEM_TRANSFER_SYNTAX) {
        char *uid = context->transfer_syntaxes[context->n_transfer_syntaxes++];
        if (!take_uid(item->body, item->n, uid))
            return bad(parser, item, "transfer syntax is not a UID");
    }
    return HILUM_OK;
}

/* PS3.8 9.3.2.2: id, three reserved bytes, one abstract syntax, one or more transfer syntaxes. */
static hilum_rc proposed_context(struct parser *parser, const struct item *item)
{
    struct hl_ul_context *context;
    if (parser->kind == AC)
        return bad(parser, item, "proposed context in an A-ASSOCIATE-AC");
    if (item->n < 4)
        return bad(parser, item, "too short for a presentation context");
    hilum_rc rc = add_context(parser, item, &context);
    if (rc)
        return rc;
    struct cursor cursor = {item->body + 4, item->body + item->n};
    size_t n = count_syntaxes(parser, cursor);
    if (n == 0 || n > MAX_SYNTAXES)
        return bad(parser, item, n ? "more than 128 transfer syntaxes" : "no transfer syntax");
    context->transfer_syntaxes = calloc(n, sizeof *context->transfer_syntaxes);
    if (!context->transfer_syntaxes)
        return hl_fail(HILUM_ENOMEM, "transfer syntaxes: out of memory");
    while (cursor.at < cursor.end) {
        struct item sub = {0};
        rc = next_item(parser, &cursor, &sub);
        rc = rc ? rc : proposed_sub_item(parser, &sub, context);
        if (rc)
            return rc;
    }
    return context->abstract_syntax[0] ? HILUM_OK : bad(parser, item, "no abstract syntax");
}

/* The syntax of a refused context is not significant and is not looked at (PS3.8 9.3.3.2). */
static hilum_rc accepted_syntax(struct parser *parser, const struct item *item,
                                struct hl_ul_context *context)
{
    struct cursor cursor = {item->body + 4, item->body + item->n};
    while (cursor.at < cursor.end) {
        struct item sub = {0};
        hilum_rc rc = next_item(parser, &cursor, &sub);
        if (rc)
            return rc;
        if (sub.type == HL_ITEM_TRANSFER_SYNTAX &&
            !take_uid(sub.body, sub.n, context->transfer_syntax))
            return bad(parser, &sub, "transfer syntax is not a UID");
    }
    return context->transfer_syntax[0] ? HILUM_OK : bad(parser, item, "accepted without a syntax");
}

/* A syntax out of the blue would make us send data in it. */
static bool was_proposed(const struct hl_ul_context *context)
{
    for (size_t i = 0; i < context->n_transfer_syntaxes; i++)
        if (strcmp(context->transfer_syntaxes[i], context->transfer_syntax) == 0)
            return true;
    return false;
}

/* PS3.8 9.3.3.2. Contexts the answer leaves out stay refused. */
static hilum_rc answered_context(struct parser *parser, const struct item *item)
{
    struct hl_ul_context *context = NULL;
    if (parser->kind == RQ)
        return bad(parser, item, "answered context in an A-ASSOCIATE-RQ");
    if (item->n < 4)
        return bad(parser, item, "too short for a presentation context");
    if (parser->is_merging) {
        context = find_context(parser->params, item->body[0]);
        if (!context)
            return bad(parser, item, "presentation context id was not proposed");
    } else {
        hilum_rc rc = add_context(parser, item, &context);
        if (rc)
            return rc;
    }
    context->result = item->body[2];
    context->transfer_syntax[0] = 0;
    if (context->result != HL_UL_ACCEPTED)
        return HILUM_OK;
    hilum_rc rc = accepted_syntax(parser, item, context);
    if (rc == HILUM_OK && parser->is_merging && !was_proposed(context))
        return bad(parser, item, "transfer syntax was not proposed");
    return rc;
}

/* ---- user information -------------------------------------------------------------------------
 */

static hilum_rc max_length(struct parser *parser, const struct item *item)
{
    if (item->n != 4)
        return bad(parser, item, "maximum length is not 4 bytes");
    parser->params->max_pdu = hl_ul_be32(item->body);
    /* One PDV head and one pair of bytes: less cannot carry anything. */
    if (parser->params->max_pdu > 0 && parser->params->max_pdu < 8)
        return bad(parser, item, "maximum length below 8");
    return HILUM_OK;
}

static hilum_rc implementation_class(struct parser *parser, const struct item *item)
{
    if (!take_uid(item->body, item->n, parser->params->implementation_class))
        return bad(parser, item, "implementation class is not a UID");
    return HILUM_OK;
}

/* PS3.7 D.3.3.2.3: up to 16 characters; treated like an AE title because it reaches logs. */
static hilum_rc implementation_version(struct parser *parser, const struct item *item)
{
    if (item->n > 16)
        return bad(parser, item, "implementation version longer than 16");
    take_title(item->body, item->n, parser->params->implementation_version);
    return HILUM_OK;
}

static hilum_rc async_window(struct parser *parser, const struct item *item)
{
    if (item->n != 4)
        return bad(parser, item, "asynchronous window is not 4 bytes");
    parser->params->async_invoked = hl_ul_be16(item->body);
    parser->params->async_performed = hl_ul_be16(item->body + 2);
    return HILUM_OK;
}

/* A 2-byte length and a UID at the item's start; `rest` is what follows. */
static bool leading_uid(const struct item *item, char uid[HL_UID_MAX], struct cursor *rest)
{
    if (item->n < 2 || hl_ul_be16(item->body) > item->n - 2)
        return false;
    size_t n = hl_ul_be16(item->body);
    *rest = (struct cursor){item->body + 2 + n, item->body + item->n};
    return take_uid(item->body + 2, n, uid);
}

/* PS3.7 D.3.3.4. For classes without a context it says nothing. */
static hilum_rc roles(struct parser *parser, const struct item *item)
{
    char uid[HL_UID_MAX];
    struct cursor rest;
    if (!leading_uid(item, uid, &rest) || rest.end - rest.at != 2)
        return bad(parser, item, "malformed role selection");
    for (size_t i = 0; i < parser->params->n_contexts; i++) {
        struct hl_ul_context *context = &parser->params->contexts[i];
        if (strcmp(context->abstract_syntax, uid) != 0)
            continue;
        context->has_roles = true;
        context->scu_role = rest.at[0] == 1;
        context->scp_role = rest.at[1] == 1;
    }
    return HILUM_OK;
}

/* PS3.7 D.3.3.5. The contents are the SOP class's affair and stay bytes. */
static hilum_rc extended(struct parser *parser, const struct item *item)
{
    struct hl_ul_params *params = parser->params;
    struct hl_ul_extended one = {.is_accepted = parser->kind == AC};
    struct cursor rest;
    if (!leading_uid(item, one.sop_class, &rest))
        return bad(parser, item, "malformed extended negotiation");
    if (params->n_extended >= MAX_EXTENDED)
        return bad(parser, item, "more than 256 extended negotiations");
    void *grown = realloc(params->extended, (params->n_extended + 1u) * sizeof one);
    if (!grown)
        return hl_fail(HILUM_ENOMEM, "extended negotiation: out of memory");
    params->extended = grown;
    one.length = (uint16_t)(rest.end - rest.at);
    if (!take_bytes(rest.at, one.length, &one.info))
        return hl_fail(HILUM_ENOMEM, "extended negotiation: out of memory");
    params->extended[params->n_extended++] = one;
    return HILUM_OK;
}

/* Two bytes of length and so many bytes; moves on. false: cut, or no memory. */
static bool sized_bytes(struct cursor *cursor, uint16_t *n, uint8_t **out)
{
    if (cursor->end - cursor->at < 2 || hl_ul_be16(cursor->at) > cursor->end - cursor->at - 2)
        return false;
    *n = hl_ul_be16(cursor->at);
    cursor->at += 2 + *n;
    return take_bytes(cursor->at - *n, *n, out);
}

/* PS3.7 D.3.3.7. Types beyond those known are kept: refusing them is negotiate()'s decision. */
static hilum_rc identity_rq(struct parser *parser, const struct item *item)
{
    struct hl_ul_identity *identity = &parser->params->identity;
    if (item->n < 6)
        return bad(parser, item, "too short for a user identity");
    if (identity->type)
        return bad(parser, item, "second user identity");
    struct cursor rest = {item->body + 2, item->body + item->n};
    identity->type = item->body[0];
    identity->wants_response = item->body[1] == 1;
    if (!sized_bytes(&rest, &identity->primary_length, &identity->primary) ||
        !sized_bytes(&rest, &identity->secondary_length, &identity->secondary))
        return bad(parser, item, "user identity longer than its item");
    return HILUM_OK;
}

static hilum_rc identity_ac(struct parser *parser, const struct item *item)
{
    struct hl_ul_identity *identity = &parser->params->identity;
    struct cursor rest = {item->body, item->body + item->n};
    if (parser->kind == RQ || identity->response)
        return bad(parser, item, "unexpected user identity response");
    if (!sized_bytes(&rest, &identity->response_length, &identity->response))
        return bad(parser, item, "user identity response longer than its item");
    return HILUM_OK;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

static hilum_rc application_context(struct parser *parser, const struct item *item)
{
    if (parser->has_application)
        return bad(parser, item, "second application context");
    parser->has_application = true;
    /* A strange name is answered by a rejection, not by an abort: kept empty. */
    if (!take_uid(item->body, item->n, parser->application))
        parser->application[0] = 0;
    return HILUM_OK;
}

/* Kept for last: role selection refers to contexts, and nothing forbids user information first. */
static hilum_rc user_information(struct parser *parser, const struct item *item)
{
    if (parser->has_user_info)
        return bad(parser, item, "second user information");
    parser->has_user_info = true;
    parser->user_info = *item;
    return HILUM_OK;
}

/* A missing role item in the answer means the default roles (PS3.7 D.3.3.4); a context the answer leaves out must
 * not count as accepted. */
static void forget_proposal(struct hl_ul_params *params)
{
    for (size_t i = 0; i < params->n_contexts; i++) {
        params->contexts[i].result = HL_UL_NOT_ANSWERED;
        params->contexts[i].transfer_syntax[0] = 0;
        params->contexts[i].has_roles = false;
        params->contexts[i].scu_role = true;
        params->contexts[i].scp_role = false;
    }
    for (size_t i = 0; i < params->n_extended; i++)
        free(params->extended[i].info);
    params->n_extended = 0;
    params->async_invoked = params->async_performed = 0;
}

/* Two levels, two tables: an item in the wrong level is unknown there and skipped. */
static hilum_rc parse_items(struct parser *parser, const uint8_t *body, size_t n)
{
    static const struct item_rule outer[] = {
        {HL_ITEM_APPLICATION_CONTEXT, application_context},
        {HL_ITEM_CONTEXT_RQ, proposed_context},
        {HL_ITEM_CONTEXT_AC, answered_context},
        {HL_ITEM_USER_INFORMATION, user_information},
        {0, NULL},
    };
    static const struct item_rule inner[] = {
        {HL_ITEM_MAX_LENGTH, max_length},
        {HL_ITEM_IMPLEMENTATION_CLASS, implementation_class},
        {HL_ITEM_ASYNC_WINDOW, async_window},
        {HL_ITEM_ROLES, roles},
        {HL_ITEM_IMPLEMENTATION_VERSION, implementation_version},
        {HL_ITEM_EXTENDED, extended},
        {HL_ITEM_IDENTITY_RQ, identity_rq},
        {HL_ITEM_IDENTITY_AC, identity_ac},
        {0, NULL},
    };
    if (n < FIXED_PART)
        return hl_fail(HILUM_EINVAL, "association body of %zu bytes, at least 68 expected", n);
    hilum_rc rc = each_item(parser, (struct cursor){body + FIXED_PART, body + n}, outer);
    if (rc)
        return rc;
    if (!parser->is_merging && parser->params->n_contexts == 0)
        return hl_fail(HILUM_EINVAL, "association without presentation contexts");
    if (!parser->has_user_info)
        return HILUM_OK;
    const struct item *info = &parser->user_info;
    return each_item(parser, (struct cursor){info->body, info->body + info->n}, inner);
}

/* For tests and fuzzers: both layouts, without the judgements of version and application
 * context. */
hilum_rc hl_ul_parse_associate(const uint8_t *body, size_t n, struct hl_ul_params *out)
{
    struct parser parser = {.base = body, .params = out, .kind = ANY};
    memset(out, 0, sizeof *out);
    hilum_rc rc = parse_items(&parser, body, n);
    if (rc) {
        hl_ul_params_fini(out);
        return rc;
    }
    take_title(body + 4, 16, out->called_aet);
    take_title(body + 20, 16, out->calling_aet);
    return HILUM_OK;
}

hilum_rc hl_ul_parse_rq(const uint8_t *body, size_t n, struct hl_ul_params *out,
                        struct hl_ul_reject *reject)
{
    struct parser parser = {.base = body, .params = out, .kind = RQ};
    memset(out, 0, sizeof *out);
    /* Another version may be laid out otherwise: looked at before anything else (PS3.8 9.3.2). */
    if (n >= FIXED_PART && !(hl_ul_be16(body) & 1)) {
        *reject = (struct hl_ul_reject){1, 2, 2};
        return HILUM_OK;
    }
    hilum_rc rc = parse_items(&parser, body, n);
    if (rc) {
        hl_ul_params_fini(out);
        return rc;
    }
    take_title(body + 4, 16, out->called_aet);
    take_title(body + 20, 16, out->calling_aet);
    if (strcmp(parser.application, HL_UID_APPLICATION_CONTEXT) != 0)
        *reject = (struct hl_ul_reject){1, 1, 2};
    return HILUM_OK;
}

hilum_rc hl_ul_parse_ac(const uint8_t *body, size_t n, struct hl_ul_params *params)
{
    struct parser parser = {.base = body, .params = params, .kind = AC, .is_merging = true};
    forget_proposal(params);
    /* AE titles in an AC are not to be tested (PS3.8 9.3.3): the proposal's stay. */
    return parse_items(&parser, body, n);
}
