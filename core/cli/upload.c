/* Files of this machine to a server elsewhere: each goes through the server's door for objects, STOW-RS, and is answered
 * for itself. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/cli/remote.h"

enum { HTTP_UNAUTHORIZED = 401, HTTP_FORBIDDEN = 403, HTTP_NOT_FOUND = 404 };

struct upload {
    struct hl_client *client;
    void (*tell)(void *arg, const json_t *line);
    void *arg;
    uint64_t stored, refused, skipped;
    struct hl_buf in;
};

static void tell_line(const struct upload *upload, json_t *line)
{
    upload->tell(upload->arg, line);
    json_decref(line);
}

static void refuse(struct upload *upload, const char *path, const char *why)
{
    struct hl_buf text = {0};
    upload->refused++;
    hl_buf_printf(&text, "%s: %s", path, why);
    tell_line(upload, json_pack("{s:s}", "item", hl_buf_str(&text)));
    hl_buf_fini(&text);
}

/* The reason of PS3.18 10.5.3 for the only object there was, or a problem's words. */
static void why_not(const json_t *answer, int status, char *out, size_t size)
{
    const json_t *failed =
        json_array_get(json_object_get(json_object_get(answer, "00081198"), "Value"), 0);
    const json_t *reason =
        json_array_get(json_object_get(json_object_get(failed, "00081197"), "Value"), 0);
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    if (detail)
        snprintf(out, size, "%s", detail);
    else if (json_is_integer(reason))
        snprintf(out, size, "not stored: status %04llX of C-STORE (hilum log, on the server)",
                 (unsigned long long)json_integer_value(reason));
    else
        snprintf(out, size, "not stored: the server answers %d", status);
}

/* What holds for every file ends it. */
static hilum_rc judge(struct upload *upload, const char *path, int status)
{
    char why[300];
    json_t *answer = json_loadb(upload->in.data ? upload->in.data : "", upload->in.len, 0, NULL);
    size_t n_failed =
        json_array_size(json_object_get(json_object_get(answer, "00081198"), "Value"));
    hilum_rc rc = HILUM_OK;
    why_not(answer, status, why, sizeof why);
    if (status == HTTP_UNAUTHORIZED || status == HTTP_FORBIDDEN)
        rc = hl_fail(HILUM_EDENIED, "%s", why);
    else if (status == HTTP_NOT_FOUND)
        rc = hl_fail(HILUM_ECLOSED, "it takes no objects: is web-dicomweb among its plugins?");
    else if (status >= 200 && status < 300 && n_failed == 0)
        upload->stored++;
    else
        refuse(upload, path, why);
    json_decref(answer);
    return rc;
}

static hilum_rc send_file(struct upload *upload, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC), status = 0;
    if (fd < 0 || fstat(fd, &st) != 0) {
        refuse(upload, path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return HILUM_OK;
    }
    const struct hl_remote_file file = {.path = "/dicom-web/studies",
                                        .type = "application/dicom",
                                        .accept = "application/dicom+json",
                                        .fd = fd,
                                        .n = (uint64_t)st.st_size};
    hilum_rc rc = hl_remote_post(upload->client->remote, &file, &status, &upload->in);
    close(fd);
    if (rc == HILUM_OK)
        return judge(upload, path, status);
    if (rc != HILUM_EIO)
        return rc;
    refuse(upload, path, hl_error());
    return HILUM_OK;
}

/* A DICOMDIR names other files and is no object (PS3.10 8). */
static hilum_rc take_entry(struct upload *upload, FTSENT *entry)
{
    hilum_rc rc = HILUM_OK;
    if (entry->fts_info == FTS_ERR || entry->fts_info == FTS_DNR || entry->fts_info == FTS_NS)
        refuse(upload, entry->fts_path, strerror(entry->fts_errno));
    if (entry->fts_info != FTS_F)
        return rc;
    if (strcmp(entry->fts_name, "DICOMDIR") == 0)
        upload->skipped++;
    else
        rc = send_file(upload, entry->fts_path);
    json_int_t done = (json_int_t)upload->stored + (json_int_t)upload->refused;
    tell_line(upload, json_pack("{s:{s:I, s:i, s:s}}", "progress", "done", done, "total", 0, "text",
                                entry->fts_name));
    return rc;
}

hilum_rc hl_cli_upload(struct hl_client *client, const char *path,
                       void (*tell)(void *arg, const json_t *line), void *arg, json_t **result)
{
    struct upload upload = {.client = client, .tell = tell, .arg = arg};
    char *const roots[] = {(char *)(uintptr_t)path, NULL};
    struct stat st;
    *result = NULL;
    if (stat(path, &st) != 0)
        return hl_fail(HILUM_ENOTFOUND,
                       "%s: %s; a path of the server's is written " HL_CLI_ON_SERVER "/path", path,
                       strerror(errno));
    FTS *fts = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    if (!fts)
        return hl_fail(hl_rc_from_errno(errno), "open %s: %s", path, strerror(errno));
    hilum_rc rc = HILUM_OK;
    for (FTSENT *entry; rc == HILUM_OK && (entry = fts_read(fts));)
        rc = take_entry(&upload, entry);
    fts_close(fts);
    hl_buf_fini(&upload.in);
    if (rc == HILUM_OK)
        *result = json_pack("{s:I, s:I, s:I}", "stored", (json_int_t)upload.stored, "refused",
                            (json_int_t)upload.refused, "skipped", (json_int_t)upload.skipped);
    return rc;
}
