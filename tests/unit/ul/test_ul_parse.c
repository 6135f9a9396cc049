/* A-ASSOCIATE bodies: what was encoded is parsed, what is malformed is refused with its item named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/kit.h"
#include "core/base/error.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BYTES(text) text, sizeof text - 1

/* ---- round trips
 * ------------------------------------------------------------------------------ */

static struct hl_ul_params rich_proposal(void)
{
    static uint8_t info[] = {1, 0, 1, 1}, user[] = "radiology", pass[] = "s3cret";
    static struct hl_ul_extended extended[] = {
        {.sop_class = "1.2.840.10008.5.1.4.1.2.2.1", .length = 4, .info = info}};
    static struct hl_ul_context contexts[2];
    struct hl_ul_params params = *kit_proposal();
    memcpy(contexts, params.contexts, sizeof contexts);
    contexts[1].has_roles = contexts[1].scp_role = true;
    params.contexts = contexts;
    params.extended = extended;
    params.n_extended = 1;
    params.async_invoked = 4;
    params.async_performed = 2;
    params.identity = (struct hl_ul_identity){.type = 2,
                                              .wants_response = true,
                                              .primary_length = 9,
                                              .secondary_length = 6,
                                              .primary = user,
                                              .secondary = pass};
    return params;
}

static void parse_rich_request(struct hl_ul_params *out)
{
    const struct hl_ul_params proposal = rich_proposal();
    struct hl_ul_reject reject = {0};
    struct hl_buf pdu = {0};
    hl_ul_encode_rq(&proposal, 16384, &pdu);
    assert_false(pdu.failed);
    assert_int_equal(hl_ul_be32((uint8_t *)pdu.data + 2), pdu.len - 6);
    if (hl_ul_parse_rq((uint8_t *)pdu.data + 6, pdu.len - 6, out, &reject))
        fail_msg("%s", hl_error());
    assert_int_equal(reject.result, 0);
    hl_buf_fini(&pdu);
}

static void request__keeps_every_fact_over_encode_and_parse(void **state)
{
    struct hl_ul_params got;
    (void)state;
    parse_rich_request(&got);
    assert_string_equal(got.called_aet, "KIT");
    assert_string_equal(got.calling_aet, "TEST");
    assert_int_equal(got.max_pdu, 16384);
    assert_string_equal(got.implementation_class, HL_UL_IMPLEMENTATION_CLASS);
    assert_string_equal(got.implementation_version, HL_UL_IMPLEMENTATION_VERSION);
    assert_int_equal(got.async_invoked, 4);
    assert_int_equal(got.async_performed, 2);
    assert_int_equal(got.n_contexts, 2);
    assert_false(got.contexts[0].has_roles);
    assert_true(got.contexts[1].has_roles && got.contexts[1].scp_role);
    assert_false(got.contexts[1].scu_role);
    assert_int_equal(got.contexts[1].id, 3);
    assert_int_equal(got.contexts[1].n_transfer_syntaxes, 2);
    assert_string_equal(got.contexts[1].transfer_syntaxes[1], KIT_EXPLICIT);
    assert_int_equal(got.n_extended, 1);
    assert_memory_equal(got.extended[0].info, "\1\0\1\1", 4);
    assert_int_equal(got.identity.type, 2);
    assert_true(got.identity.wants_response);
    assert_string_equal((char *)got.identity.primary, "radiology");
    assert_string_equal((char *)got.identity.secondary, "s3cret");
    hl_ul_params_fini(&got);
}

static void accept__answers_roles_extended_identity_and_window(void **state)
{
    struct hl_ul_params acceptor, requestor;
    const struct hl_ul_params proposal = rich_proposal();
    struct hl_buf pdu = {0};
    (void)state;
    parse_rich_request(&acceptor);
    acceptor.contexts[0].result = HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED;
    acceptor.contexts[1].result = HL_UL_ACCEPTED;
    strcpy(acceptor.contexts[1].transfer_syntax, KIT_EXPLICIT);
    acceptor.extended[0].is_accepted = true;
    acceptor.identity.response = malloc(3);
    memcpy(acceptor.identity.response, "ok", 3);
    acceptor.identity.response_length = 2;
    hl_ul_encode_ac(&acceptor, NULL, 131078, &pdu);
    assert_int_equal(hl_ul_params_copy(&proposal, &requestor), HILUM_OK);
    if (hl_ul_parse_ac((uint8_t *)pdu.data + 6, pdu.len - 6, &requestor))
        fail_msg("%s", hl_error());
    assert_int_equal(requestor.contexts[0].result, HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED);
    assert_string_equal(requestor.contexts[0].transfer_syntax, "");
    assert_int_equal(requestor.contexts[1].result, HL_UL_ACCEPTED);
    assert_string_equal(requestor.contexts[1].transfer_syntax, KIT_EXPLICIT);
    assert_true(requestor.contexts[1].has_roles && requestor.contexts[1].scp_role);
    assert_false(requestor.contexts[0].has_roles);
    assert_int_equal(requestor.async_invoked, 1);
    assert_int_equal(requestor.n_extended, 1);
    assert_string_equal((char *)requestor.identity.response, "ok");
    assert_int_equal(requestor.max_pdu, 131078);
    hl_ul_params_fini(&acceptor);
    hl_ul_params_fini(&requestor);
    hl_buf_fini(&pdu);
}

