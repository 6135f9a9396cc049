/* What the files of the ingest pipeline share: the store, an object on its way in, jobs of committing.
 * Nothing outside core/store includes this.
 *
 * Locks: queue_lock (commit.c), health_lock, memory_lock, unflushed_lock, holds_lock,
 * compress_lock, log_lock. None is taken while another one is held, and none is held while the
 * record, a store or a codec is called, but for holds_lock around an erasure and log_lock around
 * a listing that failed at the start. So no order among them is needed, and a disk that hangs
 * holds up whoever asked it (and, during an erasure, who opens an object).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_INTERNAL_H
#define HL_STORE_INTERNAL_H

#include <jansson.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <xxhash.h>
#ifdef HL_XXH_DISPATCH
#include <xxh_x86dispatch.h> /* the same names, with the widest registers of this processor */
#endif

#include "core/record/attrs.h"
#include "core/store/ingest.h"
#include "core/store/scan.h"
#include "core/store/splice.h"

/* Two committers: while one records its group the other makes the next one durable; a third
 * would seldom find work, as one group is flushed at a time. 64 objects share a flush: more
 * would save nothing measurable and make the first wait. 64 sums of compression: pairs of rule
 * and syntax between two turns of the housekeeper; further ones are not counted. */
enum { HL_COMMITTERS = 2, HL_GROUP_MAX = 64, HL_PROVIDERS_MAX = 8, HL_COMPRESS_SUMS = 64 };

/* A finished object waiting for its group. Lives in the ingest; whoever leads its group touches it until done. */
struct hl_commit_job {
    struct hl_commit_job *next;
    const struct hl_store_provider *provider;
    void *txn;                  /* NULL once committed, aborted or set aside */
    bool is_synced;             /* already durable under its pending key: only the row is wanted */
    struct hl_instance *row;    /* in and out */
    struct hl_unflushed *noted; /* not NULL: its row is in the store's log too */
    bool may_owe; /* then: it is not recorded here, and `noted` and `txn` stay with it */
    hilum_rc rc;
    char reason[256]; /* hl_error() of who led its group */
    sem_t done;       /* posted without a lock that whoever wakes would wait for */
};

/* A synced object whose row may or may not have been written when the record failed. */
struct hl_owed_object;
struct hl_doubt {
    struct hl_doubt *next;
    struct hl_owed_object *owed; /* answered: it is written until it is there; NULL: refused */
    bool is_failed;              /* then: the record failed, and not only found its UID taken */
    const struct hl_store_provider *provider;
    void *txn;
    char key[201];
};

/* An object with a note in its store's log, from then until its row is flushed (or there is none after all). */
struct hl_unflushed {
    struct hl_unflushed *next, **at;
    const struct hl_store_provider *provider;
    void *txn;       /* once recorded */
    uint64_t ticket; /* of the record; 0: not recorded yet */
    int64_t time;    /* orders notes; microseconds since 1970, or a little later */
};

/* An object being read. Lives in its reader, as does `key`; the list borrows both. */
struct hl_hold {
    struct hl_hold *next, **at; /* at NULL: not in the list */
    const struct hl_store_provider *provider;
    const char *key;
};

/* How one store is: a sick one refuses what is meant for it, the others go on. */
struct hl_medium {
    hilum_rc rc;
    char reason[256];
    int64_t space_checked_ms;
};

struct hl_store {
    struct hl_store_provider providers[HL_PROVIDERS_MAX];
    size_t n_providers;
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_store_options options;
    _Atomic uint64_t max_object;
    _Atomic uint32_t header_limit;
    struct hl_spool_place spool; /* of what is made before it leaves; min_free is all media's */

    pthread_mutex_t queue_lock;  /* of the queue and is_syncing */
    pthread_cond_t queue_filled; /* and nobody else sees to it */
    struct hl_commit_job *head, *tail;
    bool is_syncing; /* a group is being made durable */
    bool is_stopping;
    pthread_t committers[HL_COMMITTERS];
    unsigned n_committers;

