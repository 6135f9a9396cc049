/* Declarations: what a plugin adds to the vocabulary of the server.
 * SPDX-License-Identifier: MIT */
#ifndef HILUM_DECLARE_H
#define HILUM_DECLARE_H

#include "hilum/event.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HILUM_DECL_EVENT = 1,
    HILUM_DECL_VERB = 2,
    HILUM_DECL_READER = 3,
    HILUM_DECL_JOB = 4,
    HILUM_DECL_COMMAND = 5
};

/* A JSON call: arguments in, result out (one JSON value written to the sink). Progress, where given, is
 * told as done of total (0: unknown) and answers HILUM_ECANCELLED when the caller has gone. */
struct hilum_call {
    uint32_t size, reserved;
    const char *arguments; /* JSON object, UTF-8 */
    struct hilum_sink result;
    /* NULL, or told now and then, on the thread of the call. HILUM_ECANCELLED: stop and return that. what: one line, or NULL. */
    hilum_rc (*progress)(void *ctx, uint64_t done, uint64_t total, const char *what);
    void *ctx;
};

/* One word of that vocabulary. The struct is copied by declare(); its strings outlive the process. */
struct hilum_decl {
    uint32_t size, type; /* HILUM_DECL_* */
    const char *name;    /* "hl7.received", "hl7_send", "demo send" */
    const char *summary; /* one sentence */
    /* EVENT: fields, "type:text message:text"; VERB, JOB, COMMAND: arguments "peer:text count?:int" ('?':
     * optional; types text, int, bool). READER: argument of the reader. */
    const char *fields;
    const char *permission; /* COMMAND: action asked of access; VERB: likewise */
    const char *job;        /* VERB: the job type its plan rows become */
    hilum_rc (*run)(void *arg, struct hilum_call *call); /* JOB, COMMAND */
    hilum_rc (*read)(void *arg, hilum_event *event, const char *path,
                     struct hilum_sink *out); /* READER */
    void *arg;
    /* COMMAND: some words for each of `fields`, in their order, NULL-ended: "name of the peer"; NULL: none. They are in
     * `hilum help`, in OpenAPI, and in the complaint about one that is missing. */
    const char *const *about;
};

#ifdef __cplusplus
}
#endif
#endif
