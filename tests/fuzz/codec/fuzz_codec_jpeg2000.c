/* Decoding by codec-jpeg2000. SPDX-License-Identifier: Apache-2.0 */
#define LIBRARY_DIES
#include "tests/fuzz/codec/target.h"
