/* The pool of reading sessions: checked out for a page of rows, waited for within a deadline. A page of a search may take
 * as long as the catalogue is large, so searches get all sessions but one, and not longer than others can wait. Knows no
 * table. SPDX-License-Identifier: Apache-2.0 */
#include "core/record/session.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* Readers hold a session for a page, some milliseconds; five seconds of all busy is an
 * overload that is better told than queued. */
enum { WAIT_SECONDS = 5, SEARCH_MS = 5000 };

struct search {
    struct hl_session *session; /* NULL: it is being opened */
    int64_t since_ms;
    bool is_ended;
};

/* `out` counts sessions in use, also one that is just being opened; n_idle those that wait. */
struct hl_readers {
    const struct hilum_database *db;
    void *instance;
    void (*settle)(void *arg);
    void *settle_arg;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned max, out, n_idle, n_searches;
    struct search *searches;   /* max; those that run, in no order */
    struct hl_session *idle[]; /* max */
};

hilum_rc hl_readers_new(const struct hilum_database *db, void *instance, unsigned max,
                        void (*settle)(void *arg), void *settle_arg, struct hl_readers **out)
{
    struct hl_readers *readers = calloc(1, sizeof *readers + max * sizeof *readers->idle);
    if (readers)
        readers->searches = calloc(max, sizeof *readers->searches);
    if (!readers || !readers->searches) {
        free(readers);
        return hl_fail(HILUM_ENOMEM, "reading sessions: out of memory");
    }
    readers->db = db;
    readers->instance = instance;
    readers->max = max;
    readers->settle = settle;
    readers->settle_arg = settle_arg;
    pthread_mutex_init(&readers->lock, NULL);
    hl_mono_cond_init(&readers->freed);
    *out = readers;
    return HILUM_OK;
}

void hl_readers_free(struct hl_readers *readers)
{
    if (!readers)
        return;
    for (unsigned i = 0; i < readers->n_idle; i++)
        hl_session_close(readers->idle[i]);
    pthread_mutex_destroy(&readers->lock);
    pthread_cond_destroy(&readers->freed);
    free(readers->searches);
    free(readers);
}

static bool is_full(const struct hl_readers *readers, bool is_search)
{
    unsigned searches_max = readers->max > 1 ? readers->max - 1 : 1;
    return readers->out == readers->max || (is_search && readers->n_searches == searches_max);
}

/* With the lock, so that the session cannot be another's by now. When to look again. */
static int64_t oldest_end(struct hl_readers *readers, int64_t now_ms)
{
    struct search *oldest = NULL;
    for (unsigned i = 0; i < readers->n_searches; i++) {
        struct search *search = &readers->searches[i];
        if (search->session && !search->is_ended &&
            (!oldest || search->since_ms < oldest->since_ms))
            oldest = search;
    }
    if (!oldest)
        return now_ms + SEARCH_MS;
    if (now_ms - oldest->since_ms < SEARCH_MS)
        return oldest->since_ms + SEARCH_MS;
    oldest->is_ended = true;
    hl_session_interrupt(oldest->session);
    return now_ms + SEARCH_MS;
}

/* With the lock. false: all are busy for too long. */
static bool place_wait(struct hl_readers *readers, bool is_search)
{
    int64_t now_ms = hl_mono_ms(), until_ms = now_ms + WAIT_SECONDS * INT64_C(1000);
    while (is_full(readers, is_search) && now_ms < until_ms) {
        int64_t again_ms = oldest_end(readers, now_ms);
        struct timespec until = hl_mono_timespec(again_ms < until_ms ? again_ms : until_ms);
        pthread_cond_timedwait(&readers->freed, &readers->lock, &until);
        now_ms = hl_mono_ms();
    }
    if (is_full(readers, is_search))
        return false;
    readers->out++;
    if (is_search)
        readers->searches[readers->n_searches++] = (struct search){.since_ms = now_ms};
    return true;
}