    pthread_mutex_t health_lock; /* of the following five */
    pthread_cond_t health_changed;
    struct hl_medium media[HL_PROVIDERS_MAX]; /* as the providers */
    struct hl_doubt *doubts;
    atomic_uint
        n_owed_failed; /* of these answered, and their rows failed: nothing new begins before they are written */
    bool has_prober, is_closing;
    pthread_t prober;

    pthread_mutex_t unflushed_lock; /* of the following four */
    struct hl_unflushed *unflushed;
    uint64_t flushed_ticket;
    int64_t note_time, marked_time; /* of the newest note; of the mark in the catalogue */

    pthread_mutex_t memory_lock; /* of the following three */
    pthread_cond_t memory_freed;
    uint64_t memory_used;
    struct hl_ingest *ingests; /* the youngest first */

    pthread_mutex_t holds_lock;
    struct hl_hold *holds;

    pthread_mutex_t compress_lock; /* of the two: what is not recorded yet */
    struct hl_compression_sum compressed[HL_COMPRESS_SUMS];
    size_t n_compressed;

    atomic_uint_fast64_t objects, bytes, refused, duplicates, superseded, held, discarded, repaired,
        groups, grouped;
    atomic_uint duplicates_policy; /* enum hl_duplicate_policy */

    pthread_mutex_t log_lock;                         /* of the following five */
    uint64_t log_next;                                /* number of the next object of the log */
    uint64_t log_objects, log_bytes, log_whole_bytes; /* since everything was written, and then */
    bool has_whole;
    struct hl_frame_cache *frames; /* decoded ones (outgoing_frames.c) */
    struct hl_pool *decoders;
    unsigned n_decoders;
    char *derived; /* folder of what can be made again; NULL: nothing is kept */
    bool is_stale; /* since the start: the log knows more than the catalogue */
    atomic_bool is_rebuilding;
    struct hl_verified *verified; /* NULL: nothing is remembered */
    struct hl_mappings *mappings; /* of files that are read */
};

struct hl_ingest {
    struct hl_store *store;
    struct hl_ingest *older, *younger;
    int64_t began_us;
    struct hl_ingest_source source;
    char sop_class[65], sop_instance[65], transfer_syntax[65];
    _Atomic uint64_t uid_sum;    /* of sop_instance; others look whether theirs is the same */
    struct hl_owed_object *owed; /* its row may be written after the answer; NULL: before */
    struct hl_unflushed *noted;  /* then: and will be */
    bool may_derive,
        is_derived;   /* UIDs an object does not have (ACR-NEMA by import: even of a short one) */
    bool is_repaired; /* text was not in the character set declared */

    const struct hl_store_provider *provider;
    void *txn;
    char key[201];
    struct hl_scan *scan;
    XXH3_state_t *hash;
    uint64_t length, dataset_offset; /* data set bytes so far; where they begin in the object */
    uint64_t charged;                /* of the memory budget */
    unsigned remarks;                /* the importer's, then the scan's too */
    uint8_t digest_received[16];

    struct hl_attrs attrs;           /* after hl_header_read */
    struct hl_attrs edits;           /* what transform hooks changed */
    hilum_event *offered, *received; /* own the plan's strings */
    bool is_held, is_discarded;
    char held_by[96], held_reason[256];
    bool has_policy; /* a rule chose what becomes of other content under a known UID */
    enum hl_duplicate_policy policy;
    const struct hl_store_provider *chosen; /* by a rule; NULL: the default store */
    bool has_compress;                      /* a rule wants it encoded before it is committed */
    struct hl_pack_wish compress;
    char compress_rule[96], received_as[65]; /* received_as: its syntax before that; "" */
    uint64_t compress_min;
    bool is_synced;  /* durable under its pending key already */
    bool has_digest; /* digest_stored is that of what is stored, not `hash` */
    uint8_t digest_stored[16];

