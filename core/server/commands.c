/* Commands about the server itself: status, configuration, plugins, peers.
 *
 * A command runs on the thread of its connection, many at once; what it reads of the
 * configuration it holds by reference. What changes something is in the audit record, also when
 * it failed.
 *
 * Rights were checked before run() by the action in the table (core/control); a finer one is
 * asked here. Results are made for programs; `view` is what people see, so that a text may be
 * improved without breaking a script.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/trace.h"

#include <stdio.h>
#include <string.h>

hilum_rc hl_server_answer_view(struct hl_call *call, struct hl_buf *json,
                               json_t *(*view)(const json_t *result))
{
    json_error_t error;
    json_t *value = json_loads(hl_buf_str(json), JSON_DECODE_ANY, &error);
    hl_buf_fini(json);
    if (!value)
        return hl_fail(HILUM_EINTERNAL, "answer is not JSON: %s", error.text);
    if (view)
        hl_call_view(call, view(value));
    return hl_call_result_json(call, value);
}

hilum_rc hl_server_answer(struct hl_call *call, struct hl_buf *json)
{
    return hl_server_answer_view(call, json, NULL);
}

const char *hl_server_who(struct hl_call *call, char *out, size_t size)
{
    return hl_principal_text(hl_call_principal(call), out, size);
}

struct hl_config *hl_server_config(struct hl_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct hl_config *config = hl_config_ref(server->config);
    pthread_mutex_unlock(&server->lock);
    return config;
}

struct hl_peers *hl_server_peers(struct hl_server *server)
{
    pthread_mutex_lock(&server->lock);
    struct hl_peers *peers = hl_peers_ref(server->peers);
    pthread_mutex_unlock(&server->lock);
    return peers;
}

/* Adds `name` with the JSON a part writes about itself. Frees the buffer, empty or not, for
 * the next part to write into. */
static void add_part(json_t *object, const char *name, struct hl_buf *json)
{
    json_t *value = json_loads(hl_buf_str(json), JSON_DECODE_ANY, NULL);
    json_object_set_new(object, name, value ? value : json_null());
    hl_buf_fini(json);
}

static const char *health_text(hilum_rc rc)
{
    return rc == HILUM_OK ? "ok" : hl_error();
}

/* Each part writes its own piece of JSON; a part that fails is null, and the rest is told. On
 * the thread of whoever asks: each part takes its own lock for a moment, and the numbers of
 * two parts are of two moments. */
json_t *hl_server_status(struct hl_server *server)
{
    char started[32];
    struct hl_config *config = hl_server_config(server);
    json_t *object =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "version", HILUM_VERSION, "aet",
                  hl_config_text(config, "dicom.aet"), "dicom", hl_scp_address(server->scp), "data",
                  server->options.data_dir, "started",
                  hl_time_text(server->started_us, started, sizeof started));
    hl_config_unref(config);
    json_object_set_new(object, "store_health",
                        json_string(health_text(hl_store_health(server->store))));
    json_object_set_new(object, "record_health",
                        json_string(health_text(hl_record_health(server->record))));
    json_object_set_new(object, "log_health",
                        json_string(health_text(hl_store_log_health(server->store))));
    struct hl_buf json = {0};
    if (hl_record_status(server->record, &json) == HILUM_OK)
        add_part(object, "record", &json);
    hl_store_status(server->store, &json);
    add_part(object, "store", &json);
    hl_scp_status(server->scp, &json);
    add_part(object, "associations", &json);
    hl_scu_status(server->scu, &json);
    add_part(object, "outgoing", &json);
    hl_jobs_status(server->jobs, &json);
    add_part(object, "jobs", &json);
    hl_script_status(server->script, &json);
    add_part(object, "rules", &json);
    if (hl_server_catalogue_is_lost(server))
        json_object_set_new(object, "catalogue_lost", json_true());
    return object;
}

static hilum_rc status(void *ctx, struct hl_call *call)
{
    json_t *object = hl_server_status(ctx);
    hl_call_view(call, hl_server_view_status(object));
    return hl_call_result_json(call, object);
}

static json_t *faults_json(const struct hl_faults *faults)
{
    json_t *list = json_array();
    for (const struct hl_fault *f = faults->first; f; f = f->next)
        json_array_append_new(list, hl_json_text(f->text));
    return list;
}

/* As `hilumd --check` does, beside the running server: constructors of plugins run here, too.
 * Never an error: faults are the answer, and the exit code says so to scripts. */
static hilum_rc check(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_faults faults = {0};
    hl_server_check(&server->options, &faults);
    json_t *list = faults_json(&faults);
    hl_faults_fini(&faults);
    int exit_code = json_array_size(list) > 0;
    hl_call_view(call,
                 exit_code ? json_incref(list) : json_string("configuration and rules are sound"));
    return hl_call_result_json(call,
                               json_pack("{s:o, s:i}", "faults", list, "exit_code", exit_code));
}

/* A refused reload is no error of the command: its faults are the answer, with an exit code. */
static hilum_rc config_reload(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_faults faults = {0};
    struct hl_buf notes = {0};
    hilum_rc rc = hl_server_reload(server, &faults, &notes);
    json_t *result = json_pack("{s:b, s:o, s:s, s:i}", "reloaded", rc == HILUM_OK, "faults",
                               faults_json(&faults), "needs_restart", hl_buf_str(&notes),
                               "exit_code", (int)(rc != HILUM_OK));
    hl_faults_fini(&faults);
    hl_buf_fini(&notes);
    char who[64];
    hilum_rc told =
        hl_record_audit(server->record, hl_server_who(call, who, sizeof who), "config.reload",
                        rc == HILUM_OK ? "reloaded" : "refused", NULL, NULL);
    if (told != HILUM_OK) /* what is applied stays applied */
        hl_log(HL_ERROR, "audit", "config.reload is not in the record: %s", hl_error());
    return hl_call_result_json(call, result);
}

