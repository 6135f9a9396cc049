/* The attributes whose VR is "US or SS" (PS3.6).
 *
 * Found in the registry of data elements of PS3.6 by their VR column; a new edition may add
 * some, and an implicit data set with one of those says US until it is added here.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/recode_internal.h"

bool hl_recode_is_us_or_ss(uint32_t tag)
{
    static const uint32_t tags[] = {
        0x00189810, 0x00221452, 0x00280071, 0x00280104, 0x00280105, 0x00280106, 0x00280107,
        0x00280108, 0x00280109, 0x00280110, 0x00280111, 0x00280120, 0x00280121, 0x00281100,
        0x00281101, 0x00281102, 0x00281103, 0x00281111, 0x00281112, 0x00281113, 0x00283002,
        0x00409211, 0x00409216, 0x00603004, 0x00603006,
    };
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        if (tags[i] == tag)
            return true;
    return false;
}