/* A search that was counted before its session was there. */
static void search_begin(struct hl_readers *readers, struct hl_session *session)
{
    pthread_mutex_lock(&readers->lock);
    unsigned i = 0;
    while (i < readers->n_searches && readers->searches[i].session)
        i++;
    readers->searches[i].session = session;
    pthread_mutex_unlock(&readers->lock);
}

/* With the lock. session NULL: one that was never opened. */
static void search_forget(struct hl_readers *readers, const struct hl_session *session)
{
    for (unsigned i = 0; i < readers->n_searches; i++) {
        if (readers->searches[i].session == session) {
            readers->searches[i] = readers->searches[--readers->n_searches];
            return;
        }
    }
}

/* With the lock. NULL: one has to be opened. */
static struct hl_session *idle_take(struct hl_readers *readers)
{
    return readers->n_idle > 0 ? readers->idle[--readers->n_idle] : NULL;
}

/* Opened outside the lock: opening may block on the medium, and others can read meanwhile. The
 * place is counted before the session is opened, and given back if it cannot be. */
static hilum_rc give(struct hl_readers *readers, bool is_search, struct hl_session *session,
                     struct hl_session **out)
{
    hilum_rc rc = session
                      ? HILUM_OK
                      : hl_session_open(readers->db, readers->instance, HILUM_DB_READ, &session);
    if (is_search && session)
        search_begin(readers, session);
    if (rc != HILUM_OK && is_search) {
        pthread_mutex_lock(&readers->lock);
        search_forget(readers, NULL);
        pthread_mutex_unlock(&readers->lock);
    }
    if (rc != HILUM_OK)
        hl_readers_put(readers, NULL, rc);
    *out = session;
    return rc;
}

static hilum_rc get(struct hl_readers *readers, bool is_search, struct hl_session **out)
{
    readers->settle(readers->settle_arg);
    pthread_mutex_lock(&readers->lock);
    bool is_free = place_wait(readers, is_search);
    struct hl_session *session = is_free ? idle_take(readers) : NULL;
    pthread_mutex_unlock(&readers->lock);
    if (!is_free)
        return hl_fail(HILUM_EAGAIN, "all %u reading sessions busy for %d s", readers->max,
                       WAIT_SECONDS);
    return give(readers, is_search, session, out);
}

hilum_rc hl_readers_get(struct hl_readers *readers, struct hl_session **out)
{
    return get(readers, false, out);
}

hilum_rc hl_readers_try(struct hl_readers *readers, struct hl_session **out)
{
    pthread_mutex_lock(&readers->lock);
    bool is_free = !is_full(readers, false);
    struct hl_session *session = is_free ? idle_take(readers) : NULL;
    readers->out += is_free;
    pthread_mutex_unlock(&readers->lock);
    return is_free ? give(readers, false, session, out) : HILUM_EAGAIN;
}

hilum_rc hl_readers_search(struct hl_readers *readers, struct hl_session **out)
{
    return get(readers, true, out);
}

hilum_rc hl_search_told(hilum_rc rc)
{
    return rc == HILUM_ECANCELLED
               ? hl_fail(HILUM_EAGAIN, "the search took too long for others who wait: ask for less")
               : rc;
}

/* session NULL: only the place is given back. */
void hl_readers_put(struct hl_readers *readers, struct hl_session *session, hilum_rc rc)
{
    bool is_sound = rc != HILUM_EIO && rc != HILUM_ECORRUPT && rc != HILUM_EDENIED;
    pthread_mutex_lock(&readers->lock);
    if (session)
        search_forget(readers, session); /* before it can be closed or another's */
    if (!is_sound) {
        pthread_mutex_unlock(&readers->lock);
        hl_session_close(session);
        session = NULL;
        pthread_mutex_lock(&readers->lock);
    }
    readers->out--;
    if (session)
        readers->idle[readers->n_idle++] = session;
    pthread_cond_broadcast(&readers->freed); /* a search may have to leave it to another */
    pthread_mutex_unlock(&readers->lock);
}
