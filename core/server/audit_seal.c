/* Seals on the audit record: every few minutes the signed digest of all rows so far, each over the one before, goes into
 * a file and into the log, which a site keeps elsewhere. Whoever rewrites the database cannot rewrite those. Rows older
 * than audit.keep go, a seal at a time, once a row that says so is there.
 *
 * Files: `audit.seals`, one line of JSON a seal, only ever appended to; `<data>/audit.key`,
 * the secret key in hex, mode 0600. Order of durability: rows (flush of the record), then the
 * seal's line (fsync), then, minutes or years later, pruning (a row that says so first). A
 * crash between any two of these leaves a record that verifies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/audit.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROWS_MAX = 200000 /* of one seal: nobody waits for more at a stop */ };

static hilum_rc add_row(void *arg, const struct hl_audit_row *row)
{
    const struct hl_chain_row sealed = {.id = row->id,
                                        .at_us = row->at_us,
                                        .who = row->who,
                                        .action = row->action,
                                        .what = row->what,
                                        .before = row->before,
                                        .after = row->after};
    hl_chain_add(arg, &sealed);
    return HILUM_OK;
}

/* ECANCELLED ends the walk after ROWS_MAX; the rest has the next seal. */
static hilum_rc add_some(void *arg, const struct hl_audit_row *row)
{
    const struct hl_chain *chain = arg;
    return chain->rows == ROWS_MAX ? HILUM_ECANCELLED : add_row(arg, row);
}

/* Also used to verify, with a fixed end: then every row counts, however many. */
hilum_rc hl_audit_seal_make(struct hl_server *server, const struct hl_seal *before, int64_t until,
                            struct hl_seal *out)
{
    struct hl_chain chain;
    hl_chain_begin(&chain, before);
    hilum_rc rc = hl_record_audit_rows(server->record, before->last, until,
                                       until == INT64_MAX ? add_some : add_row, &chain);
    hl_chain_end(&chain, out);
    return rc == HILUM_ECANCELLED ? HILUM_OK : rc;
}

/* ---- the file ---- */

/* 4,200 bytes are enough for a path of 4,096 with a name behind it. */
void hl_audit_seals_path(struct hl_server *server, char *out, size_t size)
{
    struct hl_config *config = hl_server_config(server);
    const char *path = hl_config_text(config, "audit.seals");
    if (path != NULL && *path != '\0')
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s/audit-seals.jsonl", server->options.data_dir);
    hl_config_unref(config);
}

static bool line_read(const char *line, struct hl_seal *out)
{
    json_t *object = json_loads(line, 0, NULL);
    bool is_seal = hl_seal_read(object, out);
    json_decref(object);
    return is_seal;
}

/* A last line that is cut short was never told to anybody. HILUM_EINVAL: a whole line that is
 * no seal, which is damage and no crash: somebody must look. */
hilum_rc hl_audit_seals_each(const char *path,
                             hilum_rc (*each)(void *arg, const struct hl_seal *seal), void *arg,
                             off_t *whole)
{
    char line[HL_SEAL_LINE];
    struct hl_seal seal;
    hilum_rc rc = HILUM_OK;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return hl_fail(errno == ENOENT ? HILUM_ENOTFOUND : HILUM_EIO, "open %s: %s", path,
                       strerror(errno));
    while (rc == HILUM_OK && fgets(line, sizeof line, f) != NULL) {
        if (strchr(line, '\n') == NULL)
            break;
        if (whole != NULL)
            *whole = ftello(f);
        rc = line_read(line, &seal) ? each(arg, &seal)
                                    : hl_fail(HILUM_EINVAL, "%s: a line is no seal", path);
    }
    fclose(f);
    return rc;
}

static hilum_rc seal_keep(void *arg, const struct hl_seal *seal)
{
    *(struct hl_seal *)arg = *seal;
    return HILUM_OK;
}

/* A line a full disk cut short must not become the beginning of this one: nothing after it could be read. */
static hilum_rc cut_back(const char *path, off_t whole)
{
    struct stat st;
    if (stat(path, &st) != 0 || st.st_size == whole || truncate(path, whole) == 0)
        return HILUM_OK;
    return hl_fail(HILUM_EIO, "%s ends inside a line and cannot be cut back: %s", path,
                   strerror(errno));
}

