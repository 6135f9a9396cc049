/* Codecs of plugins, as the store asks for them.
 *
 * The store knows no plugins; it gets three functions. SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/plugin.h"
#include "core/server/server.h"

/* rank counts from the best on: the store tries the next where one says that it cannot. */
static const struct hilum_codec *find(void *arg, const char *transfer_syntax, uint32_t flags,
                                      uint32_t rank, void **instance)
{
    return hl_plugins_codec_for(arg, transfer_syntax, flags, rank, instance);
}

/* Around every call: a serial codec is called by one thread at a time, and a swap waits for
 * it. */
static void enter(void *arg, const struct hilum_cap *cap)
{
    hl_plugins_enter(arg, cap);
}

static void leave(void *arg, const struct hilum_cap *cap)
{
    hl_plugins_leave(arg, cap);
}

/* Codecs of a plugin may change while the server runs: the store asks for each object anew. */
void hl_server_codecs(struct hl_plugins *plugins, struct hl_codecs *out)
{
    *out = (struct hl_codecs){find, enter, leave, plugins};
}
