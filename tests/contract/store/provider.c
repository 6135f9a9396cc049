/* A host of one store. SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/store/provider.h"

#include <stdio.h>
#include <string.h>

enum { OPTIONS = 32 };

const char *provider_reason(void)
{
    return fake_host_reason();
}

hilum_rc provider_open(struct provider *provider, const char *so, const char *root,
                       const char *const *options, int n)
{
    char keys[OPTIONS][32];
    struct fake_option pairs[OPTIONS + 2] = {{"root", root}};
    for (int i = 0; i < n && i < OPTIONS; i++) {
        size_t length = strcspn(options[i], "=");
        snprintf(keys[i], sizeof keys[i], "%.*s", (int)length, options[i]);
        pairs[i + 1] = (struct fake_option){keys[i], options[i] + length + 1};
    }
    memset(provider, 0, sizeof *provider);
    provider->host = fake_host_open(so, root, pairs);
    if (provider->host == NULL)
        return fake_host_error();
    provider->table = fake_host_cap(provider->host, HILUM_CAP_STORE, &provider->instance);
    return HILUM_OK;
}

void provider_close(struct provider *provider)
{
    fake_host_close(provider->host);
    memset(provider, 0, sizeof *provider);
}
