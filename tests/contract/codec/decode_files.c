/* decode-files OUT PLUGIN.so...: decodes the files named on standard input through the codecs given, the way objects are
 * decoded for peers. Writes the first and the last frame of file N to OUT/N.raw and a line a file:
 *   N <tab> rc <tab> columns rows samples allocated stored signed photometric frames <tab> message
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "tests/contract/codec/files.h"

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
    hilum_rc rc = file_load(path, &file);
    if (rc == HILUM_OK)
        rc = file_open(codecs, &file, &unpack);
    if (rc == HILUM_OK)
        rc = write_frames(unpack, to, &frame);
    printf("%u\t%d\t%u %u %u %u %u %u %u %llu\t%s\n", number, rc, frame.columns, frame.rows,
           frame.samples, frame.bits_allocated, frame.bits_stored, frame.sample_type,
           frame.photometric, unpack ? (unsigned long long)hl_unpack_frames(unpack) : 0,
           codecs_reason(rc));
    hl_unpack_free(unpack);
    file_free(&file);
}

int main(int argc, char **argv)
{
    struct codecs codecs;
    char line[4096];
    if (argc < 3 || !codecs_open(&codecs, argv + 2, argc - 2))
        return 2;
    struct hl_codecs lent = codecs_lent(&codecs);
    for (unsigned number = 0; fgets(line, sizeof line, stdin); number++) {
        line[strcspn(line, "\n")] = 0;
        decode_file(line, argv[1], number, &lent);
        fflush(stdout);
    }
    codecs_close(&codecs);
    return 0;
}
