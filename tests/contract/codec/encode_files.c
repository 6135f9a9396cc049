/* encode-files OUT PLUGIN.so...: encodes the files named on standard input ("PATH tab UID") through the codecs given, the way
 * objects are for peers and for the archive, decodes what it made and compares all bits. Native files become OUT/N.dcm; of
 * compressed ones up to three frames are encoded and counted. A line a file:
 *   N <tab> rc <tab> native bytes, coded bytes, us to encode, us to decode, 1 if the same <tab> message
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/uid.h"
#include "core/store/pack.h"
#include "core/store/pixels.h"
#include "core/store/recode.h"
#include "core/store/store_internal.h"
#include "tests/contract/codec/files.h"

enum { FRAMES_MAX = 3 };

struct counted {
    uint64_t native, coded;
    int64_t encode_us, decode_us;
    bool is_same;
};

static int64_t now_us(void)
{
    return hl_mono_ns() / 1000;
}

/* ---- native: a whole object ---- */

static hilum_rc to_explicit(const struct file *file, struct hl_buf *out)
{
    struct hl_recode *recode = NULL;
    const uint8_t *dataset = file->bytes + file->dataset;
    size_t n = file->n - file->dataset;
    if (strcmp(file->head.transfer_syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN) == 0) {
        hl_buf_add(out, dataset, n);
        return HILUM_OK;
    }
    hilum_rc rc = hl_recode_new(file->head.transfer_syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN,
                                hl_dict_vr, &recode);
    if (rc == HILUM_OK)
        rc = hl_recode_feed(recode, dataset, n, out);
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, out);
    hl_recode_free(recode);
    return rc;
}

static hilum_rc pack_all(const struct hl_codecs *codecs, const char *syntax,
                         const struct hl_buf *native, struct file *coded, struct counted *out)
{
    struct hl_pack_wish wish = {0};
    struct hl_pack *pack = NULL;
    struct hl_buf buf = {0};
    int64_t began = now_us();
    snprintf(wish.transfer_syntax, sizeof wish.transfer_syntax, "%s", syntax);
    hilum_rc rc = hl_pack_new(codecs, NULL, &wish, &pack);
    if (rc == HILUM_OK)
        rc = hl_pack_feed(pack, native->data, native->len);
    if (rc == HILUM_OK)
        rc = hl_pack_end(pack);
    out->encode_us = now_us() - began;
    for (size_t n = 1; rc == HILUM_OK && n > 0;) {
        const uint8_t *bytes = NULL;
        rc = hl_pack_next(pack, &bytes, &n);
        if (rc == HILUM_OK)
            hl_buf_add(&buf, bytes, n);
    }
    if (rc == HILUM_OK)
        hl_pack_sizes(pack, &out->native, &out->coded);
    hl_pack_free(pack);
    coded->n = buf.len;
    coded->bytes = (uint8_t *)hl_buf_take(&buf);
    snprintf(coded->head.transfer_syntax, sizeof coded->head.transfer_syntax, "%s", syntax);
    return rc;
}

/* Frame by frame, all allocated bits; planes are put in one order first by asking both for what they are. */
static bool is_same_frame(const struct hilum_frame *a, const uint8_t *p,
                          const struct hilum_frame *b, const uint8_t *q, uint64_t n)
{
    size_t pixels = (size_t)a->columns * a->rows, unit = a->bits_allocated / 8;
    if (a->columns != b->columns || a->rows != b->rows || a->samples != b->samples ||
        a->bits_allocated != b->bits_allocated)
        return false;
    if (a->samples == 1 || a->is_planar == b->is_planar)
        return memcmp(p, q, (size_t)n) == 0;
    for (size_t i = 0; i < pixels; i++)
        for (size_t k = 0; k < a->samples; k++)
            if (memcmp(p + (a->is_planar ? k * pixels + i : i * a->samples + k) * unit,
                       q + (b->is_planar ? k * pixels + i : i * b->samples + k) * unit, unit) != 0)
                return false;
    return true;
}

