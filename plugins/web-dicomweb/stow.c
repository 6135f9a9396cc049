/* STOW-RS of metadata and bulk data (PS3.18 10.5.2): metadata are collected, bulk data spooled; when all is there each
 * object is put together and takes the way of every object.
 *
 * No order of the parts is relied on: bulk data may come before the metadata that name them, or
 * the other way round. So everything is received first: metadata into memory (metadata_max), bulk
 * data onto the disk (bulk_max). Only then are objects made, one at a time, each through its own
 * intake: from there on nothing tells it from one that came by C-STORE.
 *
 * What the client is held to: every BulkDataURI is the Content-Location of a part. Nothing is
 * fetched from anywhere.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "stow.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* XML has a part for each instance, JSON mostly one for all. */
enum { TOLD_MAX = 10000, NOT_UNDERSTOOD = 0xC000, OUT_OF_RESOURCES = 0xA700 };

#define JSON_TYPE "application/dicom+json"

/* Metadata of one part as they came. Text, not trees: a tree takes many times the memory, and
 * is made only when it is this request's turn (store_all). */
struct told {
    struct web_text text;
    bool is_xml;
};

/* 128 KiB of window and 64 KiB of encoder: allocated, one for each request. */
struct stow {
    const struct web_call *call;
    const char *study;
    struct web_spool spool;
    struct told *told;
    size_t n_told, cap_told;
    size_t n_read;    /* of metadata so far: bounded in all */
    json_t *objects;  /* array */
    bool is_metadata; /* the part under way */
    struct web_outcome outcome;
    struct web_encode encode;
    struct web_multipart body;
};

static hilum_rc fail(const struct stow *stow, hilum_rc rc, const char *why)
{
    return stow->call->web->host->fail(stow->call->web->self, rc, why);
}

/* ---- parts ---- */

