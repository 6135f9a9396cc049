/* web-dicomweb: the Studies Service (PS3.18 10) as routes. The plugin's options, its routes and its life.
 *
 * Routes are HILUM_PARALLEL: http calls them on as many workers as it has. `permission` is
 * checked by the server before a handler runs; what of a study the user may see is decided by
 * the catalogue for each object (list.c).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <stdlib.h>
#include <sys/random.h>

static const struct hilum_option options[] = {
    {"max_results", HILUM_OPT_INT, offsetof(struct web_conf, max_results), "10000", "1..1000000",
     "Answers to one search at most, whatever limit it asks for."},
    {"metadata_cache", HILUM_OPT_BYTES, offsetof(struct web_conf, metadata_cache), "64MiB",
     "0..64GiB", "Metadata prepared or sent lately, kept in memory; 0: none."},
    {"thumbnails", HILUM_OPT_BYTES, offsetof(struct web_conf, thumbnails), "1GiB", "0..16TiB",
     "Thumbnails and films kept as files; 0: none, each is made when it is asked for."},
    {"metadata_max", HILUM_OPT_BYTES, offsetof(struct web_conf, metadata_max), "4MiB",
     "64KiB..64MiB", "Metadata of one STOW-RS request."},
    {"bulk_max", HILUM_OPT_BYTES, offsetof(struct web_conf, bulk_max), "2GiB", "1MiB..64GiB",
     "Bulk data beside such metadata; they lie on disk until all has come."},
    {"picture_memory", HILUM_OPT_BYTES, offsetof(struct web_conf, picture_memory), "1GiB",
     "64MiB..1TiB", "Memory of the pictures drawn at once; one more waits for those before it."},
    {"ffmpeg", HILUM_OPT_STR, offsetof(struct web_conf, ffmpeg), "/usr/bin/ffmpeg", NULL,
     "The program that makes moving pictures; it must be one of `programs` too."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* ---- small things ---- */

hilum_rc web_refuse(const struct web_call *call, uint32_t status, const char *why)
{
    return call->api->problem(call->http, status, HILUM_OK, why);
}

int web_json_or_xml(const struct web_call *call)
{
    static const struct web_offer offers[] = {
        {WEB_JSON, NULL, NULL}, {"application/json", NULL, NULL}, {NULL, WEB_XML, NULL}};
    int best = web_accept(web_accept_of(call), offers, sizeof offers / sizeof *offers);
    return best < 0 ? -1 : best == 2;
}

hilum_rc web_check_path(struct web_call *call)
{
    static const char *const names[] = {"study", "series", "instance"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        call->uids[i] = call->api->param(call->http, names[i]);
        if (call->uids[i] != NULL && !web_is_uid(call->uids[i]))
            return call->web->host->fail(call->web->self, HILUM_EINVAL,
                                         "the path holds what is no UID");
    }
    return HILUM_OK;
}

/* ---- routes ---- */

/* The route's `self` is what provide() was given: struct web. */
#define HANDLER(name, call_it)                                                                     \
    static hilum_rc name(void *self, const struct hilum_http_api *api, hilum_http *http)           \
    {                                                                                              \
        struct web_call call = {self, api, http, {NULL}};                                          \
        hilum_rc rc = web_check_path(&call);                                                       \
        return rc == HILUM_OK ? (call_it) : rc;                                                    \
    }

HANDLER(search_studies, web_search(&call, HILUM_LEVEL_STUDY))
HANDLER(search_series, web_search(&call, HILUM_LEVEL_SERIES))
HANDLER(search_instances, web_search(&call, HILUM_LEVEL_IMAGE))
HANDLER(retrieve, web_retrieve(&call, web_accept_of(&call)))
HANDLER(metadata, web_metadata(&call))
HANDLER(frames, web_frames(&call))
HANDLER(bulk, web_bulk(&call))
HANDLER(store, web_store(&call))
HANDLER(rendered, web_rendered(&call))
HANDLER(thumbnail, web_thumbnail(&call))
HANDLER(uri, web_uri(&call))
static hilum_rc capabilities(void *self, const struct hilum_http_api *api, hilum_http *http);

#define STUDY    WEB_ROOT "/studies/{study}"
#define SERIES   STUDY "/series/{series}"
#define INSTANCE SERIES "/instances/{instance}"

#define ROUTE(label, verbs, path, action, limit, function, what, ...)                              \
    {                                                                                              \
        .cap = {.size = sizeof(struct hilum_route),                                                \
                .kind = HILUM_CAP_ROUTE,                                                           \
                .threads = HILUM_PARALLEL,                                                         \
                .name = "dicomweb/" label},                                                        \
        .methods = (verbs), .pattern = (path), .permission = (action), .summary = (what),          \
        .body_max = (limit), .run = (function), __VA_ARGS__                                        \
    }

