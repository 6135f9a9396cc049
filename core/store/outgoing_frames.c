/* Frames of an object, one by one and in any order: the map says where each lies, decoded ones come from the cache or are
 * decoded once for all who ask, and who reads one after the other has the next ones decoded on the other cores.
 *
 * Threads: a frame source belongs to one thread, which asks; decoders of the store's pool read
 * through it meanwhile. They use only what does not change once it is made (the map of frames,
 * the mapped bytes, the view), and `pending` keeps all that alive until the last of them is
 * done. The cache has its own lock.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/outgoing_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/pool.h"
#include "core/dicom/uid.h"
#include "core/store/frame_cache.h"
#include "core/store/mappings.h"
#include "core/store/pixels.h"

/* The map of an object of one frame is one look at its head: not worth a file. */
enum { MAP_STEP = 64 * 1024, WORTH_KEEPING = 2 /* frames */, PATIENCE_MS = 500 };

struct hl_frames_out {
    struct hl_outgoing *outgoing;
    struct hl_frame_map map;
    struct hl_unpack *view; /* NULL: nobody has asked for pixels */
    const struct hl_cached_frame *held;
    uint64_t expected; /* frame that follows the last one */

    pthread_mutex_t lock; /* of pending */
    pthread_cond_t idle;
    unsigned pending;            /* tasks of other threads that use this */
    atomic_int_fast64_t left_ms; /* since when what they decode is for nobody; 0: it is not */
};

/* ---- the map ---- */

static struct hl_frame_map_of map_of(const struct hl_outgoing *outgoing)
{
    const struct hl_location *location = &outgoing->stored.location;
    return (struct hl_frame_map_of){.folder = outgoing->store->derived,
                                    .store = location->store,
                                    .key = location->key,
                                    .length = outgoing->length,
                                    .digest = location->digest_stored};
}

/* Of the last element seen: elements ascend, so it is the pixel data (float is the first of the three kinds, PS3.3
 * C.7.6.24) or nothing is. */
static bool has_pixels(const struct hl_scan *scan)
{
    size_t n = hl_scan_count(scan);
    return n > 0 && hl_scan_at(scan, n - 1)->tag >= HL_TAG_FLOAT_PIXELS &&
           (hl_scan_at(scan, n - 1)->tag <= HL_TAG_PIXEL_DATA);
}

/* Up to the head of the pixel data: what comes behind is not read. */
static hilum_rc scan_head(struct hl_outgoing *outgoing, struct hl_scan *scan)
{
    struct hl_outgoing_cursor cursor = {0};
    hilum_rc rc = HILUM_OK;
    while (rc == HILUM_OK && !has_pixels(scan) && !hl_outgoing_at_end(outgoing, &cursor)) {
        const uint8_t *bytes = NULL;
        size_t n = 0;
        rc = hl_outgoing_take(outgoing, &cursor, MAP_STEP, &bytes, &n);
        if (rc == HILUM_OK)
            rc = hl_scan_feed(scan, bytes, n);
    }
    return rc;
}

static hilum_rc map_scanned(struct hl_frames_out *frames, const struct hl_scan *scan)
{
    struct hl_outgoing *outgoing = frames->outgoing;
    const struct hl_frame_source source = {hl_outgoing_reader, outgoing};
    const struct hl_element *pixels = hl_pixels_element(scan);
    if (hl_scan_is_deflated(scan))
        return hl_fail(HILUM_EUNSUP, "frames of a deflated data set have no place in it");
    hl_pixels_declared(scan, &frames->map.declared);
    return hl_frames_map_to(
        scan, pixels != NULL ? hl_outgoing_shift_at(&outgoing->splice, pixels->offset) : 0,
        outgoing->stored.transfer_syntax, &source, outgoing->length, &frames->map.frames);
}

static hilum_rc map_make(struct hl_frames_out *frames)
{
    struct hl_outgoing *outgoing = frames->outgoing;
    struct hl_scan *scan = NULL;
    hilum_rc rc = hl_scan_new(outgoing->stored.transfer_syntax, NULL, &scan);
    if (rc == HILUM_OK)
        rc = scan_head(outgoing, scan);
    if (rc == HILUM_OK)
        rc = map_scanned(frames, scan);
    hl_scan_free(scan);
    return rc;
}

/* Of what does not count yet nothing is kept: it may never count. */
static bool is_kept(const struct hl_outgoing *outgoing)
{
    return outgoing->stored.instance_id != 0;
}

