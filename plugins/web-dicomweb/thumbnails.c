/* Thumbnails (PS3.18 10.4.1.1.4): made once by a job when a study is complete, kept as files, made again when one is
 * lost; any other size is drawn when it is asked for.
 *
 * A file below web-dicomweb/thumbnails of the data directory, in one of 256 folders, named by a
 * digest of the object, by frame and Hilum's version: there is no index of them, a file is there or
 * is not. Several threads may make the same one at once; each writes a file of its own name and
 * renames it, so that readers see a whole one.
 *
 * Thumbnails are pictures of patients like any other: requests for them are checked by list.c
 * before a file is looked for, and the folder is the server's alone (0700). They go with the
 * object when that is erased (forget.c), and with the budget.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* SIDE: what worklists of viewers show, twice over for dense screens. TRIES: a study of
 * reports only is not opened to its end. PRUNE_EVERY: reading all of the folder costs some
 * milliseconds a thousand files; in between the budget is overstepped by 64 pictures at most. */
enum {
    SIDE = 256, /* of a kept picture: it lies within */
    TRIES = 16, /* objects looked at for one that can be drawn */
    PATH_LENGTH = 1024,
    STEM = 34,       /* two numbers of 64 bits in hexadecimal digits, a dash */
    PRUNE_EVERY = 64 /* pictures written */
};
#define JPEG "image/jpeg"

/* ---- files ---- */

static bool folder_make(const struct web *web, char out[PATH_LENGTH])
{
    return web->conf->thumbnails > 0 &&
           web_folder(web, "thumbnails", out, PATH_LENGTH - 100) == HILUM_OK;
}

/* What the names of all files of an object begin with, and the folder they are in, which is made.
 * False: thumbnails are not kept. The number is part of the digest, since other content may
 * replace what is stored under a UID; after a rebuild, which numbers anew, they are made
 * again. 256 folders: a folder of a million names is slow to list. */
static bool stem_make(const struct web *web, const char *sop_instance, int64_t instance,
                      char folder[PATH_LENGTH], char stem[STEM])
{
    struct web_tag tag = {0};
    web_tag_text(&tag, sop_instance);
    web_tag_add(&tag, (uint64_t)instance);
    if (!folder_make(web, folder))
        return false;
    size_t n = strlen(folder);
    snprintf(folder + n, PATH_LENGTH - n, "/%02x", (unsigned)(tag.a >> 56));
    mkdir(folder, 0700);
    snprintf(stem, STEM, "%016llx%016llx-", (unsigned long long)tag.a, (unsigned long long)tag.b);
    return true;
}

/* The version: a new renderer may draw otherwise. */
static bool path_make(const struct web *web, const char *sop_instance, int64_t instance,
                      uint64_t frame, const char *kind, char out[PATH_LENGTH])
{
    char stem[STEM];
    if (!stem_make(web, sop_instance, instance, out, stem))
        return false;
    size_t n = strlen(out);
    snprintf(out + n, PATH_LENGTH - n, "/%s%llu-" HILUM_VERSION ".%s", stem,
             (unsigned long long)frame, kind);
    return true;
}

/* Names are listed, since nothing says which frames were looked at: some thousand where the budget
 * is full. */
void web_thumbnails_forget(struct web *web, const char *sop_instance, int64_t instance)
{
    char folder[PATH_LENGTH], path[PATH_LENGTH + 300], stem[STEM];
    if (!stem_make(web, sop_instance, instance, folder, stem))
        return;
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        if (strncmp(e->d_name, stem, strlen(stem)) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        unlink(path);
    }
    if (dir != NULL)
        closedir(dir);
}

/* Whole or not at all. No fsync: what is lost with the power is an empty or missing file, and
 * both are made again. The pointer in the
 * name tells threads of one process apart; a name a killed life left is in the way of nobody
 * for long (O_EXCL fails, the picture is not kept that once) and is pruned like the others. */
static void file_write(const char *path, const struct web_picture *picture)
{
    char temporary[PATH_LENGTH + 40];
    snprintf(temporary, sizeof temporary, "%s.%p", path, (const void *)picture);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    bool is_good = write(fd, picture->bytes, picture->n) == (ssize_t)picture->n;
    is_good = close(fd) == 0 && is_good;
    if (!is_good || rename(temporary, path) != 0)
        unlink(temporary);
}

/* ---- no more than the budget ---- */

