/* What the files of dicomweb-client share.
 *
 * The kernel's outbox decides what goes to whom and when; a carrier (hilum/carrier.h) is asked
 * to do it once, and tells what became of each object. Its jobs are tried again by the outbox,
 * so nothing here is ever repeated, but for a request that one bad object had refused as a
 * whole. Called on the outbox's threads, several peers at once; nothing is shared but
 * is_draining.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef DICOMWEB_CLIENT_H
#define DICOMWEB_CLIENT_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hilum/carrier.h"
#include "hilum/host.h"
#include "multipart.h"
#include "uid.h"

struct client_conf {
    int64_t stall;      /* ms without a byte */
    int64_t at_once;    /* objects of one STOW-RS request */
    int64_t answer_max; /* bytes */
};

/* is_draining never goes back: another life of the plugin has its own. */
struct client {
    const struct hilum_host *host;
    hilum_self *self;
    const struct client_conf *conf;
    atomic_bool is_draining; /* what is under way is given up; the outbox does it again */
};

/* One exchange with a peer. Zero-initialised is closed. */
struct request {
    struct client *client;
    const struct hilum_destination *peer;
    CURL *curl;
    struct curl_slist *headers;
    char error[CURL_ERROR_SIZE];
    char url[1024];
    long status; /* of the answer; 0: none came */
    char *answer;
    size_t n_answer;
};

/* path: below the peer's url, "/studies". HILUM_EINVAL: the token or password cannot be read; HILUM_ENOMEM. */
hilum_rc request_open(struct client *client, const struct hilum_destination *peer, const char *path,
                      struct request *out);
bool request_header(struct request *request, const char *line);
/* Runs it; the answer's body is kept, up to answer_max, unless somebody set a function of
 * their own. HILUM_EAGAIN: the peer was not reached; HILUM_EIO: it was, and then something
 * broke; the reason says what. Blocks this thread, until the peer has answered or moves no
 * byte for `stall`. */
hilum_rc request_run(struct request *request);
void request_close(struct request *request);
/* Says a failure for people: who, what, and no more than it needs. */
void request_explain(const struct request *request, char *out, size_t size);

/* ---- answer.c: what a STOW-RS answer says, no state ---- */

/* UNKNOWN: the answer does not name the object, or cannot be read. */
enum { ANSWER_UNKNOWN, ANSWER_STORED, ANSWER_FAILED };
/* Of the object with this UID in a DICOM JSON answer. *reason: its FailureReason. */
int answer_find(const char *json, size_t n, const char *sop_instance, unsigned *reason);

/* ---- what it does ---- */
hilum_rc client_send(void *self, const struct hilum_destination *to, struct hilum_delivery *items,
                     uint32_t n);
hilum_rc client_fetch(void *self, const struct hilum_destination *from, const char *study_uid,
                      const char *series_uid, const char *sop_instance_uid,
                      struct hilum_fetched *out);
hilum_rc client_search(void *self, const struct hilum_destination *at, const char *query,
                       struct hilum_sink *answer);

#endif
