/* The way of an instance: offer -> bytes -> rules -> durable group -> recorded -> answered. One path for
 * DIMSE, import and (later) HTTP. It knows stores, the record and the bus; it knows nothing of PDUs.
 * Architecture section 2. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_INGEST_H
#define HL_STORE_INGEST_H

#include <stdbool.h>

#include "core/bus/bus.h"
#include "core/record/record.h"
#include "core/store/codecs.h"
#include "core/store/encode.h"
#include "core/store/frame_cache.h"
#include "core/store/pack.h"
#include "hilum/store.h"

/* The keys of the log beside the objects begin so. */
#define HL_LOG_KEYS "log/"

struct hl_store; /* the ingest pipeline and its committer */

/* What becomes of other content under a known SOP Instance UID (storage.duplicates).
 * keep-first and quarantine both set the newcomer aside until a person decides; replace and
 * version put it in the known one's place, version keeps that one readable. */
enum hl_duplicate_policy { HL_KEEP_FIRST, HL_REPLACE, HL_VERSION, HL_QUARANTINE };
/* "keep-first" and so on, as in the configuration and in rules. false: none of them. */
bool hl_duplicate_policy_named(const char *text, enum hl_duplicate_policy *out);

struct hl_store_limits {
    uint64_t min_free;     /* bytes the medium must keep free; below: A700 */
    uint64_t max_object;   /* bytes; 0: no limit */
    uint32_t header_limit; /* held bytes of one header (struct hl_scan_limits.max_held) */
};

struct hl_store_options {
    struct hl_store_limits limits;       /* to begin with */
    uint64_t memory_budget;              /* of all headers in flight; beyond: wait, then A700 */
    enum hl_duplicate_policy duplicates; /* where no rule says otherwise */
    uint32_t (*tag)(
        const char *keyword);        /* the dictionary, for rules; NULL: common keywords only */
    const char *(*vr)(uint32_t tag); /* likewise, for overlays; NULL: common attributes, else LO */
    const struct hl_codecs *codecs;  /* for what leaves decoded or encoded; NULL: none */
    const char *spool_dir; /* for temporary files of large objects that are; NULL: memory only */
    const char *derived;   /* folder for what can be made again; NULL: nothing is kept */
    uint64_t frame_cache;  /* bytes of decoded frames kept */
};

/* `stores`: tables by name; the first is where new objects go unless a rule chooses another. */
struct hl_store_provider {
    const char *name;
    const struct hilum_store *table;
    void *instance;
};
/* Opens and settles pending keys: a row exists -> finish, none -> erase; says how many of
 * each. `stores` is copied, its names, tables and instances are borrowed until hl_store_close,
 * as are `record`, `bus` (NULL: no rules) and the texts of `options`. A store whose medium
 * fails is sick from the start and fails nothing here. HILUM_EINVAL: none or too many stores;
 * HILUM_ENOMEM; what the record fails with. On the starting thread, before anything is
 * accepted. */
hilum_rc hl_store_open(const struct hl_store_provider *stores, size_t n, struct hl_record *record,
                       struct hl_bus *bus, const struct hl_store_options *options,
                       struct hl_store **out);
/* Erases an object no row needs any more. HILUM_EAGAIN: somebody reads it; HILUM_ENOTFOUND: it
 * is gone. Makes the record durable first, so that no log brings the row back; may block for a
 * second (HILUM_EAGAIN then, too). HILUM_EAGAIN also where the store's plugin is not loaded.
 * Any thread. */
hilum_rc hl_store_erase(struct hl_store *store, const char *name, const char *key);
bool hl_store_has(const struct hl_store *store, const char *name); /* of the stores opened with */
/* For objects that come from now on. Any thread. What is under way is decided by the policy at
 * its end. */
enum hl_duplicate_policy hl_store_duplicates(struct hl_store *store);
void hl_store_set_duplicates(struct hl_store *store, enum hl_duplicate_policy policy);
/* For objects that come from now on, and for room from now on. Any thread. */
void hl_store_set_limits(struct hl_store *store, const struct hl_store_limits *limits);
/* Makes what is recorded durable and lets the stores' logs forget it: before they are drained.
 * NULL is fine. Blocks for a flush of the record. Any thread. */
