/* A stored object on its way out: mapped where the store can, spliced where there are
 * corrections, and digested before the last piece leaves.
 *
 * One thread at a time. What is read lies in a hold from the open on, so that it is not erased
 * meanwhile. Several layers may lie over the stored bytes: corrections (splice), decoding (a
 * splice over it), conversion (recode), encoding (pack); without any, pieces are the mapped file
 * itself. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/dicom/uid.h"
#include "core/store/frame_cache.h"
#include "core/store/mappings.h"
#include "core/store/recode.h"

/* CHECK_STEP: small, as a check skips values and so reads heads only. HELD_BACK: see
 * recoded_next. VERIFY_MAX: 16 MiB are digested in a few milliseconds when they are in memory.
 * PLAIN_PIECE: bytes given to one write; more saves nothing. */
enum { CHECK_STEP = 4096, HELD_BACK = 8, VERIFY_MAX = 16 * 1024 * 1024, PLAIN_PIECE = 1024 * 1024 };

/* ---- bytes ---- */

/* Objects are immutable, so a map stays whole; one that is shorter than recorded is not mapped
 * at all. The descriptor is closed at once: however many objects are under way, they need maps
 * and no descriptors. Failure of any step is none: the object is read instead. True: it is mapped,
 * and a file of its own with the recorded length, so that the store need not be asked for that. */
static bool map_try(struct hl_outgoing *outgoing)
{
    const struct hilum_store *table = outgoing->provider->table;
    const struct hl_location *location = &outgoing->stored.location;
    int32_t fd = -1;
    uint64_t offset = 0;
    struct stat st;
    if (!HILUM_HAS(struct hilum_store, table->cap.size, open_fd) || table->open_fd == NULL ||
        outgoing->length == 0 ||
        table->open_fd(outgoing->provider->instance, location->key, &fd, &offset) != HILUM_OK)
        return false;
    uint64_t first = offset + location->dataset_offset;
    uint64_t start = first & ~(uint64_t)0xFFFF; /* a multiple of every page size in use */
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size >= offset + location->length) {
        size_t size = (size_t)(first + outgoing->length - start);
        outgoing->map = hl_mappings_take(outgoing->store->mappings, fd, &st, start, size);
        if (outgoing->map != NULL) {
            outgoing->bytes = outgoing->map->at + (first - start);
            outgoing->stamp = hl_verified_stamp(&outgoing->stored, &st);
        }
    }
    close(fd);
    return outgoing->map != NULL && offset == 0 && (uint64_t)st.st_size == location->length;
}

uint64_t hl_outgoing_stored_length(const struct hl_outgoing *outgoing)
{
    return outgoing->length;
}

hilum_rc hl_outgoing_read_stored(struct hl_outgoing *outgoing, uint64_t at, void *dst, uint64_t n)
{
    const struct hl_location *location = &outgoing->stored.location;
    uint64_t got = 0;
    if (at > outgoing->length || n > outgoing->length - at)
        return hl_fail(HILUM_EINVAL, "read beyond the data set of %s", location->key);
    if (outgoing->bytes != NULL) {
        memcpy(dst, outgoing->bytes + at, n);
        return HILUM_OK;
    }
    hilum_rc rc = outgoing->provider->table->read(outgoing->provider->instance, location->key,
                                                  location->dataset_offset + at, dst, n, &got);
    if (rc == HILUM_OK && got != n)
        rc = hl_fail(HILUM_ECORRUPT, "object %s ends early", location->key);
    return rc;
}

hilum_rc hl_outgoing_read(struct hl_outgoing *outgoing, uint64_t at, void *dst, uint64_t n)
{
    return outgoing->inflated != NULL ? hl_inflated_read(outgoing->inflated, at, dst, (size_t)n)
                                      : hl_outgoing_read_stored(outgoing, at, dst, n);
}

/* For who reads all of it; once. */
static void populate(struct hl_outgoing *outgoing)
{
    if (outgoing->map != NULL && !outgoing->is_populated)
        hl_mapping_load(outgoing->map);
    outgoing->is_populated = true;
}

/* n bytes of the data set, borrowed until the next call. n <= HL_OUTGOING_PIECE. */
static hilum_rc bytes_at(struct hl_outgoing *outgoing, uint64_t at, size_t n, const uint8_t **out)
{
    if (outgoing->bytes != NULL && outgoing->inflated == NULL) {
        *out = outgoing->bytes + at;
        return HILUM_OK;
    }
    *out = outgoing->buffer;
    return hl_outgoing_read(outgoing, at, outgoing->buffer, n);
}

