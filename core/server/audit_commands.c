/* `hilum audit ...`: found, verified, exported.
 *
 * Verification needs three things that are kept apart: the rows (in the database), the seals
 * (a file, best on another machine) and the key. Each seal is checked over the rows since the
 * seal before, with that seal's digest in front, so a row that was changed, taken out or
 * slipped in breaks the first seal behind it.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/audit.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- verify ---- */

/* `before` is the last seal that was looked at: the next one's rows begin behind it. */
struct check {
    struct hl_server *server;
    char key[HL_SEAL_KEY];
    struct hl_seal before, pruned; /* pruned.last 0: nothing was */
    int64_t seals, rows, is_signed;
};

/* The row's `after` is the seal up to which rows went, written before they went. */
static hilum_rc prune_keep(void *arg, const struct hl_audit_row *row)
{
    struct hl_seal *out = arg;
    json_t *after = json_loads(row->after != NULL ? row->after : "", 0, NULL);
    bool is_seal = hl_seal_read(after, out);
    json_decref(after);
    return is_seal ? HILUM_OK : hl_fail(HILUM_ECORRUPT, "row %" PRId64 ": no seal", row->id);
}

/* What went by audit.keep, as the newest row of it says; that row is under the seals that stay. */
static hilum_rc pruned_read(struct check *check)
{
    const struct hl_audit_filter filter = {.who = "kernel", .action = "audit.prune", .limit = 1};
    return hl_record_audit_find(check->server->record, &filter, prune_keep, &check->pruned);
}

/* The range is all that can be told: a digest does not say which of its rows is another. */
static hilum_rc not_sealed(const struct check *check, const struct hl_seal *seal)
{
    return hl_fail(HILUM_ECORRUPT,
                   "audit rows %" PRId64 " to %" PRId64 " are not what was sealed at %s",
                   check->before.last + 1, seal->last, seal->at);
}

/* Unsigned ones count only until the first signed one: else whoever can write the file could
 * leave signatures out. */
static hilum_rc signature_check(struct check *check, const struct hl_seal *seal)
{
    if (seal->signature[0] == '\0' && check->is_signed == 0)
        return HILUM_OK; /* of before seals were signed */
    if (!hl_seal_is_by(seal, check->key))
        return hl_fail(HILUM_ECORRUPT, "the seal made at %s is not signed with this server's key",
                       seal->at);
    check->is_signed++;
    return HILUM_OK;
}

/* A seal over rows that are gone cannot be checked any more; the last of those must be the one
 * the prune row names, since that row is itself under a seal that stays. */
static hilum_rc rows_check(struct check *check, const struct hl_seal *seal)
{
    struct hl_seal now;
    /* Of pruned rows the seal is the last that speaks; the row that says so names it. */
    if (seal->last <= check->pruned.last)
        return seal->last < check->pruned.last || strcmp(seal->head, check->pruned.head) == 0
                   ? HILUM_OK
                   : not_sealed(check, seal);
    hilum_rc rc = hl_audit_seal_make(check->server, &check->before, seal->last, &now);
    if (rc != HILUM_OK)
        return rc;
    check->rows += seal->rows;
    return now.rows == seal->rows && strcmp(now.head, seal->head) == 0 ? HILUM_OK
                                                                       : not_sealed(check, seal);
}

static hilum_rc seal_check(void *arg, const struct hl_seal *seal)
{
    struct check *check = arg;
    hilum_rc rc = signature_check(check, seal);
    if (rc == HILUM_OK)
        rc = rows_check(check, seal);
    check->before = *seal;
    check->seals++;
    return rc;
}

/* The first fault ends it, with HILUM_ECORRUPT. `seals` may be a copy from elsewhere: that is
 * the one an intruder on this machine could not have changed. */
