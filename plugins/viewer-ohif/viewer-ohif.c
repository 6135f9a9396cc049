/* viewer-ohif: OHIF's prebuilt pages below /ohif/, with a configuration that points at this server's DICOMweb.
 *
 * The viewer is somebody else's program, unchanged: all that makes it ours is app-config.js,
 * which we answer ourselves, and the base in its page. So a new version of it is a new folder.
 * Its page is served to who has signed in (is_admitted): it holds nothing of a patient, but would
 * show refusals as empty studies.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"
#include "hilum/route.h"
#include "pages.h"

#define MOUNT "/ohif"

/* WebAssembly decodes pixels; its workers come from files and from blobs; styles are set by scripts. */
#define POLICY_WITH(eval)                                                                          \
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval' " eval "blob:; "                     \
    "worker-src 'self' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "      \
    "font-src 'self' data:; connect-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "  \
    "frame-ancestors 'none'"
#define POLICY POLICY_WITH("")
/* A worker has the policy of its own file. The decoders of JPEG-LS, JPEG 2000 and HTJ2K make functions from text there; a page
 * never may. */
#define WORKER_POLICY POLICY_WITH("'unsafe-eval' ")

struct viewer_conf {
    const char *root;
};

struct viewer {
    const struct hilum_host *host;
    hilum_self *self;
    const struct viewer_conf *conf;
    char root[PAGES_PATH_MAX];
};

