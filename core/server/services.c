/* What the kernel lends to plugins: the catalogue, access, DICOM, publication.
 *
 * Called on any thread of any plugin. Who asks is checked here, in one place, before the part
 * that answers: the parts themselves ask nobody.
 *
 * Every function is a thin layer: find the server, find out who asks, ask core/access, then
 * let the part answer. Results are borrowed as hilum/host.h says; nothing here keeps a pointer
 * of a plugin.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* hilum_principal of the SDK is struct hl_principal; a plugin that names nobody asks as itself. */
static const struct hl_principal *principal_of(const hilum_principal *who,
                                               struct hl_principal *otherwise, const char *plugin)
{
    *otherwise = (struct hl_principal){.kind = HL_PRINCIPAL_RULE, .name = plugin};
    return who ? (const struct hl_principal *)who : otherwise;
}

/* The cursor is the plugin's to close; it holds a page of rows and no session
 * (core/record/cursor.c). What the caller may not see is left out by the query itself: a row
 * that is withheld must not even cost a place in a limited list. */
static hilum_rc catalog_open(hilum_self *self, const hilum_principal *who,
                             const struct hilum_catalog_query *query, hilum_cursor **out)
{
    struct hl_server *server = hl_plugins_context(self);
    struct hl_principal own;
    const struct hl_principal *principal = principal_of(who, &own, hl_plugin_id(self));
    const struct hl_filter filter = hl_filter_of(principal, "find");
    hilum_rc rc = hl_allow(principal, "find", NULL);
    return rc < 0 ? rc : hl_record_find(server->record, query, &filter, out);
}

/* Objects that are let through are counted on their way to the caller. */
struct counted {
    hilum_object_cb each;
    void *arg;
    uint64_t n;
};

/* Whether anything was let through is only known at the end; the list itself may be long. */
static hilum_rc count_one(void *arg, const struct hilum_object_ref *object)
{
    struct counted *counted = arg;
    counted->n++;
    return counted->each(counted->arg, object);
}

/* The first object answers it: HILUM_ECANCELLED ends the walk. */
static hilum_rc is_there(void *arg, const struct hilum_object_ref *object)
{
    (void)object;
    *(bool *)arg = true;
    return HILUM_ECANCELLED;
}

/* Everything asked for by its UID is withheld: that is said, and goes into the audit record.
 * Whoever has a UID knows of the study already; whoever searches does not find it. The
 * question is asked again without the filter: none of that UID is "not found", which is no
 * secret; one that is there is a refusal, with an audit row. */
static hilum_rc withheld(struct hl_server *server, const struct hl_principal *principal,
                         const struct hilum_catalog_key *keys, uint32_t n_keys)
{
    int64_t as_of = 0;
    bool is_known = false;
    char who[200];
    const char *what = "";
    for (uint32_t i = 0; i < n_keys; i++)
        if (keys[i].tag == 0x0020000D && keys[i].value && !strpbrk(keys[i].value, "\\*?"))
            what = keys[i].value;
    hilum_rc rc =
        hl_record_objects(server->record, keys, n_keys, NULL, &as_of, is_there, &is_known);
    if (!is_known)
        return rc == HILUM_ECANCELLED ? HILUM_OK : rc;
    hl_principal_text(principal, who, sizeof who);
    if (hl_record_audit(server->record, who, "retrieve refused", what, NULL, NULL) < 0)
        hl_log(HL_ERROR, "server", "a refusal was not audited: %s", hl_error());
    return hl_fail(HILUM_EDENIED, "%s: retrieve: the roles do not reach this study", who);
}

/* `find` admits a plugin's own look-ups; a peer's were admitted as move or get by its service.
 * Without a filter an empty answer is just empty, and costs no second look. */
static hilum_rc catalog_objects(hilum_self *self, const hilum_principal *who,
                                const struct hilum_catalog_key *keys, uint32_t n_keys,
                                int64_t *as_of, hilum_object_cb each, void *arg)
{
    struct hl_server *server = hl_plugins_context(self);
    struct hl_principal own;
    const struct hl_principal *principal = principal_of(who, &own, hl_plugin_id(self));
    const char *action = who ? "retrieve" : "find";
    const struct hl_filter filter = hl_filter_of(principal, action);
    struct counted counted = {.each = each, .arg = arg};
    hilum_rc rc = hl_allow(principal, action, NULL);
    if (rc < 0)
        return rc;
    rc = hl_record_objects(server->record, keys, n_keys, &filter, as_of, count_one, &counted);
    return rc == HILUM_OK && counted.n == 0 && filter.n > 0
               ? withheld(server, principal, keys, n_keys)
               : rc;
}