/* What each kind of request understands and answers with. */
#define RELATED  "multipart/related"
#define SEARCHES .gives = WEB_JSON "," RELATED, .params = web_search_params
#define OBJECTS  .gives = RELATED "," WEB_ZIP, .params = web_retrieve_params
#define OBJECT   .gives = RELATED "," WEB_DICOM "," WEB_ZIP, .params = web_retrieve_params
#define HEADS    .gives = WEB_JSON "," RELATED, .params = web_known_params
#define BYTES                                                                                      \
    .gives = RELATED ",application/octet-stream,image/jpeg,image/jls,image/jp2,image/jphc,"        \
                     "image/dicom-rle,image/jxl",                                                  \
    .params = web_retrieve_params
#define PICTURES                                                                                   \
    .gives = "image/jpeg,image/png,image/gif,text/html,text/plain,text/xml,video/mp4," RELATED,    \
    .params = web_rendered_params
#define DRAWN .gives = "image/jpeg,image/png,image/gif," RELATED, .params = web_rendered_params
#define SMALL .gives = "image/jpeg", .params = web_thumbnail_params
#define INTAKE                                                                                     \
    .takes = RELATED "," WEB_DICOM, .gives = WEB_JSON "," WEB_XML, .params = web_accept_params
#define SERVICE .gives = "application/vnd.sun.wadl+xml", .params = web_accept_params
#define URI                                                                                        \
    .gives = "image/jpeg,image/png,image/gif,text/html,text/plain,text/xml," WEB_DICOM,            \
    .params = web_uri_params

/* The more telling a path, the nearer to the object; http chooses the literal segment before a
 * {name}. */
static const struct hilum_route routes[] = {
    ROUTE("search/studies", "GET", WEB_ROOT "/studies", "find", 0, search_studies,
          "Search for studies (QIDO-RS).", SEARCHES),
    ROUTE("search/all-series", "GET", WEB_ROOT "/series", "find", 0, search_series,
          "Search for series of all studies.", SEARCHES),
    ROUTE("search/all-instances", "GET", WEB_ROOT "/instances", "find", 0, search_instances,
          "Search for instances of all studies.", SEARCHES),
    ROUTE("search/series", "GET", STUDY "/series", "find", 0, search_series,
          "Search for series of a study.", SEARCHES),
    ROUTE("search/study-instances", "GET", STUDY "/instances", "find", 0, search_instances,
          "Search for instances of a study.", SEARCHES),
    ROUTE("search/instances", "GET", SERIES "/instances", "find", 0, search_instances,
          "Search for instances of a series.", SEARCHES),
    ROUTE("retrieve/study", "GET", STUDY, "retrieve", 0, retrieve,
          "Retrieve the instances of a study (WADO-RS).", OBJECTS),
    ROUTE("retrieve/series", "GET", SERIES, "retrieve", 0, retrieve,
          "Retrieve the instances of a series.", OBJECTS),
    ROUTE("retrieve/instance", "GET", INSTANCE, "retrieve", 0, retrieve, "Retrieve an instance.",
          OBJECT),
    ROUTE("metadata/study", "GET", STUDY "/metadata", "retrieve", 0, metadata,
          "Attributes of all instances of a study, without bulk data.", HEADS),
    ROUTE("metadata/series", "GET", SERIES "/metadata", "retrieve", 0, metadata,
          "Attributes of all instances of a series, without bulk data.", HEADS),
    ROUTE("metadata/instance", "GET", INSTANCE "/metadata", "retrieve", 0, metadata,
          "Attributes of an instance, without bulk data.", HEADS),
    ROUTE("frames", "GET", INSTANCE "/frames/{frames}", "retrieve", 0, frames,
          "Frames of an instance, by numbers from 1 separated by commas.", BYTES),
    ROUTE("pixeldata", "GET", INSTANCE "/pixeldata", "retrieve", 0, frames,
          "All frames of an instance.", BYTES),
    ROUTE("bulkdata", "GET", INSTANCE "/bulkdata/{path...}", "retrieve", 0, bulk,
          "One binary value of an instance.", BYTES),
    ROUTE("rendered/study", "GET", STUDY "/rendered", "retrieve", 0, rendered,
          "Pictures of a study's instances.", PICTURES),
    ROUTE("rendered/series", "GET", SERIES "/rendered", "retrieve", 0, rendered,
          "Pictures of a series' instances.", PICTURES),
    ROUTE("rendered/instance", "GET", INSTANCE "/rendered", "retrieve", 0, rendered,
          "An instance as picture or pictures.", PICTURES),
    ROUTE("rendered/frames", "GET", INSTANCE "/frames/{frames}/rendered", "retrieve", 0, rendered,
          "Frames of an instance as pictures.", DRAWN),
    ROUTE("thumbnail/study", "GET", STUDY "/thumbnail", "retrieve", 0, thumbnail,
          "A small picture of a study.", SMALL),
    ROUTE("thumbnail/series", "GET", SERIES "/thumbnail", "retrieve", 0, thumbnail,
          "A small picture of a series.", SMALL),
    ROUTE("thumbnail/instance", "GET", INSTANCE "/thumbnail", "retrieve", 0, thumbnail,
          "A small picture of an instance.", SMALL),
    ROUTE("thumbnail/frames", "GET", INSTANCE "/frames/{frames}/thumbnail", "retrieve", 0,
          thumbnail, "A small picture of a frame.", SMALL),
    ROUTE("store/studies", "POST", WEB_ROOT "/studies", "store", HILUM_LENGTH_UNKNOWN, store,
          "Store instances (STOW-RS).", INTAKE),
    ROUTE("store/study", "POST", STUDY, "store", HILUM_LENGTH_UNKNOWN, store,
          "Store instances of one study.", INTAKE),
    ROUTE("uri", "GET", "/wado", "retrieve", 0, uri, "Retrieve an instance by WADO-URI.", URI),
    ROUTE("capabilities", "OPTIONS,GET", WEB_ROOT, "find", 0, capabilities,
          "What this service can do.", SERVICE),
    ROUTE("capabilities/root", "OPTIONS,GET", WEB_ROOT "/", "find", 0, capabilities,
          "What this service can do.", SERVICE),
};

