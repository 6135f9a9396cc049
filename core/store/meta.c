/* The head of the files we keep: preamble and file meta information (PS3.10 7.1), and the objects' keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/hex.h"
#include "core/dicom/uid.h"

/* Little endian, as file meta information always is. */
static void u16(struct hl_buf *out, unsigned value)
{
    hl_buf_byte(out, (uint8_t)value);
    hl_buf_byte(out, (uint8_t)(value >> 8));
}

/* (0002,number) in explicit VR with a short length. */
static void element(struct hl_buf *out, unsigned number, const char *vr, const char *text)
{
    size_t n = strlen(text);
    u16(out, 0x0002);
    u16(out, number);
    hl_buf_text(out, vr);
    u16(out, (unsigned)(n + (n & 1)));
    hl_buf_text(out, text);
    if (n & 1) /* UIDs are padded with NUL, text with a space (PS3.5 6.2) */
        hl_buf_byte(out, strcmp(vr, "UI") == 0 ? 0 : ' ');
}

/* Ours alone, for a rebuild. A space after it where it is odd: JSON does not mind. */
static void origin_add(struct hl_buf *out, const struct hl_buf *origin)
{
    size_t n = origin->len + (origin->len & 1);
    static const uint8_t head[] = {2, 0, 2, 1, 'O', 'B', 0, 0};
    element(out, 0x0100, "UI", HL_UID_IMPLEMENTATION);
    hl_buf_add(out, head, sizeof head);
    u16(out, (unsigned)n & 0xFFFF);
    u16(out, (unsigned)(n >> 16));
    hl_buf_add(out, origin->data, origin->len);
    if (origin->len & 1)
        hl_buf_byte(out, ' ');
    out->failed = out->failed || origin->failed;
}

/* Group length (0002,0000) first, as required; the private fields of the sender's own head are
 * not taken over. (0002,0016) names who sent the object to us, for whoever finds the file
 * without a catalogue. A few hundred bytes, known before the data set is: so it can be written
 * first and never again. */
void hl_meta_write(const char *sop_class, const char *sop_instance, const char *transfer_syntax,
                   const char *source_aet, const struct hl_buf *origin, struct hl_buf *out)
{
    static const uint8_t version[] = {2, 0, 1, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1};
    struct hl_buf group = {0};
    hl_buf_add(&group, version, sizeof version);
    element(&group, 0x0002, "UI", sop_class);
    element(&group, 0x0003, "UI", sop_instance);
    element(&group, 0x0010, "UI", transfer_syntax);
    element(&group, 0x0012, "UI", HL_UID_IMPLEMENTATION);
    element(&group, 0x0013, "SH", "HILUM_" HILUM_VERSION);
    if (source_aet != NULL && source_aet[0] != '\0')
        element(&group, 0x0016, "AE", source_aet);
    if (origin != NULL && (origin->len > 0 || origin->failed))
        origin_add(&group, origin);

    static const uint8_t preamble[128];
    hl_buf_add(out, preamble, sizeof preamble);
    hl_buf_text(out, "DICM");
    static const uint8_t length[] = {2, 0, 0, 0, 'U', 'L', 4, 0};
    hl_buf_add(out, length, sizeof length);
    u16(out, (unsigned)group.len & 0xFFFF);
    u16(out, (unsigned)(group.len >> 16));
    hl_buf_add(out, group.data, group.len);
    out->failed = out->failed || group.failed;
    hl_buf_fini(&group);
}

/* A directory a minute: it never grows beyond what a minute brings, and the one in use is in
 * the cache. Milliseconds of it lead the name, so that a rebuild knows the order of arrival
 * whatever became of the file. UTC, so that a change to summer time gives no hour twice. The
 * 64 random bits keep keys apart, also those of two servers whose stores are merged one day. */
void hl_key_make(char out[201])
{
    uint8_t random[8];
    char hex[2 * sizeof random + 1], minute[32];
    struct tm tm;
    int64_t now_us = hl_now_us();
    time_t now = (time_t)(now_us / 1000000);
    gmtime_r(&now, &tm);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        int64_t ns = hl_mono_ns(); /* never seen; begin refuses a key that is taken */
        memcpy(random, &ns, sizeof ns);
    }
    hl_hex(random, sizeof random, hex);
    strftime(minute, sizeof minute, "%Y/%m/%d/%H%M", &tm);
    snprintf(out, 201, "%s/%05d-%s.dcm", minute, (int)(now_us / 1000 % 60000), hex);
}

/* n digits and what stands behind them; *at moves on. */
static bool digits_read(const char **at, size_t n, char after, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        *out = *out * 10 + (c - '0');
    }
    if ((*at)[n] != after)
        return false;
    *at += n + 1;
    return true;
}

void hl_key_time(const char *key, int64_t *minute_us, int64_t *began_us)
{
    struct tm tm = {0};
    int hour_minute = 0, ms = 0;
    *minute_us = *began_us = 0;
    if (!digits_read(&key, 4, '/', &tm.tm_year) || !digits_read(&key, 2, '/', &tm.tm_mon) ||
        !digits_read(&key, 2, '/', &tm.tm_mday) || !digits_read(&key, 4, '/', &hour_minute))
        return;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    tm.tm_hour = hour_minute / 100;
    tm.tm_min = hour_minute % 100;
    *minute_us = (int64_t)timegm(&tm) * 1000000;
    if (digits_read(&key, 5, '-', &ms) && ms < 60000)
        *began_us = *minute_us + ms * INT64_C(1000);
}
