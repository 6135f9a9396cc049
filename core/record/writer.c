/* Invariant: only who has the turn (is_taken) touches the session, runs units and calls hooks;
 * it is had by one thread at a time and never while the lock is held. A unit is on its caller's
 * stack, and the caller leaves only after is_done was set under the lock.
 *
 * The way of a unit: its caller puts it on a queue (unit_serve). If nobody has the turn, the
 * caller takes it and serves everything that is queued as one group: BEGIN, each unit under a
 * savepoint, COMMIT, hooks, then every caller of the group is told. If somebody has it, the
 * caller sleeps; what came meanwhile is served by the keeper, who goes on until nothing is left.
 *
 * What is durable when: after hl_session_commit all of the group and everything before it;
 * after hl_session_commit_unflushed the group is seen by all and has a ticket, and the hook
 * `durable` tells when the next flush has covered that.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/writer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/record/migrate.h"

/* A flush takes at most so many units: the first in it should not wait for hundreds. FLUSH_MS: after so long without a flush
 * a commit that could do without makes one, so that the stores' logs get room under a load that never pauses. IDLE_MS:
 * how long nothing may come before the log is copied back and what is not flushed is.
 * PROBE_MS: how soon after a fault of the medium ends writing goes on. */
enum { GROUP_MAX = 128, FLUSH_MS = 200, IDLE_MS = 200, PROBE_MS = 1000, WHY_BYTES = 512 };

/* One piece of work that waits for its group. `why` is the reason for its own caller, whose
 * thread may not have run it. Why a semaphore each: waking one of 100 callers through a shared
 * condition would wake all of them. */
struct unit {
    struct unit *next;
    hl_unit run;
    void *arg;
    hilum_rc rc;
    unsigned notes;
    uint64_t ticket; /* not 0: committed, and not flushed */
    bool is_logged, is_beside;
    atomic_bool is_done;
    sem_t done; /* posted without a lock that whoever wakes would wait for */
    char why[WHY_BYTES];
};

struct queue {
    struct unit *first, **last;
};

/* `session` may be NULL while the medium is sick: then only probe() opens one. */
struct hl_writer {
    const struct hilum_database *db;
    void *instance;
    struct hl_writer_hooks hooks;
    struct hl_session *session; /* of whoever has the turn, from here ... */
    uint64_t tickets, flushed;  /* groups committed without a flush; of these flushed since */
    int64_t flush_ms;           /* when the next commit is to flush, if there is something to */
    unsigned notes;             /* ... to here: of the running unit */
    pthread_t keeper;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t news;  /* for the keeper, and for who waits for the last turn */
    struct queue queues[2];
    bool is_taken; /* somebody has the turn */
    bool is_stopping;
    unsigned n_callers;       /* threads within hl_writer_run */
    uint64_t commits, copied; /* when the log was copied back */
    int64_t next_probe_ms;
    hilum_rc health; /* written only by who has the turn, who may read it without the lock */
    char why[WHY_BYTES];
};

/* The database may have rolled back by itself at any of these (SQLite does on EIO and EFULL): what the earlier
 * units of the group did is not there any more, though they believed it. */
bool hl_writer_is_fatal(hilum_rc rc)
{
    return rc == HILUM_EIO || rc == HILUM_EFULL || rc == HILUM_EDENIED || rc == HILUM_EAGAIN ||
           rc == HILUM_ECORRUPT || rc == HILUM_ENOMEM;
}

/* ---- health --------------------------------------------------------------------------------------- */

/* Written under the lock, for others read it; the keeper is woken, to probe in time. */
static void health_set(struct hl_writer *writer, hilum_rc rc, const char *why)
{
    pthread_mutex_lock(&writer->lock);
    hilum_rc before = writer->health;
    writer->health = rc;
    snprintf(writer->why, sizeof writer->why, "%s", why);
    writer->next_probe_ms = hl_mono_ms() + PROBE_MS;
    pthread_cond_broadcast(&writer->news);
    pthread_mutex_unlock(&writer->lock);
    if (before == rc)
        return;
    if (rc == HILUM_OK)
        hl_log(HL_WARN, "record", "the catalogue is writable again");
    else
        hl_log(HL_ERROR, "record", "the catalogue is not writable (%s): %s", hl_rc_name(rc), why);
}