/* Native frames are found by arithmetic, one frame by one look: only what was walked is worth
 * a file. A map that could not be kept is made again the next time; nobody who asks for a
 * frame fails for it. */
static hilum_rc map_open(struct hl_frames_out *frames)
{
    const struct hl_frame_map_of of = map_of(frames->outgoing);
    if (hl_frame_map_load(&of, &frames->map) == HILUM_OK)
        return HILUM_OK;
    hilum_rc rc = map_make(frames);
    if (rc == HILUM_OK && is_kept(frames->outgoing) && !frames->map.frames.is_native &&
        frames->map.frames.n >= WORTH_KEEPING && hl_frame_map_save(&of, &frames->map) != HILUM_OK)
        hl_log(HL_WARN, "store", "frame map not kept: %s", hl_error());
    return rc;
}

/* ---- life ---- */

void hl_frames_out_free(struct hl_frames_out *frames)
{
    if (frames == NULL)
        return;
    atomic_store(&frames->left_ms, hl_mono_ms());
    pthread_mutex_lock(&frames->lock);
    while (frames->pending > 0)
        pthread_cond_wait(&frames->idle, &frames->lock);
    pthread_mutex_unlock(&frames->lock);
    hl_frame_cache_release(frames->outgoing->store->frames, frames->held);
    hl_unpack_free(frames->view);
    hl_frames_fini(&frames->map.frames);
    pthread_cond_destroy(&frames->idle);
    pthread_mutex_destroy(&frames->lock);
    free(frames);
}