    hilum_rc rc; /* first failure: what follows is swallowed */
    struct hl_ingest_result result;
};

/* ---- outgoing_frames.c: frames and who decodes them ---- */
hilum_rc hl_frames_open(struct hl_store *store);
void hl_frames_close(struct hl_store *store); /* nothing is going out any more */
void hl_frames_status(struct hl_store *store, struct hl_buf *json);

/* Drops what was not committed, and all there is of it (ingest.c). */
void hl_ingest_free(struct hl_ingest *ingest);

/* When the oldest object that is on its way began to arrive; 0: none is. */
int64_t hl_ingest_oldest(void *arg);

/* ---- log.c, log_read.c: the log beside the objects ---- */

#define HL_LOG_END "{\"f\":0,\"n\":" /* the last line of each of its objects */
struct hl_log_key {
    const struct hl_store_provider *provider;
    uint64_t number, length; /* number 0: of an earlier Hilum, a line each */
    bool is_whole;
    char key[201];
};
struct hl_log_keys {
    const struct hl_store_provider *provider; /* being listed */
    struct hl_log_key *items;                 /* by number; free() */
    size_t n, cap;
};
/* Finds out whether the catalogue is the one the log belongs to (hl_record_is_restoring if not), and takes on what it
 * saves from now on. Before pending objects are settled. */
hilum_rc hl_log_open(struct hl_store *store);
hilum_rc hl_log_list(struct hl_store *store, struct hl_log_keys *out);
/* Everything in one object; what is older goes. */
hilum_rc hl_log_whole(struct hl_store *store);
/* Hands the record what the log says, from the last object on that has everything. */
hilum_rc hl_log_put(struct hl_store *store, const struct hl_log_keys *keys, bool *has_whole);

/* ---- refuse.c: failures become answers ---- */

/* Remembers the answer and drops the object. `what`: a few ASCII words for the peer; the thread's hl_error()
 * is kept under the reference. Returns rc. */
hilum_rc hl_ingest_refuse(struct hl_ingest *ingest, hilum_rc rc, uint16_t status,
                          uint32_t offending, const char *what);
/* The status for a failed store or record: A700 for what passes by itself, 0110 otherwise. */
uint16_t hl_ingest_status(hilum_rc rc);
/* Refuses with that status; `failed` (NULL: none) is the store whose medium failed: it takes nothing until it is
 * well again. */
hilum_rc hl_ingest_fail(struct hl_ingest *ingest, const struct hl_store_provider *failed,
                        hilum_rc rc, const char *what);

/* Tag and VR of a keyword (rules.c); 0: no such attribute. */
uint32_t hl_store_tag(const struct hl_store *store, const char *keyword, const char **vr);

/* ---- header.c: the scan becomes attributes ---- */

struct hl_header_field {
    uint32_t tag;
    const char *vr, *keyword;
};
/* A field the catalogue may keep, by keyword or tag; NULL if none. */
const struct hl_header_field *hl_header_field_find(const char *keyword);
const struct hl_header_field *hl_header_field_at(uint32_t tag);
bool hl_header_is_text_vr(
    const char *vr); /* its bytes depend on Specific Character Set or are ASCII */
/* Value of a top-level element as UTF-8 ("" and false when absent or not textual). */
bool hl_header_text(const struct hl_scan *scan, uint32_t tag, const char *vr,
                    const char *charset_repair, struct hl_buf *out, bool *was_repaired);
/* Fills attrs with what the catalogue may keep. HILUM_ENOMEM. */
hilum_rc hl_header_read(const struct hl_scan *scan, const char *charset_repair,
                        struct hl_attrs *attrs, bool *was_repaired);
/* One line of words for enum hl_scan_remark bits and what we did about it; "" for none. */
void hl_header_remarks(unsigned remarks, bool is_repaired, bool is_derived, struct hl_buf *out);

