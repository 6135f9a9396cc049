/* Files and codecs of the programs that decode and encode the shared data. For tests only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CODEC_FILES_H
#define TEST_CODEC_FILES_H

#include "core/store/codecs.h"
#include "core/store/frames.h"
#include "core/store/scan.h"
#include "core/store/unpack.h"
#include "tests/fake_host.h"

enum { CODECS_MAX = 16 };

struct codecs {
    const struct hilum_codec *table[CODECS_MAX];
    void *instance[CODECS_MAX];
    hilum_self *host[CODECS_MAX];
    size_t n;
};
/* Plugins by path, as the store asks for them. false: one cannot be opened. */
bool codecs_open(struct codecs *codecs, char **paths, int n);
void codecs_close(struct codecs *codecs);
struct hl_codecs codecs_lent(struct codecs *codecs);
/* Why the last call failed. */
const char *codecs_reason(hilum_rc rc);

struct file {
    uint8_t *bytes;
    size_t n;
    uint64_t dataset;
    struct hl_part10 head;
};
hilum_rc file_load(const char *path, struct file *out);
void file_free(struct file *file);
/* Reads the stored data set: struct hl_frame_source. */
hilum_rc file_read(void *file, uint64_t at, void *dst, uint64_t n);
/* A finished scan of it. */
hilum_rc file_scan(const struct file *file, struct hl_scan **out);
/* Its frames as they are decoded for peers; `file` is lent until hl_unpack_free. */
hilum_rc file_open(const struct hl_codecs *codecs, struct file *file, struct hl_unpack **out);

#endif
