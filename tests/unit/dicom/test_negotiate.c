/* Peers x classes x policies: what an association gets. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/dicom/negotiate.h"
#include "core/dicom/scu_internal.h"
#include "core/dicom/uid.h"
#include "fake.h"

#define CT          "1.2.840.10008.5.1.4.1.1.2"
#define MR          "1.2.840.10008.5.1.4.1.1.4"
#define PRIVATE     "1.3.12.2.1107.5.9.1"
#define UNKNOWN     "1.2.3.4.5.6"
#define NEW_STORAGE "1.2.840.10008.5.1.4.1.1.999.1"
#define IMPLICIT    HL_UID_IMPLICIT_LITTLE_ENDIAN
#define EXPLICIT    HL_UID_EXPLICIT_LITTLE_ENDIAN
#define BIG         HL_UID_EXPLICIT_BIG_ENDIAN
#define J2K         HL_UID_JPEG_2000_LOSSLESS
#define JPEG        HL_UID_JPEG_BASELINE
#define STRANGE     "1.3.6.1.4.1.99999.42"

static const char site[] =
    "dicom = { aet = \"HILUM\"; aets = ( \"ARCHIVE2\" ); private_sop_classes = ( \"" PRIVATE "\" );"
    " unknown_peers = \"%s\"; accept_unknown_sop_classes = %s; };"
    "peers = ( { name = \"ct\"; aet = \"CT1\"; cidr = ( \"10.0.0.0/8\" ); services = ( \"echo\", "
    "\"store\" ); },"
    "          { name = \"ws\"; aet = \"WS1\"; cidr = ( \"10.0.0.0/8\" ); services = ( \"find\", "
    "\"move\", \"get\" );"
    "            called_aets = ( \"HILUM\" ); },"
    "          { name = \"old\"; aet = \"OLD\"; cidr = ( \"10.0.0.0/8\" ); transfer_syntaxes = ( "
    "\"" J2K "\" ); },"
    "          { name = \"strict\"; aet = \"STRICT\"; cidr = ( \"10.0.0.0/8\" ); "
    "transfer_syntaxes = ( \"ImplicitVRLittleEndian\", \"" J2K "\" ); "
    "transfer_syntaxes_only = true; } );";

static struct hl_policy *policy_of(const char *unknown_peers, const char *unknown_classes)
{
    char text[2048];
    struct hl_policy *policy;
    snprintf(text, sizeof text, site, unknown_peers, unknown_classes);
    struct hl_config *config = fake_config(text);
    assert_int_equal(hl_policy_new(config, &policy), HILUM_OK);
    hl_config_unref(config);
    return policy;
}

static bool has(void *arg, const char *sop_class)
{
    (void)arg;
    return !strncmp(sop_class, "1.2.840.10008.5.1.4.1.2.", 24);
}

/* Grants relational queries and nothing else. */
static hilum_rc extended(void *arg, const char *sop_class, const uint8_t *info, uint64_t length,
                         uint8_t *answer, uint64_t capacity, uint64_t *n)
{
    (void)arg, (void)sop_class, (void)capacity;
    answer[0] = length ? info[0] : 0;
    *n = 1;
    return HILUM_OK;
}

/* Of MR there are JPEG 2000 objects and a few plain ones; of all else nothing is known. */
static uint64_t leaving(void *arg, const char *sop_class, const char *syntax)
{
    (void)arg;
    if (strcmp(sop_class, MR))
        return 0;
    return !strcmp(syntax, J2K) ? 100 : !strcmp(syntax, JPEG) ? 0 : 7;
}

static const struct hl_services services = {.has = has, .extended = extended, .leaving = leaving};

/* ---- peers ------------------------------------------------------------------------------------ */

struct caller {
    const char *policy, *calling, *called, *address;
    unsigned reason; /* 0: let in */
    const char *peer;
};