/* A short write is an error too: the line is cut back before the next one is written. The name of
 * a file that is new is durable with its folder only. */
static hilum_rc append(const char *path, int flags, mode_t mode, const char *text)
{
    size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
    hilum_rc rc = HILUM_OK;
    struct stat st = {0};
    if (fd < 0 || fstat(fd, &st) != 0 || write(fd, text, n) != (ssize_t)n || fsync(fd) != 0)
        rc = hl_fail(HILUM_EIO, "write %s: %s", path, strerror(errno));
    else if (st.st_size == 0)
        rc = hl_parent_sync(path);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- the key ---- */

/* O_EXCL: of two servers over one folder only one makes the key. It exists before the first
 * seal. */
static hilum_rc key_make(const char *path, unsigned char secret[crypto_sign_SECRETKEYBYTES])
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES];
    char text[2 * crypto_sign_SECRETKEYBYTES + 2];
    crypto_sign_keypair(public_key, secret);
    sodium_bin2hex(text, sizeof text, secret, crypto_sign_SECRETKEYBYTES);
    memcpy(text + sizeof text - 2, "\n", 2);
    hilum_rc rc = append(path, O_EXCL, 0600, text);
    sodium_memzero(text, sizeof text);
    return rc;
}

/* Of <data>/audit.key, which is made when there is none. Wipe *secret. A file that is there
 * and holds no key is an error: making a new one would silently end the chain of trust. */
static hilum_rc key_load(struct hl_server *server, unsigned char secret[crypto_sign_SECRETKEYBYTES])
{
    char path[4200], text[2 * crypto_sign_SECRETKEYBYTES + 1] = "";
    size_t n = 0;
    if (sodium_init() < 0)
        return hl_fail(HILUM_EIO, "audit key: no random numbers");
    snprintf(path, sizeof path, "%s/audit.key", server->options.data_dir);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return errno == ENOENT ? key_make(path, secret)
                               : hl_fail(HILUM_EIO, "open %s: %s", path, strerror(errno));
    bool is_read = fgets(text, sizeof text, f) != NULL;
    fclose(f);
    bool is_key = is_read && strlen(text) == sizeof text - 1 &&
                  sodium_hex2bin(secret, crypto_sign_SECRETKEYBYTES, text, sizeof text - 1, NULL,
                                 &n, NULL) == 0 &&
                  n == crypto_sign_SECRETKEYBYTES;
    sodium_memzero(text, sizeof text);
    return is_key ? HILUM_OK
                  : hl_fail(HILUM_EINVAL,
                            "%s: no key; restore it, or move it away to begin a new one", path);
}

/* Ed25519 keeps the public key within the secret one, so one file is enough. */
hilum_rc hl_audit_key(struct hl_server *server, char out[HL_SEAL_KEY])
{
    unsigned char secret[crypto_sign_SECRETKEYBYTES], public_key[crypto_sign_PUBLICKEYBYTES];
    hilum_rc rc = key_load(server, secret);
    if (rc == HILUM_OK) {
        crypto_sign_ed25519_sk_to_pk(public_key, secret);
        sodium_bin2hex(out, HL_SEAL_KEY, public_key, sizeof public_key);
    }
    sodium_memzero(secret, sizeof secret);
    return rc;
}

/* ---- sealing ---- */

static hilum_rc seal_sign(struct hl_server *server, struct hl_seal *seal)
{
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
    hilum_rc rc = key_load(server, secret);
    if (rc == HILUM_OK)
        hl_seal_sign(seal, secret);
    sodium_memzero(secret, sizeof secret);
    return rc;
}

/* Rows, then the flush that makes them durable, then the line, synced: a seal never vouches
 * for what a power loss could take back. On the housekeeper's thread, and for an export. A
 * seal without new rows is none: a quiet night adds no lines. */
