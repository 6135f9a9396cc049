/* What every `auth` must do (hilum/auth.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <string.h>

#include "hilum/auth.h"

static hilum_rc count(void *arg, const struct hilum_identity *identity)
{
    assert_true(identity->user && identity->display && identity->roles && identity->departments &&
                identity->scope);
    assert_true(*identity->user);
    (*(unsigned *)arg)++;
    return HILUM_OK;
}

static struct hilum_credentials shown(uint32_t kind, const char *user, const void *secret,
                                      uint64_t n)
{
    return (struct hilum_credentials){.size = sizeof(struct hilum_credentials),
                                      .kind = kind,
                                      .user = user,
                                      .secret = secret,
                                      .secret_length = n,
                                      .remote = "192.0.2.7",
                                      .service = "http",
                                      .totp = "",
                                      .state = ""};
}

static void table__has_a_place_in_the_chain(void **state)
{
    const struct hilum_auth *t = ((struct provided *)*state)->table;
    assert_in_range(t->order, 0, 1000);
    assert_true(t->kinds != 0 && t->kinds < 1u << (HILUM_CRED_CALLBACK + 1));
}

/* Empty and wrong secrets, of every kind, also of kinds it does not know and of none there are. */
static void check__lets_nobody_in_by_accident(void **state)
{
    static const struct {
        const char *user, *secret;
        uint64_t n;
    } cases[] = {{"", "", 0},
                 {"admin", "", 0},
                 {"admin", "admin", 5},
                 {"root", "\0\0\0\0", 4},
                 {"' OR 1=1 --", "' OR 1=1 --", 11},
                 {"\xff\xfe", "\xff\xfe", 2}};
    struct provided *p = *state;
    const struct hilum_auth *t = p->table;
    for (uint32_t kind = 0; kind <= HILUM_CRED_CALLBACK + 1; kind++) {
        for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct hilum_credentials c = shown(kind, cases[i].user, cases[i].secret, cases[i].n);
            unsigned known = 0;
            hilum_rc rc = t->check(p->self, &c, count, &known);
            assert_true(rc == HILUM_AUTH_UNKNOWN || rc == HILUM_EDENIED || rc == HILUM_EAGAIN ||
                        rc == HILUM_EINVAL);
            assert_int_equal(known, 0);
        }
    }
}

static void check__does_not_read_past_the_secret(void **state)
{
    struct provided *p = *state;
    const struct hilum_auth *t = p->table;
    char secret[4096];
    unsigned known = 0;
    memset(secret, 'x', sizeof secret); /* no NUL anywhere */
    struct hilum_credentials c = shown(HILUM_CRED_BEARER, "", secret, sizeof secret);
    assert_int_not_equal(t->check(p->self, &c, count, &known), HILUM_OK);
    c = shown(HILUM_CRED_PASSWORD, "somebody", secret, sizeof secret);
    assert_int_not_equal(t->check(p->self, &c, count, &known), HILUM_OK);
    assert_int_equal(known, 0);
}

static void find__where_offered_does_not_know_strangers(void **state)
{
    struct provided *p = *state;
    const struct hilum_auth *t = p->table;
    unsigned known = 0;
    if (!t->find)
        skip();
    assert_int_equal(t->find(p->self, "nobody-of-this-name", count, &known), HILUM_ENOTFOUND);
    assert_int_equal(known, 0);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {PROVIDED_TEST(table__has_a_place_in_the_chain),
                                       PROVIDED_TEST(check__lets_nobody_in_by_accident),
                                       PROVIDED_TEST(check__does_not_read_past_the_secret),
                                       PROVIDED_TEST(find__where_offered_does_not_know_strangers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_AUTH, run);
}
