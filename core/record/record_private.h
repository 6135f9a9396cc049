/* What the files of core/record share.
 *
 * Naming: hl_record_* is for everybody and starts units of its own; what is declared here runs
 * within somebody's unit (it takes a session, not a record, where it can) and starts none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_PRIVATE_H
#define HL_RECORD_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/record/columns.h"
#include "core/record/recent.h"
#include "core/record/record.h"
#include "core/record/session.h"
#include "core/record/writer.h"

/* Where an instance hangs. Row numbers of the three levels above an instance. */
struct hl_place {
    int64_t patient, study, series;
    bool is_provisional;
    bool is_new; /* the study was made for this instance */
    int64_t
        former; /* the patient was recognised by an identity it had before a correction; 0: not so */
};

/* As many series as may arrive at once; a slot is chosen by hash, so more cost look-ups and no
 * error. */
enum { HL_PLACES = 64 };

/* Series lately written to, by hash of the UID. Writer's thread only; forgotten whenever anything is
 * undone or moved. */
struct hl_places {
    struct {
        char series_uid[65], study_uid[65], sop_class[65];
        struct hl_place place;
    } entries[HL_PLACES];
    char source_key[320]; /* the last source and its row */
    int64_t source;
};

/* What is not in the objects is written beside them (save.c). */
struct hl_saving {
    pthread_mutex_t
        lock; /* of `saver`, and while it writes: who takes his back must not be called after */
    struct hl_saver saver;
    /* writer's thread */
    bool
        is_saved; /* all rows of `unsaved` are beside the objects: the next transaction deletes them */
    bool is_behind; /* there was a commit since */
    int64_t next_ms, until_us, until_ms;
    atomic_int_fast64_t
        round; /* how often something was saved; the database says so one transaction later */
    pthread_mutex_t health_lock; /* of the two */
    hilum_rc health;
    char why[256];
};

/* Constant after open, but for what is atomic, under a lock of its own, or of whoever has the
 * turn. */
struct hl_record {
    struct hl_writer *writer;
    struct hl_readers *readers;
    struct hl_arena issuers; /* all there ever were: units may still use an earlier one */
    const char *_Atomic default_issuer;
    _Atomic int64_t study_idle_us, erase_grace_us;
    char *inserts[5];         /* INSERT by level, made from hl_columns; [1] to [4] */
    struct hl_places *places; /* of who has the writer's turn */
    struct hl_recent *recent; /* answers that still hold */
    struct hl_refusals *refusals;
    struct hl_owing *owing; /* rows of objects that are answered */
    struct hl_saving saving;
    char catalogue[17];       /* this database, told apart from one that was lost: hexadecimal */
    atomic_bool is_ending;    /* the server stops: housekeeping ends with the page it is at */
    atomic_bool is_restoring; /* the rebuild of a lost one has not finished */
    bool is_derived;          /* housekeeper's thread: nothing is left of hl_derive_again */
    struct {
        void (*wake)(void *arg);
        void *arg;
    } on_journal, on_jobs;
    void (*on_durable)(void *arg, uint64_t ticket);
    void *on_durable_arg;
    bool (*wants)(void *arg, const char *event); /* NULL: everything is wanted */
    void *wants_arg;
    pthread_mutex_t
        wake_lock; /* of the four: whoever takes his wake back must not be called after */
};

/* ---- ingest (instances.c, places.c, identity.c): within a unit --------------------------------------- */

/* Binds the values of hl_row_fixed[level] and then the level's columns of the attributes, and inserts.
 * *id is the new row. */
hilum_rc hl_row_insert(struct hl_record *record, struct hl_session *session, unsigned level,
                       const struct hilum_value *fixed, const struct hl_attrs *attrs, int64_t *id);
/* Columns hl_row_insert wants first, by level. */
extern const char *const hl_row_fixed[5];
hilum_rc hl_inserts_make(struct hl_record *record);

/* Finds or makes patient, study and series of an instance. Sets out->is_new only for the
 * instance the study was made for: it brought modality and class along. */
hilum_rc hl_place_find(struct hl_record *record, struct hl_session *session,
                       struct hl_instance *instance, struct hl_place *out);
void hl_places_forget(struct hl_places *places);

/* The patient a new study belongs to: known, provisional, or made now. Sets patient,
 * is_provisional and former. PS3.3 C.7.1.1: issuer and ID together name a patient; neither
 * does so alone. */
hilum_rc hl_identity_find(struct hl_record *record, struct hl_session *session,
                          const struct hl_instance *instance, struct hl_place *place);
/* Writes the search keys of a name anew. Old keys go first: a patient is not found under a
 * name that was corrected away. */
hilum_rc hl_identity_keys(struct hl_session *session, int64_t patient, const char *name);

/* Is that the person of the row, by issuer, ID and what else is known of both? Also when it is what the row
 * said before a correction. */
hilum_rc hl_identity_is(struct hl_record *record, struct hl_session *session, int64_t patient,
                        const struct hl_instance *instance, bool *out);
