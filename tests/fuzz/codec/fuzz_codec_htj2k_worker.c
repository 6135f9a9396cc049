/* Decoding by codec-htj2k in a worker: what OpenJPH does to its process must reach the server as an error and as nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#define IN_WORKER
#include "tests/fuzz/codec/target.h"
