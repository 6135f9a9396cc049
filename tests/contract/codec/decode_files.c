/* decode-files OUT PLUGIN.so...: decodes the files named on standard input through the codecs given, the way objects are
 * decoded for peers. Writes the first and the last frame of file N to OUT/N.raw and a line a file:
 *   N <tab> rc <tab> columns rows samples allocated stored signed photometric frames <tab> message
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/store/unpack.h"
#include "tests/fake_host.h"

enum { CODECS_MAX = 16, HEAD = 132 * 1024 };

struct codecs {
    const struct hilum_codec *table[CODECS_MAX];
    void *instance[CODECS_MAX];
    hilum_self *host[CODECS_MAX];
    size_t n;
};

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

struct file {
    uint8_t *bytes;
    size_t n;
    uint64_t dataset;
    struct hl_part10 head;
};

static hilum_rc read_dataset(void *arg, uint64_t at, void *dst, uint64_t n)
{
    const struct file *file = arg;
    uint64_t size = file->n - file->dataset;
    if (at > size || n > size - at)
        return hl_fail(HILUM_ECORRUPT, "read beyond the end");
    memcpy(dst, file->bytes + file->dataset + at, (size_t)n);
    return HILUM_OK;
}

static hilum_rc load(const char *path, struct file *out)
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

static hilum_rc open_file(struct file *file, const struct hl_codecs *codecs,
                          struct hl_unpack **unpack)
{
    struct hl_frame_source source = {read_dataset, file};
    struct hl_scan *scan = NULL;
    hilum_rc rc = hl_scan_new(file->head.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = hl_scan_feed(scan, file->bytes + file->dataset, file->n - file->dataset);
    if (rc == HILUM_OK)
        rc = hl_scan_end(scan);
    if (rc == HILUM_OK)
        rc = hl_unpack_new(codecs, file->head.transfer_syntax, scan, 0, &source, NULL, unpack);
    hl_scan_free(scan);
    return rc;
}

static hilum_rc write_frames(struct hl_unpack *unpack, const char *path, struct hilum_frame *frame)
{
    uint64_t last = hl_unpack_frames(unpack) - 1, wanted[2] = {0, last};
    FILE *f = fopen(path, "wb");
    hilum_rc rc = f ? HILUM_OK : hl_fail(HILUM_EIO, "%s cannot be written", path);
    for (int i = 0; rc == HILUM_OK && i < (last ? 2 : 1); i++) {
        const void *pixels;
        uint64_t n;
        rc = hl_unpack_frame(unpack, wanted[i], frame, &pixels, &n);
        if (rc == HILUM_OK && fwrite(pixels, 1, (size_t)n, f) != n)
            rc = hl_fail(HILUM_EIO, "%s cannot be written", path);
    }
    if (f)
        fclose(f);
    return rc;
}

static void decode_file(const char *path, const char *out, unsigned number,
                        const struct hl_codecs *codecs)
{
    struct file file;
    struct hl_unpack *unpack = NULL;
    struct hilum_frame frame = {0};
    char to[4096];
    snprintf(to, sizeof to, "%s/%u.raw", out, number);
    hilum_rc rc = load(path, &file);
    if (rc == HILUM_OK)
        rc = open_file(&file, codecs, &unpack);
    if (rc == HILUM_OK)
        rc = write_frames(unpack, to, &frame);
    printf("%u\t%d\t%u %u %u %u %u %u %u %llu\t%s\n", number, rc, frame.columns, frame.rows,
           frame.samples, frame.bits_allocated, frame.bits_stored, frame.sample_type,
           frame.photometric, unpack ? (unsigned long long)hl_unpack_frames(unpack) : 0,
           rc == HILUM_OK                                 ? ""
           : *fake_host_reason() && rc != HILUM_ENOTFOUND ? fake_host_reason()
                                                          : hl_error());
    hl_unpack_free(unpack);
    free(file.bytes);
}

int main(int argc, char **argv)
{
    struct codecs codecs = {.n = 0};
    struct hl_codecs lent = {find, nothing, nothing, &codecs};
    char line[4096];
    for (int i = 2; i < argc && codecs.n < CODECS_MAX; i++) {
        hilum_self *host = fake_host_open(argv[i], "/nonexistent", NULL);
        if (!host)
            return 2;
        codecs.host[codecs.n] = host;
        codecs.table[codecs.n] = fake_host_cap(host, HILUM_CAP_CODEC, &codecs.instance[codecs.n]);
        codecs.n++;
    }
    for (unsigned number = 0; argc > 2 && fgets(line, sizeof line, stdin); number++) {
        line[strcspn(line, "\n")] = 0;
        decode_file(line, argv[1], number, &lent);
        fflush(stdout);
    }
    for (size_t i = 0; i < codecs.n; i++)
        fake_host_close(codecs.host[i]);
    return 0;
}