void hl_store_flush(struct hl_store *store);
/* Nobody may use the store, nor anything opened on it, any more. The record must still be
 * open; plugins of stores may be closed after it. NULL is fine. */
void hl_store_close(struct hl_store *store); /* waits for groups under way */
/* HILUM_OK while objects are accepted; otherwise why not (full, read-only): the safe mode. It
 * ends by itself when the medium is well again. Reads go on in safe mode. Of the store new
 * objects go to, and of the record. May ask for free space, 5 times a second at most. Any
 * thread. */
hilum_rc hl_store_health(struct hl_store *store);

/* Where an object comes from. Borrowed for the life of the ingest. */
struct hl_ingest_source {
    const char *peer; /* configured name, or "" */
    const char *calling_aet, *called_aet, *address;
    const char *default_issuer; /* NULL: the global one */
    const char *charset_repair; /* "GB18030", ...; NULL: none */
    const char *kind;           /* "dimse", "import", "http": for events and audit */
    bool may_owe; /* its answer does not tell the instance's number: it may come before the row */
    const char *study_uid; /* the only one that will do; NULL: any */
    /* May the sender store into this study? HILUM_EDENIED: it is answered with 0124. NULL: he may into any. */
    hilum_rc (*may)(void *arg, const char *study_uid);
    void *may_arg;
};

/* DICOM's answer to the sender (PS3.4 B.2.3) with what a person needs to follow it up. */
struct hl_ingest_result {
    uint16_t status;     /* 0000, B000.., A700, A900, C000, 0110, 0122, 0124 */
    char comment[65];    /* ASCII; carries the reference number */
    char reference[16];  /* "" on success; `hilum explain` tells the rest */
    uint32_t offending;  /* tag, 0: none */
    int64_t instance_id; /* 0: nothing stored, or (source.may_owe) no number yet */
    bool is_duplicate, is_held;
    char study_uid[65], series_uid[65]; /* "" where nothing was stored */
};

struct hl_ingest;
/* Runs instance.offered [filter] and opens an object in the store. On refusal result says how
 * to answer, *out is NULL, and the caller still has to read the data set off the wire.
 * sop_class and sop_instance as in the command; "" for files without meta header. An ingest
 * belongs to one thread at a time, which rules and codecs run on, too. HILUM_EDENIED,
 * HILUM_EAGAIN: a rule refused or deferred; HILUM_EFULL, HILUM_EIO, HILUM_EDENIED: safe mode;
 * HILUM_EINVAL: a UID of the command; HILUM_ENOMEM. Nothing of it is durable before
 * hl_ingest_end. */
hilum_rc hl_ingest_begin(struct hl_store *store, const struct hl_ingest_source *source,
                         const char *sop_class, const char *sop_instance,
                         const char *transfer_syntax, struct hl_ingest **out,
                         struct hl_ingest_result *result);
/* Data set bytes in order. After an error (result is remembered) further bytes are swallowed,
 * so that the peer can be answered in protocol. The bytes are taken before it returns. May
 * wait up to 5 s for other headers to end (memory_budget). HILUM_EFULL: over max_object;
 * HILUM_EINVAL: no data set; the store's own failures. */
hilum_rc hl_ingest_data(struct hl_ingest *ingest, const void *bytes, size_t n);
/* The data set is whole: checks, instance.received [filter, transform], durable, recorded or (source.may_owe) as good as:
 * whoever looks finds it. Blocks until the answer is true. Frees ingest. Any outcome is in *result; HILUM_OK when the
 * answer is a success. After success the object survives a power loss, in the store and in the
 * catalogue, and so does what rules want done with it. */
hilum_rc hl_ingest_end(struct hl_ingest *ingest, struct hl_ingest_result *result);
/* The sender went away: leaves nothing. Frees ingest. NULL is fine. */
void hl_ingest_abort(struct hl_ingest *ingest);

/* Objects, bytes, refusals, duplicates, groups, mean group size since start. Appends one JSON
 * object, with each store's own state and the frame cache's counts. Any thread. */