/* A real write: a medium that is read-only or full answers reads and BEGIN alike. */
static hilum_rc probe_once(struct hl_writer *writer)
{
    hilum_rc rc = HILUM_OK;
    if (!writer->session)
        rc = hl_session_open(writer->db, writer->instance, HILUM_DB_WRITE, &writer->session);
    if (rc == HILUM_OK)
        rc = hl_session_begin(writer->session);
    if (rc == HILUM_OK)
        rc = hl_session_run(writer->session,
                            "INSERT INTO kv VALUES ('record', 'probe', ?1) ON CONFLICT "
                            "(space, name) DO UPDATE SET value = excluded.value",
                            "i", hl_now_us());
    if (rc == HILUM_OK)
        rc = hl_session_commit(writer->session);
    return rc;
}

/* A tiny transaction; a session that cannot is opened anew next time, since SQLite keeps a file that was
 * read-only when opened read-only for good. */
static void probe(struct hl_writer *writer)
{
    hilum_rc rc = probe_once(writer);
    if (rc != HILUM_OK && writer->session) {
        hl_session_rollback(writer->session);
        hl_session_close(writer->session);
        writer->session = NULL;
    }
    health_set(writer, rc, rc == HILUM_OK ? "" : hl_error());
}

/* ---- one group ------------------------------------------------------------------------------------ */

/* The reason is copied because hl_error() is the serving thread's, and the caller is another. */
static void unit_failed(struct unit *unit, hilum_rc rc, const char *why)
{
    unit->rc = rc;
    unit->notes = 0;
    snprintf(unit->why, sizeof unit->why, "%s", why);
}

/* Alone in its group a unit needs no savepoint: the group is undone with it. `undone` runs for
 * every failing unit, not only for the group: what it cached of rows it had made is wrong from
 * here on, also for the next unit of the same group. */
static hilum_rc unit_run(struct hl_writer *writer, struct unit *unit, bool is_alone)
{
    struct hl_session *session = writer->session;
    hilum_rc rc = is_alone ? HILUM_OK : hl_session_run(session, "SAVEPOINT unit", "");
    writer->notes = 0;
    if (rc == HILUM_OK)
        rc = unit->run(session, unit->arg);
    unit->rc = HILUM_OK;
    unit->notes = writer->notes;
    if (rc < 0) {
        unit_failed(unit, rc, hl_error());
        writer->hooks.undone(writer->hooks.arg);
    }
    if (hl_writer_is_fatal(rc) || is_alone)
        return rc < 0 ? rc : HILUM_OK;
    if (rc < 0)
        rc = hl_session_run(session, "ROLLBACK TO unit", "");
    return rc < 0 ? rc : hl_session_run(session, "RELEASE unit", "");
}

static void durable_tell(struct hl_writer *writer)
{
    if (writer->flushed == writer->tickets)
        return;
    writer->flushed = writer->tickets;
    writer->hooks.durable(writer->hooks.arg, writer->flushed);
}

/* A group is committed without a flush only if every unit of it can be brought back by something
 * else, and not for ever. The next flush of any kind makes it durable too, and is told. */
static hilum_rc group_commit(struct hl_writer *writer, struct unit *group)
{
    bool is_due = writer->flushed != writer->tickets && hl_mono_ms() >= writer->flush_ms;
    bool is_logged = !is_due, is_beside = true, is_durable = true;
    for (const struct unit *unit = group; unit; unit = unit->next) {
        is_logged &= unit->is_logged;
        is_beside &= unit->is_beside;
    }
    if (!is_beside)
        writer->hooks.commits(writer->hooks.arg);
    hilum_rc rc = is_logged ? hl_session_commit_unflushed(writer->session, &is_durable)
                            : hl_session_commit(writer->session);
    if (!is_beside) /* also where it failed: nobody knows what it did */
        writer->hooks.commits(writer->hooks.arg);
    if (rc == HILUM_OK && is_durable)
        durable_tell(writer);
    if (rc != HILUM_OK || is_durable)
        return rc;
    if (writer->flushed == writer->tickets)
        writer->flush_ms = hl_mono_ms() + FLUSH_MS;
    writer->tickets++;
    for (struct unit *unit = group; unit; unit = unit->next)
        unit->ticket = writer->tickets;
    return rc;
}

