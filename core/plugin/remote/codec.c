/* The proxy of a codec: its table here, its code in a worker. What comes back is checked before
 * it is believed.
 *
 * Each call takes a worker, copies the input into its shared memory, waits, copies the result
 * out and gives the worker back; any thread, many at once. Results are copied once and looked at
 * in the copy: the worker may change its memory at any time. SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/sized.h"
#include "core/plugin/remote/remote.h"

enum { MAX_SYNTAXES = 256, MAX_METHODS = 8, METHOD_SIZE = 32, SPARE = 64 * 1024 };

struct remote_codec {
    struct hilum_codec table;
    struct hl_remote *remote;
    uint32_t index;
    /* (0028,2114) of PS3.3: the contract makes these static texts; a worker sends copies. */
    pthread_mutex_t lock;
    char methods[MAX_METHODS][METHOD_SIZE];
};

/* ---- a code stream on its way ---- */

/* Clamped, so that sums of it do not wrap; what is too large is refused by limits.memory. */
static uint64_t stream_size(const struct hilum_coded *coded)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < coded->n_fragments; i++) {
        uint64_t n = coded->fragments[i].n;
        size = n > UINT64_MAX / 4 - size ? UINT64_MAX / 4 : size + n;
    }
    return size;
}

/* Fragments in order are the code stream, so over there it is one. */
static void put_stream(struct hl_process *process, const struct hilum_coded *coded, uint64_t size)
{
    unsigned char *to = hl_process_memory(process);
    struct hl_wire *wire = hl_process_wire(process);
    for (uint32_t i = 0; i < coded->n_fragments; i++) {
        memcpy(to, coded->fragments[i].bytes, coded->fragments[i].n);
        to += coded->fragments[i].n;
    }
    hl_wire_put_u64(wire, size);
    hl_wire_put_text(wire, coded->transfer_syntax);
    hl_wire_put_u32(wire, coded->declared != NULL);
    hl_wire_put_frame(wire, coded->declared);
}

/* ---- members ---- */

/* The caller's out->frame is kept: a pointer from a worker means nothing here. */
static hilum_rc info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    const struct remote_codec *codec = self;
    uint64_t size = stream_size(coded);
    hilum_rc rc = HILUM_OK;
    struct hl_process *process =
        hl_remote_begin(codec->remote, HL_OP_CODEC_INFO, codec->index, size, &rc);
    if (!process)
        return rc;
    put_stream(process, coded, size);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK) {
        struct hl_wire *wire = hl_process_wire(process);
        struct hilum_code_info said;
        struct hilum_frame frame = {.size = sizeof frame}, *to = out->frame;
        hl_wire_bytes(wire, &said, sizeof said);
        hl_wire_frame(wire, &frame);
        if (wire->bad) {
            rc = hl_remote_nonsense(process, "no description of the code stream");
        } else {
            hl_sized_give(out, &said, sizeof said);
            out->frame = to;
            if (to)
                hl_sized_give(to, &frame, sizeof frame);
        }
    }
    hl_remote_end(process);
    return rc;
}

/* Copies what was decoded; a frame larger than the caller's memory is a lie. */
static hilum_rc take_pixels(struct hl_process *process, hilum_rc rc, uint64_t at, void *dst,
                            uint64_t dst_size, struct hilum_frame *out)
{
    struct hilum_frame frame = {.size = sizeof frame};
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_frame(wire, &frame);
    uint64_t n = hilum_frame_bytes(&frame);
    bool has_pixels = rc == HILUM_OK || (rc == HILUM_ECORRUPT && !wire->bad && n);
    if (has_pixels && (wire->bad || !n || n > dst_size))
        return hl_remote_nonsense(process, "a frame that does not fit its memory");
    if (has_pixels)
        memcpy(dst, hl_process_memory(process) + at, n);
    if (!wire->bad)
        hl_sized_give(out, &frame, sizeof frame);
    return rc;
}

