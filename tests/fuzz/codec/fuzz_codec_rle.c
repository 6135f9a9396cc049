/* Decoding by codec-rle. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/codec/target.h"
