/* One object's way from the offer to the answer.
 *
 * An ingest belongs to one thread, its association's or importer's. Whatever fails is remembered
 * in it and answered at the end; bytes that still come are swallowed. Nothing is left behind by
 * ingest_free() but what was recorded.
 *
 * Begin: the command's UIDs are checked, rules are asked about the offer, the medium is asked,
 * and the object is opened. Data: each piece is stored, digested and scanned at once, so that
 * an object of any size costs the memory of its header only. End: the header's identity is
 * checked, rules are asked about it, what they want changed makes a second writing, and the
 * group commit makes it durable and recorded. From outcome_take() on the answer may be
 * success, and not before.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/uid.h"
#include "core/store/compress.h"
#include "core/store/note.h"
#include "core/store/origin.h"

/* An ingest holds up to CHARGE_STEP bytes uncharged: with 1000 senders the budget is exceeded
 * by 64 MB at most. PLAN_MAX is what both events of an object may plan. */
enum { CHARGE_STEP = 64 * 1024, PLAN_MAX = 2 * HL_EVENT_PLAN_MAX };
_Static_assert((int)PLAN_MAX <= (int)HL_NOTE_PLAN_MAX, "a note tells the whole plan");

#define TAG_SOP_CLASS    HL_TAG(0x0008, 0x0016)
#define TAG_SOP_INSTANCE HL_TAG(0x0008, 0x0018)
#define TAG_STUDY        HL_TAG(0x0020, 0x000D)
#define TAG_SERIES       HL_TAG(0x0020, 0x000E)

/* The list of ingests tells since when something is on its way (hl_ingest_oldest): what a
 * rebuild may rely on. */
static void live_add(struct hl_ingest *ingest)
{
    struct hl_store *store = ingest->store;
    pthread_mutex_lock(&store->memory_lock);
    ingest->began_us = hl_now_us();
    ingest->older = store->ingests;
    if (ingest->older != NULL)
        ingest->older->younger = ingest;
    store->ingests = ingest;
    pthread_mutex_unlock(&store->memory_lock);
}

static void live_remove(struct hl_ingest *ingest)
{
    struct hl_store *store = ingest->store;
    pthread_mutex_lock(&store->memory_lock);
    if (ingest->older != NULL)
        ingest->older->younger = ingest->younger;
    if (ingest->younger != NULL)
        ingest->younger->older = ingest->older;
    else
        store->ingests = ingest->older;
    pthread_mutex_unlock(&store->memory_lock);
}

/* The last of the list: the youngest is first. */
int64_t hl_ingest_oldest(void *arg)
{
    struct hl_store *store = arg;
    int64_t oldest = 0;
    pthread_mutex_lock(&store->memory_lock);
    for (const struct hl_ingest *i = store->ingests; i != NULL; i = i->older)
        oldest = i->began_us;
    pthread_mutex_unlock(&store->memory_lock);
    return oldest;
}

/* An object that was not committed is aborted: the store forgets it. Whatever part of it was
 * made: any step of begin() may have failed. The events go after the row was recorded, since
 * the row's plan borrows their strings. */
void hl_ingest_free(struct hl_ingest *ingest)
{
    live_remove(ingest);
    if (ingest->txn != NULL)
        ingest->provider->table->abort(ingest->provider->instance, ingest->txn);
    if (ingest->charged > 0)
        hl_memory_charge(ingest, 0);
    hl_owed_drop(ingest);
    hl_scan_free(ingest->scan);
    XXH3_freeState(ingest->hash);
    if (ingest->offered != NULL)
        hl_event_free(ingest->offered);
    if (ingest->received != NULL)
        hl_event_free(ingest->received);
    hl_attrs_fini(&ingest->attrs);
    hl_attrs_fini(&ingest->edits);
    free(ingest);
}