static hilum_rc verify(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct check check = {.server = server};
    char path[4200];
    hl_audit_seals_path(server, path, sizeof path);
    hilum_rc rc = hl_audit_key(server, check.key);
    if (rc == HILUM_OK)
        rc = pruned_read(&check);
    const char *seals = hl_call_text(call, "seals", path);
    if (rc >= 0)
        rc = hl_audit_seals_each(seals, seal_check, &check, NULL);
    if (rc == HILUM_ENOTFOUND && seals == path && check.seals == 0)
        return hl_fail(
            rc,
            "%s is not there: nothing was sealed yet (audit.seal_every), or somebody took it away",
            path);
    if (rc != HILUM_OK)
        return rc;
    return hl_call_result_json(
        call,
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:s, s:s}", "seals", (json_int_t)check.seals, "signed",
                  (json_int_t)check.is_signed, "rows", (json_int_t)check.rows, "pruned_to",
                  (json_int_t)check.pruned.last, "last", (json_int_t)check.before.last, "head",
                  check.before.head, "key", check.key));
}

/* ---- export: rows as they are sealed, each seal after those it is over ---- */

/* Written while the seals are walked: an export of years needs no more memory than a page of
 * rows. */
struct exporting {
    struct hl_server *server;
    FILE *file;
    int64_t after;         /* rows beyond this one are wanted */
    struct hl_seal before; /* the last seal that was left out */
    int64_t rows, seals;
    bool has_head;
};

/* A member that is absent is left out, not written empty: the digest tells the two apart. */
static hilum_rc row_write(void *arg, const struct hl_audit_row *row)
{
    struct exporting *exporting = arg;
    struct hl_buf line = {0};
    const char *const members[][2] = {{"who", row->who},
                                      {"action", row->action},
                                      {"what", row->what},
                                      {"before", row->before},
                                      {"after", row->after}};
    hl_buf_printf(&line, "{\"row\":%" PRId64 ",\"at_us\":%" PRId64, row->id, row->at_us);
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (members[i][1] == NULL)
            continue;
        hl_buf_printf(&line, ",\"%s\":", members[i][0]);
        hl_buf_json_string(&line, members[i][1]);
    }
    hl_buf_text(&line, "}\n");
    bool is_written = !line.failed && fwrite(line.data, 1, line.len, exporting->file) == line.len;
    hl_buf_fini(&line);
    exporting->rows++;
    return is_written ? HILUM_OK : hl_fail(HILUM_EIO, "write the export: %s", strerror(errno));
}

/* With the seal before the first exported row: hilum-audit-verify begins its chain there. */
static hilum_rc head_write(struct exporting *exporting)
{
    char key[HL_SEAL_KEY], at[32], before[HL_SEAL_LINE] = "null\n";
    hilum_rc rc = hl_audit_key(exporting->server, key);
    if (exporting->before.last > 0)
        hl_seal_write(&exporting->before, before);
    before[strcspn(before, "\n")] = '\0';
    exporting->has_head = true;
    if (rc == HILUM_OK &&
        fprintf(exporting->file, "{\"audit\":1,\"at\":\"%s\",\"key\":\"%s\",\"before\":%s}\n",
                hl_time_text(hl_now_us(), at, sizeof at), key, before) < 0)
        rc = hl_fail(HILUM_EIO, "write the export: %s", strerror(errno));
    return rc;
}

/* Seals that are left out still are read: the last of them begins the chain of what follows. */
static hilum_rc seal_export(void *arg, const struct hl_seal *seal)
{
    struct exporting *exporting = arg;
    char line[HL_SEAL_LINE];
    if (seal->last <= exporting->after) {
        exporting->before = *seal;
        return HILUM_OK;
    }
    hilum_rc rc = exporting->has_head ? HILUM_OK : head_write(exporting);
    if (rc == HILUM_OK)
        rc = hl_record_audit_rows(exporting->server->record, exporting->before.last, seal->last,
                                  row_write, exporting);
    exporting->before = *seal;
    exporting->seals++;
    hl_seal_write(seal, line);
    line[strcspn(line, "\n")] = '\0';
    if (rc == HILUM_OK && fprintf(exporting->file, "{\"seal\":%s}\n", line) < 0)
        rc = hl_fail(HILUM_EIO, "write the export: %s", strerror(errno));
    return rc;
}

