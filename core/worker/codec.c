/* Calls of a codec. Code streams and pixels lie in the shared memory; what the plugin does to them there harms
 * nobody but itself. SPDX-License-Identifier: Apache-2.0 */

#include "core/base/error.h"
#include "core/worker/worker.h"

/* The server sends a code stream as one piece, whatever fragments it came in. */
struct stream {
    struct hilum_fragment fragment;
    struct hilum_frame declared;
    struct hilum_coded coded;
};

/* The code stream lies at the start of the shared memory; `s` points into it and into self->in. */
static hilum_rc read_stream(struct hilum_self *self, struct stream *s)
{
    *s = (struct stream){.declared = {.size = sizeof s->declared}};
    s->fragment.n = hl_wire_u64(&self->in);
    s->fragment.bytes = worker_memory(self, 0, s->fragment.n);
    const char *syntax = hl_wire_text(&self->in);
    bool has_frame = hl_wire_u32(&self->in) != 0;
    hl_wire_frame(&self->in, &s->declared);
    s->coded = (struct hilum_coded){.size = sizeof s->coded,
                                    .n_fragments = 1,
                                    .fragments = &s->fragment,
                                    .transfer_syntax = syntax,
                                    .declared = has_frame ? &s->declared : NULL};
    if (self->in.bad || !s->fragment.bytes || !syntax)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    return HILUM_OK;
}

/* The results are sent even if the plugin failed: the server looks at the outcome first. */
static hilum_rc info(const struct hilum_codec *codec, void *instance, struct hilum_self *self)
{
    struct stream s;
    struct hilum_frame frame = {.size = sizeof frame};
    struct hilum_code_info out = {.size = sizeof out, .frame = &frame};
    hilum_rc rc = read_stream(self, &s);
    if (rc != HILUM_OK)
        return rc;
    rc = codec->info(instance, &s.coded, &out);
    out.frame = NULL; /* an address of ours says nothing over there */
    hl_wire_put_bytes(&self->out, &out, sizeof out);
    hl_wire_put_frame(&self->out, &frame);
    return rc;
}

/* hilum_decode travels as bytes: it has no pointers. */
static hilum_rc decode(const struct hilum_codec *codec, void *instance, struct hilum_self *self)
{
    struct stream s;
    struct hilum_decode wanted;
    struct hilum_frame out = {.size = sizeof out};
    hilum_rc rc = read_stream(self, &s);
    if (rc != HILUM_OK)
        return rc;
    bool has_wish = hl_wire_u32(&self->in) != 0;
    hl_wire_bytes(&self->in, &wanted, sizeof wanted);
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    void *dst = worker_memory(self, at, size);
    if (self->in.bad || !dst)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    rc = codec->decode(instance, &s.coded, has_wish ? &wanted : NULL, dst, size, &out);
    hl_wire_put_frame(&self->out, &out);
    return rc;
}

/* ---- encode ---- */

/* The struct without its pointer, the text it points to, the length of what was written. */
static void put_encoded(struct hilum_self *self, const struct hilum_encoded *done,
                        const struct worker_target *target)
{
    struct hilum_encoded plain = *done;
    plain.method = NULL;
    hl_wire_put_bytes(&self->out, &plain, sizeof plain);
    hl_wire_put_text(&self->out, done->method);
    hl_wire_put_u64(&self->out, target->n);
}

/* Pixels first in the shared memory, the code stream is written behind them. How long it may get
 * is the server's choice (`size`). */
static hilum_rc encode(const struct hilum_codec *codec, void *instance, struct hilum_self *self)
{
    struct hilum_frame frame = {.size = sizeof frame};
    struct hilum_encode wanted;
    struct hilum_encoded done = {.size = sizeof done};
    hl_wire_frame(&self->in, &frame);
    uint64_t n = hl_wire_u64(&self->in);
    hl_wire_bytes(&self->in, &wanted, sizeof wanted);
    wanted.transfer_syntax = hl_wire_text(&self->in);
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    const void *src = worker_memory(self, 0, n);
    struct worker_target target = {worker_memory(self, at, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    if (self->in.bad || !src || !target.bytes)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    if (!codec->encode)
        return hl_fail(HILUM_EUNSUP, "this codec only decodes");
    hilum_rc rc = codec->encode(instance, &frame, src, n, &wanted, &sink, &done);
    put_encoded(self, &done, &target);
    return rc;
}

/* ---- repack ---- */

static bool can_repack(const struct hilum_codec *codec)
{
    return HILUM_HAS(struct hilum_codec, codec->cap.size, repack) && codec->repack;
}

/* As encode: the stream first, what becomes of it behind, in as much room as the server gives. */
static hilum_rc repack(const struct hilum_codec *codec, void *instance, struct hilum_self *self)
{
    struct stream s;
    struct hilum_encoded done = {.size = sizeof done};
    hilum_rc rc = read_stream(self, &s);
    if (rc != HILUM_OK)
        return rc;
    const char *to = hl_wire_text(&self->in);
    uint64_t at = hl_wire_u64(&self->in), size = hl_wire_u64(&self->in);
    struct worker_target target = {worker_memory(self, at, size), 0, size};
    struct hilum_sink sink = {.size = sizeof sink, .write = worker_take, .ctx = &target};
    if (self->in.bad || !to || !target.bytes)
        return hl_fail(HILUM_EINVAL, "a call that cannot be read");
    if (!can_repack(codec))
        return hl_fail(HILUM_EUNSUP, "this codec repacks nothing");
    rc = codec->repack(instance, &s.coded, to, &sink, &done);
    put_encoded(self, &done, &target);
    return rc;
}

hilum_rc worker_codec(const struct worker_cap *cap, uint32_t op, struct hilum_self *self)
{
    const struct hilum_codec *codec = (const struct hilum_codec *)(const void *)cap->cap;
    switch (op) {
    case HL_OP_CODEC_INFO: return info(codec, cap->instance, self);
    case HL_OP_CODEC_DECODE: return decode(codec, cap->instance, self);
    case HL_OP_CODEC_ENCODE: return encode(codec, cap->instance, self);
    case HL_OP_CODEC_REPACK: return repack(codec, cap->instance, self);
    default: return hl_fail(HILUM_EUNSUP, "operation %u is none of a codec", op);
    }
}