/* Who sent it, in the words of hl_principal_text, which is not for this folder. */
void hl_instance_who(const struct hl_instance *row, char *out, size_t size);
/* Writes the level's columns of the attributes anew. */
hilum_rc hl_row_update(struct hl_session *session, unsigned level, int64_t id,
                       const struct hl_attrs *attrs);

/* hl_record_instances_logged for what is owed: waits for nothing that is. */
hilum_rc hl_instances_write(struct hl_record *record, struct hl_instance *const rows[], size_t n,
                            uint64_t *ticket);

/* ---- owed.c ---------------------------------------------------------------------------------------------- */

struct hl_owing; /* the list and its thread */
hilum_rc hl_owing_new(struct hl_record *record, struct hl_owing **out);
void hl_owing_free(struct hl_owing *owing); /* writes what is left; NULL is fine */
void hl_owing_settle(struct hl_owing *owing);

/* ---- one UID, several contents (versions.c): within a unit ------------------------------------------------ */

/* The current instance of a UID other content comes for. All that a decision about it needs,
 * read once: within a unit nothing else can change it. */
struct hl_known {
    int64_t id, series, study, patient, bytes, received_us;
    bool is_held, is_only_in_series, is_only_in_study;
    char sop_class[65], series_uid[65], study_uid[65], digest[33];
};
hilum_rc hl_known_read(struct hl_session *session, int64_t id, struct hl_known *out);
/* *why: what keeps the newcomer from taking its place; NULL: nothing. */
hilum_rc hl_known_compare(struct hl_record *record, struct hl_session *session,
                          const struct hl_known *known, const struct hl_instance *row,
                          const char **why);
/* It is current no more. */
hilum_rc hl_known_retire(struct hl_record *record, struct hl_session *session,
                         const struct hl_known *known, enum hl_known_uid how);
/* Gives the row just written its number under its UID; 0: the next one. */
hilum_rc hl_known_number(struct hl_session *session, const struct hl_instance *row, int64_t number);
/* Counts, attributes, waiting jobs and audit go over to the row just written. */
hilum_rc hl_known_succeed(struct hl_session *session, const struct hl_known *known,
                          const struct hl_instance *row, const char *who);
/* Parts of it: sums of series and study with the other size; jobs that wait go to the heir. */
hilum_rc hl_known_recount(struct hl_session *session, const struct hl_known *known, int64_t bytes);
/* Attributes of series and study are the newcomer's where it is the only current one. */
hilum_rc hl_known_levels(struct hl_session *session, const struct hl_place *place,
                         const struct hl_instance *row);
hilum_rc hl_known_jobs(struct hl_session *session, const struct hl_known *known, int64_t heir);

/* Makes search keys again that were made by an earlier way of folding (derive_again.c). */
hilum_rc hl_derive_again(struct hl_record *record);

/* ---- events (journal.c, jobs.c, audit.c): within a unit ------------------------------------------------ */

/* Texts are borrowed; is_handled entries are never given to hooks. */
struct hl_entry {
    const char *event, *study_uid, *fields;
    int64_t instance;
    bool is_handled; /* kept for the story only */
    int64_t due_us;  /* 0: at once; INT64_MAX: when a rebuild has everything that belongs to it */
};
hilum_rc hl_journal_add(struct hl_record *record, struct hl_session *session,
                        const struct hl_entry *entry, int64_t *id);
/* Steps of a plan as jobs and labels, unique on (entry, rule, ordinal). due_us INT64_MAX: held. */
hilum_rc hl_plan_write(struct hl_record *record, struct hl_session *session, int64_t entry,
                       const struct hl_plan_step *plan, size_t n, int64_t due_us);
/* Objects sent to one destination for one rule of one study: one audit row `instance.send` for all that end in
 * one unit. Starts zeroed; flush writes what has been added since the last one. */
struct hl_sent {
    char lane[80], study[65], rule[104];
    unsigned n;
};
hilum_rc hl_sent_add(struct hl_sent *sent, struct hl_session *session, int64_t job);
hilum_rc hl_sent_flush(struct hl_sent *sent, struct hl_session *session);
/* Append-only by triggers of the database too (004_audit_guard). */
hilum_rc hl_audit_add(struct hl_session *session, const char *who, const char *action,
                      const char *what, const char *before, const char *after);

/* ---- where it lies (stored.c): within a unit ----------------------------------------------------------- */

/* Where the object that counts lies; nothing can move it until the unit ends. */
struct hl_held {
    char key[201], uid[65], study_uid[65];
    int64_t bytes, series, study;
    bool
        is_counted; /* in the sums of series, study and totals: neither aside nor an earlier version */
};
/* HILUM_ENOTFOUND: no such instance, or none of its locations counts. */
hilum_rc hl_held_read(struct hl_session *session, int64_t instance, struct hl_held *out);
/* Its current location; who had one has retired it before. received_as NULL or "": it lies as it was received. */
hilum_rc hl_location_add(struct hl_session *session, int64_t instance, const struct hl_location *at,
                         const char *received_as);
/* Its current location is none any more; the object is erased when it is due. */
hilum_rc hl_erasure_add(struct hl_session *session, int64_t instance, int64_t due_us,
                        const char *why);