static void accept__says_nothing_of_what_was_not_asked_or_not_accepted(void **state)
{
    struct hl_ul_params acceptor, requestor;
    struct hl_buf pdu = {0};
    (void)state;
    parse_rich_request(&acceptor);
    acceptor.async_invoked = acceptor.async_performed = 0;
    acceptor.contexts[1].has_roles = false;
    hl_ul_encode_ac(&acceptor, NULL, 0, &pdu);
    const struct hl_ul_params proposal = rich_proposal();
    assert_int_equal(hl_ul_params_copy(&proposal, &requestor), HILUM_OK);
    requestor.contexts[0].result = requestor.contexts[1].result = HL_UL_NO_REASON;
    acceptor.contexts[0].result = acceptor.contexts[1].result = HL_UL_USER_REJECTION;
    hl_ul_encode_ac(&acceptor, NULL, 0, &pdu);
    assert_int_equal(hl_ul_parse_ac((uint8_t *)pdu.data + 6, pdu.len - 6, &requestor), HILUM_OK);
    assert_int_equal(requestor.async_invoked, 0);
    assert_int_equal(requestor.n_extended, 0);
    assert_null(requestor.identity.response);
    assert_false(requestor.contexts[1].has_roles);
    assert_true(requestor.contexts[1].scu_role);
    assert_false(requestor.contexts[1].scp_role);
    hl_ul_params_fini(&acceptor);
    hl_ul_params_fini(&requestor);
    hl_buf_fini(&pdu);
}

static void accept__repeats_bytes_11_to_74_of_the_request(void **state)
{
    struct hl_ul_params params = {0};
    uint8_t mirror[HL_UL_MIRROR];
    struct hl_buf pdu = {0};
    (void)state;
    for (size_t i = 0; i < sizeof mirror; i++)
        mirror[i] = (uint8_t)(i + 1);
    hl_ul_encode_ac(&params, mirror, 16384, &pdu);
    assert_memory_equal(pdu.data + 10, mirror, sizeof mirror);
    hl_buf_fini(&pdu);
}

static void request__proposing_128_contexts_round_trips(void **state)
{
    static struct hl_ul_context contexts[128];
    struct hl_ul_params params = *kit_proposal(), got;
    struct hl_buf pdu = {0};
    (void)state;
    for (unsigned i = 0; i < 128; i++) {
        contexts[i] = params.contexts[0];
        contexts[i].id = (uint8_t)(2 * i + 1);
    }
    params.contexts = contexts;
    params.n_contexts = 128;
    hl_ul_encode_rq(&params, 0, &pdu);
    assert_int_equal(hl_ul_parse_associate((uint8_t *)pdu.data + 6, pdu.len - 6, &got), HILUM_OK);
    assert_int_equal(got.n_contexts, 128);
    assert_int_equal(got.contexts[127].id, 255);
    hl_ul_params_fini(&got);
    hl_buf_fini(&pdu);
}

/* ---- hand-made bodies
 * ------------------------------------------------------------------------- */

static void item(struct hl_buf *out, uint8_t type, const void *bytes, size_t n)
{
    const uint8_t head[4] = {type, 0, (uint8_t)(n >> 8), (uint8_t)n};
    hl_buf_add(out, head, sizeof head);
    hl_buf_add(out, bytes, n);
}

static void body_begin(struct hl_buf *out, uint8_t version)
{
    static const uint8_t reserved[32];
    const uint8_t head[4] = {0, version};
    hl_buf_clear(out);
    hl_buf_add(out, head, sizeof head);
    hl_buf_add(out, "  CALLED        CALLING\0        ", 32);
    hl_buf_add(out, reserved, sizeof reserved);
}

#define APPLICATION                                                                                \
    "\x10\0\0\x15"                                                                                 \
    "1.2.840.10008.3.1.1.1"
#define ABSTRACT                                                                                   \
    "\x30\0\0\x11"                                                                                 \
    "1.2.840.10008.1.1"