/* A unit that fails by its own fault is undone to its savepoint and the others commit; a fault
 * of the medium fails them all. The hook `committed` runs before anybody is told: decisions
 * are beside the objects by then. The hook `began` is part of the transaction: what was saved
 * beside the objects is taken off the list with the next commit, not with one of its own. */
static hilum_rc group_run(struct hl_writer *writer, struct unit *group)
{
    bool is_alone = !group->next;
    hilum_rc rc = hl_session_begin(writer->session);
    if (rc == HILUM_OK)
        rc = writer->hooks.began(writer->hooks.arg, writer->session);
    for (struct unit *unit = group; unit && rc == HILUM_OK; unit = unit->next)
        rc = unit_run(writer, unit, is_alone);
    if (rc == HILUM_OK)
        rc = group_commit(writer, group);
    if (rc == HILUM_OK) {
        unsigned notes = 0;
        for (struct unit *unit = group; unit; unit = unit->next)
            notes |= unit->notes;
        writer->hooks.committed(writer->hooks.arg, writer->session, notes, false);
        return rc;
    }
    char why[WHY_BYTES];
    snprintf(why, sizeof why, "%s", hl_error());
    hl_session_rollback(writer->session);
    writer->hooks.undone(writer->hooks.arg);
    if (is_alone && group->rc < 0 && !hl_writer_is_fatal(rc))
        return rc; /* the unit's own fault */
    for (struct unit *unit = group; unit; unit = unit->next)
        unit_failed(unit, rc, why);
    if (rc != HILUM_ENOMEM)
        health_set(writer, rc, why);
    return rc;
}

/* The last touch of the units: after the signal their callers may be gone. */
static void group_end(struct hl_writer *writer, struct unit *group)
{
    unsigned notes = 0;
    for (struct unit *unit = group, *next; unit; unit = next) {
        next = unit->next;
        notes |= unit->notes;
        atomic_store(&unit->is_done, true);
        sem_post(&unit->done); /* the unit is its caller's again */
    }
    if (notes)
        writer->hooks.noted(writer->hooks.arg, notes);
}

/* With the lock held: ingest first, each queue in order. Within a lane the order of arrival is
 * kept, so the second object of a sender is never before the first. */
static struct unit *group_take(struct hl_writer *writer)
{
    struct unit *group = NULL, **last = &group;
    for (unsigned i = 0, n = 0; i < 2; i++) {
        struct queue *queue = &writer->queues[i];
        for (; queue->first && n < GROUP_MAX; n++) {
            *last = queue->first;
            queue->first = (*last)->next;
            last = &(*last)->next;
            *last = NULL;
        }
        if (!queue->first)
            queue->last = &queue->first;
    }
    return group;
}

/* ---- the turn -------------------------------------------------------------------------------------- */

/* Flushes, copies the log back; what it meets the next commit meets too. The hook first: lines
 * beside the objects may still have to be written, and what they tell of must be flushed with
 * them. */
static void idle(struct hl_writer *writer)
{
    if (!writer->session)
        return;
    writer->hooks.committed(writer->hooks.arg, writer->session, 0, true);
    if (hl_session_flush(writer->session) == HILUM_OK)
        durable_tell(writer);
    else
        health_set(writer, HILUM_EIO, hl_error());
    hl_session_checkpoint(writer->session);
}

/* While the medium is sick units fail at once instead of waiting: a peer hears "out of
 * resources" and tries again. */
static void serve(struct hl_writer *writer, struct unit *group)
{
    if (writer->health != HILUM_OK && hl_mono_ms() >= writer->next_probe_ms)
        probe(writer);
    if (!group) {
        if (writer->health == HILUM_OK)
            idle(writer);
        return;
    }
    if (writer->health == HILUM_OK) {
        group_run(writer, group);
    } else {
        for (struct unit *unit = group; unit; unit = unit->next)
            unit_failed(unit, writer->health, writer->why);
    }
    group_end(writer, group);
}