struct kept_file {
    char path[PATH_LENGTH];
    int64_t used_s;
    uint64_t n;
};
struct kept_files {
    struct kept_file *items;
    size_t n, cap;
    uint64_t bytes;
};

/* atime where the file system keeps it (relatime: once a day), so what is looked at stays;
 * otherwise the time it was made. */
static void file_add(struct kept_files *files, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    if (files->n == files->cap) {
        size_t cap = files->cap > 0 ? files->cap * 2 : 256;
        struct kept_file *grown = realloc(files->items, cap * sizeof *grown);
        if (grown == NULL)
            return;
        files->items = grown;
        files->cap = cap;
    }
    struct kept_file *file = &files->items[files->n++];
    snprintf(file->path, sizeof file->path, "%s", path);
    file->used_s = (int64_t)(st.st_atime > st.st_mtime ? st.st_atime : st.st_mtime);
    file->n = (uint64_t)st.st_size;
    files->bytes += file->n;
}

/* depth: folders still to go down. */
static void files_list(const char *folder, int depth, struct kept_files *files)
{
    char path[PATH_LENGTH];
    DIR *dir = opendir(folder);
    for (struct dirent *e = dir != NULL ? readdir(dir) : NULL; e != NULL; e = readdir(dir)) {
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (depth > 0)
            files_list(path, depth - 1, files);
        else
            file_add(files, path);
    }
    if (dir != NULL)
        closedir(dir);
}

static int by_age(const void *a, const void *b)
{
    int64_t x = ((const struct kept_file *)a)->used_s, y = ((const struct kept_file *)b)->used_s;
    return (x > y) - (x < y);
}

/* The least recently used go until a tenth of the budget is free. To nine tenths, so that the
 * next pictures do not prune again. Two at once do no harm: the second's unlink finds nothing. */
static void prune(const struct web *web)
{
    char folder[PATH_LENGTH];
    struct kept_files files = {NULL, 0, 0, 0};
    uint64_t budget = (uint64_t)web->conf->thumbnails;
    if (!folder_make(web, folder))
        return;
    files_list(folder, 1, &files);
    if (files.bytes > budget) {
        qsort(files.items, files.n, sizeof *files.items, by_age);
        for (size_t i = 0; i < files.n && files.bytes > budget - budget / 10; i++) {
            unlink(files.items[i].path);
            files.bytes -= files.items[i].n;
        }
    }
    free(files.items);
}

static void keep(struct web *web, const char *path, const struct web_picture *picture)
{
    file_write(path, picture);
    if (atomic_fetch_add(&web->n_thumbnails, 1) % PRUNE_EVERY == PRUNE_EVERY - 1)
        prune(web);
}

/* ---- a thumbnail ---- */

/* Of an object that is open: from its file, or drawn and kept. frame 0: the one that stands
 * for all. By a job there is no exchange and no user: the object was opened by whoever calls. */
static hilum_rc thumbnail(struct web *web, hilum_object *object, int64_t instance, uint64_t frame,
                          struct web_picture *out)
{
    const struct web_view view = {.view = {.size = sizeof view.view,
                                           .mode = "flat",
                                           .media_type = JPEG,
                                           .width = SIDE,
                                           .height = SIDE,
                                           .quality = 80}};
    struct hilum_object_names names = {.size = sizeof names};
    char path[PATH_LENGTH];
    web->host->objects->names(object, &names);
    bool is_kept = path_make(web, names.sop_instance, instance, frame, "jpg", path);
    if (is_kept && web_picture_read(path, out))
        return HILUM_OK;
    hilum_rc rc = web_picture_draw_plain(web, object, &view, frame, out);
    if (rc == HILUM_OK && is_kept)
        keep(web, path, out);
    return rc;
}

/* ---- films, which are kept beside them ---- */

/* A descriptor goes on being readable when the file is pruned meanwhile. */
static int file_open(const char *path, uint64_t *length)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && (fstat(fd, &st) != 0 || st.st_size == 0)) {
        close(fd);
        return -1;
    }
    *length = fd >= 0 ? (uint64_t)st.st_size : 0;
    return fd;
}