#define SYNTAX                                                                                     \
    "\x40\0\0\x11"                                                                                 \
    "1.2.840.10008.1.2"
#define CONTEXT                                                                                    \
    "\x20\0\0\x2e"                                                                                 \
    "\1\0\0\0" ABSTRACT SYNTAX

static const struct malformed {
    const char *what, *bytes;
    size_t n;
    const char *reason;
} malformed[] = {
    {"half an item head", BYTES(APPLICATION CONTEXT "\x50\0"), "cut after 2 bytes"},
    {"item longer than the body", BYTES(APPLICATION CONTEXT "\x50\0\1\0\0"), "longer than"},
    {"no context", BYTES(APPLICATION), "without presentation contexts"},
    {"even id",
     BYTES("\x20\0\0\x2e"
           "\2\0\0\0" ABSTRACT SYNTAX),
     "even presentation context id"},
    {"id 0",
     BYTES("\x20\0\0\x2e"
           "\0\0\0\0" ABSTRACT SYNTAX),
     "even presentation context id"},
    {"same id twice", BYTES(CONTEXT CONTEXT), "used twice"},
    {"context cut",
     BYTES("\x20\0\0\3"
           "\1\0\0"),
     "too short"},
    {"no abstract syntax",
     BYTES("\x20\0\0\x19"
           "\1\0\0\0" SYNTAX),
     "no abstract syntax"},
    {"two abstract syntaxes",
     BYTES("\x20\0\0\x43"
           "\1\0\0\0" ABSTRACT ABSTRACT SYNTAX),
     "second"},
    {"no transfer syntax",
     BYTES("\x20\0\0\x19"
           "\1\0\0\0" ABSTRACT),
     "no transfer syntax"},
    {"sub-item too long",
     BYTES("\x20\0\0\x0e"
           "\1\0\0\0"
           "\x30\0\0\7"
           "1.2.84"),
     "no transfer"},
    {"letters in a UID",
     BYTES("\x20\0\0\x20"
           "\1\0\0\0"
           "\x30\0\0\3"
           "1.x" SYNTAX),
     "not a UID"},
    {"empty UID",
     BYTES("\x20\0\0\x1d"
           "\1\0\0\0"
           "\x30\0\0\0" SYNTAX),
     "not a UID"},
    {"two user informations", BYTES(CONTEXT "\x50\0\0\0\x50\0\0\0"), "second user information"},
    {"two application contexts", BYTES(APPLICATION APPLICATION CONTEXT), "second application"},
    {"short maximum",
     BYTES(CONTEXT "\x50\0\0\6"
                   "\x51\0\0\2"
                   "\0\1"),
     "not 4 bytes"},
    {"tiny maximum",
     BYTES(CONTEXT "\x50\0\0\x8"
                   "\x51\0\0\4"
                   "\0\0\0\7"),
     "below 8"},
    {"role without flags",
     BYTES(CONTEXT "\x50\0\0\x9"
                   "\x54\0\0\5"
                   "\0\3"
                   "1.2"),
     "role"},
    {"role UID too long",
     BYTES(CONTEXT "\x50\0\0\x9"
                   "\x54\0\0\5"
                   "\0\x9"
                   "1.2"),
     "role"},
    {"window cut",
     BYTES(CONTEXT "\x50\0\0\7"
                   "\x53\0\0\3"
                   "\0\1\0"),
     "not 4 bytes"},
    {"extended cut",
     BYTES(CONTEXT "\x50\0\0\5"
                   "\x56\0\0\1"
                   "\0"),
     "extended"},
    {"version too long",
     BYTES(CONTEXT "\x50\0\0\x15"
                   "\x55\0\0\x11"
                   "12345678901234567"),
     "16"},
    {"identity cut",
     BYTES(CONTEXT "\x50\0\0\7"
                   "\x58\0\0\3"
                   "\1\0\0"),
     "user identity"},
    {"identity too long",
     BYTES(CONTEXT "\x50\0\0\xa"
                   "\x58\0\0\6"
                   "\1\0\0\x9"
                   "ab"),
     "longer"},
    {"AC item in an RQ",
     BYTES(CONTEXT "\x21\0\0\4"
                   "\1\0\0\0"),
     "answered context"},
    {"identity response in an RQ",
     BYTES(CONTEXT "\x50\0\0\6"
                   "\x59\0\0\2"
                   "\0\0"),
     "response"},
};

