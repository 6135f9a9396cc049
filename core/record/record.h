/* The record: catalogue, journal, outbox, traces, audit, key-value on top of the `database` capability.
 * The only kernel folder with SQL; everything outside sees typed functions.
 *
 * How to read the functions below. Those that write hand a unit of work to the one writing
 * session (writer.h), merge with what others write at that moment and return when it is durable,
 * unless it says otherwise; they block for a flush, and may run other callers' units meanwhile,
 * so no lock such a unit or hook could want may be held. Those that read take a session of a pool
 * for a page. All may be called from any thread, unless it says otherwise, but none from within a
 * unit or a hook.
 *
 * Errors all of them may return, not repeated below: HILUM_EIO, HILUM_EFULL, HILUM_EDENIED,
 * HILUM_ECORRUPT (the medium: hl_record_health says more), HILUM_EAGAIN (locked, or all
 * reading sessions busy for 5 s), HILUM_ENOMEM, HILUM_ECLOSED (the record is closing). Times
 * are microseconds since 1970 UTC (_us) or durations in milliseconds (_ms). Texts given are
 * borrowed for the call; texts of a callback until it returns.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_H
#define HL_RECORD_H

#include <stdbool.h>
#include <string.h>

#include "core/access/view.h"
#include "core/base/buf.h"
#include "core/record/attrs.h"
#include "hilum/catalog.h"
#include "hilum/database.h"

struct hl_record;
struct hl_plan_step; /* core/bus/bus.h */

struct hl_record_options {
    const char *default_issuer; /* IssuerOfPatientID where neither object nor peer has one */
    int64_t study_idle_ms;      /* a study without news for so long is complete */
    int64_t erase_grace_ms;     /* between a row's end and its object's */
    unsigned readers;           /* sessions for reading; 0: 4. At open only */
};

/* Migrates (numbered, one transaction each) and starts the writer. HILUM_EUNSUP: the database
 * was written by a newer Hilum (says both versions). `db` and its instance outlive the record.
 * One thread, before all others. */
hilum_rc hl_record_open(const struct hilum_database *db, void *db_instance,
                        const struct hl_record_options *options, struct hl_record **out);
/* The options anew, for what comes from now on. One thread at a time, beside all others. HILUM_ENOMEM: all as before. */
hilum_rc hl_record_configure(struct hl_record *record, const struct hl_record_options *options);
void hl_record_close(struct hl_record *record); /* waits for queued work; bounds the log */

/* HILUM_OK while writes succeed; the reason otherwise (locked, gone, full, read-only). While it is not
 * HILUM_OK the writer probes every second and recovers by itself. */
hilum_rc hl_record_health(struct hl_record *record);

/* ---- what only the catalogue knows, beside the objects (save.c, restore.c) ------------------------ */

/* Takes whole lines, durable on return. On the thread of anybody who writes to the record: it may do I/O, but must not call the
 * record, nor take a lock somebody holds who does.
 * oldest_us (any thread; NULL: none): when the oldest object on its way began to arrive, 0: none is. */
struct hl_saver {
    void *arg;
    hilum_rc (*write)(void *arg, const char *lines, size_t n);
    int64_t (*oldest_us)(void *arg);
};
/* From now on whatever changes is written within a second; decisions of people, quarantine, versions and jobs that
 * are nobody's event before their caller is told. NULL: no more; returns when the last write has. */
void hl_record_on_save(struct hl_record *record, const struct hl_saver *saver);
/* Returns when everything that has changed is beside the objects, or with the reason why it is
 * not. */
hilum_rc hl_record_save_now(struct hl_record *record);
hilum_rc hl_record_save_health(struct hl_record *record); /* of the last write, with its reason */
/* The whole state, in pieces of whole lines: what lines written before this call said is no longer needed. */
hilum_rc hl_record_save_all(struct hl_record *record,
                            hilum_rc (*write)(void *arg, const char *lines, size_t n), void *arg);
/* The name of this database, in every line ("c"): hexadecimal. */
const char *hl_record_catalogue(struct hl_record *record);
/* How often it has been saved, as it knows itself: what was written by `write` belongs to the next number. A log that says
 * more than one above has seen this database older than it was then. */
int64_t hl_record_save_round(struct hl_record *record);

