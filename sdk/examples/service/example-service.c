/* example-service: a private SOP class answered over DIMSE. N-GET tells what this station is called; everything
 * else is refused. It knows the SDK only. SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"

/* Your own root goes here: a UID of your organisation, not this one. */
#define STATION_CLASS "2.25.219084714094612984319867290312465841173"

/* Filled in by the host before init; read-only. */
struct conf {
    const char *station, *institution;
};

struct service {
    const struct hilum_host *host;
    hilum_self *self;
    const struct conf *conf;
};

enum { STATION_NAME = 0x00081010, INSTITUTION_NAME = 0x00080080 };

/* PS3.7 10.1.2: an N-GET may name the attributes it wants; none named means all. */
static int is_wanted(const struct hilum_dimse_request *request, uint32_t tag)
{
    for (uint32_t i = 0; i < request->n_attributes; i++)
        if (request->attributes[i] == tag)
            return 1;
    return request->n_attributes == 0;
}

static hilum_rc fill(const struct hilum_dicom_api *dicom, const struct conf *conf,
                     const struct hilum_dimse_request *request, hilum_dataset *data)
{
    hilum_rc rc = HILUM_OK;
    if (is_wanted(request, STATION_NAME))
        rc = dicom->put_tag(data, STATION_NAME, conf->station);
    if (rc == HILUM_OK && is_wanted(request, INSTITUTION_NAME))
        rc = dicom->put_tag(data, INSTITUTION_NAME, conf->institution);
    return rc;
}

/* Answers completely: exactly one final response a request. */
static hilum_rc handle(void *instance, hilum_exchange *exchange)
{
    const struct service *service = instance;
    const struct hilum_dicom_api *dicom = service->host->dicom;
    const struct hilum_dimse_request *request = dicom->request(exchange);
    if (request->command_field != HILUM_N_GET)
        return dicom->respond(exchange, HILUM_STATUS_UNRECOGNIZED_OPERATION, NULL, NULL,
                              "this class knows N-GET only");
    hilum_dataset *data = dicom->dataset_new();
    if (!data)
        return service->host->fail(service->self, HILUM_ENOMEM, "no memory for an answer");
    hilum_rc rc = fill(dicom, service->conf, request, data);
    if (rc == HILUM_OK)
        rc = dicom->respond(exchange, HILUM_STATUS_SUCCESS, data, NULL, NULL);
    dicom->dataset_free(data);
    return rc; /* an error without a response: the host answers 0110 with a reference number */
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const char *const classes[] = {STATION_CLASS, NULL};
    static const struct hilum_service table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_SERVICE,
                .threads = HILUM_PARALLEL, /* nothing changes after init */
                .name = "example-service"},
        .sop_classes = classes,
        .handle = handle,
    };
    struct service *service = calloc(1, sizeof *service);
    if (!service)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    *service = (struct service){.host = host, .self = self, .conf = conf};
    hilum_rc rc = host->provide(self, &table.cap, service);
    if (rc != HILUM_OK) {
        free(service);
        return rc;
    }
    *state = service;
    return HILUM_OK;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_option options[] = {
        {"station", HILUM_OPT_STR, offsetof(struct conf, station), "HILUM", NULL,
         "Station Name (0008,1010) that is answered."},
        {"institution", HILUM_OPT_STR, offsetof(struct conf, institution), "", NULL,
         "Institution Name (0008,0080) that is answered."},
        {0},
    };
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .conf_size = sizeof(struct conf),
        .id = "example-service",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .options = options,
        .init = init,
        .fini = free,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