/* The code stream at 0, the frame behind it at a page boundary. */
static hilum_rc decode(void *self, const struct hilum_coded *coded,
                       const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                       struct hilum_frame *out)
{
    const struct remote_codec *codec = self;
    struct hilum_decode wish = {.size = sizeof wish};
    uint64_t size = stream_size(coded), at = hl_wire_align(size);
    hilum_rc rc = HILUM_OK;
    if (dst_size > UINT64_MAX / 4)
        return hl_fail(HILUM_EINVAL, "a frame of more bytes than there are");
    struct hl_process *process =
        hl_remote_begin(codec->remote, HL_OP_CODEC_DECODE, codec->index, at + dst_size, &rc);
    if (!process)
        return rc;
    if (wanted)
        hl_sized_copy(&wish, sizeof wish, wanted, wanted->size);
    hl_remote_while(process, wish.go_on, wish.arg);
    wish.go_on = NULL; /* pointers of ours tell a worker nothing but where we are */
    wish.arg = NULL;
    put_stream(process, coded, size);
    struct hl_wire *wire = hl_process_wire(process);
    hl_wire_put_u32(wire, wanted != NULL);
    hl_wire_put_bytes(wire, &wish, sizeof wish);
    hl_wire_put_u64(wire, at);
    hl_wire_put_u64(wire, dst_size);
    if (hl_remote_run(process, &rc))
        rc = take_pixels(process, rc, at, dst, dst_size, out);
    hl_remote_end(process);
    return rc;
}

/* ---- encode ---- */

/* "": the codec named none. Kept for the life of the plugin, because callers keep the pointer. */
static const char *keep_method(struct remote_codec *codec, const char *method)
{
    const char *kept = NULL;
    if (!method || !*method)
        return "";
    if (strlen(method) >= METHOD_SIZE)
        return NULL;
    pthread_mutex_lock(&codec->lock);
    for (int i = 0; !kept && i < MAX_METHODS; i++) {
        if (!codec->methods[i][0])
            memcpy(codec->methods[i], method, strlen(method) + 1);
        if (strcmp(codec->methods[i], method) == 0)
            kept = codec->methods[i];
    }
    pthread_mutex_unlock(&codec->lock);
    return kept;
}

/* `n` and `room` are compared here and not trusted to have been over there. */
static hilum_rc take_stream(struct remote_codec *codec, struct hl_process *process, uint64_t at,
                            uint64_t room, struct hilum_sink *out, struct hilum_encoded *done)
{
    struct hl_wire *wire = hl_process_wire(process);
    struct hilum_encoded said;
    hl_wire_bytes(wire, &said, sizeof said);
    said.method = keep_method(codec, hl_wire_text(wire));
    uint64_t n = hl_wire_u64(wire);
    if (wire->bad || n > room || !said.method)
        return hl_remote_nonsense(process, "a code stream longer than its memory");
    hl_sized_give(done, &said, sizeof said);
    return out->write(out->ctx, hl_process_memory(process) + at, n);
}

/* The end of a call whose arguments are in the wire: where the code stream goes, the call, what came of it. */
static hilum_rc run_for_stream(struct remote_codec *codec, struct hl_process *process, uint64_t at,
                               uint64_t room, struct hilum_sink *out, struct hilum_encoded *done)
{
    hilum_rc rc = HILUM_OK;
    hl_wire_put_u64(hl_process_wire(process), at);
    hl_wire_put_u64(hl_process_wire(process), room);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK)
        rc = take_stream(codec, process, at, room, out, done);
    hl_remote_end(process);
    return rc;
}

/* The struct without its pointer, then the text it pointed to. */
static void put_wish(struct hl_wire *wire, const struct hilum_encode *wanted)
{
    struct hilum_encode wish;
    hl_sized_copy(&wish, sizeof wish, wanted, wanted->size);
    const char *syntax = wish.transfer_syntax;
    wish.transfer_syntax = NULL;
    hl_wire_put_bytes(wire, &wish, sizeof wish);
    hl_wire_put_text(wire, syntax);
}

