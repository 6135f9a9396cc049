/* Maps of frames in the folder of what can be made again. They are written without a flush and
 * read with distrust: a file that a crash has torn, an object that was replaced under its key,
 * a map of another build, all of them are found by length, digest or checksum, and the map is
 * made anew. Any thread, without a lock: a file appears whole by its rename, and of two who
 * write the same map one wins.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/frame_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "core/base/buf.h"
#include "core/base/error.h"

/* VERSION goes up with any change of struct head or of what the map means; the size of the
 * head finds a changed layout besides. A map over 256 MB is none of ours (FRAGMENTS_MAX of
 * frames.c gives 96). */
enum { PATH_LENGTH = 4096, VERSION = 1 };
static const uint64_t size_max = (uint64_t)256 << 20;

/* The file: this, fragments, the first fragment of each frame, XXH3 of all before. In the byte order of this machine: a
 * map is no exchange format, and a foreign one is not believed. */
struct head {
    char magic[8]; /* "HLFRAMES" */
    uint32_t version, head_size;
    uint64_t length; /* of the data set */
    uint8_t digest[16];
    uint64_t n, is_native, first, bits, n_fragments;
    struct hilum_frame declared;
};

/* Folders by the first byte of the name. The name is a hash because keys may hold any byte and
 * any depth; 256 folders keep each small. The folders are made at every writing: somebody may
 * have emptied the place. */