/* A catalogue that was lost comes back: begin; put all lines, in any order, each with the number of what it lay in
 * (the larger one counts); persons; the instances of its objects (is_history); rest; end. Durable steps, each of which may
 * be repeated after a crash. Between begin and end decisions of people are refused. */
hilum_rc hl_record_restore_begin(struct hl_record *record);
hilum_rc hl_record_restore_put(struct hl_record *record, uint64_t number, const char *lines,
                               size_t n);
hilum_rc hl_record_restore_persons(struct hl_record *record);
/* Events of objects that began to arrive before are handled. INT64_MAX: nothing is known: all are. */
hilum_rc hl_record_restore_until(struct hl_record *record, int64_t *until_us);
/* When an object was received, where a line says so; 0. */
hilum_rc hl_record_restore_received(struct hl_record *record, const char *store, const char *key,
                                    int64_t *received_us);
hilum_rc hl_record_restore_rest(struct hl_record *record);
hilum_rc hl_record_restore_end(struct hl_record *record);
/* From begin to end, over restarts too: it is a row of the catalogue. */
bool hl_record_is_restoring(struct hl_record *record);
/* No instance has a row. */
hilum_rc hl_record_is_empty(struct hl_record *record, bool *out);

/* ---- instances ---------------------------------------------------------------------------------- */

/* What became of a row; the caller answers its sender by it (core/store/commit.c). */
enum hl_ingest_outcome {
    HL_OUTCOME_STORED = 1,      /* a new row */
    HL_OUTCOME_EXISTS = 2,      /* a row with this SOP Instance UID is there: nothing was written */
    HL_OUTCOME_QUARANTINED = 3, /* a new row, held: its journal entry waits for release */
    HL_OUTCOME_SUPERSEDED = 4   /* a new row in the place of the known one */
};

/* Other content under a known SOP Instance UID: what becomes of it. */
enum hl_known_uid {
    HL_KNOWN_ASIDE = 0,   /* the newcomer waits for a person */
    HL_KNOWN_REPLACE = 1, /* it is current from now on, the known one is erased after the grace */
    HL_KNOWN_VERSION = 2  /* it is current from now on, the known one stays as an earlier version */
};

/* `key` is the store's; store and key together name an object for ever, no key is used twice. */
struct hl_location {
    char store[32], key[201];
    uint64_t length;           /* bytes of the stored object (whole file) */
    uint64_t dataset_offset;   /* where the data set begins in it */
    uint8_t digest_stored[16]; /* XXH3-128 of the data set bytes as stored */
};

/* One instance to be recorded. All borrowed until the call returns. Members after `out` are
 * valid where the call returned HILUM_OK. The attributes are what is searched for; the
 * object's bytes are with the store by then, under location.key. */
struct hl_instance {
    const struct hl_attrs *attrs; /* what the header scan found, after transforms, in UTF-8 */
    const char *transfer_syntax;
    struct hl_location location;
    uint8_t digest_received[16]; /* XXH3-128 of data set bytes + syntax as received */
    const char *peer, *calling_aet, *called_aet, *address;
    const char *default_issuer;        /* of the peer; NULL: the global one */
    unsigned remarks;                  /* enum hl_scan_remark: recorded as non-conformance */
    const char *remark_text;           /* one line for people, or NULL */
    bool is_held;                      /* HILUM_HOLD: in quarantine until released */
    const char *held_by, *held_reason; /* rule and reason */
    const char *quarantine_of; /* not NULL: different content under this known SOP Instance UID */
    enum hl_known_uid
        on_known; /* then; what would move the object to another study, series, class or
                                 * person is put aside whatever this says (held_reason: why) */
    const struct hl_plan_step
        *plan; /* of filter and transform rules: written in the same transaction */
    size_t n_plan;
    bool
        is_restored; /* comes back from the objects of a lost catalogue, as what was saved of it says */
    bool
        is_history; /* then: its events were handled: kept for the story, no rule runs a second time */
    int64_t received_us; /* 0: now */
    const char
        *received_as; /* its syntax before it was compressed on its way in; NULL: it was not */
    /* out */
    enum hl_ingest_outcome outcome;
    int64_t instance_id, journal_id;
    bool is_new_study, is_provisional; /* hangs on a provisional patient: identity conflict */
};