static bool has_work(const struct hl_writer *writer)
{
    return writer->queues[0].first || writer->queues[1].first;
}

/* With the lock held; it is given up meanwhile. Serves what is queued, or what is due without.
 * A turn without a group is an idle one, after which nothing is left to copy back. The keeper is
 * woken for the first commit after idleness: it has to look again in IDLE_MS. */
static void turn_run(struct hl_writer *writer)
{
    struct unit *group = group_take(writer);
    bool was_clean = writer->commits == writer->copied;
    writer->is_taken = true;
    pthread_mutex_unlock(&writer->lock);
    serve(writer, group);
    pthread_mutex_lock(&writer->lock);
    writer->is_taken = false;
    if (group)
        writer->commits++;
    else
        writer->copied = writer->commits;
    if (has_work(writer) || writer->is_stopping || (group && was_clean))
        pthread_cond_broadcast(&writer->news);
}

/* Until whoever has the turn, or the keeper after it, has served the unit. n_callers holds the
 * writer alive: it counts until the caller has touched it for the last time. */
static void unit_await(struct hl_writer *writer, struct unit *own)
{
    while (sem_wait(&own->done) != 0) { /* a signal */
    }
    pthread_mutex_lock(&writer->lock);
    if (--writer->n_callers == 0 && writer->is_stopping)
        pthread_cond_broadcast(&writer->news);
    pthread_mutex_unlock(&writer->lock);
}

/* A caller that finds nobody at work serves itself: no thread has to wake for it, nor it for a
 * thread. What comes meanwhile is the keeper's, who goes on while there is anything: under
 * load nobody is woken in order to write, only to be told. A loop, since the turn may have
 * been free and GROUP_MAX units before ours: then the next group has it. */
static hilum_rc unit_serve(struct hl_writer *writer, enum hl_lane lane, struct unit *own)
{
    sem_init(&own->done, 0, 0);
    pthread_mutex_lock(&writer->lock);
    bool is_late = writer->is_stopping;
    if (!is_late) {
        writer->n_callers++;
        *writer->queues[lane].last = own;
        writer->queues[lane].last = &own->next;
    }
    while (!is_late && !writer->is_taken && !atomic_load(&own->is_done))
        turn_run(writer);
    pthread_mutex_unlock(&writer->lock);
    if (is_late)
        unit_failed(own, HILUM_ECLOSED, "the record is closing");
    else
        unit_await(writer, own);
    sem_destroy(&own->done);
    return own->rc == HILUM_OK ? HILUM_OK : hl_fail(own->rc, "%s", own->why);
}

hilum_rc hl_writer_run(struct hl_writer *writer, enum hl_lane lane, hl_unit run, void *arg)
{
    struct unit unit = {.run = run, .arg = arg};
    writer->hooks.settle(writer->hooks.arg);
    return unit_serve(writer, lane, &unit);
}

hilum_rc hl_writer_run_logged(struct hl_writer *writer, enum hl_lane lane, hl_unit run, void *arg,
                              uint64_t *ticket)
{
    struct unit unit = {.run = run, .arg = arg, .is_logged = true};
    hilum_rc rc = unit_serve(writer, lane, &unit);
    *ticket = unit.ticket;
    return rc;
}

hilum_rc hl_writer_run_beside(struct hl_writer *writer, enum hl_lane lane, hl_unit run, void *arg)
{
    struct unit unit = {.run = run, .arg = arg, .is_beside = true};
    return unit_serve(writer, lane, &unit);
}

static hilum_rc nothing(struct hl_session *session, void *arg)
{
    (void)session;
    (void)arg;
    return HILUM_OK;
}

/* By the contract of hilum_database.commit, which covers every commit before it, flushed or not, even when
 * its own transaction is empty. */
hilum_rc hl_writer_flush(struct hl_writer *writer)
{
    return hl_writer_run(writer, HL_LANE_OTHER, nothing, NULL);
}