/* Two requests at once may both make it; the second rename wins. fd is the caller's to close. */
hilum_rc web_cine_kept(const struct web_call *call, hilum_object *object, int64_t instance, int *fd,
                       uint64_t *length)
{
    struct web *web = call->web;
    const struct web_view view = {.view = {.size = sizeof view.view, .mode = "flat"}};
    struct web_picture made = {.bytes = NULL};
    struct hilum_object_names names = {.size = sizeof names};
    char path[PATH_LENGTH];
    web->host->objects->names(object, &names);
    if (!path_make(web, names.sop_instance, instance, 0, "mp4", path))
        return web->host->fail(web->self, HILUM_EIO, "no room for moving pictures");
    *fd = file_open(path, length);
    if (*fd >= 0)
        return HILUM_OK;
    hilum_rc rc = web_cine(call, object, &view, &made);
    if (rc == HILUM_OK) {
        keep(web, path, &made);
        *fd = file_open(path, length);
    }
    web_picture_fini(&made);
    if (rc == HILUM_OK && *fd < 0)
        rc = web->host->fail(web->self, HILUM_EFULL, "no room for moving pictures");
    return rc;
}

/* The i-th place to look at: the middle, then outwards. 0, 1, 2, 3... is middle, middle - 1,
 * middle + 1, middle - 2...; false where that lies outside. */
static bool place(size_t n, size_t i, size_t *out)
{
    size_t middle = n / 2, step = (i + 1) / 2;
    if (i % 2 == 0 ? middle + step >= n : step > middle)
        return false;
    *out = i % 2 == 0 ? middle + step : middle - step;
    return true;
}

typedef hilum_rc (*draw_one)(void *arg, hilum_object *object, int64_t instance);

/* Draws the first of n objects that can be drawn, from the middle on. Denied, no memory, busy, nobody there:
 * the next object would fare the same. Everything else is a matter of this object (a report, a
 * damaged frame), and the next is tried. */
static hilum_rc draw_any(struct web *web, const hilum_principal *who, const struct web_item *items,
                         size_t n, int64_t as_of, draw_one draw, void *arg)
{
    hilum_rc rc = HILUM_ENOTFOUND;
    for (size_t i = 0; i < 2 * n && i < TRIES; i++) {
        hilum_object *object = NULL;
        size_t at;
        if (!place(n, i, &at))
            continue;
        rc = web->host->objects->open(web->self, who, items[at].instance, as_of, &object);
        if (rc == HILUM_OK)
            rc = draw(arg, object, items[at].instance);
        web->host->objects->close(object);
        if (rc == HILUM_OK || rc == HILUM_EDENIED || rc == HILUM_ENOMEM || rc == HILUM_EAGAIN ||
            rc == HILUM_ECLOSED)
            return rc;
    }
    return rc;
}

/* ---- requests ---- */

struct asked {
    const struct web_call *call;
    struct web_view view;
    bool is_usual; /* no size of its own */
    uint64_t frame;
    struct web_picture picture;
};

static hilum_rc draw_asked(void *arg, hilum_object *object, int64_t instance)
{
    struct asked *asked = arg;
    asked->picture.n = 0;
    if (asked->is_usual)
        return thumbnail(asked->call->web, object, instance, asked->frame, &asked->picture);
    return web_picture_draw(asked->call, object, &asked->view, asked->frame, &asked->picture);
}

static hilum_rc read_frame(const struct web_call *call, uint64_t *out)
{
    const char *list = call->api->param(call->http, "frames");
    if (list != NULL && web_frame_numbers(list, out, 1) != 1)
        return call->web->host->fail(call->web->self, HILUM_EINVAL,
                                     "expected the number of one frame, from 1");
    return HILUM_OK;
}

/* The kept file and the drawn picture have one tag: they are the same picture. States are drawn
 * in other sizes only. */
static hilum_rc answer(const struct web_call *call, struct asked *asked,
                       const struct web_list *list)
{
    struct web_tag tag = {0};
    web_tag_request(&tag, call, "thumbnail");
    web_tag_list(&tag, list);
    if ((asked->is_usual || !web_list_has_state(list)) && web_tag_show(call, &tag))
        return web_unchanged(call);
    hilum_rc rc = draw_any(call->web, call->api->request(call->http)->who, list->items, list->n,
                           list->as_of, draw_asked, asked);
    if (rc == HILUM_OK) {
        web_audit_retrieve(call, "thumbnail", 1, true);
        return call->api->respond(call->http, 200, JPEG, asked->picture.bytes, asked->picture.n);
    }
    if (rc == HILUM_EUNSUP || rc == HILUM_ENOTFOUND)
        return web_refuse(call, 404, "nothing here can be shown as a thumbnail");
    return rc;
}

