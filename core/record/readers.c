/* The pool of reading sessions: checked out for a page of rows, waited for within a deadline. Knows no
 * table. SPDX-License-Identifier: Apache-2.0 */
#include "core/record/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* Readers hold a session for a page, some milliseconds; five seconds of all busy is an
 * overload that is better told than queued. */
enum { WAIT_SECONDS = 5 };

/* `out` counts sessions in use, also one that is just being opened; n_idle those that wait. */
struct hl_readers {
    const struct hilum_database *db;
    void *instance;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    unsigned max, out, n_idle;
    struct hl_session *idle[]; /* max */
};

hilum_rc hl_readers_new(const struct hilum_database *db, void *instance, unsigned max,
                        struct hl_readers **out)
{
    struct hl_readers *readers = calloc(1, sizeof *readers + max * sizeof *readers->idle);
    pthread_condattr_t attr;
    if (!readers)
        return hl_fail(HILUM_ENOMEM, "reading sessions: out of memory");
    readers->db = db;
    readers->instance = instance;
    readers->max = max;
    pthread_mutex_init(&readers->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&readers->freed, &attr);
    pthread_condattr_destroy(&attr);
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
    free(readers);
}

/* Opened outside the lock: opening may block on the medium, and others can read meanwhile. The
 * place is counted before the session is opened, and given back if it cannot be. */
hilum_rc hl_readers_get(struct hl_readers *readers, struct hl_session **out)
{
    struct timespec until = hl_mono_timespec(hl_mono_ms() + WAIT_SECONDS * 1000);
    int waited = 0;
    struct hl_session *session = NULL;
    pthread_mutex_lock(&readers->lock);
    while (readers->out == readers->max && waited != ETIMEDOUT)
        waited = pthread_cond_timedwait(&readers->freed, &readers->lock, &until);
    bool is_free = readers->out < readers->max;
    if (is_free)
        readers->out++;
    if (is_free && readers->n_idle > 0)
        session = readers->idle[--readers->n_idle];
    pthread_mutex_unlock(&readers->lock);
    if (!is_free)
        return hl_fail(HILUM_EAGAIN, "all %u reading sessions busy for %d s", readers->max,
                       WAIT_SECONDS);
    hilum_rc rc = session
                      ? HILUM_OK
                      : hl_session_open(readers->db, readers->instance, HILUM_DB_READ, &session);
    if (rc != HILUM_OK)
        hl_readers_put(readers, NULL, rc);
    *out = session;
    return rc;
}

/* session NULL: only the place is given back. */
void hl_readers_put(struct hl_readers *readers, struct hl_session *session, hilum_rc rc)
{
    bool is_sound = rc != HILUM_EIO && rc != HILUM_ECORRUPT && rc != HILUM_EDENIED;
    if (!is_sound) {
        hl_session_close(session);
        session = NULL;
    }
    pthread_mutex_lock(&readers->lock);
    readers->out--;
    if (session)
        readers->idle[readers->n_idle++] = session;
    pthread_cond_signal(&readers->freed);
    pthread_mutex_unlock(&readers->lock);
}
