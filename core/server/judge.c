/* What the configuration asks of plugins, judged before any of their code runs: by the start, by `hilumd --check` in the
 * same words, and by a reload. It knows names of capabilities and nothing of what they do.
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/scp.h"
#include "core/server/server.h"

/* What the walk over the configuration carries along. */
struct judge {
    struct hl_server *server;
    const struct hl_config *config;
    struct hl_faults *faults;
};

/* The place of what is not there: the group it is missing from, else the main file. */
static void add_fault(const struct judge *judge, const struct hl_node *node, const char *text)
{
    const char *main = judge->server->options.paths.main;
    hl_faults_add(judge->faults,
                  node   ? node->file
                  : main ? main
                         : "configuration",
                  node ? node->line : 0, "%s", text);
}

static hilum_rc judge_database(const struct judge *judge)
{
    if (hl_plugins_may_provide(judge->server->plugins, judge->config, HILUM_CAP_DATABASE, NULL,
                               NULL))
        return HILUM_OK;
    add_fault(judge, hl_config_node(judge->config, "plugins"),
              "plugins: expected one that provides a database, such as db-sqlite, found none");
    return hl_fail(HILUM_ENOTFOUND, "no database: is db-sqlite among `plugins`?");
}

static hilum_rc judge_store(const struct judge *judge)
{
    const char *name = hl_config_text(judge->config, "storage.default_store");
    struct hl_buf known = {0}, text = {0};
    hilum_rc rc = HILUM_OK;
    if (!hl_plugins_may_provide(judge->server->plugins, judge->config, HILUM_CAP_STORE, name,
                                &known)) {
        hl_buf_printf(&text,
                      "storage.default_store: expected the store of a plugin (%s), found \"%s\"",
                      known.len ? hl_buf_str(&known) : "there is none; store-fs is one", name);
        add_fault(judge, hl_config_node(judge->config, "storage.default_store"), hl_buf_str(&text));
        rc = hl_fail(HILUM_ENOTFOUND,
                     "storage.default_store \"%s\": no plugin provides a store of this name", name);
    }
    hl_buf_fini(&known);
    hl_buf_fini(&text);
    return rc;
}

/* ---- ways to peers ---- */

static bool is_carried(const struct judge *judge, const char *via, struct hl_buf *known)
{
    hl_buf_text(known, "\"dimse\"");
    bool may = hl_plugins_may_provide(judge->server->plugins, judge->config, HILUM_CAP_CARRIER, via,
                                      known);
    return may || strcmp(via, "dimse") == 0;
}

/* `via` of a peer or a route, where one is written. */
static void judge_via(const struct judge *judge, const struct hl_node *group, const char *key)
{
    const struct hl_node *via = hl_node_get(group, "via");
    struct hl_buf known = {0}, text = {0};
    if (via && !is_carried(judge, via->text, &known)) {
        hl_buf_printf(&text, "%s: expected one of %s, which enabled plugins carry, found \"%s\"%s",
                      key, hl_buf_str(&known), via->text,
                      strcmp(via->text, "dicomweb") == 0 ? " (the carrier of dicomweb-client)"
                                                         : "");
        add_fault(judge, via, hl_buf_str(&text));
    }
    hl_buf_fini(&known);
    hl_buf_fini(&text);
}

/* A peer with a url and no host is sent to by DICOMweb, where it does not say otherwise. */
static void judge_url(const struct judge *judge, const struct hl_node *peer)
{
    const struct hl_node *url = hl_node_get(peer, "url");
    struct hl_buf known = {0};
    if (url && !hl_node_get(peer, "host") && !hl_node_get(peer, "via") &&
        !is_carried(judge, "dicomweb", &known))
        add_fault(judge, url,
                  "peers[].url: expected an enabled plugin that carries \"dicomweb\" "
                  "(dicomweb-client), found none");
    hl_buf_fini(&known);
}

hilum_rc hl_server_judge(struct hl_server *server, const struct hl_config *config,
                         struct hl_faults *faults)
{
    const struct judge judge = {server, config, faults};
    const struct hl_node *peers = hl_config_node(config, "peers"),
                         *routes = hl_config_node(config, "routes");
    for (size_t i = 0; peers && i < peers->n_children; i++) {
        judge_via(&judge, peers->children[i], "peers[].via");
        judge_url(&judge, peers->children[i]);
    }
    for (size_t i = 0; routes && i < routes->n_children; i++)
        judge_via(&judge, routes->children[i], "routes[].via");
    hilum_rc store = judge_store(&judge), database = judge_database(&judge);
    return database < 0 ? database : store;
}

void hl_server_judge_listeners(struct hl_config *config, struct hl_faults *faults)
{
    const struct hl_node *list = hl_config_node(config, "dicom.listen");
    if (hl_scp_check(config) != HILUM_OK)
        hl_faults_add(faults, list ? list->file : "configuration", list ? list->line : 0, "%s",
                      hl_error());
}
