/* From an entry of the configuration to a checked plugin: file, ELF, handshake, options. No code
 * of the plugin but its entry runs. It knows nothing of what happens afterwards.
 *
 * Main thread at start; later the thread that holds hl_plugins.manage.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/host.h"
#include "core/plugin/metrics.h"
#include "core/base/clock.h"
#include "core/plugin/remote/remote.h"

/* 16 threads of the pool are for what plugins wait for, not for computing. 64 more places:
 * plugins loaded by hand between two restarts. */
enum { MAX_WORKERS = 16, MAX_LOADED = 64 };

void hl_plugin_skip(struct hilum_self *plugin, struct hl_faults *faults, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(plugin->reason, sizeof plugin->reason, format, args);
    va_end(args);
    /* The reason is complete before the state says that there is one. */
    atomic_store(&plugin->state, PLUGIN_SKIPPED);
    if (faults)
        hl_faults_add(faults, plugin->entry->file, plugin->entry->line, "plugins.%s: %s",
                      plugin->id, plugin->reason);
}

const char *hl_plugin_id(const hilum_self *self)
{
    return self->id;
}

void *hl_plugins_context(const hilum_self *self)
{
    return self->host->services.arg;
}

/* ---- the file ---- */

/* A mistyped name is the common case: tell which ones there are. At most 300 bytes of names: a
 * reason is a line. */
static hilum_rc not_there(const struct hilum_self *plugin, const char *path)
{
    struct hl_buf names = {0};
    const char *folder = plugin->host->plugin_dir;
    DIR *dir = opendir(folder);
    for (struct dirent *entry; dir && (entry = readdir(dir)) && names.len < 300;) {
        size_t n = strlen(entry->d_name);
        if (n > 3 && strcmp(entry->d_name + n - 3, ".so") == 0)
            hl_buf_printf(&names, "%s%.*s", names.len ? ", " : "", (int)n - 3, entry->d_name);
    }
    if (dir)
        closedir(dir);
    hilum_rc rc = hl_fail(HILUM_ENOTFOUND, "%s: no such file; in %s there are: %s", path, folder,
                          names.len ? hl_buf_str(&names) : "none");
    hl_buf_fini(&names);
    return rc;
}

/* What it is: one plugin may be configured several times, under a name each. */
static const char *kind_of(const struct hilum_self *plugin)
{
    return hl_node_text(plugin->entry, "plugin", plugin->id);
}

/* plugin->file is malloc'ed and freed with the plugin. */
static hilum_rc find_file(struct hilum_self *plugin)
{
    char path[PATH_MAX];
    const char *file = hl_node_text(plugin->entry, "file", NULL), *what = kind_of(plugin);
    if (plugin->wanted_file)
        file = plugin->wanted_file;
    /* The name becomes a file name: it must not lead out of our folder. */
    if (strchr(what, '/'))
        return hl_fail(HILUM_EINVAL, "expected a name without '/'");
    if (file)
        snprintf(path, sizeof path, "%s", file);
    else
        snprintf(path, sizeof path, "%s/%s.so", plugin->host->plugin_dir, what);
    /* Absolute and without links: what is checked is what is opened, and libltdl searches nowhere. */
    plugin->file = realpath(path, NULL);
    if (!plugin->file && errno == ENOENT)
        return not_there(plugin, path);
    if (!plugin->file)
        return hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
    return HILUM_OK;
}

/* Our own folder is filled by the package; whatever lies elsewhere an administrator vouches for. */
bool hl_plugin_is_own(const struct hilum_self *plugin)
{
    char folder[PATH_MAX];
    if (!realpath(plugin->host->plugin_dir, folder))
        return false;
    size_t n = strlen(folder);
    return strncmp(plugin->file, folder, n) == 0 && plugin->file[n] == '/' &&
           !strchr(plugin->file + n + 1, '/');
}

/* ---- the handshake ---- */

/* In the order in which fields can be trusted: without the magic nothing else means anything, and another
 * major may have another layout behind abi_minor. */
