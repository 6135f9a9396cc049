/* A plugin of one kind of capability; what it is and says of itself is a definition of CMakeLists.txt.
 * SPDX-License-Identifier: Apache-2.0 */
#include "hilum/auth.h"
#include "hilum/codec.h"
#include "hilum/host.h"
#include "hilum/route.h"

#ifdef CODEC_PRIORITY
static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    (void)self;
    (void)coded;
    (void)out;
    return HILUM_EUNSUP;
}

static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    (void)self;
    (void)coded;
    (void)wanted;
    (void)dst;
    (void)dst_size;
    (void)out;
    return HILUM_EUNSUP;
}

static const struct hilum_codec_syntax syntaxes[] = {
    {"1.2.3.4", CODEC_FLAGS, CODEC_PRIORITY},
    {0},
};
static const struct hilum_codec table = {
    .cap = {.size = sizeof table, .kind = HILUM_CAP_CODEC, .name = PLUGIN_ID},
    .syntaxes = syntaxes,
    .info = info,
    .decode = decode,
};
#endif

#ifdef ROUTE_PATTERN
#ifndef ROUTE_PERMISSION
#define ROUTE_PERMISSION "status"
#endif
static hilum_rc run(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    (void)self;
    return api->respond(http, 200, "text/plain", "", 0);
}

static const struct hilum_route table = {
    .cap = {.size = sizeof table, .kind = HILUM_CAP_ROUTE, .name = PLUGIN_ID},
    .methods = ROUTE_METHODS,
    .pattern = ROUTE_PATTERN,
    .permission = ROUTE_PERMISSION,
    .run = run,
};
#endif

#ifdef AUTH_ORDER
static hilum_rc check(void *self, const struct hilum_credentials *shown, hilum_identity_cb each,
                      void *arg)
{
    (void)self;
    (void)shown;
    (void)each;
    (void)arg;
    return HILUM_AUTH_UNKNOWN;
}

static const struct hilum_auth table = {
    .cap = {.size = sizeof table, .kind = HILUM_CAP_AUTH, .name = PLUGIN_ID},
    .order = AUTH_ORDER,
    .kinds = 1u << HILUM_CRED_PASSWORD,
    .check = check,
};
#endif

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    (void)conf;
    *state = self;
    return host->provide(self, &table.cap, self);
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = PLUGIN_ID,
        .version = "1",
        .vendor = "Test",
        .licence = "Apache-2.0",
        .init = init,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