/* ---- is it what was stored? ---- */

/* HILUM_ECORRUPT, and told to the journal if it is an object of the catalogue. Every way to
 * find it ends here, once per object that is opened; a rule that listens to instance.corrupted
 * is told by the journal. */
static hilum_rc corrupted(struct hl_outgoing *outgoing, const char *why)
{
    if (outgoing->stored.instance_id != 0)
        hl_corrupted_publish(outgoing->store, &outgoing->stored, why);
    return hl_fail(HILUM_ECORRUPT, "%s at %s: %s", outgoing->stored.sop_instance,
                   outgoing->stored.location.key, why);
}

/* At most once per object that is opened; a sound one is remembered for a while (verified.c). */
static hilum_rc digest_check(struct hl_outgoing *outgoing)
{
    uint8_t digest[16];
    hl_digest_final(outgoing->hash, digest);
    XXH3_freeState(outgoing->hash);
    outgoing->hash = NULL;
    if (memcmp(digest, outgoing->stored.location.digest_stored, 16) == 0) {
        hl_verified_note(outgoing->store->verified, outgoing->stamp);
        return HILUM_OK;
    }
    return corrupted(outgoing, "digest differs");
}

/* Feeds the whole data set to a scan (and the digest): what a splice needs before its first byte. */
hilum_rc hl_outgoing_scan(struct hl_outgoing *outgoing, struct hl_scan *scan)
{
    hilum_rc rc = HILUM_OK;
    for (uint64_t at = 0; rc == HILUM_OK && at < outgoing->length;) {
        size_t n = outgoing->length - at < HL_OUTGOING_PIECE ? (size_t)(outgoing->length - at)
                                                             : HL_OUTGOING_PIECE;
        const uint8_t *bytes = NULL;
        rc = bytes_at(outgoing, at, n, &bytes);
        if (rc == HILUM_OK && outgoing->hash != NULL)
            XXH3_128bits_update(outgoing->hash, bytes, n);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(scan, bytes, n);
        at += n;
    }
    if (rc == HILUM_OK && outgoing->hash != NULL)
        rc = digest_check(outgoing);
    return rc == HILUM_OK ? hl_scan_end(scan) : rc;
}

/* The stored bytes are what was stored: said before they are read in another order than that
 * of the digest. A deflated object is read twice and out of order from here on, so it must be
 * known to be whole first. */
static hilum_rc stored_verify(struct hl_outgoing *outgoing)
{
    hilum_rc rc = HILUM_OK;
    for (uint64_t at = 0; rc == HILUM_OK && outgoing->hash != NULL && at < outgoing->length;) {
        size_t n = outgoing->length - at < HL_OUTGOING_PIECE ? (size_t)(outgoing->length - at)
                                                             : HL_OUTGOING_PIECE;
        const uint8_t *bytes = NULL;
        rc = bytes_at(outgoing, at, n, &bytes);
        if (rc == HILUM_OK)
            XXH3_128bits_update(outgoing->hash, bytes, n);
        at += n;
    }
    return rc == HILUM_OK && outgoing->hash != NULL ? digest_check(outgoing) : rc;
}

hilum_rc hl_outgoing_verify(struct hl_outgoing *outgoing)
{
    populate(outgoing);
    bool is_small = outgoing->bytes != NULL && outgoing->length <= VERIFY_MAX;
    return is_small && outgoing->cursor.at == 0 ? stored_verify(outgoing) : HILUM_OK;
}

/* Until fewer bytes come than fit: the end of the inflated data set. */
static hilum_rc scan_inflated(struct hl_outgoing *outgoing, struct hl_scan *scan)
{
    hilum_rc rc = HILUM_OK;
    for (size_t n = HL_OUTGOING_PIECE; rc == HILUM_OK && n == HL_OUTGOING_PIECE;) {
        rc = hl_inflated_next(outgoing->inflated, outgoing->buffer, HL_OUTGOING_PIECE, &n);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(scan, outgoing->buffer, n);
    }
    return rc == HILUM_OK ? hl_scan_end(scan) : rc;
}