/* ---- derive.c: UIDs for objects that have none ---- */

/* "2.25." and the digest of the bytes as a decimal number (PS3.5 B.2): the same for the same bytes. */
void hl_derive_uid(const void *bytes, size_t n, char out[65]);
/* Fills in what is absent: the SOP UIDs given, study and series from patient, date and numbers. */
hilum_rc hl_derive_identity(struct hl_attrs *attrs, const char *sop_class, const char *sop_instance,
                            bool *is_derived);

/* ---- meta.c: the file meta information we write (PS3.10 7.1) ---- */
/* origin: a line of origin.c, or NULL. */
void hl_meta_write(const char *sop_class, const char *sop_instance, const char *transfer_syntax,
                   const char *source_aet, const struct hl_buf *origin, struct hl_buf *out);
void hl_key_make(char out[201]);
/* When an object began to arrive, by its key: the minute, and the time where the key has it (not those of an earlier
 * Hilum). 0: it does not tell. */
void hl_key_time(const char *key, int64_t *minute_us, int64_t *began_us);

/* ---- rules.c ---- */
/* instance.offered [filter]. Negative: refused (result is filled). */
hilum_rc hl_rules_offered(struct hl_ingest *ingest);
/* instance.received [filter, transform]. Negative: refused. */
hilum_rc hl_rules_received(struct hl_ingest *ingest);

/* ---- health.c: safe mode, memory budget ---- */
hilum_rc hl_health_open(struct hl_store *store);
void hl_health_close(struct hl_store *store);
/* That store's medium failed: it refuses until a probe succeeds. Codes that are no medium's are ignored. */
void hl_health_fail(struct hl_store *store, const struct hl_store_provider *provider, hilum_rc rc);
/* Is it well? Looks at its free space too. */
hilum_rc hl_health_medium(struct hl_store *store, const struct hl_store_provider *provider);
/* May a new object begin there? Asks the record as well. */
hilum_rc hl_health_check(struct hl_store *store, const struct hl_store_provider *provider);
/* Takes over a synced transaction whose row is in doubt. */
void hl_health_doubt(struct hl_store *store, const struct hl_commit_job *job);
/* Charges what the ingest holds now; waits up to 5 s for others to finish. HILUM_ENOMEM. */
hilum_rc hl_memory_charge(struct hl_ingest *ingest, uint64_t held);

/* ---- choose.c: verbs that say how an object is kept, not what happens next ---- */
/* "store", "duplicates" and "compress" (when = "ingest") among the event's steps, the last of each. HILUM_EINVAL:
 * arguments. */
hilum_rc hl_choices_take(struct hl_ingest *ingest, const hilum_event *event);
bool hl_choice_is(const struct hl_plan_step *step);

/* ---- commit.c ---- */
hilum_rc hl_commit_open(struct hl_store *store);
void hl_commit_close(struct hl_store *store);
/* Blocks until the object is durable and recorded, or is not; may lead a group with others' objects. On failure and on
 * HL_OUTCOME_EXISTS job->txn tells whether the caller still has the transaction. */
hilum_rc hl_commit_run(struct hl_store *store, struct hl_commit_job *job);
/* The store whose flush failed, of a job that did; NULL: it was the record. */
const struct hl_store_provider *hl_commit_medium(const struct hl_commit_job *job);

/* ---- unflushed.c ---- */
#define HL_MARK_SPACE "store"
#define HL_MARK_NAME  "notes.spent"
bool hl_notes_has(const struct hl_store_provider *provider);
/* Gives the store a note of the job's row, if it takes one: job->noted. Before its group is synced. */
void hl_unflushed_note(struct hl_store *store, struct hl_commit_job *job);
/* After the sync: is the note durable? If not, job->noted is none. */
void hl_unflushed_check(struct hl_store *store, struct hl_commit_job *job);
void hl_unflushed_drop(struct hl_store *store, struct hl_commit_job *job);
/* Before the answer that refuses: the next start finds no note of the job's object. */
void hl_unflushed_withdraw(const struct hl_commit_job *job);
/* Takes the transaction until the record has flushed; ticket 0: it has. */
void hl_unflushed_recorded(struct hl_store *store, struct hl_unflushed *noted, void *txn,
                           uint64_t ticket);
