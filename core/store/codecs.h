/* How this folder reaches codecs: by transfer syntax, best first, whoever provides them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_CODECS_H
#define HL_STORE_CODECS_H

#include "hilum/codec.h"

/* Lent by the server; outlives the store. `enter` and `leave` bracket every call of a codec. */
struct hl_codecs {
    /* The codec number `rank` (0, 1 ...) that does all of flags with a syntax; NULL: no more. */
    const struct hilum_codec *(*find)(void *arg, const char *transfer_syntax, uint32_t flags,
                                      uint32_t rank, void **instance);
    void (*enter)(void *arg, const struct hilum_cap *cap);
    void (*leave)(void *arg, const struct hilum_cap *cap);
    void *arg;
};

#endif
