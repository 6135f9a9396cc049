/* Grants by study as conditions on rows of the study table, and the question whether one study is within them. Texts
 * become parameters.
 *
 * A filter is up to two views (what a peer may, and what the user it speaks for may), all of
 * which must let a study through; a view is a list of grants, one of which must; a grant is
 * conditions, all of which must hold. Everything is a condition on `study`, so it can stand in
 * any query that has that table.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/record/grant.h"

#include <stdio.h>
#include <string.h>

#include "core/base/error.h"

/* ref IN (texts); of none: never. `fold`: ASCII case aside. "IN (NULL)" is true of nothing: a
 * condition that was said and names nobody grants nothing. */
static void among(struct hl_sql *sql, const char *ref, const struct hl_any_of *any, bool fold)
{
    hl_buf_printf(&sql->text, fold ? "lower(%s) IN (" : "%s IN (", ref);
    for (size_t i = 0; i < any->n; i++) {
        hl_buf_text(&sql->text, i > 0 ? ", " : "");
        hl_buf_text(&sql->text, fold ? "lower(" : "");
        hl_sql_bind_text(sql, any->texts[i], strlen(any->texts[i]));
        hl_buf_text(&sql->text, fold ? ")" : "");
    }
    hl_buf_text(&sql->text, any->n == 0 ? "NULL)" : ")");
}

/* Of any series: a study done by two departments is both's. */
static void department_add(struct hl_sql *sql, char study, const struct hl_any_of *any)
{
    hl_buf_printf(&sql->text,
                  " AND EXISTS (SELECT 1 FROM series g1 WHERE g1.study = %c.id AND g1.department "
                  "<> '' AND ",
                  study);
    among(sql, "g1.department", any, true);
    hl_buf_byte(&sql->text, ')');
}

static void label_add(struct hl_sql *sql, char study, const struct hl_any_of *any, bool is_without)
{
    hl_buf_printf(&sql->text, " AND %sEXISTS (SELECT 1 FROM label g2 WHERE g2.study = %c.id AND ",
                  is_without ? "NOT " : "", study);
    among(sql, "g2.label", any, false);
    hl_buf_byte(&sql->text, ')');
}

/* Current objects only; what a peer sent and somebody replaced gives no right any more. */
static void sender_add(struct hl_sql *sql, char study, const struct hl_any_of *any)
{
    hl_buf_printf(&sql->text,
                  " AND EXISTS (SELECT 1 FROM series g3 CROSS JOIN instance g4 CROSS JOIN source "
                  "g5 WHERE g3.study = %c.id AND g4.series = g3.id AND g4.state = 0 AND "
                  "g5.id = g4.source AND ",
                  study);
    among(sql, "g5.peer", any, false);
    hl_buf_byte(&sql->text, ')');
}

/* As names of physicians are searched: case, accents and further components aside. */
static void referring_add(struct hl_sql *sql, char study, const struct hl_any_of *any)
{
    char ref[16];
    snprintf(ref, sizeof ref, "%c.referring", study);
    hl_buf_text(&sql->text, " AND (1 = 0");
    for (size_t i = 0; i < any->n; i++) {
        hl_buf_text(&sql->text, " OR ");
        hl_match_physician_add(sql, ref, any->texts[i], strlen(any->texts[i]));
    }
    hl_buf_byte(&sql->text, ')');
}

/* Of a broken glass: one study, or one patient by ID and issuer. */
static void glass_add(struct hl_sql *sql, char study, const struct hl_grant *grant)
{
    char ref[16];
    snprintf(ref, sizeof ref, "%c.uid", study);
    if (grant->studies.is_said) {
        hl_buf_text(&sql->text, " AND ");
        among(sql, ref, &grant->studies, false);
    }
    if (grant->patient_id == NULL)
        return;
    hl_buf_printf(&sql->text,
                  " AND %c.patient IN (SELECT id FROM patient WHERE patient_id = ", study);
    hl_sql_bind_text(sql, grant->patient_id, strlen(grant->patient_id));
    if (grant->issuer != NULL && *grant->issuer != '\0') {
        hl_buf_text(&sql->text, " AND issuer = ");
        hl_sql_bind_text(sql, grant->issuer, strlen(grant->issuer));
    }
    hl_buf_byte(&sql->text, ')');
}

static void grant_add(struct hl_sql *sql, char study, const struct hl_grant *grant)
{
    hl_buf_text(&sql->text, "(1 = 1");
    if (grant->departments.is_said)
        department_add(sql, study, &grant->departments);
    if (grant->referring.is_said)
        referring_add(sql, study, &grant->referring);
    if (grant->labels.is_said)
        label_add(sql, study, &grant->labels, false);
    if (grant->without_labels.is_said)
        label_add(sql, study, &grant->without_labels, true);
    if (grant->senders.is_said)
        sender_add(sql, study, &grant->senders);
    glass_add(sql, study, grant);
    hl_buf_byte(&sql->text, ')');
}

/* A view without a grant for this action lets nothing through: "1 = 0" stays alone. */
void hl_filter_add(struct hl_sql *sql, const struct hl_filter *filter, char study)
{
    for (unsigned v = 0; v < filter->n; v++) {
        const struct hl_view *view = filter->views[v];
        hl_buf_text(&sql->text, " AND (1 = 0");
        for (size_t i = 0; i < view->n; i++) {
            if (!(view->grants[i].actions & filter->action))
                continue;
            hl_buf_text(&sql->text, " OR ");
            grant_add(sql, study, &view->grants[i]);
        }
        hl_buf_byte(&sql->text, ')');
    }
}

/* 1: it is within the filter; 0: not, or there is no such study. */
static hilum_rc study_ask(struct hl_record *record, const struct hl_filter *filter, const char *uid)
{
    struct hl_session *session = NULL;
    struct hl_stmt *stmt = NULL;
    struct hl_sql sql = {0};
    hl_buf_text(&sql.text, "SELECT 1 FROM study s WHERE s.uid = ");
    hl_sql_bind_text(&sql, uid, strlen(uid));
    hl_filter_add(&sql, filter, 's');
    hilum_rc rc = sql.failed || sql.text.failed ? hl_fail(HILUM_ENOMEM, "grants: out of memory")
                                                : hl_readers_get(record->readers, &session);
    if (rc == HILUM_OK) {
        rc = hl_session_query(session, hl_buf_str(&sql.text), sql.values, (unsigned)sql.n, &stmt);
        rc = rc == HILUM_OK ? hl_stmt_step(stmt) : rc;
        hl_stmt_done(stmt);
        hl_readers_put(record->readers, session, rc);
    }
    hl_sql_fini(&sql);
    return rc;
}

/* Asked twice only where the answer was no, to tell "not yours" from "not there". */
hilum_rc hl_record_study_is_in(struct hl_record *record, const struct hl_filter *filter,
                               const char *study_uid)
{
    static const struct hl_filter none = {.n = 0};
    hilum_rc rc = study_ask(record, filter, study_uid);
    if (rc == 0 && study_ask(record, &none, study_uid) == 0)
        return hl_fail(HILUM_ENOTFOUND, "no study %s", study_uid);
    return rc;
}
