/* Loading and asking. Knows where files lie and what order they have; the rest is its neighbours'.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/config/config.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/base/error.h"
#include "core/config/schema.h"
#include "core/config/tree.h"

/* One loading: where to put what is read, and what is wrong with it. */
struct loader {
    struct hl_config *config;
    struct hl_faults *faults;
};

void hl_faults_add(struct hl_faults *faults, const char *file, unsigned line, const char *format,
                   ...)
{
    struct hl_buf text = {0};
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (line > 0)
        hl_buf_printf(&text, "%s:%u: %s", file, line, message);
    else
        hl_buf_printf(&text, "%s: %s", file, message);
    faults->count++; /* counted even if it cannot be kept: no memory is no excuse for "no faults" */
    struct hl_fault *fault = calloc(1, sizeof *fault);
    char *line_text = hl_buf_take(&text);
    if (!fault || !line_text) {
        free(fault);
        free(line_text);
        return;
    }
    fault->text = line_text;
    if (!faults->last)
        faults->last = &faults->first;
    *faults->last = fault;
    faults->last = &fault->next;
}

void hl_faults_fini(struct hl_faults *faults)
{
    for (struct hl_fault *fault = faults->first, *next; fault; fault = next) {
        next = fault->next;
        free(fault->text);
        free(fault);
    }
    *faults = (struct hl_faults){0};
}

/* false with errno; EFBIG and ENOTSUP are ours. Regular files only: a FIFO would block for ever. */
static bool read_file(const char *path, struct hl_buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    if (fd < 0)
        return false;
    bool ok = fstat(fd, &st) == 0;
    if (ok && !S_ISREG(st.st_mode))
        errno = S_ISDIR(st.st_mode) ? EISDIR : ENOTSUP, ok = false;
    while (ok && out->len <= HL_CONFIG_FILE_MAX && hl_buf_reserve(out, 4096)) {
        ssize_t n = read(fd, out->data + out->len, 4096);
        if (n < 0 && errno == EINTR)
            continue;
        ok = n >= 0;
        if (n <= 0)
            break;
        out->len += (size_t)n;
    }
    if (ok && (out->failed || out->len > HL_CONFIG_FILE_MAX))
        errno = out->failed ? ENOMEM : EFBIG, ok = false;
    int kept = errno;
    close(fd);
    errno = kept;
    if (ok)
        hl_buf_byte(out, 0); /* a C string, whatever it ends with */
    return ok;
}

/* A file with a syntax error adds its fault and nothing else: the others are still read, so that one run
 * tells all that is wrong. */
static hilum_rc merge_text(struct loader *l, const char *file, const char *text, size_t size)
{
    struct hl_source source = {hl_arena_strdup(&l->config->arena, file), text, size};
    if (!source.file)
        return hl_fail(HILUM_ENOMEM, "reading %s", file);
    struct hl_node *root = hl_source_read(l->config, &source, l->faults);
    return root ? hl_node_merge(l->config, l->config->root, root, "") : HILUM_OK;
}

static hilum_rc merge_file(struct loader *l, const char *path)
{
    struct hl_buf bytes = {0};
    hilum_rc rc = HILUM_OK;
    if (read_file(path, &bytes)) {
        bool has_mark = bytes.len > 3 && memcmp(bytes.data, "\xEF\xBB\xBF", 3) == 0;
        size_t skip =
            has_mark ? 3 : 0; /* Windows editors write one; libconfig takes it for syntax */
        rc = merge_text(l, path, bytes.data + skip, bytes.len - 1 - skip);
    } else {
        hl_faults_add(l->faults, path, 0,
                      "file: expected a readable file of at most 1MiB, found: %s", strerror(errno));
    }
    hl_buf_fini(&bytes);
    return rc;
}

/* Editors leave `.hilum.cfg.swp` and `hilum.cfg~` behind; neither is configuration. */
static int is_cfg(const struct dirent *entry)
{
    size_t n = strlen(entry->d_name);
    return n > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 4, ".cfg") == 0;
}