/* Records n instances in one durable transaction: patient/study/series/instance rows,
 * location, counts, journal (`instance.stored` or `instance.quarantined`, `study.created`,
 * `patient.conflicted`), outbox, audit. All or none; a row that exists already is
 * HL_OUTCOME_EXISTS, not an error. Blocks; any thread; calls from several threads merge into
 * one flush. HILUM_EINVAL: one of the four UIDs is missing or too long; nothing of the batch
 * is written then. */
hilum_rc hl_record_instances(struct hl_record *record, struct hl_instance *const rows[], size_t n);

/* The same for instances a log beside the objects brings back after a power loss (store.h: note): recorded for everybody to
 * see, and perhaps not flushed. *ticket then says which flush is to be waited for before the log may forget them, and is 0
 * when they are durable already. */
hilum_rc hl_record_instances_logged(struct hl_record *record, struct hl_instance *const rows[],
                                    size_t n, uint64_t *ticket);
/* A row that is owed: its object is durable with a note that tells the row, and its sender may be answered before it is written.
 * Belongs to the caller but for `next`; `row` and what it points to live until `recorded`. */
struct hl_owed {
    struct hl_owed *next;
    struct hl_instance *row;
    /* What became of it, as hl_record_instances_logged says it. On a thread of the record's, which owed rows wait for: must not call the record. */
    void (*recorded)(struct hl_owed *owed, hilum_rc rc, uint64_t ticket);
};
/* Takes it over: it is written at once, or 20 ms after others were, and before anybody reads the catalogue or writes to it
 * by any other call. Waits while 64 are owed. Never while hl_record_close is called. Any thread. */
void hl_record_owe(struct hl_record *record, struct hl_owed *owed);
/* A failure that is the catalogue's and not one row's: it may be gone at another try. */
bool hl_record_may_pass(hilum_rc rc);
/* false: rows are to be written before the answer for now (a rebuild goes on, the catalogue cannot be written, or is slow to be). */
bool hl_record_may_owe(struct hl_record *record);
/* Returns when what was owed at the call has been written and told. What else of this header reads the catalogue or writes to it
 * does so by itself, but for hl_record_is_current. */
void hl_record_settle(struct hl_record *record);
/* Has the catalogue a current instance of that UID? What is owed does not count, and is not written for it. Waits for nobody:
 * HILUM_EAGAIN where all reading sessions are busy. */
hilum_rc hl_record_is_current(struct hl_record *record, const char *sop_instance, bool *out);
/* tell: everything up to that ticket is durable. Called by any thread that writes; it must not call the record. NULL ends it. */
void hl_record_on_durable(struct hl_record *record, void (*tell)(void *arg, uint64_t ticket),
                          void *arg);
/* Makes everything recorded durable. Errors: as everything that writes. */
hilum_rc hl_record_flush(struct hl_record *record);

/* What is stored under a SOP Instance UID (the committed, not quarantined one). HILUM_ENOTFOUND. */
struct hl_stored {
    int64_t instance_id;
    char sop_class[65], sop_instance[65], series_uid[65], study_uid[65], transfer_syntax[65];
    struct hl_location location;
    uint8_t digest_received[16];
    bool is_held;
    bool is_corrected; /* its study has overlays; none: hl_record_overlays need not be asked */
};
hilum_rc hl_record_stored(struct hl_record *record, const char *sop_instance,
                          struct hl_stored *out);
/* Also one that has been replaced, until it is erased: a retrieval that listed it before may finish. */
hilum_rc hl_record_stored_by_id(struct hl_record *record, int64_t instance_id,
                                struct hl_stored *out);
/* Content kept under that UID but not current (in quarantine, an earlier version) with that digest as received.
 * HILUM_ENOTFOUND, without a reason: for most that come it is the ordinary answer. */
hilum_rc hl_record_stored_aside(struct hl_record *record, const char *sop_instance,
                                const uint8_t digest_received[16], struct hl_stored *out);
/* Everything that has been stored under UIDs that came with more than one content, as a JSON array in order of
 * UID and arrival: which is a Study or SOP Instance UID. The number of a version never changes. */