/* What was pruned cannot be exported: it begins behind it, whatever was asked for. The bytes are
 * durable on return. */
static hilum_rc export_write(struct exporting *exporting)
{
    char path[4200];
    struct check pruned = {.server = exporting->server};
    hilum_rc rc = pruned_read(&pruned);
    if (rc >= 0 && pruned.pruned.last > exporting->after)
        exporting->after = pruned.pruned.last;
    hl_audit_seals_path(exporting->server, path, sizeof path);
    if (rc >= 0)
        rc = hl_audit_seals_each(path, seal_export, exporting, NULL);
    if (rc == HILUM_OK && !exporting->has_head)
        rc = head_write(exporting);
    if (rc == HILUM_OK && (fflush(exporting->file) != 0 || fsync(fileno(exporting->file)) != 0))
        rc = hl_fail(HILUM_EIO, "write the export: %s", strerror(errno));
    return rc;
}

/* Never over a file that is there, and for the server's user only: it names patients' studies
 * and people. The row about the export is written first and sealed with the rest, so that the
 * file itself tells who took it. */
static hilum_rc export(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    const char *path = hl_call_text(call, "file", "");
    char who[200];
    struct exporting exporting = {.server = server, .after = hl_call_int(call, "after", 0)};
    hilum_rc may = hl_server_may_write(server, path);
    if (may < 0)
        return may;
    int fd = path[0] == '/' ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return hl_fail(HILUM_EINVAL, "%s: %s", path,
                       path[0] == '/' ? strerror(errno)
                                      : "expected an absolute path on the server");
    exporting.file = fdopen(fd, "w");
    hilum_rc rc = hl_record_audit(server->record, hl_server_who(call, who, sizeof who),
                                  "audit.export", path, NULL, NULL);
    if (rc == HILUM_OK)
        rc = hl_server_audit_seal(server);
    if (rc == HILUM_OK)
        rc = export_write(&exporting);
    fclose(exporting.file);
    if (rc == HILUM_OK)
        rc = hl_parent_sync(path);
    if (rc != HILUM_OK) {
        unlink(path);
        return rc;
    }
    return hl_call_result_json(call, json_pack("{s:s, s:I, s:I, s:I}", "file", path, "rows",
                                               (json_int_t)exporting.rows, "seals",
                                               (json_int_t)exporting.seals, "last",
                                               (json_int_t)exporting.before.last));
}

static hilum_rc key(void *ctx, struct hl_call *call)
{
    char text[HL_SEAL_KEY];
    hilum_rc rc = hl_audit_key(ctx, text);
    return rc == HILUM_OK ? hl_call_result_json(call, json_pack("{s:s}", "key", text)) : rc;
}

/* ---- find ---- */

/* before and after are JSON in the record; what does not parse is shown as absent, not as an
 * error. */
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

/* Rows leave as they are read: `--limit 1000000` costs a page of memory. */
static hilum_rc find(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    uint32_t limit = 0;
    hilum_rc rc = hl_server_limit(call, 100, &limit);
    const struct hl_audit_filter filter = {.who = hl_call_text(call, "who", NULL),
                                           .action = hl_call_text(call, "action", NULL),
                                           .what = hl_call_text(call, "what", NULL),
                                           .limit = limit};
    if (rc == HILUM_OK)
        rc = hl_record_audit_find(server->record, &filter, row_tell, call);
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
    static const struct hl_command_arg export_args[] = {
        {"file", HL_ARG_PATH, true, true, "a new file on the server", NULL},
        {"after", HL_ARG_INT, false, false, "only rows beyond the seal that ends with this row",
         NULL},
        {0}};
    const struct hl_command commands[] = {
        {"audit find", "Lists who did what.", "audit.read", find_args, find, server},
        {"audit verify", "Compares the audit record with its seals.", "audit.read", verify_args,
         verify, server},
        {"audit export", "Writes the record with its seals into a file for hilum-audit-verify.",
         "audit.read", export_args, export, server},
        {"audit key", "Tells the public key of the seals, to be noted elsewhere.", "audit.read",
         NULL, key, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
