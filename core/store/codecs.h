/* How this folder reaches codecs: by transfer syntax, best first, whoever provides them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_CODECS_H
#define HL_STORE_CODECS_H

#include <stdbool.h>

#include "hilum/codec.h"

/* Lent by the server; outlives the store. `enter` and `leave` bracket every call of a codec. A
 * codec that is HILUM_SERIAL is held between enter and leave: others wait for it. */
struct hl_codecs {
    /* The codec number `rank` (0, 1 ...) that does all of flags with a syntax; NULL: no more. */
    const struct hilum_codec *(*find)(void *arg, const char *transfer_syntax, uint32_t flags,
                                      uint32_t rank, void **instance);
    void (*enter)(void *arg, const struct hilum_cap *cap);
    void (*leave)(void *arg, const struct hilum_cap *cap);
    void *arg;
};

/* May objects of this syntax leave in that uncompressed one, if there is a codec? */
bool hl_unpack_can(const char *from, const char *to);
/* May objects of this syntax be encoded to that one, if there is a codec? What would lose is asked for with may_lose. */
bool hl_pack_can(const char *from, const char *to, bool may_lose);
/* May objects of this syntax leave in that one with their very code streams, byte for byte, if there is a codec (JPEG in JPEG XL
 * and out of it)? */
bool hl_repack_can(const char *from, const char *to);

/* Bytes of one frame, coded or not. 2 GiB: libraries of codecs count bytes in 32 bits, some
 * with a sign. */
#define HL_FRAME_MAX ((uint64_t)2 << 30)

/* Asks the codec of each rank, between enter and leave, until one is neither in quarantine nor answers HILUM_EUNSUP.
 * HILUM_EUNSUP: none knows it. HILUM_ECLOSED: one in quarantine might have, the reason says what to do about it. `codecs`
 * may be NULL. */
hilum_rc hl_codecs_ask(const struct hl_codecs *codecs, const char *transfer_syntax, uint32_t flags,
                       hilum_rc (*ask)(void *arg, const struct hilum_codec *codec, void *instance),
                       void *arg);

#endif