/* Cursors go straight to the record: who may see what was decided at open. */
static const struct hilum_catalog_api catalog_api = {
    .size = sizeof catalog_api,
    .open = catalog_open,
    .next = hl_cursor_next,
    .value = hl_cursor_value,
    .position = hl_cursor_position,
    .close = hl_cursor_close,
    .objects = catalog_objects,
    .has_attribute = hl_record_has_attribute,
    .takes_key = hl_record_takes_key,
    .attribute_at = hl_record_attribute_at,
};

static hilum_rc allow(void *arg, const char *plugin, const hilum_principal *who, const char *action,
                      const char *resource)
{
    (void)arg;
    struct hl_principal own;
    const struct hl_resource about = {.study_uid = resource};
    return hl_allow(principal_of(who, &own, plugin), action, &about);
}

/* `next` is called on this thread and owns the bytes it gives until it is called again. */
static hilum_rc store_scu(void *arg, const char *plugin, const char *address,
                          const char *called_aet,
                          hilum_rc (*next)(void *next_arg, const void **part10, uint64_t *n),
                          void *next_arg, uint64_t *stored)
{
    struct hl_server *server = arg;
    (void)plugin;
    /* A server that calls itself does so under a title of its own: who names that title as a peer lets
     * plugins' objects in without letting in everybody on this machine who knows ours. */
    bool is_self = server->scp && strcmp(address, hl_scp_address(server->scp)) == 0;
    const struct hl_scu_target target = {address, called_aet, is_self ? "HILUM_SELF" : NULL};
    return hl_scu_store_part10(server->scu, &target, next, next_arg, stored);
}

/* The principal is freed with hl_principal_free, by the table of core/plugin. A service (a
 * token of a program) gets no broken glass: that is a person's decision with a reason. */
static hilum_rc principal_new(void *arg, const struct hilum_identity *identity, const char *address,
                              hilum_principal **out)
{
    struct hl_server *server = arg;
    struct hl_glass glasses[HL_GLASSES_OF_ONE];
    struct hl_config *config = hl_server_config(server);
    bool is_person = identity && !(identity->flags & HILUM_IDENTITY_SERVICE);
    const struct hl_principal_of of = {
        .config = config,
        .identity = identity,
        .address = address,
        .studies = &server->studies,
        .glasses = glasses,
        .n_glasses = is_person ? hl_glasses_of(server->glasses, identity->user, glasses) : 0};
    hilum_rc rc = hl_principal_new(&of, (struct hl_principal **)out);
    hl_config_unref(config);
    return rc;
}

/* While plugins start: the READY line is printed afterwards. Without a lock: plugins start one
 * after the other on the main thread. One that takes another's place later has nobody to tell. */
static hilum_rc announce(void *arg, const char *name, const char *value)
{
    struct hl_server *server = arg;
    if (strpbrk(name, " =\n") || strpbrk(value, " \n"))
        return hl_fail(HILUM_EINVAL, "announce %s: expected a name and a value without spaces",
                       name);
    if (atomic_load(&server->is_started))
        return HILUM_OK;
    hl_buf_printf(&server->announced, " %s=%s", name, value);
    return server->announced.failed ? hl_fail(HILUM_ENOMEM, "no memory") : HILUM_OK;
}

/* A space per plugin: one cannot read another's. Durable on return. `space` is made from the
 * id the host knows, never from what a plugin says. */
static hilum_rc value_put(void *arg, const char *plugin, const char *key, const char *value)
{
    struct hl_server *server = arg;
    char space[96];
    snprintf(space, sizeof space, "plugin:%s", plugin);
    return hl_record_kv_set(server->record, space, key, value);
}

static hilum_rc value_get(void *arg, const char *plugin, const char *key, struct hl_buf *out)
{
    struct hl_server *server = arg;
    char space[96];
    snprintf(space, sizeof space, "plugin:%s", plugin);
    return hl_record_kv_get(server->record, space, key, out);
}

static hilum_rc record(void *arg, const char *plugin, const struct hilum_record_step *steps,
                       uint32_t n)
{
    struct hl_server *server = arg;
    return hl_record_unit(server->record, plugin, steps, n);
}

static const char *dicom_address(void *arg)
{
    const struct hl_server *server = arg;
    return server->scp ? hl_scp_address(server->scp) : NULL;
}

static const char *dicom_aet(void *arg)
{
    struct hl_server *server = arg;
    return atomic_load(&server->aet);
}

