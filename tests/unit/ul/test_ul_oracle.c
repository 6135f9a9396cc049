/* DCMTK's network layer as oracle: each script is played by ours and theirs in all four pairings,
 * and what the requestor saw, and what the acceptor saw, must be the same in all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ul/side.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VERIFICATION "1.2.840.10008.1.1"
#define CT           "1.2.840.10008.5.1.4.1.1.2"
#define MR           "1.2.840.10008.5.1.4.1.1.4"
#define COMMITMENT   "1.2.840.10008.1.20.1"
#define FIND         "1.2.840.10008.5.1.4.1.2.2.1"
#define MOVE         "1.2.840.10008.5.1.4.1.2.2.2"
#define IMPLICIT     "1.2.840.10008.1.2"
#define EXPLICIT     "1.2.840.10008.1.2.1"
#define BIG_ENDIAN_  "1.2.840.10008.1.2.2"
#define JPEG_LS      "1.2.840.10008.1.2.4.80"

enum { USUAL_PDU = 16384, SMALLEST = 4096, LARGEST = 131072 };

static char syntaxes[4][HL_UID_MAX] = {IMPLICIT, EXPLICIT, BIG_ENDIAN_, JPEG_LS};

/* ---- playing ----------------------------------------------------------------------------------
 */

struct accounts {
    struct hl_buf requestor, acceptor;
};

static void play(const struct scenario *scenario, const struct side *requestor,
                 const struct side *acceptor, struct accounts *out)
{
    uint16_t port;
    void *listening = acceptor->listen(scenario, &port);
    assert_non_null(listening);
    requestor->request(scenario, port, &out->requestor);
    acceptor->finish(listening, &out->acceptor);
}

static void compare(const struct scenario *scenario, const char *pair, const char *who,
                    const struct hl_buf *theirs, const struct hl_buf *found)
{
    if (strcmp(hl_buf_str(theirs), hl_buf_str(found)) != 0)
        fail_msg("%s, %s: the %s saw\n%s\nDCMTK with itself:\n%s", scenario->name, pair, who,
                 hl_buf_str(found), hl_buf_str(theirs));
}

static void forget(struct accounts *accounts)
{
    hl_buf_fini(&accounts->requestor);
    hl_buf_fini(&accounts->acceptor);
}

/* Must hold in what both of DCMTK's sides say, lest two silent sides agree. */
static void expect(const struct accounts *accounts, const char *text)
{
    if (!strstr(hl_buf_str(&accounts->requestor), text) &&
        !strstr(hl_buf_str(&accounts->acceptor), text))
        fail_msg("\"%s\" in neither of\n%s\n%s", text, hl_buf_str(&accounts->requestor),
                 hl_buf_str(&accounts->acceptor));
}

static void agree(const struct scenario *scenario, const char *text)
{
    static const struct side *const pairs[3][2] = {
        {&side_hilum, &side_dcmtk}, {&side_dcmtk, &side_hilum}, {&side_hilum, &side_hilum}};
    struct accounts reference = {0};
    play(scenario, &side_dcmtk, &side_dcmtk, &reference);
    expect(&reference, text);
    for (size_t i = 0; i < 3; i++) {
        struct accounts found = {0};
        char pair[64];
        snprintf(pair, sizeof pair, "%s calls %s", pairs[i][0]->name, pairs[i][1]->name);
        play(scenario, pairs[i][0], pairs[i][1], &found);
        compare(scenario, pair, "requestor", &reference.requestor, &found.requestor);
        compare(scenario, pair, "acceptor", &reference.acceptor, &found.acceptor);
        forget(&found);
    }
    forget(&reference);
}

/* ---- scripts ----------------------------------------------------------------------------------
 */

static void accept_in(struct hl_ul_context *context, unsigned which)
{
    context->result = HL_UL_ACCEPTED;
    snprintf(context->transfer_syntax, HL_UID_MAX, "%s", context->transfer_syntaxes[which]);
}

static void accept_all(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    (void)reject;
    for (unsigned i = 0; i < params->n_contexts; i++)
        accept_in(&params->contexts[i], 0);
}

static struct hl_ul_context context(uint8_t id, const char *abstract_syntax)
{
    struct hl_ul_context made = {.id = id, .transfer_syntaxes = syntaxes, .n_transfer_syntaxes = 2};
    snprintf(made.abstract_syntax, HL_UID_MAX, "%s", abstract_syntax);
    return made;
}

static struct hl_ul_context with_roles(struct hl_ul_context context, bool scu, bool scp)
{
    context.has_roles = true;
    context.scu_role = scu;
    context.scp_role = scp;
    return context;
}

