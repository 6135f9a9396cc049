/* WADO-RS of whole instances (PS3.18 10.4): which of them can leave in a syntax the client takes, and the stream of
 * them.
 *
 * Negotiation is by stored syntax, not by instance: a study has thousands of instances in one
 * or two of them, and whether one can be converted is tried on the first of each. The rest is
 * taken on trust; one that fails in the middle leaves as it is stored and says so in its
 * part's head, since a cut connection would lose the other thousand.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPLICIT "1.2.840.10008.1.2.1"
#define IMPLICIT "1.2.840.10008.1.2"
#define DEFLATED "1.2.840.10008.1.2.1.99"

/* targets and list.syntaxes have the same indices. */
struct retrieve {
    struct web_parts parts; /* first: freed as such */
    struct web_offer form;  /* without a syntax */
    struct web_list list;
    char targets[WEB_SYNTAXES][68]; /* for each syntax stored; "": the client takes none */
    size_t at;
    hilum_object *object;
    hilum_object
        *ready; /* the first of the list, converted when that was tried; NULL: it was not */
};

/* ---- negotiation ---- */

/* Any of them turns into any other without touching a pixel's value (bytes swapped, VRs left
 * out, deflated), so that no trial is needed. */
static const char *const natives[] = {EXPLICIT, IMPLICIT, DEFLATED, "1.2.840.10008.1.2.2"};

/* What pixels are encoded to where a client asks for it: nothing here loses anything. In the
 * order that decides for a client that likes several as much. Video is left out: it loses. */
static const char *const encoded[] = {"1.2.840.10008.1.2.4.80",  "1.2.840.10008.1.2.4.201",
                                      "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.90",
                                      "1.2.840.10008.1.2.4.70",  "1.2.840.10008.1.2.4.57",
                                      "1.2.840.10008.1.2.5",     "1.2.840.10008.1.2.8.1",
                                      "1.2.840.10008.1.2.1.98",  "1.2.840.10008.1.2.4.110"};
enum { N_NATIVES = sizeof natives / sizeof *natives, N_ENCODED = sizeof encoded / sizeof *encoded };

static bool is_native(const char *syntax)
{
    for (size_t i = 0; i < N_NATIVES; i++)
        if (strcmp(natives[i], syntax) == 0)
            return true;
    return false;
}

/* Does it take instances without saying in which syntax? PS3.18 8.7.3.5.2 has it mean explicit
 * little endian, which the caller goes by first. */
static bool names_no_syntax(const char *accept, const struct web_offer *form)
{
    struct web_range range;
    while (accept != NULL && web_range_next(&accept, &range)) {
        const char *type = form->media != NULL ? range.media : range.type;
        const char *wanted = form->media != NULL ? form->media : form->type;
        if (strcmp(type, wanted) == 0 && range.syntax[0] == '\0' && range.quality > 0)
            return true;
    }
    return false;
}

/* The stored syntax first: what a client likes as well is not worth a conversion. Then what is
 * uncompressed (of compressed pixels explicit little endian), then what can be encoded without
 * loss. Offers stay on the stack: at most 14. */
static const char *best_syntax(const char *accept, const char *stored, const struct web_offer *form)
{
    struct web_offer offers[1 + N_NATIVES + N_ENCODED];
    size_t n = 0, n_natives = is_native(stored) ? N_NATIVES : 1;
    offers[n] = *form;
    offers[n++].syntax = stored;
    for (size_t i = 0; i < n_natives + N_ENCODED; i++) {
        offers[n] = offers[0];
        offers[n++].syntax = i < n_natives ? natives[i] : encoded[i - n_natives];
    }
    int best = web_accept(accept, offers, n);
    return best < 0 ? NULL : offers[best].syntax;
}

/* Can the first of those stored so leave as that? Encoding a large multi-frame object takes
 * seconds: the one tried is kept (ready) and leaves first, in place of being opened again. */
static bool can_convert(struct retrieve *retrieve, unsigned syntax, const char *target)
{
    const struct web *web = retrieve->parts.web;
    const struct web_list *list = &retrieve->list;
    hilum_object *object = NULL;
    size_t i = 0;
    if (is_native(list->syntaxes[syntax]) && is_native(target))
        return true;
    while (list->items[i].syntax != syntax)
        i++;
    hilum_rc rc = web->host->objects->open(web->self, retrieve->parts.who, list->items[i].instance,
                                           list->as_of, &object);
    if (rc == HILUM_OK)
        rc = web->host->objects->convert(object, target);
    if (rc == HILUM_OK && i == 0) { /* it leaves first: all that work is not done twice */
        retrieve->ready = object;
        return true;
    }
    web->host->objects->close(object);
    return rc == HILUM_OK;
}

