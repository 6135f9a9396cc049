/* example-carrier: takes objects to a folder, such as a share of another site, and fetches them from it. A peer says
 * url = "file:///mnt/exchange"; via = "example-carrier"; It knows the SDK only. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hilum/carrier.h"
#include "hilum/host.h"

enum { PATH = 4096, FILE_NAME = 256 };

struct carrier {
    const struct hilum_host *host;
    hilum_self *self;
};

/* Folder of a peer. NULL: it is not there now, or no address of ours; the reason says so. */
static const char *folder_of(const struct carrier *c, const struct hilum_destination *peer)
{
    const char *path = peer->url && strncmp(peer->url, "file:///", 8) == 0 ? peer->url + 7 : NULL;
    if (path && strlen(path) < PATH - 2 * FILE_NAME && access(path, R_OK | W_OK | X_OK) == 0)
        return path;
    c->host->fail(c->self, HILUM_EAGAIN, path ? strerror(errno) : "url: expected file:///FOLDER");
    return NULL;
}

/* What becomes part of a path is nothing but a UID, whoever asked. */
static int is_uid(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 64 && strspn(text, "0123456789.") == n && text[0] != '.';
}

/* ---- to the peer ---- */

static hilum_rc copy_out(const struct carrier *c, hilum_object *object, FILE *to)
{
    const void *bytes = NULL;
    uint64_t n = 0;
    hilum_rc rc;
    while ((rc = c->host->objects->next(object, &bytes, &n)) == HILUM_OK && n > 0)
        if (fwrite(bytes, 1, (size_t)n, to) != n)
            return HILUM_EIO;
    return rc == HILUM_OK && (fflush(to) != 0 || fsync(fileno(to)) != 0) ? HILUM_EIO : rc;
}

/* Under its final name an object is whole and durable, or it is not there. */
static hilum_rc write_file(const struct carrier *c, hilum_object *object, const char *path)
{
    char part[PATH + 8];
    snprintf(part, sizeof part, "%s.part", path);
    FILE *to = fopen(part, "wbe");
    hilum_rc rc = to ? copy_out(c, object, to) : HILUM_EIO;
    if (to && fclose(to) != 0 && rc == HILUM_OK)
        rc = HILUM_EIO;
    if (rc == HILUM_OK && rename(part, path) == 0)
        return HILUM_OK;
    unlink(part);
    return c->host->fail(c->self, rc == HILUM_OK ? HILUM_EIO : rc, "it was not written whole");
}

static hilum_rc place(const struct carrier *c, hilum_object *object, const char *folder)
{
    struct hilum_object_names names = {.size = sizeof names};
    char path[PATH];
    c->host->objects->names(object, &names);
    if (!is_uid(names.study_uid) || !is_uid(names.series_uid) || !is_uid(names.sop_instance))
        return c->host->fail(c->self, HILUM_EINVAL, "a UID that is none");
    snprintf(path, sizeof path, "%s/%s", folder, names.study_uid);
    if (mkdir(path, 0750) != 0 && errno != EEXIST)
        return c->host->fail(c->self, HILUM_EIO, strerror(errno));
    snprintf(path, sizeof path, "%s/%s/%s+%s.dcm", folder, names.study_uid, names.series_uid,
             names.sop_instance);
    return write_file(c, object, path);
}

static void send_one(const struct carrier *c, const struct hilum_destination *to,
                     const char *folder, struct hilum_delivery *item)
{
    const struct hilum_object_api *objects = c->host->objects;
    hilum_object *object = NULL;
    item->rc = objects->open(c->self, to->who, item->instance, item->as_of, &object);
    item->is_permanent = item->rc == HILUM_ENOTFOUND; /* it will not come back */
    if (item->rc == HILUM_OK && item->transfer_syntax)
        (void)objects->convert(object, item->transfer_syntax); /* a wish; else as stored */
    if (item->rc == HILUM_OK)
        item->rc = place(c, object, folder);
    snprintf(item->detail, sizeof item->detail, "%s",
             item->rc == HILUM_OK ? "written" : c->host->reason(c->self));
    objects->close(object);
}

