/* dicomweb-client: peers that speak DICOMweb are sent to by STOW-RS and fetched from by WADO-RS. The plugin's options and
 * life. SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <stdlib.h>

static const struct hilum_option options[] = {
    {"stall", HILUM_OPT_MSEC, offsetof(struct client_conf, stall), "60s", "1s..1h",
     "A peer that moves no byte for this long is given up; the outbox tries again."},
    {"at_once", HILUM_OPT_INT, offsetof(struct client_conf, at_once), "20", "1..64",
     "Objects of one STOW-RS request at most."},
    {"answer_max", HILUM_OPT_BYTES, offsetof(struct client_conf, answer_max), "4MiB",
     "64KiB..256MiB", "Of a peer's answer: a longer one counts as none."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

static const struct hilum_carrier carrier = {
    .cap = {.size = sizeof(struct hilum_carrier),
            .kind = HILUM_CAP_CARRIER,
            .threads = HILUM_PARALLEL,
            .name = "dicomweb"},
    .send = client_send,
    .fetch = client_fetch,
    .search = client_search,
};

static void client_fini(void *state)
{
    free(state);
    curl_global_cleanup();
}

/* libcurl counts curl_global_init: each life of the plugin has its own. */
static hilum_rc client_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                            void **state)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(client);
        return host->fail(self, HILUM_ENOMEM, "dicomweb-client: no memory");
    }
    client->host = host;
    client->self = self;
    client->conf = conf;
    hilum_rc rc = host->provide(self, &carrier.cap, client);
    if (rc != HILUM_OK)
        client_fini(client);
    else
        *state = client;
    return rc;
}

static hilum_rc client_start(void *state)
{
    const struct client *client = state;
    if (client->host->objects == NULL || client->host->objects->lends == NULL)
        return client->host->fail(client->self, HILUM_EUNSUP, "this host offers no objects");
    return HILUM_OK;
}

static void client_drain(void *state, uint32_t deadline_ms)
{
    struct client *client = state;
    (void)deadline_ms;
    atomic_store(&client->is_draining, true);
}

static const char *const provides[] = {"carrier:dicomweb", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct client_conf),
    .id = "dicomweb-client",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = client_init,
    .start = client_start,
    .drain = client_drain,
    .fini = client_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