hilum_rc web_thumbnail(const struct web_call *call)
{
    static const struct web_offer offer = {JPEG, NULL, NULL};
    struct web_list *list = calloc(1, sizeof *list);
    struct asked asked = {.call = call};
    if (list == NULL)
        return HILUM_ENOMEM;
    if (web_accept(web_accept_of(call), &offer, 1) < 0) {
        free(list);
        return web_refuse(call, 406, "thumbnails are image/jpeg");
    }
    hilum_rc rc = web_view_read(call, &asked.view);
    asked.view.view.media_type = JPEG;
    asked.is_usual = *call->api->request(call->http)->query == '\0';
    if (rc == HILUM_OK && asked.view.view.width == 0)
        asked.view.view.width = asked.view.view.height = SIDE;
    if (rc == HILUM_OK)
        rc = read_frame(call, &asked.frame);
    if (rc == HILUM_OK)
        rc = web_list_make(call, list);
    if (rc == HILUM_OK)
        rc = answer(call, &asked, list);
    web_view_fini(&asked.view);
    web_picture_fini(&asked.picture);
    web_list_fini(list);
    free(list);
    return rc;
}

/* ---- the job ---- */

/* Objects of a study; `series` counts up where the next one begins. `syntax` of an item holds
 * the number of its series here: the catalogue tells objects in the order of series. */
struct gathered {
    struct web_item *items;
    size_t n, cap;
    char uid[65];
    unsigned series;
};

static hilum_rc draw_kept(void *arg, hilum_object *object, int64_t instance)
{
    struct web_picture picture = {.bytes = NULL};
    hilum_rc rc = thumbnail(arg, object, instance, 0, &picture);
    web_picture_fini(&picture);
    return rc;
}

/* A new series begins where its UID changes. */
static hilum_rc gather(void *arg, const struct hilum_object_ref *object)
{
    struct gathered *g = arg;
    if (strcmp(g->uid, object->series_uid) != 0) {
        snprintf(g->uid, sizeof g->uid, "%s", object->series_uid);
        g->series++;
    }
    if (g->n == g->cap) {
        size_t cap = g->cap > 0 ? g->cap * 2 : 256;
        struct web_item *grown = realloc(g->items, cap * sizeof *grown);
        if (grown == NULL)
            return HILUM_ENOMEM;
        g->items = grown;
        g->cap = cap;
    }
    g->items[g->n++] = (struct web_item){.instance = object->instance, .syntax = g->series};
    return HILUM_OK;
}

/* What cannot be shown has no thumbnail, and that is no failure. Between series the job can be
 * cancelled (progress < 0); what was made is kept. */
static unsigned make_all(struct web *web, const struct gathered *g, int64_t as_of,
                         struct hilum_call *call)
{
    unsigned made = 0;
    for (size_t first = 0, end = 0; first < g->n; first = end) {
        while (end < g->n && g->items[end].syntax == g->items[first].syntax)
            end++;
        made +=
            draw_any(web, NULL, g->items + first, end - first, as_of, draw_kept, web) == HILUM_OK;
        if (call->progress != NULL && call->progress(call->ctx, end, g->n, "objects") < 0)
            break;
    }
    return made;
}

/* As nobody in particular (NULL): the plugin's own rights, since a thumbnail is shown to who
 * may see the object, whoever that will be. */
static hilum_rc make_for(struct web *web, const char *study, struct hilum_call *call)
{
    const struct hilum_catalog_key key = {TAG_STUDY, 0, study};
    struct gathered g = {.n = 0};
    int64_t as_of = 0;
    char text[64];
    hilum_rc rc = web->host->catalog->objects(web->self, NULL, &key, 1, &as_of, gather, &g);
    unsigned made = rc >= 0 ? make_all(web, &g, as_of, call) : 0;
    int n = snprintf(text, sizeof text, "{\"series\":%u,\"thumbnails\":%u}", g.series, made);
    free(g.items);
    return rc < 0 ? rc : call->result.write(call->result.ctx, text, (uint64_t)n);
}

hilum_rc web_thumbnails_init(struct web *web)
{
    static const struct web_study_job job = {.name = "thumbnails",
                                             .hook = "web-dicomweb/thumbnails",
                                             .summary = "Makes the thumbnails of a study's series.",
                                             .run = make_for};
    return web->conf->thumbnails > 0 ? web_study_job(web, WEB_JOB_THUMBNAILS, &job) : HILUM_OK;
}