/* The host has checked that the plugin declared the event. Durable on return: a plugin that
 * acknowledges something to somebody may rely on it. */
static hilum_rc publish(void *arg, const char *plugin, const char *event, const char *fields_json)
{
    struct hl_server *server = arg;
    int64_t id;
    (void)plugin;
    return hl_record_journal_append(server->record, event, "", fields_json, &id);
}

/* ---- audit rows of plugins: written behind their answers ---- */

/* Rows that may wait in memory: 1,000 at some 500 bytes. A crash loses them; what must not be
 * lost that way is audited within the unit that does it, not here. */
enum { AUDIT_BACKLOG = 1000 };

/* Copies: the plugin's texts are gone when it is written. */
struct row {
    struct hl_record *record;
    char who[160], action[64], what[160];
    char *details;
};

/* On the one thread of the pool `audits`, in the order in which they came. */
static void write_row(void *arg)
{
    struct row *row = arg;
    if (hl_record_audit(row->record, row->who, row->action, row->what, NULL, row->details) < 0)
        hl_log(HL_ERROR, "server", "%s by %s was not audited: %s", row->action, row->who,
               hl_error());
    free(row->details);
    free(row);
}

/* Who asks faster than it can be written waits. It writes its row itself then, ahead of those
 * that wait; numbers of rows tell the order of writing. */
static void audit(void *arg, const char *plugin, const hilum_principal *who, const char *action,
                  const char *what, const char *details)
{
    struct hl_server *server = arg;
    struct hl_principal own;
    struct row *row = server->audits ? calloc(1, sizeof *row) : NULL;
    if (!row) {
        hl_log(HL_ERROR, "server", "%s was not audited: no memory, or not running", action);
        return;
    }
    row->record = server->record;
    hl_principal_text(principal_of(who, &own, plugin), row->who, sizeof row->who);
    snprintf(row->action, sizeof row->action, "%s", action);
    snprintf(row->what, sizeof row->what, "%s", what);
    row->details = details ? strdup(details) : NULL;
    if (hl_pool_backlog(server->audits) >= AUDIT_BACKLOG ||
        hl_pool_run(server->audits, write_row, row) < 0)
        write_row(row);
}

struct rows {
    hilum_rc (*each)(void *arg, const struct hilum_audit_row *row);
    void *arg;
};

static hilum_rc row_give(void *arg, const struct hl_audit_row *row)
{
    const struct rows *rows = arg;
    const struct hilum_audit_row given = {.size = sizeof given,
                                          .id = row->id,
                                          .at_us = row->at_us,
                                          .who = row->who,
                                          .action = row->action,
                                          .what = row->what,
                                          .before = row->before,
                                          .after = row->after};
    return rows->each(rows->arg, &given);
}

/* Each() runs without a session of the database (core/record/audit_read.c): a slow collector
 * holds nothing up. */
static hilum_rc audit_rows(void *arg, int64_t after,
                           hilum_rc (*each)(void *each_arg, const struct hilum_audit_row *row),
                           void *each_arg)
{
    struct hl_server *server = arg;
    struct rows rows = {each, each_arg};
    return hl_record_audit_rows(server->record, after, INT64_MAX, row_give, &rows);
}

static hilum_rc check_roles(void *arg, const char *roles, const char *actions)
{
    struct hl_config *config = hl_server_config(arg);
    hilum_rc rc = roles != NULL ? hl_roles_known(config, roles) : HILUM_OK;
    if (rc == HILUM_OK && actions != NULL)
        rc = hl_actions_known(actions);
    hl_config_unref(config);
    return rc;
}

/* Before hl_plugins_start. The table is copied by the host; `arg` is the server, which
 * outlives every plugin. */
void hl_server_plugin_services(struct hl_server *server)
{
    const struct hl_host_services services = {
        .dicom = hl_dicom_api(),
        .catalog = &catalog_api,
        .objects = &hl_object_api,
        .commands = &hl_command_api,
        .allow = allow,
        .store_scu = store_scu,
        .dicom_address = dicom_address,
        .dicom_aet = dicom_aet,
        .principal_new = principal_new,
        .announce = announce,
        .audit = audit,
        .metrics = hl_server_metrics,
        .break_glass = hl_server_break_glass,
        .audit_rows = audit_rows,
        .check_roles = check_roles,
        .value_put = value_put,
        .value_get = value_get,
        .record = record,
        .scu = &hl_scu_api,
        .start_job = hl_server_start_job,
        .arg = server,
    };
    hl_plugins_set_services(server->plugins, &services);
    hl_plugins_set_publish(server->plugins, publish, server);
}
