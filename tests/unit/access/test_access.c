/* The policy against a table a person reads. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/access/access.h"
#include "core/base/error.h"
#include "core/config/config.h"
#include "core/config/peers.h"

static const char *const service_names[] = {"echo", "store", "find", "move", "get"};

static bool allows(struct hl_principal principal, const char *action)
{
    hilum_rc rc = hl_allow(&principal, action, NULL);
    assert_true(rc == HILUM_OK || rc == HILUM_EDENIED);
    return rc == HILUM_OK;
}

/* What no account may be given: it would allow nothing, and nobody would be told. */
static void roles__that_nobody_knows_are_refused_with_the_nearest(void **state)
{
    (void)state;
    assert_int_equal(hl_roles_known(NULL, "radiologist, security officer,it"), HILUM_OK);
    assert_int_equal(hl_roles_known(NULL, ""), HILUM_OK);
    assert_int_equal(hl_roles_known(NULL, "it,radiologst"), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "found \"radiologst\"; did you mean \"radiologist\"?"));
    assert_non_null(strstr(hl_error(), "\"administrator\", \"security officer\", "));
    assert_int_equal(hl_actions_known("find,retrieve status"), HILUM_OK);
    assert_int_equal(hl_actions_known("*"), HILUM_OK);
    assert_int_equal(hl_actions_known("find retreive"), HILUM_EINVAL);
    assert_non_null(strstr(hl_error(), "found \"retreive\"; did you mean \"retrieve\"?"));
}

/* More than a message lists, and the last of a long name: it is a role all the same. */
#define LAST_WARD                                                                                  \
    "ward of all who were brought here at night from the island in the north of the bay"

static void roles__of_a_large_site_are_all_known(void **state)
{
    (void)state;
    char path[] = "/tmp/hl_access_XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    assert_non_null(file);
    fputs("roles = (", file);
    for (int i = 0; i < 120; i++)
        fprintf(file, "{ name = \"ward %d\"; allow = (\"find\"); }, ", i);
    fputs("{ name = \"" LAST_WARD "\"; allow = (\"find\"); });\n"
          "peers = ({ name = \"P\"; aet = \"P\"; host = \"127.0.0.1\"; roles = (\"" LAST_WARD
          "\"); });\n",
          file);
    fclose(file);
    struct hl_faults faults = {0};
    struct hl_config *config = NULL;
    const struct hl_config_paths paths = {.main = path};
    assert_int_equal(hl_config_load(&paths, &faults, &config), HILUM_OK);
    unlink(path);
    hl_roles_check(config, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(hl_roles_known(config, "it, ward 119, " LAST_WARD), HILUM_OK);
    assert_int_equal(hl_roles_known(config, "ward 120"), HILUM_EINVAL);
    hl_config_unref(config);
    hl_faults_fini(&faults);
}

static void check_known_peer(const char *action, const char *services)
{
    for (unsigned i = 0; i < 5; i++) {
        struct hl_peer peer = {.name = "P", .services = 1u << i};
        struct hl_principal principal = {
            .kind = HL_PRINCIPAL_PEER, .peer = &peer, .address = "::1"};
        assert_int_equal(allows(principal, action), strstr(services, service_names[i]) != NULL);
        peer.services = HL_SERVICE_ALL & ~peer.services;
        bool has_other = strcmp(services, "-") != 0 && strcmp(services, service_names[i]) != 0;
        assert_int_equal(allows(principal, action), has_other);
    }
}

static void check_unknown_peer(const char *action, bool anywhere, bool loopback)
{
    struct hl_principal principal = {
        .kind = HL_PRINCIPAL_PEER, .address = "10.0.0.1", .accept_unknown = true};
    assert_int_equal(allows(principal, action), anywhere);
    principal.address = NULL;
    assert_int_equal(allows(principal, action), anywhere);
    principal.address = "::ffff:127.0.0.1";
    assert_int_equal(allows(principal, action), loopback);
    principal.accept_unknown = false;
    assert_false(allows(principal, action));
}

static void check_others(const char *action, bool rule)
{
    assert_int_equal(allows((struct hl_principal){.kind = HL_PRINCIPAL_RULE, .name = "r"}, action),
                     rule);
    assert_true(allows((struct hl_principal){.kind = HL_PRINCIPAL_SYSTEM}, action));
    assert_true(allows((struct hl_principal){.kind = HL_PRINCIPAL_USER, .uid = 0}, action));
    assert_true(allows((struct hl_principal){.kind = HL_PRINCIPAL_USER, .uid = geteuid()}, action));
    assert_false(
        allows((struct hl_principal){.kind = HL_PRINCIPAL_USER, .uid = geteuid() + 1}, action));
    assert_false(allows((struct hl_principal){0}, action));
}

static void policy__is_the_reviewed_matrix(void **state)
{
    (void)state;
    char line[256], action[64], known[64], anywhere[8], loopback[8], rule[8];
    int rows = 0, actions = 0;
    FILE *f = fopen(MATRIX, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%63[^\t]\t%63[^\t]\t%7[^\t]\t%7[^\t]\t%7[^\n]", action,
                                known, anywhere, loopback, rule),
                         5);
        check_known_peer(action, known);
        check_unknown_peer(action, strcmp(anywhere, "yes") == 0, strcmp(loopback, "yes") == 0);
        check_others(action, strcmp(rule, "yes") == 0);
        rows++;
    }
    fclose(f);
    for (int i = 0; hl_action_at((size_t)i); i++)
        actions = i + 1;
    assert_int_equal(rows, actions); /* an action without a row fails */
}

