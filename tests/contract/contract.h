/* What the contract suites of one kind share: one provider in a fake host, a sink that keeps what was written.
 * Each suite is a program: contract_KIND PLUGIN.so [key=value...]. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONTRACT_H
#define TESTS_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/fake_host.h"

/* Bytes a provider wrote. Above `limit` (0: none) write fails with HILUM_EFULL, as a full client would. */
struct kept {
    unsigned char *bytes;
    uint64_t n, limit;
    unsigned calls;
};
struct hilum_sink kept_sink(struct kept *kept);
void kept_free(struct kept *kept);

/* The provider under test; opened before every test and closed after it. */
struct provided {
    char dir[64];
    hilum_self *host;
    const void *table;
    void *self;
};
int provided_setup(void **state);
int provided_teardown(void **state);
#define PROVIDED_TEST(f) cmocka_unit_test_setup_teardown(f, provided_setup, provided_teardown)

/* Takes the arguments and runs the tests; exit status for main. kind: HILUM_CAP_*. */
int contract_main(int argc, char **argv, uint32_t kind, int (*run)(void));

#endif