/* UIDs of the command, without the padding some senders count in. */
static bool uid_take(const char *uid, char out[65])
{
    size_t n = uid != NULL ? strlen(uid) : 0;
    while (n > 0 && uid[n - 1] == ' ')
        n--;
    if (n > 64)
        n = 64;
    memcpy(out, uid != NULL ? uid : "", n);
    out[n] = '\0';
    return hl_uid_is_usable(out);
}

/* The source's texts stay borrowed. Listed from here on, before a byte or a key exists:
 * hl_ingest_oldest may be too early and never too late. A missing hash is found by begin(),
 * which can answer. */
static struct hl_ingest *ingest_new(struct hl_store *store, const struct hl_ingest_source *source)
{
    struct hl_ingest *ingest = calloc(1, sizeof *ingest);
    if (ingest == NULL)
        return NULL;
    ingest->store = store;
    ingest->source = *source;
    live_add(ingest);
    ingest->hash = XXH3_createState();
    if (ingest->hash != NULL)
        XXH3_128bits_reset(ingest->hash);
    return ingest;
}

/* They become file meta information, keys of the catalogue and log lines: nothing but digits and
 * dots. */
static hilum_rc uids_check(struct hl_ingest *ingest, const char *sop_class,
                           const char *sop_instance, const char *transfer_syntax)
{
    bool is_instance = uid_take(sop_instance, ingest->sop_instance);
    atomic_store(&ingest->uid_sum, XXH3_64bits(ingest->sop_instance, strlen(ingest->sop_instance)));
    bool is_class = uid_take(sop_class, ingest->sop_class);
    bool is_syntax = uid_take(transfer_syntax, ingest->transfer_syntax);
    /* The one reason for all three: hl_ingest_refuse puts it behind its own words. */
    hl_fail(HILUM_EINVAL, "expected digits and dots, 1 to 64 characters");
    if (!is_instance)
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xC000, TAG_SOP_INSTANCE,
                                "bad SOP Instance UID");
    if (!is_class)
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xC000, TAG_SOP_CLASS, "bad SOP Class UID");
    if (!is_syntax)
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xC000, 0, "bad transfer syntax UID");
    return HILUM_OK;
}

/* Opens the object and writes our file meta information. The key is new for every attempt, so
 * a resend never writes over what is there. Nothing is durable yet; the store forgets the key
 * if the process ends here. */
static hilum_rc object_open(struct hl_ingest *ingest)
{
    struct hl_buf meta = {0}, origin = {0};
    const struct hilum_store *table = ingest->provider->table;
    hl_key_make(ingest->key);
    hl_origin_write(&ingest->source, NULL, &origin);
    hl_meta_write(ingest->sop_class, ingest->sop_instance, ingest->transfer_syntax,
                  ingest->source.calling_aet, &origin, &meta);
    hilum_rc rc = meta.failed ? hl_fail(HILUM_ENOMEM, "no memory for a meta header") : HILUM_OK;
    if (rc == HILUM_OK)
        rc = table->begin(ingest->provider->instance, ingest->key, 0, &ingest->txn);
    if (rc == HILUM_OK)
        rc = table->append(ingest->provider->instance, ingest->txn, meta.data, meta.len);
    ingest->dataset_offset = meta.len;
    hl_buf_fini(&origin);
    hl_buf_fini(&meta);
    return rc == HILUM_OK ? rc : hl_ingest_fail(ingest, ingest->provider, rc, "cannot store");
}

/* Whatever fails, it is tried again: A700. A store that a rule chose is named, since others go on. */
static hilum_rc medium_check(struct hl_ingest *ingest, const struct hl_store_provider *provider)
{
    char what[64] = "not accepting objects now";
    hilum_rc rc = hl_health_check(ingest->store, provider);
    if (provider != &ingest->store->providers[0])
        snprintf(what, sizeof what, "store %s: none accepted", provider->name);
    return rc == HILUM_OK ? rc : hl_ingest_refuse(ingest, rc, 0xA700, 0, what);
}