static hilum_rc frames_open(struct hl_outgoing *outgoing)
{
    if (outgoing->frames != NULL)
        return HILUM_OK;
    struct hl_frames_out *frames = calloc(1, sizeof *frames);
    if (frames == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for frames");
    frames->outgoing = outgoing;
    pthread_mutex_init(&frames->lock, NULL);
    pthread_cond_init(&frames->idle, NULL);
    hilum_rc rc = map_open(frames);
    if (rc == HILUM_OK)
        outgoing->frames = frames;
    else
        hl_frames_out_free(frames);
    return rc;
}

static hilum_rc view_open(struct hl_outgoing *outgoing)
{
    const struct hl_frame_source source = {hl_outgoing_reader, outgoing};
    hilum_rc rc = frames_open(outgoing);
    if (rc != HILUM_OK || outgoing->frames->view != NULL)
        return rc;
    return hl_unpack_view(outgoing->store->options.codecs, outgoing->stored.transfer_syntax,
                          &outgoing->frames->map, &source, &outgoing->frames->view);
}

/* ---- decoding ---- */

struct wanted {
    struct hl_frames_out *frames;
    struct hl_frame_key key;
    uint64_t n; /* bytes */
};

/* Two bytes more than a frame: hl_unpack_into moves frames of bits by up to 7 bits in place. */
static hilum_rc load(void *arg, const struct hl_wish *wish, struct hl_cached_frame *out)
{
    const struct wanted *wanted = arg;
    out->n = wanted->n;
    out->pixels = malloc((size_t)out->n + 2);
    if (out->pixels == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for a frame of %llu bytes",
                       (unsigned long long)out->n);
    const struct hl_unpack_wish how = {(uint32_t)wanted->key.reduce, wish};
    hilum_rc rc = hl_unpack_into(wanted->frames->view, wanted->key.frame, &how, out->pixels, out->n,
                                 &out->frame);
    if (rc != HILUM_OK)
        free(out->pixels);
    return rc;
}

/* The key is the content's digest, not the instance: the same frame under two UIDs, or before
 * and after a correction of its header, is decoded once. */
static struct wanted want(struct hl_frames_out *frames, uint64_t i, uint32_t reduce, uint64_t n)
{
    struct wanted wanted = {.frames = frames, .key = {.frame = i, .reduce = reduce}, .n = n};
    memcpy(wanted.key.digest, frames->outgoing->stored.location.digest_stored,
           sizeof wanted.key.digest);
    return wanted;
}

/* The former frame is let go first: with it held a cache of one frame's size could not take
 * the next. */
static hilum_rc get(struct hl_frames_out *frames, uint64_t i, uint32_t reduce, uint64_t n)
{
    struct hl_frame_cache *cache = frames->outgoing->store->frames;
    struct wanted wanted = want(frames, i, reduce, n);
    hl_frame_cache_release(cache, frames->held);
    frames->held = NULL;
    return hl_frame_cache_get(cache, &wanted.key, load, &wanted, &frames->outgoing->wish,
                              &frames->held);
}

/* ---- ahead ---- */

/* What was begun ahead may be done in a moment, and is kept then: a worker is not ended for that. */
static hilum_rc stays(void *arg)
{
    struct hl_frames_out *frames = arg;
    int64_t left = atomic_load(&frames->left_ms);
    return left == 0 || hl_mono_ms() - left < PATIENCE_MS ? HILUM_OK : HILUM_ECANCELLED;
}

/* A failure is told to whoever asks for the frame. */
static void decode_ahead(void *arg)
{
    struct wanted *wanted = arg;
    struct hl_frames_out *frames = wanted->frames;
    struct hl_frame_cache *cache = frames->outgoing->store->frames;
    const struct hl_cached_frame *frame = NULL;
    const struct hl_wish wish = {stays, frames};
    if (hl_frame_cache_get(cache, &wanted->key, load, wanted, &wish, &frame) == HILUM_OK)
        hl_frame_cache_release(cache, frame);
    free(wanted);
    pthread_mutex_lock(&frames->lock);
    if (--frames->pending == 0)
        pthread_cond_signal(&frames->idle);
    pthread_mutex_unlock(&frames->lock);
}

static void start_ahead(struct hl_frames_out *frames, uint64_t i, uint64_t n)
{
    struct hl_store *store = frames->outgoing->store;
    struct wanted *wanted = malloc(sizeof *wanted);
    if (wanted == NULL)
        return;
    *wanted = want(frames, i, 0, n);
    if (hl_frame_cache_has(store->frames, &wanted->key)) {
        free(wanted);
        return;
    }
    pthread_mutex_lock(&frames->lock);
    frames->pending++;
    pthread_mutex_unlock(&frames->lock);
    if (hl_pool_run(store->decoders, decode_ahead, wanted) == HILUM_OK)
        return;
    free(wanted);
    pthread_mutex_lock(&frames->lock);
    frames->pending--;
    pthread_mutex_unlock(&frames->lock);
}

/* Somebody reads one frame after the other: the next ones are begun, as many as there are
 * cores and room in the cache. A quarter of the cache at most, or several readers would push
 * out what the others have just decoded. */
static void look_ahead(struct hl_frames_out *frames, uint64_t i, uint64_t n)
{
    const struct hl_store *store = frames->outgoing->store;
    uint64_t room = store->options.frame_cache / (n + 1) / 4;
    uint64_t ahead = store->n_decoders < room ? store->n_decoders : room;
    if (i != frames->expected || i == 0 || store->decoders == NULL)
        return;
    for (uint64_t k = 1; k <= ahead && i + k < frames->map.frames.n; k++)
        start_ahead(frames, i + k, n);
}

/* ---- what is asked for ---- */

void hl_outgoing_while_wanted(struct hl_outgoing *outgoing, const struct hl_wish *wish)
{
    outgoing->wish = *wish;
}

/* Native frames are copied from the mapped file and never cached: the page cache has them
 * already. */
hilum_rc hl_outgoing_frame(struct hl_outgoing *outgoing, uint64_t i, struct hilum_frame *out,
                           const void **pixels, uint64_t *n)
{
    if (outgoing->unpack != NULL)
        return hl_unpack_frame(outgoing->unpack, i, out, pixels, n);
    hilum_rc rc = view_open(outgoing);
    if (rc != HILUM_OK)
        return rc;
    struct hl_frames_out *frames = outgoing->frames;
    if (frames->map.frames.is_native || !is_kept(outgoing))
        return hl_unpack_frame(frames->view, i, out, pixels, n);
    hl_unpack_kind(frames->view, out);
    *n = hilum_frame_bytes(out);
    look_ahead(frames, i, *n);
    rc = get(frames, i, 0, *n);
    frames->expected = i + 1;
    if (rc != HILUM_OK)
        return rc;
    *out = frames->held->frame;
    *pixels = frames->held->pixels;
    return HILUM_OK;
}

/* Frames of whole bytes that lie as they are wanted are copied once: from where they lie. */
static bool is_at_hand(const struct hl_outgoing *outgoing, uint64_t n)
{
    struct hilum_frame kind;
    if (outgoing->unpack != NULL || !outgoing->frames->map.frames.is_native)
        return false;
    hl_unpack_kind(outgoing->frames->view, &kind);
    return kind.bits_allocated >= 8 && hilum_frame_bytes(&kind) == n;
}

hilum_rc hl_outgoing_frame_into(struct hl_outgoing *outgoing, uint64_t i, void *dst, uint64_t n)
{
    struct hilum_frame frame = {.size = sizeof frame};
    const void *pixels = NULL;
    uint64_t length = 0;
    hilum_rc rc = outgoing->unpack == NULL ? view_open(outgoing) : HILUM_OK;
    if (rc == HILUM_OK && is_at_hand(outgoing, n))
        return hl_unpack_into(outgoing->frames->view, i, NULL, dst, n, &frame);
    if (rc == HILUM_OK)
        rc = hl_outgoing_frame(outgoing, i, &frame, &pixels, &length);
    if (rc == HILUM_OK && length != n)
        return hl_fail(HILUM_ECORRUPT, "frame %llu is of another kind than the first",
                       (unsigned long long)i + 1);
    if (rc == HILUM_OK)
        memcpy(dst, pixels, (size_t)n);
    return rc;
}

/* As the store has it and as it is wanted: words little endian, no byte of it in a splice. */
static bool lies_so(const struct hl_outgoing *outgoing, uint64_t i, uint64_t n)
{
    const struct hl_syntax *syntax = hl_uid_syntax(outgoing->stored.transfer_syntax);
    if (outgoing->bytes == NULL || outgoing->inflated != NULL || !is_at_hand(outgoing, n))
        return false;
    const struct hl_frames *frames = &outgoing->frames->map.frames;
    return !(syntax != NULL && syntax->flags & HL_SYNTAX_BIG_ENDIAN) && frames->bits == 8 * n &&
           i < frames->n && frames->first <= outgoing->length &&
           n <= (outgoing->length - frames->first) / (i + 1);
}

hilum_rc hl_outgoing_frame_lent(struct hl_outgoing *outgoing, uint64_t i, const void **pixels,
                                uint64_t n)
{
    hilum_rc rc = outgoing->unpack == NULL ? view_open(outgoing) : HILUM_OK;
    if (rc == HILUM_OK && !lies_so(outgoing, i, n))
        return hl_fail(HILUM_EUNSUP, "frame %llu lies nowhere as it is wanted",
                       (unsigned long long)i + 1);
    if (rc == HILUM_OK)
        *pixels = outgoing->bytes + outgoing->frames->map.frames.first + i * n;
    return rc;
}

hilum_rc hl_outgoing_kind(struct hl_outgoing *outgoing, struct hilum_frame *out, uint32_t *levels,
                          uint64_t *n_frames)
{
    hilum_rc rc = view_open(outgoing);
    if (rc != HILUM_OK)
        return rc;
    *levels = hl_unpack_kind(outgoing->frames->view, out);
    *n_frames = hl_unpack_frames(outgoing->frames->view);
    return HILUM_OK;
}

hilum_rc hl_outgoing_reduced(struct hl_outgoing *outgoing, uint64_t i, uint32_t reduce, void *dst,
                             uint64_t n)
{
    hilum_rc rc = view_open(outgoing);
    if (rc == HILUM_OK)
        rc = get(outgoing->frames, i, reduce, n);
    if (rc == HILUM_OK && outgoing->frames->held->n != n)
        return hl_fail(HILUM_EINVAL, "a frame of that size has %llu bytes",
                       (unsigned long long)outgoing->frames->held->n);
    if (rc == HILUM_OK)
        memcpy(dst, outgoing->frames->held->pixels, (size_t)n);
    return rc;
}

/* ---- what is made of frames ---- */

/* The one before is let go first, for the same reason as in get(). */
hilum_rc hl_outgoing_made(struct hl_outgoing *outgoing, uint64_t i, uint64_t form,
                          hl_frame_load make, void *arg, const void **bytes, uint64_t *n)
{
    struct hl_frame_cache *cache = outgoing->store->frames;
    struct hl_frame_key key = {.frame = i, .form = form};
    if (!is_kept(outgoing))
        return hl_fail(HILUM_EUNSUP, "nothing is made of frames that do not count yet");
    memcpy(key.digest, outgoing->stored.location.digest_stored, sizeof key.digest);
    hl_frame_cache_release(cache, outgoing->made);
    outgoing->made = NULL;
    hilum_rc rc = hl_frame_cache_get(cache, &key, make, arg, &outgoing->wish, &outgoing->made);
    if (rc != HILUM_OK)
        return rc;
    *bytes = outgoing->made->pixels;
    *n = outgoing->made->n;
    return HILUM_OK;
}

hilum_rc hl_outgoing_code(struct hl_outgoing *outgoing, const struct hl_native *native,
                          const struct hilum_encode *wanted, struct hl_buf *stream)
{
    const struct hl_syntax *target = hl_uid_syntax(wanted->transfer_syntax);
    const unsigned no =
        HL_SYNTAX_VIDEO | HL_SYNTAX_REFERENCED | HL_SYNTAX_PRIVATE | HL_SYNTAX_RETIRED;
    struct hilum_encoded done;
    if (target == NULL || !(target->flags & HL_SYNTAX_ENCAPSULATED) || target->flags & no)
        return hl_fail(HILUM_EUNSUP, "frames are not encoded to %s",
                       hl_uid_name(wanted->transfer_syntax));
    return hl_encode_frame(outgoing->store->options.codecs, native, wanted,
                           (target->flags & HL_SYNTAX_LOSSY) != 0, stream, &done);
}

hilum_rc hl_outgoing_repack_frame(struct hl_outgoing *outgoing, const struct hilum_frame *declared,
                                  const void *bytes, uint64_t n, const char *to,
                                  struct hl_buf *stream)
{
    const struct hl_code_stream given = {outgoing->stored.transfer_syntax, declared, bytes, n};
    return hl_repack_frame(outgoing->store->options.codecs, &given, to, stream);
}

hilum_rc hl_outgoing_map(struct hl_outgoing *outgoing, const struct hl_frame_map **out)
{
    hilum_rc rc = frames_open(outgoing);
    *out = rc == HILUM_OK ? &outgoing->frames->map : NULL;
    return rc;
}

bool hl_outgoing_place(const struct hl_outgoing *outgoing, uint64_t stored, uint64_t *leaving)
{
    uint64_t at = 0;
    *leaving = stored;
    for (size_t i = 0; i < outgoing->splice.count; i++) {
        const struct hl_piece *piece = &outgoing->splice.pieces[i];
        if (piece->bytes == NULL && !hl_piece_is_pixels(piece) && stored >= piece->offset &&
            stored - piece->offset < piece->length) {
            *leaving = at + (stored - piece->offset);
            return true;
        }
        at += piece->length;
    }
    return outgoing->splice.count == 0;
}

/* ---- of the store ---- */

/* A decoder per core: decoding is all computing. The pool is the store's, so that many readers
 * do not make many threads. */
hilum_rc hl_frames_open(struct hl_store *store)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    store->n_decoders = cores > 1 ? (unsigned)cores : 1;
    if (store->options.derived != NULL) {
        store->derived = strdup(store->options.derived);
        if (store->derived == NULL)
            return hl_fail(HILUM_ENOMEM, "store: no memory");
    }
    hilum_rc rc = hl_frame_cache_new(store->options.frame_cache, &store->frames);
    return rc == HILUM_OK ? hl_pool_new("decode", store->n_decoders, &store->decoders) : rc;
}

/* The pool first: it finishes what it has begun, which ends in the cache. */
void hl_frames_close(struct hl_store *store)
{
    hl_pool_free(store->decoders);
    hl_frame_cache_free(store->frames);
    free(store->derived);
}

void hl_frames_status(struct hl_store *store, struct hl_buf *json)
{
    struct hl_frame_cache_counts counts;
    struct hl_mappings_counts mapped;
    hl_frame_cache_count(store->frames, &counts);
    hl_mappings_count(store->mappings, &mapped);
    hl_buf_printf(json,
                  ",\"maps_kept\":%llu,\"map_bytes\":%llu,\"map_hits\":%llu,\"map_misses\":%llu",
                  (unsigned long long)mapped.kept, (unsigned long long)mapped.bytes,
                  (unsigned long long)mapped.hits, (unsigned long long)mapped.misses);
    hl_buf_printf(json,
                  ",\"frames_kept\":%llu,\"frame_bytes\":%llu,\"frame_hits\":%llu,"
                  "\"frame_misses\":%llu,\"frame_shared\":%llu",
                  (unsigned long long)counts.frames, (unsigned long long)counts.bytes,
                  (unsigned long long)counts.hits, (unsigned long long)counts.misses,
                  (unsigned long long)counts.shared);
}
