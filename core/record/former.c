/* What patients were called before they were corrected. A study that still arrives so is theirs, and is corrected as
 * the others were. Knows nothing of instances. SPDX-License-Identifier: Apache-2.0 */
#include "core/record/former.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* ---- remembering ----------------------------------------------------------------------------------------- */

/* By tag, as overlays are; keywords may change between editions of the dictionary. */
static void changes_json(const struct hl_attrs *changes, struct hl_buf *out)
{
    hl_buf_byte(out, '{');
    for (size_t i = 0; i < changes->n; i++) {
        hl_buf_printf(out, "%s\"%08X\":", i ? "," : "", changes->items[i].tag);
        hl_buf_json_string(out, changes->items[i].text);
    }
    hl_buf_byte(out, '}');
}

/* One statement reads the row as it is and writes it aside: nothing can come between. */
hilum_rc hl_former_add(struct hl_session *session, int64_t was, int64_t is,
                       const struct hl_attrs *changes, const struct hl_correction *c)
{
    struct hl_buf json = {0};
    changes_json(changes, &json);
    hilum_rc rc = hl_session_run(
        session,
        "INSERT INTO former_identity (patient, patient_id, issuer, name, birth_date, sex, changes, "
        "who, why, at_us) SELECT ?2, patient_id, issuer, name, birth_date, sex, ?3, ?4, ?5, ?6 "
        "FROM patient WHERE id = ?1",
        "iittti", was, is, hl_buf_str(&json), c->who, c->why, hl_now_us());
    hl_buf_fini(&json);
    return rc;
}

hilum_rc hl_former_move(struct hl_session *session, int64_t from, int64_t to)
{
    return hl_session_run(session, "UPDATE former_identity SET patient = ?2 WHERE patient = ?1",
                          "ii", from, to);
}

/* ---- recognising ----------------------------------------------------------------------------------------- */

/* Equal but for case, accents, character forms and empty components at the end. */
static bool is_same_text(const char *a, const char *b)
{
    struct hl_buf x = {0}, y = {0};
    hl_name_key(a, strlen(a), &x);
    hl_name_key(b, strlen(b), &y);
    bool is = strcmp(hl_buf_str(&x), hl_buf_str(&y)) == 0;
    hl_buf_fini(&x);
    hl_buf_fini(&y);
    return is;
}

/* What the row knew then must be what the newcomer says; what it did not know, not contradict
 * what it knows now. An empty value says nothing. Stricter than candidates() of identity.c:
 * there the ID decides and the rest may be silent, here a name that was corrected away is to
 * be recognised for sure. */
static bool is_as_before(const char *newcomer, const char *then, const char *now)
{
    if (!*newcomer)
        return true;
    return *then ? is_same_text(newcomer, then) : !*now || is_same_text(newcomer, now);
}

/* Nine columns: name, birth date and sex then; the same, ID and issuer now; the newcomer's ID and issuer
 * were compared by the statement. */
static bool is_former(struct hl_stmt *stmt, const struct hl_identity *newcomer)
{
    const char *const said[] = {newcomer->name, newcomer->birth_date, newcomer->sex};
    bool is_news = strcmp(newcomer->patient_id, hl_stmt_text(stmt, 8)) != 0 ||
                   strcmp(newcomer->issuer, hl_stmt_text(stmt, 9)) != 0;
    for (unsigned i = 0; i < 3; i++) {
        if (!is_as_before(said[i], hl_stmt_text(stmt, 2 + i), hl_stmt_text(stmt, 5 + i)))
            return false;
        is_news = is_news || (*said[i] && strcmp(said[i], hl_stmt_text(stmt, 5 + i)) != 0);
    }
    return is_news; /* otherwise it says what the row says now */
}

/* The latest correction that fits wins; a former identity that fits two people recognises
 * neither. Some rows a patient at most, found by (ID, issuer). */
hilum_rc hl_former_find(struct hl_session *session, const struct hl_identity *newcomer,
                        int64_t *patient, int64_t *former)
{
    struct hl_stmt *stmt = NULL;
    bool is_ambiguous = false;
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT f.id, f.patient, f.name, f.birth_date, f.sex, p.name, p.birth_date, p.sex, "
        "p.patient_id, p.issuer FROM former_identity f JOIN patient p ON p.id = f.patient "
        "WHERE f.patient_id = ?1 AND f.issuer = ?2 ORDER BY f.id DESC",
        "tt", newcomer->patient_id, newcomer->issuer);
    *patient = *former = 0;
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        rc = HILUM_OK;
        if (!is_former(stmt, newcomer))
            continue;
        is_ambiguous = is_ambiguous || (*patient && *patient != hl_stmt_int(stmt, 1));
        if (!*patient) {
            *former = hl_stmt_int(stmt, 0);
            *patient = hl_stmt_int(stmt, 1);
        }
    }
    hl_stmt_done(stmt);
    if (is_ambiguous) /* two people were called so: a person decides */
        *patient = *former = 0;
    return rc;
}