static hilum_rc seal_now(struct hl_server *server)
{
    char path[4200], line[HL_SEAL_LINE];
    struct hl_seal before = {0}, seal = {0};
    hl_audit_seals_path(server, path, sizeof path);
    off_t whole = 0;
    hilum_rc rc = hl_audit_seals_each(path, seal_keep, &before, &whole);
    if (rc == HILUM_OK || rc == HILUM_ENOTFOUND)
        rc = hl_audit_seal_make(server, &before, INT64_MAX, &seal);
    if (rc != HILUM_OK || seal.rows == 0)
        return rc;
    /* Rows a power loss could take back, and a replay write anew, are no rows to vouch for. */
    rc = hl_record_flush(server->record);
    if (rc != HILUM_OK)
        return rc;
    hl_time_text(hl_now_us(), seal.at, sizeof seal.at);
    rc = seal_sign(server, &seal);
    hl_seal_write(&seal, line);
    if (rc == HILUM_OK)
        rc = cut_back(path, whole);
    if (rc == HILUM_OK)
        rc = append(path, O_APPEND, 0640, line);
    if (rc == HILUM_OK)
        hl_log(HL_INFO, "audit", "rows to %" PRId64 " sealed: %s signed %s", seal.last, seal.head,
               seal.signature);
    return rc;
}

/* The housekeeper and an export may come at once: two seals over the same rows would break the
 * chain. */
hilum_rc hl_server_audit_seal(struct hl_server *server)
{
    pthread_mutex_lock(&server->sealing);
    hilum_rc rc = seal_now(server);
    pthread_mutex_unlock(&server->sealing);
    return rc;
}

/* ---- pruning ---- */

/* Times are compared as texts: all are UTC in the same form. */
struct pruning {
    const char *before; /* time: seals made earlier may go */
    struct hl_seal last;
};

/* Whole seals only: a seal over half of its rows could not be checked. */
static hilum_rc older_keep(void *arg, const struct hl_seal *seal)
{
    struct pruning *pruning = arg;
    if (strcmp(seal->at, pruning->before) < 0)
        pruning->last = *seal;
    return HILUM_OK;
}

/* How far rows may go, as the trigger of migration 012 reads it too: without this number the
 * database itself refuses to delete audit rows. */
static int64_t pruned_to(struct hl_server *server)
{
    struct hl_buf text = {0};
    int64_t last = 0;
    if (hl_record_kv_get(server->record, "audit", "pruned_to", &text) == HILUM_OK)
        last = strtoll(hl_buf_str(&text), NULL, 10);
    hl_buf_fini(&text);
    return last;
}

/* The row that says what went is under the seals that stay, so that a hole is told from a
 * prune. Row first, permission second, rows last: a crash in between leaves more than was
 * told, never less. */
static hilum_rc prune_tell(struct hl_server *server, const struct hl_seal *last)
{
    char line[HL_SEAL_LINE], what[64], number[24];
    hl_seal_write(last, line);
    line[strcspn(line, "\n")] = '\0';
    snprintf(what, sizeof what, "rows to %" PRId64, last->last);
    snprintf(number, sizeof number, "%" PRId64, last->last);
    hilum_rc rc = hl_record_audit(server->record, "kernel", "audit.prune", what, NULL, line);
    return rc == HILUM_OK ? hl_record_kv_set(server->record, "audit", "pruned_to", number) : rc;
}

/* Deleting is asked for each time, for a prune that was cut short goes on with the next. */
hilum_rc hl_server_audit_prune(struct hl_server *server)
{
    char path[4200], before[32];
    struct hl_config *config = hl_server_config(server);
    int64_t keep_ms = hl_config_ms(config, "audit.keep");
    hl_config_unref(config);
    if (keep_ms == 0)
        return HILUM_OK;
    struct pruning pruning = {
        .before = hl_time_text(hl_now_us() - keep_ms * 1000, before, sizeof before)};
    hl_audit_seals_path(server, path, sizeof path);
    hilum_rc rc = hl_audit_seals_each(path, older_keep, &pruning, NULL);
    if (rc == HILUM_ENOTFOUND || (rc == HILUM_OK && pruning.last.last == 0))
        return HILUM_OK;
    if (rc == HILUM_OK && pruning.last.last > pruned_to(server))
        rc = prune_tell(server, &pruning.last);
    return rc == HILUM_OK ? hl_record_audit_prune(server->record, pruning.last.last) : rc;
}
