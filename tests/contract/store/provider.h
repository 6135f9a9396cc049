/* Loads one store plugin the way the host does, as far as a store can notice: options table, init,
 * start, drain, fini. For tests and benchmarks; it knows no particular provider.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_STORE_PROVIDER_H
#define TESTS_STORE_PROVIDER_H

#include "hilum/store.h"
#include "tests/fake_host.h"

struct provider {
    const struct hilum_store *table;
    void *instance;
    hilum_self *host;
};

/* options: "key=value" texts, n of them; `root` given separately. HILUM_OK or init's error. */
hilum_rc provider_open(struct provider *provider, const char *so, const char *root,
                       const char *const *options, int n);
/* drain and fini; the module stays mapped. */
void provider_close(struct provider *provider);
/* The last reason a plugin gave on this thread. */
const char *provider_reason(void);

#endif
