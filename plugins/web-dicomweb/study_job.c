/* Jobs that prepare something of a study once it is complete: declared, planned by an event, run by the outbox when it has
 * a thread, never in the way of what comes in. What they make is prepare.c's and thumbnails.c's to say.
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>

#include <jansson.h>

/* Arguments are ours or a rule's: a rule may write anything. */
static hilum_rc job_run(void *arg, struct hilum_call *call)
{
    const struct web_planned *planned = arg;
    const struct web *web = planned->web;
    json_t *arguments = json_loads(call->arguments, 0, NULL);
    const char *study = json_string_value(json_object_get(arguments, "study"));
    hilum_rc rc = study != NULL && web_is_uid(study)
                      ? planned->job->run(planned->web, study, call)
                      : web->host->fail(web->self, HILUM_EINVAL, "study: expected a UID");
    json_decref(arguments);
    return rc;
}

/* On the thread that tells events: it only plans. */
static int32_t study_is_complete(void *arg, hilum_event *event)
{
    const struct web_planned *planned = arg;
    const struct hilum_host *host = planned->web->host;
    const char *study = NULL;
    char arguments[100];
    if (host->event_text(event, "StudyInstanceUID", &study) != HILUM_OK || !web_is_uid(study))
        return HILUM_PASS;
    snprintf(arguments, sizeof arguments, "{\"study\":\"%s\"}", study);
    hilum_rc rc = host->event_plan(event, planned->job->name, arguments);
    return rc < 0 ? rc : HILUM_PASS;
}

hilum_rc web_study_job(struct web *web, unsigned which, const struct web_study_job *job)
{
    struct web_planned *planned = &web->planned[which];
    *planned = (struct web_planned){web, job};
    const struct hilum_decl declared = {.size = sizeof declared,
                                        .type = HILUM_DECL_JOB,
                                        .name = job->name,
                                        .summary = job->summary,
                                        .fields = "study:text",
                                        .run = job_run,
                                        .arg = planned};
    const struct hilum_decl verb = {.size = sizeof verb,
                                    .type = HILUM_DECL_VERB,
                                    .name = job->name,
                                    .summary = job->summary,
                                    .fields = "study:text",
                                    .job = job->name,
                                    .arg = planned};
    const struct hilum_hook hook = {.size = sizeof hook,
                                    .phase = HILUM_NOTIFY,
                                    .event = "study.complete",
                                    .name = job->hook,
                                    .run = study_is_complete,
                                    .arg = planned,
                                    .threads = HILUM_PARALLEL};
    hilum_rc rc = web->host->declare(web->self, &declared);
    if (rc == HILUM_OK)
        rc = web->host->declare(web->self, &verb);
    return rc == HILUM_OK ? web->host->subscribe(web->self, &hook) : rc;
}
