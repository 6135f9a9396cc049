/* Objects below unique keys, in series and instance number order.
 *
 * The objects of a retrieval (PS3.4 C.4.2, C.4.3): by series, in order of number, a page at a
 * time, so that a peer that stops reading holds no session. It knows nothing of sending.
 *
 * Series first, all of them, then their instances a page at a time: a patient may have 100,000
 * objects, and the list of series is what must be of one moment with the corrections.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/record/grant.h"
#include "core/record/match.h"

enum { PAGE = 256 };

/* ---- which series ----------------------------------------------------------------------------------------- */

/* Numbers only: a patient's series are few beside the instances. */
struct series_list {
    int64_t *ids;
    size_t n, cap;
};

static const struct hilum_catalog_key *key_find(const struct hilum_catalog_key *keys,
                                                uint32_t n_keys, uint32_t tag)
{
    for (uint32_t i = 0; i < n_keys; i++)
        if (keys[i].tag == tag && !hl_match_is_universal(&keys[i]))
            return &keys[i];
    return NULL;
}

/* Conditions for the keys given; HILUM_EINVAL when none is, since that would be everything.
 * Levels below `lowest` are left to the pages: the instance's UID is matched there. */
static hilum_rc keys_add(struct hl_sql *sql, const struct hilum_catalog_key *keys, uint32_t n_keys,
                         unsigned lowest)
{
    static const struct {
        uint32_t tag;
        unsigned level;
        const char *ref;
    } known[] = {{HL_PATIENT_ID, 1, "p.patient_id"},
                 {HL_ISSUER_OF_PATIENT_ID, 1, "p.issuer"},
                 {HL_STUDY_INSTANCE_UID, 2, "s.uid"},
                 {HL_SERIES_INSTANCE_UID, 3, "e.uid"},
                 {HL_SOP_INSTANCE_UID, 4, "i.uid"}};
    hilum_rc rc = HILUM_OK;
    for (size_t k = 0; k < sizeof known / sizeof *known && rc == HILUM_OK; k++) {
        const struct hilum_catalog_key *key = key_find(keys, n_keys, known[k].tag);
        const struct hl_column *column = hl_column_find(HILUM_LEVEL_IMAGE, known[k].tag);
        if (key && known[k].level <= lowest)
            rc = hl_match_add(sql, column, known[k].ref, key, NULL);
    }
    return rc;
}

/* A retrieval names unique keys (PS3.4 C.4.2, C.4.3); without one it
 * would be everything. */
static hilum_rc keys_check(const struct hilum_catalog_key *keys, uint32_t n_keys)
{
    static const uint32_t unique[] = {HL_PATIENT_ID, HL_STUDY_INSTANCE_UID, HL_SERIES_INSTANCE_UID,
                                      HL_SOP_INSTANCE_UID};
    for (size_t i = 0; i < sizeof unique / sizeof *unique; i++)
        if (key_find(keys, n_keys, unique[i]))
            return HILUM_OK;
    return hl_fail(HILUM_EINVAL, "retrieve: no unique key: expected PatientID or a UID");
}

static hilum_rc series_read(struct hl_session *session, struct hl_sql *sql, struct series_list *out)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc =
        hl_session_query(session, hl_buf_str(&sql->text), sql->values, (unsigned)sql->n, &stmt);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        rc = hl_grow(&out->ids, &out->cap, out->n, sizeof *out->ids)
                 ? HILUM_OK
                 : hl_fail(HILUM_ENOMEM, "retrieve: out of memory");
        if (rc == HILUM_OK)
            out->ids[out->n++] = hl_stmt_int(stmt, 0);
    }
    hl_stmt_done(stmt);
    return rc;
}

/* One read transaction: the state of the corrections and the list belong together. Rolled
 * back, since nothing was written: ending a read transaction is all that is wanted. */