static hilum_rc told_begin(struct stow *stow, bool is_xml)
{
    if (stow->n_told == TOLD_MAX)
        return fail(stow, HILUM_EFULL, "over 10000 parts of metadata");
    if (stow->n_told == stow->cap_told) {
        size_t cap = stow->cap_told > 0 ? 2 * stow->cap_told : 8;
        struct told *grown = realloc(stow->told, cap * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        stow->told = grown;
        stow->cap_told = cap;
    }
    stow->told[stow->n_told++] = (struct told){.is_xml = is_xml};
    return HILUM_OK;
}

/* A JSON part with a location is bulk data (an encapsulated document may be JSON). */
static hilum_rc part_begin(void *arg, const struct web_part_head *head)
{
    struct stow *stow = arg;
    bool is_xml = strcmp(head->type, WEB_XML) == 0;
    stow->is_metadata = is_xml || strcmp(head->type, JSON_TYPE) == 0 ||
                        (strcmp(head->type, "application/json") == 0 && head->location[0] == '\0');
    return stow->is_metadata ? told_begin(stow, is_xml) : web_spool_begin(&stow->spool, head);
}

static hilum_rc part_data(void *arg, const void *bytes, size_t n)
{
    struct stow *stow = arg;
    if (!stow->is_metadata)
        return web_spool_data(&stow->spool, bytes, n);
    if (n > (size_t)stow->call->web->conf->metadata_max - stow->n_read)
        return fail(stow, HILUM_EFULL, "more metadata than metadata_max of plugin web-dicomweb");
    struct web_text *text = &stow->told[stow->n_told - 1].text;
    stow->n_read += n;
    web_text_add(text, bytes, n);
    return text->failed ? HILUM_ENOMEM : HILUM_OK;
}

/* Nothing is known to be whole before the last delimiter has come. */
static hilum_rc part_end(void *arg)
{
    (void)arg;
    return HILUM_OK;
}

/* JSON_REJECT_DUPLICATES: two values for one attribute cannot both be stored. One object or an
 * array of them. */
static hilum_rc unfold(struct stow *stow, const struct told *told)
{
    const char *why = "the metadata are no JSON";
    const char *text = told->text.bytes != NULL ? told->text.bytes : "";
    json_t *read = told->is_xml ? web_model_read(text, told->text.n, &why)
                                : json_loadb(text, told->text.n, JSON_REJECT_DUPLICATES, NULL);
    if (read == NULL)
        return fail(stow, HILUM_EINVAL, why);
    int failed = json_is_array(read) ? json_array_extend(stow->objects, read)
                                     : json_array_append(stow->objects, read);
    json_decref(read);
    return failed == 0 ? HILUM_OK : HILUM_ENOMEM;
}

/* ---- objects ---- */

/* What web_encode writes to. */
struct target {
    const struct hilum_object_api *objects;
    hilum_intake *intake;
};

/* web_encode's write(). */
static hilum_rc target_write(void *arg, const void *bytes, uint64_t n)
{
    const struct target *target = arg;
    return target->objects->intake_write(target->intake, bytes, n);
}

/* What could not be put together, in the words of C-STORE. The reason leaves as a number only;
 * in words it is in the log, with the trace that the client sees too. */
static hilum_rc refuse_object(struct stow *stow, const json_t *attributes, hilum_rc rc)
{
    char line[200];
    const struct hilum_intake_result result = {
        .size = sizeof result,
        .status = rc == HILUM_EINVAL ? NOT_UNDERSTOOD : OUT_OF_RESOURCES,
        .sop_class = web_json_text(attributes, "00080016"),
        .sop_instance = web_json_text(attributes, "00080018"),
        .study_uid = "",
        .series_uid = "",
        .comment = "",
        .reference = ""};
    snprintf(line, sizeof line, "STOW-RS of metadata: %s %s (trace %s)", stow->encode.tag,
             stow->encode.why != NULL ? stow->encode.why : "cannot be written",
             stow->call->api->request(stow->call->http)->trace_id);
    stow->call->web->host->log(stow->call->web->self, HILUM_LOG_INFO, line);
    return web_outcome_add(&stow->outcome, "", &result);
}

/* The intake is closed without an end where the encoding failed: half an object is never
 * stored. */
static hilum_rc object_store(struct stow *stow, const json_t *attributes)
{
    const struct web_call *call = stow->call;
    struct target target = {.objects = call->web->host->objects};
    struct hilum_intake_result result = {.size = sizeof result};
    hilum_rc rc = web_intake_begin(call, stow->study, &target.intake);
    if (rc != HILUM_OK)
        return rc;
    stow->encode.dicom = call->web->host->dicom;
    stow->encode.spool = &stow->spool;
    stow->encode.write = target_write;
    stow->encode.arg = &target;
    rc = web_encode(&stow->encode, attributes);
    if (rc == HILUM_OK) {
        target.objects->intake_end(target.intake, &result);
        rc = web_intake_tell(call, &stow->outcome, &result);
    } else {
        rc = refuse_object(stow, attributes, rc);
    }
    target.objects->intake_close(target.intake);
    return rc;
}

/* Unfolded, attributes take many times the memory they are told in: one request at a time has
 * them so, and not while its sender is at it. Held while objects are stored, which waits for
 * the disk: the other requests wait here, with their bodies received, each with its worker. */
static hilum_rc store_all(struct stow *stow)
{
    hilum_rc rc = (stow->objects = json_array()) != NULL ? HILUM_OK : HILUM_ENOMEM;
    pthread_mutex_lock(&stow->call->web->unfolding);
    for (size_t i = 0; rc == HILUM_OK && i < stow->n_told; i++)
        rc = unfold(stow, &stow->told[i]);
    if (rc == HILUM_OK && json_array_size(stow->objects) == 0)
        rc = fail(stow, HILUM_EINVAL, "no part holds metadata");
    for (size_t i = 0; rc == HILUM_OK && i < json_array_size(stow->objects); i++)
        rc = object_store(stow, json_array_get(stow->objects, i));
    json_decref(stow->objects);
    pthread_mutex_unlock(&stow->call->web->unfolding);
    return rc;
}

/* ---- the request ---- */

static hilum_rc receive(struct stow *stow, const char *type)
{
    const struct web_call *call = stow->call;
    const struct web_multipart_calls calls = {part_begin, part_data, part_end, stow};
    uint64_t got = 1;
    if (!web_multipart_init(&stow->body, type, &calls))
        return fail(stow, HILUM_EINVAL, "multipart/related needs a boundary");
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && got > 0) {
        size_t n = 0;
        char *room = web_multipart_room(&stow->body, &n);
        rc = call->api->read(call->http, room, n, &got);
        if (rc == HILUM_OK && got > 0)
            rc = web_multipart_put(&stow->body, (size_t)got);
    }
    if (rc == HILUM_OK && !web_multipart_is_whole(&stow->body))
        rc = fail(stow, HILUM_EINVAL, "the body ends before its last delimiter");
    if (rc == HILUM_EINVAL && *call->web->host->reason_of(call->web->self, rc) == '\0')
        rc = fail(stow, rc, "a delimiter, or the head of a part, is none (RFC 2046 5.1)");
    return rc;
}

/* An error before the first object is the answer's status; afterwards each object has its own
 * in the outcome. */
hilum_rc web_stow(const struct web_call *call, const char *type, bool is_answer_xml)
{
    struct stow *stow = calloc(1, sizeof *stow);
    if (stow == NULL)
        return HILUM_ENOMEM;
    stow->call = call;
    stow->study = call->uids[0];
    stow->spool.web = call->web;
    stow->outcome.is_xml = is_answer_xml;
    hilum_rc rc = receive(stow, type);
    if (rc == HILUM_OK)
        rc = store_all(stow);
    if (rc == HILUM_OK)
        rc = web_outcome_send(call, &stow->outcome);
    web_spool_fini(&stow->spool);
    for (size_t i = 0; i < stow->n_told; i++)
        web_text_fini(&stow->told[i].text);
    free(stow->told);
    web_outcome_fini(&stow->outcome);
    free(stow);
    return rc;
}
