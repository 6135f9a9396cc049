/* The log beside the objects is read back.
 *
 * Of the objects that hold everything the newest sound one counts, then every later one with
 * changes, in order. What is not whole is left out: its end was never durable, so nobody was
 * promised anything by it. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/hex.h"
#include "core/base/log.h"

static const char DIGEST[] = ",\"d\":\"";
/* The last line has some 70 bytes. */
enum { END_BYTES = 128, PIECE = 256 * 1024 };

struct reading {
    struct hl_store *store;
    const struct hl_log_key *key;
    uint64_t end; /* bytes of lines, before the digest */
    char hex[33]; /* it says */
    struct hl_buf rest;
};

/* HILUM_ECORRUPT: cut short. */
static hilum_rc end_read(struct reading *reading)
{
    const struct hl_log_key *key = reading->key;
    char text[END_BYTES + 1] = "";
    uint64_t from = key->length > END_BYTES ? key->length - END_BYTES : 0, got = 0, said = 0;
    hilum_rc rc =
        key->provider->table->read(key->provider->instance, key->key, from, text, END_BYTES, &got);
    if (rc != HILUM_OK)
        return rc;
    text[got] = '\0';
    char *end = strstr(text, HL_LOG_END), *rest = NULL;
    if (end != NULL) {
        reading->end = from + (uint64_t)(end - text);
        said = strtoull(end + strlen(HL_LOG_END), &rest, 10);
    }
    if (rest == NULL || said != reading->end || strncmp(rest, DIGEST, strlen(DIGEST)) != 0 ||
        strlen(rest) != strlen(DIGEST) + 32 + strlen("\"}\n"))
        return hl_fail(HILUM_ECORRUPT, "%s: cut short", key->key);
    memcpy(reading->hex, rest + strlen(DIGEST), 32);
    return HILUM_OK;
}

static hilum_rc digest_check(const struct reading *reading)
{
    uint8_t digest[16];
    char hex[33] = "";
    hilum_rc rc =
        hl_digest_object(reading->key->provider, reading->key->key, 0, reading->end, digest);
    if (rc == HILUM_OK)
        hl_hex(digest, sizeof digest, hex);
    if (rc == HILUM_OK && strcmp(hex, reading->hex) != 0)
        rc = hl_fail(HILUM_ECORRUPT, "%s: digest differs", reading->key->key);
    return rc;
}

/* Whole lines of what has been read; the rest waits for its end. */
static hilum_rc lines_put(struct reading *reading)
{
    struct hl_buf *buf = &reading->rest;
    const char *last = buf->len > 0 ? memrchr(buf->data, '\n', buf->len) : NULL;
    size_t n = last != NULL ? (size_t)(last + 1 - buf->data) : 0;
    hilum_rc rc =
        n > 0 ? hl_record_restore_put(reading->store->record, reading->key->number, buf->data, n)
              : HILUM_OK;
    if (n > 0)
        memmove(buf->data, buf->data + n, buf->len - n);
    buf->len -= n;
    return rc;
}

/* Two passes: the digest first, so that no line of a rotten object is believed. Memory is a
 * piece and a line. */
static hilum_rc object_put(struct hl_store *store, const struct hl_log_key *key)
{
    struct reading reading = {.store = store, .key = key};
    hilum_rc rc = end_read(&reading);
    if (rc == HILUM_OK)
        rc = digest_check(&reading);
    for (uint64_t at = 0; rc == HILUM_OK && at < reading.end;) {
        uint64_t n = reading.end - at < PIECE ? reading.end - at : PIECE, got = 0;
        if (!hl_buf_reserve(&reading.rest, n))
            rc = hl_fail(HILUM_ENOMEM, "no memory for the log");
        else
            rc = key->provider->table->read(key->provider->instance, key->key, at,
                                            reading.rest.data + reading.rest.len, n, &got);
        if (rc == HILUM_OK && got == 0)
            rc = hl_fail(HILUM_ECORRUPT, "%s: ends early", key->key);
        reading.rest.len += got;
        at += got;
        if (rc == HILUM_OK)
            rc = lines_put(&reading);
    }
    hl_buf_fini(&reading.rest);
    return rc;
}

/* One that a crash cut short was promised to nobody. */
static hilum_rc object_try(struct hl_store *store, const struct hl_log_key *key, bool *is_sound)
{
    hilum_rc rc = object_put(store, key);
    *is_sound = rc == HILUM_OK;
    if (rc != HILUM_ECORRUPT)
        return rc;
    hl_log(HL_WARN, "store", "rebuild: left out: %s", hl_error());
    return HILUM_OK;
}

/* The numbers order them across stores: what lay in the default store of then is read like
 * that of now. */
hilum_rc hl_log_put(struct hl_store *store, const struct hl_log_keys *keys, bool *has_whole)
{
    uint64_t from = 0;
    bool is_sound = false;
    hilum_rc rc = HILUM_OK;
    *has_whole = false;
    for (size_t i = keys->n; i-- > 0 && rc == HILUM_OK && !*has_whole;) {
        if (!keys->items[i].is_whole)
            continue;
        rc = object_try(store, &keys->items[i], has_whole);
        from = *has_whole ? keys->items[i].number : 0;
    }
    for (size_t i = 0; i < keys->n && rc == HILUM_OK; i++)
        if (keys->items[i].number > from && !keys->items[i].is_whole)
            rc = object_try(store, &keys->items[i], &is_sound);
    return rc;
}
