/* Decoding by codec-jpeg. SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/codec/target.h"