/* One of the list, with its options. */
static hilum_rc one_plugin(struct hl_call *call, const char *wanted, struct hl_buf *json)
{
    json_t *list = json_loads(hl_buf_str(json), 0, NULL), *plugin, *found = NULL;
    size_t i;
    hl_buf_fini(json);
    json_array_foreach(list, i, plugin)
    {
        const char *id = json_string_value(json_object_get(plugin, "id"));
        if (id && strcmp(id, wanted) == 0)
            found = json_incref(plugin);
    }
    json_decref(list);
    return found ? hl_call_result_json(call, found)
                 : hl_fail(HILUM_ENOTFOUND, "%s: no such plugin (see `hilum plugin list`)", wanted);
}

/* The list for people leaves options out; one plugin has them. Options are described, not
 * told: what a site has set may be a secret. */
static hilum_rc plugin_list(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    const char *wanted = hl_call_text(call, "plugin", NULL);
    hl_plugins_list(server->plugins, &json);
    return wanted ? one_plugin(call, wanted, &json)
                  : hl_server_answer_view(call, &json, hl_server_view_plugins);
}

static json_t *peer_row(const struct hl_peer *peer)
{
    json_t *row =
        json_pack("{s:s, s:s, s:s, s:i, s:b}", "name", peer->name, "aet", peer->aet, "host",
                  peer->host ? peer->host : "", "port", (int)peer->port, "tls", (int)peer->has_tls);
    static const struct {
        unsigned service;
        const char *name;
    } services[] = {{HL_SERVICE_ECHO, "echo"},
                    {HL_SERVICE_STORE, "store"},
                    {HL_SERVICE_FIND, "find"},
                    {HL_SERVICE_MOVE, "move"},
                    {HL_SERVICE_GET, "get"}};
    char list[64] = "";
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (peer->services & services[i].service)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? " " : "",
                     services[i].name);
    json_object_set_new(row, "services", json_string(list));
    return row;
}

static hilum_rc peer_list(void *ctx, struct hl_call *call)
{
    struct hl_peers *peers = hl_server_peers(ctx);
    json_t *rows = json_array();
    for (size_t i = 0; i < hl_peers_count(peers); i++)
        json_array_append_new(rows, peer_row(hl_peers_at(peers, i)));
    hl_peers_unref(peers);
    return hl_call_result_json(call, rows);
}

/* Waits for the peer on this connection's thread. With the peer's own titles and TLS, as a
 * delivery would go: what is proven is the way that counts. */
static hilum_rc peer_echo(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    const char *name = hl_call_text(call, "peer", "");
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, name);
    int64_t ms = 0;
    hilum_rc rc = peer ? hl_scu_echo(server->scu, peer, &ms)
                       : hl_fail(HILUM_ENOTFOUND, "%s: no such peer (see `hilum peer list`)", name);
    hl_peers_unref(peers);
    if (rc < 0)
        return rc;
    hl_jobs_nudge(server->jobs, name); /* it is there: what waits for it goes now */
    return hl_call_result_json(call, json_pack("{s:s, s:I}", "peer", name, "ms", (json_int_t)ms));
}

/* What would be none, or all, by a slip is told instead. */
hilum_rc hl_server_limit(struct hl_call *call, uint32_t otherwise, uint32_t *out)
{
    int64_t limit = hl_call_int(call, "limit", otherwise);
    *out = (uint32_t)(limit < UINT32_MAX ? limit : UINT32_MAX);
    return limit >= 1
               ? HILUM_OK
               : hl_fail(HILUM_EINVAL, "limit: expected 1 or more, found %lld", (long long)limit);
}

/* From memory: what was before the start is not there. */
static hilum_rc peer_trace(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    const char *name = hl_call_text(call, "peer", NULL);
    hl_trace_json(server->trace, name, &json);
    if (name && strcmp(hl_buf_str(&json), "[]") == 0 && !hl_server_has_peer(server, name)) {
        hl_buf_fini(&json);
        return hl_fail(HILUM_ENOTFOUND,
                       "%s: no such peer (see `hilum peer list`), and no association of that title "
                       "since the start",
                       name);
    }
    return hl_server_answer_view(
        call, &json, hl_call_bool(call, "full") ? hl_server_view_trace_full : hl_server_view_trace);
}

static const struct hl_command_arg echo_args[] = {
    {"peer", HL_ARG_TEXT, true, true, "name of the peer", NULL}, {0}};
static const struct hl_command_arg trace_args[] = {
    {"peer", HL_ARG_TEXT, true, false, "name, AE title or address; without it: all", NULL},
    {"full", HL_ARG_BOOL, false, false, "every presentation context", NULL},
    {0}};
static const struct hl_command_arg plugin_args[] = {
    {"plugin", HL_ARG_TEXT, true, false, "only this one, with its options", NULL}, {0}};

hilum_rc hl_server_register_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {
        {"status", "What the server is doing.", "status", NULL, status, server},
        {"check", "Checks configuration and rules as they are on disk.", "config.check", NULL,
         check, server},
        {"config reload", "Applies peers, limits, certificates and rules without a restart.",
         "config.reload", NULL, config_reload, server},
        {"plugin list", "Lists plugins and what they provide.", "plugin.list", plugin_args,
         plugin_list, server},
        {"peer list", "Lists the configured peers.", "peer.list", NULL, peer_list, server},
        {"peer echo", "Sends a C-ECHO to a peer.", "peer.echo", echo_args, peer_echo, server},
        {"peer trace",
         "Shows the last associations with a peer, both ways, and why contexts were refused.",
         "peer.trace", trace_args, peer_trace, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
