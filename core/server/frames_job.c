/* The job type `frame-maps`: where the frames of a study's compressed objects lie is found out once the study is complete, so
 * that the first look at a frame walks no object. Maps are derived (core/store/frame_map.h): what fails here is made at the
 * first look, and no attempt is repeated for it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/error.h"
#include "core/bus/bus.h"
#include "core/dicom/uid.h"
#include "core/store/frame_map.h"

enum { BATCH = 4, STUDY_TAG = 0x0020000D };

/* Compressed objects of a study. A list, since no object is opened while the catalogue is read. */
struct found {
    int64_t *ids;
    size_t n, cap;
    bool is_any_enough;
};

/* HILUM_ECANCELLED ends the walk. */
static hilum_rc find(void *arg, const struct hilum_object_ref *object)
{
    struct found *found = arg;
    const struct hl_syntax *syntax = hl_uid_syntax(object->transfer_syntax);
    if (!syntax || !(syntax->flags & HL_SYNTAX_ENCAPSULATED))
        return HILUM_OK;
    if (!hl_grow(&found->ids, &found->cap, found->n, sizeof *found->ids))
        return hl_fail(HILUM_ENOMEM, "frame-maps: no memory");
    found->ids[found->n++] = object->instance;
    return found->is_any_enough ? HILUM_ECANCELLED : HILUM_OK;
}

static hilum_rc walk(struct hl_server *server, const char *study, int64_t *as_of,
                     struct found *found)
{
    const struct hilum_catalog_key key = {STUDY_TAG, 0, study};
    hilum_rc rc = hl_record_objects(server->record, &key, 1, NULL, as_of, find, found);
    return rc == HILUM_ECANCELLED ? HILUM_OK : rc;
}

/* An object without pixels, or with broken ones, has no map. */
static bool map_one(struct hl_server *server, int64_t id, int64_t as_of)
{
    struct hl_outgoing *outgoing = NULL;
    const struct hl_frame_map *map = NULL;
    bool is_mapped = hl_outgoing_open(server->store, id, as_of, &outgoing) == HILUM_OK &&
                     hl_outgoing_map(outgoing, &map) == HILUM_OK && map->frames.n > 1;
    hl_outgoing_close(outgoing);
    return is_mapped;
}

static void run_one(struct hl_server *server, struct hl_job_attempt *attempt)
{
    struct found found = {0};
    int64_t as_of = 0;
    unsigned n = 0;
    json_t *arguments = json_loads(attempt->job.arguments, 0, NULL);
    const char *study = json_string_value(json_object_get(arguments, "study"));
    attempt->rc = study ? walk(server, study, &as_of, &found)
                        : hl_fail(HILUM_EINVAL, "frame-maps: argument study: expected a UID");
    attempt->is_permanent = study == NULL;
    json_decref(arguments);
    for (size_t i = 0; attempt->rc == HILUM_OK && i < found.n; i++) {
        if (atomic_load(&server->stopping))
            attempt->rc = hl_fail(HILUM_EAGAIN, "stopped with the server");
        else
            n += map_one(server, found.ids[i], as_of);
    }
    attempt->is_unreachable = attempt->rc == HILUM_EAGAIN;
    if (attempt->rc == HILUM_OK)
        snprintf(attempt->result, sizeof attempt->result, "%u maps of %zu objects", n, found.n);
    else
        snprintf(attempt->result, sizeof attempt->result, "%s", hl_error());
    free(found.ids);
}

static void run(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    (void)lane;
    for (size_t i = 0; i < n; i++)
        run_one(arg, &attempts[i]);
}

/* A study without compressed objects is planned nothing for. */
static int32_t study_is_complete(void *arg, hilum_event *event)
{
    struct found found = {.is_any_enough = true};
    int64_t as_of = 0;
    const char *study = hl_event_text(event, "StudyInstanceUID");
    hilum_rc rc = study ? walk(arg, study, &as_of, &found) : HILUM_OK;
    free(found.ids);
    if (rc == HILUM_OK && found.n > 0) {
        json_t *arguments = json_pack("{s:s}", "study", study);
        char *text = arguments ? json_dumps(arguments, JSON_COMPACT) : NULL;
        rc = text ? hl_event_plan(event, "frame-maps", text)
                  : hl_fail(HILUM_ENOMEM, "frame-maps: no memory");
        free(text);
        json_decref(arguments);
    }
    return rc < 0 ? rc : HILUM_PASS;
}

hilum_rc hl_server_register_frames_job(struct hl_server *server, struct hl_faults *faults)
{
    const struct hl_job_type type = {
        .type = "frame-maps", .batch = BATCH, .per_lane = 1, .run = run, .arg = server};
    const struct hl_hook_source hook = {.hook = {.size = sizeof hook.hook,
                                                 .phase = HILUM_NOTIFY,
                                                 .event = "study.complete",
                                                 .name = "core/frame-maps",
                                                 .run = study_is_complete,
                                                 .arg = server,
                                                 .threads = HILUM_PARALLEL}};
    hilum_rc rc = hl_jobs_register(server->jobs, &type);
    return rc == HILUM_OK ? hl_bus_replace(server->bus, "core", &hook, 1, NULL, NULL, false, faults)
                          : rc;
}
