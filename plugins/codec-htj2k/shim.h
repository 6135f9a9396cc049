/* OpenJPH behind C: no exception and no type of it leaves shim.cc.
 *
 * Rows, not frames, pass between: OpenJPH works line by line, and no second copy of a picture
 * is needed.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SHIM_H
#define SHIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HT_OK = 0, HT_FAILED = 1, HT_NO_MEMORY = 2 };
/* Of the last call; the caller's memory. */
struct ht_complaint {
    char text[160];
};

/* A row of one component, `n` values. */
typedef void (*ht_put_row)(void *arg, uint32_t row, uint32_t component, const int32_t *values);
typedef void (*ht_get_row)(void *arg, uint32_t row, uint32_t component, int32_t *values);

struct ht_decode {
    const uint8_t *bytes;
    size_t n;
    uint32_t columns, rows, components, reduce; /* what the header says it comes to */
    bool is_resilient;                          /* what is broken yields what there is */
    ht_put_row put;
    void *arg;
};
/* HT_OK, HT_FAILED with a complaint, HT_NO_MEMORY. Rows that came before a failure were put. */
int ht_decode(const struct ht_decode *job, struct ht_complaint *complaint);

/* delta: of the sample's range, so that it means the same for every depth. */
struct ht_encode {
    uint32_t columns, rows, components, bits, levels;
    bool is_signed, is_mixed;         /* mixed: colour transform */
    double delta;                     /* quantisation step, 0: reversible */
    uint32_t tile_width, tile_height; /* 0: one tile */
    ht_get_row get;
    void *arg;
    int (*write)(void *ctx, const void *bytes, size_t n); /* 0: taken */
    void *ctx;
};
int ht_encode(const struct ht_encode *job, struct ht_complaint *complaint);

#ifdef __cplusplus
}
#endif
#endif
