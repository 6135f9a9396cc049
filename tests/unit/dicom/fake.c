/* SPDX-License-Identifier: Apache-2.0 */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/plugin/plugin.h"

/* ---- store ------------------------------------------------------------------------------------ */

struct hl_ingest {
    struct hl_store *store;
    struct fake_object object;
};

struct hl_outgoing {
    struct hl_store *store;
    struct fake_object *object;
    struct hl_stored stored;
    size_t at;
};

struct hl_store *fake_store_new(void)
{
    struct hl_store *store = calloc(1, sizeof *store);
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

void fake_store_free(struct hl_store *store)
{
    for (size_t i = 0; i < store->n; i++)
        hl_buf_fini(&store->objects[i].bytes);
    free(store->objects);
    hl_buf_fini(&store->audit);
    hl_buf_fini(&store->journal);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

static int64_t insert(struct hl_store *store, const struct fake_object *object)
{
    pthread_mutex_lock(&store->lock);
    if (!hl_grow(&store->objects, &store->cap, store->n, sizeof *store->objects))
        abort();
    store->objects[store->n++] = *object;
    int64_t number = (int64_t)store->n;
    pthread_mutex_unlock(&store->lock);
    return number;
}

static void name(struct fake_object *object, const char *sop_class, const char *sop_instance,
                 const char *transfer_syntax)
{
    snprintf(object->sop_class, sizeof object->sop_class, "%s", sop_class);
    snprintf(object->sop_instance, sizeof object->sop_instance, "%s", sop_instance);
    snprintf(object->transfer_syntax, sizeof object->transfer_syntax, "%s", transfer_syntax);
}

int64_t fake_store_add(struct hl_store *store, const char *sop_class, const char *sop_instance,
                       const char *transfer_syntax, const void *bytes, size_t n)
{
    struct fake_object object = {0};
    name(&object, sop_class, sop_instance, transfer_syntax);
    hl_buf_add(&object.bytes, bytes, n);
    return insert(store, &object);
}

const struct fake_object *fake_store_find(struct hl_store *store, const char *sop_instance)
{
    for (size_t i = store->n; i-- > 0;)
        if (!strcmp(store->objects[i].sop_instance, sop_instance))
            return &store->objects[i];
    return NULL;
}

hilum_rc hl_ingest_begin(struct hl_store *store, const struct hl_ingest_source *source,
                         const char *sop_class, const char *sop_instance,
                         const char *transfer_syntax, struct hl_ingest **out,
                         struct hl_ingest_result *result)
{
    (void)source;
    *result = (struct hl_ingest_result){.status = store->refuse_begin};
    *out = NULL;
    if (store->refuse_begin) {
        snprintf(result->comment, sizeof result->comment, "refused by the test");
        return HILUM_EDENIED;
    }
    *out = calloc(1, sizeof **out);
    (*out)->store = store;
    name(&(*out)->object, sop_class, sop_instance, transfer_syntax);
    return HILUM_OK;
}

hilum_rc hl_ingest_data(struct hl_ingest *ingest, const void *bytes, size_t n)
{
    hl_buf_add(&ingest->object.bytes, bytes, n);
    return HILUM_OK;
}

hilum_rc hl_ingest_end(struct hl_ingest *ingest, struct hl_ingest_result *result)
{
    *result = (struct hl_ingest_result){.status = ingest->store->refuse_end};
    if (result->status) {
        result->offending = 0x0020000D;
        hl_buf_fini(&ingest->object.bytes);
    } else {
        result->instance_id = insert(ingest->store, &ingest->object);
    }
    free(ingest);
    return result->status ? HILUM_EINVAL : HILUM_OK;
}

void hl_ingest_abort(struct hl_ingest *ingest)
{
    pthread_mutex_lock(&ingest->store->lock);
    ingest->store->aborted++;
    pthread_mutex_unlock(&ingest->store->lock);
    hl_buf_fini(&ingest->object.bytes);
    free(ingest);
}

static hilum_rc stored_by_id(struct hl_store *store, int64_t instance_id, struct hl_stored *out,
                             struct fake_object **object)
{
    if (instance_id < 1 || (size_t)instance_id > store->n)
        return hl_fail(HILUM_ENOTFOUND, "instance %lld", (long long)instance_id);
    struct fake_object *found = &store->objects[instance_id - 1];
    *out = (struct hl_stored){.instance_id = instance_id};
    memcpy(out->sop_class, found->sop_class, sizeof out->sop_class);
    memcpy(out->sop_instance, found->sop_instance, sizeof out->sop_instance);
    memcpy(out->transfer_syntax, found->transfer_syntax, sizeof out->transfer_syntax);
    if (object)
        *object = found;
    return HILUM_OK;
}

/* The fake record is the fake store. */
hilum_rc hl_record_stored_by_id(struct hl_record *record, int64_t instance_id,
                                struct hl_stored *out)
{
    return stored_by_id((struct hl_store *)record, instance_id, out, NULL);
}

hilum_rc hl_outgoing_open(struct hl_store *store, int64_t instance_id, int64_t as_of,
                          struct hl_outgoing **out)
{
    (void)as_of;
    struct hl_outgoing *outgoing = calloc(1, sizeof *outgoing);
    outgoing->store = store;
    hilum_rc rc = stored_by_id(store, instance_id, &outgoing->stored, &outgoing->object);
    if (rc)
        free(outgoing);
    else
        *out = outgoing;
    return rc;
}

hilum_rc hl_outgoing_verify(struct hl_outgoing *outgoing)
{
    (void)outgoing;
    return HILUM_OK;
}

const struct hl_stored *hl_outgoing_stored(const struct hl_outgoing *outgoing)
{
    return &outgoing->stored;
}

uint64_t hl_outgoing_length(const struct hl_outgoing *outgoing)
{
    return outgoing->object->bytes.len;
}

hilum_rc hl_outgoing_next(struct hl_outgoing *outgoing, const void **bytes, size_t *n)
{
    const struct hl_buf *all = &outgoing->object->bytes;
    *n = all->len - outgoing->at;
    if (outgoing->store->piece && *n > outgoing->store->piece)
        *n = outgoing->store->piece;
    *bytes = all->data + outgoing->at;
    outgoing->at += *n;
    return HILUM_OK;
}

bool hl_outgoing_is_end(const struct hl_outgoing *outgoing)
{
    return outgoing->at == outgoing->object->bytes.len;
}

hilum_rc hl_outgoing_encode(struct hl_outgoing *outgoing, const struct hl_pack_wish *wish)
{
    return hl_outgoing_recode(outgoing, wish->transfer_syntax);
}

const char *hl_outgoing_sop_instance(const struct hl_outgoing *outgoing)
{
    return hl_outgoing_stored(outgoing)->sop_instance;
}

hilum_rc hl_outgoing_recode(struct hl_outgoing *outgoing, const char *transfer_syntax)
{
    /* The objects here are no data sets: that it was asked is enough to see. */
    snprintf(outgoing->store->recoded, sizeof outgoing->store->recoded, "%s", transfer_syntax);
    return HILUM_OK;
}

void hl_outgoing_close(struct hl_outgoing *outgoing)
{
    free(outgoing);
}

/* ---- record and plugins ----------------------------------------------------------------------- */

hilum_rc hl_record_journal_append(struct hl_record *record, const char *event,
                                  const char *study_uid, const char *fields_json, int64_t *id)
{
    struct hl_store *store = (struct hl_store *)record;
    pthread_mutex_lock(&store->lock);
    hl_buf_printf(&store->journal, "%s|%s|%s\n", event, study_uid, fields_json);
    pthread_mutex_unlock(&store->lock);
    *id = 1;
    return HILUM_OK;
}

hilum_rc hl_record_audit(struct hl_record *record, const char *who, const char *action,
                         const char *what, const char *before, const char *after)
{
    struct hl_store *store = (struct hl_store *)record;
    (void)before;
    pthread_mutex_lock(&store->lock);
    hl_buf_printf(&store->audit, "%s|%s|%s|%s\n", who, action, what, after);
    pthread_mutex_unlock(&store->lock);
    return HILUM_OK;
}

hilum_rc hl_record_holdings(struct hl_record *record, hl_holding_cb each, void *arg)
{
    struct hl_store *store = (struct hl_store *)record;
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; i < store->n && rc == HILUM_OK; i++)
        rc = each(arg, store->objects[i].sop_class, store->objects[i].transfer_syntax, 1);
    return rc;
}

hilum_rc hl_record_refusal(struct hl_record *record, const struct hl_refusal *refusal,
                           char reference[16])
{
    (void)record, (void)refusal;
    snprintf(reference, 16, "TEST-0001");
    return HILUM_OK;
}

/* No accounts: users of peers are taken as told. */
hilum_rc hl_plugins_nth(struct hl_plugins *plugins, uint32_t kind, uint32_t i,
                        const struct hilum_cap **cap, void **instance)
{
    (void)plugins;
    (void)kind;
    (void)i;
    (void)cap;
    (void)instance;
    return HILUM_ENOTFOUND;
}

void hl_plugins_unpin(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    (void)plugins;
    (void)cap;
}

const struct hilum_service *hl_plugins_service_for(struct hl_plugins *plugins,
                                                   const char *sop_class, void **instance)
{
    struct fake_services *services = (struct fake_services *)plugins;
    for (const char *const *uid = services->service->sop_classes; *uid; uid++)
        if (!strcmp(*uid, sop_class)) {
            *instance = services->instance;
            return services->service;
        }
    return NULL;
}

void hl_plugins_enter(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    (void)plugins, (void)cap;
}

void hl_plugins_leave(struct hl_plugins *plugins, const struct hilum_cap *cap)
{
    (void)plugins, (void)cap;
}

/* ---- configuration ---------------------------------------------------------------------------- */

struct hl_config *fake_config(const char *text)
{
    char path[] = "/tmp/hilum-dicom-XXXXXX";
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        abort();
    close(fd);
    struct hl_faults faults = {0};
    struct hl_config *config = NULL;
    struct hl_config_paths paths = {.main = path};
    hilum_rc rc = hl_config_load(&paths, &faults, &config);
    for (const struct hl_fault *fault = faults.first; fault; fault = fault->next)
        fprintf(stderr, "fault: %s\n", fault->text);
    hl_faults_fini(&faults);
    unlink(path);
    if (rc)
        abort();
    return config;
}
