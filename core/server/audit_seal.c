/* Seals on the audit record: every few minutes the digest of all rows so far, each over the one
 * before, goes into a file and into the log, which a site keeps elsewhere. Whoever rewrites the
 * database cannot rewrite those.
 *
 * Sealing runs on the housekeeper's thread alone; `audit verify` may read the file meanwhile, so
 * lines are appended whole and never changed. SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DIGEST = crypto_hash_sha256_BYTES,
    LINE = 400,
    ROWS_MAX = 200000 /* of one seal: nobody waits for more at a stop */
};

/* One line of the file. */
struct seal {
    int64_t last; /* row */
    int64_t rows; /* it adds */
    char at[32], head[2 * DIGEST + 1];
};

struct chain {
    crypto_hash_sha256_state state;
    int64_t last, rows;
};

/* ---- the digest: lengths before texts, so that no two rows look like another two ---- */

static void add_number(struct chain *chain, uint64_t number)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    crypto_hash_sha256_update(&chain->state, bytes, sizeof bytes);
}

static void add_text(struct chain *chain, const char *text)
{
    size_t n = text != NULL ? strlen(text) : 0;
    add_number(chain, text != NULL ? n : UINT64_MAX);
    crypto_hash_sha256_update(&chain->state, (const uint8_t *)(text != NULL ? text : ""), n);
}

/* Every column that says something; a change to any of them changes the digest. */
static hilum_rc add_row(void *arg, const struct hl_audit_row *row)
{
    struct chain *chain = arg;
    add_number(chain, (uint64_t)row->id);
    add_number(chain, (uint64_t)row->at_us);
    const char *const texts[] = {row->who, row->action, row->what, row->before, row->after};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_text(chain, texts[i]);
    chain->last = row->id;
    chain->rows++;
    return HILUM_OK;
}

/* Stops after ROWS_MAX: the next seal goes on from there. */
static hilum_rc add_some(void *arg, const struct hl_audit_row *row)
{
    const struct chain *chain = arg;
    return chain->rows == ROWS_MAX ? HILUM_ECANCELLED : add_row(arg, row);
}

/* What follows the seal `before`, up to row `until`. */
static hilum_rc seal_make(struct hl_server *server, const struct seal *before, int64_t until,
                          struct seal *out)
{
    struct chain chain = {.last = before->last};
    uint8_t digest[DIGEST];
    crypto_hash_sha256_init(&chain.state);
    add_text(&chain, before->head);
    hilum_rc rc = hl_record_audit_rows(server->record, before->last, until,
                                       until == INT64_MAX ? add_some : add_row, &chain);
    if (rc == HILUM_ECANCELLED)
        rc = HILUM_OK;
    crypto_hash_sha256_final(&chain.state, digest);
    *out = (struct seal){.last = chain.last, .rows = chain.rows};
    sodium_bin2hex(out->head, sizeof out->head, digest, sizeof digest);
    return rc;
}

/* ---- the file ---- */

/* audit.seals, else beside the database: better than nothing, but a copy elsewhere is the point. */
static void path_of(struct hl_server *server, char *out, size_t size)
{
    struct hl_config *config = hl_server_config(server);
    const char *path = hl_config_text(config, "audit.seals");
    if (path != NULL && *path != '\0')
        snprintf(out, size, "%s", path);
    else
        snprintf(out, size, "%s/audit-seals.jsonl", server->options.data_dir);
    hl_config_unref(config);
}

/* false: no line we have written. */
static bool line_read(const char *line, struct seal *out)
{
    json_t *object = json_loads(line, 0, NULL);
    const char *at = NULL, *head = NULL;
    json_int_t last = 0, rows = 0;
    bool is_seal = json_unpack(object, "{s:s, s:I, s:I, s:s}", "at", &at, "last", &last, "rows",
                               &rows, "head", &head) == 0;
    if (is_seal) {
        *out = (struct seal){.last = last, .rows = rows};
        snprintf(out->at, sizeof out->at, "%s", at);
        snprintf(out->head, sizeof out->head, "%s", head);
    }
    json_decref(object);
    return is_seal;
}

/* Calls each() per seal in order. A last line that is cut short was never told to anybody; *whole (not NULL) is
 * how long the file is without it. HILUM_ENOTFOUND: no file. */
