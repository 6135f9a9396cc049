/* A data set in one uncompressed transfer syntax becomes the same data set in another, as it streams by: what a
 * peer needs that takes only one of them. Values keep their bytes (but for their order), lengths of sequences
 * become undefined, group lengths go (retired, PS3.5 7.2). Knows nothing of files and of attributes' meaning.
 *
 * It writes undefined lengths because it streams: the length of a sequence would have to be
 * known before its items are converted.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_RECODE_H
#define HL_STORE_RECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

struct hl_recode; /* one thread at a time; some 10 KiB, 300 more where deflate is involved */

/* Are both uncompressed (PS3.5 A.1, A.2, A.3, A.5), so that one can become the other? True for twice the same. */
bool hl_recode_can(const char *from, const char *to);

/* `vr`: the dictionary, "UN" for what it does not know, private creators LO. HILUM_EUNSUP: hl_recode_can says
 * no; HILUM_ENOMEM. */
hilum_rc hl_recode_new(const char *from, const char *to, const char *(*vr)(uint32_t tag),
                       struct hl_recode **out);
/* Takes bytes in order and appends what they became: at most two bytes out for one in, or a thousand where
 * the source is deflated. HILUM_EINVAL: nested content that has no next element, by tag and offset;
 * HILUM_EUNSUP: pixel data in fragments; HILUM_ENOMEM. After an error every call returns one. */
hilum_rc hl_recode_feed(struct hl_recode *recode, const void *bytes, size_t n, struct hl_buf *out);
/* No more bytes: pixel data or trailing padding cut short stay so, anything else is HILUM_EINVAL. */
hilum_rc hl_recode_end(struct hl_recode *recode, struct hl_buf *out);
/* NULL is fine. */
void hl_recode_free(struct hl_recode *recode);

/* For who only wants to know whether it can be done: of the bytes to come, so many are of a value and may be
 * left out by hl_recode_skip instead of being fed (n at most that). What is put out then is no data set. */
uint64_t hl_recode_ahead(const struct hl_recode *recode);
void hl_recode_skip(struct hl_recode *recode, uint64_t n);
/* Bytes that are missing in what was put out because of that: with them it is as long as the data set would be, if that is
 * not deflated. */
uint64_t hl_recode_skipped(const struct hl_recode *recode);

#endif