void hl_unflushed_free(struct hl_store *store, struct hl_unflushed *noted);
/* Before rows are taken away for good: no note of an object that is there now will be recorded again. HILUM_EAGAIN. */
hilum_rc hl_unflushed_mark(struct hl_store *store);
void hl_unflushed_open(struct hl_store *store);
void hl_unflushed_close(struct hl_store *store);

/* ---- owed.c: answered before the row is written ---- */
/* ingest->owed, where the row of this object may be owed. After row_fill, before hl_commit_run. */
void hl_owed_prepare(struct hl_ingest *ingest, const struct hl_instance *row);
void hl_owed_drop(struct hl_ingest *ingest); /* it was written before the answer after all */
/* Of an ingest with `noted`, before its answer leaves. It is not the caller's any more. */
void hl_owed_hand(struct hl_ingest *ingest);
/* The record is well again, perhaps. true: nothing is left to do; the object is gone. */
bool hl_owed_again(struct hl_owed_object *object);
void hl_owed_leave(struct hl_owed_object *object); /* at the stop */
/* health.c: tries again each second until hl_owed_again. */
void hl_health_owe(struct hl_store *store, struct hl_owed_object *object, bool is_failed);

/* ---- replay.c ---- */
struct hl_replay;
struct hl_replay *hl_replay_new(struct hl_store *store, const struct hl_store_provider *provider);
/* Of a pending object without a row: true if its note will be recorded again, and it is left to hl_replay_run. */
bool hl_replay_take(struct hl_replay *replay, const char *key);
hilum_rc hl_replay_run(struct hl_replay *replay, uint64_t *kept, uint64_t *erased);
void hl_replay_free(struct hl_replay *replay);

/* ---- duplicate.c ---- */
/* The rule's, or else the store's. */
enum hl_duplicate_policy hl_duplicate_policy_of(const struct hl_ingest *ingest);
/* Refuses with 0124 where the sender may not store into this study. */
hilum_rc hl_ingest_may(struct hl_ingest *ingest, const char *study_uid);
/* The row exists already: identical -> dropped (or repairs), different -> policy. Fills the result. */
hilum_rc hl_duplicate_settle(struct hl_ingest *ingest, struct hl_commit_job *job);
/* The same of an object that was answered: *is_wanted false where its content is there already. */
hilum_rc hl_duplicate_owed(struct hl_ingest *ingest, bool *is_wanted);

/* ---- holds.c ---- */
void hl_hold_add(struct hl_store *store, struct hl_hold *hold,
                 const struct hl_store_provider *provider, const char *key);
void hl_hold_remove(struct hl_store *store, struct hl_hold *hold); /* also one never added */

/* ---- digest.c ---- */
void hl_digest_final(const XXH3_state_t *state, uint8_t out[16]);
/* Of n bytes from `at`. */
hilum_rc hl_digest_object(const struct hl_store_provider *provider, const char *key, uint64_t at,
                          uint64_t n, uint8_t out[16]);
/* Journals instance.corrupted and says so in the log. */
void hl_corrupted_publish(struct hl_store *store, const struct hl_stored *stored, const char *why);
/* NULL with the reason. */
const struct hl_store_provider *hl_provider_find(const struct hl_store *store, const char *name);