hilum_rc hl_record_versions(struct hl_record *record, const char *which, struct hl_buf *json);
/* The content with that number. HILUM_ENOTFOUND: no such number, or erased. */
hilum_rc hl_record_version(struct hl_record *record, const char *sop_instance, int64_t number,
                           struct hl_stored *out);
/* SOP classes and transfer syntaxes of the newest objects, with their counts. An error of each() ends it. */
typedef hilum_rc (*hl_holding_cb)(void *arg, const char *sop_class, const char *transfer_syntax,
                                  uint64_t n);
hilum_rc hl_record_holdings(struct hl_record *record, hl_holding_cb each, void *arg);
/* Does any row (any state) point at store/key? For finishing pending keys at start. *out is
 * set on HILUM_OK only: whoever cannot be told must not erase. */
hilum_rc hl_record_has_key(struct hl_record *record, const char *store, const char *key, bool *out);
/* A resend or another event about an existing instance: audit + journal `instance.duplicated`. */
hilum_rc hl_record_duplicate(struct hl_record *record, int64_t instance_id, const char *peer,
                             bool repaired);
/* A second sound copy replaces a bad one (digest mismatch found): new location, old one erased
 * later. received_as as in struct hl_instance. The bad copy stays for the grace: whoever reads
 * it now may finish. */
hilum_rc hl_record_relocate(struct hl_record *record, int64_t instance_id,
                            const struct hl_location *to, const char *transfer_syntax,
                            const char *received_as);

/* ---- objects that become smaller where they lie ------------------------------------------------------ */

/* An object has been encoded and proven: the new location counts, the old one stays for keep_us. */
struct hl_compressed_row {
    int64_t instance_id;
    const char *from_key; /* the location that was encoded; another one by now: HILUM_ECONFLICT */
    const struct hl_location *to;
    const char *syntax, *syntax_before;
    const char *rule; /* who wanted it */
    int64_t keep_us;
};
/* One transaction: locations, sizes, erasure, audit; durable, beside the objects too. */
hilum_rc hl_record_compressed(struct hl_record *record, const struct hl_compressed_row *row);
/* It was tried and left as it was: no schedule tries that syntax again. */
hilum_rc hl_record_compression_tried(struct hl_record *record, int64_t instance_id,
                                     const char *syntax);
/* Current objects that may be encoded, by ascending number; those that were compressed or tried before are left out. */
struct hl_compressible {
    int64_t after_id, before_us; /* received before; numbers above */
    const char *modality;        /* "": any */
    const char *study_uid;       /* "": all */
    uint64_t min_bytes;
    const char *syntax; /* wanted */
};
hilum_rc hl_record_compressible(struct hl_record *record, const struct hl_compressible *query,
                                int64_t *ids, size_t max, size_t *n);
/* What a rule's compression came to, to be added to what is known. */
struct hl_compression_sum {
    char rule[96], syntax[65], last_kept[160];
    uint64_t done, kept, bytes_before, bytes_after;
    int64_t work_us;
};
hilum_rc hl_record_compression_add(struct hl_record *record, const struct hl_compression_sum *items,
                                   size_t n);
/* A JSON array: all sums, and originals that still wait for their end. */
hilum_rc hl_record_compression_report(struct hl_record *record, struct hl_buf *json);
/* The object as it was received, while its original is there; else as hl_record_stored_by_id. */
hilum_rc hl_record_stored_original(struct hl_record *record, int64_t instance_id,
                                   struct hl_stored *out);

/* Remembers in key-value `schedule` when `name` is due next and, with fields, journals schedule.due: in one transaction. */
hilum_rc hl_record_schedule_due(struct hl_record *record, const char *name, int64_t next_us,
                                const char *fields_json);

/* Visits every location row in key order (fsck, rebuild): HILUM_OK to go on. Pages; no snapshot held. */
typedef hilum_rc (*hl_location_cb)(void *arg, int64_t instance_id,
                                   const struct hl_location *location, const char *state);
/* An error of each() ends the walk and is returned. Rows added meanwhile behind the last key
 * are seen. */
hilum_rc hl_record_locations(struct hl_record *record, const char *store, hl_location_cb each,
                             void *arg);

/* ---- finding (the body of hilum_catalog_api) ------------------------------------------------------ */

