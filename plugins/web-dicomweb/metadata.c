/* Metadata (PS3.18 10.4.1.1.2): the attributes of instances as DICOM JSON, bulk data by URI.
 *
 * An answer of up to COLLECT_MAX instances is put together, so that it can leave compressed and
 * has a length; a larger one is streamed an instance at a time. Both are made by the same next():
 * collect() only calls it in a loop.
 *
 * The blobs (blobs.c) hold what an instance's text was; reading it from the object costs
 * opening a file, decompressing a deflated one and parsing up to the pixel data.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    COLLECT_MAX = 1000
}; /* instances that are put together, and compressed; more leave as they are read */

/* text is one piece at a time, emptied by each next(): only the list grows with the number of
 * instances. */
struct metadata {
    struct web *web;
    const hilum_principal *who;
    struct web_list list;
    size_t at;
    char base[720]; /* "https://host/dicom-web/studies/" */
    uint64_t base_hash;
    struct web_text kept, text; /* an instance as it is kept; what leaves next */
    bool is_over, is_xml;
    char boundary[33];
};

/* What stands for our own name in what is kept: a key in front of it that no value of an object can look like, as quotes
 * in values are escaped. */
#define MARK_KEY "\"BulkDataURI\":\""
#define MARK     "hilum:/"

static hilum_rc instance_read(struct web *web, const hilum_principal *who, int64_t instance,
                              int64_t as_of, struct web_text *out)
{
    const struct hilum_object_api *objects = web->host->objects;
    const struct hilum_sink sink = {.size = sizeof sink, .write = web_text_write, .ctx = out};
    struct hilum_object_names names = {.size = sizeof names};
    char url[300];
    hilum_object *object = NULL;
    hilum_rc rc = objects->open(web->self, who, instance, as_of, &object);
    if (rc == HILUM_OK)
        rc = objects->names(object, &names);
    if (rc == HILUM_OK) {
        snprintf(url, sizeof url, MARK "%s/series/%s/instances/%s/bulkdata", names.study_uid,
                 names.series_uid, names.sop_instance);
        rc = objects->json(object, url, &sink);
    }
    objects->close(object);
    return rc;
}

/* From memory, or from the object and then into memory. */
static hilum_rc instance_text(struct web *web, const hilum_principal *who, int64_t instance,
                              int64_t as_of, struct web_text *out)
{
    const struct hilum_sink sink = {.size = sizeof sink, .write = web_text_write, .ctx = out};
    hilum_rc rc = web_blobs_find(web->blobs, instance, as_of, &sink);
    if (rc != HILUM_ENOTFOUND)
        return rc;
    rc = instance_read(web, who, instance, as_of, out);
    if (rc == HILUM_OK)
        web_blobs_keep(web->blobs, instance, as_of, out->bytes, out->n);
    return rc;
}

hilum_rc web_metadata_prepare(struct web *web, const hilum_principal *who, int64_t instance,
                              int64_t as_of)
{
    struct web_text text = {0};
    hilum_rc rc = instance_text(web, who, instance, as_of, &text);
    web_text_fini(&text);
    return rc;
}

/* Adds it with our name as the client knows it. */
static hilum_rc instance_add(struct metadata *metadata, const struct web_item *item)
{
    static const char mark[] = MARK_KEY MARK;
    size_t length = sizeof mark - 1;
    struct web_text *text = &metadata->kept;
    text->n = 0;
    hilum_rc rc =
        instance_text(metadata->web, metadata->who, item->instance, metadata->list.as_of, text);
    if (rc != HILUM_OK)
        return rc;
    for (const char *p = text->bytes, *end = p + text->n; p < end;) {
        const char *at = memmem(p, (size_t)(end - p), mark, length);
        web_text_add(&metadata->text, p, (size_t)((at != NULL ? at : end) - p));
        if (at == NULL)
            break;
        web_text_put(&metadata->text, MARK_KEY);
        web_text_put(&metadata->text, metadata->base);
        p = at + length;
    }
    return metadata->text.failed ? HILUM_ENOMEM : HILUM_OK;
}

/* The JSON of the instance just added, as a part of XML. `at` was counted up already: 1 is the
 * first. */
static hilum_rc part_make(struct metadata *metadata)
{
    struct web_text xml = {0}, *text = &metadata->text;
    char line[WEB_LINE_MAX];
    web_text_add(&xml, line,
                 web_multipart_line(metadata->boundary, metadata->at == 1, WEB_XML, line));
    hilum_rc rc = web_xml(metadata->web->host->dicom, text->bytes, text->n, &xml);
    web_text_fini(text);
    *text = xml;
    return rc;
}

static hilum_rc piece_give(const struct metadata *metadata, hilum_rc rc, const void **bytes,
                           uint64_t *n)
{
    if (rc == HILUM_OK && metadata->text.failed)
        rc = HILUM_ENOMEM;
    *bytes = metadata->text.bytes;
    *n = rc == HILUM_OK ? metadata->text.n : 0;
    return rc;
}

