/* Who searched and who saw what, for the audit record.
 *
 * A viewer that shows a study sends hundreds of requests for it: pictures, frames, metadata. In
 * the audit record that is one fact, "this user, from there, looked at this study", and it is
 * told once in five minutes (SAME_S). Whole studies and series that are downloaded are told each
 * time, and so is every search.
 *
 * Which was seen is a ring of the last WEB_SEEN looks, in memory: a look that was pushed out, or
 * a restart, tells a row too many rather than one too few.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdio.h>
#include <time.h>

/* Seconds: a break long enough that looking again is another look. */
enum { SAME_S = 300 };

/* As in a JSON text; what is not plain becomes '?'. A query is the client's text and goes into
 * JSON: nothing of it may end the string. Names of patients with other letters are not
 * readable by it; the search is known by its trace. */
static void plain(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (; *text != '\0' && at + 1 < size; text++) {
        bool is_plain = *text >= ' ' && *text <= '~' && *text != '"' && *text != '\\';
        if (is_plain)
            out[at] = *text;
        else
            out[at] = '?';
        at++;
    }
    out[at] = '\0';
}

static void write_row(const struct web_call *call, const char *action, const char *what,
                      const char *details)
{
    const struct web *web = call->web;
    web->host->audit(web->self, call->api->request(call->http)->who, action, what, details);
}

void web_audit_query(const struct web_call *call, uint64_t n_answers)
{
    char query[1024], details[1300];
    const struct hilum_http_request *request = call->api->request(call->http);
    plain(request->query, query, sizeof query);
    snprintf(details, sizeof details,
             "{\"via\":\"QIDO-RS\",\"query\":\"%s\",\"answers\":%llu,\"trace\":\"%s\"}", query,
             (unsigned long long)n_answers, request->trace_id);
    write_row(call, "query", call->uids[0] != NULL ? call->uids[0] : "studies", details);
}

/* FNV-1a; 0xFF, which is in no UTF-8 text, stands between the parts, so that "ab","c" is not
 * "a","bc". */
static uint64_t mix(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * UINT64_C(0x100000001B3);
    return (hash ^ 0xFF) * UINT64_C(0x100000001B3);
}

/* Has this user at this address looked at this study a moment ago? If not, he has now. Two
 * different triples with one digest of 64 bits would hide a row: not within the life of a
 * server. */
static bool was_seen(const struct web_call *call, const char *study)
{
    struct web *web = call->web;
    const struct hilum_http_request *request = call->api->request(call->http);
    uint64_t hash =
        mix(mix(mix(UINT64_C(0xCBF29CE484222325), request->user), request->remote), study);
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time); /* set back, the wall clock would hide rows */
    int64_t now = (int64_t)time.tv_sec;
    bool is_seen = false;
    pthread_mutex_lock(&web->lock);
    for (size_t i = 0; i < WEB_SEEN && !is_seen; i++)
        is_seen = web->seen[i].hash == hash && now - web->seen[i].at_s < SAME_S;
    if (!is_seen) {
        web->seen[web->next_seen % WEB_SEEN].hash = hash;
        web->seen[web->next_seen++ % WEB_SEEN].at_s = now;
    }
    pthread_mutex_unlock(&web->lock);
    return is_seen;
}

void web_audit_retrieve(const struct web_call *call, const char *what, uint64_t n, bool is_piece)
{
    char details[300];
    const char *study = call->uids[0] != NULL ? call->uids[0] : "";
    if (is_piece && was_seen(call, study))
        return;
    snprintf(details, sizeof details,
             "{\"via\":\"DICOMweb\",\"what\":\"%s\",\"number\":%llu,\"trace\":\"%s\"}", what,
             (unsigned long long)n, call->api->request(call->http)->trace_id);
    write_row(call, "retrieve", study, details);
}
