/* Bytes as hexadecimal digits, lower case, as digests and names made of chance are written. Pure; any thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BASE_HEX_H
#define HL_BASE_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* 2 * n digits and a NUL. */
void hl_hex(const void *bytes, size_t n, char *out);
/* The n bytes that 2 * n digits say. false: another character is among them, and `out` is as it was. */
bool hl_hex_read(const char *hex, size_t n, void *out);

#endif