/* What `filter` withholds is left out of the answers, before they are counted to the limit;
 * NULL sees all. HILUM_EINVAL: a key is not of its VR's form, or `after` is no position of
 * this query; HILUM_EFULL: more values to match than one statement takes; HILUM_EAGAIN, of
 * hl_cursor_next too: it took too long for others who waited. The cursor is closed by the caller, is used by one thread at a time, and holds a
 * page of answers but no session: it may be kept for as long as a peer takes to read. */
hilum_rc hl_record_find(struct hl_record *record, const struct hilum_catalog_query *query,
                        const struct hl_filter *filter, hilum_cursor **out);
/* 1: an answer is there, whose values are borrowed until the next call; 0: there are no more; negative: an error. */
hilum_rc hl_cursor_next(hilum_cursor *cursor);
/* NULL: not asked for or not kept; "": kept and empty. */
const char *hl_cursor_value(hilum_cursor *cursor, uint32_t tag);
/* Where the cursor stands, for `after` of a later query of the same keys; borrowed until the
 * next call. */
const char *hl_cursor_position(hilum_cursor *cursor);
void hl_cursor_close(hilum_cursor *cursor);
/* 1: kept at this level, so it can be matched and returned. */
int32_t hl_record_has_attribute(uint32_t level, uint32_t tag);
/* 0: the value is not of the form its VR has, or longer than is taken. */
int32_t hl_record_takes_key(uint32_t level, const struct hilum_catalog_key *key);
/* For lists of what can be asked; 0 beyond the last. */
uint32_t hl_record_attribute_at(uint32_t level, uint32_t i);
/* The current objects below unique keys (PS3.4 C.4.2, C.4.3), by study, series and instance
 * number. *as_of is set to the corrections of that moment, for what is sent. HILUM_EINVAL: no
 * unique key; HILUM_EFULL: as hl_record_find. An error of each() ends the walk and is returned; no session is held while it
 * runs. */
hilum_rc hl_record_objects(struct hl_record *record, const struct hilum_catalog_key *keys,
                           uint32_t n_keys, const struct hl_filter *filter, int64_t *as_of,
                           hilum_object_cb each, void *arg);
/* Does the filter let this study through? 1, 0; HILUM_ENOTFOUND: there is none of that UID. */
hilum_rc hl_record_study_is_in(struct hl_record *record, const struct hl_filter *filter,
                               const char *study_uid);

/* ---- corrections ---------------------------------------------------------------------------------- */

/* One attribute changed by an overlay. Objects are never changed: a correction is a row here,
 * applied to what leaves. */
struct hl_overlay {
    uint32_t tag;
    const char *text;     /* new value, UTF-8; NULL: removed */
    const char *old_text; /* as received, for Original Attributes Sequence */
    int64_t when_us;
    const char *who, *why;
};
struct hl_overlays { /* ascending tags; texts in the arena, items from malloc */
    struct hl_arena arena;
    struct hl_overlay *items;
    size_t n;
};
/* A point before the first correction: what leaves as of then is what was stored. */
#define HL_AS_RECEIVED 1
/* The same of the bytes that came, where they were compressed since and are still there (core/store only). */
#define HL_AS_ORIGINAL (-1)
/* The corrections that apply to an instance as of that point (0: now). Empty for most. */
hilum_rc hl_record_overlays(struct hl_record *record, int64_t instance_id, int64_t as_of,
                            struct hl_overlays *out);
void hl_overlays_fini(struct hl_overlays *overlays);
/* Edits a patient's attributes (PatientName, PatientBirthDate, PatientSex, PatientID, IssuerOfPatientID...)
 * for all its studies: overlay rows, catalogue rows and audit (before, after) in one transaction.
 * HILUM_ENOTFOUND, HILUM_ECONFLICT (the new ID belongs to somebody else: merge is another verb). */
hilum_rc hl_record_edit_patient(struct hl_record *record, const char *patient_id,
                                const char *issuer, const struct hl_attrs *changes, const char *who,
                                const char *why);
/* Provisional patients and their conflicts as a JSON array; and a person's decision: join the
 * study to the known patient, or keep the newcomer as a person of its own. HILUM_ENOTFOUND:
 * not open (any more); HILUM_ECONFLICT: a rebuild has not come to its end. */
