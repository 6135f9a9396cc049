/* web-shell: the sign-in and the list of studies, below "/". The pages ask DICOMweb and /auth as any client does;
 * nothing here knows a study.
 *
 * Three routes for strangers: the page, what it loads, and where a study is opened. Whoever is
 * not signed in sees the sign-in, which the page itself decides by asking /auth/session.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/route.h"
#include "pages.h"

/* What a DICOM value could smuggle into the page has nowhere to come from and nowhere to go. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "              \
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "                   \
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

struct shell_conf {
    const char *root, *viewer;
};

struct shell {
    const struct hilum_host *host;
    hilum_self *self;
    const struct shell_conf *conf;
    char root[PAGES_PATH_MAX];
};

static const struct hilum_option options[] = {
    {"root", HILUM_OPT_PATH, offsetof(struct shell_conf, root), NULL, NULL,
     "Where the pages are; unset: LIBDIR/hilum/web/web-shell."},
    {"viewer", HILUM_OPT_STR, offsetof(struct shell_conf, viewer),
     "ohif/viewer?StudyInstanceUIDs={study}", NULL,
     "Where a study is opened, {study} in the place of its UID; \"\": nowhere."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* On every answer: what is no page may be opened as one. */
static hilum_rc add_policy(const struct hilum_http_api *api, hilum_http *http)
{
    hilum_rc rc = api->add_header(http, "Content-Security-Policy", POLICY);
    return rc == HILUM_OK ? api->add_header(http, "Cross-Origin-Resource-Policy", "same-origin")
                          : rc;
}

/* What the page's script will ask for first, asked for while it is still on its way. Only where it will be: a search in
 * the address asks for something else, and who has not signed in would be refused. */
static hilum_rc add_preloads(const struct hilum_http_api *api, hilum_http *http)
{
    static const char *const wanted[] = {"auth/session", "shell/config.json",
                                         "dicom-web/studies?limit=200"};
    const struct hilum_http_request *asked = api->request(http);
    bool is_plain = asked->is_admitted && asked->query[0] == '\0';
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; is_plain && rc == HILUM_OK && i < sizeof wanted / sizeof *wanted; i++) {
        char link[120];
        snprintf(link, sizeof link, "<%s>; rel=preload; as=fetch; crossorigin=anonymous",
                 wanted[i]);
        rc = api->add_header(http, "Link", link);
    }
    return rc;
}

/* Served to whoever asks: it holds nothing of a patient, and is the sign-in. */
static hilum_rc page(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct shell *shell = self;
    hilum_rc rc = add_policy(api, http);
    if (rc == HILUM_OK)
        rc = add_preloads(api, http);
    if (rc == HILUM_OK)
        rc = api->respond_file(http, shell->root, "index.html");
    if (rc == HILUM_ENOTFOUND)
        return api->problem(
            http, 503, HILUM_OK,
            "this server was built without its pages: node and npm are needed for them");
    return rc;
}

/* The path is the client's; respond_file goes nowhere above root. */
static hilum_rc asset(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct shell *shell = self;
    hilum_rc rc = add_policy(api, http);
    return rc == HILUM_OK ? api->respond_file(http, shell->root, api->param(http, "path")) : rc;
}

/* What pages are told of this server. Not in the page itself: that is a static file with an
 * entity tag. */
static hilum_rc config(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct shell *shell = self;
    char viewer[600], body[700];
    if (!pages_quote(shell->conf->viewer, viewer, sizeof viewer))
        return shell->host->fail(shell->self, HILUM_EINVAL, "viewer: the address is too long");
    int n = snprintf(body, sizeof body, "{\"viewer\":\"%s\"}\n", viewer);
    return api->respond(http, 200, "application/json", body, (uint64_t)n);
}

#define ROUTE(label, path, function, what)                                                         \
    {                                                                                              \
        .cap = {.size = sizeof(struct hilum_route),                                                \
                .kind = HILUM_CAP_ROUTE,                                                           \
                .threads = HILUM_PARALLEL,                                                         \
                .name = "web-shell/" label},                                                       \
        .methods = "GET", .pattern = (path), .summary = (what), .flags = HILUM_ROUTE_ANONYMOUS,    \
        .run = (function),                                                                         \
    }

static const struct hilum_route routes[] = {
    ROUTE("page", "/", page, "The list of studies, or the sign-in."),
    ROUTE("config", "/shell/config.json", config, "Where a study is opened."),
    ROUTE("assets", "/shell/{path...}", asset, "What the page loads."),
};

/* ---- life ---- */

static void shell_fini(void *state)
{
    free(state);
}

static hilum_rc shell_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                           void **state)
{
    struct shell *shell = calloc(1, sizeof *shell);
    if (shell == NULL)
        return host->fail(self, HILUM_ENOMEM, "web-shell: no memory");
    *shell = (struct shell){.host = host, .self = self, .conf = conf};
    hilum_rc rc = HILUM_OK;
    if (!pages_root(shell->conf->root, "web-shell", shell->root))
        rc = host->fail(self, HILUM_EINVAL, "web-shell: root: the path is too long");
    for (size_t i = 0; rc == HILUM_OK && i < sizeof routes / sizeof *routes; i++)
        rc = host->provide(self, &routes[i].cap, shell);
    if (rc != HILUM_OK)
        free(shell);
    else
        *state = shell;
    return rc;
}

static hilum_rc shell_start(void *state)
{
    const struct shell *shell = state;
    pages_look(shell->host, shell->self, shell->root, "build with node and npm, or set root");
    return HILUM_OK;
}

static const char *const provides[] = {"route:", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct shell_conf),
    .id = "web-shell",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = shell_init,
    .start = shell_start,
    .fini = shell_fini,
    .swap = HILUM_SWAP_BESIDE,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
