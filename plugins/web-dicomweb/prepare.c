/* The job `metadata`: what viewers ask first of a study is read once it is complete, while its objects are still in the
 * memory of the machine.
 *
 * Planned by the hook, run by the outbox when it has a thread, never in the way of what comes
 * in. Only memory is filled (blobs.c): a restart forgets it, and then the first who asks waits
 * as before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <stdlib.h>

/* Of one study: it may not throw out those of all others. */
enum { PREPARED_MAX = 4096 };

struct gathered {
    int64_t *items;
    size_t n;
};

/* HILUM_ECANCELLED ends the list. */
static hilum_rc gather(void *arg, const struct hilum_object_ref *object)
{
    struct gathered *gathered = arg;
    if (gathered->n == PREPARED_MAX)
        return HILUM_ECANCELLED;
    gathered->items[gathered->n++] = object->instance;
    return HILUM_OK;
}

/* One that cannot be read is no failure of the job: whoever asks for it hears why. */
static unsigned prepare_all(struct web *web, const struct gathered *gathered, int64_t as_of,
                            struct hilum_call *call)
{
    unsigned n = 0;
    for (size_t i = 0; i < gathered->n; i++) {
        n += web_metadata_prepare(web, NULL, gathered->items[i], as_of) == HILUM_OK;
        if (call->progress != NULL && call->progress(call->ctx, i + 1, gathered->n, "objects") < 0)
            break;
    }
    return n;
}

/* As nobody in particular (NULL), with the plugin's rights: what is kept is given only to who
 * may see the object. */
static hilum_rc prepare_study(struct web *web, const char *study, struct hilum_call *call)
{
    const struct hilum_catalog_key key = {TAG_STUDY, 0, study};
    struct gathered gathered = {.items = calloc(PREPARED_MAX, sizeof *gathered.items)};
    int64_t as_of = 0;
    char text[64];
    if (gathered.items == NULL)
        return web->host->fail(web->self, HILUM_ENOMEM, "no memory for a study's objects");
    hilum_rc rc = web->host->catalog->objects(web->self, NULL, &key, 1, &as_of, gather, &gathered);
    bool is_listed = rc >= 0 || rc == HILUM_ECANCELLED;
    unsigned n = is_listed ? prepare_all(web, &gathered, as_of, call) : 0;
    free(gathered.items);
    if (!is_listed)
        return rc;
    int length = snprintf(text, sizeof text, "{\"metadata\":%u}", n);
    return call->result.write(call->result.ctx, text, (uint64_t)length);
}

/* Without a cache there is nothing to prepare. */
hilum_rc web_prepare_init(struct web *web)
{
    static const struct web_study_job job = {.name = "metadata",
                                             .hook = "web-dicomweb/metadata",
                                             .summary =
                                                 "Prepares the metadata of a study's instances.",
                                             .run = prepare_study};
    return web->blobs != NULL ? web_study_job(web, WEB_JOB_METADATA, &job) : HILUM_OK;
}
