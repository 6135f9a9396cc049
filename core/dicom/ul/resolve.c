/* getaddrinfo has no deadline: names are looked up in a thread of their own that may be left
 * behind. It knows no socket. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/ul/resolve.h"
#include "core/base/clock.h"
#include "core/base/error.h"

#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Shared by the caller and the thread; the last one out frees it. */
struct query {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done, is_left;
    int failed;
    char host[256], service[8];
    struct hl_ul_addresses found;
};

/* Other families than the two have no business here. */
static int look_up(const char *host, const char *service, int flags, struct hl_ul_addresses *out)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | flags, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list;
    out->n = 0;
    int failed = getaddrinfo(host, service, &hints, &list);
    if (failed)
        return failed;
    for (struct addrinfo *i = list; i && out->n < HL_UL_MAX_ADDRESSES; i = i->ai_next)
        if (i->ai_family == AF_INET || i->ai_family == AF_INET6)
            memcpy(&out->list[out->n++], i->ai_addr, i->ai_addrlen);
    freeaddrinfo(list);
    return out->n ? 0 : EAI_NONAME;
}

static void free_query(struct query *query)
{
    pthread_mutex_destroy(&query->lock);
    pthread_cond_destroy(&query->done);
    free(query);
}

/* Whoever comes second, the thread or the leaving caller, frees the query. */
static void *resolver(void *arg)
{
    struct query *query = arg;
    struct hl_ul_addresses found;
    int failed = look_up(query->host, query->service, AI_ADDRCONFIG, &found);
    pthread_mutex_lock(&query->lock);
    query->found = found;
    query->failed = failed;
    query->is_done = true;
    bool is_left = query->is_left;
    pthread_cond_signal(&query->done);
    pthread_mutex_unlock(&query->lock);
    if (is_left)
        free_query(query);
    return NULL;
}

/* Detached: a look-up that hangs in the system's resolver cannot be cancelled, only left. */
static struct query *start(const char *host, const char *service)
{
    struct query *query = calloc(1, sizeof *query);
    if (!query)
        return NULL;
    hl_mono_cond_init(&query->done);
    pthread_mutex_init(&query->lock, NULL);
    snprintf(query->host, sizeof query->host, "%s", host);
    snprintf(query->service, sizeof query->service, "%s", service);
    pthread_t thread;
    pthread_attr_t detached;
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    int failed = pthread_create(&thread, &detached, resolver, query);
    pthread_attr_destroy(&detached);
    if (!failed)
        return query;
    free_query(query);
    return NULL;
}

/* true: the answer is in query, which is the caller's to free. */
static bool await(struct query *query, int64_t deadline)
{
    struct timespec until = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    int waited = 0;
    pthread_mutex_lock(&query->lock);
    while (!query->is_done && waited == 0)
        waited = pthread_cond_timedwait(&query->done, &query->lock, &until);
    bool is_done = query->is_done;
    query->is_left = !is_done;
    pthread_mutex_unlock(&query->lock);
    return is_done;
}

hilum_rc hl_ul_resolve(const char *host, uint16_t port, int64_t deadline,
                       struct hl_ul_addresses *out)
{
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (look_up(host, service, AI_NUMERICHOST, out) == 0)
        return HILUM_OK;
    if (strlen(host) > 255)
        return hl_fail(HILUM_EINVAL, "host name longer than 255 characters");
    struct query *query = start(host, service);
    if (!query)
        return hl_fail(HILUM_ENOMEM, "resolve %s: no thread for the look-up", host);
    if (!await(query, deadline))
        return hl_fail(HILUM_ETIMEDOUT, "resolve %s: no answer in time", host);
    *out = query->found;
    int failed = query->failed;
    free_query(query);
    if (failed)
        return hl_fail(HILUM_EIO, "resolve %s: %s", host, gai_strerror(failed));
    return HILUM_OK;
}
