/* C-MOVE and C-GET: which objects, then their sub-operations (PS3.4 C.4.2, C.4.3).
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "query.h"

/* Patient, its issuer, study, series, instance. */
enum { UNIQUE_KEYS = 5 };

/* One retrieve under way. Eight bytes an object: a study of a million is 8 MB.
 * last_pending_ms: of the monotonic clock. */
struct retrieving {
    const struct query *query;
    hilum_exchange *exchange;
    int64_t *instances;
    uint64_t n, cap;
    int64_t as_of;
    int64_t last_pending_ms;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- which ------------------------------------------------------------------------------------ */

/* Called by the catalogue for each object, in the order they will be sent in. */
static hilum_rc collect(void *arg, const struct hilum_object_ref *object)
{
    struct retrieving *retrieving = arg;
    if (retrieving->n == retrieving->cap) {
        uint64_t cap = retrieving->cap ? retrieving->cap * 2 : 256;
        int64_t *grown = realloc(retrieving->instances, cap * sizeof *grown);
        if (!grown)
            return HILUM_ENOMEM;
        retrieving->instances = grown;
        retrieving->cap = cap;
    }
    retrieving->instances[retrieving->n++] = object->instance;
    return HILUM_OK;
}

/* Only unique keys select (PS3.4 C.4.2.1.4.1); the rest of the identifier is ignored. Issuer
 * of Patient ID comes with the Patient ID: it is no unique key of its own, but tells two
 * patients of one ID apart. */
static uint32_t unique_keys(const struct query_identifier *identifier,
                            struct hilum_catalog_key keys[UNIQUE_KEYS])
{
    static const uint32_t tags[UNIQUE_KEYS] = {TAG_PATIENT_ID, TAG_ISSUER, TAG_STUDY, TAG_SERIES,
                                               TAG_SOP_INSTANCE};
    uint32_t n = 0;
    for (uint32_t i = 0; i < UNIQUE_KEYS; i++) {
        const char *value = query_identifier_value(identifier, tags[i]);
        if (*value)
            keys[n++] = (struct hilum_catalog_key){.tag = tags[i], .value = value};
    }
    return n;
}

/* as_of is one moment for all of it: what is sent in an hour is what was selected. */
static hilum_rc select_objects(struct retrieving *retrieving,
                               const struct query_identifier *identifier)
{
    const struct hilum_host *host = retrieving->query->host;
    struct hilum_catalog_key keys[UNIQUE_KEYS];
    uint32_t n = unique_keys(identifier, keys);
    hilum_rc rc = host->catalog->objects(retrieving->query->self,
                                         host->dicom->principal(retrieving->exchange), keys, n,
                                         &retrieving->as_of, collect, retrieving);
    if (rc == HILUM_EINVAL)
        query_offend_keys(retrieving->query, retrieving->exchange, HILUM_LEVEL_IMAGE, keys, n);
    return rc;
}

/* ---- sending ---------------------------------------------------------------------------------- */

/* Called by the kernel between sub-operations. The last one is told by the final response. */
static hilum_rc on_progress(void *arg, const struct hilum_suboperations *counts)
{
    struct retrieving *retrieving = arg;
    const struct hilum_dicom_api *api = retrieving->query->host->dicom;
    hilum_rc cancelled = api->cancelled(retrieving->exchange);
    if (cancelled)
        return cancelled == 1 ? HILUM_ECANCELLED : cancelled;
    int64_t now = now_ms();
    if (counts->remaining == 0 ||
        now - retrieving->last_pending_ms < retrieving->query->conf->pending_interval)
        return HILUM_OK;
    retrieving->last_pending_ms = now;
    return api->respond(retrieving->exchange, STATUS_PENDING, NULL, counts, NULL);
}

/* PS3.4 tables C.4-2 and C.4-3. A702 where nothing could be sent, B000 where something could
 * not. */
static uint16_t status_of(hilum_rc rc, const struct hilum_suboperations *total)
{
    switch (rc) {
    case HILUM_OK: break;
    case HILUM_ECANCELLED: return STATUS_CANCELLED;
    case HILUM_ENOTFOUND: return STATUS_DESTINATION_UNKNOWN;
    case HILUM_EDENIED: return STATUS_NOT_AUTHORIZED;
    case HILUM_ENOMEM: return STATUS_NO_SUBOPERATIONS;
    default: return STATUS_UNABLE;
    }
    if (total->failed && !total->completed && !total->warning)
        return STATUS_NO_SUBOPERATIONS;
    return total->failed || total->warning ? STATUS_SOME_FAILED : STATUS_SUCCESS;
}

/* The identifier of a final response: what could not be sent (PS3.4 C.4.2.1.4.2). */
static hilum_dataset *failed_list(const struct hilum_dicom_api *api, const char *failed)
{
    hilum_dataset *data = failed && *failed ? api->dataset_new() : NULL;
    if (data && api->put_tag(data, TAG_FAILED_INSTANCES, failed)) {
        api->dataset_free(data);
        data = NULL;
    }
    return data;
}

/* Blocks until all sub-operations are done or cancelled. `failed` is the kernel's text, good
 * until the exchange ends. */
static hilum_rc send_objects(struct retrieving *retrieving, const char *destination)
{
    const struct hilum_host *host = retrieving->query->host;
    const struct hilum_dicom_api *api = host->dicom;
    struct hilum_suboperations total = {.size = sizeof total};
    const char *failed = NULL;
    retrieving->last_pending_ms = now_ms();
    hilum_rc rc = api->send(retrieving->exchange, destination, retrieving->instances, retrieving->n,
                            retrieving->as_of, on_progress, retrieving, &total, &failed);
    if (rc == HILUM_ECLOSED)
        return rc;
    const char *comment = rc && rc != HILUM_ECANCELLED ? host->reason(retrieving->query->self) : "";
    uint16_t status = status_of(rc, &total);
    hilum_dataset *data = failed_list(api, failed);
    rc = api->respond(retrieving->exchange, status, data, &total, comment);
    if (data)
        api->dataset_free(data);
    return rc;
}

/* A701: the matches could not be counted. */
static uint16_t status_of_selection(hilum_rc rc)
{
    switch (rc) {
    case HILUM_EINVAL: return STATUS_IDENTIFIER;
    case HILUM_EDENIED: return STATUS_NOT_AUTHORIZED;
    default: return STATUS_NO_MATCH_COUNT;
    }
}

/* A move to nobody known fails in send(), before any object: HILUM_ENOTFOUND becomes A801. */
static hilum_rc run(struct retrieving *retrieving, const struct query_identifier *identifier,
                    bool is_move)
{
    const struct hilum_host *host = retrieving->query->host;
    const struct hilum_dimse_request *request = host->dicom->request(retrieving->exchange);
    hilum_rc rc = select_objects(retrieving, identifier);
    if (rc)
        return host->dicom->respond(retrieving->exchange, status_of_selection(rc), NULL, NULL,
                                    host->reason(retrieving->query->self));
    return send_objects(retrieving, is_move ? request->move_destination : NULL);
}

hilum_rc query_retrieve(const struct query *query, hilum_exchange *exchange,
                        const struct query_model *model)
{
    enum { MOVE_RQ = 0x0021 };
    struct retrieving retrieving = {.query = query, .exchange = exchange};
    struct query_identifier identifier;
    char comment[COMMENT_SIZE];
    uint16_t status = query_identifier_read(query, exchange, model, &identifier, comment);
    hilum_rc rc = status ? query->host->dicom->respond(exchange, status, NULL, NULL, comment)
                         : run(&retrieving, &identifier, model->command == MOVE_RQ);
    free(retrieving.instances);
    query_identifier_fini(&identifier);
    return rc;
}