/* Rules first: what is refused costs nothing. A discarded object is swallowed without a store.
 * The scan comes before the object, so that nothing has to be undone in the store when memory
 * is short. */
static hilum_rc begin(struct hl_ingest *ingest)
{
    struct hl_scan_limits limits = {.max_held = ingest->store->header_limit};
    if (ingest->hash == NULL)
        return hl_ingest_fail(ingest, NULL, hl_fail(HILUM_ENOMEM, "no memory"), "out of memory");
    hilum_rc rc = hl_rules_offered(ingest);
    if (rc != HILUM_OK || ingest->is_discarded)
        return rc;
    ingest->provider = ingest->chosen != NULL ? ingest->chosen : &ingest->store->providers[0];
    rc = medium_check(ingest, ingest->provider);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_scan_new(ingest->transfer_syntax, &limits, &ingest->scan);
    return rc == HILUM_OK ? object_open(ingest) : hl_ingest_fail(ingest, NULL, rc, "out of memory");
}

hilum_rc hl_ingest_begin(struct hl_store *store, const struct hl_ingest_source *source,
                         const char *sop_class, const char *sop_instance,
                         const char *transfer_syntax, struct hl_ingest **out,
                         struct hl_ingest_result *result)
{
    *out = NULL;
    *result = (struct hl_ingest_result){.status = 0xA700};
    struct hl_ingest *ingest = ingest_new(store, source);
    if (ingest == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an object");
    hilum_rc rc = uids_check(ingest, sop_class, sop_instance, transfer_syntax);
    if (rc == HILUM_OK)
        rc = begin(ingest);
    *result = ingest->result;
    if (rc == HILUM_OK)
        *out = ingest;
    else
        hl_ingest_free(ingest);
    return rc;
}

/* C000: another attempt with the same bytes fails, too. */
static hilum_rc scan_refuse(struct hl_ingest *ingest, hilum_rc rc)
{
    if (rc == HILUM_ENOMEM)
        return hl_ingest_refuse(ingest, rc, 0xA700, 0, "header too large");
    return hl_ingest_refuse(ingest, rc, 0xC000, 0, "cannot understand the data set");
}

/* To the store first: what the scan refuses must have been read anyway. Memory is charged in
 * steps, for the lock is one for all. */
hilum_rc hl_ingest_data(struct hl_ingest *ingest, const void *bytes, size_t n)
{
    uint64_t most = ingest->store->max_object;
    if (ingest->rc != HILUM_OK || ingest->is_discarded)
        return ingest->rc;
    /* A700 and not C000: the limit is this site's and may be raised while the sender keeps the
     * object. */
    if (most > 0 && ingest->length + n > most) {
        hl_fail(HILUM_EFULL, "object over max_object (%llu bytes)", (unsigned long long)most);
        return hl_ingest_refuse(ingest, HILUM_EFULL, 0xA700, 0, "object too large");
    }
    const struct hilum_store *table = ingest->provider->table;
    hilum_rc rc = table->append(ingest->provider->instance, ingest->txn, bytes, n);
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, ingest->provider, rc, "cannot store");
    XXH3_128bits_update(ingest->hash, bytes, n);
    ingest->length += n;
    rc = hl_scan_feed(ingest->scan, bytes, n);
    if (rc != HILUM_OK)
        return scan_refuse(ingest, rc);
    /* The scan's own limit (header_limit) bounds one header; this one bounds all of them
     * together. */
    uint64_t held = hl_scan_held(ingest->scan);
    if (held > ingest->charged + CHARGE_STEP && hl_memory_charge(ingest, held) != HILUM_OK)
        return hl_ingest_refuse(ingest, HILUM_ENOMEM, 0xA700, 0, "too many headers in flight");
    return HILUM_OK;
}

/* ---- the end ---- */