void hl_store_status(struct hl_store *store, struct hl_buf *json);

/* Imports one file (Part 10 or bare) through the same path. Blocks until the answer is true.
 * Files that have no UIDs get derived ones, the same at every import. A file that cannot be
 * opened or read is 0110, one that is no DICOM (or a DICOMDIR) C000; links are followed. The
 * caller's thread; any number of them at once. */
hilum_rc hl_store_import_file(struct hl_store *store, const struct hl_ingest_source *source,
                              const char *path, struct hl_ingest_result *result);

/* A Part 10 file (or a bare data set) in pieces. `source`'s texts are borrowed until it is freed. Otherwise as
 * hl_ingest_begin, _data and _end; what is refused is swallowed to its end. */
struct hl_upload;
struct hl_part10; /* core/store/scan.h */
/* The ingest begins once 132 KiB are there, or at the end. HILUM_ENOMEM. */
hilum_rc hl_upload_new(struct hl_store *store, const struct hl_ingest_source *source,
                       struct hl_upload **out);
hilum_rc hl_upload_data(struct hl_upload *upload, const void *bytes, size_t n);
/* Blocks until the answer is true. HILUM_OK when it is a success. HILUM_EINVAL stands for
 * every refusal before the ingest began; result tells. */
hilum_rc hl_upload_end(struct hl_upload *upload, struct hl_ingest_result *result);
/* What its head says, as far as it is known by then. */
const struct hl_part10 *hl_upload_file(const struct hl_upload *upload);
void hl_upload_free(struct hl_upload *upload); /* without end: leaves nothing. NULL is fine */

/* ---- what leaves ------------------------------------------------------------------------------------ */

struct hl_frame_map; /* frame_map.h */

/* A stored object's data set on its way out, overlays applied as of a point (hilum_catalog_api.objects; HL_AS_ORIGINAL);
 * pixels stream from the store untouched. */
struct hl_outgoing;
hilum_rc hl_outgoing_open(struct hl_store *store, int64_t instance_id, int64_t as_of,
                          struct hl_outgoing **out);
/* Digests what is stored now, if it is mapped and of up to 16 MiB, rather than as it leaves: HILUM_ECORRUPT comes before the
 * first byte then. */
hilum_rc hl_outgoing_verify(struct hl_outgoing *outgoing);
const struct hl_stored *hl_outgoing_stored(const struct hl_outgoing *outgoing);
/* Data set bytes (without file meta information) in all, as stored; of a converted or corrected deflated
 * one nobody knows. */
uint64_t hl_outgoing_length(const struct hl_outgoing *outgoing);
/* Before the first piece: let it leave in this syntax, decoded if it is stored compressed, encoded without loss if that
 * is a compressed one. Reads what is no value once and decodes (encodes) all frames (over 1 GiB of native ones
 * twice), so that what has no conversion is refused here: HILUM_EUNSUP, HILUM_ECORRUPT (broken code stream),
 * HILUM_EINVAL (damaged nested content), HILUM_EFULL (no room for temporary files), HILUM_ENOMEM. After a failure it leaves as
 * it would have before. Corrections are applied. Memory is two frames and HL_SPOOL_MEMORY, whatever the size. */
hilum_rc hl_outgoing_recode(struct hl_outgoing *outgoing, const char *transfer_syntax);
/* The same to a compressed syntax with everything that can be wished for, loss included: then it leaves as another
 * object, see hl_outgoing_sop_instance. */
hilum_rc hl_outgoing_encode(struct hl_outgoing *outgoing, const struct hl_pack_wish *wish);
/* The SOP Instance UID it leaves under; the stored one's but for what was encoded with loss. Borrowed. */
const char *hl_outgoing_sop_instance(const struct hl_outgoing *outgoing);
/* Next piece, borrowed until the next call; *n 0 at the end. HILUM_ECORRUPT: the stored bytes are not what
 * was stored (instance.corrupted was published). Memory-mapped where the store has open_fd. */