/* ---- the keeper: what is left over, and what is due when nobody comes -------------------------------- */

/* With the lock held. Waits for news, for the next probe, or for idleness. Without anything to
 * come it sleeps for good: an idle server wakes for nothing here. */
static void keeper_wait(struct hl_writer *writer)
{
    int64_t ms = writer->health != HILUM_OK ? writer->next_probe_ms - hl_mono_ms() : IDLE_MS;
    if (writer->health == HILUM_OK && writer->commits == writer->copied) {
        pthread_cond_wait(&writer->news, &writer->lock);
        return;
    }
    struct timespec until = hl_mono_timespec(hl_mono_ms() + (ms > 0 ? ms : 0));
    pthread_cond_timedwait(&writer->news, &writer->lock, &until);
}

/* Ends when the last caller has left: queued work is served, not dropped. `seen` before the
 * wait, `commits` after: nothing was committed for IDLE_MS, and something is not copied back
 * yet. */
static void *keeper_main(void *arg)
{
    struct hl_writer *writer = arg;
    pthread_setname_np(pthread_self(), "record-keeper");
    pthread_mutex_lock(&writer->lock);
    while (!writer->is_stopping || writer->n_callers > 0) {
        uint64_t seen = writer->commits;
        if (!has_work(writer) || writer->is_taken)
            keeper_wait(writer);
        bool is_idle = writer->commits == seen && seen != writer->copied;
        bool is_due = writer->health != HILUM_OK && hl_mono_ms() >= writer->next_probe_ms;
        if (!writer->is_taken && (has_work(writer) || is_due || is_idle))
            turn_run(writer);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* Called by units only, so by whoever has the turn: no lock. */
void hl_writer_note(struct hl_writer *writer, unsigned notes)
{
    writer->notes |= notes;
}

hilum_rc hl_writer_health(struct hl_writer *writer)
{
    char why[WHY_BYTES];
    pthread_mutex_lock(&writer->lock);
    hilum_rc rc = writer->health;
    snprintf(why, sizeof why, "%s", writer->why);
    pthread_mutex_unlock(&writer->lock);
    return rc == HILUM_OK ? rc : hl_fail(rc, "%s", why);
}

/* ---- life ----------------------------------------------------------------------------------------- */

/* In a session of its own: what it did to the schema would spoil prepared statements. */
static hilum_rc migrate(const struct hilum_database *db, void *instance)
{
    void *session = NULL;
    hilum_rc rc = db->open(instance, HILUM_DB_WRITE, NULL, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_migrate(db, session);
    db->close(session);
    return rc;
}

/* Migrations run first, in a session of their own: no other statement may be prepared against an
 * older schema. */
hilum_rc hl_writer_new(const struct hilum_database *db, void *instance,
                       const struct hl_writer_hooks *hooks, struct hl_writer **out)
{
    struct hl_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    *writer = (struct hl_writer){.db = db, .instance = instance, .hooks = *hooks};
    hl_mono_cond_init(&writer->news);
    pthread_mutex_init(&writer->lock, NULL);
    for (unsigned i = 0; i < 2; i++)
        writer->queues[i].last = &writer->queues[i].first;
    hilum_rc rc = migrate(db, instance);
    if (rc == HILUM_OK)
        rc = hl_session_open(db, instance, HILUM_DB_WRITE, &writer->session);
    if (rc == HILUM_OK && pthread_create(&writer->keeper, NULL, keeper_main, writer) != 0)
        rc = hl_fail(HILUM_ENOMEM, "record: start the keeper's thread");
    if (rc != HILUM_OK) {
        hl_session_close(writer->session);
        free(writer);
        return rc;
    }
    *out = writer;
    return HILUM_OK;
}

/* Callers first, then the keeper, then what idleness would have done. Nobody may call any more
 * but who is inside already: those are waited for. */
void hl_writer_free(struct hl_writer *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    pthread_cond_broadcast(&writer->news);
    while (writer->n_callers > 0)
        pthread_cond_wait(&writer->news, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->keeper, NULL);
    idle(writer);
    hl_session_close(writer->session);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->news);
    free(writer);
}