/* Not alphasort: its order depends on the locale, and with it which file wins. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static hilum_rc merge_directory(struct loader *l, const char *path)
{
    struct dirent **entries = NULL;
    int n = path ? scandir(path, &entries, is_cfg, by_bytes) : 0;
    hilum_rc rc = HILUM_OK;
    if (n < 0)
        hl_faults_add(l->faults, path, 0, "directory: expected a readable directory, found: %s",
                      strerror(errno));
    for (int i = 0; i < n; i++) {
        struct hl_buf file = {0};
        hl_buf_printf(&file, "%s/%s", path, entries[i]->d_name);
        if (rc == HILUM_OK)
            rc = merge_file(l, hl_buf_str(&file));
        hl_buf_fini(&file);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

/* Lists have their defaults as nodes, so that who asks for a list always finds one. */
static hilum_rc merge_defaults(struct loader *l)
{
    hilum_rc rc = HILUM_OK;
    for (size_t i = 0; rc == HILUM_OK && i < hl_options_count; i++) {
        const struct hl_option *option = &hl_options[i];
        if (!(option->flags & HL_OPTION_LIST) || !option->fallback || strchr(option->path, '['))
            continue;
        struct hl_buf text = {0};
        const char *dot = strchr(option->path, '.');
        if (dot)
            hl_buf_printf(&text, "%.*s = { %s = %s; };", (int)(dot - option->path), option->path,
                          dot + 1, option->fallback);
        else
            hl_buf_printf(&text, "%s = %s;", option->path, option->fallback);
        rc = merge_text(l, "(built-in)", hl_buf_str(&text), text.len);
        hl_buf_fini(&text);
    }
    return rc;
}

/* After checking, so that a disabled entry must still be right and can be enabled without surprise. */
static void drop_disabled(struct hl_config *config)
{
    static const char *const lists[] = {"peers", "plugins", "routes"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct hl_node *list = (struct hl_node *)hl_node_get(config->root, lists[i]);
        size_t kept = 0;
        for (size_t j = 0; list && j < list->n_children; j++)
            if (hl_node_bool(list->children[j], "enabled", true))
                list->children[kept++] = list->children[j];
        if (list)
            list->n_children = kept;
    }
}

/* The one place that says in which order files are read, and so which wins: what we ship, what a
 * package adds, what the site wrote, what the command line names. */
static hilum_rc read_all(struct loader *l, const struct hl_config_paths *paths)
{
    struct hl_config *config = l->config;
    config->root = hl_arena_alloc(&config->arena, sizeof *config->root);
    if (paths->site_dir)
        config->site_dir = hl_arena_strdup(&config->arena, paths->site_dir);
    if (!config->root || (paths->site_dir && !config->site_dir))
        return hl_fail(HILUM_ENOMEM, "loading the configuration");
    config->root->type = HL_NODE_GROUP;
    config->root->file = "(built-in)";
    hilum_rc rc = merge_defaults(l);
    if (rc == HILUM_OK && paths->main)
        rc = merge_file(l, paths->main);
    if (rc == HILUM_OK)
        rc = merge_directory(l, paths->conf_dir);
    if (rc == HILUM_OK)
        rc = merge_directory(l, paths->site_dir);
    return rc == HILUM_OK && paths->extra ? merge_file(l, paths->extra) : rc;
}

/* A configuration with faults is handed out as well: `--check` goes on to rules and plugins with
 * it, a server does not start with it. */
hilum_rc hl_config_load(const struct hl_config_paths *paths, struct hl_faults *faults,
                        struct hl_config **out)
{
    *out = NULL;
    size_t before = faults->count;
    struct hl_config *config = calloc(1, sizeof *config);
    if (!config)
        return hl_fail(HILUM_ENOMEM, "loading the configuration");
    /* An arena and no locks: nothing changes after loading, and a reload makes a new configuration. */
    atomic_init(&config->refs, 1);
    struct loader loader = {config, faults};
    hilum_rc rc = read_all(&loader, paths);
    if (rc != HILUM_OK) {
        hl_config_unref(config);
        return rc;
    }
    hl_config_check(config, faults);
    drop_disabled(config);
    *out = config;
    if (faults->count > before)
        return hl_fail(HILUM_EINVAL, "%zu fault%s in the configuration", faults->count - before,
                       faults->count - before == 1 ? "" : "s");
    return HILUM_OK;
}

struct hl_config *hl_config_ref(struct hl_config *config)
{
    atomic_fetch_add(&config->refs, 1);
    return config;
}

/* The last one frees everything at once; texts and nodes that anybody borrowed are gone with it. */
void hl_config_unref(struct hl_config *config)
{
    if (!config || atomic_fetch_sub(&config->refs, 1) != 1)
        return;
    hl_arena_fini(&config->arena);
    free(config);
}

const char *hl_config_site_dir(const struct hl_config *config)
{
    return config->site_dir;
}