hilum_rc hl_record_conflicts(struct hl_record *record, struct hl_buf *json);
hilum_rc hl_record_resolve_conflict(struct hl_record *record, int64_t conflict_id, bool same_person,
                                    const char *who);

/* ---- quarantine ------------------------------------------------------------------------------------- */

/* At most 10,000 rows. */
hilum_rc hl_record_quarantine_list(struct hl_record *record, struct hl_buf *json);
/* Releases held instances (SOP Instance UID, Study UID or quarantine number): `instance.stored` is
 * journaled now. Other content under a known UID takes its place; `how` HL_KNOWN_VERSION: that stays as an earlier version,
 * else it is erased after the grace. *n counts. */
hilum_rc hl_record_quarantine_release(struct hl_record *record, const char *which, const char *who,
                                      enum hl_known_uid how, uint64_t *n);
/* What is discarded is erased after the grace; its row stays, so that it can be explained. */
hilum_rc hl_record_quarantine_discard(struct hl_record *record, const char *which, const char *who,
                                      uint64_t *n);

/* ---- journal (durable notify) ------------------------------------------------------------------------ */
struct hl_journal_entry {
    int64_t id;
    char event[48];
    char study_uid[65];  /* lane: entries of one study are handled in order */
    int64_t instance_id; /* 0: none */
    unsigned attempts;
    const char *fields; /* JSON; borrowed until the callback returns */
    const char *failed; /* a retry: hooks that failed last time, by line; "" the first time */
};
/* Appends an event of its own (not part of recording instances). Durable on return. *id: its
 * number, by which entries are handled in order. */
hilum_rc hl_record_journal_append(struct hl_record *record, const char *event,
                                  const char *study_uid, const char *fields_json, int64_t *id);
/* Entries not yet handled and due, ascending, above `after`, at most limit. A page is copied
 * first: each() may write, and take its time. An error of it ends the page. */
hilum_rc hl_record_journal_due(struct hl_record *record, int64_t after, unsigned limit,
                               hilum_rc (*each)(void *arg, const struct hl_journal_entry *entry),
                               void *arg);
/* What became of one hook for one entry. */
struct hl_hook_result {
    const char *hook, *version;
    int32_t verdict; /* negative: failed */
    const char *reason;
    const struct hl_plan_step *plan;
    size_t n_plan;
};
/* In one transaction: traces of the hooks, their plans (`send` -> outbox, `tag` -> label, others -> jobs;
 * rows unique on (entry, rule, ordinal): a replay adds nothing), and the entry marked handled, or due again
 * at retry_us when retry_us > 0 (then only the failed hooks run again). Merged with others' units. */
hilum_rc hl_record_journal_done(struct hl_record *record, int64_t id,
                                const struct hl_hook_result *results, size_t n, int64_t retry_us);
/* The same for many entries in one transaction: a runner that closes entries one by one waits for one flush
 * each. An entry without a hook that wants it has n 0. */
struct hl_journal_end {
    int64_t id;
    const struct hl_hook_result *results;
    size_t n;
    int64_t retry_us;
};
hilum_rc hl_record_journal_end(struct hl_record *record, const struct hl_journal_end *ends,
                               size_t n);
/* Called (any thread, must not block) after a commit that journaled something. On the thread
 * of whoever committed, with the record's wake_lock: set a flag, signal, return. */
void hl_record_on_journal(struct hl_record *record, void (*wake)(void *arg), void *arg);
/* Asked (as above) before an entry that is due at once is written: what nobody wants is written as handled, and
 * nobody is woken for it. NULL: every entry is due. */
void hl_record_on_wanted(struct hl_record *record, bool (*wants)(void *arg, const char *event),
                         void *arg);
/* Called after a commit that added or changed outbox or job rows. */
void hl_record_on_jobs(struct hl_record *record, void (*wake)(void *arg), void *arg);

/* ---- jobs and outbox ---------------------------------------------------------------------------------- */
/* Lanes are named by peers for `send`; what is fetched from a peer, and jobs of all other types, have a prefix before the
 * peer's name or the type's. */