/* The data set's own word against the command's (PS3.4 B.2.3: A900) and what cannot do without. */
static hilum_rc identity_check(struct hl_ingest *ingest, uint32_t tag, const char *expected,
                               const char *what)
{
    const char *found = hl_attrs_get(&ingest->attrs, tag);
    char comment[48];
    if (found == NULL) {
        hl_fail(HILUM_EINVAL, "element %08X is absent or empty", tag);
        snprintf(comment, sizeof comment, "no %s", what);
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xC000, tag, comment);
    }
    if (!hl_uid_is_usable(found)) {
        hl_fail(HILUM_EINVAL, "element %08X: expected digits and dots, at most 64", tag);
        snprintf(comment, sizeof comment, "bad %s", what);
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xC000, tag, comment);
    }
    if (expected != NULL && strcmp(found, expected) != 0) {
        hl_fail(HILUM_EINVAL, "element %08X: %s, the command says %s", tag, found, expected);
        snprintf(comment, sizeof comment, "%s not as in the command", what);
        return hl_ingest_refuse(ingest, HILUM_EINVAL, 0xA900, tag, comment);
    }
    return HILUM_OK;
}

/* Elements after those that identify: what is absent before them was left out, not cut off. */
static bool goes_on(const struct hl_scan *scan)
{
    size_t n = hl_scan_count(scan);
    return n > 0 && hl_scan_at(scan, n - 1)->tag > TAG_SERIES;
}

/* Asked again by duplicate.c for the study the known instance lies in: the newcomer may name
 * another one. A failure to find out is no permission. */
hilum_rc hl_ingest_may(struct hl_ingest *ingest, const char *study_uid)
{
    const struct hl_ingest_source *source = &ingest->source;
    hilum_rc rc = source->may != NULL ? source->may(source->may_arg, study_uid) : HILUM_OK;
    if (rc == HILUM_EDENIED)
        return hl_ingest_refuse(ingest, rc, 0x0124, 0, "not allowed into this study");
    return rc < 0 ? hl_ingest_fail(ingest, NULL, rc, "cannot tell whether it is allowed")
                  : HILUM_OK;
}

/* A palette belongs to no study, and some senders forget the UIDs: what is absent is taken
 * from the command, or derived, the same for objects that say the same of themselves. Identity
 * first, permission last: what is asked about is the study the object will really be filed in. */
static hilum_rc header_check(struct hl_ingest *ingest)
{
    hilum_rc rc = hl_scan_end(ingest->scan);
    if (rc != HILUM_OK)
        return scan_refuse(ingest, rc);
    ingest->remarks |= hl_scan_remarks(ingest->scan);
    rc = hl_header_read(ingest->scan, ingest->source.charset_repair, &ingest->attrs,
                        &ingest->is_repaired);
    if (rc == HILUM_OK && (ingest->may_derive || goes_on(ingest->scan)))
        rc = hl_derive_identity(&ingest->attrs, ingest->sop_class, ingest->sop_instance,
                                &ingest->is_derived);
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, NULL, rc, "out of memory");
    rc = identity_check(ingest, TAG_SOP_CLASS, ingest->sop_class, "SOP Class UID");
    if (rc == HILUM_OK)
        rc = identity_check(ingest, TAG_SOP_INSTANCE, ingest->sop_instance, "SOP Instance UID");
    if (rc == HILUM_OK)
        rc = identity_check(ingest, TAG_STUDY, ingest->source.study_uid, "Study Instance UID");
    if (rc == HILUM_OK)
        rc = identity_check(ingest, TAG_SERIES, NULL, "Series Instance UID");
    return rc == HILUM_OK ? hl_ingest_may(ingest, hl_attrs_get(&ingest->attrs, TAG_STUDY)) : rc;
}

/* Plans of both events, in order; the events own the strings. */
static size_t plan_collect(const struct hl_ingest *ingest, struct hl_plan_step *steps)
{
    const hilum_event *const events[] = {ingest->offered, ingest->received};
    size_t n = 0;
    for (size_t e = 0; e < 2; e++) {
        size_t count = events[e] != NULL ? hl_event_plan_count(events[e]) : 0;
        for (size_t i = 0; i < count && n < PLAN_MAX; i++) {
            const struct hl_plan_step *step = hl_event_plan_at(events[e], i);
            if (!hl_choice_is(step))
                steps[n++] = *step;
        }
    }
    return n;
}

