/* Commands about objects and work: import, export, jobs, fsck, rebuild.
 *
 * Long ones tell progress and look for cancellation between two objects; what was done until
 * then stays, and each can be run again: stored objects are duplicates then, recorded ones are
 * skipped.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"
#include "core/base/log.h"

#include <errno.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- import ---- */

/* Counted as the store answered: they are the command's result and its audit row. */
struct import {
    struct hl_server *server;
    struct hl_call *call;
    uint64_t stored, duplicates, held, refused, skipped;
};

/* Told at once, as an item: of ten thousand files the three bad ones are what matters. */
static void import_refused(struct import *import, const char *path,
                           const struct hl_ingest_result *result)
{
    import->refused++;
    json_t *item = json_pack("{s:o, s:s, s:o}", "file", hl_json_text(path), "status",
                             result->reference[0] ? "refused" : "not DICOM", "reason",
                             hl_json_text(result->comment[0] ? result->comment : hl_error()));
    json_t *status = json_sprintf("%04X", result->status);
    json_object_set_new(item, "code", status);
    hl_call_item(import->call, item);
}

/* Through the store like a peer's object, rules included; the source is "IMPORT". On this
 * thread, one after the other: an import must not crowd out peers, who come in parallel. */
static void import_one(struct import *import, const char *path)
{
    const struct hl_ingest_source source = {
        .peer = "",
        .calling_aet = "IMPORT",
        .called_aet = "",
        .address = "",
        .kind = "import",
        .charset_repair = hl_call_text(import->call, "charset", NULL),
    };
    struct hl_ingest_result result = {0};
    hilum_rc rc = hl_store_import_file(import->server->store, &source, path, &result);
    if (rc < 0)
        import_refused(import, path, &result);
    else if (result.is_held)
        import->held++;
    else if (result.is_duplicate)
        import->duplicates++;
    else
        import->stored++;
}

/* A DICOMDIR names other files (PS3.10 8): those are imported, itself is no object. Pipes, sockets, devices and links that
 * lead nowhere, or back, are skipped: what waits for a writer or has no end is none either. */
static void import_entry(struct import *import, FTSENT *entry)
{
    bool is_media_index = strcmp(entry->fts_name, "DICOMDIR") == 0;
    bool is_other = entry->fts_info == FTS_DEFAULT || entry->fts_info == FTS_SLNONE ||
                    entry->fts_info == FTS_DC;
    if (entry->fts_info == FTS_F && !is_media_index)
        import_one(import, entry->fts_accpath);
    else if (entry->fts_info == FTS_F || is_other)
        import->skipped++;
    uint64_t done = import->stored + import->duplicates + import->held + import->refused;
    if (entry->fts_info == FTS_F)
        hl_call_progress(import->call, done, 0, "%s", entry->fts_name);
}

/* Links are followed, as people make trees of them; fts finds cycles. A folder that cannot be
 * read is an error at the end, and does not stop the others. FTS_NOCHDIR: the working
 * directory is the whole process's. */
static hilum_rc import_tree(struct import *import, const char *dir)
{
    char *const roots[] = {(char *)(uintptr_t)dir, NULL};
    FTS *fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!fts)
        return hl_fail(hl_rc_from_errno(errno), "open %s: %s", dir, strerror(errno));
    hilum_rc rc = HILUM_OK;
    for (FTSENT *entry; (entry = fts_read(fts));) {
        if (hl_call_cancelled(import->call)) {
            rc = hl_fail(HILUM_ECANCELLED, "cancelled; what was imported stays");
            break;
        }
        bool is_root = entry->fts_level == FTS_ROOTLEVEL;
        if (is_root && (entry->fts_info == FTS_DEFAULT || entry->fts_info == FTS_SLNONE))
            rc = hl_fail(HILUM_EINVAL, "%s: expected a file or a folder", dir);
        else if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR ||
                 entry->fts_info == FTS_NS)
            rc = hl_fail(hl_rc_from_errno(entry->fts_errno), "read %s: %s", entry->fts_path,
                         strerror(entry->fts_errno));
        else
            import_entry(import, entry);
    }
    fts_close(fts);
    return rc;
}

