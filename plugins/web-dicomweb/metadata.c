/* Metadata (PS3.18 10.4.1.1.2): the attributes of instances as DICOM JSON, bulk data by URI.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    COLLECT_MAX = 1000
}; /* instances that are put together, and compressed; more leave as they are read */

struct metadata {
    struct web *web;
    const hilum_principal *who;
    struct web_list list;
    size_t at;
    char base[720]; /* "https://host/dicom-web/studies/" */
    uint64_t base_hash;
    char *text;
    size_t length, cap;
    bool is_over;
};

static hilum_rc text_add(void *arg, const void *bytes, uint64_t n)
{
    struct metadata *metadata = arg;
    if (n > metadata->cap - metadata->length) {
        size_t cap = 2 * (metadata->length + (size_t)n);
        char *grown = realloc(metadata->text, cap);
        if (grown == NULL)
            return HILUM_ENOMEM;
        metadata->text = grown;
        metadata->cap = cap;
    }
    memcpy(metadata->text + metadata->length, bytes, (size_t)n);
    metadata->length += (size_t)n;
    return HILUM_OK;
}

static hilum_rc instance_read(struct metadata *metadata, const struct web_item *item)
{
    const struct hilum_object_api *objects = metadata->web->host->objects;
    const struct hilum_sink sink = {.size = sizeof sink, .write = text_add, .ctx = metadata};
    struct hilum_object_names names = {.size = sizeof names};
    char url[1000];
    hilum_object *object = NULL;
    hilum_rc rc = objects->open(metadata->web->self, metadata->who, item->instance,
                                metadata->list.as_of, &object);
    if (rc == HILUM_OK)
        rc = objects->names(object, &names);
    if (rc == HILUM_OK) {
        snprintf(url, sizeof url, "%s%s/series/%s/instances/%s/bulkdata", metadata->base,
                 names.study_uid, names.series_uid, names.sop_instance);
        rc = objects->json(object, url, &sink);
    }
    objects->close(object);
    return rc;
}

static hilum_rc instance_add(struct metadata *metadata, const struct web_item *item)
{
    const struct hilum_sink sink = {.size = sizeof sink, .write = text_add, .ctx = metadata};
    struct web_blobs *blobs = metadata->web->blobs;
    size_t before = metadata->length;
    hilum_rc rc =
        web_blobs_find(blobs, item->instance, metadata->list.as_of, metadata->base_hash, &sink);
    if (rc != HILUM_ENOTFOUND)
        return rc;
    rc = instance_read(metadata, item);
    if (rc == HILUM_OK)
        web_blobs_keep(blobs, item->instance, metadata->list.as_of, metadata->base_hash,
                       metadata->text + before, metadata->length - before);
    return rc;
}

/* "[", an instance at a time with a comma between, "]". */
static hilum_rc metadata_next(void *arg, const void **bytes, uint64_t *n)
{
    struct metadata *metadata = arg;
    metadata->length = 0;
    hilum_rc rc = HILUM_OK;
    if (!metadata->is_over) {
        metadata->is_over = metadata->at == metadata->list.n;
        const char *lead = metadata->is_over ? "]" : metadata->at > 0 ? ",\n" : "[";
        rc = text_add(metadata, lead, strlen(lead));
        if (rc == HILUM_OK && !metadata->is_over)
            rc = instance_add(metadata, &metadata->list.items[metadata->at++]);
    }
    *bytes = metadata->text;
    *n = rc == HILUM_OK ? metadata->length : 0;
    return rc;
}

static void metadata_free(void *arg)
{
    struct metadata *metadata = arg;
    web_list_fini(&metadata->list);
    free(metadata->text);
    free(metadata);
}

static hilum_rc collect(const struct web_call *call, struct metadata *metadata)
{
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = call->api->begin(call->http, 200, WEB_JSON, HILUM_LENGTH_UNKNOWN);
    while (rc == HILUM_OK && n > 0) {
        rc = metadata_next(metadata, &bytes, &n);
        if (rc == HILUM_OK && n > 0)
            rc = call->api->write(call->http, bytes, n);
    }
    metadata_free(metadata);
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

hilum_rc web_metadata(const struct web_call *call)
{
    static const struct web_offer offers[] = {{WEB_JSON, NULL, NULL},
                                              {"application/json", NULL, NULL}};
    if (web_accept(web_accept_of(call), offers, sizeof offers / sizeof *offers) < 0)
        return web_refuse(call, 406, "metadata are sent as application/dicom+json");
    struct metadata *metadata = calloc(1, sizeof *metadata);
    if (metadata == NULL)
        return HILUM_ENOMEM;
    metadata->web = call->web;
    metadata->who = call->api->request(call->http)->who;
    snprintf(metadata->base, sizeof metadata->base, "%.600s" WEB_ROOT "/studies/",
             call->api->request(call->http)->base_url);
    for (const char *p = metadata->base; *p != '\0'; p++)
        metadata->base_hash = (metadata->base_hash ^ (uint8_t)*p) * UINT64_C(0x100000001B3);
    hilum_rc rc = web_list_make(call, &metadata->list);
    if (rc != HILUM_OK) {
        metadata_free(metadata);
        return rc;
    }
    web_audit_retrieve(call, "metadata", metadata->list.n, true);
    struct web_tag tag = {.a = metadata->base_hash};
    web_tag_list(&tag, &metadata->list);
    if (web_tag_show(call, &tag)) {
        metadata_free(metadata);
        return web_unchanged(call);
    }
    if (metadata->list.n <= COLLECT_MAX)
        return collect(call, metadata);
    const struct hilum_http_source source = {
        .size = sizeof source, .next = metadata_next, .close = metadata_free, .arg = metadata};
    return call->api->stream(call->http, 200, WEB_JSON, HILUM_LENGTH_UNKNOWN, &source);
}