/* ---- verified.c: what was found sound lately; NULL and stamp 0 are fine ---- */
struct stat;
struct hl_verified *hl_verified_new(void);
void hl_verified_free(struct hl_verified *verified);
/* Of an object and of the file it lies in as it is now. */
uint64_t hl_verified_stamp(const struct hl_stored *stored, const struct stat *st);
void hl_verified_note(struct hl_verified *verified, uint64_t stamp);
bool hl_verified_knows(struct hl_verified *verified, uint64_t stamp);
void hl_verified_forget(struct hl_verified *verified); /* all: something was found that is not */

/* ---- outgoing.c ---- */
/* The object `stored` says, catalogued or not, with these overlays (borrowed during the call). */
hilum_rc hl_outgoing_of(struct hl_store *store, const struct hl_stored *stored,
                        const struct hl_overlays *overlays, struct hl_outgoing **out);
/* n bytes of the stored data set before any splice, inflated where corrections made that necessary; all or an
 * error. */
hilum_rc hl_outgoing_read(struct hl_outgoing *outgoing, uint64_t at, void *dst, uint64_t n);

/* The same of the bytes as they lie in the store, and how many there are. */
hilum_rc hl_outgoing_read_stored(struct hl_outgoing *outgoing, uint64_t at, void *dst, uint64_t n);
uint64_t hl_outgoing_stored_length(const struct hl_outgoing *outgoing);

/* ---- overlay.c ---- */
/* Overlays as edits of the data set `scan` has read, with an Original Attributes item (PS3.3
 * C.12.1.1.9) that tells what was there. */
hilum_rc hl_overlay_plan(struct hl_outgoing *outgoing, const struct hl_store *store,
                         const struct hl_scan *scan, const struct hl_overlays *overlays,
                         struct hl_splice *out);

/* ---- deflated.c ---- */
/* The inflated data set of a deflated object, read forwards at the price of inflating, backwards at that of
 * beginning again. Borrows `outgoing`. */
struct hl_inflated;
hilum_rc hl_inflated_new(struct hl_outgoing *outgoing, struct hl_inflated **out);
void hl_inflated_free(struct hl_inflated *inflated); /* NULL is fine */
/* The next bytes, at most max. *n below max: the end. HILUM_ECORRUPT: damaged or cut short. */
hilum_rc hl_inflated_next(struct hl_inflated *inflated, void *dst, size_t max, size_t *n);
/* n bytes at a place, all or an error. */
hilum_rc hl_inflated_read(struct hl_inflated *inflated, uint64_t at, void *dst, size_t n);
/* Bytes as a deflated data set, appended to `out` as they come. */
struct hl_deflating;
hilum_rc hl_deflating_new(struct hl_deflating **out);
void hl_deflating_free(struct hl_deflating *deflating); /* NULL is fine */
hilum_rc hl_deflating_feed(struct hl_deflating *deflating, const void *bytes, size_t n,
                           struct hl_buf *out);
hilum_rc hl_deflating_end(struct hl_deflating *deflating, struct hl_buf *out);

/* ---- rewrite.c ---- */
/* Replaces the object under way by one with the edits applied, and attrs likewise. The old one is gone. On failure
 * *failed is the store that failed, NULL where none did. */
hilum_rc hl_rewrite(struct hl_ingest *ingest, const struct hl_store_provider **failed);

/* ---- adopt.c: an object that is there gets its row ---- */
struct hl_adopted {
    struct hl_instance row;
    struct hl_attrs attrs;
    struct hl_buf remark;
    char transfer_syntax[65];
    json_t *origin; /* texts of the row point into it */
};
/* Reads a stored object and prepares its row. HILUM_ECORRUPT: it is no whole object. */
hilum_rc hl_adopt_read(const struct hl_store_provider *provider, const char *key, uint64_t length,
                       struct hl_adopted *out);
void hl_adopt_fini(struct hl_adopted *adopted); /* also after a failure */

/* Keys that are no instances: set aside by fsck, lines of the log, probes of the medium. */
#define HL_ASIDE      "aside/"
#define HL_PROBE_KEYS "probe/"
bool hl_key_is_aside(const char *key);

#endif