static const struct hilum_option options[] = {
    {"root", HILUM_OPT_PATH, offsetof(struct viewer_conf, root), NULL, NULL,
     "Where the viewer's files are; unset: LIBDIR/hilum/web/viewer-ohif."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* What its pages find instead of the distribution's own app-config.js. {{base}} is the path of
 * this server. XMLHttpRequest is wrapped since its uploads know nothing of our session's
 * secret (X-Hilum-CSRF), without which a write by cookie is refused. */
static const char config[] =
    "(() => {\n"
    "const base = '{{base}}', root = location.origin + base + '/dicom-web';\n"
    "window.PUBLIC_URL = base + '" MOUNT "/';\n"
    "window.browserImportFunction = url => import(url);\n"
    "try {\n"
    "  const ours = localStorage.getItem('hilum.language') ?? navigator.language.toLowerCase();\n"
    "  const theirs = ours.startsWith('zh') ? 'zh' : 'en-US';\n"
    "  localStorage.setItem('i18nextLng', theirs);\n"
    "  document.cookie = `i18next=${theirs}; path=/; SameSite=Strict`;\n"
    "} catch { /* no storage: its own choice */ }\n"
    "const signIn = () => location.assign(base + '/?next=' +\n"
    "  encodeURIComponent(location.pathname + location.search));\n"
    "let csrf = '';\n"
    "fetch(base + '/auth/session').then(r => r.json()).then(s => { csrf = s.csrf; });\n"
    "const open = XMLHttpRequest.prototype.open, send = XMLHttpRequest.prototype.send;\n"
    "XMLHttpRequest.prototype.open = function (method, url, ...rest) {\n"
    "  this.isOurWrite = !/^(GET|HEAD)$/i.test(method) && new URL(url, location).origin === "
    "location.origin;\n"
    "  return open.call(this, method, url, ...rest);\n"
    "};\n"
    "XMLHttpRequest.prototype.send = function (body) {\n"
    "  if (this.isOurWrite && csrf) this.setRequestHeader('X-Hilum-CSRF', csrf);\n"
    "  return send.call(this, body);\n"
    "};\n"
    "window.config = {\n"
    "  name: 'hilum', routerBasename: base + '" MOUNT "', extensions: [], modes: [],\n"
    "  customizationService: {}, showStudyList: true, maxNumberOfWebWorkers: 3,\n"
    "  showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false,\n"
    "  showLoadingIndicator: true, strictZSpacingForVolumeViewport: true,\n"
    "  investigationalUseDialog: { option: 'never' },\n"
    "  maxNumRequests: { interaction: 100, thumbnail: 10, prefetch: 20 },\n"
    "  showErrorDetails: 'production', defaultDataSourceName: 'hilum',\n"
    "  dataSources: [{\n"
    "    namespace: '@ohif/extension-default.dataSourcesModule.dicomweb', sourceName: 'hilum',\n"
    "    configuration: {\n"
    "      friendlyName: 'Hilum', name: 'hilum', qidoRoot: root, wadoRoot: root,\n"
    "      wadoUriRoot: location.origin + base + '/wado', qidoSupportsIncludeField: true,\n"
    "      imageRendering: 'wadors', thumbnailRendering: 'wadors', enableStudyLazyLoad: true,\n"
    "      supportsFuzzyMatching: true, supportsWildcard: true, dicomUploadEnabled: true,\n"
    "      singlepart: 'bulkdata,pdf,video', omitQuotationForMultipartRequest: false,\n"
    "      bulkDataURI: { enabled: true },\n"
    "    },\n"
    "  }],\n"
    "  httpErrorHandler: error => { if (error.status === 401) signIn(); },\n"
    "};\n"
    "})();\n";

/* ---- answers ---- */

/* "" or "/hilum": what is between our name and our paths, as the client sees us. */
static const char *prefix_of(const struct hilum_http_request *asked)
{
    const char *host = strstr(asked->base_url, "://");
    const char *path = host != NULL ? strchr(host + 3, '/') : NULL;
    return path != NULL && strcmp(path, "/") != 0 ? path : "";
}

/* Isolated from other sites' pages: what shared memory between its workers asks for. */
static hilum_rc add_policy(const struct hilum_http_api *api, hilum_http *http, const char *path)
{
    const char *suffix = strrchr(path, '.');
    bool is_script = suffix != NULL && (strcmp(suffix, ".js") == 0 || strcmp(suffix, ".mjs") == 0);
    hilum_rc rc =
        api->add_header(http, "Content-Security-Policy", is_script ? WORKER_POLICY : POLICY);
    if (rc == HILUM_OK)
        rc = api->add_header(http, "Cross-Origin-Embedder-Policy", "require-corp");
    return rc == HILUM_OK ? api->add_header(http, "Cross-Origin-Resource-Policy", "same-origin")
                          : rc;
}

static hilum_rc answer_config(const struct viewer *viewer, const struct hilum_http_api *api,
                              hilum_http *http)
{
    char base[512], text[sizeof config + 1024];
    const char *mark = strstr(config, "{{base}}");
    if (!pages_quote(prefix_of(api->request(http)), base, sizeof base))
        return viewer->host->fail(viewer->self, HILUM_EINVAL, "our own path is too long");
    int n = snprintf(text, sizeof text, "%.*s%s%s", (int)(mark - config), config, base,
                     mark + strlen("{{base}}"));
    return api->respond(http, 200, "text/javascript; charset=utf-8", text, (uint64_t)n);
}

static hilum_rc answer_page(const struct viewer *viewer, const struct hilum_http_api *api,
                            hilum_http *http)
{
    char base[600];
    size_t n = 0;
    /* Into attributes: a path with a quote in it is none of ours. */
    if (strpbrk(prefix_of(api->request(http)), "\"<>&") != NULL)
        return viewer->host->fail(viewer->self, HILUM_EINVAL, "public_url: not a plain path");
    snprintf(base, sizeof base, "%s" MOUNT "/", prefix_of(api->request(http)));
    char *page = pages_template(viewer->root, "index.html", "{{base}}", base, &n);
    if (page == NULL)
        return api->problem(http, 503, HILUM_OK,
                            "the viewer's files are not installed on this server: ninja viewer");
    hilum_rc rc = api->respond(http, 200, "text/html; charset=utf-8", page, n);
    free(page);
    return rc;
}

static hilum_rc redirect(const struct hilum_http_api *api, hilum_http *http)
{
    char where[600];
    snprintf(where, sizeof where, "%s" MOUNT "/", prefix_of(api->request(http)));
    hilum_rc rc = api->add_header(http, "Location", where);
    return rc == HILUM_OK ? api->respond(http, 308, NULL, "", 0) : rc;
}

/* At the start of a page, before the viewer asks for anything: it would take a refusal for a
 * study that is not there. `from` fits three times into `where`: each byte becomes three at
 * most. */
static hilum_rc sign_in_first(const struct hilum_http_api *api, hilum_http *http)
{
    static const char hex[] = "0123456789ABCDEF";
    const struct hilum_http_request *asked = api->request(http);
    char where[4096], from[1024];
    snprintf(from, sizeof from, "%s%s%s%s", prefix_of(asked), asked->path,
             asked->query[0] != '\0' ? "?" : "", asked->query);
    size_t at = (size_t)snprintf(where, sizeof where, "%.500s/?next=", prefix_of(asked));
    for (const unsigned char *p = (const unsigned char *)from; *p != '\0'; p++) {
        bool is_plain = isalnum(*p) || strchr("-._~/", *p) != NULL;
        where[at++] = (char)(is_plain ? *p : '%');
        if (!is_plain) {
            where[at++] = hex[*p >> 4];
            where[at++] = hex[*p & 15];
        }
    }
    where[at] = '\0';
    hilum_rc rc = api->add_header(http, "Location", where);
    return rc == HILUM_OK ? api->respond(http, 303, NULL, "", 0) : rc;
}

/* Paths that are no files are the viewer's own: it shows a study, a list, or says that there
 * is nothing. A path without a dot is one of the viewer's own addresses: files have endings. */
static hilum_rc serve(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct viewer *viewer = self;
    const char *path = api->param(http, "path");
    if (strcmp(api->request(http)->path, MOUNT) == 0)
        return redirect(api, http);
    hilum_rc rc = add_policy(api, http, path);
    if (rc != HILUM_OK)
        return rc;
    if (strcmp(path, "app-config.js") == 0)
        return answer_config(viewer, api, http);
    if (path[0] == '\0' || strcmp(path, "index.html") == 0 || strchr(path, '.') == NULL)
        return api->request(http)->is_admitted ? answer_page(viewer, api, http)
                                               : sign_in_first(api, http);
    return api->respond_file(http, viewer->root, path);
}

static const struct hilum_route routes[] = {
    {
        .cap = {.size = sizeof(struct hilum_route),
                .kind = HILUM_CAP_ROUTE,
                .threads = HILUM_PARALLEL,
                .name = "viewer-ohif/pages"},
        .methods = "GET",
        .pattern = MOUNT "/{path...}",
        .summary = "Pages of the OHIF viewer.",
        .flags = HILUM_ROUTE_ANONYMOUS,
        .run = serve,
    },
};

/* ---- life ---- */

static void viewer_fini(void *state)
{
    free(state);
}

static hilum_rc viewer_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                            void **state)
{
    struct viewer *viewer = calloc(1, sizeof *viewer);
    if (viewer == NULL)
        return host->fail(self, HILUM_ENOMEM, "viewer-ohif: no memory");
    *viewer = (struct viewer){.host = host, .self = self, .conf = conf};
    if (!pages_root(viewer->conf->root, "viewer-ohif", viewer->root)) {
        free(viewer);
        return host->fail(self, HILUM_EINVAL, "viewer-ohif: root: the path is too long");
    }
    hilum_rc rc = host->provide(self, &routes[0].cap, viewer);
    if (rc != HILUM_OK)
        free(viewer);
    else
        *state = viewer;
    return rc;
}

static hilum_rc viewer_start(void *state)
{
    const struct viewer *viewer = state;
    pages_look(viewer->host, viewer->self, viewer->root, "build the target `viewer`, or set root");
    return HILUM_OK;
}

static const char *const provides[] = {"route:", NULL};

/* BESIDE: nothing is kept but a path. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct viewer_conf),
    .id = "viewer-ohif",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = viewer_init,
    .start = viewer_start,
    .fini = viewer_fini,
    .swap = HILUM_SWAP_BESIDE,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