/* Inflated twice, to find its elements and as it leaves, and from the start again for nested text: the price of a
 * memory that does not grow with the object. */
static hilum_rc deflated_open(struct hl_outgoing *outgoing, const struct hl_overlays *overlays)
{
    struct hl_scan *scan = NULL;
    hilum_rc rc = stored_verify(outgoing);
    if (rc == HILUM_OK && outgoing->buffer == NULL)
        outgoing->buffer = malloc(HL_OUTGOING_PIECE);
    if (rc == HILUM_OK && outgoing->buffer == NULL)
        rc = hl_fail(HILUM_ENOMEM, "no memory");
    if (rc == HILUM_OK)
        rc = hl_inflated_new(outgoing, &outgoing->inflated);
    if (rc == HILUM_OK)
        rc = hl_deflating_new(&outgoing->deflating);
    if (rc == HILUM_OK)
        rc = hl_scan_new(HL_UID_EXPLICIT_LITTLE_ENDIAN, NULL, &scan);
    if (rc == HILUM_OK)
        rc = scan_inflated(outgoing, scan);
    if (rc == HILUM_OK)
        rc = hl_overlay_plan(outgoing, outgoing->store, scan, overlays, &outgoing->splice);
    hl_scan_free(scan);
    return rc;
}

/* Reads the whole object before its first byte leaves: the price of a correction.
 * hl_outgoing_scan compares the digest as well: what is spliced was found sound before a piece
 * of it leaves. */
static hilum_rc splice_open(struct hl_outgoing *outgoing, const struct hl_overlays *overlays)
{
    struct hl_scan *scan = NULL;
    if (strcmp(outgoing->stored.transfer_syntax, HL_UID_DEFLATED_LITTLE_ENDIAN) == 0)
        return deflated_open(outgoing, overlays);
    hilum_rc rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = hl_outgoing_scan(outgoing, scan);
    if (rc == HILUM_OK)
        rc = hl_overlay_plan(outgoing, outgoing->store, scan, overlays, &outgoing->splice);
    hl_scan_free(scan);
    return rc;
}

/* ---- life ---- */

/* A catalogued object that is missing or has another length is corrupt, not absent. */
static hilum_rc length_check(struct hl_outgoing *outgoing)
{
    const struct hl_location *location = &outgoing->stored.location;
    struct hilum_object_info info = {0};
    hilum_rc rc =
        outgoing->provider->table->stat(outgoing->provider->instance, location->key, &info);
    if (rc == HILUM_ENOTFOUND)
        return corrupted(outgoing, "object is missing");
    if (rc == HILUM_OK && info.length != location->length)
        return corrupted(outgoing, "length differs");
    return rc;
}

/* The hold comes before the first look: an object that is there now stays there until the close,
 * while the record's location may be retired meanwhile. */
static hilum_rc outgoing_init(struct hl_outgoing *outgoing)
{
    const struct hl_location *location = &outgoing->stored.location;
    outgoing->provider = hl_provider_find(outgoing->store, location->store);
    if (outgoing->provider == NULL)
        return HILUM_ENOTFOUND;
    hl_hold_add(outgoing->store, &outgoing->hold, outgoing->provider, location->key);
    if (location->dataset_offset > location->length)
        return corrupted(outgoing, "length differs");
    outgoing->length = location->length - location->dataset_offset;
    hilum_rc rc = map_try(outgoing) ? HILUM_OK : length_check(outgoing);
    if (rc != HILUM_OK)
        return rc;
    if (outgoing->map == NULL)
        outgoing->buffer = malloc(HL_OUTGOING_PIECE);
    /* No hash, no digest: `hash` NULL stands for "verified" from here on. (Also where there
     * was no memory for one: reading goes on.) */
    if (!hl_verified_knows(outgoing->store->verified, outgoing->stamp))
        outgoing->hash = XXH3_createState();
    if (outgoing->hash != NULL)
        XXH3_128bits_reset(outgoing->hash);
    return outgoing->map != NULL || outgoing->buffer != NULL ? HILUM_OK
                                                             : hl_fail(HILUM_ENOMEM, "no memory");
}