/* An error means that nothing was tried: the outbox waits and counts no attempt. */
static hilum_rc send(void *self, const struct hilum_destination *to, struct hilum_delivery *items,
                     uint32_t n)
{
    const struct carrier *c = self;
    const char *folder = folder_of(c, to);
    for (uint32_t i = 0; folder && i < n; i++)
        send_one(c, to, folder, &items[i]);
    return folder ? HILUM_OK : HILUM_EAGAIN;
}

/* ---- from the peer ---- */

static hilum_rc copy_in(const struct carrier *c, FILE *from, hilum_intake *intake)
{
    char bytes[16 * 1024];
    hilum_rc rc = HILUM_OK;
    for (size_t n; rc == HILUM_OK && (n = fread(bytes, 1, sizeof bytes, from)) > 0;)
        rc = c->host->objects->intake_write(intake, bytes, n);
    return rc == HILUM_OK && ferror(from) ? HILUM_EIO : rc;
}

/* Takes the way every object takes; what became of it is counted. */
static void take(const struct carrier *c, const struct hilum_destination *from, const char *study,
                 const char *path, struct hilum_fetched *out)
{
    const struct hilum_object_api *objects = c->host->objects;
    const struct hilum_intake_source source = {.size = sizeof source,
                                               .kind = "FOLDER",
                                               .user = from->name,
                                               .address = "",
                                               .study_uid = study};
    struct hilum_intake_result result = {.size = sizeof result, .status = 0xC000};
    hilum_intake *intake = NULL;
    FILE *file = fopen(path, "rbe");
    hilum_rc rc = file ? objects->receive(c->self, from->who, &source, &intake) : HILUM_EIO;
    if (rc == HILUM_OK)
        rc = copy_in(c, file, intake);
    if (rc == HILUM_OK)
        objects->intake_end(intake, &result); /* waits until it is durable, or refused */
    if (result.status == 0 || result.status >> 12 == 0xB)
        out->n_stored++;
    else
        out->n_failed++;
    objects->intake_close(intake);
    if (file)
        fclose(file);
}

static hilum_rc fetch(void *self, const struct hilum_destination *from, const char *study,
                      const char *series, const char *instance, struct hilum_fetched *out)
{
    const struct carrier *c = self;
    char path[PATH], wanted[FILE_NAME];
    if (!is_uid(study) || (series && !is_uid(series)) || (instance && !is_uid(instance)))
        return c->host->fail(c->self, HILUM_EINVAL, "expected UIDs");
    const char *folder = folder_of(c, from);
    if (!folder)
        return HILUM_EAGAIN;
    snprintf(wanted, sizeof wanted, "%s+%s.dcm", series ? series : "*", instance ? instance : "*");
    snprintf(path, sizeof path, "%s/%s", folder, study);
    DIR *listed = opendir(path);
    for (const struct dirent *e; listed && (e = readdir(listed)) != NULL;)
        if (fnmatch(wanted, e->d_name, 0) == 0) {
            snprintf(path, sizeof path, "%s/%s/%s", folder, study, e->d_name);
            take(c, from, study, path, out);
        }
    if (listed)
        closedir(listed);
    snprintf(out->detail, sizeof out->detail, "%llu read, %llu refused",
             (unsigned long long)out->n_stored, (unsigned long long)out->n_failed);
    hilum_rc rc = out->n_failed > 0 ? HILUM_EIO : HILUM_ENOTFOUND;
    return rc == HILUM_ENOTFOUND && out->n_stored > 0 ? HILUM_OK
                                                      : c->host->fail(c->self, rc, out->detail);
}

/* ---- life ---- */

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const struct hilum_carrier table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_CARRIER,
                .threads = HILUM_SERIAL, /* one writes a file at a time */
                .name = "example-carrier"},
        .send = send,
        .fetch = fetch,
    };
    (void)conf;
    struct carrier *c = calloc(1, sizeof *c);
    if (!c)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    *c = (struct carrier){.host = host, .self = self};
    hilum_rc rc = host->provide(self, &table.cap, c);
    if (rc == HILUM_OK)
        *state = c;
    else
        free(c);
    return rc;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const char *const provides[] = {"carrier:example-carrier", NULL};
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "example-carrier",
        .version = "1.0.0",
        .vendor = "Example",
        .licence = "MIT",
        .init = init,
        .fini = free,
        .provides = provides,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