static void import_audit(const struct import *import, const char *dir)
{
    struct hl_buf after = {0};
    char who[64];
    hl_buf_printf(&after, "{\"stored\":%llu,\"duplicates\":%llu,\"held\":%llu,\"refused\":%llu}",
                  (unsigned long long)import->stored, (unsigned long long)import->duplicates,
                  (unsigned long long)import->held, (unsigned long long)import->refused);
    if (hl_record_audit(import->server->record, hl_server_who(import->call, who, sizeof who),
                        "import", dir, NULL, hl_buf_str(&after)))
        hl_log(HL_ERROR, "server", "an import was not audited: %s", hl_error());
    hl_buf_fini(&after);
}

/* The path is the server's and absolute; `hilum` has made it so (HL_ARG_PATH). */
static hilum_rc import_dir(void *ctx, struct hl_call *call)
{
    struct import import = {.server = ctx, .call = call};
    const char *dir = hl_call_text(call, "path", "");
    if (dir[0] != '/')
        return hl_fail(HILUM_EINVAL, "%s: expected an absolute path on the server", dir);
    hilum_rc rc = import_tree(&import, dir);
    import_audit(&import, dir); /* a cancelled one too: what was imported stays */
    if (rc < 0)
        return rc;
    return hl_call_result_json(
        call,
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "stored", (json_int_t)import.stored, "duplicates",
                  (json_int_t)import.duplicates, "held", (json_int_t)import.held, "refused",
                  (json_int_t)import.refused, "skipped", (json_int_t)import.skipped));
}

/* ---- export ---- */

struct export
{
    struct hl_server *server;
    struct hl_call *call;
    const char *dir;
    char uid[65]; /* the study's */
    int64_t *items;
    size_t n, cap;
};

/* Numbers first, then files: the catalogue's cursor is not held while gigabytes are written. */
static hilum_rc export_collect(void *arg, const struct hilum_object_ref *object)
{
    struct export *export = arg;
    if (!hl_grow(&export->items, &export->cap, export->n, sizeof *export->items))
        return hl_fail(HILUM_ENOMEM, "out of memory");
    export->items[export->n++] = object->instance;
    return HILUM_OK;
}

/* as_of: corrections up to then are applied, so that a study that is corrected meanwhile
 * leaves as one. Named by their order, not by UID: the files of one series lie together, and
 * names stay short. */
static hilum_rc export_objects(struct export *export, int64_t as_of)
{
    for (size_t i = 0; i < export->n; i++) {
        if (hl_call_cancelled(export->call))
            return hl_fail(HILUM_ECANCELLED, "cancelled after %zu of %zu objects", i, export->n);
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%06zu.dcm", export->dir, i + 1);
        hilum_rc rc = hl_outgoing_export(export->server->store, export->items[i], as_of, path);
        if (rc < 0)
            return rc;
        hl_call_progress(export->call, i + 1, export->n, "%s", path);
    }
    return HILUM_OK;
}

/* One content of one instance, of several that came under its UID. */
static hilum_rc export_version(struct export *export)
{
    struct hl_stored stored;
    const char *sop = hl_call_text(export->call, "instance", NULL);
    if (!sop)
        return hl_fail(HILUM_EINVAL, "--number: name the instance too: --instance SOPInstanceUID");
    hilum_rc rc = hl_record_version(export->server->record, sop,
                                    hl_call_int(export->call, "number", 0), &stored);
    if (rc == HILUM_OK && strcmp(stored.study_uid, export->uid) != 0)
        rc = hl_fail(HILUM_ENOTFOUND, "instance %.64s is not of this study", sop);
    const struct hilum_object_ref ref = {.instance = stored.instance_id};
    return rc == HILUM_OK ? export_collect(export, &ref) : rc;
}

/* The current objects of the study, or one instance, or one of its contents by number. A
 * content by number has as_of 0: corrections of now are applied to it, unless it is asked for
 * as received. */
