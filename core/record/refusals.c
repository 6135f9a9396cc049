/* Reference numbers of refusals. A peer that is refused again and again for one reason gets one number: the first
 * refusal is durable at once, what follows within a minute is counted and becomes one audit row. Knows nothing of
 * what was refused.
 *
 * Why at all: a peer with a wrong title tries again every second for a week, and each refusal
 * used to be a row and a flush. Why the first is durable at once: its number is on somebody's
 * screen when they call. Everything here is under one lock, and lists are short enough to be
 * walked.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/record_private.h"

/* Of one peer in one window: reasons told apart word for word, reasons told apart by kind. Of
 * all peers: entries. The numbers bound memory (ENTRIES at some 400 bytes) and what a peer can
 * do by inventing reasons. */
enum { APART = 8, KINDS = 32, ENTRIES = 512 };
#define WINDOW_US (60 * INT64_C(1000000))
#define OTHER     "other reasons"

/* A reason seen within the window. The texts are cut: they are compared and shown, never parsed. */
struct entry {
    struct entry *next;
    char reference[16];
    char peer[96], kind[64];
    uint64_t why; /* hash */
    int64_t first_us, last_us;
    uint64_t repeats;
    char last_what[160];
};

struct hl_refusals {
    pthread_mutex_t lock; /* of all below; held while a first refusal is written */
    struct entry *entries;
    unsigned n;
};

hilum_rc hl_refusals_new(struct hl_refusals **out)
{
    struct hl_refusals *refusals = calloc(1, sizeof *refusals);
    if (!refusals)
        return hl_fail(HILUM_ENOMEM, "record: out of memory");
    pthread_mutex_init(&refusals->lock, NULL);
    *out = refusals;
    return HILUM_OK;
}

void hl_refusals_free(struct hl_refusals *refusals)
{
    if (!refusals)
        return;
    for (struct entry *entry = refusals->entries, *next; entry; entry = next) {
        next = entry->next;
        free(entry);
    }
    pthread_mutex_destroy(&refusals->lock);
    free(refusals);
}

/* ---- which entry ------------------------------------------------------------------------------------------ */

/* Two reasons of one hash would share a number: of 2^64 nobody will see it. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

/* A clock that was set back ends the window too. */
static bool is_over(const struct entry *entry, int64_t now_us)
{
    return now_us - entry->first_us >= WINDOW_US || now_us < entry->first_us;
}

/* why NULL: any. */
static struct entry *find(struct hl_refusals *refusals, const char *peer, const char *kind,
                          const char *why, int64_t now_us)
{
    uint64_t hash = why ? hash_of(why) : 0;
    for (struct entry *entry = refusals->entries; entry; entry = entry->next)
        if (strcmp(entry->peer, peer) == 0 && strcmp(entry->kind, kind) == 0 &&
            (!why || entry->why == hash) && !is_over(entry, now_us))
            return entry;
    return NULL;
}

static unsigned count_of(const struct hl_refusals *refusals, const char *peer)
{
    unsigned n = 0;
    for (const struct entry *entry = refusals->entries; entry; entry = entry->next)
        n += strcmp(entry->peer, peer) == 0;
    return n;
}

/* The entry this refusal repeats, or NULL: it is to be told apart, as peer and kind now say.
 * Three steps of getting coarser: word for word, by kind of that peer, "other reasons" of that
 * peer or, when all entries are taken, of nobody in particular. */
static struct entry *choose(struct hl_refusals *refusals, struct entry *like, const char *why)
{
    unsigned of_peer = count_of(refusals, like->peer);
    struct entry *found = find(refusals, like->peer, like->kind, why, like->first_us);
    if (!found && of_peer >= APART)
        found = find(refusals, like->peer, like->kind, NULL, like->first_us);
    if (found || (of_peer < KINDS && refusals->n < ENTRIES))
        return found;
    if (refusals->n >= ENTRIES)
        like->peer[0] = '\0';
    snprintf(like->kind, sizeof like->kind, OTHER);
    return find(refusals, like->peer, like->kind, NULL, like->first_us);
}

/* ---- the first --------------------------------------------------------------------------------------------- */

