/* Confines a plugin's session to its own tables with SQLite's authorizer, which is asked while a
 * statement is compiled. Knows nothing of how statements run.
 *
 * What is not named below is denied, so what a newer SQLite adds is, too. It is asked while a
 * statement is compiled and not when it runs: what was compiled before stays as it is.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "db_sqlite.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Prefix and a '_' behind the scope, which has none itself: no plugin's tables begin like
 * another's. */
static bool is_own(const struct session *session, const char *name)
{
    return name && strncmp(name, session->prefix, strlen(session->prefix)) == 0;
}

/* SQLite names the indexes of keys itself; people cannot use that prefix. */
static bool is_own_index(const struct session *session, const char *index, const char *table)
{
    return is_own(session, table) &&
           (is_own(session, index) || strncmp(index, "sqlite_autoindex_", 17) == 0);
}

/* CREATE and DROP write the schema table through statements SQLite compiles itself. The text of
 * other tables' definitions (column sql) stays hidden but for ALTER, which cannot carry a SELECT.
 */
static bool may_touch_schema(const struct session *session, int action, const char *column)
{
    bool is_ddl = strcmp(session->verb, "CREATE") == 0 || strcmp(session->verb, "DROP") == 0;
    if (strcmp(session->verb, "ALTER") == 0)
        return true;
    return is_ddl && (action != SQLITE_READ || !column || strcmp(column, "sql") != 0);
}

static bool may_touch_table(const struct session *session, int action, const char *table,
                            const char *column)
{
    if (is_own(session, table))
        return true;
    return table && strcmp(table, "sqlite_master") == 0 &&
           may_touch_schema(session, action, column);
}

static int authorize(void *arg, int action, const char *first, const char *second,
                     const char *database, const char *trigger)
{
    const struct session *session = arg;
    bool is_allowed = false;
    (void)trigger;
    if (!session->prefix[0])
        return SQLITE_OK; /* the kernel's own */
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_SAVEPOINT: is_allowed = !session->is_unit; break;
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE: is_allowed = true; break;
    case SQLITE_FUNCTION: is_allowed = second && strcmp(second, "load_extension") != 0; break;
    case SQLITE_READ:
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE: is_allowed = may_touch_table(session, action, first, second); break;
    case SQLITE_CREATE_TABLE:
    case SQLITE_DROP_TABLE: is_allowed = is_own(session, first); break;
    case SQLITE_ALTER_TABLE: is_allowed = is_own(session, second); break;
    case SQLITE_CREATE_INDEX:
    case SQLITE_DROP_INDEX: is_allowed = is_own_index(session, first, second); break;
    case SQLITE_REINDEX: is_allowed = is_own(session, first); break; /* part of CREATE INDEX */
    default: break; /* ATTACH, PRAGMA, views, triggers, virtual and temporary tables */
    }
    if (is_allowed && database && strcmp(database, "main") != 0)
        is_allowed = false;
    return is_allowed ? SQLITE_OK : SQLITE_DENY;
}

hilum_rc db_sqlite_confine(struct session *session, const char *scope)
{
    size_t n = strlen(scope);
    bool is_name = n > 0 && n <= 64;
    /* '_' in a scope would let plugin "a" read tables of plugin "a_b". */
    for (size_t i = 0; is_name && i < n; i++)
        is_name = isalnum((unsigned char)scope[i]) || scope[i] == '-';
    if (!is_name)
        return session->db->host->fail(session->db->self, HILUM_EINVAL,
                                       "database scope: expected a plugin's id");
    snprintf(session->prefix, sizeof session->prefix, "p_%s_", scope);
    return HILUM_OK;
}

void db_sqlite_watch(struct session *session)
{
    sqlite3_set_authorizer(session->handle, authorize, session);
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int is_late(void *arg)
{
    const struct session *session = arg;
    return now_ms() >= session->until_ms;
}

/* The clock bounds a plugin's statements inside the kernel's transaction, which all senders
 * wait for: what is late ends with SQLITE_INTERRUPT. */
hilum_rc db_sqlite_confine_for(void *arg, const char *scope, uint32_t ms)
{
    enum { INSTRUCTIONS = 1000 }; /* of SQLite's machine between two looks at the clock */
    struct session *session = arg;
    hilum_rc rc = HILUM_OK;
    session->prefix[0] = '\0';
    session->is_unit = false;
    sqlite3_progress_handler(session->handle, 0, NULL, NULL);
    if (scope)
        rc = db_sqlite_confine(session, scope);
    if (!scope || rc != HILUM_OK)
        return rc;
    session->is_unit = true;
    session->until_ms = now_ms() + ms;
    sqlite3_progress_handler(session->handle, INSTRUCTIONS, is_late, session);
    return HILUM_OK;
}

void db_sqlite_note_verb(struct session *session, const char *sql)
{
    size_t n = 0;
    while (isspace((unsigned char)*sql))
        sql++;
    while (n < sizeof session->verb - 1 && isalpha((unsigned char)sql[n])) {
        session->verb[n] = (char)toupper((unsigned char)sql[n]);
        n++;
    }
    session->verb[n] = '\0';
}
