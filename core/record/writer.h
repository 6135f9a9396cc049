/* The one session that writes: units of work queue up, all that wait share a transaction, and each learns whether it is
 * durable. Whoever finds nobody at work serves itself; under load
 * a thread of the writer's own does. Knows no table.
 *
 * Why one session: SQLite has one writer at a time anyway, and a group that shares a flush is
 * what makes many small senders fast. Durable on return means flushed, not only committed: a
 * power loss after that takes nothing back.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_WRITER_H
#define HL_RECORD_WRITER_H

#include <stdbool.h>

#include "core/record/session.h"

struct hl_writer;

/* A sender waits for an answer with its next object in hand; a person or a job can wait for a
 * group. */
enum hl_lane { HL_LANE_INGEST, HL_LANE_OTHER }; /* ingest goes first */
/* HL_NOTE_SAVE: the caller is told only after what changed is beside the objects too (hl_writer_hooks.committed). */
enum { HL_NOTE_JOURNAL = 1, HL_NOTE_JOBS = 2, HL_NOTE_SAVE = 4 };

/* Runs within a transaction, on the thread of any of those who wait. Negative: what it wrote
 * is undone, others of the group are not. It must not block on anything but the session. EIO,
 * EFULL, EDENIED, EAGAIN, ECORRUPT and ENOMEM mean the medium and end the whole group: a unit
 * that means anything else by them takes its neighbours down. */
typedef hilum_rc (*hl_unit)(struct hl_session *session, void *arg);

/* The catalogue's failure, whichever unit met it, after which nothing of its transaction can be saved; any other is the
 * unit's own. */
bool hl_writer_is_fatal(hilum_rc rc);

/* All but `settle` with the turn, one at a time, on whatever thread has it; these may not call the writer. */
struct hl_writer_hooks {
    void *arg;
    /* Without the turn, by the caller of hl_writer_run and hl_writer_flush, before its unit is queued. */
    void (*settle)(void *arg);
    void (*undone)(void *arg);                /* with the turn: forget what was cached */
    void (*noted)(void *arg, unsigned notes); /* with the turn, after a commit with notes */
    /* With the turn, as the first thing within a transaction. */
    hilum_rc (*began)(void *arg, struct hl_session *session);
    /* With the turn, once before and once after each commit but those of hl_writer_run_beside alone. */
    void (*commits)(void *arg);
    /* With the turn, outside of a transaction: after a commit, before its callers are told; and when there was
     * nothing to do for a while since (is_idle). */
    void (*committed)(void *arg, struct hl_session *session, unsigned notes, bool is_idle);
    void (*durable)(void *arg, uint64_t ticket); /* with the turn: all tickets up to this one are */
};

/* Opens the writing session, migrates, starts the thread that copies the log back and looks
 * whether a sick medium is well. HILUM_EUNSUP: the catalogue is newer than this program
 * (hl_migrate). */
hilum_rc hl_writer_new(const struct hilum_database *db, void *instance,
                       const struct hl_writer_hooks *hooks, struct hl_writer **out);
/* Waits for what is queued, copies the log back, ends the thread. NULL is fine. */
void hl_writer_free(struct hl_writer *writer);

/* Queues and waits until the unit is durable or failed; may run others' units and the hooks
 * meanwhile, so no lock these take may be held. Any thread, but not from within a unit. While
 * the medium is not writable (health) units fail at once with that code. HILUM_ECLOSED:
 * hl_writer_free has begun. */
hilum_rc hl_writer_run(struct hl_writer *writer, enum hl_lane lane, hl_unit unit, void *arg);
/* The same for a unit that something else brings back after a power loss: when all of its group are of that kind, it is seen
 * by everybody but not flushed. *ticket then tells it (the hook `durable` names what is flushed), and is 0 otherwise. */
hilum_rc hl_writer_run_logged(struct hl_writer *writer, enum hl_lane lane, hl_unit unit, void *arg,
                              uint64_t *ticket);
/* The same for a unit that only adds rows beside the catalogue: no answer about patients, studies, series, instances, locations
 * and corrections is another one for it. */
hilum_rc hl_writer_run_beside(struct hl_writer *writer, enum hl_lane lane, hl_unit unit, void *arg);
/* Flushes what is not; the hook tells. Any thread, but not from within a unit. */
hilum_rc hl_writer_flush(struct hl_writer *writer);
/* From within a unit: what it did that somebody waits for. Dropped if the unit or commit fails. */
void hl_writer_note(struct hl_writer *writer, unsigned notes);
/* Any thread, without waiting for the turn. */
hilum_rc hl_writer_health(struct hl_writer *writer);

#endif