/* On failure nothing is left open. */
hilum_rc hl_outgoing_of(struct hl_store *store, const struct hl_stored *stored,
                        const struct hl_overlays *overlays, struct hl_outgoing **out)
{
    struct hl_outgoing *outgoing = calloc(1, sizeof *outgoing);
    *out = NULL;
    if (outgoing == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for an outgoing object");
    outgoing->store = store;
    outgoing->stored = *stored;
    hilum_rc rc = outgoing_init(outgoing);
    if (rc == HILUM_OK && overlays->n > 0)
        rc = splice_open(outgoing, overlays);
    if (rc == HILUM_OK)
        *out = outgoing;
    else
        hl_outgoing_close(outgoing);
    return rc;
}

/* Row and corrections, where there are any, are read in two transactions: a correction in between
 * is in or not, as if the call had come a little earlier or later. */
hilum_rc hl_outgoing_open(struct hl_store *store, int64_t instance_id, int64_t as_of,
                          struct hl_outgoing **out)
{
    struct hl_stored stored;
    struct hl_overlays overlays = {0};
    *out = NULL;
    hilum_rc rc = as_of == HL_AS_ORIGINAL
                      ? hl_record_stored_original(store->record, instance_id, &stored)
                      : hl_record_stored_by_id(store->record, instance_id, &stored);
    if (rc == HILUM_OK && stored.is_corrected)
        rc = hl_record_overlays(store->record, instance_id,
                                as_of == HL_AS_ORIGINAL ? HL_AS_RECEIVED : as_of, &overlays);
    if (rc == HILUM_OK)
        rc = hl_outgoing_of(store, &stored, &overlays, out);
    hl_overlays_fini(&overlays);
    return rc;
}

void hl_outgoing_close(struct hl_outgoing *outgoing)
{
    if (outgoing == NULL)
        return;
    /* First, since it waits for decoders that read from the map and the buffer. The hold goes
     * last. */
    hl_frames_out_free(outgoing->frames); /* other threads may be reading for it */
    hl_frame_cache_release(outgoing->store->frames, outgoing->made);
    if (outgoing->map != NULL)
        hl_mappings_give(outgoing->store->mappings, outgoing->map);
    free(outgoing->buffer);
    hl_inflated_free(outgoing->inflated);
    hl_deflating_free(outgoing->deflating);
    hl_buf_fini(&outgoing->recoded);
    hl_recode_free(outgoing->recode);
    hl_unpack_free(outgoing->unpack);
    hl_pack_free(outgoing->pack);
    hl_splice_fini(&outgoing->splice);
    hl_splice_fini(&outgoing->under);
    XXH3_freeState(outgoing->hash);
    hl_hold_remove(outgoing->store, &outgoing->hold);
    free(outgoing);
}

const struct hl_stored *hl_outgoing_stored(const struct hl_outgoing *outgoing)
{
    return &outgoing->stored;
}

uint64_t hl_outgoing_length(const struct hl_outgoing *outgoing)
{
    if (outgoing->pack != NULL)
        return hl_pack_length(outgoing->pack);
    return outgoing->splice.count > 0 ? outgoing->splice.length : outgoing->length;
}

const char *hl_outgoing_sop_instance(const struct hl_outgoing *outgoing)
{
    const char *derived = outgoing->pack != NULL ? hl_pack_sop_instance(outgoing->pack) : "";
    return derived[0] != '\0' ? derived : outgoing->stored.sop_instance;
}

/* Without a Source AE title: the file is ours, whoever sent the object. */
void hl_outgoing_meta(const struct hl_outgoing *outgoing, const char *transfer_syntax,
                      struct hl_buf *out)
{
    hl_meta_write(outgoing->stored.sop_class, hl_outgoing_sop_instance(outgoing), transfer_syntax,
                  "", NULL, out);
}

/* ---- piece by piece ---- */

/* Without a splice the whole data set is one piece. So that everything below has one case and
 * not two. */
static struct hl_piece piece_of(const struct hl_outgoing *outgoing, size_t i)
{
    return outgoing->splice.count > 0 ? outgoing->splice.pieces[i]
                                      : (struct hl_piece){.length = outgoing->length};
}

bool hl_outgoing_at_end(const struct hl_outgoing *outgoing, const struct hl_outgoing_cursor *cursor)
{
    size_t last = outgoing->splice.count > 0 ? outgoing->splice.count - 1 : 0;
    return cursor->piece == last && cursor->at == piece_of(outgoing, last).length;
}

/* Up to max bytes from the cursor on, which moves behind them. *n 0: the end. No piece is empty. */
hilum_rc hl_outgoing_take(struct hl_outgoing *outgoing, struct hl_outgoing_cursor *cursor,
                          size_t max, const uint8_t **bytes, size_t *n)
{
    struct hl_piece piece = piece_of(outgoing, cursor->piece);
    if (cursor->at == piece.length && !hl_outgoing_at_end(outgoing, cursor)) {
        piece = piece_of(outgoing, ++cursor->piece);
        cursor->at = 0;
    }
    uint64_t left = piece.length - cursor->at;
    *n = left < max ? (size_t)left : max;
    hilum_rc rc = HILUM_OK;
    if (hl_piece_is_pixels(&piece))
        rc = hl_unpack_bytes(outgoing->unpack, cursor->at, n, bytes);
    else if (piece.bytes != NULL)
        *bytes = piece.bytes + cursor->at;
    else if (*n > 0)
        rc = bytes_at(outgoing, piece.offset + cursor->at, *n, bytes);
    cursor->at += *n;
    return rc;
}

/* `at` is not beyond the end. */
static struct hl_outgoing_cursor cursor_to(const struct hl_outgoing *outgoing, uint64_t at)
{
    struct hl_outgoing_cursor cursor = {0};
    for (; at > piece_of(outgoing, cursor.piece).length; cursor.piece++)
        at -= piece_of(outgoing, cursor.piece).length;
    cursor.at = at;
    return cursor;
}

hilum_rc hl_outgoing_at(struct hl_outgoing *outgoing, uint64_t at, size_t max, const void **bytes,
                        size_t *n)
{
    const uint8_t *found = NULL;
    *n = 0;
    if (at > hl_outgoing_length(outgoing))
        return hl_fail(HILUM_EINVAL, "read beyond the data set of %s",
                       outgoing->stored.sop_instance);
    struct hl_outgoing_cursor cursor = cursor_to(outgoing, at);
    if (outgoing->buffer != NULL && max > HL_OUTGOING_PIECE)
        max = HL_OUTGOING_PIECE;
    hilum_rc rc = hl_outgoing_take(outgoing, &cursor, max, &found, n);
    *bytes = found;
    return rc;
}

/* Leaves as other bytes than those that lie in the store: converted, or deflated again. */
static bool is_made_anew(const struct hl_outgoing *outgoing)
{
    return outgoing->recode != NULL || outgoing->deflating != NULL;
}

/* A corrupt object never leaves whole. What is spliced was digested before its first piece.
 * With a hash left there is no splice but the one that decodes, which was verified too: so the
 * bytes digested here are always the stored ones in their order. */
static hilum_rc source_next(struct hl_outgoing *outgoing, const uint8_t **bytes, size_t *n)
{
    if (outgoing->cursor.at == 0 && outgoing->cursor.piece == 0)
        populate(outgoing);
    /* With its digest known and nothing made of it, what is mapped leaves in few and large writes. */
    bool is_plain = outgoing->map != NULL && outgoing->hash == NULL &&
                    outgoing->splice.count == 0 && !is_made_anew(outgoing);
    hilum_rc rc = hl_outgoing_take(outgoing, &outgoing->cursor,
                                   is_plain ? PLAIN_PIECE : HL_OUTGOING_PIECE, bytes, n);
    if (rc == HILUM_OK && *n > 0 && outgoing->hash != NULL) {
        XXH3_128bits_update(outgoing->hash, *bytes, *n);
        if (hl_outgoing_at_end(outgoing, &outgoing->cursor))
            rc = digest_check(outgoing);
    }
    return rc;
}

/* ---- in another syntax ---- */

/* The conversion once over everything but values, so that what cannot be converted is known
 * before its first byte is on its way, and how long it gets. Skipping values makes it cheap: of a CT slice it reads
 * some 3 KiB, of a gigabyte the same. */
static hilum_rc recode_check(struct hl_outgoing *outgoing, struct hl_recode *recode,
                             uint64_t *length)
{
    struct hl_outgoing_cursor cursor = {0};
    struct hl_buf nothing = {0};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !hl_outgoing_at_end(outgoing, &cursor)) {
        uint64_t ahead = hl_recode_ahead(recode);
        const uint8_t *bytes = NULL;
        size_t n = 0;
        if (ahead > 0) {
            uint64_t left = piece_of(outgoing, cursor.piece).length - cursor.at;
            uint64_t skipped = ahead < left ? ahead : left;
            hl_recode_skip(recode, skipped);
            cursor.at += skipped;
            if (skipped > 0)
                continue;
        }
        rc = hl_outgoing_take(outgoing, &cursor, CHECK_STEP, &bytes, &n);
        if (rc == HILUM_OK)
            rc = hl_recode_feed(recode, bytes, n, &nothing);
        *length += nothing.len;
        hl_buf_clear(&nothing);
    }
    if (rc == HILUM_OK)
        rc = hl_recode_end(recode, &nothing);
    *length += nothing.len + hl_recode_skipped(recode);
    hl_buf_fini(&nothing);
    return rc;
}

