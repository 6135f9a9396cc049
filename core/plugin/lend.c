/* The database as plugins see it: sessions that read their own tables. Whoever could open a writing session could hold its
 * transaction and keep every sender waiting.
 *
 * A copy of the table with `open` in front: reads, steps and closes go straight to the
 * provider. It lives with the version that asked, and is made again for the next.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/host.h"

/* One a plugin, made when it first asks; freed with it. */
struct lent_database {
    struct hilum_database table; /* the provider's, but for open */
    const struct hilum_database *real;
    void *instance;
    const struct hilum_self *self;
};

/* The scope is the plugin's own id, whatever it asks for: the database shows it its own tables
 * only. */
static hilum_rc open_own(void *arg, uint32_t mode, const char *scope, void **session)
{
    const struct lent_database *lent = arg;
    if (mode != HILUM_DB_READ)
        return hl_fail(HILUM_EDENIED, "plugin %s: a session here reads; write with host->record",
                       lent->self->id);
    if (scope && strcmp(scope, lent->self->id) != 0)
        return hl_fail(HILUM_EDENIED, "plugin %s: the tables of %s are not its own", lent->self->id,
                       scope);
    return lent->real->open(lent->instance, mode, lent->self->id, session);
}

/* Under the host's lock: two threads of a plugin may ask at once. */
hilum_rc hl_lend_database(struct hilum_self *self, const struct hilum_cap **cap, void **instance)
{
    const struct hilum_database *real = (const struct hilum_database *)(const void *)*cap;
    size_t size = real->cap.size < sizeof *real ? real->cap.size : sizeof *real;
    pthread_mutex_lock(&self->host->lock);
    if (!self->lent_database)
        self->lent_database = calloc(1, sizeof *self->lent_database);
    struct lent_database *lent = self->lent_database;
    if (lent && !lent->real) {
        memcpy(&lent->table, real, size);
        lent->table.cap.size = (uint32_t)size;
        lent->table.open = open_own;
        lent->real = real;
        lent->instance = *instance;
        lent->self = self;
    }
    pthread_mutex_unlock(&self->host->lock);
    if (!lent)
        return hl_fail(HILUM_ENOMEM, "no memory to lend the database");
    *cap = &lent->table.cap;
    *instance = lent;
    return HILUM_OK;
}

const struct hilum_cap *hl_lent_from(const struct hilum_self *self, const struct hilum_cap *cap)
{
    const struct lent_database *lent = self->lent_database;
    return lent && cap == &lent->table.cap ? &lent->real->cap : cap;
}