static const struct caller callers[] = {
    {"refuse", "CT1", "HILUM", "10.1.1.1", 0, "ct"},
    {"refuse", "CT1", "ARCHIVE2", "10.1.1.1", 0, "ct"},
    {"refuse", "CT1", "OTHER", "10.1.1.1", 7, NULL},
    {"accept", "CT1", "OTHER", "10.1.1.1", 7, NULL},
    {"refuse", "CT1", "HILUM", "192.168.1.1", 3, NULL},
    {"refuse", "NOBODY", "HILUM", "10.1.1.1", 3, NULL},
    {"refuse", "NOBODY", "HILUM", "127.0.0.1", 3, NULL},
    {"accept", "NOBODY", "HILUM", "10.1.1.1", 0, NULL},
    {"refuse", "WS1", "HILUM", "10.1.1.1", 0, "ws"},
    {"refuse", "WS1", "ARCHIVE2", "10.1.1.1", 3, NULL},
    {"refuse", "ct1", "HILUM", "10.1.1.1", 3, NULL},
};

static void peer__is_let_in_or_told_why(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++) {
        const struct caller *caller = &callers[i];
        struct hl_policy *policy = policy_of(caller->policy, "false");
        struct hl_ul_params params = {0};
        struct hl_ul_reject reject = {0};
        struct hl_principal principal;
        char why[HL_WHY_MAX];
        snprintf(params.calling_aet, sizeof params.calling_aet, "%s", caller->calling);
        snprintf(params.called_aet, sizeof params.called_aet, "%s", caller->called);
        snprintf(params.address, sizeof params.address, "%s", caller->address);
        hl_negotiate_peer(policy, &params, &principal, &reject, why);
        if (reject.reason != caller->reason)
            fail_msg("row %zu: reason %u, expected %u (%s)", i, reject.reason, caller->reason, why);
        assert_int_equal(reject.result, caller->reason ? 1 : 0);
        assert_int_equal(why[0] != 0, caller->reason != 0);
        if (caller->peer)
            assert_string_equal(principal.peer->name, caller->peer);
        hl_policy_unref(policy);
    }
}

/* ---- contexts --------------------------------------------------------------------------------- */

enum role { NONE, SCU, SCP, BOTH };

struct proposal {
    const char *calling, *address, *unknown_peers, *unknown_classes;
    const char *sop_class;
    enum role role;
    const char *syntaxes[4];
    unsigned result;
    const char *chosen;
    enum role granted; /* of a role that was proposed */
};

#define OK          HL_UL_ACCEPTED
#define NO          HL_UL_USER_REJECTION
#define ABS         HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED
#define TS          HL_UL_TRANSFER_SYNTAXES_NOT_SUPPORTED
#define CT_PEER     "CT1", "10.0.0.1", "refuse", "false"
#define WS_PEER     "WS1", "10.0.0.1", "refuse", "false"
#define STRICT_PEER "STRICT", "10.0.0.1", "refuse", "false"