hilum_rc hl_outgoing_next(struct hl_outgoing *outgoing, const void **bytes, size_t *n);
/* Up to `max` bytes at `at` of what leaves unconverted, borrowed until the next call on it; *n 0 at the end. In any
 * order, beside hl_outgoing_next of an unconverted one only. No digest is checked. HILUM_EINVAL: beyond the end. */
hilum_rc hl_outgoing_at(struct hl_outgoing *outgoing, uint64_t at, size_t max, const void **bytes,
                        size_t *n);
/* What a file of it begins with: preamble and file meta information of the syntax it leaves in. Appends. */
void hl_outgoing_meta(const struct hl_outgoing *outgoing, const char *transfer_syntax,
                      struct hl_buf *out);
/* Who its frames are for, from now on: copied. What is under way for nobody any more ends with HILUM_ECANCELLED. */
void hl_outgoing_while_wanted(struct hl_outgoing *outgoing, const struct hl_wish *wish);
/* Frame i (from 0) in native form, decoded where it is compressed; borrowed until the next call. Any time before close, in any
 * order. HILUM_ENOTFOUND: no such frame, no pixels; HILUM_EUNSUP, HILUM_ECORRUPT, HILUM_ENOMEM as when it leaves. */
hilum_rc hl_outgoing_frame(struct hl_outgoing *outgoing, uint64_t i, struct hilum_frame *out,
                           const void **pixels, uint64_t *n);
/* The same into memory of the caller's, of n bytes. HILUM_ECORRUPT also: it has another length. */
hilum_rc hl_outgoing_frame_into(struct hl_outgoing *outgoing, uint64_t i, void *dst, uint64_t n);
/* The same without a copy, until close, where it lies in a mapped file as it is wanted. HILUM_EUNSUP: it does not. */
hilum_rc hl_outgoing_frame_lent(struct hl_outgoing *outgoing, uint64_t i, const void **pixels,
                                uint64_t n);
/* What `make` makes of frame i (from 0), kept and shared as decoded frames are: at most one makes it at a time, on its own
 * thread, and may ask for frames meanwhile. form: not 0, the same for the same, also over corrections. Borrowed until the
 * next call, or close. Errors are make's. */
hilum_rc hl_outgoing_made(struct hl_outgoing *outgoing, uint64_t i, uint64_t form,
                          hl_frame_load make, void *arg, const void **bytes, uint64_t *n);
/* A native frame as one code stream, by the store's codecs; without loss where the syntax cannot lose. Errors as
 * hl_encode_frame. */
hilum_rc hl_outgoing_code(struct hl_outgoing *outgoing, const struct hl_native *native,
                          const struct hilum_encode *wanted, struct hl_buf *stream);
/* A frame's stored code stream as that of another syntax, byte for byte what it holds (hl_repack_can). Errors as
 * hl_repack_frame. */
hilum_rc hl_outgoing_repack_frame(struct hl_outgoing *outgoing, const struct hilum_frame *declared,
                                  const void *bytes, uint64_t n, const char *to,
                                  struct hl_buf *stream);
/* What every frame will be, and how many there are, without decoding one; *levels: they can be halved so many times
 * while they are decoded. Errors as hl_outgoing_frame. */
hilum_rc hl_outgoing_kind(struct hl_outgoing *outgoing, struct hilum_frame *out, uint32_t *levels,
                          uint64_t *n_frames);
/* Frame i at 1 / 2^reduce of its size, each side rounded up. n: bytes of that size. HILUM_EUNSUP: not to be had so. */
hilum_rc hl_outgoing_reduced(struct hl_outgoing *outgoing, uint64_t i, uint32_t reduce, void *dst,
                             uint64_t n);
/* Where its frames lie in the data set as stored; borrowed until close. Errors as hl_frames_map. */
hilum_rc hl_outgoing_map(struct hl_outgoing *outgoing, const struct hl_frame_map **out);
/* From a place in the stored data set to the same as it leaves. False: it does not leave. */
bool hl_outgoing_place(const struct hl_outgoing *outgoing, uint64_t stored, uint64_t *leaving);
/* Bytes of all that hl_outgoing_next gives, converted or not. HILUM_EUNSUP: nobody knows before it is made (deflated). */
hilum_rc hl_outgoing_total(const struct hl_outgoing *outgoing, uint64_t *n);
/* Before the first hl_outgoing_next: leaves out the first n bytes. What leaves is not digested then, unless it is converted.
 * HILUM_EINVAL: there are fewer; else as hl_outgoing_total, hl_outgoing_next. */
