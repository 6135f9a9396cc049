/* One native frame becomes one code stream, through whatever codecs the server lends: for objects that leave or lie encoded
 * (pack.c), and for frames asked for one by one. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_ENCODE_H
#define HL_STORE_ENCODE_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/store/codecs.h"

/* Bytes of a code stream, as an item has room for them (PS3.5 A.4). */
#define HL_STREAM_MAX ((uint64_t)UINT32_MAX - 8)

/* A frame's pixels and what they are; borrowed for the call. */
struct hl_native {
    const struct hilum_frame *frame;
    const void *pixels;
    uint64_t n;
};

/* Replaces what is in `stream`; *done is what the codec says of it. Any thread. HILUM_EUNSUP: no codec has such an
 * encoding, keeps such pixels, or, without may_lose, keeps all of them; HILUM_ECLOSED: as of hl_codecs_ask; HILUM_ENOMEM. */
hilum_rc hl_encode_frame(const struct hl_codecs *codecs, const struct hl_native *native,
                         const struct hilum_encode *wanted, bool may_lose, struct hl_buf *stream,
                         struct hilum_encoded *done);

/* A frame's code stream in one piece, and what its data set says of it; borrowed for the call. */
struct hl_code_stream {
    const char *transfer_syntax;
    const struct hilum_frame *declared;
    const void *bytes;
    uint64_t n;
};

/* The same for a code stream that is told in another syntax as it is (hl_repack_can). Replaces what is in `stream`. Any thread.
 * HILUM_EUNSUP: no codec can, or not this stream; HILUM_ECORRUPT, HILUM_ECLOSED, HILUM_ENOMEM. */
hilum_rc hl_repack_frame(const struct hl_codecs *codecs, const struct hl_code_stream *given,
                         const char *to, struct hl_buf *stream);

#endif