/* What was made of it is gone; the digest begins anew, as the bytes will be read again. */
void hl_outgoing_reset(struct hl_outgoing *outgoing)
{
    hl_recode_free(outgoing->recode);
    outgoing->recode = NULL;
    if (outgoing->unpack != NULL) {
        hl_splice_fini(&outgoing->splice);
        outgoing->splice = outgoing->under;
        outgoing->under = (struct hl_splice){0};
        hl_unpack_free(outgoing->unpack);
        outgoing->unpack = NULL;
    }
    outgoing->cursor = (struct hl_outgoing_cursor){0};
    outgoing->is_recoded = false;
    outgoing->n_given = 0;
    hl_buf_clear(&outgoing->recoded);
    if (outgoing->hash != NULL) /* begun, and not compared yet */
        XXH3_128bits_reset(outgoing->hash);
}

/* Tried once without output, then made: after that nothing but the medium can fail it. In this
 * order decoding comes first, as only native pixels have a byte order to turn. */
static hilum_rc recode(struct hl_outgoing *outgoing, const char *transfer_syntax, bool is_whole)
{
    const char *stored = outgoing->stored.transfer_syntax;
    const char *from = outgoing->inflated != NULL ? HL_UID_EXPLICIT_LITTLE_ENDIAN : stored;
    struct hl_recode *trial = NULL;
    const char *(*vr)(uint32_t tag) = outgoing->store->options.vr;
    if (vr == NULL)
        return hl_fail(HILUM_EUNSUP, "no dictionary to convert a data set by");
    hilum_rc rc = HILUM_OK;
    if (!hl_recode_can(from, transfer_syntax) && hl_unpack_can(stored, transfer_syntax)) {
        rc = hl_outgoing_unpack(outgoing, is_whole);
        from = HL_UID_EXPLICIT_LITTLE_ENDIAN;
    }
    if (rc == HILUM_OK)
        rc = hl_recode_new(from, transfer_syntax, vr, &trial);
    uint64_t length = 0;
    if (rc == HILUM_OK)
        rc = recode_check(outgoing, trial, &length);
    outgoing->recode_length =
        strcmp(transfer_syntax, HL_UID_DEFLATED_LITTLE_ENDIAN) == 0 ? HILUM_LENGTH_UNKNOWN : length;
    hl_recode_free(trial);
    if (rc == HILUM_OK)
        rc = hl_recode_new(from, transfer_syntax, vr, &outgoing->recode);
    if (rc != HILUM_OK)
        hl_outgoing_reset(outgoing);
    return rc;
}