static hilum_rc check_version(const struct hilum_plugin *p)
{
    if (p->magic != HILUM_MAGIC)
        return hl_fail(HILUM_EINVAL, "magic: expected 0x%08x, found 0x%08x: no Hilum plugin",
                       HILUM_MAGIC, p->magic);
    if (p->abi_major != HILUM_ABI_MAJOR)
        return hl_fail(HILUM_EINVAL,
                       "built for ABI %u.%u, this host is %u.%u: another major cannot be loaded",
                       p->abi_major, p->abi_minor, HILUM_ABI_MAJOR, HILUM_ABI_MINOR);
    if (p->abi_minor > HILUM_ABI_MINOR)
        return hl_fail(HILUM_EINVAL, "built for ABI %u.%u, this host is %u.%u: update Hilum",
                       p->abi_major, p->abi_minor, HILUM_ABI_MAJOR, HILUM_ABI_MINOR);
    /* Every descriptor since 1.0 ends with `swap` and what pads it. */
    if (!HILUM_HAS(struct hilum_plugin, p->size, reserved))
        return hl_fail(HILUM_EINVAL, "descriptor: expected at least %zu bytes, found size = %u",
                       sizeof(struct hilum_plugin), p->size);
    return HILUM_OK;
}

static hilum_rc check_descriptor(const struct hilum_self *plugin, const struct hilum_plugin *p)
{
    if (!p)
        return hl_fail(HILUM_EUNSUP, "says that it cannot work with ABI %u.%u", HILUM_ABI_MAJOR,
                       HILUM_ABI_MINOR);
    hilum_rc rc = check_version(p);
    if (rc != HILUM_OK)
        return rc;
    if (p->abi_tag)
        return hl_fail(HILUM_EINVAL, "built for the fork \"%s\", this host is none", p->abi_tag);
    if (!p->id || strcmp(p->id, kind_of(plugin)) != 0)
        return hl_fail(HILUM_EINVAL, "calls itself \"%s\"; write that as its name, or as plugin",
                       p->id ? p->id : "");
    if (!p->init)
        return hl_fail(HILUM_EINVAL, "descriptor: init is missing");
    return HILUM_OK;
}

/* ---- one entry ---- */

/* Of an isolated plugin not even the entry runs here: a worker opens the file and tells. */
static hilum_rc read_descriptor(struct hilum_self *plugin, const struct hilum_plugin **out)
{
    hl_plugin_entry entry = NULL;
    if (strcmp(hl_node_text(plugin->entry, "isolation", "none"), "none") != 0)
        return hl_remote_open(plugin, out);
    hilum_rc rc = hl_loader_open(plugin->file, &entry);
    if (rc == HILUM_OK)
        *out = entry(HILUM_ABI_MAJOR, HILUM_ABI_MINOR);
    return rc;
}

/* ---- a version beside another ---- */

/* Read and execute for ourselves alone: the check of the file's mode comes afterwards. */
static hilum_rc copy_bytes(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    size_t n = 0;
    while (in && out && (n = fread(bytes, 1, sizeof bytes, in)) > 0 &&
           fwrite(bytes, 1, n, out) == n) {
    }
    bool is_whole = in && out && !ferror(in) && !ferror(out) && n == 0;
    if (out && fchmod(fileno(out), 0500) != 0)
        is_whole = false;
    if (out && fclose(out) != 0)
        is_whole = false;
    if (in)
        fclose(in);
    return is_whole ? HILUM_OK
                    : hl_fail(HILUM_EIO, "copy of %s to %s: %s", from, to, strerror(errno));
}

/* The loader takes one path for one object, so a version has a path of its own: that of its
 * contents. What is there already is believed no more than what was copied: both must be what
 * was checked. The file's own contents are its name, so an update that fails half-way never
 * puts new bytes under an old path, and a file that is replaced while the server runs does not
 * change what is mapped. */
