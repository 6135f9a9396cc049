/* The best codec that can. Codecs are plugins and are not believed: what was asked for without
 * loss and came with it is refused, as is a stream no item can hold.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/encode.h"

#include "core/base/error.h"
#include "core/dicom/uid.h"

struct call {
    const struct hl_native *native;
    const struct hilum_encode *wanted;
    bool may_lose;
    struct hl_buf *stream;
    struct hilum_encoded *done;
};

static hilum_rc check_length(const struct hl_buf *stream)
{
    return stream->len > 0 && stream->len <= HL_STREAM_MAX
               ? HILUM_OK
               : hl_fail(HILUM_EUNSUP, "a code stream of %zu bytes", stream->len);
}

/* Asked for no loss and told of loss: the codec is not believed, the pixels stay as they are. */
static hilum_rc ask(void *arg, const struct hilum_codec *codec, void *instance)
{
    const struct call *call = arg;
    const struct hl_native *native = call->native;
    struct hl_buf *stream = call->stream;
    struct hilum_sink sink = {.size = sizeof sink, .write = hl_buf_sink, .ctx = stream};
    *call->done = (struct hilum_encoded){.size = sizeof *call->done};
    hl_buf_clear(stream);
    hilum_rc rc = codec->encode(instance, native->frame, native->pixels, native->n, call->wanted,
                                &sink, call->done);
    if (rc == HILUM_OK && call->done->is_lossy && !call->may_lose)
        rc = hl_fail(HILUM_EUNSUP, "the codec of %s loses",
                     hl_uid_name(call->wanted->transfer_syntax));
    return rc == HILUM_OK ? check_length(stream) : rc;
}

hilum_rc hl_encode_frame(const struct hl_codecs *codecs, const struct hl_native *native,
                         const struct hilum_encode *wanted, bool may_lose, struct hl_buf *stream,
                         struct hilum_encoded *done)
{
    uint32_t flags = HILUM_CODEC_ENCODES | (may_lose ? 0 : HILUM_CODEC_LOSSLESS);
    struct call call = {native, wanted, may_lose, stream, done};
    return hl_codecs_ask(codecs, wanted->transfer_syntax, flags, ask, &call);
}

/* ---- as it is ---- */

struct repacking {
    const struct hilum_coded *coded;
    const char *to;
    struct hl_buf *stream;
};

static hilum_rc ask_repack(void *arg, const struct hilum_codec *codec, void *instance)
{
    const struct repacking *call = arg;
    struct hilum_sink sink = {.size = sizeof sink, .write = hl_buf_sink, .ctx = call->stream};
    struct hilum_encoded done = {.size = sizeof done};
    if (!HILUM_HAS(struct hilum_codec, codec->cap.size, repack) || !codec->repack)
        return hl_fail(HILUM_EUNSUP, "%s repacks nothing", codec->cap.name);
    hl_buf_clear(call->stream);
    hilum_rc rc = codec->repack(instance, call->coded, call->to, &sink, &done);
    return rc == HILUM_OK ? check_length(call->stream) : rc;
}

/* Whoever knows the syntax that holds the other one is asked, whichever way it goes. */
hilum_rc hl_repack_frame(const struct hl_codecs *codecs, const struct hl_code_stream *given,
                         const char *to, struct hl_buf *stream)
{
    const struct hilum_fragment fragment = {given->bytes, given->n};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = given->transfer_syntax,
                                      .declared = given->declared};
    struct repacking call = {&coded, to, stream};
    return hl_codecs_ask(codecs, HL_UID_JPEG_XL_OF_JPEG, HILUM_CODEC_REPACKS, ask_repack, &call);
}