static void target_choose(struct retrieve *retrieve, const char *accept, unsigned syntax)
{
    const char *stored = retrieve->list.syntaxes[syntax];
    const char *best = best_syntax(accept, stored, &retrieve->form);
    if (best != NULL && strcmp(best, stored) != 0 && !can_convert(retrieve, syntax, best))
        best = NULL;
    /* Who names no syntax means explicit little endian; clients that forgot to say "*" are common, and each part tells
     * what it is. */
    if (best == NULL && names_no_syntax(accept, &retrieve->form))
        best = stored;
    snprintf(retrieve->targets[syntax], sizeof *retrieve->targets, "%s", best != NULL ? best : "");
}

/* Several parts, an archive, or one alone where there is one. */
static const struct web_offer *form_choose(const struct web_call *call, const char *accept)
{
    static const struct web_offer forms[] = {
        {NULL, WEB_DICOM, NULL}, {WEB_ZIP, NULL, NULL}, {WEB_DICOM, NULL, NULL}};
    int best = web_accept(accept, forms, call->uids[2] != NULL ? 3 : 2);
    return best >= 0 ? &forms[best] : NULL;
}

/* How many of the instances leave: those that do not are left out of the list. 206 tells that
 * some were left out (PS3.18 table 10.4.3-1): the ones left out are known before the first
 * byte. */
static size_t negotiate(struct retrieve *retrieve, const char *accept)
{
    struct web_list *list = &retrieve->list;
    size_t kept = 0;
    for (unsigned i = 0; i < list->n_syntaxes; i++)
        target_choose(retrieve, accept, i);
    for (size_t i = 0; i < list->n; i++)
        if (retrieve->targets[list->items[i].syntax][0] != '\0')
            list->items[kept++] = list->items[i];
    list->n = kept;
    return kept;
}

/* ---- the stream ---- */

/* The object before is closed here: its last piece has left when the next part begins. */
static hilum_rc instance_begin(struct web_parts *parts, char type[WEB_TYPE_MAX])
{
    struct retrieve *retrieve = (struct retrieve *)parts;
    const struct hilum_object_api *objects = parts->web->host->objects;
    if (retrieve->at == retrieve->list.n) /* the last one stays open: whoever measures comes back */
        return 0;
    objects->close(retrieve->object);
    retrieve->object = NULL;
    const struct web_item *item = &retrieve->list.items[retrieve->at++];
    const char *target = retrieve->targets[item->syntax];
    snprintf(type, WEB_TYPE_MAX, WEB_DICOM "; transfer-syntax=%s", target);
    if (retrieve->ready != NULL) {
        retrieve->object = retrieve->ready;
        retrieve->ready = NULL;
        return 1;
    }
    hilum_rc rc = objects->open(parts->web->self, parts->who, item->instance, retrieve->list.as_of,
                                &retrieve->object);
    if (rc != HILUM_OK)
        return rc;
    /* One damaged object among many: as it is rather than not at all. */
    if (objects->convert(retrieve->object, target) != HILUM_OK)
        target = retrieve->list.syntaxes[item->syntax];
    snprintf(type, WEB_TYPE_MAX, WEB_DICOM "; transfer-syntax=%s", target);
    return 1;
}

static hilum_rc instance_read(struct web_parts *parts, const void **bytes, uint64_t *n)
{
    struct retrieve *retrieve = (struct retrieve *)parts;
    return parts->web->host->objects->next(retrieve->object, bytes, n);
}

static hilum_rc instance_length(struct web_parts *parts, uint64_t *n)
{
    return parts->web->host->objects->length(((struct retrieve *)parts)->object, n);
}

static hilum_rc instance_skip(struct web_parts *parts, uint64_t n)
{
    return parts->web->host->objects->skip(((struct retrieve *)parts)->object, n);
}

/* Nothing has been read yet: one that was converted is as good as before, and its work not done twice. */
static void instances_rewind(struct web_parts *parts)
{
    struct retrieve *retrieve = (struct retrieve *)parts;
    if (retrieve->list.n == 1)
        retrieve->ready = retrieve->object;
    else
        parts->web->host->objects->close(retrieve->object);
    retrieve->object = NULL;
    retrieve->at = 0;
}

static void retrieve_free(struct web_parts *parts)
{
    struct retrieve *retrieve = (struct retrieve *)parts;
    parts->web->host->objects->close(retrieve->object);
    parts->web->host->objects->close(retrieve->ready);
    web_list_fini(&retrieve->list);
    free(retrieve);
}

/* SERIES/INSTANCE.dcm: unique, and safe on every file system. */
static hilum_rc instance_file(struct web_parts *parts, struct web_file *out)
{
    const struct retrieve *retrieve = (const struct retrieve *)parts;
    const struct hilum_object_api *objects = parts->web->host->objects;
    struct hilum_object_names names = {.size = sizeof names};
    hilum_rc rc = objects->names(retrieve->object, &names);
    if (rc != HILUM_OK)
        return rc;
    /* A UID of dots only would be a way out of the folder. */
    snprintf(out->name, sizeof out->name, "%s%.64s/%s%.64s.dcm",
             names.series_uid[0] == '.' ? "_" : "", names.series_uid,
             names.sop_instance[0] == '.' ? "_" : "", names.sop_instance);
    const struct web_item *item = &retrieve->list.items[retrieve->at - 1];
    out->is_compressed = !is_native(retrieve->targets[item->syntax]) ||
                         strcmp(retrieve->targets[item->syntax], DEFLATED) == 0;
    if (objects->lends(retrieve->object, &out->length) != HILUM_OK)
        out->length = HILUM_LENGTH_UNKNOWN;
    return HILUM_OK;
}

