/* Files of a bundle: the pages of a plugin and what they load, below one directory. Nothing outside it is reached, by
 * no path and no link.
 *
 * Who calls it: routes of pages (respond_file), with a path of the client's. Three things keep
 * it inside: the router gives no segment with "..", every step is opened below the one before
 * without following links, and names that begin with a dot are none.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* HASH_MIN: as short as bundlers make them; a shorter one may be a word. */
enum { NAME_MAX_BYTES = 255, HASH_MIN = 8 };

/* ---- names ---- */

/* By the ending, never by looking at the bytes: with nosniff a browser believes what is said
 * here. Without charset a script would be read in the page's. */
const char *http_media_type(const char *path)
{
    static const struct {
        const char *ending, *type;
    } types[] = {
        {"html", "text/html; charset=utf-8"},
        {"js", "text/javascript; charset=utf-8"},
        {"mjs", "text/javascript; charset=utf-8"},
        {"css", "text/css; charset=utf-8"},
        {"json", "application/json"},
        {"webmanifest", "application/manifest+json"},
        {"svg", "image/svg+xml"},
        {"png", "image/png"},
        {"jpg", "image/jpeg"},
        {"ico", "image/x-icon"},
        {"woff2", "font/woff2"},
        {"wasm", "application/wasm"},
        {"txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot + 1, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* Hexadecimal with a digit in it, or the eight letters that bundlers take of base 32: no word
 * looks like that. Such files never change under their name, so a browser need not ask for
 * them again for a year (RFC 8246). */
static bool is_hash(const char *text, size_t n)
{
    bool is_hex = true, has_digit = false, is_base32 = n == HASH_MIN;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        is_hex = is_hex && isxdigit(c);
        has_digit = has_digit || isdigit(c);
        is_base32 = is_base32 && (isupper(c) || (c >= '2' && c <= '7'));
    }
    return n >= HASH_MIN && ((is_hex && has_digit) || is_base32);
}

/* The part before the ending, from its last '-' or '.' on: app-7KQX2MNB.js. A file whose name
 * changes with its content may be kept for good. */
bool http_is_immutable(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const char *end = strrchr(name, '.');
    if (end == NULL)
        return false;
    const char *from = end;
    while (from > name && from[-1] != '.' && from[-1] != '-')
        from--;
    return is_hash(from, (size_t)(end - from));
}

/* ---- opening ---- */

/* One step down. Links are not followed: a bundle is what was installed, not what it points
 * to. O_PATH needs no right to read the folder. O_NONBLOCK: a pipe in its place must not hold
 * the worker. */
static int step(int at, const char *name, size_t n, bool is_last)
{
    char segment[NAME_MAX_BYTES + 1];
    if (n == 0 || n > NAME_MAX_BYTES || name[0] == '.')
        return -1;
    memcpy(segment, name, n);
    segment[n] = '\0';
    return openat(at, segment,
                  O_CLOEXEC | O_NOFOLLOW |
                      (is_last ? O_RDONLY | O_NONBLOCK : O_PATH | O_DIRECTORY));
}

/* -1: there is no such file. */
static int open_below(const char *root, const char *path)
{
    int at = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    while (at >= 0) {
        size_t n = strcspn(path, "/");
        bool is_last = path[n] == '\0';
        int next = step(at, path, n, is_last);
        close(at);
        at = next;
        if (is_last)
            return at;
        path += n + 1;
    }
    return -1;
}

/* Regular files only: opening a FIFO or a device could block or do something. */
static int open_file(const char *root, const char *path, struct stat *st)
{
    int fd = open_below(root, path);
    if (fd >= 0 && (fstat(fd, st) != 0 || !S_ISREG(st->st_mode))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

/* The small form beside it (app.js.gz), where there is one and the client takes it. */
static int open_small(hilum_http *http, const char *root, const char *path, struct stat *st)
{
    char name[1100];
    const char *accepted = http_shown(http, "Accept-Encoding");
    if (accepted == NULL || http_accepts_coding(accepted, "gzip") == 0 ||
        snprintf(name, sizeof name, "%s.gz", path) >= (int)sizeof name)
        return -1;
    return open_file(root, name, st);
}

/* ---- the answer ---- */

/* The ETag is of time and length: an update of the package changes at least one. Two forms of
 * one file have two tags (RFC 9110 8.8.3). */
static hilum_rc describe(hilum_http *http, const char *path, const struct stat *st, bool is_small)
{
    char etag[64];
    snprintf(etag, sizeof etag, "\"%llx-%llx%s\"",
             (unsigned long long)st->st_mtim.tv_sec * 1000000000ULL +
                 (unsigned long long)st->st_mtim.tv_nsec,
             (unsigned long long)st->st_size, is_small ? "-gz" : "");
    hilum_rc rc = http_header_add(http, "ETag", etag);
    if (rc == HILUM_OK)
        rc = http_header_add(http, "Vary", "Accept-Encoding");
    if (rc == HILUM_OK && is_small)
        rc = http_header_add(http, "Content-Encoding", "gzip");
    if (rc == HILUM_OK && http_is_immutable(path))
        rc = http_header_add(http, "Cache-Control", "public, max-age=31536000, immutable");
    return rc;
}

/* Opened first, described by the descriptor's own stat: a bundle that is replaced meanwhile
 * cannot give the head of one file with the body of another. */
hilum_rc http_respond_file(hilum_http *http, const char *root, const char *path)
{
    const struct http_server *server = http->server;
    struct stat st;
    int fd = open_small(http, root, path, &st);
    bool is_small = fd >= 0;
    if (!is_small)
        fd = open_file(root, path, &st);
    if (fd < 0)
        return server->host->fail(server->self, HILUM_ENOTFOUND, "nothing is served here");
    hilum_rc rc = describe(http, path, &st, is_small);
    if (rc != HILUM_OK) {
        close(fd);
        return rc;
    }
    return http_api.respond_fd(http, 200, http_media_type(path), fd, 0, (uint64_t)st.st_size);
}