static hilum_rc export_choose(struct export *export, int64_t *as_of)
{
    const char *sop = hl_call_text(export->call, "instance", NULL);
    if (hl_call_int(export->call, "number", 0) > 0)
        return export_version(export);
    const struct hilum_catalog_key keys[] = {{0x0020000D, 0, export->uid}, {0x00080018, 0, sop}};
    return hl_record_objects(export->server->record, keys, sop ? 2 : 1, NULL, as_of, export_collect,
                             export);
}

/* An export that cannot be audited fails, though its files are there: patient data has left. */
static hilum_rc export_audit(const struct export *export, bool is_as_received)
{
    struct hl_buf after = {0};
    char who[64];
    hl_buf_text(&after, "{\"directory\":");
    hl_buf_json_string(&after, export->dir);
    hl_buf_printf(&after, ",\"instances\":%zu%s}", (size_t) export->n,
                  is_as_received ? ",\"as_received\":true" : "");
    hilum_rc rc =
        hl_record_audit(export->server->record, hl_server_who(export->call, who, sizeof who),
                        "export", export->uid, NULL, hl_buf_str(&after));
    hl_buf_fini(&after);
    return rc;
}

/* Is the folder that `path` lies in, links followed, `dir` or below it? */
static bool is_within(const char *path, const char *dir)
{
    char parent[PATH_MAX], real[PATH_MAX], real_dir[PATH_MAX];
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--; /* mkdir does not mind them */
    while (end > 1 && path[end - 1] != '/')
        end--;
    snprintf(parent, sizeof parent, "%.*s", (int)end, path);
    if (!dir || !realpath(dir, real_dir) || !realpath(parent, real))
        return false; /* what is not there cannot be written to either */
    size_t n = strlen(real_dir);
    return strncmp(real, real_dir, n) == 0 && (real[n] == '/' || real[n] == '\0');
}

hilum_rc hl_server_may_write(struct hl_server *server, const char *path)
{
    struct hl_config *config = hl_server_config(server);
    bool is_ours =
        is_within(path, server->options.data_dir) || is_within(path, hl_config_site_dir(config));
    hl_config_unref(config);
    return is_ours
               ? hl_fail(
                     HILUM_EDENIED,
                     "%s: expected a path outside the data directory and the site's configuration",
                     path)
               : HILUM_OK;
}

/* Into a directory that is new, so that nothing of another export is in it. As received needs
 * a right of its own: it shows what corrections were made to hide. */
static hilum_rc export_study(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct export export = {.server = server, .call = call, .dir = hl_call_text(call, "dir", "")};
    bool is_as_received = hl_call_bool(call, "as-received");
    if (export.dir[0] != '/')
        return hl_fail(HILUM_EINVAL, "%s: expected an absolute path on the server", export.dir);
    hilum_rc rc = hl_server_study_of(server, call, "export", export.uid);
    const struct hl_resource about = {.study_uid = export.uid};
    if (rc == HILUM_OK && is_as_received)
        rc = hl_allow(hl_call_principal(call), "export.as_received", &about);
    if (rc == HILUM_OK)
        rc = hl_server_may_write(server, export.dir);
    if (rc < 0)
        return rc;
    if (mkdir(export.dir, 0750) != 0)
        return hl_fail(hl_rc_from_errno(errno),
                       "make directory %s: %s (export writes into a new directory)", export.dir,
                       strerror(errno));
    int64_t as_of = 0;
    rc = export_choose(&export, &as_of);
    if (rc >= 0 && export.n == 0) {
        rc = hl_fail(HILUM_ENOTFOUND, "instance %.64s: not of this study, or not in force",
                     hl_call_text(call, "instance", ""));
        rmdir(export.dir);
    }
    if (rc >= 0)
        rc = export_objects(&export, is_as_received ? HL_AS_ORIGINAL : as_of);
    if (rc >= 0)
        rc = export_audit(&export, is_as_received);
    free(export.items);
    if (rc < 0)
        return rc;
    return hl_call_result_json(
        call, json_pack("{s:I, s:s}", "exported", (json_int_t) export.n, "directory", export.dir));
}

/* ---- jobs ---- */

/* Rows from the record; why a destination waits from the lanes, which are in memory. By
 * destination and study unless all are asked for: a study of 3,000 objects is one row. */