static hilum_rc seals_each(const char *path, hilum_rc (*each)(void *arg, const struct seal *seal),
                           void *arg, off_t *whole)
{
    char line[LINE];
    struct seal seal;
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

static hilum_rc seal_keep(void *arg, const struct seal *seal)
{
    *(struct seal *)arg = *seal;
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

static hilum_rc seal_append(const char *path, const struct seal *seal, off_t whole)
{
    char line[LINE];
    hilum_rc rc = cut_back(path, whole);
    if (rc != HILUM_OK)
        return rc;
    int n = snprintf(line, sizeof line,
                     "{\"at\":\"%s\",\"last\":%" PRId64 ",\"rows\":%" PRId64 ",\"head\":\"%s\"}\n",
                     seal->at, seal->last, seal->rows, seal->head);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0 || write(fd, line, (size_t)n) != n || fsync(fd) != 0)
        rc = hl_fail(HILUM_EIO, "write %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return rc;
}

/* Rows, then the flush that makes them durable, then the line, synced: a seal never vouches for
 * what a power loss takes back. */
hilum_rc hl_server_audit_seal(struct hl_server *server)
{
    char path[4200];
    struct seal before = {0}, seal = {0};
    path_of(server, path, sizeof path);
    off_t whole = 0;
    hilum_rc rc = seals_each(path, seal_keep, &before, &whole);
    if (rc == HILUM_OK || rc == HILUM_ENOTFOUND)
        rc = seal_make(server, &before, INT64_MAX, &seal);
    if (rc != HILUM_OK || seal.rows == 0)
        return rc;
    /* Rows a power loss could take back, and a replay write anew, are no rows to vouch for. */
    rc = hl_record_flush(server->record);
    if (rc != HILUM_OK)
        return rc;
    hl_time_text(hl_now_us(), seal.at, sizeof seal.at);
    rc = seal_append(path, &seal, whole);
    if (rc == HILUM_OK)
        hl_log(HL_INFO, "audit", "rows to %" PRId64 " sealed: %s", seal.last, seal.head);
    return rc;
}

/* ---- commands ---- */

struct check {
    struct hl_server *server;
    struct seal before;
    int64_t seals, rows;
};

/* The next seal is computed over the head that was written, not the one computed: one false row
 * spoils one seal, which is then named. */
static hilum_rc seal_check(void *arg, const struct seal *seal)
{
    struct check *check = arg;
    struct seal now;
    hilum_rc rc = seal_make(check->server, &check->before, seal->last, &now);
    if (rc != HILUM_OK)
        return rc;
    if (now.rows != seal->rows || strcmp(now.head, seal->head) != 0)
        return hl_fail(HILUM_ECORRUPT,
                       "audit rows %" PRId64 " to %" PRId64 " are not what was sealed at %s",
                       check->before.last + 1, seal->last, seal->at);
    check->before = *seal;
    check->seals++;
    check->rows += seal->rows;
    return HILUM_OK;
}

/* HILUM_ECORRUPT names the first seal that does not agree. */
static hilum_rc verify(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct check check = {.server = server};
    char path[4200];
    path_of(server, path, sizeof path);
    hilum_rc rc = seals_each(hl_call_text(call, "seals", path), seal_check, &check, NULL);
    if (rc != HILUM_OK)
        return rc;
    return hl_call_result_json(call,
                               json_pack("{s:I, s:I, s:I, s:s}", "seals", (json_int_t)check.seals,
                                         "rows", (json_int_t)check.rows, "last",
                                         (json_int_t)check.before.last, "head", check.before.head));
}

static hilum_rc row_tell(void *arg, const struct hl_audit_row *row)
{
    char at[32];
    json_t *item = json_pack("{s:I, s:s, s:s, s:s, s:s}", "row", (json_int_t)row->id, "at",
                             hl_time_text(row->at_us, at, sizeof at), "who", row->who, "action",
                             row->action, "what", row->what);
    if (row->before != NULL)
        json_object_set_new(item, "before", json_loads(row->before, JSON_DECODE_ANY, NULL));
    if (row->after != NULL)
        json_object_set_new(item, "after", json_loads(row->after, JSON_DECODE_ANY, NULL));
    return hl_call_item(arg, item);
}

static hilum_rc find(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    const struct hl_audit_filter filter = {.who = hl_call_text(call, "who", NULL),
                                           .action = hl_call_text(call, "action", NULL),
                                           .what = hl_call_text(call, "what", NULL),
                                           .limit = hl_call_int(call, "limit", 100)};
    hilum_rc rc = hl_record_audit_find(server->record, &filter, row_tell, call);
    return rc < 0 ? rc : hl_call_result_json(call, json_null());
}

hilum_rc hl_server_register_audit_commands(struct hl_server *server)
{
    static const struct hl_command_arg find_args[] = {
        {"who", HL_ARG_TEXT, false, false, "rows whose who begins so", NULL},
        {"action", HL_ARG_TEXT, false, false, "\"retrieve\", \"sign in\", ...", NULL},
        {"what", HL_ARG_TEXT, false, false, "a study's UID, an account, ...", NULL},
        {"limit", HL_ARG_INT, false, false, "at most so many, the newest first; default 100", NULL},
        {0}};
    static const struct hl_command_arg verify_args[] = {
        {"seals", HL_ARG_TEXT, false, false, "a copy of the seals that was kept elsewhere", NULL},
        {0}};
    const struct hl_command commands[] = {
        {"audit find", "Lists who did what.", "audit.read", find_args, find, server},
        {"audit verify", "Compares the audit record with its seals.", "audit.read", verify_args,
         verify, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
