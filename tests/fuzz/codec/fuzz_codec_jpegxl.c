/* Decoding by codec-jpegxl. libjxl tells standard error what it thinks of each damaged stream, which is thousands here.
 * SPDX-License-Identifier: Apache-2.0 */
#define LIBRARY_TALKS
#include "tests/fuzz/codec/target.h"