/* Really explicit little endian, whatever its label says. */
static bool is_explicit(struct hl_outgoing *outgoing)
{
    struct hl_coding coding = {0};
    uint8_t head[HL_HEAD_PEEK];
    return strcmp(outgoing->stored.transfer_syntax, HL_UID_EXPLICIT_LITTLE_ENDIAN) == 0 &&
           outgoing->splice.count == 0 && outgoing->length >= sizeof head &&
           hl_outgoing_read_stored(outgoing, 0, head, sizeof head) == HILUM_OK &&
           !hl_head_sniff(head, &coding);
}

/* For encoders and comparisons. A data set that is in explicit little endian already must not
 * be "converted" by them: conversion drops group lengths and defined lengths, and then it
 * would not be the same object. */
hilum_rc hl_outgoing_to_native(struct hl_outgoing *outgoing, bool is_raw)
{
    if (is_raw && is_explicit(outgoing))
        return HILUM_OK;
    return recode(outgoing, HL_UID_EXPLICIT_LITTLE_ENDIAN, false);
}

hilum_rc hl_outgoing_recode(struct hl_outgoing *outgoing, const char *transfer_syntax)
{
    const char *stored = outgoing->stored.transfer_syntax;
    if (hl_repack_can(stored, transfer_syntax))
        return hl_outgoing_repack(outgoing, transfer_syntax);
    if (hl_pack_can(stored, transfer_syntax, false)) {
        struct hl_pack_wish wish = {0};
        snprintf(wish.transfer_syntax, sizeof wish.transfer_syntax, "%s", transfer_syntax);
        return hl_outgoing_encode(outgoing, &wish);
    }
    hilum_rc rc = recode(outgoing, transfer_syntax, true);
    return rc == HILUM_OK
               ? HILUM_OK
               : hl_fail_in(rc, "%s stays %s", outgoing->stored.sop_instance, hl_uid_name(stored));
}

