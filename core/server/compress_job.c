/* The job type `compress`: one object, a study's, or all that a schedule's rule describes, encoded where they lie.
 * Runs in threads of the job queue, AT_ONCE at most. It keeps no place between attempts: what is done or left for good the
 * catalogue knows (hl_record_compressible leaves it out), so an attempt after a crash begins anew and finds only the rest.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/compress.h"

/* AT_ONCE leaves processors to peers; PAGE is how many candidates one question of the
 * catalogue gives; FAILED_MAX objects that cannot be read now are a sick store rather than
 * sick objects. */
enum { BATCH = 16, AT_ONCE = 2, PAGE = 256, FAILED_MAX = 16 };

/* A job's arguments. Texts of its own: the job's JSON is gone once it is read. */
struct wanted {
    struct hl_compress compress;
    struct hl_compressible query;
    char rule[96], modality[17], study[65];
    uint64_t limit; /* objects; 0: no end */
};

/* One page may meet several kinds of failure: the first is told, as the likeliest cause. */
struct progress {
    uint64_t done, kept, failed; /* failed: left for now */
    hilum_rc first;              /* of those that failed */
    char why[200];
};

static void text_take(const json_t *arguments, const char *name, char *out, size_t size)
{
    const char *text = json_string_value(json_object_get(arguments, name));
    snprintf(out, size, "%s", text ? text : "");
}