/* Frame i of native pixels, bits of 1-bit ones moved to the front. */
static void native_frame(const struct file *file, const struct hl_element *pixels, uint64_t i,
                         const struct hilum_frame *frame, uint8_t *to)
{
    uint64_t n = hilum_frame_bytes(frame), bits = (uint64_t)frame->columns * frame->rows;
    const uint8_t *from = file->bytes + pixels->offset + pixels->header_length;
    if (frame->bits_allocated > 1) {
        memcpy(to, from + i * n, (size_t)n);
        return;
    }
    memset(to, 0, (size_t)n);
    for (uint64_t k = 0, at = i * bits; k < bits; k++, at++)
        to[k / 8] |= (uint8_t)((from[at / 8] >> at % 8 & 1) << k % 8);
}

static hilum_rc compare(const struct hl_codecs *codecs, struct file *native, struct file *coded,
                        struct counted *out)
{
    struct hl_unpack *unpack = NULL;
    struct hl_scan *scan = NULL;
    struct hilum_frame one = {0}, other = {0};
    const void *q = NULL;
    uint64_t m = 0;
    hilum_rc rc = file_scan(native, &scan);
    if (rc != HILUM_OK)
        return rc;
    hl_pixels_declared(scan, &one);
    uint64_t n = hilum_frame_bytes(&one), frames = hl_pixels_frames(scan);
    uint8_t *p = malloc((size_t)n + 1);
    int64_t began = now_us();
    rc = p ? file_open(codecs, coded, &unpack) : hl_fail(HILUM_ENOMEM, "no memory");
    out->is_same = rc == HILUM_OK && hl_unpack_frames(unpack) == frames;
    for (uint64_t i = 0; rc == HILUM_OK && out->is_same && i < frames; i++) {
        rc = hl_unpack_frame(unpack, i, &other, &q, &m);
        native_frame(native, hl_scan_find(scan, 0x7FE00010), i, &one, p);
        out->is_same = rc == HILUM_OK && n == m && is_same_frame(&one, p, &other, q, n);
    }
    out->decode_us = now_us() - began;
    free(p);
    hl_unpack_free(unpack);
    hl_scan_free(scan);
    return rc;
}

static hilum_rc write_file(const char *path, const struct file *native, const struct file *coded)
{
    struct hl_buf meta = {0};
    struct hl_scan *scan = NULL;
    char class_uid[65] = "", instance[65] = "";
    if (file_scan(native, &scan) == HILUM_OK) {
        hl_scan_text(scan, 0x00080016, class_uid, sizeof class_uid);
        hl_scan_text(scan, 0x00080018, instance, sizeof instance);
    }
    hl_scan_free(scan);
    hl_meta_write(class_uid, instance, coded->head.transfer_syntax, "", NULL, &meta);
    FILE *f = fopen(path, "wb");
    bool is_written = f && fwrite(meta.data, 1, meta.len, f) == meta.len &&
                      fwrite(coded->bytes, 1, coded->n, f) == coded->n;
    if (f)
        fclose(f);
    hl_buf_fini(&meta);
    return is_written ? HILUM_OK : hl_fail(HILUM_EIO, "%s cannot be written", path);
}

static hilum_rc encode_object(const struct hl_codecs *codecs, const struct file *file,
                              const char *syntax, const char *path, struct counted *out)
{
    struct hl_buf buf = {0};
    struct file coded = {0};
    hilum_rc rc = to_explicit(file, &buf);
    struct file native = {.bytes = (uint8_t *)buf.data, .n = buf.len};
    snprintf(native.head.transfer_syntax, sizeof native.head.transfer_syntax, "%s",
             HL_UID_EXPLICIT_LITTLE_ENDIAN);
    if (rc == HILUM_OK)
        rc = pack_all(codecs, syntax, &buf, &coded, out);
    if (rc == HILUM_OK)
        rc = compare(codecs, &native, &coded, out);
    if (rc == HILUM_OK)
        rc = write_file(path, &native, &coded);
    file_free(&coded);
    hl_buf_fini(&buf);
    return rc;
}

/* ---- compressed: some of its frames ---- */

static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, (size_t)n);
    return HILUM_OK;
}

