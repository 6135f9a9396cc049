/* Jobs of plugins: types they declare, and the verbs of rules that become them.
 *
 * Attempts, waiting and journal are core/job's; here is how a job's function is called and what
 * its answer means for the next attempt. Runs on the lanes' threads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"
#include "core/base/log.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { NAME_MAX_LEN = HL_LANE_MAX - sizeof HL_LANE_JOB }; /* it names a lane */

/* What the sink and the progress function of one call find their way by. */
struct attempt_of {
    struct hl_server *server;
    struct hl_job_attempt *attempt;
    bool is_line_over;
};

/* The first line of what the job writes is its proof. A job may write in pieces and as much as
 * it likes: what is beyond the line, or the room, is dropped. */
static hilum_rc keep_result(void *ctx, const void *bytes, uint64_t n)
{
    struct attempt_of *about = ctx;
    struct hl_job_attempt *attempt = about->attempt;
    if (about->is_line_over)
        return HILUM_OK;
    size_t at = strlen(attempt->result), room = sizeof attempt->result - 1 - at;
    size_t taken = n < room ? (size_t)n : room;
    memcpy(attempt->result + at, bytes, taken);
    attempt->result[at + taken] = '\0';
    size_t line = strcspn(attempt->result, "\r\n");
    about->is_line_over = attempt->result[line] != '\0';
    attempt->result[line] = '\0';
    return HILUM_OK;
}

/* Whoever stops the server waits for the job: told at its next word. A job that never calls it
 * is waited for to its end. */
static hilum_rc go_on(void *ctx, uint64_t done, uint64_t total, const char *what)
{
    (void)done, (void)total, (void)what;
    return atomic_load(&((struct attempt_of *)ctx)->server->stopping)
               ? hl_fail(HILUM_ECANCELLED, "the server stops")
               : HILUM_OK;
}

/* What no second attempt with the same arguments would change. */
static bool is_permanent(hilum_rc rc)
{
    return rc == HILUM_EINVAL || rc == HILUM_EUNSUP || rc == HILUM_EDENIED;
}

/* The job of a verb, or the job of this name; NULL: no plugin that runs has it. Looked up for
 * each batch, since plugins come and go. A verb may be carried out by a job of another name,
 * also of another plugin. */
static const struct hilum_decl *job_of(struct hl_server *server, const char *type)
{
    const struct hilum_decl *verb =
        hl_plugins_decl_find(server->plugins, HILUM_DECL_VERB, type, NULL);
    return hl_plugins_decl_find(server->plugins, HILUM_DECL_JOB, verb ? verb->job : type, NULL);
}

/* Arguments are what the rule gave, as JSON. The thread's old reason is cleared first: a
 * plugin that fails without one must not be told with somebody else's. */
static void run_one(struct hl_server *server, const struct hilum_decl *job,
                    struct hl_job_attempt *attempt)
{
    struct attempt_of about = {.server = server, .attempt = attempt};
    struct hilum_call call = {
        .size = sizeof call,
        .arguments = attempt->job.arguments,
        .result = {.size = sizeof call.result, .write = keep_result, .ctx = &about},
        .progress = go_on,
        .ctx = &about};
    attempt->result[0] = '\0';
    hl_error_clear();
    attempt->rc = job->run(job->arg, &call);
    attempt->is_permanent = is_permanent(attempt->rc);
    if (attempt->rc < 0)
        snprintf(attempt->result, sizeof attempt->result, "%s", hl_error());
}

/* Lanes of jobs are "job:TYPE". A plugin that is switched off costs no attempt.
 * HILUM_ECANCELLED comes from go_on: the attempt is not counted and the job is due at the next
 * start. */
static void run_jobs(void *arg, const char *lane, struct hl_job_attempt *attempts, size_t n)
{
    struct hl_server *server = arg;
    const struct hilum_decl *job = job_of(server, lane + strlen(HL_LANE_JOB));
    for (size_t i = 0; i < n; i++) {
        if (job) {
            run_one(server, job, &attempts[i]);
        } else {
            attempts[i].rc = hl_fail(HILUM_ENOTFOUND, "no plugin that runs does %s", lane);
            snprintf(attempts[i].result, sizeof attempts[i].result, "%s", hl_error());
        }
        attempts[i].is_unreachable =
            !job || (attempts[i].rc == HILUM_ECLOSED || attempts[i].rc == HILUM_ECANCELLED);
    }
}

struct registration {
    struct hl_server *server;
    hilum_rc rc;
};

/* A verb and a job of one name are one type. A verb whose job is missing is told now, not when a
 * rule uses it. */
static void add_type(void *arg, const struct hilum_decl *decl, const char *plugin)
{
    struct registration *registration = arg;
    struct hl_server *server = registration->server;
    const struct hl_job_type type = {
        .type = decl->name, .batch = 1, .per_lane = 1, .run = run_jobs, .arg = server};
    bool is_same_job = decl->type == HILUM_DECL_VERB && job_of(server, decl->name) &&
                       hl_plugins_decl_find(server->plugins, HILUM_DECL_JOB, decl->name, NULL);
    if (registration->rc < 0 || is_same_job)
        return;
    if (strlen(decl->name) > NAME_MAX_LEN)
        registration->rc = hl_fail(HILUM_EINVAL, "plugin %s: %s: expected at most %d characters",
                                   plugin, decl->name, NAME_MAX_LEN);
    else
        registration->rc = hl_jobs_register(server->jobs, &type);
    if (!job_of(server, decl->name))
        hl_log(HL_ERROR, plugin, "verb %s: job %s is declared by no plugin: what rules plan waits",
               decl->name, decl->job);
}

/* Jobs before verbs: a verb of the same name as a job is then seen to be the same type. */
hilum_rc hl_server_register_plugin_jobs(struct hl_server *server)
{
    struct registration registration = {server, HILUM_OK};
    hl_plugins_decl_each(server->plugins, HILUM_DECL_JOB, add_type, &registration);
    hl_plugins_decl_each(server->plugins, HILUM_DECL_VERB, add_type, &registration);
    return registration.rc;
}

/* The job is in the journal when this returns; it runs whenever its lane is free. */
hilum_rc hl_server_start_job(void *arg, const char *type, const char *arguments_json, int64_t *job)
{
    struct hl_server *server = arg;
    json_error_t error;
    char lane[64];
    json_t *arguments = json_loads(arguments_json ? arguments_json : "{}", 0, &error);
    bool is_object = json_is_object(arguments);
    json_decref(arguments);
    if (!is_object)
        return hl_fail(HILUM_EINVAL, "job %s: arguments: expected a JSON object", type);
    snprintf(lane, sizeof lane, HL_LANE_JOB "%.*s", NAME_MAX_LEN, type);
    return hl_record_job_add(server->record, type, lane, 0, 0, arguments_json, 0, job);
}