/* 406 that only says no helps nobody: what is there is named. */
static hilum_rc refuse_syntaxes(const struct web_call *call, const struct web_list *list)
{
    char text[400];
    int n = snprintf(text, sizeof text, "%s",
                     "stored as, and only to be had as (accept transfer-syntax=* for any): ");
    for (unsigned i = 0; i < list->n_syntaxes && (size_t)n < sizeof text - 80; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s", i > 0 ? ", " : "",
                      list->syntaxes[i]);
    return web_refuse(call, 406, text);
}

/* Everything the body depends on, but for the secret its boundary is made of. Two clients that
 * accept different syntaxes have different targets, and so different tags: 304 never stands
 * for a body in another syntax. */
static void tag_make(const struct retrieve *retrieve, struct web_tag *tag)
{
    web_tag_list(tag, &retrieve->list);
    for (unsigned i = 0; i < retrieve->list.n_syntaxes; i++)
        web_tag_text(tag, retrieve->targets[i]);
    web_tag_form(tag, retrieve->parts.web, retrieve->form.media != NULL);
    web_tag_text(tag, retrieve->form.media != NULL ? retrieve->form.media : "");
}

/* Only those lie still on disk in the form they leave in. */
static bool is_as_stored(const struct retrieve *retrieve)
{
    for (size_t i = 0; i < retrieve->list.n; i++) {
        unsigned syntax = retrieve->list.items[i].syntax;
        if (strcmp(retrieve->targets[syntax], retrieve->list.syntaxes[syntax]) != 0)
            return false;
    }
    return true;
}

/* Which of the path's UIDs is the most of it. */
static size_t deepest(const struct web_call *call)
{
    return call->uids[2] != NULL ? 2 : call->uids[1] != NULL ? 1 : 0;
}

/* Frees. A 206 is never "unchanged": what could not leave then might now, when a codec is
 * loaded. HILUM_EUNSUP stands for "not yet answered" between the steps. */
static hilum_rc answer(const struct web_call *call, struct retrieve *retrieve, uint32_t status)
{
    struct web_tag tag = {0};
    struct web_parts *parts = &retrieve->parts;
    bool is_zip = retrieve->form.media != NULL && strcmp(retrieve->form.media, WEB_ZIP) == 0;
    tag_make(retrieve, &tag);
    tag.is_weak = is_zip; /* lengths are told once objects lie still */
    web_tag_boundary(call->web, &tag, parts->boundary);
    bool is_known = web_tag_show(call, &tag) && status == 200;
    hilum_rc rc = is_known ? web_unchanged(call) : HILUM_EUNSUP;
    if (rc == HILUM_EUNSUP) {
        web_audit_retrieve(call, "instances", retrieve->list.n, call->uids[2] != NULL);
        if (is_zip)
            return web_zip_send(call, status, call->uids[deepest(call)], parts);
        bool is_stored = is_as_stored(retrieve);
        parts->n_parts = retrieve->list.n;
        if (is_stored || retrieve->list.n == 1) /* of others each would be converted to know */
            parts->length = instance_length;
        if (is_stored)
            rc = web_lend(call, status, &retrieve->list, parts->is_single ? NULL : parts->boundary);
        if (rc == HILUM_EUNSUP)
            return web_parts_send(call, status, WEB_DICOM, parts);
    }
    retrieve_free(parts);
    return rc;
}

hilum_rc web_retrieve(const struct web_call *call, const char *accept)
{
    const struct web_offer *form = form_choose(call, accept);
    if (form == NULL)
        return web_refuse(call, 406,
                          "instances are sent as multipart/related; type=\"application/dicom\" and "
                          "as application/zip");
    struct retrieve *retrieve = calloc(1, sizeof *retrieve);
    if (retrieve == NULL)
        return HILUM_ENOMEM;
    retrieve->form = *form;
    retrieve->parts = (struct web_parts){.web = call->web,
                                         .who = call->api->request(call->http)->who,
                                         .is_single = form->media != NULL,
                                         .begin = instance_begin,
                                         .read = instance_read,
                                         .rewind = instances_rewind,
                                         .skip = instance_skip,
                                         .free = retrieve_free,
                                         .file = instance_file};
    hilum_rc rc = web_list_make(call, &retrieve->list);
    size_t n = retrieve->list.n;
    if (rc == HILUM_OK && negotiate(retrieve, accept) > 0)
        return answer(call, retrieve, retrieve->list.n < n ? 206 : 200);
    if (rc == HILUM_OK)
        rc = refuse_syntaxes(call, &retrieve->list);
    retrieve_free(&retrieve->parts);
    return rc;
}