#define HL_LANE_RETRIEVE "retrieve:"
#define HL_LANE_JOB      "job:"
enum {
    HL_LANE_MAX = 64, /* with its end */
    HL_LANE_PEER_MAX =
        HL_LANE_MAX - sizeof HL_LANE_RETRIEVE + 1 /* of a peer that is fetched from */
};
/* The peer of a lane of `send` (the lane itself) or of `retrieve`. */
static inline const char *hl_lane_peer(const char *lane)
{
    size_t n = sizeof HL_LANE_RETRIEVE - 1;
    return strncmp(lane, HL_LANE_RETRIEVE, n) == 0 ? lane + n : lane;
}

/* Names of states: "waiting", "running", "done", "failed" (retries used up), "cancelled". */
struct hl_job {
    int64_t id;
    char type[32]; /* "send", or a plugin's */
    char lane[HL_LANE_MAX];
    int64_t instance_id, as_of; /* send: the instance; as_of 0: as of the moment of sending */
    unsigned attempts;          /* this one included */
    int priority;               /* higher first */
    const char *arguments;      /* JSON; borrowed until the callback returns */
};
/* Claims up to limit due jobs of a lane (state running, lease until now + lease_ms; an expired
 * lease is due again). What a claim took and did not end is due again after the lease, so work
 * that takes longer must ask for a longer one. Durable before each() is called: no two
 * processes have one job. */
hilum_rc hl_record_jobs_claim(struct hl_record *record, const char *lane, unsigned limit,
                              int64_t lease_ms,
                              hilum_rc (*each)(void *arg, const struct hl_job *job), void *arg);
/* Lanes with work that is due, and when the next becomes due (0: none): for the scheduler. */
hilum_rc hl_record_lanes_due(struct hl_record *record,
                             hilum_rc (*each)(void *arg, const char *lane), void *arg,
                             int64_t *next_due_us);
struct hl_job_end {
    int64_t id;
    bool is_done;
    const char *result; /* proof or error, one line */
    int64_t retry_us;   /* not done: due again then; 0: failed for good (event job.failed) */
    bool is_uncounted;  /* not done: the destination was not reached: `attempts` stays as it was */
};
/* Ends of a batch of jobs in one transaction. The same batch may be told again after an error:
 * a job that has ended stays as it is. */
hilum_rc hl_record_jobs_end(struct hl_record *record, const struct hl_job_end *ends, size_t n);
/* Jobs a process that is gone had in hand are due now, before their lease ends: for the start of the one
 * process that works on this database. */
hilum_rc hl_record_jobs_release(struct hl_record *record);
/* Durable, and beside the objects too, on return. *id may be NULL. due_us 0: at once. */
hilum_rc hl_record_job_add(struct hl_record *record, const char *type, const char *lane,
                           int64_t instance_id, int64_t as_of, const char *arguments_json,
                           int64_t due_us, int64_t *id);
/* A study's objects for a destination: jobs and the audit row `study.send` in one transaction. */
struct hl_send_request {
    const char *to, *study_uid, *who;
    const int64_t *instances;
    size_t n;
    int64_t as_of; /* 0: as it is when it is sent */
};
/* All jobs or none; waits also until they are beside the objects. */
hilum_rc hl_record_send_add(struct hl_record *record, const struct hl_send_request *request);
/* state NULL: all. HILUM_EINVAL: no such state. limit 0: as many as a list holds, 10,000. */
hilum_rc hl_record_jobs_list(struct hl_record *record, const char *state, unsigned limit,
                             struct hl_buf *json);
/* One row a destination and study: objects by state, bytes, next try. Without a state: of the last 200,000 jobs. */
hilum_rc hl_record_jobs_groups(struct hl_record *record, const char *state, unsigned limit,
                               struct hl_buf *json);
/* HILUM_ENOTFOUND: not there, or not in a state to be retried (cancelled): done and running
 * ones stay. */
hilum_rc hl_record_job_retry(struct hl_record *record, int64_t id,
                             const char *who); /* 0: all failed */
hilum_rc hl_record_job_cancel(struct hl_record *record, int64_t id, const char *who);

