/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/faulty_store.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

struct wrapped {
    void *txn;
    int is_synced;
};

static hilum_rc strike(struct faulty_store *faulty, enum faulty_call call)
{
    if (atomic_load(&faulty->call) != (int)call || atomic_fetch_sub(&faulty->countdown, 1) > 0)
        return HILUM_OK;
    return hl_fail(atomic_load(&faulty->rc), "told to fail");
}

static hilum_rc begin(void *self, const char *key, uint64_t length_hint, void **txn)
{
    struct faulty_store *faulty = self;
    if (strncmp(key, "probe/", 6) == 0)
        atomic_fetch_add(&faulty->probes, 1);
    hilum_rc rc = strike(faulty, FAULTY_BEGIN);
    if (rc != HILUM_OK)
        return rc;
    struct wrapped *wrapped = calloc(1, sizeof *wrapped);
    rc = faulty->inner->begin(faulty->instance, key, length_hint, &wrapped->txn);
    if (rc != HILUM_OK) {
        free(wrapped);
        return rc;
    }
    atomic_fetch_add(&faulty->open_txns, 1);
    *txn = wrapped;
    return HILUM_OK;
}

static hilum_rc append(void *self, void *txn, const void *bytes, uint64_t n)
{
    struct faulty_store *faulty = self;
    hilum_rc rc = strike(faulty, FAULTY_APPEND);
    return rc != HILUM_OK
               ? rc
               : faulty->inner->append(faulty->instance, ((struct wrapped *)txn)->txn, bytes, n);
}

static hilum_rc sync(void *self, void *const txns[], uint64_t n)
{
    struct faulty_store *faulty = self;
    void *inner[64];
    for (uint64_t i = 0; i < n; i++)
        inner[i] = ((struct wrapped *)txns[i])->txn;
    hilum_rc rc = strike(faulty, FAULTY_SYNC);
    if (rc == HILUM_OK)
        rc = faulty->inner->sync(faulty->instance, inner, n);
    for (uint64_t i = 0; i < n && rc == HILUM_OK; i++)
        ((struct wrapped *)txns[i])->is_synced = 1;
    return rc;
}

static hilum_rc commit(void *self, void *txn)
{
    struct faulty_store *faulty = self;
    struct wrapped *wrapped = txn;
    hilum_rc rc = strike(faulty, FAULTY_COMMIT);
    if (!wrapped->is_synced)
        atomic_fetch_add(&faulty->success_before_sync, 1);
    hilum_rc inner = faulty->inner->commit(faulty->instance, wrapped->txn);
    atomic_fetch_sub(&faulty->open_txns, 1);
    free(wrapped);
    return rc != HILUM_OK ? rc : inner;
}

static void txn_abort(void *self, void *txn)
{
    struct faulty_store *faulty = self;
    struct wrapped *wrapped = txn;
    faulty->inner->abort(faulty->instance, wrapped->txn);
    atomic_fetch_sub(&faulty->open_txns, 1);
    free(wrapped);
}

static hilum_rc stat_(void *self, const char *key, struct hilum_object_info *info)
{
    struct faulty_store *faulty = self;
    return faulty->inner->stat(faulty->instance, key, info);
}

static hilum_rc read_(void *self, const char *key, uint64_t at, void *dst, uint64_t n,
                      uint64_t *got)
{
    struct faulty_store *faulty = self;
    return faulty->inner->read(faulty->instance, key, at, dst, n, got);
}

static hilum_rc erase(void *self, const char *key)
{
    struct faulty_store *faulty = self;
    return faulty->inner->erase(faulty->instance, key);
}

static hilum_rc list(void *self, const char *prefix, hilum_key_cb each, void *arg)
{
    struct faulty_store *faulty = self;
    return faulty->inner->list(faulty->instance, prefix, each, arg);
}

static hilum_rc pending(void *self, hilum_key_cb each, void *arg)
{
    struct faulty_store *faulty = self;
    return faulty->inner->pending(faulty->instance, each, arg);
}

static hilum_rc finish(void *self, const char *key, int32_t keep)
{
    struct faulty_store *faulty = self;
    return faulty->inner->finish(faulty->instance, key, keep);
}

static hilum_rc open_fd(void *self, const char *key, int32_t *fd, uint64_t *offset)
{
    struct faulty_store *faulty = self;
    return faulty->inner->open_fd(faulty->instance, key, fd, offset);
}

static hilum_rc space(void *self, uint64_t *available, uint64_t *total)
{
    struct faulty_store *faulty = self;
    hilum_rc rc = faulty->inner->space(faulty->instance, available, total);
    if (strike(faulty, FAULTY_SPACE) != HILUM_OK)
        *available = 0;
    return rc;
}

static hilum_rc note(void *self, void *txn, const void *bytes, uint64_t n)
{
    struct faulty_store *faulty = self;
    return faulty->inner->note(faulty->instance, ((struct wrapped *)txn)->txn, bytes, n);
}

static hilum_rc note_kept(void *self, void *txn)
{
    struct faulty_store *faulty = self;
    return faulty->inner->note_kept(faulty->instance, ((struct wrapped *)txn)->txn);
}

static hilum_rc note_read(void *self, const char *key, void *dst, uint64_t n, uint64_t *got)
{
    struct faulty_store *faulty = self;
    return faulty->inner->note_read(faulty->instance, key, dst, n, got);
}

const struct hilum_store faulty_table = {
    .cap = {.size = sizeof(struct hilum_store),
            .kind = HILUM_CAP_STORE,
            .threads = HILUM_PARALLEL,
            .name = "faulty"},
    .begin = begin,
    .append = append,
    .sync = sync,
    .commit = commit,
    .abort = txn_abort,
    .stat = stat_,
    .read = read_,
    .erase = erase,
    .list = list,
    .pending = pending,
    .finish = finish,
    .open_fd = open_fd,
    .space = space,
    .note = note,
    .note_kept = note_kept,
    .note_read = note_read,
};