/* The grace for which an object stays readable that something replaced: a retrieval or a backup that has begun can end. */
int64_t hl_erasure_due(const struct hl_record *record);
/* Series, study and totals keep sums of what counts; what waits to be erased is in none of them. */
hilum_rc hl_sizes_add(struct hl_session *session, int64_t series, int64_t study, int64_t more);

/* compression.c: adds to the sums of a rule and syntax. */
hilum_rc hl_compression_sum_add(struct hl_session *session, const struct hl_compression_sum *sum,
                                int64_t at_us);

/* audit.c, within a unit. value NULL: the key goes. One row a key; the last write wins. */
hilum_rc hl_kv_write(struct hl_session *session, const char *space, const char *key,
                     const char *value);

/* ---- save.c: with the turn ---------------------------------------------------------------------------- */

/* The numbers are in files beside the objects and in triggers (009_saved): they never change. */
enum hl_fact {
    HL_FACT_OBJECT = 1, /* an object that is not simply current: state, versions, quarantine */
    HL_FACT_PATIENT,    /* of a decision, or waiting for one */
    HL_FACT_STUDY,      /* whose it is, overlays, labels */
    HL_FACT_FORMER,
    HL_FACT_CONFLICT,
    HL_FACT_JOB,
    HL_FACT_ENTRY, /* of the journal, to be handled; those of objects follow from HL_FACT_UNTIL */
    HL_FACT_UNTIL, /* objects that began to arrive before are handled */
    HL_FACT_HEAD,  /* of a log object: whose it is */
    HL_FACT_COMPRESSION /* what it has saved by rule and syntax: all of it in one line */
};
hilum_rc hl_save_began(struct hl_record *record, struct hl_session *session);
void hl_save_committed(struct hl_record *record, struct hl_session *session, unsigned notes,
                       bool is_idle);
/* Reads or makes the name of this database, and whether a rebuild has not finished. */
hilum_rc hl_save_open(struct hl_record *record);
/* HILUM_ECONFLICT while decisions cannot be made: what they are about may still come back. */
hilum_rc hl_restore_check(struct hl_record *record);

/* ---- restore.c: within a unit, while a lost catalogue is made again --------------------------------------- */

/* The saved state of an object. */
struct hl_restored {
    void *line; /* owns the texts; NULL: nothing is known of it */
    int64_t state, received_us, due_us;
    int64_t version; /* 0: not told */
    bool is_held, is_erasing;
    uint8_t digest_received[16];
    const char *why, *fields, *peer, *calling_aet, *called_aet, *address, *received_as;
};
hilum_rc hl_restore_object(struct hl_session *session, const struct hl_location *at,
                           struct hl_restored *out);
void hl_restored_fini(struct hl_restored *restored);
/* Within a unit of a rebuild, first and last: nothing it writes is unsaved, since it comes from what was saved. */
hilum_rc hl_restore_silence(struct hl_session *session, bool is_silent);
/* Its quarantine rows, and its erasure. */
hilum_rc hl_restore_aside(struct hl_session *session, const struct hl_restored *restored,
                          const struct hl_instance *row);
/* Whose a study was; *patient 0: not known. And its overlays and labels, once it has a row. */
hilum_rc hl_restore_patient(struct hl_session *session, const char *study_uid, int64_t *patient,
                            int64_t *standing);
hilum_rc hl_restore_study(struct hl_session *session, const char *study_uid, int64_t study);

/* ---- refusals.c ---------------------------------------------------------------------------------------- */

/* In memory: a crash loses counts of a minute, never the first refusal. */
struct hl_refusals; /* what was refused within the last minute */
hilum_rc hl_refusals_new(struct hl_refusals **out);
void hl_refusals_free(struct hl_refusals *refusals);
/* Repeats whose minute is over, or all of them, as audit rows in one unit. */
hilum_rc hl_refusals_write(struct hl_record *record, bool all);

/* ---- text ------------------------------------------------------------------------------------------------ */

/* Folded component group(s) of a name as stored for matching: no trailing '^' but exactly one.
 * Folding is hl_text_fold's: case, accents, width, traditional forms. A change of it makes all
 * stored keys wrong and needs a row in `derivation` (migration 007, derive_again.c). */
void hl_name_key(const char *group, size_t n, struct hl_buf *out);
/* "=g1^=g2^=" of all values and groups: the _f columns. */
void hl_name_keys_joined(const char *name, struct hl_buf *out);
/* "YYYYMMDD" of DA, also of the old "YYYY.MM.DD"; false if it is no date. out: 9 bytes. */
bool hl_date_normal(const char *text, size_t n, char out[9]);
/* "HHMMSS.FFFFFF" from TM with any number of components; `filler` '0' for the begin of the period,
 * '9' for its end. out: 14 bytes. */
bool hl_time_normal(const char *text, size_t n, bool is_end, char out[14]);
/* A whole number as IS has it (padding, sign). */
bool hl_int_parse(const char *text, size_t n, int64_t *out);

#endif