static int64_t number_of(const json_t *arguments, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(arguments, name);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* Rules were held to this before; what a plugin plans is its own word. */
static int64_t ms_of(const json_t *arguments, const char *name, int64_t otherwise)
{
    int64_t ms = number_of(arguments, name, otherwise);
    return ms < 0 ? 0 : ms < HL_MS_MAX ? ms : HL_MS_MAX;
}

/* A rule that does not say how long originals stay gets the site's storage.keep_original. */
static hilum_rc wanted_read(struct hl_server *server, const struct hl_job *job, struct wanted *out)
{
    struct hl_config *config = hl_server_config(server);
    json_t *arguments = json_loads(job->arguments, 0, NULL);
    char syntax[65];
    *out = (struct wanted){0};
    text_take(arguments, "syntax", syntax, sizeof syntax);
    text_take(arguments, "rule", out->rule, sizeof out->rule);
    text_take(arguments, "modality", out->modality, sizeof out->modality);
    text_take(arguments, "study", out->study, sizeof out->study);
    const struct hl_syntax *known = hl_uid_syntax_named(syntax);
    out->compress.rule = out->rule;
    out->compress.keep_ms =
        ms_of(arguments, "keep_ms", hl_config_ms(config, "storage.keep_original"));
    out->compress.min_bytes = (uint64_t)number_of(arguments, "min_bytes", 0);
    out->query.before_us = hl_now_us() - ms_of(arguments, "older_ms", 0) * 1000;
    out->query.min_bytes = out->compress.min_bytes;
    out->query.modality = out->modality;
    out->query.study_uid = out->study;
    out->limit = (uint64_t)number_of(arguments, "limit", 0);
    if (known)
        snprintf(out->compress.pack.transfer_syntax, sizeof out->compress.pack.transfer_syntax,
                 "%s", known->uid);
    json_decref(arguments);
    hl_config_unref(config);
    return known ? HILUM_OK : hl_fail(HILUM_EINVAL, "compress: \"%s\": no such syntax", syntax);
}

/* What stays as it is for good counts as done; what may pass by itself is an error, for the
 * job to be tried again. Each of the four is an answer about this object that a second attempt
 * would hear again: it cannot be encoded, is gone, is broken, or was replaced meanwhile. */
static hilum_rc compress_one(struct hl_server *server, int64_t instance,
                             const struct wanted *wanted, struct progress *progress)
{
    hilum_rc rc = hl_store_compress(server->store, instance, &wanted->compress);
    bool is_left = rc == HILUM_EUNSUP || rc == HILUM_ENOTFOUND || rc == HILUM_ECORRUPT ||
                   rc == HILUM_ECONFLICT;
    progress->done += rc == HILUM_OK;
    progress->kept += is_left;
    return is_left ? HILUM_OK : rc;
}

/* One object that cannot be read now must not keep all that come after it as large as they are; a store that fails or is
 * full fails for every object, and so ends the attempt at once, as do FAILED_MAX objects. */
static bool is_passed_over(struct progress *progress, hilum_rc rc)
{
    if (rc == HILUM_EAGAIN || rc == HILUM_EFULL || rc == HILUM_ENOMEM ||
        progress->failed == FAILED_MAX)
        return false;
    if (progress->failed++ == 0) {
        progress->first = rc;
        snprintf(progress->why, sizeof progress->why, "%s", hl_error());
    }
    return true;
}

/* One page of candidates, in the order of their numbers. *n 0: there are no more, or the job's
 * limit is reached. `after_id` moves on with each object, done or not: one that fails is not
 * met again in this attempt. A stop is looked for between objects, each of which may take a
 * second. */
static hilum_rc compress_page(struct hl_server *server, struct wanted *wanted,
                              struct progress *progress, size_t *n)
{
    int64_t ids[PAGE];
    uint64_t seen = progress->done + progress->kept + progress->failed;
    uint64_t left = wanted->limit ? wanted->limit - seen : PAGE;
    *n = 0;
    if (left == 0)
        return HILUM_OK;
    hilum_rc rc = hl_record_compressible(server->record, &wanted->query, ids,
                                         left < PAGE ? (size_t)left : PAGE, n);
    for (size_t i = 0; i < *n && rc == HILUM_OK; i++) {
        if (atomic_load(&server->stopping))
            return hl_fail(HILUM_EAGAIN, "stopped with the server");
        wanted->query.after_id = ids[i];
        rc = compress_one(server, ids[i], wanted, progress);
        if (rc != HILUM_OK && is_passed_over(progress, rc))
            rc = HILUM_OK;
    }
    return rc;
}

static hilum_rc compress_many(struct hl_server *server, struct wanted *wanted,
                              struct progress *progress)
{
    hilum_rc rc = HILUM_OK;
    wanted->query.syntax = wanted->compress.pack.transfer_syntax;
    for (size_t n = 1; n > 0 && rc == HILUM_OK;)
        rc = compress_page(server, wanted, progress, &n);
    if (rc == HILUM_OK && progress->failed)
        rc = hl_fail(progress->first, "%llu left for now, the first of them: %s",
                     (unsigned long long)progress->failed, progress->why);
    return rc;
}

/* A single object that stays as it is tells why in the result; of many the numbers are told. */
static void run_one(struct hl_server *server, struct hl_job_attempt *attempt)
{
    struct wanted wanted;
    struct progress progress = {0};
    hilum_rc rc = wanted_read(server, &attempt->job, &wanted);
    attempt->is_permanent = rc != HILUM_OK;
    if (rc == HILUM_OK && attempt->job.instance_id)
        rc = compress_one(server, attempt->job.instance_id, &wanted, &progress);
    else if (rc == HILUM_OK)
        rc = compress_many(server, &wanted, &progress);
    attempt->rc = rc;
    attempt->is_unreachable = rc == HILUM_EAGAIN || rc == HILUM_EFULL; /* no fault of the object */
    if (rc != HILUM_OK || (attempt->job.instance_id && progress.kept))
        snprintf(attempt->result, sizeof attempt->result, "%s", hl_error());
    else
        snprintf(attempt->result, sizeof attempt->result, "%llu compressed, %llu left as they were",
                 (unsigned long long)progress.done, (unsigned long long)progress.kept);
}

static void run_compress(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct hl_server *server = arg;
    (void)lane;
    for (size_t i = 0; i < n; i++)
        run_one(server, &attempts[i]);
}

/* Lanes of jobs are named after their type, so AT_ONCE is for the whole server. */
hilum_rc hl_server_register_compress_job(struct hl_server *server)
{
    const struct hl_job_type type = {.type = "compress",
                                     .batch = BATCH,
                                     .per_lane = AT_ONCE,
                                     .run = run_compress,
                                     .arg = server};
    return hl_jobs_register(server->jobs, &type);
}

/* ---- hilum store report ---------------------------------------------------------------------------- */

/* Sums are gathered in memory and written now and then: flushed first, so that the report is
 * of now. */
static hilum_rc store_report(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    hilum_rc rc = hl_compress_flush(server->store);
    if (rc == HILUM_OK)
        rc = hl_record_compression_report(server->record, &json);
    if (rc != HILUM_OK) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer_view(call, &json, hl_server_view_store_report);
}

hilum_rc hl_server_register_store_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {{"store report",
                                           "What compression by rules has saved, and what it cost.",
                                           "archive.check", NULL, store_report, server},
                                          {0}};
    return hl_control_register_all(server->control, commands);
}
