/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/codec/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

enum { HEAD = 132 * 1024 };

static uint32_t flags_of(const struct hilum_codec *codec, const char *syntax)
{
    for (const struct hilum_codec_syntax *s = codec->syntaxes; s->uid; s++)
        if (!strcmp(s->uid, syntax))
            return s->flags;
    return 0;
}

static const struct hilum_codec *find(void *arg, const char *syntax, uint32_t flags, uint32_t rank,
                                      void **instance)
{
    const struct codecs *codecs = arg;
    for (size_t i = 0; i < codecs->n; i++)
        if ((flags_of(codecs->table[i], syntax) & flags) == flags && rank-- == 0) {
            *instance = codecs->instance[i];
            return codecs->table[i];
        }
    return NULL;
}

static void nothing(void *arg, const struct hilum_cap *cap)
{
    (void)arg;
    (void)cap;
}

/* ---- a file ---- */

hilum_rc file_read(void *arg, uint64_t at, void *dst, uint64_t n)
{
    const struct file *file = arg;
    uint64_t size = file->n - file->dataset;
    if (at > size || n > size - at)
        return hl_fail(HILUM_ECORRUPT, "read beyond the end");
    memcpy(dst, file->bytes + file->dataset + at, (size_t)n);
    return HILUM_OK;
}

hilum_rc file_load(const char *path, struct file *out)
{
    FILE *f = fopen(path, "rb");
    *out = (struct file){0};
    if (!f)
        return hl_fail(HILUM_ENOTFOUND, "%s cannot be read", path);
    fseek(f, 0, SEEK_END);
    out->n = (size_t)ftell(f);
    rewind(f);
    out->bytes = malloc(out->n + 1);
    size_t got = out->bytes ? fread(out->bytes, 1, out->n, f) : 0;
    fclose(f);
    if (got != out->n)
        return hl_fail(HILUM_EIO, "%s cannot be read", path);
    hilum_rc rc = hl_part10_read(out->bytes, out->n < HEAD ? out->n : HEAD, &out->head);
    out->dataset = out->head.dataset_offset;
    return rc;
}

hilum_rc file_scan(const struct file *file, struct hl_scan **out)
{
    hilum_rc rc = hl_scan_new(file->head.transfer_syntax, NULL, out);
    if (rc == HILUM_OK)
        rc = hl_scan_feed(*out, file->bytes + file->dataset, file->n - file->dataset);
    return rc == HILUM_OK ? hl_scan_end(*out) : rc;
}

hilum_rc file_open(const struct hl_codecs *codecs, struct file *file, struct hl_unpack **out)
{
    struct hl_frame_source source = {file_read, file};
    struct hl_scan *scan = NULL;
    hilum_rc rc = file_scan(file, &scan);
    if (rc == HILUM_OK)
        rc = hl_unpack_new(codecs, file->head.transfer_syntax, scan, 0, &source, NULL, out);
    hl_scan_free(scan);
    return rc;
}

void file_free(struct file *file)
{
    free(file->bytes);
    file->bytes = NULL;
}

/* ---- the codecs of plugins ---- */

bool codecs_open(struct codecs *codecs, char **paths, int n)
{
    codecs->n = 0;
    for (int i = 0; i < n && codecs->n < CODECS_MAX; i++) {
        hilum_self *host = fake_host_open(paths[i], "/nonexistent", NULL);
        if (!host)
            return false;
        codecs->host[codecs->n] = host;
        codecs->table[codecs->n] =
            fake_host_cap(host, HILUM_CAP_CODEC, &codecs->instance[codecs->n]);
        codecs->n++;
    }
    return true;
}

void codecs_close(struct codecs *codecs)
{
    for (size_t i = 0; i < codecs->n; i++)
        fake_host_close(codecs->host[i]);
}

struct hl_codecs codecs_lent(struct codecs *codecs)
{
    return (struct hl_codecs){find, nothing, nothing, codecs};
}

const char *codecs_reason(hilum_rc rc)
{
    if (rc == HILUM_OK)
        return "";
    return *fake_host_reason() && rc != HILUM_ENOTFOUND ? fake_host_reason() : hl_error();
}