hilum_rc hl_outgoing_skip(struct hl_outgoing *outgoing, uint64_t n);
/* Does what hl_outgoing_next gives stay where it is until it is closed? */
bool hl_outgoing_stays(const struct hl_outgoing *outgoing);
/* Was that the last piece? True from the start for an empty data set. */
bool hl_outgoing_is_end(const struct hl_outgoing *outgoing);
void hl_outgoing_close(struct hl_outgoing *outgoing);
/* Writes a whole Part 10 file (preamble, meta header, data set) to a path, durable. For
 * export. HILUM_EIO, HILUM_EFULL; otherwise as hl_outgoing_open and hl_outgoing_next. */
hilum_rc hl_outgoing_export(struct hl_store *store, int64_t instance_id, int64_t as_of,
                            const char *path);

/* May `utf8` become the value of `tag` by a rule or a correction? HILUM_EINVAL says what was expected, beginning with
 * `name`: UTF-8 without control characters, of a length and form that `vr` can have, a number that fits. HILUM_EDENIED: a
 * VR that no text is a value of (pixels, sequences). Pure; any thread. */
hilum_rc hl_value_check(const char *name, uint32_t tag, const char *vr, const char *utf8);

/* One attribute of a stored instance, by DICOM keyword, corrections applied, as UTF-8. Reads
 * the object's header. HILUM_ENOTFOUND: absent, or no such keyword. For rules that run after
 * the answer. HILUM_ENOTFOUND also where there is no such instance; what hl_outgoing_open and
 * hl_outgoing_next fail with. Reads 16 MiB at most. Any thread but none that must not block. */
hilum_rc hl_store_attribute(struct hl_store *store, int64_t instance_id, const char *keyword,
                            struct hl_buf *out);

/* ---- integrity ---------------------------------------------------------------------------------------- */
/* `fault`: missing, unreadable, length, digest (a row's), orphan, broken orphan (an object's);
 * instance_id 0 for the last two. Any code but HILUM_OK ends the check with it. */
typedef hilum_rc (*hl_fsck_cb)(void *arg, const char *fault, const char *store, const char *key,
                               int64_t instance_id);
/* Compares rows and objects of every store: missing, wrong length or digest, orphaned. repair:
 * orphans that are whole are recorded, broken ones are set aside (never erased). Calls each
 * per fault. Reads every byte of every store, at the medium's speed; what is received
 * meanwhile is no fault. On the caller's thread. Errors of the record, of stores that cannot
 * be listed, of `each`. */
hilum_rc hl_store_fsck(struct hl_store *store, bool repair, hl_fsck_cb each, void *arg);
/* Makes a lost catalogue again from the objects and the log beside them; what is there already
 * stays. May be run again after a crash, and goes on. HILUM_EAGAIN: it runs already.
 * `progress` (or NULL) hears how many objects were looked at, once a batch; what it returns
 * but HILUM_OK ends the rebuild, to go on the next time. Takes as long as reading all stores.
 * On the caller's thread, beside everything else. Errors of stores and record, HILUM_ENOMEM. */
hilum_rc hl_store_rebuild(struct hl_store *store, hilum_rc (*progress)(void *arg, uint64_t done),
                          void *arg);
/* Once a second or so: the log beside the objects, which only grows, is written anew when that is
 * worth it, and mapped files nobody reads any more go. Called by the housekeeper. HILUM_OK where nothing was due, or while safe mode or a
 * rebuild forbids it. */
hilum_rc hl_store_tidy(struct hl_store *store);
/* Is everything in it that should be? HILUM_ECONFLICT: more than that, the catalogue is an
 * older one. Otherwise what the last saving failed with. Any thread. */
hilum_rc hl_store_log_health(struct hl_store *store);

#endif