/* Texts are borrowed from the ingest until the row is recorded. */
static void row_fill(struct hl_ingest *ingest, struct hl_instance *row)
{
    const struct hl_ingest_source *source = &ingest->source;
    *row = (struct hl_instance){
        .attrs = &ingest->attrs,
        .transfer_syntax = ingest->transfer_syntax,
        .peer = source->peer,
        .calling_aet = source->calling_aet,
        .called_aet = source->called_aet,
        .address = source->address,
        .default_issuer = source->default_issuer,
        .remarks = ingest->remarks,
        .is_held = ingest->is_held,
        .held_by = ingest->is_held ? ingest->held_by : NULL,
        .held_reason = ingest->is_held ? ingest->held_reason : NULL,
        /* Of the whole object with the head we write, as fsck finds it in the store. */
        .location = {.length = ingest->dataset_offset + ingest->length,
                     .dataset_offset = ingest->dataset_offset},
    };
    snprintf(row->location.store, sizeof row->location.store, "%s", ingest->provider->name);
    snprintf(row->location.key, sizeof row->location.key, "%s", ingest->key);
    if (ingest->has_digest)
        memcpy(row->location.digest_stored, ingest->digest_stored, 16);
    else
        hl_digest_final(ingest->hash, row->location.digest_stored);
    row->received_as = ingest->received_as[0] != '\0' ? ingest->received_as : NULL;
    memcpy(row->digest_received, ingest->digest_received, 16);
}

/* Data set and syntax as they came, before any edit: what tells a resend from a stranger. The
 * syntax is digested too: the same bytes mean something else under another one. `hash` itself
 * goes on, for what is stored. */
static hilum_rc digest_received(struct hl_ingest *ingest)
{
    XXH3_state_t *state = XXH3_createState();
    if (state == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for a digest");
    XXH3_copyState(state, ingest->hash);
    XXH3_128bits_update(state, ingest->transfer_syntax, strlen(ingest->transfer_syntax));
    hl_digest_final(state, ingest->digest_received);
    XXH3_freeState(state);
    return HILUM_OK;
}

/* job->txn is NULL where the committer has kept it. */
static hilum_rc outcome_take(struct hl_ingest *ingest, struct hl_commit_job *job, hilum_rc rc)
{
    ingest->txn = job->txn;
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, hl_commit_medium(job), rc, "cannot make it durable");
    if (job->row->outcome == HL_OUTCOME_EXISTS)
        return hl_duplicate_settle(ingest, job);
    ingest->noted = job->noted;
    /* Here the object is durable, and recorded or owed: counted now, it can no longer be refused. */
    atomic_fetch_add(&ingest->store->objects, 1);
    atomic_fetch_add(&ingest->store->bytes, job->row->location.length);
    if (ingest->is_held)
        atomic_fetch_add(&ingest->store->held, 1);
    ingest->result.instance_id = job->row->instance_id;
    ingest->result.is_held = job->row->outcome == HL_OUTCOME_QUARANTINED || ingest->is_held;
    return HILUM_OK;
}

/* Pixel data that ends early is kept and said: B007, data set does not match SOP class (PS3.4 B.2.3). */
static void warning_set(struct hl_ingest *ingest)
{
    if (!(ingest->remarks & HL_SCAN_TRUNCATED) || ingest->result.status != 0)
        return;
    ingest->result.status = 0xB007;
    snprintf(ingest->result.comment, sizeof ingest->result.comment,
             "stored; pixel data or padding is cut short");
}

/* It will be dropped, or takes the place of a rotten one as it came: encoding it would be in
 * vain. Only a saving: what really becomes of it is decided in duplicate.c, after the record's
 * unique key has spoken. */
