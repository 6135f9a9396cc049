/* Opening and closing the record, and what has no better place.
 *
 * The record put together: writer, readers, saving, refusals, and who is told of what. Lock
 * order: the writer's turn, then saving.lock or wake_lock, which are leaves but for the
 * callbacks under them; those must not call the record. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/record/record_private.h"

/* Four pages at once keep two or four processors busy; more sessions only hold more memory. */
enum { READERS_DEFAULT = 4, READERS_MAX = 64 };

/* With the turn: what was cached of a transaction that is gone. The cache may hold numbers of
 * rows that are not there any more. */
static void undone(void *arg)
{
    struct hl_record *record = arg;
    hl_places_forget(record->places);
}

/* Under wake_lock, so that whoever took his callback back is not called after that. The
 * callbacks only set flags (record.h): it is held for moments. */
static void noted(void *arg, unsigned notes)
{
    struct hl_record *record = arg;
    pthread_mutex_lock(&record->wake_lock);
    if ((notes & HL_NOTE_JOURNAL) && record->on_journal.wake)
        record->on_journal.wake(record->on_journal.arg);
    if ((notes & HL_NOTE_JOBS) && record->on_jobs.wake)
        record->on_jobs.wake(record->on_jobs.arg);
    pthread_mutex_unlock(&record->wake_lock);
}

static hilum_rc began(void *arg, struct hl_session *session)
{
    return hl_save_began(arg, session);
}

static void committed(void *arg, struct hl_session *session, unsigned notes, bool is_idle)
{
    hl_save_committed(arg, session, notes, is_idle);
}

/* Whoever reads or writes finds every row whose sender was answered. */
static void settle(void *arg)
{
    hl_owing_settle(((struct hl_record *)arg)->owing);
}

static void commits(void *arg)
{
    hl_recent_commits(((struct hl_record *)arg)->recent);
}

/* The store's logs may forget what this ticket covers. */
static void durable(void *arg, uint64_t ticket)
{
    struct hl_record *record = arg;
    pthread_mutex_lock(&record->wake_lock);
    if (record->on_durable)
        record->on_durable(record->on_durable_arg, ticket);
    pthread_mutex_unlock(&record->wake_lock);
}

hilum_rc hl_record_configure(struct hl_record *record, const struct hl_record_options *options)
{
    const char *issuer = options->default_issuer ? options->default_issuer : "";
    const char *before = atomic_load(&record->default_issuer);
    if (!before || strcmp(before, issuer) != 0)
        issuer = hl_arena_strdup(&record->issuers, issuer);
    else
        issuer = before;
    if (!issuer)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    atomic_store(&record->default_issuer, issuer);
    atomic_store(&record->study_idle_us, options->study_idle_ms * 1000);
    atomic_store(&record->erase_grace_us, options->erase_grace_ms * 1000);
    return HILUM_OK;
}

/* The writer first, for it migrates; readers open their sessions when needed. hl_record_close
 * takes what there is, so an error needs no other way out. */
hilum_rc hl_record_open(const struct hilum_database *db, void *db_instance,
                        const struct hl_record_options *options, struct hl_record **out)
{
    struct hl_record *record = calloc(1, sizeof *record);
    if (!record)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    pthread_mutex_init(&record->wake_lock, NULL);
    pthread_mutex_init(&record->saving.lock, NULL);
    pthread_mutex_init(&record->saving.health_lock, NULL);
    unsigned readers = options->readers ? options->readers : READERS_DEFAULT;
    const struct hl_writer_hooks hooks = {.arg = record,
                                          .settle = settle,
                                          .undone = undone,
                                          .noted = noted,
                                          .began = began,
                                          .commits = commits,
                                          .committed = committed,
                                          .durable = durable};
    record->places = calloc(1, sizeof *record->places);
    record->saving.is_behind = true; /* what an earlier process had no time for */
    hilum_rc rc = hl_record_configure(record, options);
    if (rc == HILUM_OK)
        rc = record->places ? hl_refusals_new(&record->refusals)
                            : hl_fail(HILUM_ENOMEM, "record: out of memory");
    if (rc == HILUM_OK)
        rc = hl_recent_new(&record->recent);
    if (rc == HILUM_OK)
        rc = hl_inserts_make(record);
    if (rc == HILUM_OK)
        rc = hl_owing_new(record, &record->owing);
    if (rc == HILUM_OK)
        rc = hl_writer_new(db, db_instance, &hooks, &record->writer);
    if (rc == HILUM_OK)
        rc = hl_readers_new(db, db_instance, readers < READERS_MAX ? readers : READERS_MAX, settle,
                            record, &record->readers);
    if (rc == HILUM_OK)
        rc = hl_save_open(record);
    if (rc != HILUM_OK) {
        hl_record_close(record);
        return rc;
    }
    *out = record;
    return HILUM_OK;
}

/* Counted refusals first, while there is a writer; then the readers, so that nobody reads when
 * the log is copied back. */
void hl_record_close(struct hl_record *record)
{
    if (!record)
        return;
    hl_owing_free(record->owing);
    record->owing = NULL;
    if (record->refusals && record->writer && hl_refusals_write(record, true))
        hl_log(HL_WARN, "record", "repeated refusals were not written: %s", hl_error());
    hl_readers_free(record->readers);
    hl_writer_free(record->writer);
    for (unsigned i = 0; i < sizeof record->inserts / sizeof *record->inserts; i++)
        free(record->inserts[i]);
    hl_arena_fini(&record->issuers);
    free(record->places);
    hl_recent_free(record->recent);
    hl_refusals_free(record->refusals);
    pthread_mutex_destroy(&record->wake_lock);
    pthread_mutex_destroy(&record->saving.lock);
    pthread_mutex_destroy(&record->saving.health_lock);
    free(record);
}

hilum_rc hl_record_health(struct hl_record *record)
{
    return hl_writer_health(record->writer);
}

void hl_record_on_journal(struct hl_record *record, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&record->wake_lock);
    record->on_journal.arg = arg;
    record->on_journal.wake = wake;
    pthread_mutex_unlock(&record->wake_lock);
}

void hl_record_on_wanted(struct hl_record *record, bool (*wants)(void *arg, const char *event),
                         void *arg)
{
    pthread_mutex_lock(&record->wake_lock);
    record->wants = wants;
    record->wants_arg = arg;
    pthread_mutex_unlock(&record->wake_lock);
}

/* NULL: returns when nobody is in the callback any more, and it is not called again. */
void hl_record_on_durable(struct hl_record *record, void (*tell)(void *arg, uint64_t ticket),
                          void *arg)
{
    pthread_mutex_lock(&record->wake_lock);
    record->on_durable_arg = arg;
    record->on_durable = tell;
    pthread_mutex_unlock(&record->wake_lock);
}

hilum_rc hl_record_flush(struct hl_record *record)
{
    return hl_writer_flush(record->writer);
}

void hl_record_on_jobs(struct hl_record *record, void (*wake)(void *arg), void *arg)
{
    pthread_mutex_lock(&record->wake_lock);
    record->on_jobs.arg = arg;
    record->on_jobs.wake = wake;
    pthread_mutex_unlock(&record->wake_lock);
}