static void request__malformed_is_refused_with_the_item_named(void **state)
{
    struct hl_buf body = {0};
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        struct hl_ul_params got;
        struct hl_ul_reject reject = {0};
        body_begin(&body, 1);
        hl_buf_add(&body, malformed[i].bytes, malformed[i].n);
        if (hl_ul_parse_rq((uint8_t *)body.data, body.len, &got, &reject) != HILUM_EINVAL)
            fail_msg("%s: accepted", malformed[i].what);
        if (!strstr(hl_error(), malformed[i].reason))
            fail_msg("%s: told \"%s\"", malformed[i].what, hl_error());
    }
    hl_buf_fini(&body);
}

static void request__cut_anywhere_is_refused_or_smaller(void **state)
{
    struct hl_buf pdu = {0};
    (void)state;
    const struct hl_ul_params proposal = rich_proposal();
    hl_ul_encode_rq(&proposal, 16384, &pdu);
    for (size_t n = 0; n < pdu.len - 6; n++) {
        struct hl_ul_params got;
        uint8_t *copy = malloc(n + 1); /* exact size: a sanitizer sees a read past it */
        memcpy(copy, pdu.data + 6, n);
        if (hl_ul_parse_associate(copy, n, &got) == HILUM_OK) {
            assert_true(got.n_contexts <= 2 && n >= 68);
            hl_ul_params_fini(&got);
        }
        free(copy);
    }
    hl_buf_fini(&pdu);
}

static void parse_ok(struct hl_buf *body, struct hl_ul_params *got, struct hl_ul_reject *reject)
{
    if (hl_ul_parse_rq((uint8_t *)body->data, body->len, got, reject))
        fail_msg("%s", hl_error());
}

static void titles__lose_surrounding_spaces_and_nul(void **state)
{
    struct hl_ul_params got;
    struct hl_ul_reject reject = {0};
    struct hl_buf body = {0};
    (void)state;
    body_begin(&body, 1);
    hl_buf_add(&body, BYTES(APPLICATION CONTEXT));
    parse_ok(&body, &got, &reject);
    assert_string_equal(got.called_aet, "CALLED");
    assert_string_equal(got.calling_aet, "CALLING");
    assert_int_equal(got.max_pdu, 0);
    hl_ul_params_fini(&got);
    hl_buf_fini(&body);
}

static void unknown_items__are_skipped(void **state)
{
    struct hl_ul_params got;
    struct hl_ul_reject reject = {0};
    struct hl_buf body = {0};
    (void)state;
    body_begin(&body, 1);
    item(&body, 0x7f, "what is this", 12);
    hl_buf_add(&body, BYTES(APPLICATION CONTEXT));
    hl_buf_add(&body, BYTES("\x50\0\0\x12"
                            "\x57\0\0\2"
                            "\0\0"
                            "\x5f\0\0\0"
                            "\x51\0\0\4"
                            "\0\0\x40\0"));
    parse_ok(&body, &got, &reject);
    assert_int_equal(got.n_contexts, 1);
    assert_int_equal(got.max_pdu, 16384);
    hl_ul_params_fini(&got);
    hl_buf_fini(&body);
}

static void uid__padded_with_nul_is_taken(void **state)
{
    struct hl_ul_params got;
    struct hl_ul_reject reject = {0};
    struct hl_buf body = {0};
    (void)state;
    body_begin(&body, 1);
    hl_buf_add(&body, BYTES(APPLICATION "\x20\0\0\x2f"
                                        "\1\0\0\0"
                                        "\x30\0\0\x12"
                                        "1.2.840.10008.1.1\0" SYNTAX));
    parse_ok(&body, &got, &reject);
    assert_string_equal(got.contexts[0].abstract_syntax, "1.2.840.10008.1.1");
    hl_ul_params_fini(&got);
    hl_buf_fini(&body);
}

static void other_version_or_application__is_rejected_not_malformed(void **state)
{
    struct hl_ul_params got;
    struct hl_ul_reject reject = {0};
    struct hl_buf body = {0};
    (void)state;
    body_begin(&body, 2);
    hl_buf_add(&body, "\xff\xff\xff", 3); /* another version's items may be anything */
    parse_ok(&body, &got, &reject);
    assert_memory_equal(&reject, (&(struct hl_ul_reject){1, 2, 2}), sizeof reject);
    body_begin(&body, 1);
    hl_buf_add(&body, BYTES("\x10\0\0\3"
                            "1.2" CONTEXT));
    parse_ok(&body, &got, &reject);
    assert_memory_equal(&reject, (&(struct hl_ul_reject){1, 1, 2}), sizeof reject);
    hl_ul_params_fini(&got);
    hl_buf_fini(&body);
}