static bool path_make(const char *folder, const char *store, const char *key, bool is_wanted,
                      char out[PATH_LENGTH])
{
    char name[PATH_LENGTH];
    if (strlen(folder) > PATH_LENGTH - 100)
        return false;
    int length = snprintf(name, sizeof name, "%s\n%s", store, key);
    XXH128_hash_t hash = XXH3_128bits(name, (size_t)length);
    if (is_wanted) {
        mkdir(folder, 0700);
        snprintf(out, PATH_LENGTH, "%s/frames", folder);
        mkdir(out, 0700);
        snprintf(out, PATH_LENGTH, "%s/frames/%02x", folder, (unsigned)(hash.high64 >> 56));
        mkdir(out, 0700);
    }
    snprintf(out, PATH_LENGTH, "%s/frames/%02x/%016llx%016llx.map", folder,
             (unsigned)(hash.high64 >> 56), (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    return true;
}

/* ---- writing ---- */

static void head_fill(const struct hl_frame_map_of *of, const struct hl_frame_map *map,
                      struct head *out)
{
    memset(out, 0, sizeof *out); /* padding is digested too */
    memcpy(out->magic, "HLFRAMES", sizeof out->magic);
    out->version = VERSION;
    out->head_size = sizeof *out;
    out->length = of->length;
    memcpy(out->digest, of->digest, sizeof out->digest);
    out->n = map->frames.n;
    out->is_native = map->frames.is_native;
    out->first = map->frames.first;
    out->bits = map->frames.bits;
    out->n_fragments = map->frames.n_fragments;
    out->declared = map->declared;
}

static void body_fill(const struct hl_frame_map *map, struct hl_buf *out)
{
    hl_buf_add(out, map->frames.fragments, map->frames.n_fragments * sizeof *map->frames.fragments);
    for (uint64_t i = 0; map->frames.starts != NULL && i <= map->frames.n; i++) {
        uint64_t start = map->frames.starts[i];
        hl_buf_add(out, &start, sizeof start);
    }
}

/* The address of a buffer on this thread's stack makes the name unique within the process, and
 * no two processes share the folder. */
static hilum_rc write_file(const char *path, const struct hl_buf *bytes)
{
    char temporary[PATH_LENGTH + 64];
    snprintf(temporary, sizeof temporary, "%s.%p", path, (const void *)bytes);
    FILE *file = fopen(temporary, "wbe");
    if (file == NULL)
        return hl_fail(HILUM_EIO, "%s: %s", temporary, strerror(errno));
    bool is_good = fwrite(bytes->data, 1, bytes->len, file) == bytes->len;
    is_good = fclose(file) == 0 && is_good;
    if (is_good && rename(temporary, path) == 0)
        return HILUM_OK;
    hilum_rc rc = hl_fail(HILUM_EIO, "%s: %s", path, strerror(errno));
    unlink(temporary);
    return rc;
}

hilum_rc hl_frame_map_save(const struct hl_frame_map_of *of, const struct hl_frame_map *map)
{
    char path[PATH_LENGTH];
    struct head head;
    struct hl_buf bytes = {0};
    if (of->folder == NULL)
        return HILUM_OK;
    if (!path_make(of->folder, of->store, of->key, true, path))
        return hl_fail(HILUM_EIO, "no place for a frame map");
    head_fill(of, map, &head);
    hl_buf_add(&bytes, &head, sizeof head);
    body_fill(map, &bytes);
    XXH64_hash_t digest = XXH3_64bits(bytes.data, bytes.len);
    hl_buf_add(&bytes, &digest, sizeof digest);
    hilum_rc rc = bytes.failed ? hl_fail(HILUM_ENOMEM, "no memory for a frame map")
                               : write_file(path, &bytes);
    hl_buf_fini(&bytes);
    return rc;
}

/* ---- reading ---- */

static uint8_t *read_file(const char *path, size_t *n)
{
    struct stat st;
    FILE *file = fopen(path, "rbe");
    uint8_t *bytes = NULL;
    *n = 0;
    if (file == NULL)
        return NULL;
    if (fstat(fileno(file), &st) == 0 && st.st_size > 0 && (uint64_t)st.st_size <= size_max) {
        *n = (size_t)st.st_size;
        bytes = malloc(*n);
        if (bytes != NULL && fread(bytes, 1, *n, file) != *n) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(file);
    return bytes;
}

static bool is_of(const struct head *head, const struct hl_frame_map_of *of, size_t n)
{
    if (memcmp(head->magic, "HLFRAMES", sizeof head->magic) != 0 || head->version != VERSION ||
        head->head_size != sizeof *head || head->length != of->length ||
        memcmp(head->digest, of->digest, sizeof head->digest) != 0)
        return false;
    uint64_t starts = head->is_native ? 0 : head->n + 1;
    return head->n_fragments < size_max && head->n > 0 && head->n < size_max &&
           n == sizeof *head + head->n_fragments * sizeof(struct hl_fragment_place) +
                    starts * sizeof(uint64_t) + sizeof(XXH64_hash_t);
}

static bool take_body(const uint8_t *body, struct hl_frames *out)
{
    size_t size = out->n_fragments * sizeof *out->fragments;
    if (out->is_native)
        return true;
    out->fragments = malloc(size > 0 ? size : 1);
    out->starts = calloc((size_t)out->n + 1, sizeof *out->starts);
    if (out->fragments == NULL || out->starts == NULL)
        return false;
    memcpy(out->fragments, body, size);
    for (uint64_t i = 0; i <= out->n; i++) {
        uint64_t start;
        memcpy(&start, body + size + i * sizeof start, sizeof start);
        out->starts[i] = (size_t)start;
        if (start > out->n_fragments || (i > 0 && out->starts[i] < out->starts[i - 1]))
            return false;
    }
    return true;
}

static hilum_rc parse(const struct hl_frame_map_of *of, const uint8_t *bytes, size_t n,
                      struct hl_frame_map *out)
{
    struct head head;
    XXH64_hash_t digest;
    if (n < sizeof head + sizeof digest)
        return HILUM_ENOTFOUND;
    memcpy(&head, bytes, sizeof head);
    memcpy(&digest, bytes + n - sizeof digest, sizeof digest);
    if (!is_of(&head, of, n) || digest != XXH3_64bits(bytes, n - sizeof digest))
        return HILUM_ENOTFOUND;
    *out = (struct hl_frame_map){.frames = {.n = head.n,
                                            .is_native = head.is_native != 0,
                                            .first = head.first,
                                            .bits = head.bits,
                                            .n_fragments = (size_t)head.n_fragments},
                                 .declared = head.declared};
    if (take_body(bytes + sizeof head, &out->frames))
        return HILUM_OK;
    hl_frames_fini(&out->frames);
    return HILUM_ENOTFOUND;
}

hilum_rc hl_frame_map_load(const struct hl_frame_map_of *of, struct hl_frame_map *out)
{
    char path[PATH_LENGTH];
    size_t n = 0;
    if (of->folder == NULL || !path_make(of->folder, of->store, of->key, false, path))
        return HILUM_ENOTFOUND;
    uint8_t *bytes = read_file(path, &n);
    hilum_rc rc = bytes != NULL ? parse(of, bytes, n, out) : HILUM_ENOTFOUND;
    free(bytes);
    return rc;
}

void hl_frame_map_erase(const char *folder, const char *store, const char *key)
{
    char path[PATH_LENGTH];
    if (folder != NULL && path_make(folder, store, key, false, path))
        unlink(path);
}
