/* In which transfer syntaxes objects are kept, by SOP class: a sample.
 *
 * A sample for negotiation (core/dicom/holdings.c): no count of everything, which would read
 * everything. SPDX-License-Identifier: Apache-2.0 */
#include "core/record/record_private.h"

/* A walk over the newest rows by their key, whatever the catalogue's size. */
enum { SAMPLE = 5000 };

static hilum_rc read_rows(struct hl_session *session, hl_holding_cb each, void *arg)
{
    struct hl_stmt *stmt = NULL;
    hilum_rc rc =
        hl_session_ask(session, &stmt,
                       "SELECT sop_class, transfer_syntax, count(*) FROM (SELECT sop_class, "
                       "transfer_syntax FROM instance WHERE state = 0 ORDER BY id DESC LIMIT ?1) "
                       "AS newest GROUP BY sop_class, transfer_syntax",
                       "d", SAMPLE);
    while (rc == HILUM_OK && (rc = hl_stmt_step(stmt)) == 1)
        rc =
            each(arg, hl_stmt_text(stmt, 0), hl_stmt_text(stmt, 1), (uint64_t)hl_stmt_int(stmt, 2));
    hl_stmt_done(stmt);
    return rc;
}

hilum_rc hl_record_holdings(struct hl_record *record, hl_holding_cb each, void *arg)
{
    struct hl_session *session = NULL;
    hilum_rc rc = hl_readers_get(record->readers, &session);
    if (rc != HILUM_OK)
        return rc;
    rc = read_rows(session, each, arg);
    hl_readers_put(record->readers, session, rc);
    return rc;
}