/* One piece of the source into outgoing->recoded. One of recode and deflating is there; with
 * both, recode deflates for itself. */
static hilum_rc recode_step(struct hl_outgoing *outgoing)
{
    const uint8_t *bytes = NULL;
    size_t n = 0;
    hilum_rc rc = source_next(outgoing, &bytes, &n);
    if (rc == HILUM_OK && outgoing->recode != NULL)
        rc = hl_recode_feed(outgoing->recode, bytes, n, &outgoing->recoded);
    else if (rc == HILUM_OK)
        rc = hl_deflating_feed(outgoing->deflating, bytes, n, &outgoing->recoded);
    if (rc != HILUM_OK || !hl_outgoing_at_end(outgoing, &outgoing->cursor))
        return rc;
    outgoing->is_recoded = true;
    return outgoing->recode != NULL ? hl_recode_end(outgoing->recode, &outgoing->recoded)
                                    : hl_deflating_end(outgoing->deflating, &outgoing->recoded);
}

/* A few bytes wait for the next call, so that the last piece is known to be the last, is not empty, and every piece
 * before it is even, which fragments have to be (PS3.7 F.1). */
static hilum_rc recoded_next(struct hl_outgoing *outgoing, const uint8_t **bytes, size_t *n)
{
    struct hl_buf *buf = &outgoing->recoded;
    hilum_rc rc = HILUM_OK;
    buf->len -= outgoing->n_given;
    if (buf->len > 0)
        memmove(buf->data, buf->data + outgoing->n_given, buf->len);
    while (rc == HILUM_OK && buf->len < HL_OUTGOING_PIECE && !outgoing->is_recoded)
        rc = recode_step(outgoing);
    *bytes = (const uint8_t *)buf->data;
    *n = rc != HILUM_OK         ? 0 /* there may be fewer than are held back */
         : outgoing->is_recoded ? buf->len
                                : (buf->len - HELD_BACK) & ~(size_t)1;
    outgoing->n_given = *n;
    return rc;
}

hilum_rc hl_outgoing_next_native(struct hl_outgoing *outgoing, const uint8_t **bytes, size_t *n)
{
    return is_made_anew(outgoing) ? recoded_next(outgoing, bytes, n)
                                  : source_next(outgoing, bytes, n);
}

hilum_rc hl_outgoing_next(struct hl_outgoing *outgoing, const void **bytes, size_t *n)
{
    const uint8_t *at = NULL;
    hilum_rc rc = outgoing->pack != NULL ? hl_pack_next(outgoing->pack, &at, n)
                                         : hl_outgoing_next_native(outgoing, &at, n);
    *bytes = at;
    if (rc != HILUM_OK)
        *n = 0;
    return rc;
}

/* ---- a part of it ---- */

hilum_rc hl_outgoing_total(const struct hl_outgoing *outgoing, uint64_t *n)
{
    *n = outgoing->pack != NULL        ? hl_pack_length(outgoing->pack)
         : outgoing->recode != NULL    ? outgoing->recode_length
         : outgoing->deflating != NULL ? HILUM_LENGTH_UNKNOWN
                                       : hl_outgoing_length(outgoing);
    return *n != HILUM_LENGTH_UNKNOWN
               ? HILUM_OK
               : hl_fail(HILUM_EUNSUP, "how long it gets is known once it has been deflated");
}

