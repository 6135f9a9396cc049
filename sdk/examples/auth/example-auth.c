/* example-auth: one program is known by one bearer token of the configuration. It knows the SDK only.
 * SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "hilum/auth.h"
#include "hilum/host.h"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *token, *user, *roles;
};

/* Looks at every byte whatever differs, so that time tells nothing about the token. */
static int is_same(const unsigned char *shown, uint64_t n, const char *token)
{
    uint64_t length = strlen(token);
    unsigned difference = n != length;
    for (uint64_t i = 0; i < n; i++)
        difference |= shown[i] ^ (unsigned char)token[length ? i % length : 0];
    return difference == 0 && length > 0;
}

static hilum_rc check(void *instance, const struct hilum_credentials *shown, hilum_identity_cb each,
                      void *arg)
{
    const struct conf *conf = instance;
    if (shown->kind != HILUM_CRED_BEARER ||
        !is_same(shown->secret, shown->secret_length, conf->token))
        return HILUM_AUTH_UNKNOWN; /* somebody else's token: the next of the chain is asked */
    const struct hilum_identity identity = {.size = sizeof identity,
                                            .flags = HILUM_IDENTITY_SERVICE,
                                            .user = conf->user,
                                            .display = conf->user,
                                            .roles = conf->roles,
                                            .departments = "",
                                            .scope = ""};
    return each(arg, &identity);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_auth table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_AUTH,
                .threads = HILUM_PARALLEL,
                .name = "example-auth"},
        .order = 500, /* after Hilum's own accounts */
        .kinds = 1u << HILUM_CRED_BEARER,
        .check = check,
    };
    *state = NULL;
    return host->provide(self, &table.cap, (void *)(uintptr_t)conf);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"token", HILUM_OPT_SECRET, offsetof(struct conf, token), "", NULL,
         "The bearer token; without one nobody is known."},
        {"user", HILUM_OPT_STR, offsetof(struct conf, user), "example-program", NULL,
         "Whose token it is, as audit records name it."},
        {"roles", HILUM_OPT_STR, offsetof(struct conf, roles), "", NULL,
         "Roles of the configuration it has, separated by commas."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-auth",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