/* A part an instance, and the last line. */
static hilum_rc xml_next(void *arg, const void **bytes, uint64_t *n)
{
    struct metadata *metadata = arg;
    char end[WEB_LINE_MAX];
    hilum_rc rc = HILUM_OK;
    metadata->text.n = 0;
    if (!metadata->is_over && metadata->at < metadata->list.n) {
        rc = instance_add(metadata, &metadata->list.items[metadata->at++]);
        if (rc == HILUM_OK)
            rc = part_make(metadata);
    } else if (!metadata->is_over) {
        metadata->is_over = true;
        web_text_add(&metadata->text, end,
                     web_multipart_line(metadata->boundary, false, NULL, end));
    }
    return piece_give(metadata, rc, bytes, n);
}

/* "[", an instance at a time with a comma between, "]". */
static hilum_rc json_next(void *arg, const void **bytes, uint64_t *n)
{
    struct metadata *metadata = arg;
    metadata->text.n = 0;
    hilum_rc rc = HILUM_OK;
    if (!metadata->is_over) {
        metadata->is_over = metadata->at == metadata->list.n;
        web_text_put(&metadata->text, metadata->is_over ? "]" : metadata->at > 0 ? ",\n" : "[");
        if (!metadata->is_over)
            rc = instance_add(metadata, &metadata->list.items[metadata->at++]);
    }
    return piece_give(metadata, rc, bytes, n);
}

static hilum_rc metadata_next(void *arg, const void **bytes, uint64_t *n)
{
    const struct metadata *metadata = arg;
    return metadata->is_xml ? xml_next(arg, bytes, n) : json_next(arg, bytes, n);
}

static void metadata_free(void *arg)
{
    struct metadata *metadata = arg;
    web_list_fini(&metadata->list);
    web_text_fini(&metadata->kept);
    web_text_fini(&metadata->text);
    free(metadata);
}

/* A failure in the middle becomes the answer: nothing has left before end(). */
static hilum_rc collect(const struct web_call *call, struct metadata *metadata, const char *type)
{
    const void *bytes = NULL;
    uint64_t n = 1;
    hilum_rc rc = call->api->begin(call->http, 200, type, HILUM_LENGTH_UNKNOWN);
    while (rc == HILUM_OK && n > 0) {
        rc = metadata_next(metadata, &bytes, &n);
        if (rc == HILUM_OK && n > 0)
            rc = call->api->write(call->http, bytes, n);
    }
    metadata_free(metadata);
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

/* The base URL is what the client called us by (Host, what a proxy says of it, or public_url
 * of http): the same text for the same client, so its digest is part of the tag. */
static struct metadata *metadata_new(const struct web_call *call, bool is_xml)
{
    struct metadata *metadata = calloc(1, sizeof *metadata);
    if (metadata == NULL)
        return NULL;
    metadata->web = call->web;
    metadata->who = call->api->request(call->http)->who;
    metadata->is_xml = is_xml;
    snprintf(metadata->base, sizeof metadata->base, "%.600s" WEB_ROOT "/studies/",
             call->api->request(call->http)->base_url);
    for (const char *p = metadata->base; *p != '\0'; p++)
        metadata->base_hash = (metadata->base_hash ^ (uint8_t)*p) * UINT64_C(0x100000001B3);
    return metadata;
}

hilum_rc web_instance_json(const struct web_call *call, struct web_text *out)
{
    struct metadata *metadata = metadata_new(call, false);
    if (metadata == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = web_list_make(call, &metadata->list);
    if (rc == HILUM_OK)
        rc = instance_add(metadata, &metadata->list.items[0]);
    if (rc == HILUM_OK)
        web_text_add(out, metadata->text.bytes, metadata->text.n);
    metadata_free(metadata);
    return rc == HILUM_OK && out->failed ? HILUM_ENOMEM : rc;
}

/* Frees. JSON has no boundary and so no secret in its tag: it stays good over a restart. XML
 * has, and does not. */
static hilum_rc answer(const struct web_call *call, struct metadata *metadata)
{
    char type[WEB_LINE_MAX] = WEB_JSON;
    struct web_tag tag = {.a = metadata->base_hash};
    web_tag_list(&tag, &metadata->list);
    if (metadata->is_xml) {
        web_tag_form(&tag, call->web, false);
        web_tag_boundary(call->web, &tag, metadata->boundary);
        web_multipart_type(WEB_XML, metadata->boundary, type);
    }
    if (web_tag_show(call, &tag)) {
        metadata_free(metadata);
        return web_unchanged(call);
    }
    if (metadata->list.n <= COLLECT_MAX)
        return collect(call, metadata, type);
    const struct hilum_http_source source = {
        .size = sizeof source, .next = metadata_next, .close = metadata_free, .arg = metadata};
    return call->api->stream(call->http, 200, type, HILUM_LENGTH_UNKNOWN, &source);
}

hilum_rc web_metadata(const struct web_call *call)
{
    int form = web_json_or_xml(call);
    if (form < 0)
        return web_refuse(call, 406,
                          "metadata are sent as application/dicom+json or multipart/related; "
                          "type=\"application/dicom+xml\"");
    struct metadata *metadata = metadata_new(call, form == 1);
    if (metadata == NULL)
        return HILUM_ENOMEM;
    hilum_rc rc = web_list_make(call, &metadata->list);
    if (rc != HILUM_OK) {
        metadata_free(metadata);
        return rc;
    }
    web_audit_retrieve(call, "metadata", metadata->list.n, true);
    return answer(call, metadata);
}