/* What is converted is made all the same, and left out: a byte is known by those before it. */
static hilum_rc recoded_skip(struct hl_outgoing *outgoing, uint64_t n)
{
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && n > 0) {
        const uint8_t *bytes = NULL;
        size_t got = 0;
        rc = recoded_next(outgoing, &bytes, &got);
        if (rc == HILUM_OK && got == 0)
            rc = hl_fail(HILUM_ECORRUPT, "a converted data set ends early");
        if (got > n)
            outgoing->n_given = (size_t)n; /* the rest of the piece comes with the next */
        n -= got < n ? got : n;
    }
    return rc;
}

hilum_rc hl_outgoing_skip(struct hl_outgoing *outgoing, uint64_t n)
{
    uint64_t total = 0;
    hilum_rc rc = hl_outgoing_total(outgoing, &total);
    if (rc != HILUM_OK || n == 0)
        return rc;
    if (n > total)
        return hl_fail(HILUM_EINVAL, "it ends after %llu bytes", (unsigned long long)total);
    if (outgoing->pack != NULL) {
        hl_pack_skip(outgoing->pack, n);
        return HILUM_OK;
    }
    if (is_made_anew(outgoing))
        return recoded_skip(outgoing, n);
    XXH3_freeState(outgoing->hash); /* of a part there is no digest */
    outgoing->hash = NULL;
    outgoing->cursor = cursor_to(outgoing, n);
    return HILUM_OK;
}

bool hl_outgoing_stays(const struct hl_outgoing *outgoing)
{
    return outgoing->map != NULL && outgoing->inflated == NULL && outgoing->unpack == NULL &&
           outgoing->pack == NULL && !is_made_anew(outgoing);
}

bool hl_outgoing_is_end(const struct hl_outgoing *outgoing)
{
    if (outgoing->pack != NULL)
        return hl_pack_is_end(outgoing->pack);
    return is_made_anew(outgoing) ? outgoing->is_recoded
                                  : hl_outgoing_at_end(outgoing, &outgoing->cursor);
}

/* ---- export ---- */

static hilum_rc write_all(int fd, const void *bytes, size_t n, const char *path)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return hl_fail(hl_rc_from_errno(put == 0 ? ENOSPC : errno), "write %s: %s", path,
                           strerror(put == 0 ? ENOSPC : errno));
        p += put;
        n -= (size_t)put;
    }
    return HILUM_OK;
}

/* Durable before it gets its name. */
static hilum_rc export_write(struct hl_outgoing *outgoing, int fd, const char *path)
{
    struct hl_buf meta = {0};
    hl_outgoing_meta(outgoing, outgoing->stored.transfer_syntax, &meta);
    hilum_rc rc =
        meta.failed ? hl_fail(HILUM_ENOMEM, "no memory") : write_all(fd, meta.data, meta.len, path);
    hl_buf_fini(&meta);
    for (size_t n = 1; rc == HILUM_OK && n > 0;) {
        const void *bytes = NULL;
        rc = hl_outgoing_next(outgoing, &bytes, &n);
        if (rc == HILUM_OK && n > 0)
            rc = write_all(fd, bytes, n, path);
    }
    if (rc == HILUM_OK && fdatasync(fd) != 0)
        rc = hl_fail(hl_rc_from_errno(errno), "fdatasync %s: %s", path, strerror(errno));
    return rc;
}

/* PATH.part first: a file under its own name is always whole. The new name, too, must survive a
 * power loss: originals may be erased after an export. */
hilum_rc hl_outgoing_export(struct hl_store *store, int64_t instance_id, int64_t as_of,
                            const char *path)
{
    struct hl_outgoing *outgoing = NULL;
    char part[4096];
    hilum_rc rc = hl_outgoing_open(store, instance_id, as_of, &outgoing);
    if (rc != HILUM_OK)
        return rc;
    snprintf(part, sizeof part, "%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        rc = hl_fail(hl_rc_from_errno(errno), "create %s: %s", part, strerror(errno));
    else
        rc = export_write(outgoing, fd, part);
    if (fd >= 0)
        close(fd);
    if (rc == HILUM_OK && rename(part, path) != 0)
        rc = hl_fail(hl_rc_from_errno(errno), "rename %s: %s", path, strerror(errno));
    if (rc == HILUM_OK)
        rc = hl_parent_sync(path);
    else if (fd >= 0)
        unlink(part);
    hl_outgoing_close(outgoing);
    return rc;
}