static void role__applies_to_every_context_of_its_class_even_before_them(void **state)
{
    struct hl_ul_params got;
    struct hl_ul_reject reject = {0};
    struct hl_buf body = {0};
    (void)state;
    body_begin(&body, 1);
    hl_buf_add(&body, BYTES(APPLICATION "\x50\0\0\x19"
                                        "\x54\0\0\x15"
                                        "\0\x11"
                                        "1.2.840.10008.1.1"
                                        "\1\1" CONTEXT "\x20\0\0\x2e"
                                        "\5\0\0\0" ABSTRACT SYNTAX));
    parse_ok(&body, &got, &reject);
    for (size_t i = 0; i < 2; i++)
        assert_true(got.contexts[i].has_roles && got.contexts[i].scu_role &&
                    got.contexts[i].scp_role);
    struct hl_buf pdu = {0};
    size_t roles = 0;
    hl_ul_encode_rq(&got, 0, &pdu);
    for (size_t i = 0; i + 6 < pdu.len; i++)
        roles += memcmp(pdu.data + i, "\x54\0\0\x15\0\x11", 6) == 0;
    assert_int_equal(roles, 1); /* one item an abstract syntax */
    hl_ul_params_fini(&got);
    hl_buf_fini(&pdu);
    hl_buf_fini(&body);
}

static const struct bad_answer {
    const char *what, *bytes;
    size_t n;
    const char *reason;
} bad_answers[] = {
    {"id not proposed",
     BYTES("\x21\0\0\x19"
           "\7\0\0\0" SYNTAX),
     "was not proposed"},
    {"syntax not proposed",
     BYTES("\x21\0\0\x0b"
           "\1\0\0\0"
           "\x40\0\0\3"
           "1.2"),
     "not proposed"},
    {"accepted without syntax",
     BYTES("\x21\0\0\4"
           "\1\0\0\0"),
     "without a syntax"},
    {"proposal in the answer", BYTES(CONTEXT), "proposed context"},
};

static void answer__unfit_for_the_proposal_is_refused(void **state)
{
    struct hl_buf body = {0};
    (void)state;
    for (size_t i = 0; i < sizeof bad_answers / sizeof *bad_answers; i++) {
        struct hl_ul_params params;
        assert_int_equal(hl_ul_params_copy(kit_proposal(), &params), HILUM_OK);
        body_begin(&body, 1);
        hl_buf_add(&body, bad_answers[i].bytes, bad_answers[i].n);
        if (hl_ul_parse_ac((uint8_t *)body.data, body.len, &params) != HILUM_EINVAL)
            fail_msg("%s: accepted", bad_answers[i].what);
        if (!strstr(hl_error(), bad_answers[i].reason))
            fail_msg("%s: told \"%s\"", bad_answers[i].what, hl_error());
        hl_ul_params_fini(&params);
    }
    hl_buf_fini(&body);
}

static void answer__refusing_a_context_may_hold_any_syntax(void **state)
{
    struct hl_ul_params params;
    struct hl_buf body = {0};
    (void)state;
    assert_int_equal(hl_ul_params_copy(kit_proposal(), &params), HILUM_OK);
    body_begin(&body, 1);
    hl_buf_add(&body, BYTES("\x21\0\0\x0b"
                            "\1\0\3\0"
                            "\x40\0\0\3"
                            "xyz"));
    assert_int_equal(hl_ul_parse_ac((uint8_t *)body.data, body.len, &params), HILUM_OK);
    assert_int_equal(params.contexts[0].result, HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED);
    assert_int_equal(params.contexts[1].result, HL_UL_NOT_ANSWERED);
    hl_ul_params_fini(&params);
    hl_buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request__keeps_every_fact_over_encode_and_parse),
        cmocka_unit_test(accept__answers_roles_extended_identity_and_window),
        cmocka_unit_test(accept__says_nothing_of_what_was_not_asked_or_not_accepted),
        cmocka_unit_test(accept__repeats_bytes_11_to_74_of_the_request),
        cmocka_unit_test(request__proposing_128_contexts_round_trips),
        cmocka_unit_test(request__malformed_is_refused_with_the_item_named),
        cmocka_unit_test(request__cut_anywhere_is_refused_or_smaller),
        cmocka_unit_test(titles__lose_surrounding_spaces_and_nul),
        cmocka_unit_test(unknown_items__are_skipped),
        cmocka_unit_test(uid__padded_with_nul_is_taken),
        cmocka_unit_test(other_version_or_application__is_rejected_not_malformed),
        cmocka_unit_test(role__applies_to_every_context_of_its_class_even_before_them),
        cmocka_unit_test(answer__unfit_for_the_proposal_is_refused),
        cmocka_unit_test(answer__refusing_a_context_may_hold_any_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