static bool is_resend(const struct hl_ingest *ingest)
{
    struct hl_stored known;
    return hl_record_stored(ingest->store->record, ingest->sop_instance, &known) == HILUM_OK &&
           memcmp(known.digest_received, ingest->digest_received, 16) == 0;
}

/* Digest as received, then the rules' changes, then the row of what is stored: a resend is
 * compared with what came, fsck with what lies there. */
static hilum_rc store_object(struct hl_ingest *ingest)
{
    struct hl_plan_step plan[PLAN_MAX];
    struct hl_instance row;
    struct hl_buf remark = {0};
    const struct hl_store_provider *failed = NULL;
    hilum_rc rc = digest_received(ingest);
    /* A rule of instance.received may choose a store after the bytes went to the default one
     * (or to that which instance.offered chose): then the object moves before it is committed. */
    bool is_elsewhere = ingest->chosen != NULL && ingest->chosen != ingest->provider;
    if (rc == HILUM_OK && is_elsewhere && medium_check(ingest, ingest->chosen) != HILUM_OK)
        return ingest->rc;
    if (rc == HILUM_OK && (ingest->edits.n > 0 || is_elsewhere))
        rc = hl_rewrite(ingest, &failed);
    /* Not where pixels are missing: encoding would make up what was cut off. */
    if (rc == HILUM_OK && ingest->has_compress && !(ingest->remarks & HL_SCAN_TRUNCATED) &&
        !is_resend(ingest)) {
        rc = hl_compress_arriving(ingest);
        failed = rc != HILUM_OK ? ingest->provider : NULL;
    }
    if (rc != HILUM_OK)
        return hl_ingest_fail(ingest, failed, rc, "cannot store as a rule wants");
    row_fill(ingest, &row);
    row.plan = plan;
    row.n_plan = plan_collect(ingest, plan);
    hl_header_remarks(ingest->remarks, ingest->is_repaired, ingest->is_derived, &remark);
    row.remark_text = remark.len > 0 ? hl_buf_str(&remark) : NULL;
    hl_owed_prepare(ingest, &row);
    /* Row, plan and remark live on this stack until hl_commit_run returns; the committers
     * borrow them. */
    struct hl_commit_job job = {.provider = ingest->provider,
                                .txn = ingest->txn,
                                .is_synced = ingest->is_synced,
                                .may_owe = ingest->owed != NULL,
                                .row = &row};
    rc = outcome_take(ingest, &job, hl_commit_run(ingest->store, &job));
    hl_buf_fini(&remark);
    return rc;
}

/* A discarded object is answered with success (0000) and leaves nothing; its result has no
 * UIDs, so that nobody waits for its study. */
hilum_rc hl_ingest_end(struct hl_ingest *ingest, struct hl_ingest_result *result)
{
    hilum_rc rc = ingest->rc;
    if (rc == HILUM_OK && !ingest->is_discarded) {
        rc = header_check(ingest);
        if (rc == HILUM_OK)
            rc = hl_rules_received(ingest);
        if (rc == HILUM_OK && !ingest->is_discarded)
            rc = store_object(ingest);
        if (rc == HILUM_OK && !ingest->is_discarded)
            warning_set(ingest);
    }
    *result = ingest->result;
    if (rc == HILUM_OK && !ingest->is_discarded) {
        snprintf(result->study_uid, sizeof result->study_uid, "%s",
                 hl_attrs_get(&ingest->attrs, TAG_STUDY));
        snprintf(result->series_uid, sizeof result->series_uid, "%s",
                 hl_attrs_get(&ingest->attrs, TAG_SERIES));
    }
    if (ingest->noted != NULL)
        hl_owed_hand(ingest);
    else
        hl_ingest_free(ingest);
    return rc;
}

void hl_ingest_abort(struct hl_ingest *ingest)
{
    if (ingest != NULL)
        hl_ingest_free(ingest);
}