/* ---- references, explain, audit, key-value --------------------------------------------------------------- */
/* Why a peer was refused something. No text may be NULL. */
struct hl_refusal {
    const char *peer; /* configured name, or the address of a stranger */
    const char *kind; /* few fixed words: what is refused for the same kind of reason */
    const char *what, *why;
};
/* Keeps it under a reference number ("H7K2-4MQX") that goes to the peer. HILUM_OK: a new one, durable. 1: a repeat
 * within a minute under the number of the first, of the same reason or, where a peer finds ever new ones, kind; it
 * is counted and written as an audit row `refused` of that number when the minute is over, or at the stop. */
hilum_rc hl_record_refusal(struct hl_record *record, const struct hl_refusal *refusal,
                           char reference[16]);
/* HILUM_ENOTFOUND: not known, or pruned with the journal. Case does not matter. */
hilum_rc hl_record_explain_reference(struct hl_record *record, const char *reference,
                                     struct hl_buf *json);
/* Everything that happened to a study (UID or accession number): arrivals, rules, jobs, edits.
 * HILUM_ENOTFOUND. Sections of at most 1,000 rows, equal ones folded. */
hilum_rc hl_record_explain_study(struct hl_record *record, const char *which, struct hl_buf *json);
/* Append-only. before/after: JSON or NULL. Durable with its transaction. */
hilum_rc hl_record_audit(struct hl_record *record, const char *who, const char *action,
                         const char *what, const char *before, const char *after);
/* Texts are borrowed for the call. before, after: NULL where there is none. */
struct hl_audit_row {
    int64_t id, at_us;
    const char *who, *action, *what, *before, *after;
};
/* HILUM_OK to go on. */
typedef hilum_rc (*hl_audit_cb)(void *arg, const struct hl_audit_row *row);
/* Rows after number `after` up to `until`, in order; pages, no snapshot is held between them. No session is held while
 * each() runs: it may wait. */
hilum_rc hl_record_audit_rows(struct hl_record *record, int64_t after, int64_t until,
                              hl_audit_cb each, void *arg);
/* Takes away rows up to `until`, in small units; what kv audit/pruned_to does not allow stays
 * (012_audit_prune). The database refuses what the mark does not allow, so that a defect here
 * erases nothing. */
hilum_rc hl_record_audit_prune(struct hl_record *record, int64_t until);
struct hl_audit_filter {
    const char *who, *action, *what; /* NULL: any; who: how it begins */
    int64_t limit;
};
/* The newest first; in pages likewise. */
hilum_rc hl_record_audit_find(struct hl_record *record, const struct hl_audit_filter *filter,
                              hl_audit_cb each, void *arg);
/* Statements of a plugin in one transaction, on its own tables (hilum_host.record). Any
 * thread. HILUM_ECONFLICT: a step changed another number of rows than it said;
 * HILUM_ETIMEDOUT: over 50 ms; HILUM_EDENIED: not its own tables; then nothing of it is done.
 * HILUM_EUNSUP: this database cannot confine plugins. */
hilum_rc hl_record_unit(struct hl_record *record, const char *plugin,
                        const struct hilum_record_step *steps, uint32_t n);
/* Appends. HILUM_ENOTFOUND: not set. A space has one owner, who names its keys. */
hilum_rc hl_record_kv_get(struct hl_record *record, const char *space, const char *key,
                          struct hl_buf *out);
/* value NULL: the key goes. */
hilum_rc hl_record_kv_set(struct hl_record *record, const char *space, const char *key,
                          const char *value);
/* Counts for `hilum status`: patients, studies, series, instances, bytes, journal, jobs by state, ... */
hilum_rc hl_record_status(struct hl_record *record, struct hl_buf *json);
/* Periodic housekeeping: studies gone idle -> `study.complete`, erasures that are due (calls erase), pruning
 * of traces and journal older than keep_ms (0: never), counted refusals whose minute is over. */
void hl_record_end_housekeeping(
    struct hl_record *record); /* any thread; a pass ends soon, as do later ones */
/* One thread at a time, the housekeeper's. erase() runs without transaction and session, and
 * may take long; HILUM_ENOTFOUND of it counts as erased, any other error is tried again in an
 * hour. */
hilum_rc hl_record_housekeep(struct hl_record *record, int64_t keep_ms,
                             hilum_rc (*erase)(void *arg, const char *store, const char *key),
                             void *arg);

#endif
