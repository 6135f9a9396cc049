/* DCMTK's opinion of a conversion. For tests only. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_RECODE_JUDGE_H
#define TEST_RECODE_JUDGE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Both data sets as DCMTK parses them: `source` converted by DCMTK, and `converted`. "" when they have the same
 * elements and values, "not judged" when DCMTK cannot, else the first difference. Static per thread. */
const char *recode_judge(const void *source, size_t n_source, const char *from,
                         const void *converted, size_t n_converted, const char *to);

#ifdef __cplusplus
}
#endif
#endif