/* Without letters and digits that are taken for one another on a telephone. */
static void reference_make(char out[16])
{
    static const char letters[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
    unsigned char random[8] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memcpy(random, &(int64_t){hl_mono_ns()}, sizeof random);
    for (int i = 0; i < 9; i++)
        out[i] = (char)(i == 4 ? '-' : letters[random[i < 4 ? i : i - 1] % 32]);
    out[9] = '\0';
}

struct row {
    const struct entry *entry;
    const char *what, *why;
};

static hilum_rc row_write(struct hl_session *session, void *arg)
{
    const struct row *row = arg;
    return hl_session_run(session, "INSERT INTO refusal VALUES (?1, ?2, ?3, ?4, ?5)", "tittt",
                          row->entry->reference, row->entry->first_us, row->entry->peer, row->what,
                          row->why);
}

/* Again with another number where one is taken: of 2^40 that is not going to happen three
 * times. HILUM_EEXISTS comes from the primary key of the table. */
static hilum_rc first_write(struct hl_record *record, struct entry *entry, const char *what,
                            const char *why)
{
    struct row row = {entry, what, why};
    hilum_rc rc = HILUM_EEXISTS;
    for (int attempt = 0; attempt < 3 && rc == HILUM_EEXISTS; attempt++) {
        reference_make(entry->reference);
        rc = hl_writer_run(record->writer, HL_LANE_OTHER, row_write, &row);
    }
    return rc;
}

static hilum_rc first(struct hl_record *record, const struct entry *like, const char *what,
                      const char *why, char reference[16])
{
    struct hl_refusals *refusals = record->refusals;
    struct entry *entry = malloc(sizeof *entry);
    if (!entry)
        return hl_fail(HILUM_ENOMEM, "refusal: out of memory");
    *entry = *like;
    entry->why = hash_of(why);
    hilum_rc rc = first_write(record, entry, what, why);
    if (rc != HILUM_OK) {
        free(entry);
        return rc;
    }
    entry->next = refusals->entries;
    refusals->entries = entry;
    refusals->n++;
    memcpy(reference, entry->reference, sizeof entry->reference);
    return HILUM_OK;
}

/* The lock is held over the write, so that ten threads refused at once get one number. The
 * writer's hooks never take it. */
hilum_rc hl_record_refusal(struct hl_record *record, const struct hl_refusal *refusal,
                           char reference[16])
{
    struct hl_refusals *refusals = record->refusals;
    struct entry like = {.first_us = hl_now_us()};
    snprintf(like.peer, sizeof like.peer, "%s", refusal->peer);
    snprintf(like.kind, sizeof like.kind, "%s", refusal->kind);
    pthread_mutex_lock(&refusals->lock);
    hilum_rc rc = 1;
    struct entry *entry = choose(refusals, &like, refusal->why);
    if (entry) {
        entry->repeats++;
        entry->last_us = like.first_us;
        snprintf(entry->last_what, sizeof entry->last_what, "%s", refusal->what);
        memcpy(reference, entry->reference, sizeof entry->reference);
    } else {
        rc = first(record, &like, refusal->what, refusal->why, reference);
    }
    pthread_mutex_unlock(&refusals->lock);
    return rc;
}

/* ---- the rest ---------------------------------------------------------------------------------------------- */

static void repeats_json(const struct entry *entry, struct hl_buf *json)
{
    char when[32];
    hl_buf_printf(
        json, "{\"count\":%llu,\"last\":\"%s\",\"last_what\":", (unsigned long long)entry->repeats,
        hl_time_text(entry->last_us, when, sizeof when));
    hl_buf_json_string(json, entry->last_what);
    hl_buf_byte(json, '}');
}

/* Of the whole list in one transaction. May run twice: it only reads the list. */
static hilum_rc repeats_write(struct hl_session *session, void *arg)
{
    hilum_rc rc = HILUM_OK;
    for (const struct entry *entry = arg; entry && rc == HILUM_OK; entry = entry->next) {
        struct hl_buf json = {0};
        repeats_json(entry, &json);
        if (entry->repeats)
            rc = hl_audit_add(session, entry->peer, "refused", entry->reference, NULL,
                              hl_buf_str(&json));
        hl_buf_fini(&json);
    }
    return rc;
}

/* Takes out the entries whose window is over. Lock held. */
static struct entry *take_over(struct hl_refusals *refusals, bool all)
{
    struct entry *taken = NULL;
    int64_t now_us = hl_now_us();
    for (struct entry **at = &refusals->entries; *at;) {
        struct entry *entry = *at;
        if (!all && !is_over(entry, now_us)) {
            at = &entry->next;
            continue;
        }
        *at = entry->next;
        entry->next = taken;
        taken = entry;
        refusals->n--;
    }
    return taken;
}

/* The writing failed: they are tried again with the next. */
static void give_back(struct hl_refusals *refusals, struct entry *entry)
{
    for (struct entry *next; entry; entry = next) {
        next = entry->next;
        entry->next = refusals->entries;
        refusals->entries = entry;
        refusals->n++;
    }
}

/* The lock is held over the write, so that no repeat is counted in an entry that is about to be
 * freed. What could not be written is counted on and comes with the next attempt. */
hilum_rc hl_refusals_write(struct hl_record *record, bool all)
{
    struct hl_refusals *refusals = record->refusals;
    pthread_mutex_lock(&refusals->lock);
    struct entry *taken = take_over(refusals, all);
    bool has_repeats = false;
    for (const struct entry *entry = taken; entry; entry = entry->next)
        has_repeats |= entry->repeats > 0;
    hilum_rc rc =
        has_repeats ? hl_writer_run(record->writer, HL_LANE_OTHER, repeats_write, taken) : HILUM_OK;
    if (rc != HILUM_OK)
        give_back(refusals, taken);
    for (struct entry *next; taken && rc == HILUM_OK; taken = next) {
        next = taken->next;
        free(taken);
    }
    pthread_mutex_unlock(&refusals->lock);
    return rc;
}

/* ---- explained --------------------------------------------------------------------------------------------- */

/* Repeats of the window that is not over yet. Only in memory so far; after the minute they are
 * in the audit row. */
static void add_counted(struct hl_refusals *refusals, const char *reference, struct hl_buf *json)
{
    pthread_mutex_lock(&refusals->lock);
    for (const struct entry *entry = refusals->entries; entry; entry = entry->next) {
        if (strcasecmp(entry->reference, reference) != 0 || !entry->repeats)
            continue;
        hl_buf_text(json, ",\"repeats\":");
        repeats_json(entry, json);
    }
    pthread_mutex_unlock(&refusals->lock);
}

static void reference_json(struct hl_stmt *stmt, struct hl_refusals *refusals,
                           const char *reference, struct hl_buf *json)
{
    static const char *const names[] = {"peer", "what", "why"};
    char when[32];
    hl_buf_text(json, "{\"reference\":");
    hl_buf_json_string(json, reference);
    hl_buf_printf(json, ",\"when\":\"%s\"", hl_time_text(hl_stmt_int(stmt, 0), when, sizeof when));
    for (unsigned i = 0; i < 3; i++) {
        hl_buf_printf(json, ",\"%s\":", names[i]);
        hl_buf_json_string(json, hl_stmt_text(stmt, i + 1));
    }
    if (*hl_stmt_text(stmt, 4))
        hl_buf_printf(json, ",\"repeats\":%s", hl_stmt_text(stmt, 4));
    else
        add_counted(refusals, reference, json);
    hl_buf_byte(json, '}');
}

hilum_rc hl_record_explain_reference(struct hl_record *record, const char *reference,
                                     struct hl_buf *json)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_ask(session, &stmt,
                        "SELECT at_us, peer, what, why, (SELECT max(after_json) FROM audit a WHERE "
                        "a.what = r.reference AND a.action = 'refused') FROM refusal r "
                        "WHERE reference = upper(?1)",
                        "t", reference);
    if (rc == HILUM_OK)
        rc = hl_stmt_step(stmt);
    if (rc == 1)
        reference_json(stmt, record->refusals, reference, json);
    hl_stmt_done(stmt);
    hl_readers_put(record->readers, session, rc);
    if (rc == 0)
        return hl_fail(HILUM_ENOTFOUND, "reference %.32s: not known (kept for 90 days)", reference);
    return rc > 0 ? HILUM_OK : rc;
}
