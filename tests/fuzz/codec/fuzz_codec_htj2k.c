/* Headers as codec-htj2k reads them. OpenJPH 0.9 writes into freed memory on some damaged streams, so that decoding is nothing
 * a process survives: fuzz_codec_htj2k_worker.c does it in one that may die. SPDX-License-Identifier: Apache-2.0 */
#define HEADERS_ONLY
#include "tests/fuzz/codec/target.h"
