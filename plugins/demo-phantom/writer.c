/* A minimal writer of explicit VR little endian Part 10 files.
 * SPDX-License-Identifier: Apache-2.0 */
#include "phantom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void file_clear(struct file *file)
{
    file->n = 0;
    file->failed = 0;
}

void file_fini(struct file *file)
{
    free(file->bytes);
    *file = (struct file){0};
}

/* The pointer is good until the next call, which may move all of it. */
static uint8_t *reserve(struct file *file, size_t n)
{
    if (file->n + n > file->cap) {
        size_t cap = file->cap ? file->cap : 65536;
        while (cap < file->n + n)
            cap *= 2;
        uint8_t *bytes = realloc(file->bytes, cap);
        if (!bytes) {
            file->failed = 1;
            return NULL;
        }
        file->bytes = bytes;
        file->cap = cap;
    }
    uint8_t *at = file->bytes + file->n;
    file->n += n;
    return at;
}

static void put_bytes(struct file *file, const void *bytes, size_t n)
{
    uint8_t *at = reserve(file, n);
    if (at && n)
        memcpy(at, bytes, n);
}

static void put_le(struct file *file, uint64_t value, size_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put_bytes(file, bytes, n);
}

static int is_long_vr(const char vr[2])
{
    static const char *const long_vrs[] = {"OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OD", "OF"};
    for (size_t i = 0; i < sizeof long_vrs / sizeof *long_vrs; i++)
        if (memcmp(long_vrs[i], vr, 2) == 0)
            return 1;
    return 0;
}

static void put_head(struct file *file, uint32_t tag, const char vr[2], size_t length)
{
    put_le(file, tag >> 16, 2);
    put_le(file, tag & 0xFFFF, 2);
    put_bytes(file, vr, 2);
    if (is_long_vr(vr)) {
        put_le(file, 0, 2);
        put_le(file, length, 4);
    } else {
        put_le(file, length, 2);
    }
}

void put_text(struct file *file, uint32_t tag, const char vr[2], const char *text)
{
    size_t n = strlen(text);
    put_head(file, tag, vr, n + (n & 1));
    put_bytes(file, text, n);
    if (n & 1)
        put_bytes(file, memcmp(vr, "UI", 2) == 0 ? "\0" : " ", 1);
}

void put_us(struct file *file, uint32_t tag, uint16_t value)
{
    put_head(file, tag, "US", 2);
    put_le(file, value, 2);
}

void put_at(struct file *file, uint32_t tag, uint32_t value)
{
    put_head(file, tag, "AT", 4);
    put_le(file, value >> 16, 2);
    put_le(file, value & 0xFFFF, 2);
}

void put_empty_sequence(struct file *file, uint32_t tag)
{
    put_head(file, tag, "SQ", 0);
}

void put_double(struct file *file, uint32_t tag, double value)
{
    char text[17]; /* DS: at most 16 bytes */
    snprintf(text, sizeof text, "%.6g", value);
    put_text(file, tag, "DS", text);
}

uint8_t *put_pixels(struct file *file, const char vr[2], size_t n)
{
    put_head(file, 0x7FE00010, vr, n + (n & 1));
    uint8_t *at = reserve(file, n + (n & 1));
    if (at && (n & 1))
        at[n] = 0;
    return at;
}

/* The group's length is filled in when the group is there (PS3.10 7.1). */
void file_begin(struct file *file, const char *sop_class, const char *sop_instance)
{
    uint8_t *preamble = reserve(file, 128);
    if (preamble)
        memset(preamble, 0, 128);
    put_bytes(file, "DICM", 4);
    put_head(file, 0x00020000, "UL", 4);
    size_t length_at = file->n;
    put_le(file, 0, 4);
    put_head(file, 0x00020001, "OB", 2);
    put_le(file, 0x0100, 2);
    put_text(file, 0x00020002, "UI", sop_class);
    put_text(file, 0x00020003, "UI", sop_instance);
    put_text(file, 0x00020010, "UI", "1.2.840.10008.1.2.1");
    char implementation[UID_SIZE];
    make_uid("hilum demo-phantom", implementation);
    put_text(file, 0x00020012, "UI", implementation);
    put_text(file, 0x00020013, "SH", "HILUM_DEMO");
    size_t end = file->n;
    file->n = length_at;
    put_le(file, end - length_at - 4, 4);
    file->n = end;
}