static hilum_rc make_private(struct hilum_self *plugin)
{
    char folder[PATH_MAX], path[PATH_MAX], fresh[PATH_MAX], digest[PLUGIN_DIGEST] = "";
    snprintf(folder, sizeof folder, "%.3000s/plugins", plugin->host->data_dir);
    snprintf(path, sizeof path, "%.3500s/%s.so", folder, plugin->digest);
    snprintf(fresh, sizeof fresh, "%.3500s/new.so", folder);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return hl_fail(hl_rc_from_errno(errno), "%s: %s", folder, strerror(errno));
    if (access(path, R_OK) != 0) {
        unlink(fresh);
        hilum_rc rc = copy_bytes(plugin->file, fresh);
        if (rc == HILUM_OK && rename(fresh, path) != 0)
            rc = hl_fail(hl_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        if (rc != HILUM_OK)
            return rc;
    }
    hilum_rc rc = hl_trust_digest(path, digest);
    if (rc == HILUM_OK && strcmp(digest, plugin->digest) != 0)
        return hl_fail(HILUM_ECONFLICT, "%s: its contents are another file's; remove it", path);
    char *copy = rc == HILUM_OK ? strdup(path) : NULL;
    if (!copy)
        return rc == HILUM_OK ? hl_fail(HILUM_ENOMEM, "no memory") : rc;
    free(plugin->file);
    plugin->file = copy;
    return hl_loader_check_file(path);
}

/* Digest (trust) before ELF: a file nobody vouches for is not parsed. */
static hilum_rc open_file(struct hilum_self *plugin)
{
    const struct hilum_plugin *p = NULL;
    /* From cheap and harmless to running foreign code: constructors run when it is opened. */
    hilum_rc rc = find_file(plugin);
    if (rc == HILUM_OK)
        rc = hl_loader_check_file(plugin->file);
    if (rc == HILUM_OK)
        rc = hl_trust_check(plugin);
    if (rc == HILUM_OK)
        rc = hl_elf_check(plugin->file);
    if (rc != HILUM_OK)
        return rc;
    const char *trust = hl_node_text(plugin->entry, "trust", "");
    plugin->is_foreign = !hl_plugin_is_own(plugin) && strcmp(trust, "in-process") != 0;
    plugin->may_preview =
        hl_plugin_is_own(plugin) || hl_node_bool(plugin->entry, "allow_preview", false);
    if (plugin->is_version)
        rc = make_private(plugin);
    if (rc == HILUM_OK)
        rc = read_descriptor(plugin, &p);
    if (rc == HILUM_OK)
        rc = check_descriptor(plugin, p);
    if (rc == HILUM_OK)
        plugin->plugin = p;
    return rc;
}

bool hl_plugin_open_file(struct hilum_self *plugin, struct hl_faults *faults)
{
    if (open_file(plugin) != HILUM_OK) {
        hl_plugin_skip(plugin, faults, "%s", hl_error());
        return false;
    }
    /* The faults are told one by one; a fault for the plugin on top would only repeat them. */
    if (!hl_plugin_parse_options(plugin, faults)) {
        hl_plugin_skip(plugin, NULL, "its options have faults; see hilumd --check");
        return false;
    }
    atomic_store(&plugin->state, PLUGIN_OPENED);
    return true;
}

static void open_plugin(struct hilum_self *plugin, struct hl_faults *faults)
{
    /* Lists merge by name, so two entries come from one file. The first one counts. */
    if (hl_plugin_find(plugin->host, plugin->id) != plugin)
        hl_plugin_skip(plugin, faults, "expected one entry of this name, found another before");
    else
        hl_plugin_open_file(plugin, faults);
}

/* ---- the host ---- */

/* Skipped until something else is known: a plugin in the middle of being opened is nobody's to
 * use. */
static struct hilum_self *plugin_new(struct hl_plugins *host, const struct hl_node *entry)
{
    struct hilum_self *plugin = calloc(1, sizeof *plugin);
    if (!plugin)
        return NULL;
    plugin->host = host;
    plugin->entry = entry;
    plugin->id = hl_node_text(entry, "name", "");
    plugin->required = hl_node_bool(entry, "required", false);
    plugin->last_cap = &plugin->caps;
    plugin->last_decl = &plugin->decls;
    snprintf(plugin->owner, sizeof plugin->owner, "plugin:%s", plugin->id);
    atomic_init(&plugin->state, PLUGIN_SKIPPED);
    atomic_init(&plugin->may_run, false);
    return plugin;
}

/* Kept in host->versions from the start, whatever becomes of it: gates may come to know it. */
static struct hilum_self *version_new(struct hl_plugins *host, const struct hl_node *entry,
                                      struct hl_config *config)
{
    struct hilum_self *plugin = plugin_new(host, entry);
    if (!plugin)
        return NULL;
    plugin->is_version = true;
    plugin->config = hl_config_ref(config);
    plugin->next_version = host->versions;
    host->versions = plugin;
    return plugin;
}

struct hilum_self *hl_plugin_version(struct hilum_self *old, const char *file)
{
    struct hilum_self *plugin =
        version_new(old->host, old->entry, old->config ? old->config : old->host->config);
    if (!plugin)
        return NULL;
    plugin->replaces = old;
    plugin->wanted_file = file ? hl_arena_strdup(&plugin->arena, file) : NULL;
    return plugin;
}

struct hilum_self *hl_plugin_from(struct hl_plugins *host, struct hl_config *config, const char *id)
{
    const struct hl_node *list = hl_config_node(config, "plugins");
    for (size_t i = 0; list && i < list->n_children; i++)
        if (strcmp(hl_node_text(list->children[i], "name", ""), id) == 0)
            return version_new(host, list->children[i], config);
    return NULL;
}

/* MAX_LOADED places more than there are entries: lists of pointers that others read must not
 * move. */
static bool list_entries(struct hl_plugins *host)
{
    const struct hl_node *list = hl_config_node(host->config, "plugins");
    size_t n = list ? list->n_children : 0;
    host->max = n + MAX_LOADED;
    host->plugins = hl_arena_alloc(&host->arena, host->max * sizeof(struct hilum_self *));
    host->order = hl_arena_alloc(&host->arena, host->max * sizeof(struct hilum_self *));
    host->originals = hl_arena_alloc(&host->arena, host->max * sizeof(struct hilum_self *));
    if (!host->plugins || !host->order || !host->originals)
        return false;
    for (size_t i = 0; i < n; i++) {
        host->plugins[i] = plugin_new(host, list->children[i]);
        if (!host->plugins[i])
            return false;
        host->originals[host->n_originals++] = host->plugins[host->n++];
    }
    return true;
}

/* NULL: no memory, or no thread. What was made by then is freed. */
static struct hl_plugins *host_new(struct hl_config *config, const char *plugin_dir,
                                   const char *data_dir, struct hl_bus *bus)
{
    char absolute[PATH_MAX];
    struct hl_plugins *host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    pthread_mutex_init(&host->lock, NULL);
    pthread_mutex_init(&host->manage, NULL);
    pthread_rwlock_init(&host->registry, NULL);
    hl_mono_cond_init(&host->idle);
    host->config = hl_config_ref(config);
    host->bus = bus;
    host->plugin_dir = hl_arena_strdup(&host->arena, plugin_dir);
    /* Paths given to plugins are absolute; with --check the directory need not exist yet. */
    host->data_dir =
        hl_arena_strdup(&host->arena, realpath(data_dir, absolute) ? absolute : data_dir);
    hl_host_table_init(host);
    if (!host->plugin_dir || !host->data_dir || !list_entries(host) ||
        hl_pool_new("plugin", MAX_WORKERS, &host->pool) != HILUM_OK ||
        hl_timers_new(hl_host_due, host, &host->timers) != HILUM_OK ||
        hl_host_loop_new(host) != HILUM_OK || !(host->metrics = hl_metrics_new())) {
        hl_plugins_close(host);
        return NULL;
    }
    return host;
}

hilum_rc hl_plugins_check_required(const struct hl_plugins *host)
{
    for (size_t i = 0; i < host->n; i++) {
        const struct hilum_self *plugin = host->plugins[i];
        if (plugin->required && plugin->state == PLUGIN_SKIPPED)
            return hl_fail(HILUM_EINVAL, "required plugin %s: %s", plugin->id, plugin->reason);
    }
    return HILUM_OK;
}

/* All entries are opened, also after a fault: an administrator wants to hear of all of them. */
hilum_rc hl_plugins_open(struct hl_config *config, const char *plugin_dir, const char *data_dir,
                         struct hl_bus *bus, struct hl_faults *faults, struct hl_plugins **out)
{
    *out = host_new(config, plugin_dir, data_dir, bus);
    if (!*out)
        return hl_fail(HILUM_ENOMEM, "plugins: no memory");
    for (size_t i = 0; i < (*out)->n; i++)
        open_plugin((*out)->plugins[i], faults);
    hl_needs_check(*out, faults);
    return hl_plugins_check_required(*out);
}