static void unknown_action__is_a_defect_and_never_allowed(void **state)
{
    (void)state;
    struct hl_principal system = {.kind = HL_PRINCIPAL_SYSTEM};
    assert_int_equal(hl_allow(&system, "format.disk", NULL), HILUM_EINTERNAL);
    assert_int_equal(hl_allow(&system, NULL, NULL), HILUM_EINTERNAL);
    assert_false(hl_action_is_known("format.disk"));
    assert_true(hl_action_is_known("echo"));
}

static void refusal__says_who_what_and_what_to_do(void **state)
{
    (void)state;
    struct hl_peer peer = {.name = "CT1", .services = HL_SERVICE_ECHO};
    struct hl_principal known = {.kind = HL_PRINCIPAL_PEER, .peer = &peer, .address = "10.0.0.1"};
    struct hl_principal unknown = {.kind = HL_PRINCIPAL_PEER, .aet = "X", .address = "10.0.0.2"};
    assert_int_equal(hl_allow(&known, "store", NULL), HILUM_EDENIED);
    assert_string_equal(hl_error(), "peer CT1 (10.0.0.1): store: not among its services");
    assert_int_equal(hl_allow(&unknown, "echo", NULL), HILUM_EDENIED);
    assert_string_equal(hl_error(), "unknown peer X (10.0.0.2): echo: add it to peers");
}

/* Each row: an action, then yes or - for every shipped role. */
static void roles__are_the_reviewed_table(void **state)
{
    (void)state;
    char line[512];
    int rows = 0, n_actions = 0;
    FILE *f = fopen(ROLES, "r");
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        char *rest = NULL, *action = strtok_r(line, "\t\n", &rest);
        if (line[0] == '#')
            continue;
        for (size_t i = 0; hl_role_at(i); i++) {
            char *cell = strtok_r(NULL, "\t\n", &rest);
            assert_non_null(cell);
            struct hl_view *view = NULL;
            const struct hl_view_of of = {.roles = hl_role_at(i)};
            assert_int_equal(hl_view_new(NULL, &of, &view), HILUM_OK);
            struct hl_principal who = {.kind = HL_PRINCIPAL_PERSON, .view = view};
            assert_int_equal(allows(who, action), strcmp(cell, "yes") == 0);
            hl_view_unref(view);
        }
        rows++;
    }
    fclose(f);
    for (int i = 0; hl_action_at((size_t)i); i++)
        n_actions = i + 1;
    assert_int_equal(rows, n_actions);
}

static void person__may_what_any_role_allows_within_the_scope(void **state)
{
    (void)state;
    struct hl_principal *who = NULL;
    struct hilum_identity identity = {
        .size = sizeof identity, .user = "li", .roles = "statistician,resident", .scope = ""};
    const struct hl_principal_of of = {.identity = &identity, .address = "10.0.0.9"};
    assert_int_equal(hl_principal_new(&of, &who), HILUM_OK);
    assert_true(allows(*who, "retrieve"));
    assert_false(allows(*who, "store"));
    assert_int_equal(hl_allow(who, "store", NULL), HILUM_EDENIED);
    assert_string_equal(
        hl_error(), "li (10.0.0.9): store: not among the actions of the roles, or of the token");
    hl_principal_free((struct hilum_principal *)who);
    identity.scope = "find,store";
    assert_int_equal(hl_principal_new(&of, &who), HILUM_OK);
    assert_true(allows(*who, "find"));
    assert_false(allows(*who, "retrieve"));
    assert_false(allows(*who, "store"));
    hl_principal_free((struct hilum_principal *)who);
    identity.flags = HILUM_IDENTITY_MUST_CHANGE;
    assert_int_equal(hl_principal_new(&of, &who), HILUM_OK);
    assert_false(allows(*who, "find"));
    hl_principal_free((struct hilum_principal *)who);
    identity = (struct hilum_identity){
        .size = sizeof identity, .user = "li", .roles = "no such role", .scope = ""};
    assert_int_equal(hl_principal_new(&of, &who), HILUM_OK);
    assert_int_equal(hl_view_actions(who->view), 0);
    hl_principal_free((struct hilum_principal *)who);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy__is_the_reviewed_matrix),
        cmocka_unit_test(unknown_action__is_a_defect_and_never_allowed),
        cmocka_unit_test(roles__that_nobody_knows_are_refused_with_the_nearest),
        cmocka_unit_test(roles__of_a_large_site_are_all_known),
        cmocka_unit_test(roles__are_the_reviewed_table),
        cmocka_unit_test(person__may_what_any_role_allows_within_the_scope),
        cmocka_unit_test(refusal__says_who_what_and_what_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