static const struct proposal proposals[] = {
    /* services of the peer */
    {CT_PEER, HL_UID_VERIFICATION, NONE, {IMPLICIT}, OK, IMPLICIT, NONE},
    {CT_PEER, HL_UID_VERIFICATION, NONE, {IMPLICIT, EXPLICIT}, OK, EXPLICIT, NONE},
    {WS_PEER, HL_UID_VERIFICATION, NONE, {IMPLICIT}, NO, "", NONE},
    {CT_PEER, HL_UID_STUDY_ROOT_FIND, NONE, {EXPLICIT}, NO, "", NONE},
    {WS_PEER, HL_UID_STUDY_ROOT_FIND, NONE, {IMPLICIT, EXPLICIT}, OK, EXPLICIT, NONE},
    {WS_PEER, HL_UID_STUDY_ROOT_FIND, NONE, {BIG}, OK, BIG, NONE},
    {WS_PEER, HL_UID_STUDY_ROOT_FIND, NONE, {J2K}, TS, "", NONE},
    {WS_PEER, HL_UID_PATIENT_ROOT_MOVE, NONE, {IMPLICIT}, OK, IMPLICIT, NONE},
    {WS_PEER, CT, NONE, {EXPLICIT}, NO, "", NONE},
    /* any syntax, as proposed, never decompressed */
    {CT_PEER, CT, NONE, {IMPLICIT}, OK, IMPLICIT, NONE},
    {CT_PEER, CT, NONE, {IMPLICIT, BIG, EXPLICIT}, OK, EXPLICIT, NONE},
    {CT_PEER, CT, NONE, {BIG, IMPLICIT}, OK, BIG, NONE},
    {CT_PEER, CT, NONE, {J2K, EXPLICIT}, OK, J2K, NONE},
    {CT_PEER, CT, NONE, {JPEG, J2K}, OK, JPEG, NONE},
    {CT_PEER, CT, NONE, {STRANGE}, OK, STRANGE, NONE},
    {CT_PEER, CT, NONE, {NULL}, TS, "", NONE},
    {"OLD", "10.0.0.1", "refuse", "false", CT, NONE, {JPEG, J2K}, OK, J2K, NONE},
    {"OLD", "10.0.0.1", "refuse", "false", CT, NONE, {JPEG}, OK, JPEG, NONE},
    {STRICT_PEER, CT, NONE, {EXPLICIT, J2K, IMPLICIT}, OK, IMPLICIT, NONE},
    {STRICT_PEER, CT, NONE, {EXPLICIT, J2K}, OK, J2K, NONE},
    {STRICT_PEER, CT, NONE, {EXPLICIT, JPEG}, TS, "", NONE},
    {STRICT_PEER, CT, SCP, {EXPLICIT}, TS, "", NONE},
    {STRICT_PEER, CT, SCP, {EXPLICIT, J2K}, OK, J2K, SCP},
    {STRICT_PEER, HL_UID_STUDY_ROOT_FIND, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    /* classes */
    {CT_PEER, NEW_STORAGE, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    {CT_PEER, PRIVATE, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    {CT_PEER, UNKNOWN, NONE, {EXPLICIT}, ABS, "", NONE},
    {"CT1", "10.0.0.1", "refuse", "true", UNKNOWN, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    {"CT1", "10.0.0.1", "refuse", "true", HL_UID_MPPS, NONE, {EXPLICIT}, ABS, "", NONE},
    {CT_PEER, "not a uid", NONE, {EXPLICIT}, ABS, "", NONE},
    /* roles: C-GET needs the requestor as SCP of storage */
    {WS_PEER, CT, SCP, {EXPLICIT}, OK, EXPLICIT, SCP},
    {WS_PEER, CT, SCP, {J2K, IMPLICIT, EXPLICIT}, OK, EXPLICIT, SCP},
    {WS_PEER, CT, SCP, {BIG, IMPLICIT}, OK, IMPLICIT, SCP},
    {WS_PEER, CT, SCP, {J2K, JPEG}, OK, J2K, SCP},
    {WS_PEER, MR, SCP, {EXPLICIT, J2K}, OK, J2K, SCP},
    {WS_PEER, MR, SCP, {EXPLICIT, IMPLICIT, JPEG}, OK, EXPLICIT, SCP},
    {WS_PEER, MR, SCP, {JPEG, IMPLICIT}, OK, IMPLICIT, SCP},
    {WS_PEER, CT, BOTH, {EXPLICIT}, OK, EXPLICIT, SCP},
    {WS_PEER, CT, SCU, {EXPLICIT}, NO, "", NONE},
    {CT_PEER, CT, BOTH, {EXPLICIT}, OK, EXPLICIT, SCU},
    {CT_PEER, CT, SCP, {EXPLICIT}, NO, "", NONE},
    {WS_PEER, HL_UID_STUDY_ROOT_GET, BOTH, {EXPLICIT}, OK, EXPLICIT, SCU},
    {WS_PEER, HL_UID_STUDY_ROOT_GET, SCP, {EXPLICIT}, NO, "", NONE},
    /* unknown peers where they are accepted: echo and store; the rest from loopback */
    {"X", "10.0.0.1", "accept", "false", CT, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    {"X", "10.0.0.1", "accept", "false", HL_UID_VERIFICATION, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
    {"X", "10.0.0.1", "accept", "false", HL_UID_STUDY_ROOT_FIND, NONE, {EXPLICIT}, NO, "", NONE},
    {"X",
     "127.0.0.1",
     "accept",
     "false",
     HL_UID_STUDY_ROOT_FIND,
     NONE,
     {EXPLICIT},
     OK,
     EXPLICIT,
     NONE},
    {"X", "::1", "accept", "false", HL_UID_STUDY_ROOT_GET, NONE, {EXPLICIT}, OK, EXPLICIT, NONE},
};

static enum role role_of(const struct hl_ul_context *context)
{
    return (enum role)((context->scu_role ? SCU : 0) | (context->scp_role ? SCP : 0));
}

static void fill(const struct proposal *row, struct hl_ul_params *params,
                 struct hl_ul_context *context, char (*syntaxes)[HL_UID_MAX])
{
    snprintf(params->calling_aet, sizeof params->calling_aet, "%s", row->calling);
    snprintf(params->called_aet, sizeof params->called_aet, "HILUM");
    snprintf(params->address, sizeof params->address, "%s", row->address);
    params->contexts = context;
    params->n_contexts = 1;
    *context = (struct hl_ul_context){.id = 1,
                                      .transfer_syntaxes = syntaxes,
                                      .result = HL_UL_ABSTRACT_SYNTAX_NOT_SUPPORTED,
                                      .has_roles = row->role != NONE,
                                      .scu_role = row->role & SCU,
                                      .scp_role = row->role & SCP};
    snprintf(context->abstract_syntax, HL_UID_MAX, "%s", row->sop_class);
    while (context->n_transfer_syntaxes < 4 && row->syntaxes[context->n_transfer_syntaxes]) {
        snprintf(syntaxes[context->n_transfer_syntaxes], HL_UID_MAX, "%s",
                 row->syntaxes[context->n_transfer_syntaxes]);
        context->n_transfer_syntaxes++;
    }
}

static void check_row(size_t i)
{
    const struct proposal *row = &proposals[i];
    struct hl_policy *policy = policy_of(row->unknown_peers, row->unknown_classes);
    struct hl_ul_params params = {0};
    struct hl_ul_reject reject = {0};
    struct hl_ul_context context;
    struct hl_principal principal;
    char syntaxes[4][HL_UID_MAX], why[HL_WHY_MAX], whys[1][HL_WHY_MAX];
    fill(row, &params, &context, syntaxes);
    hl_negotiate_peer(policy, &params, &principal, &reject, why);
    assert_int_equal(reject.result, 0);
    hl_negotiate_contexts(policy, &services, &principal, &params, whys);
    if (context.result != row->result || strcmp(context.transfer_syntax, row->chosen))
        fail_msg("row %zu (%s): result %u syntax \"%s\", expected %u \"%s\": %s", i, row->sop_class,
                 context.result, context.transfer_syntax, row->result, row->chosen, whys[0]);
    if (row->role != NONE && role_of(&context) != row->granted)
        fail_msg("row %zu: role %d, expected %d", i, role_of(&context), row->granted);
    assert_int_equal(whys[0][0] != 0, row->result != HL_UL_ACCEPTED);
    hl_policy_unref(policy);
}

static void context__is_decided_by_peer_class_and_policy(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof proposals / sizeof proposals[0]; i++)
        check_row(i);
}

/* ---- what is sent ----------------------------------------------------------------------------- */

#define DEFLATED HL_UID_DEFLATED_LITTLE_ENDIAN

struct sendable {
    const char *listed[3];
    bool only;
    const char *stored;
    size_t alone; /* of the expected ones */
    const char *expected[6];
    const char *wish;
};

static const struct sendable sendables[] = {
    {{NULL}, false, EXPLICIT, 1, {EXPLICIT, IMPLICIT, DEFLATED, BIG}, NULL},
    {{NULL}, false, BIG, 1, {BIG, EXPLICIT, IMPLICIT, DEFLATED}, NULL},
    {{NULL}, false, J2K, 1, {J2K, EXPLICIT, IMPLICIT, DEFLATED, BIG}, NULL},
    {{NULL}, false, STRANGE, 1, {STRANGE}, NULL},
    {{"ImplicitVRLittleEndian"}, false, EXPLICIT, 2, {IMPLICIT, EXPLICIT, DEFLATED, BIG}, NULL},
    {{IMPLICIT}, true, EXPLICIT, 1, {IMPLICIT}, NULL},
    {{J2K, BIG, IMPLICIT},
     true,
     EXPLICIT,
     3,
     {J2K, BIG, IMPLICIT},
     NULL}, /* encoded: the list says so */
    {{J2K, BIG}, true, J2K, 2, {J2K, BIG}, NULL},
    {{JPEG}, false, J2K, 1, {J2K, EXPLICIT, IMPLICIT, DEFLATED, BIG}, NULL},
    {{EXPLICIT}, false, J2K, 2, {EXPLICIT, J2K, IMPLICIT, DEFLATED, BIG}, NULL},
    {{JPEG}, true, J2K, 0, {NULL}, NULL},
    {{NULL}, false, EXPLICIT, 2, {J2K, EXPLICIT, IMPLICIT, DEFLATED, BIG}, J2K},
    {{NULL}, false, EXPLICIT, 2, {JPEG, EXPLICIT, IMPLICIT, DEFLATED, BIG}, JPEG},
    {{BIG}, true, EXPLICIT, 1, {BIG}, J2K}, /* a rule's wish is not above the peer's word */
    {{BIG}, true, EXPLICIT, 1, {BIG}, STRANGE},
};

static void candidates__are_what_the_list_says_then_as_stored(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sendables / sizeof sendables[0]; i++) {
        const struct sendable *row = &sendables[i];
        struct hl_peer peer = {.transfer_syntaxes = (const char **)(uintptr_t)row->listed,
                               .only_listed_syntaxes = row->only};
        while (peer.n_transfer_syntaxes < 3 && row->listed[peer.n_transfer_syntaxes])
            peer.n_transfer_syntaxes++;
        struct hl_candidates found;
        hl_candidates(&peer, row->wish, row->stored, &found);
        for (size_t k = 0; k < found.n; k++)
            if (!row->expected[k] || strcmp(found.syntaxes[k], row->expected[k]))
                fail_msg("row %zu: candidate %zu is %s", i, k, found.syntaxes[k]);
        assert_null(row->expected[found.n]);
        assert_int_equal(found.n_alone, row->alone);
    }
}

static void proposal__gives_each_syntax_of_a_class_once(void **state)
{
    (void)state;
    static struct hl_pairs pairs;
    static struct hl_proposal proposal;
    assert_true(hl_pairs_add(&pairs, CT, EXPLICIT, NULL));
    assert_true(hl_pairs_add(&pairs, CT, IMPLICIT, NULL));
    assert_true(hl_pairs_add(&pairs, CT, J2K, NULL));
    hl_propose(&pairs, &proposal);
    assert_int_equal(proposal.params.n_contexts, 4);
    assert_string_equal(proposal.contexts[2].transfer_syntaxes[0], J2K);
    assert_int_equal(proposal.contexts[3].id, 7);
    assert_int_equal(proposal.contexts[3].n_transfer_syntaxes, 2);
    assert_string_equal(proposal.contexts[3].transfer_syntaxes[1], BIG);
}

/* A rule's wish on an association that never proposed it would go out as stored, and nobody would know why. */
static void link__that_is_kept_serves_what_was_proposed_on_it(void **state)
{
    (void)state;
    static struct hl_pairs plain, wished;
    assert_true(hl_pairs_add(&plain, CT, EXPLICIT, NULL));
    assert_true(hl_pairs_add(&wished, CT, EXPLICIT, J2K));
    const struct hl_link of_plain = {.pairs = plain.items, .n_pairs = plain.n};
    const struct hl_link of_wished = {.pairs = wished.items, .n_pairs = wished.n};
    assert_true(hl_link_covers(&of_plain, &plain));
    assert_true(hl_link_covers(&of_wished, &wished));
    assert_true(hl_link_covers(&of_wished, &plain));
    assert_false(hl_link_covers(&of_plain, &wished));
}

/* ---- extended negotiation and user identity --------------------------------------------------- */

static void answer(struct hl_ul_params *params)
{
    struct hl_policy *policy = policy_of("refuse", "false");
    struct hl_principal principal = {.kind = HL_PRINCIPAL_PEER};
    hl_negotiate_contexts(policy, &services, &principal, params, NULL);
    hl_policy_unref(policy);
}

static struct hl_ul_extended item_of(const char *sop_class)
{
    struct hl_ul_extended item = {.length = 2, .info = calloc(1, 2)};
    item.info[0] = 1;
    snprintf(item.sop_class, sizeof item.sop_class, "%s", sop_class);
    return item;
}

static void extended__is_answered_by_the_service_or_the_storage_class(void **state)
{
    (void)state;
    struct hl_ul_extended items[3] = {item_of(HL_UID_STUDY_ROOT_FIND), item_of(CT),
                                      item_of(UNKNOWN)};
    struct hl_ul_params params = {.extended = items, .n_extended = 3};
    answer(&params);
    assert_true(items[0].is_accepted);
    assert_int_equal(items[0].length, 1);
    assert_int_equal(items[0].info[0], 1);
    assert_true(items[1].is_accepted);
    assert_int_equal(items[1].length, 6);
    assert_int_equal(items[1].info[0], 2); /* level 2, full (PS3.4 B.3.1.1) */
    assert_false(items[2].is_accepted);
    for (size_t i = 0; i < 3; i++)
        free(items[i].info);
}

static void identity__is_answered_for_user_names_that_ask_for_it(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        bool wants, answered;
    } table[] = {{1, true, true},  {2, true, true},  {1, false, false}, {3, true, false},
                 {4, true, false}, {5, true, false}, {0, false, false}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct hl_ul_params params = {
            .identity = {.type = table[i].type, .wants_response = table[i].wants}};
        answer(&params);
        assert_int_equal(params.identity.response != NULL, table[i].answered);
        assert_int_equal(params.identity.response_length, 0);
        free(params.identity.response);
    }
}

/* Roles said and empty allow nothing; not said, they narrow nothing. */
static void view__of_a_peer_is_of_its_roles_and_departments_as_written(void **state)
{
    (void)state;
    struct hl_policy *policy;
    struct hl_config *config = fake_config(
        "roles = ( { name = \"ward\"; allow = ( \"find\" ); studies = ( { departments = ( \"own\" "
        "); } ); } );"
        "peers = ( { name = \"a\"; aet = \"A\"; cidr = ( \"10.0.0.0/8\" ); roles = ( \"ward\" );"
        "            departments = ( \"Heart, Lung\", \"X*\", \"NEURO\" ); },"
        "          { name = \"b\"; aet = \"B\"; cidr = ( \"10.0.0.0/8\" ); roles = ( ); },"
        "          { name = \"c\"; aet = \"C\"; cidr = ( \"10.0.0.0/8\" ); } );");
    assert_int_equal(hl_policy_new(config, &policy), HILUM_OK);
    const struct hl_view *view = hl_policy_view(policy, hl_peers_at(policy->peers, 0));
    assert_int_equal(view->n, 1);
    assert_int_equal(view->grants[0].departments.n, 2);
    assert_string_equal(view->grants[0].departments.texts[0], "Heart, Lung");
    assert_string_equal(view->grants[0].departments.texts[1], "NEURO");
    const struct hl_view *none = hl_policy_view(policy, hl_peers_at(policy->peers, 1));
    assert_non_null(none);
    assert_int_equal(hl_view_actions(none), 0);
    assert_null(hl_policy_view(policy, hl_peers_at(policy->peers, 2)));
    hl_policy_unref(policy);
    hl_config_unref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peer__is_let_in_or_told_why),
        cmocka_unit_test(context__is_decided_by_peer_class_and_policy),
        cmocka_unit_test(candidates__are_what_the_list_says_then_as_stored),
        cmocka_unit_test(proposal__gives_each_syntax_of_a_class_once),
        cmocka_unit_test(link__that_is_kept_serves_what_was_proposed_on_it),
        cmocka_unit_test(extended__is_answered_by_the_service_or_the_storage_class),
        cmocka_unit_test(view__of_a_peer_is_of_its_roles_and_departments_as_written),
        cmocka_unit_test(identity__is_answered_for_user_names_that_ask_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