static hilum_rc job_list(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    const char *wanted = hl_call_text(call, "state", NULL);
    uint32_t limit = 0;
    hilum_rc limited = hl_server_limit(call, 100, &limit);
    if (limited != HILUM_OK)
        return limited;
    hilum_rc rc = hl_call_bool(call, "all")
                      ? hl_record_jobs_list(server->record, wanted, limit, &json)
                      : hl_record_jobs_groups(server->record, wanted, limit, &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    struct hl_buf status = {0};
    hl_jobs_status(server->jobs, &status);
    json_t *jobs = json_loads(hl_buf_str(&json), 0, NULL);
    json_t *state = json_loads(hl_buf_str(&status), 0, NULL);
    hl_buf_fini(&json);
    hl_buf_fini(&status);
    hl_call_view(call, hl_server_view_jobs(jobs, json_object_get(state, "lanes")));
    json_decref(state);
    return hl_call_result_json(call, jobs);
}

/* id 0: all that failed. */
static hilum_rc job_retry(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    char who[64];
    int64_t id = hl_call_int(call, "id", 0);
    hilum_rc rc = hl_record_job_retry(server->record, id, hl_server_who(call, who, sizeof who));
    if (rc < 0)
        return rc;
    hl_jobs_nudge(server->jobs, NULL); /* a lane that waits for its peer would keep them waiting */
    return hl_call_result_json(call, id ? json_pack("{s:I}", "due_now", (json_int_t)id)
                                        : json_pack("{s:s}", "due_now", "all that failed"));
}

/* What a job in hand is doing is not interrupted; its end changes nothing any more. */
static hilum_rc job_cancel(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    char who[64];
    int64_t id = hl_call_int(call, "id", 0);
    hilum_rc rc = hl_record_job_cancel(server->record, id, hl_server_who(call, who, sizeof who));
    return rc < 0 ? rc : hl_call_result_json(call, json_pack("{s:I}", "cancelled", (json_int_t)id));
}

/* ---- integrity ---- */

struct faults {
    struct hl_call *call;
    uint64_t n;
};

/* Each fault is told as it is found; cancelling stops at the next one. */
static hilum_rc fsck_fault(void *arg, const char *fault, const char *store, const char *key,
                           int64_t instance_id)
{
    struct faults *faults = arg;
    faults->n++;
    hl_call_item(faults->call, json_pack("{s:s, s:s, s:s, s:I}", "fault", fault, "store", store,
                                         "key", key, "instance", (json_int_t)instance_id));
    if (hl_call_cancelled(faults->call))
        return hl_fail(HILUM_ECANCELLED, "cancelled after %llu faults",
                       (unsigned long long)faults->n);
    return HILUM_OK;
}

/* What a person did to the whole archive, also when it was cut short: `number` of what the word says. */
static void archive_audit(struct hl_server *server, struct hl_call *call, const char *action,
                          const char *word, uint64_t number, hilum_rc rc)
{
    char who[64], after[128];
    snprintf(after, sizeof after, "{\"%s\":%llu,\"complete\":%s}", word, (unsigned long long)number,
             rc < 0 ? "false" : "true");
    if (hl_record_audit(server->record, hl_server_who(call, who, sizeof who), action, "archive",
                        NULL, after) < 0)
        hl_log(HL_ERROR, "server", "%s was not audited: %s", action, hl_error());
}

/* The reason is kept while the audit row is written, which has reasons of its own. With
 * --repair nothing is erased: orphans get rows, broken objects are set aside under other keys. Who
 * may look may not do that: it needs a right of its own. */
static hilum_rc archive_fsck(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct faults faults = {.call = call};
    bool is_repair = hl_call_bool(call, "repair");
    hilum_rc rc = is_repair ? hl_allow(hl_call_principal(call), "archive.repair", NULL) : HILUM_OK;
    if (rc < 0)
        return rc;
    rc = hl_store_fsck(server->store, is_repair, fsck_fault, &faults);
    char why[256];
    snprintf(why, sizeof why, "%s", rc < 0 ? hl_error() : "");
    if (is_repair)
        archive_audit(server, call, "archive.repair", "faults", faults.n, rc);
    if (rc < 0)
        return hl_fail(rc, "%s", why);
    return hl_call_result_json(call, json_pack("{s:I, s:i}", "faults", (json_int_t)faults.n,
                                               "exit_code", (int)(faults.n > 0)));
}

struct rebuild {
    struct hl_call *call;
    uint64_t done;
};

/* Cancelling is safe at any object: what is recorded by then says where to go on. */
static hilum_rc rebuild_progress(void *arg, uint64_t done)
{
    struct rebuild *rebuild = arg;
    rebuild->done = done;
    hl_call_progress(rebuild->call, done, 0, "objects recorded");
    if (hl_call_cancelled(rebuild->call))
        return hl_fail(HILUM_ECANCELLED, "cancelled: run it again to go on");
    return HILUM_OK;
}

/* May be cut short and run again: what is recorded already is skipped. Rules do not run and
 * nothing is sent: what comes back was announced once (README, 2026-11-23). */
static hilum_rc archive_rebuild(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct rebuild rebuild = {.call = call};
    hilum_rc rc = hl_store_rebuild(server->store, rebuild_progress, &rebuild);
    char why[256];
    snprintf(why, sizeof why, "%s", rc < 0 ? hl_error() : "");
    archive_audit(server, call, "archive.rebuild", "objects", rebuild.done, rc);
    if (rc < 0)
        return hl_fail(rc, "%s", why);
    struct hl_buf json = {0};
    rc = hl_record_status(server->record, &json);
    return rc < 0 ? rc : hl_server_answer_view(call, &json, hl_server_view_rebuilt);
}

static const struct hl_command_arg import_args[] = {
    {"path", HL_ARG_FILES, true, true, "a file or directory", NULL},
    {"charset", HL_ARG_TEXT, false, false, "what text without a declared character set really is",
     "GB18030|GBK|latin1"},
    {0}};
static const struct hl_command_arg export_args[] = {
    {"study", HL_ARG_STUDY, true, true, "StudyInstanceUID or accession number", NULL},
    {"dir", HL_ARG_PATH, true, true, "a new directory on the server", NULL},
    {"as-received", HL_ARG_BOOL, false, false, "without corrections, as it was stored", NULL},
    {"instance", HL_ARG_TEXT, false, false, "only this SOPInstanceUID", NULL},
    {"number", HL_ARG_INT, false, false,
     "of that instance the content with this number (hilum study versions)", NULL},
    {0}};
static const struct hl_command_arg list_args[] = {
    {"state", HL_ARG_TEXT, false, false, "only jobs in this state",
     "waiting|running|done|failed|cancelled"},
    {"all", HL_ARG_BOOL, false, false, "a row an object, with the numbers retry and cancel take",
     NULL},
    {"limit", HL_ARG_INT, false, false, "rows at most (100)", NULL},
    {0}};
static const struct hl_command_arg retry_args[] = {
    {"id", HL_ARG_INT, true, false, "job number; without it: all that failed", NULL}, {0}};
static const struct hl_command_arg cancel_args[] = {
    {"id", HL_ARG_INT, true, true, "job number", NULL}, {0}};
static const struct hl_command_arg fsck_args[] = {
    {"repair", HL_ARG_BOOL, false, false,
     "record whole orphans, set broken objects aside; nothing is erased", NULL},
    {0}};

hilum_rc hl_server_register_archive_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {
        {"import", "Stores files through the same path as a peer's.", "import", import_args,
         import_dir, server},
        {"export", "Writes a study's objects, corrections applied, as files.", "export",
         export_args, export_study, server},
        {"job list", "Lists deliveries and other jobs by destination and study.", "job.list",
         list_args, job_list, server},
        {"job retry", "Makes failed jobs due now.", "job.manage", retry_args, job_retry, server},
        {"job cancel", "Gives a job up.", "job.manage", cancel_args, job_cancel, server},
        {"archive fsck", "Compares the catalogue with the stored objects.", "archive.check",
         fsck_args, archive_fsck, server},
        {"archive rebuild", "Fills an empty catalogue from the stored objects.", "archive.repair",
         NULL, archive_rebuild, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