static hilum_rc encode_frame(const struct hl_codecs *codecs, const char *syntax,
                             const struct hilum_frame *frame, const void *pixels, uint64_t n,
                             struct counted *out)
{
    void *instance = NULL;
    const struct hilum_codec *codec =
        codecs->find(codecs->arg, syntax, HILUM_CODEC_ENCODES | HILUM_CODEC_LOSSLESS, 0, &instance);
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = syntax};
    struct hilum_encoded done = {.size = sizeof done};
    struct hilum_frame back = {.size = sizeof back};
    struct hl_buf stream = {0};
    struct hilum_sink sink = {sizeof sink, 0, keep, &stream};
    uint8_t *decoded = malloc((size_t)n);
    int64_t began = now_us();
    hilum_rc rc = codec ? codec->encode(instance, frame, pixels, n, &wanted, &sink, &done)
                        : hl_fail(HILUM_EUNSUP, "no codec encodes %s", syntax);
    out->encode_us += now_us() - began;
    began = now_us();
    struct hilum_fragment fragment = {stream.data, stream.len};
    struct hilum_frame declared = *frame;
    declared.photometric = done.photometric;
    declared.is_planar = done.is_planar;
    struct hilum_coded coded = {.size = sizeof coded,
                                .n_fragments = 1,
                                .fragments = &fragment,
                                .transfer_syntax = syntax,
                                .declared = &declared};
    if (rc == HILUM_OK)
        rc = codec->decode(instance, &coded, NULL, decoded, n, &back);
    out->decode_us += now_us() - began;
    if (rc == HILUM_OK)
        out->is_same &= is_same_frame(frame, pixels, &back, decoded, n);
    out->native += n;
    out->coded += stream.len;
    hl_buf_fini(&stream);
    free(decoded);
    return rc;
}

static hilum_rc encode_frames(const struct hl_codecs *codecs, struct file *file, const char *syntax,
                              struct counted *out)
{
    struct hl_unpack *unpack = NULL;
    struct hilum_frame frame = {.size = sizeof frame};
    const void *pixels = NULL;
    uint64_t n = 0;
    hilum_rc rc = file_open(codecs, file, &unpack);
    out->is_same = rc == HILUM_OK;
    for (uint64_t i = 0; rc == HILUM_OK && i < hl_unpack_frames(unpack) && i < FRAMES_MAX; i++) {
        rc = hl_unpack_frame(unpack, i, &frame, &pixels, &n);
        if (rc == HILUM_OK)
            rc = encode_frame(codecs, syntax, &frame, pixels, n, out);
    }
    hl_unpack_free(unpack);
    return rc;
}

static void encode_file(const char *path, const char *syntax, const char *to, unsigned number,
                        const struct hl_codecs *codecs)
{
    struct file file;
    struct counted counted = {0};
    hilum_rc rc = file_load(path, &file);
    if (rc == HILUM_OK && hl_recode_can(file.head.transfer_syntax, file.head.transfer_syntax))
        rc = encode_object(codecs, &file, syntax, to, &counted);
    else if (rc == HILUM_OK)
        rc = encode_frames(codecs, &file, syntax, &counted);
    printf("%u\t%d\t%llu %llu %lld %lld %d\t%s\n", number, rc, (unsigned long long)counted.native,
           (unsigned long long)counted.coded, (long long)counted.encode_us,
           (long long)counted.decode_us, counted.is_same, codecs_reason(rc));
    file_free(&file);
}

int main(int argc, char **argv)
{
    struct codecs codecs;
    char line[4200], to[4096];
    if (argc < 3 || !codecs_open(&codecs, argv + 2, argc - 2))
        return 2;
    struct hl_codecs lent = codecs_lent(&codecs);
    for (unsigned number = 0; fgets(line, sizeof line, stdin); number++) {
        char *syntax = strchr(line, '\t');
        line[strcspn(line, "\n")] = 0;
        if (!syntax)
            continue;
        *syntax++ = 0;
        snprintf(to, sizeof to, "%s/%u.dcm", argv[1], number);
        encode_file(line, syntax, to, number, &lent);
        fflush(stdout);
    }
    codecs_close(&codecs);
    return 0;
}