/* Room for what a proposal points at. */
static struct scenario script(const char *name, struct hl_ul_context *contexts, uint16_t n)
{
    return (struct scenario){.name = name,
                             .proposal = {.called_aet = "ACCEPTOR",
                                          .calling_aet = "REQUESTOR",
                                          .contexts = contexts,
                                          .n_contexts = n},
                             .requestor_takes = USUAL_PDU,
                             .acceptor_takes = USUAL_PDU,
                             .decide = accept_all};
}

static void messages__both_ways_on_several_contexts(void **state)
{
    static const struct side_message messages[] = {
        {1, 2, 2}, {3, 100, 70000}, {5, 70000, 100}, {3, 16370, 16372}, {1, 16374, 16384}};
    struct hl_ul_context contexts[] = {context(1, VERIFICATION), context(3, CT), context(5, MR)};
    struct scenario scenario = script("messages", contexts, 3);
    (void)state;
    scenario.messages = messages;
    scenario.n_messages = 5;
    agree(&scenario, "context 3: data set of 70000 bytes");
}

static void titles__of_sixteen_characters_and_with_spaces_inside(void **state)
{
    struct hl_ul_context contexts[] = {context(1, VERIFICATION)};
    struct scenario scenario = script("titles", contexts, 1);
    (void)state;
    strcpy(scenario.proposal.called_aet, "SIXTEEN_LETTERS_");
    strcpy(scenario.proposal.calling_aet, "MY CT 3");
    agree(&scenario, "\"MY CT 3\" calls \"SIXTEEN_LETTERS_\"");
}

static void largest_pdus__of_all_kinds_are_respected(void **state)
{
    static const uint32_t sizes[] = {SMALLEST, 4098, USUAL_PDU, 65536, LARGEST};
    static const struct side_message messages[] = {{1, 300000, 300000}, {1, 4084, 131060}};
    struct hl_ul_context contexts[] = {context(1, CT)};
    struct scenario scenario = script("largest PDUs", contexts, 1);
    (void)state;
    scenario.messages = messages;
    scenario.n_messages = 2;
    for (size_t i = 0; i < 5; i++) {
        scenario.requestor_takes = sizes[i];
        scenario.acceptor_takes = sizes[4 - i];
        agree(&scenario, "data set of 300000 bytes");
    }
}

static void decide_by_number(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    (void)reject;
    for (unsigned i = 0; i < params->n_contexts; i++) {
        struct hl_ul_context *context = &params->contexts[i];
        if (i % 6 < 2)
            accept_in(context, i % 6 ? context->n_transfer_syntaxes - 1u : 0);
        else
            context->result = (uint8_t)(i % 6 - 1);
    }
}

static void contexts__128_of_them_accepted_and_refused_in_every_way(void **state)
{
    static const struct side_message messages[] = {{255, 10, 10}};
    struct hl_ul_context contexts[128];
    struct scenario scenario = script("many contexts", contexts, 128);
    (void)state;
    for (unsigned i = 0; i < 128; i++) {
        char abstract_syntax[HL_UID_MAX];
        snprintf(abstract_syntax, sizeof abstract_syntax, "1.2.3.%u", i / 2);
        contexts[i] = context((uint8_t)(2 * i + 1), abstract_syntax);
        contexts[i].n_transfer_syntaxes = (uint16_t)(1 + i % 4);
    }
    scenario.decide = decide_by_number;
    scenario.messages = messages;
    scenario.n_messages = 1;
    agree(&scenario,
          "context 3 accepted in " EXPLICIT "\ncontext 5 refused 1\ncontext 7 refused 2\n"
          "context 9 refused 3\ncontext 11 refused 4\n");
}

/* By context: 1 and 5 as proposed, 3 and 7 the SCP role only, 9 without an answer, 11 neither. */
static void decide_roles(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    accept_all(params, reject);
    params->contexts[1].scu_role = false;
    params->contexts[3].scu_role = false;
    params->contexts[4].has_roles = false;
    params->contexts[5].scu_role = false;
}

static void roles__proposed_and_cut(void **state)
{
    struct hl_ul_context contexts[] = {with_roles(context(1, CT), false, true),
                                       with_roles(context(3, MR), true, true),
                                       with_roles(context(5, VERIFICATION), true, true),
                                       with_roles(context(7, COMMITMENT), true, true),
                                       with_roles(context(9, FIND), false, true),
                                       with_roles(context(11, MOVE), true, false),
                                       context(13, "1.2.3.4")};
    struct scenario scenario = script("roles", contexts, 7);
    (void)state;
    scenario.decide = decide_roles;
    agree(&scenario, "context 3 accepted in " IMPLICIT " scu=0 scp=1\n");
}

static void set_info(struct hl_ul_extended *extended, const char *bytes, uint16_t n)
{
    free(extended->info);
    extended->info = calloc(1, n + 1u);
    memcpy(extended->info, bytes, n);
    extended->length = n;
    extended->is_accepted = true;
}