static hilum_rc capabilities(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    const struct web_call call = {self, api, http, {NULL}};
    return web_capabilities(&call, routes, sizeof routes / sizeof *routes);
}

/* ---- life ---- */

/* After the last exchange, suspended and streamed ones among them: the host waits for those. */
static void web_fini(void *state)
{
    struct web *web = state;
    web_blobs_free(web->blobs);
    web_drawing_free(web->drawing);
    pthread_mutex_destroy(&web->unfolding);
    pthread_mutex_destroy(&web->lock);
    free(web);
}

/* No route is called before start(), so nothing is locked here. The secret is drawn once a
 * life. */
static hilum_rc web_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                         void **state)
{
    struct web *web = calloc(1, sizeof *web);
    if (web == NULL)
        return host->fail(self, HILUM_ENOMEM, "web-dicomweb: no memory");
    *web = (struct web){.host = host, .self = self, .conf = conf};
    pthread_mutex_init(&web->lock, NULL);
    pthread_mutex_init(&web->unfolding, NULL);
    if (getrandom(web->secret, sizeof web->secret, 0) != (ssize_t)sizeof web->secret) {
        web_fini(web);
        return host->fail(self, HILUM_EIO, "web-dicomweb: no random numbers");
    }
    web->blobs = web_blobs_new((uint64_t)web->conf->metadata_cache);
    web->drawing = web_drawing_new((uint64_t)web->conf->picture_memory);
    if (web->drawing == NULL) {
        web_fini(web);
        return host->fail(self, HILUM_ENOMEM, "web-dicomweb: no memory");
    }
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < sizeof routes / sizeof *routes; i++)
        rc = host->provide(self, &routes[i].cap, web);
    if (rc == HILUM_OK)
        rc = web_thumbnails_init(web);
    if (rc == HILUM_OK)
        rc = web_prepare_init(web);
    if (rc == HILUM_OK)
        rc = web_forget_init(web);
    if (rc != HILUM_OK)
        web_fini(web);
    else
        *state = web;
    return rc;
}

/* Here and not in init: they are NULL until start. */
static hilum_rc web_start(void *state)
{
    const struct web *web = state;
    if (web->host->dicom == NULL || web->host->catalog == NULL || web->host->objects == NULL)
        return web->host->fail(web->self, HILUM_EUNSUP, "this host offers no catalogue");
    web_streams_sweep(web);
    return HILUM_OK;
}

/* Not needed to load: without it everything but pictures works. */
static const char *const wants[] = {"render-2d", NULL};

static const char *const provides[] = {"route:", NULL};

/* BESIDE: two versions may serve at once; each has its own cache and secret, and the folder
 * they share is locked file by file. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct web_conf),
    .id = "web-dicomweb",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .wants = wants,
    .init = web_init,
    .start = web_start,
    .fini = web_fini,
    .swap = HILUM_SWAP_BESIDE,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