/* ---- correcting what was recognised ---------------------------------------------------------------------- */

/* All corrections since a former identity, merged: what the person is called now, in full. */
struct chain {
    struct hl_attrs changes; /* of the former identity and all corrections since: the last word */
    char who[128];
    struct hl_buf why;
};

static hilum_rc changes_read(const char *text, struct hl_attrs *out)
{
    json_t *object = json_loads(text, 0, NULL), *value;
    const char *tag;
    hilum_rc rc = json_is_object(object) ? HILUM_OK : hl_fail(HILUM_ECORRUPT, "a correction");
    json_object_foreach(object, tag, value)
    {
        if (rc == HILUM_OK && json_is_string(value))
            rc = hl_attrs_set(out, (uint32_t)strtoul(tag, NULL, 16), json_string_value(value));
    }
    json_decref(object);
    return rc;
}

/* All corrections of that patient from the one that fits onwards, merged in their order: what
 * is true of the person today. The last who and why stand for all: they are what is true now. */
static hilum_rc chain_read(struct hl_session *session, int64_t former, struct chain *out)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc = hl_session_ask(
        session, &stmt,
        "SELECT l.changes, l.who, l.why FROM former_identity f JOIN former_identity l "
        "ON l.patient = f.patient AND l.id >= f.id WHERE f.id = ?1 ORDER BY l.id",
        "i", former);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1) {
        rc = changes_read(hl_stmt_text(stmt, 0), &out->changes);
        snprintf(out->who, sizeof out->who, "%s", hl_stmt_text(stmt, 1));
        hl_buf_clear(&out->why);
        hl_buf_printf(&out->why, "arrived under the former identity: %s", hl_stmt_text(stmt, 2));
    }
    hl_stmt_done(stmt);
    return rc;
}

/* Only what differs: an object that is right already gets no correction. One seq for all: a
 * retrieval sees all of them or none. */
static hilum_rc overlays_add(struct hl_session *session, const struct chain *chain, int64_t study,
                             const struct hl_attrs *attrs)
{
    int64_t seq = 0;
    hilum_rc rc = hl_overlay_seq_next(session, &seq);
    for (size_t i = 0; i < chain->changes.n && rc == HILUM_OK; i++) {
        const struct hl_attr *change = &chain->changes.items[i];
        const char *old = hl_attrs_text(attrs, change->tag);
        if (strcmp(old, change->text) == 0)
            continue;
        rc = hl_session_run(session,
                            "INSERT INTO overlay (seq, study, tag, text, old_text, who, why, "
                            "at_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                            "iiitttti", seq, study, (int64_t)change->tag, change->text, old,
                            chain->who, hl_buf_str(&chain->why), hl_now_us());
    }
    return rc;
}

/* The newcomer's study gets those corrections as overlays; the audit row keeps what it said
 * itself. */
hilum_rc hl_former_correct(struct hl_session *session, int64_t former, int64_t study,
                           const struct hl_attrs *attrs)
{
    struct chain chain = {0};
    struct hl_buf before = {0}, after = {0};
    hilum_rc rc = chain_read(session, former, &chain);
    if (rc == HILUM_OK)
        rc = overlays_add(session, &chain, study, attrs);
    hl_buf_byte(&before, '{');
    for (size_t i = 0; i < chain.changes.n; i++) {
        hl_buf_printf(&before, "%s\"%08X\":", i ? "," : "", chain.changes.items[i].tag);
        hl_buf_json_string(&before, hl_attrs_text(attrs, chain.changes.items[i].tag));
    }
    hl_buf_byte(&before, '}');
    changes_json(&chain.changes, &after);
    if (rc == HILUM_OK)
        rc = hl_audit_add(session, "kernel", "patient.recognise",
                          hl_attrs_text(attrs, HL_STUDY_INSTANCE_UID), hl_buf_str(&before),
                          hl_buf_str(&after));
    hl_attrs_fini(&chain.changes);
    hl_buf_fini(&chain.why);
    hl_buf_fini(&before);
    hl_buf_fini(&after);
    return rc;
}