static hilum_rc begin_read(struct hl_record *record, struct hl_sql *sql, struct series_list *out,
                           int64_t *as_of)
{
    struct hl_session *session = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = hl_session_begin(session);
    if (rc == HILUM_OK)
        rc = hl_session_int(session, as_of, "SELECT coalesce(max(seq), 1) FROM overlay", "");
    if (rc == HILUM_OK)
        rc = series_read(session, sql, out);
    hl_session_rollback(session);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* Withheld studies are left out here, once, not object by object. */
static hilum_rc series_list(struct hl_record *record, const struct hilum_catalog_key *keys,
                            uint32_t n_keys, const struct hl_filter *filter,
                            struct series_list *out, int64_t *as_of)
{
    struct hl_sql sql = {0};
    bool by_instance = key_find(keys, n_keys, HL_SOP_INSTANCE_UID) != NULL;
    hl_buf_text(&sql.text, "SELECT DISTINCT e.id, s.id, e.number FROM ");
    hl_buf_text(&sql.text,
                by_instance ? "instance i JOIN series e ON e.id = i.series " : "series e ");
    hl_buf_text(&sql.text, "JOIN study s ON s.id = e.study JOIN patient p ON p.id = s.patient ");
    hl_buf_text(&sql.text, by_instance ? "WHERE i.state = 0" : "WHERE 1 = 1");
    hilum_rc rc = keys_add(&sql, keys, n_keys, by_instance ? 4 : 3);
    if (filter)
        hl_filter_add(&sql, filter, 's');
    hl_buf_text(&sql.text, " ORDER BY s.id, e.number, e.id");
    if (rc == HILUM_OK)
        rc = hl_sql_check(&sql);
    if (rc == HILUM_OK)
        rc = begin_read(record, &sql, out, as_of);
    hl_sql_fini(&sql);
    return rc;
}

/* ---- their instances ------------------------------------------------------------------------------------------- */

struct page {
    struct hl_arena arena;
    struct hilum_object_ref refs[PAGE];
    unsigned n;
    int64_t number, id; /* where it ended */
};

/* Copies in the page's arena: the session is gone when they are handed out. */
static const char *kept(struct page *page, struct hl_stmt *stmt, unsigned i, bool *failed)
{
    const char *copy = hl_arena_strdup(&page->arena, hl_stmt_text(stmt, i));
    *failed = *failed || !copy;
    return copy;
}

static hilum_rc ref_read(struct page *page, struct hl_stmt *stmt)
{
    struct hilum_object_ref *ref = &page->refs[page->n];
    bool failed = false;
    *ref = (struct hilum_object_ref){.size = sizeof *ref,
                                     .instance = hl_stmt_int(stmt, 0),
                                     .sop_class = kept(page, stmt, 2, &failed),
                                     .sop_instance = kept(page, stmt, 3, &failed),
                                     .transfer_syntax = kept(page, stmt, 4, &failed),
                                     .series_uid = kept(page, stmt, 5, &failed),
                                     .study_uid = kept(page, stmt, 6, &failed),
                                     .length = (uint64_t)hl_stmt_int(stmt, 7)};
    page->id = ref->instance;
    page->number = hl_stmt_int(stmt, 1);
    page->n++;
    return failed ? hl_fail(HILUM_ENOMEM, "retrieve: out of memory") : HILUM_OK;
}

/* Keyset by instance number and row: instances that arrive meanwhile at the end are taken along. */
static hilum_rc page_query(struct hl_session *session, int64_t series, struct page *page,
                           const struct hilum_catalog_key *sop)
{
    struct hl_sql sql = {0};
    struct hl_stmt *stmt = NULL;
    hl_buf_text(&sql.text, "SELECT i.id, i.number, i.sop_class, i.uid, i.transfer_syntax, e.uid, "
                           "s.uid, l.bytes FROM instance i JOIN series e ON e.id = i.series "
                           "JOIN study s ON s.id = e.study "
                           "JOIN location l ON l.instance = i.id AND l.state = 'current' "
                           "WHERE i.state = 0 AND i.series = ");
    hl_sql_bind_int(&sql, series);
    hl_buf_text(&sql.text, " AND (i.number, i.id) > (");
    hl_sql_bind_int(&sql, page->number);
    hl_buf_text(&sql.text, ", ");
    hl_sql_bind_int(&sql, page->id);
    hl_buf_text(&sql.text, ")");
    hilum_rc rc = HILUM_OK;
    if (sop)
        rc = hl_match_add(&sql, hl_column_find(HILUM_LEVEL_IMAGE, HL_SOP_INSTANCE_UID), "i.uid",
                          sop, NULL);
    hl_buf_printf(&sql.text, " ORDER BY i.number, i.id LIMIT %d", PAGE);
    if (rc == HILUM_OK)
        rc = hl_sql_check(&sql);
    if (rc == HILUM_OK)
        rc = hl_session_query(session, hl_buf_str(&sql.text), sql.values, (unsigned)sql.n, &stmt);
    while (rc == HILUM_OK && page->n < PAGE && (rc = hl_stmt_step(stmt)) == 1)
        rc = ref_read(page, stmt);
    hl_stmt_done(stmt);
    hl_sql_fini(&sql);
    return rc;
}

static hilum_rc page_read(struct hl_record *record, int64_t series, struct page *page,
                          const struct hilum_catalog_key *sop)
{
    struct hl_session *session = NULL;
    hl_arena_fini(&page->arena);
    page->n = 0;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = page_query(session, series, page, sop);
    hl_readers_put(record->readers, session, rc);
    return rc;
}

/* Rows of a page are handed out after the session went back. */
static hilum_rc series_visit(struct hl_record *record, int64_t series,
                             const struct hilum_catalog_key *sop, hilum_object_cb each, void *arg)
{
    struct page *page = calloc(1, sizeof *page);
    hilum_rc rc = page ? HILUM_OK : hl_fail(HILUM_ENOMEM, "retrieve: out of memory");
    if (page)
        *page = (struct page){.n = PAGE, .number = INT64_MIN, .id = INT64_MIN};
    while (rc == HILUM_OK && page->n == PAGE) {
        rc = page_read(record, series, page, sop);
        for (unsigned i = 0; i < page->n && rc == HILUM_OK; i++)
            rc = each(arg, &page->refs[i]);
    }
    if (page)
        hl_arena_fini(&page->arena);
    free(page);
    return rc;
}

/* ---- what was asked for a moment ago ----------------------------------------------------------------------------- */

/* Is it one object, by its three UIDs, for somebody from whom nothing is withheld? */
static bool is_plain(const struct hilum_catalog_key *keys, uint32_t n_keys,
                     const struct hl_filter *filter)
{
    static const uint32_t tags[] = {HL_STUDY_INSTANCE_UID, HL_SERIES_INSTANCE_UID,
                                    HL_SOP_INSTANCE_UID};
    bool is = n_keys == 3 && (!filter || filter->n == 0);
    for (uint32_t i = 0; i < 3 && is; i++)
        is = keys[i].tag == tags[i] && !hl_match_is_universal(&keys[i]);
    return is;
}

/* Hands on, and copies what comes. */
struct keeping {
    hilum_object_cb each;
    void *arg;
    struct hl_recent_object object;
    unsigned n;
    bool fits;
};

static bool text_keep(const char *text, char out[65])
{
    return (size_t)snprintf(out, 65, "%s", text) < 65;
}

static hilum_rc keep(void *arg, const struct hilum_object_ref *ref)
{
    struct keeping *keeping = arg;
    struct hl_recent_object *object = &keeping->object;
    keeping->n++;
    object->instance = ref->instance;
    object->length = ref->length;
    keeping->fits = text_keep(ref->sop_class, object->sop_class) &&
                    text_keep(ref->sop_instance, object->sop_instance) &&
                    text_keep(ref->transfer_syntax, object->transfer_syntax) &&
                    text_keep(ref->series_uid, object->series_uid) &&
                    text_keep(ref->study_uid, object->study_uid);
    return keeping->each(keeping->arg, ref);
}

static hilum_rc give(const struct hl_recent_object *object, int64_t *as_of, hilum_object_cb each,
                     void *arg)
{
    const struct hilum_object_ref ref = {.size = sizeof ref,
                                         .instance = object->instance,
                                         .sop_class = object->sop_class,
                                         .sop_instance = object->sop_instance,
                                         .transfer_syntax = object->transfer_syntax,
                                         .series_uid = object->series_uid,
                                         .study_uid = object->study_uid,
                                         .length = object->length};
    *as_of = object->as_of;
    return each(arg, &ref);
}

/* *as_of fixes the corrections for the whole retrieval: an edit in the middle does not split a
 * study in two versions. A study that gets objects meanwhile: those of series that are known
 * are taken along, new series not. */
static hilum_rc objects_read(struct hl_record *record, const struct hilum_catalog_key *keys,
                             uint32_t n_keys, const struct hl_filter *filter, int64_t *as_of,
                             hilum_object_cb each, void *arg)
{
    struct series_list list = {0};
    const struct hilum_catalog_key *sop = key_find(keys, n_keys, HL_SOP_INSTANCE_UID);
    hilum_rc rc = keys_check(keys, n_keys);
    if (rc == HILUM_OK)
        rc = series_list(record, keys, n_keys, filter, &list, as_of);
    for (size_t i = 0; i < list.n && rc == HILUM_OK; i++)
        rc = series_visit(record, list.ids[i], sop, each, arg);
    free(list.ids);
    return rc;
}

/* Kept is what was found once under UIDs that are its own, letter by letter. */
hilum_rc hl_record_objects(struct hl_record *record, const struct hilum_catalog_key *keys,
                           uint32_t n_keys, const struct hl_filter *filter, int64_t *as_of,
                           hilum_object_cb each, void *arg)
{
    struct keeping keeping = {.each = each, .arg = arg};
    if (!is_plain(keys, n_keys, filter))
        return objects_read(record, keys, n_keys, filter, as_of, each, arg);
    uint64_t asked = hl_recent_now(record->recent);
    if (hl_recent_object(record->recent, keys[0].value, keys[1].value, keys[2].value,
                         &keeping.object))
        return give(&keeping.object, as_of, each, arg);
    hilum_rc rc = objects_read(record, keys, n_keys, filter, as_of, keep, &keeping);
    keeping.object.as_of = *as_of;
    if (rc == HILUM_OK && keeping.n == 1 && keeping.fits)
        hl_recent_keep_object(record->recent, asked, &keeping.object);
    return rc;
}