/* The first with other contents, the second not at all, the third as it came. */
static void decide_extended(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    accept_all(params, reject);
    assert_int_equal(params->n_extended, 3);
    set_info(&params->extended[0], "\1\0\1", 3);
    params->extended[2].is_accepted = true;
}

static void extended_negotiation__accepted_changed_and_passed_over(void **state)
{
    static uint8_t infos[3][6] = {{1, 1, 1, 1}, {7}, {1, 0, 0, 0, 0, 2}};
    struct hl_ul_context contexts[] = {context(1, FIND), context(3, MOVE), context(5, CT)};
    struct hl_ul_extended extended[] = {
        {.sop_class = FIND, .length = 4, .info = infos[0]},
        {.sop_class = MOVE, .length = 1, .info = infos[1]},
        {.sop_class = CT, .length = 6, .info = infos[2]},
    };
    struct scenario scenario = script("extended negotiation", contexts, 3);
    (void)state;
    scenario.proposal.extended = extended;
    scenario.proposal.n_extended = 3;
    scenario.decide = decide_extended;
    agree(&scenario, "extended " FIND " info=010001\nextended " CT " info=010000000002\n");
}

/* Tickets and tokens get one back; names and passcodes an empty answer (PS3.7 D.3.3.7.2). */
static void decide_identity(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    struct hl_ul_identity *identity = &params->identity;
    accept_all(params, reject);
    if (!identity->wants_response)
        return;
    identity->response = calloc(1, 8);
    if (identity->type > 2) {
        memcpy(identity->response, "\1ticket", 7);
        identity->response_length = 7;
    }
}

static void user_identity__of_every_type_with_and_without_an_answer(void **state)
{
    static uint8_t name[] = "m\xc3\xbcller", passcode[] = "geheim", ticket[] = "\0\1\2 ticket";
    struct hl_ul_context contexts[] = {context(1, VERIFICATION)};
    struct scenario scenario = script("user identity", contexts, 1);
    struct hl_ul_identity *identity = &scenario.proposal.identity;
    (void)state;
    scenario.decide = decide_identity;
    for (unsigned i = 0; i < 10; i++) {
        *identity = (struct hl_ul_identity){.type = (uint8_t)(i / 2 + 1),
                                            .wants_response = i % 2,
                                            .primary = i < 4 ? name : ticket,
                                            .primary_length = i < 4 ? 7 : 9};
        if (identity->type == 2) {
            identity->secondary = passcode;
            identity->secondary_length = 6;
        }
        char text[64];
        snprintf(text, sizeof text, "identity %u response=%u primary=", i / 2 + 1, i % 2);
        agree(&scenario, text);
    }
}

static struct hl_ul_reject rejection;

static void decide_no(struct hl_ul_params *params, struct hl_ul_reject *reject)
{
    (void)params;
    *reject = rejection;
}

static void rejections__with_every_reason(void **state)
{
    static const struct hl_ul_reject reasons[] = {{1, 1, 1}, {1, 1, 2}, {1, 1, 3},
                                                  {1, 1, 7}, {1, 2, 1}, {1, 2, 2},
                                                  {2, 1, 1}, {2, 3, 1}, {2, 3, 2}};
    struct hl_ul_context contexts[] = {context(1, VERIFICATION)};
    struct scenario scenario = script("rejection", contexts, 1);
    (void)state;
    scenario.decide = decide_no;
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
        char text[64];
        rejection = reasons[i];
        snprintf(text, sizeof text, "rejected %u/%u/%u\n", rejection.result, rejection.source,
                 rejection.reason);
        agree(&scenario, text);
    }
}

static void aborts__of_either_side_at_every_stage(void **state)
{
    static const struct side_message messages[] = {{1, 40000, 40000}, {1, 40000, 10}};
    static const enum side_end ends[] = {SIDE_ABORT, SIDE_ABORT_HALFWAY, SIDE_ABORT_UNANSWERED};
    struct hl_ul_context contexts[] = {context(1, CT)};
    struct scenario scenario = script("abort", contexts, 1);
    (void)state;
    scenario.end = SIDE_ABORT;
    agree(&scenario, "aborted\n");
    scenario.messages = messages;
    scenario.n_messages = 2;
    for (size_t i = 0; i < 3; i++) {
        scenario.end = ends[i];
        agree(&scenario, "aborted\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages__both_ways_on_several_contexts),
        cmocka_unit_test(titles__of_sixteen_characters_and_with_spaces_inside),
        cmocka_unit_test(largest_pdus__of_all_kinds_are_respected),
        cmocka_unit_test(contexts__128_of_them_accepted_and_refused_in_every_way),
        cmocka_unit_test(roles__proposed_and_cut),
        cmocka_unit_test(extended_negotiation__accepted_changed_and_passed_over),
        cmocka_unit_test(user_identity__of_every_type_with_and_without_an_answer),
        cmocka_unit_test(rejections__with_every_reason),
        cmocka_unit_test(aborts__of_either_side_at_every_stage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
