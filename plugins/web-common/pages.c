/* Where bundles lie, and texts put into pages.
 *
 * Linked into each plugin that serves pages, so that dladdr finds that plugin's own file.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "pages.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* An index.html: a bundle's scripts are files beside it. */
enum { TEMPLATE_MAX = 256 * 1024 };

/* The plugin's own file tells: an installed tree works wherever it lies. */
static bool library_dir(char out[PAGES_PATH_MAX])
{
    Dl_info info;
    if (dladdr((const void *)(size_t)&pages_root, &info) == 0 || info.dli_fname == NULL)
        return false;
    const char *slash = strrchr(info.dli_fname, '/');
    size_t n = slash != NULL ? (size_t)(slash - info.dli_fname) : 0;
    if (n == 0 || n >= PAGES_PATH_MAX)
        return false;
    memcpy(out, info.dli_fname, n);
    out[n] = '\0';
    return true;
}

bool pages_root(const char *configured, const char *id, char out[PAGES_PATH_MAX])
{
    char dir[PAGES_PATH_MAX];
    if (configured != NULL && configured[0] != '\0')
        return snprintf(out, PAGES_PATH_MAX, "%s", configured) < PAGES_PATH_MAX;
    return library_dir(dir) &&
           snprintf(out, PAGES_PATH_MAX, "%s/../web/%s", dir, id) < PAGES_PATH_MAX;
}

static bool join(const char *root, const char *name, char out[PAGES_PATH_MAX])
{
    return snprintf(out, PAGES_PATH_MAX, "%s/%s", root, name) < PAGES_PATH_MAX;
}

void pages_look(const struct hilum_host *host, hilum_self *self, const char *root,
                const char *advice)
{
    char path[PAGES_PATH_MAX], line[PAGES_PATH_MAX + 100];
    struct stat st;
    if (join(root, "index.html", path) && stat(path, &st) == 0 && S_ISREG(st.st_mode))
        return;
    snprintf(line, sizeof line, "no pages in %s: %s", root, advice);
    host->log(self, HILUM_LOG_WARN, line);
}

static char *read_all(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? malloc(TEMPLATE_MAX + 1) : NULL;
    size_t n = text != NULL ? fread(text, 1, TEMPLATE_MAX + 1, file) : 0;
    if (file != NULL)
        fclose(file);
    if (n > TEMPLATE_MAX) {
        free(text);
        return NULL;
    }
    if (text != NULL)
        text[n] = '\0';
    return text;
}

static size_t count(const char *text, const char *mark)
{
    size_t n = 0;
    for (const char *p = strstr(text, mark); p != NULL; p = strstr(p + strlen(mark), mark))
        n++;
    return n;
}

/* Counted first, then written: one allocation of the right size. */
char *pages_template(const char *root, const char *name, const char *mark, const char *with,
                     size_t *n)
{
    char path[PAGES_PATH_MAX];
    char *text = join(root, name, path) ? read_all(path) : NULL;
    if (text == NULL)
        return NULL;
    char *out = malloc(strlen(text) + count(text, mark) * strlen(with) + 1), *at = out;
    const char *from = text;
    for (const char *p; out != NULL && (p = strstr(from, mark)) != NULL; from = p + strlen(mark)) {
        at = mempcpy(at, from, (size_t)(p - from));
        at = mempcpy(at, with, strlen(with));
    }
    if (out != NULL) {
        at = stpcpy(at, from);
        *n = (size_t)(at - out);
    }
    free(text);
    return out;
}

/* '<', '>', '&', "'" and '/' are escaped though JSON needs none of it: the text may stand in a
 * <script> element, which ends at "</script" wherever that is. */
bool pages_quote(const char *text, char *out, size_t size)
{
    size_t at = 0;
    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool is_plain = *p >= 0x20 && strchr("\"\\<>&'/", *p) == NULL;
        int n = snprintf(out + at, size - at, is_plain ? "%c" : "\\u%04x", *p);
        if (n < 0 || (size_t)n >= size - at)
            return false;
        at += (size_t)n;
    }
    if (at < size)
        out[at] = '\0';
    return at < size;
}