static hilum_rc encode(void *self, const struct hilum_frame *frame, const void *src, uint64_t n,
                       const struct hilum_encode *wanted, struct hilum_sink *out,
                       struct hilum_encoded *done)
{
    struct remote_codec *codec = self;
    /* Noise grows a little in every lossless scheme; none doubles it. */
    uint64_t at = hl_wire_align(n), room = 2 * n + SPARE;
    hilum_rc rc = HILUM_OK;
    if (n > UINT64_MAX / 8)
        return hl_fail(HILUM_EINVAL, "a frame of more bytes than there are");
    struct hl_process *process =
        hl_remote_begin(codec->remote, HL_OP_CODEC_ENCODE, codec->index, at + room, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    memcpy(hl_process_memory(process), src, n);
    hl_wire_put_frame(wire, frame);
    hl_wire_put_u64(wire, n);
    put_wish(wire, wanted);
    return run_for_stream(codec, process, at, room, out, done);
}

/* ---- repack ---- */

/* A black picture's JPEG is many times its JPEG XL, but never twice its pixels: what the data set declares bounds it. */
static uint64_t repack_room(const struct hilum_coded *coded, uint64_t size)
{
    uint64_t native = coded->declared ? hilum_frame_bytes(coded->declared) : 0;
    uint64_t most = native > size ? native : size;
    return most > UINT64_MAX / 8 ? UINT64_MAX / 4 : 2 * most + 16 * (uint64_t)SPARE;
}

static hilum_rc repack(void *self, const struct hilum_coded *coded, const char *to,
                       struct hilum_sink *out, struct hilum_encoded *done)
{
    struct remote_codec *codec = self;
    uint64_t size = stream_size(coded), at = hl_wire_align(size), room = repack_room(coded, size);
    hilum_rc rc = HILUM_OK;
    struct hl_process *process =
        hl_remote_begin(codec->remote, HL_OP_CODEC_REPACK, codec->index, at + room, &rc);
    if (!process)
        return rc;
    put_stream(process, coded, size);
    hl_wire_put_text(hl_process_wire(process), to);
    return run_for_stream(codec, process, at, room, out, done);
}

/* ---- the table ---- */

static const struct hilum_codec_syntax *read_syntaxes(struct hl_remote *remote,
                                                      struct hl_wire *wire)
{
    uint32_t n = hl_wire_u32(wire);
    struct hl_arena *arena = hl_remote_arena(remote);
    struct hilum_codec_syntax *list =
        n <= MAX_SYNTAXES ? hl_arena_alloc(arena, (n + 1u) * sizeof *list) : NULL;
    for (uint32_t i = 0; list && i < n; i++) {
        const char *uid = hl_wire_text(wire);
        list[i].uid = hl_arena_strdup(arena, uid ? uid : "");
        list[i].flags = hl_wire_u32(wire);
        list[i].priority = (int32_t)hl_wire_u32(wire);
    }
    return list;
}

hilum_rc hl_remote_codec(struct hl_remote *remote, uint32_t index, const char *name,
                         struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_codec *codec = hl_arena_alloc(arena, sizeof *codec);
    bool is_whole = hl_wire_u32(wire) != 0, encodes = hl_wire_u32(wire) != 0;
    bool repacks = hl_wire_u32(wire) != 0;
    if (!codec)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    codec->remote = remote;
    codec->index = index;
    pthread_mutex_init(&codec->lock, NULL);
    codec->table = (struct hilum_codec){
        .cap = {.size = sizeof codec->table,
                .kind = HILUM_CAP_CODEC,
                .threads = HILUM_PARALLEL, /* the workers do the waiting */
                .name = hl_arena_strdup(arena, name ? name : "")},
        .syntaxes = read_syntaxes(remote, wire),
        .info = is_whole ? info : NULL,
        .decode = is_whole ? decode : NULL,
        .encode = encodes ? encode : NULL,
        .repack = repacks ? repack : NULL,
    };
    if (wire->bad || !codec->table.syntaxes || !codec->table.cap.name)
        return hl_fail(HILUM_EINVAL, "codec %s: a table that cannot be read", name ? name : "");
    *cap = &codec->table.cap;
    *instance = codec;
    return HILUM_OK;
}
