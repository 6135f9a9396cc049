/* Query and retrieve for Patient Root and Study Root (PS3.4 annex C) on the kernel's catalogue: the plugin's
 * life and what it agrees to. SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

static const struct hilum_option options[] = {
    {"max_answers", HILUM_OPT_INT, offsetof(struct query_conf, max_answers), "0", "0..100000000",
     "Answers of one C-FIND at most; 0: all."},
    {"pending_interval", HILUM_OPT_MSEC, offsetof(struct query_conf, pending_interval), "500ms",
     "0..60s", "Pause between the pending responses of a C-MOVE or C-GET."},
    {"relational", HILUM_OPT_STR, offsetof(struct query_conf, relational), "negotiated",
     "negotiated|always", "Take queries without the unique keys above their level."},
    {"fuzzy", HILUM_OPT_STR, offsetof(struct query_conf, fuzzy), "negotiated",
     "negotiated|always|never", "Match names in any order of components, by pinyin and initials."},
    {0},
};

static const char *const sop_classes[] = {
    "1.2.840.10008.5.1.4.1.2.1.1",
    "1.2.840.10008.5.1.4.1.2.1.2",
    "1.2.840.10008.5.1.4.1.2.1.3",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.5.1.4.1.2.2.3",
    NULL,
};

/* By command and class together: a C-MOVE on a class of C-FIND is 0211H. */
static hilum_rc handle(void *self, hilum_exchange *exchange)
{
    enum { FIND_RQ = 0x0020, UNRECOGNIZED_OPERATION = 0x0211 };
    const struct query *query = self;
    const struct hilum_dicom_api *api = query->host->dicom;
    const struct query_model *model = query_model_of(api->request(exchange));
    if (!model)
        return api->respond(exchange, UNRECOGNIZED_OPERATION, NULL, NULL,
                            "not an operation of this SOP class");
    return model->command == FIND_RQ ? query_find(query, exchange, model)
                                     : query_retrieve(query, exchange, model);
}

/* Relational queries and retrievals, and for C-FIND combined matching of dates and times and
 * semantic matching of names, for who asks. Not agreed to: time zone adjustment, conversion of
 * frames (PS3.4 C.5). Called for each item of extended negotiation (PS3.7 D.3.3.5) with one of
 * these classes; what is not answered with 1 is not agreed to. */
static hilum_rc negotiate(void *self, const char *sop_class, const uint8_t *info, uint64_t length,
                          uint8_t *answer, uint64_t capacity, uint64_t *n)
{
    enum { RELATIONAL = 0, COMBINED = 1, FUZZY = 2, ITEMS = 5 };
    const struct query *query = self;
    size_t last = strlen(sop_class) - 1;
    bool is_find = sop_class[last] == '1';
    *n = length < ITEMS ? length : ITEMS;
    if (*n > capacity)
        *n = capacity;
    memset(answer, 0, *n);
    if (*n > RELATIONAL)
        answer[RELATIONAL] = info[RELATIONAL] == 1;
    if (*n > COMBINED && is_find)
        answer[COMBINED] = info[COMBINED] == 1;
    if (*n > FUZZY && is_find && strcmp(query->conf->fuzzy, "never"))
        answer[FUZZY] = info[FUZZY] == 1;
    return HILUM_OK;
}

static const struct hilum_service service = {
    .cap = {.size = sizeof service,
            .kind = HILUM_CAP_SERVICE,
            .threads = HILUM_PARALLEL,
            .name = "query"},
    .sop_classes = sop_classes,
    .handle = handle,
    .negotiate = negotiate,
};

static hilum_rc query_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                           void **state)
{
    struct query *query = calloc(1, sizeof *query);
    if (!query)
        return host->fail(self, HILUM_ENOMEM, "dicom-query: no memory");
    *query = (struct query){host, self, conf};
    hilum_rc rc = host->provide(self, &service.cap, query);
    if (rc)
        free(query);
    else
        *state = query;
    return rc;
}

/* NULL until start, and for hosts without a catalogue. */
static hilum_rc query_start(void *state)
{
    const struct query *query = state;
    if (!query->host->dicom || !query->host->catalog)
        return query->host->fail(query->self, HILUM_EUNSUP,
                                 "this host offers no associations or no catalogue");
    return HILUM_OK;
}

/* What is under way belongs to associations, which the host ends. */
static void query_drain(void *state, uint32_t deadline_ms)
{
    (void)state;
    (void)deadline_ms;
}

static const char *const provides[] = {"service:query", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct query_conf),
    .id = "dicom-query",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = query_init,
    .start = query_start,
    .drain = query_drain,
    .fini = free,
    .swap = HILUM_SWAP_BESIDE,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
