/* Files of rules and tables, read whole and in order of name. Knows nothing of what is in them.
 *
 * Called by the thread that loads. The order of names is the order of loading, and so of rules
 * without before and after: it must not depend on the file system.
 * SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/script/internal.h"

enum { SOURCE_MAX = 1 << 20, FILES_MAX = 4096 };

/* Not for hidden files: editors keep theirs as ".ct.lua.swp" and ".#ct.lua". */
static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && name[0] != '.' && strcmp(name + n - m, suffix) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A site without rules or tables has no such folder: that is no fault. */
void hl_script_files(const char *dir, const char *suffix, struct hl_faults *faults,
                     void (*each)(void *arg, const char *path), void *arg)
{
    DIR *stream = opendir(dir);
    char **names = NULL;
    size_t n = 0, cap = 0;
    if (!stream) {
        if (errno != ENOENT) {
            hl_faults_add(faults, dir, 0, "cannot be read: %s", strerror(errno));
        }
        return;
    }
    for (struct dirent *entry; n < FILES_MAX && (entry = readdir(stream));) {
        if (has_suffix(entry->d_name, suffix) && hl_grow(&names, &cap, n, sizeof *names) &&
            asprintf(&names[n], "%s/%s", dir, entry->d_name) >= 0) {
            n++;
        }
    }
    closedir(stream);
    if (n > 1) {
        qsort(names, n, sizeof *names, compare_names);
    }
    for (size_t i = 0; i < n; i++) {
        each(arg, names[i]);
        free(names[i]);
    }
    free(names);
}

/* Regular files only: a pipe would keep a check, or a reload, waiting for whoever writes to it. */
static FILE *regular_open(const char *path, struct hl_faults *faults)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &status) != 0) {
        hl_faults_add(faults, path, 0, "cannot be read: %s", strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        hl_faults_add(faults, path, 0, "expected a regular file");
    } else {
        FILE *file = fdopen(fd, "rb");
        if (file) {
            return file;
        }
        hl_faults_add(faults, path, 0, "cannot be read: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return NULL;
}

/* A file that grows while it is read stops soon after `max` bytes. */
const char *hl_script_file_read(struct hl_script_set *set, const char *path, size_t max,
                                struct hl_faults *faults, size_t *size)
{
    FILE *file = regular_open(path, faults);
    if (!file) {
        return NULL;
    }
    struct hl_buf text = {0};
    char part[8192];
    for (size_t n; text.len <= max && (n = fread(part, 1, sizeof part, file)) > 0;) {
        hl_buf_add(&text, part, n);
    }
    bool is_good = !ferror(file) && !text.failed;
    fclose(file);
    /* Editors write a byte order mark in front of UTF-8; it is no part of the text. */
    const char *out = NULL, *start = hl_buf_str(&text);
    size_t mark = text.len >= 3 && memcmp(start, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    if (!is_good) {
        hl_faults_add(faults, path, 0, "cannot be read to its end");
    } else if (text.len > max) {
        hl_faults_add(faults, path, 0, "expected at most %zu bytes", max);
    } else {
        *size = text.len - mark;
        out = hl_arena_strndup(&set->arena, start + mark, *size);
    }
    hl_buf_fini(&text);
    return out;
}

struct reading {
    struct hl_script_set *set;
    struct hl_faults *faults;
    bool is_core;
};

/* Copied into the set, so that a state is rebuilt later from what was checked, whatever the file
 * holds by then. */
static void source_read(void *arg, const char *path)
{
    struct reading *reading = arg;
    struct hl_script_set *set = reading->set;
    struct hl_script_source source = {.is_core = reading->is_core};
    source.text = hl_script_file_read(set, path, SOURCE_MAX, reading->faults, &source.size);
    if (!source.text ||
        !hl_grow(&set->sources, &set->cap_sources, set->n_sources, sizeof *set->sources)) {
        return;
    }
    char
        display[56]; /* Lua cuts longer names from the left, and then the line could not be found */
    const char *slash = strrchr(path, '/');
    snprintf(display, sizeof display, "%s/%s", reading->is_core ? "core" : "rules",
             slash ? slash + 1 : path);
    source.path = hl_arena_strdup(&set->arena, path);
    source.display = hl_arena_strdup(&set->arena, display);
    set->sources[set->n_sources++] = source;
    hl_script_lint(set, &set->sources[set->n_sources - 1], reading->faults);
}

void hl_script_sources_read(struct hl_script_set *set, const char *dir, bool is_core,
                            struct hl_faults *faults)
{
    struct reading reading = {set, faults, is_core};
    hl_script_files(dir, ".lua", faults, source_read, &reading);
}
