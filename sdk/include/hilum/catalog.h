/* The kernel's catalogue as plugins see it: find and return, in DICOM terms only. C-FIND, QIDO and
 * pages share this one matcher (PS3.4 C.2.2.2). SPDX-License-Identifier: MIT */
#ifndef HILUM_CATALOG_H
#define HILUM_CATALOG_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HILUM_LEVEL_PATIENT = 1,
    HILUM_LEVEL_STUDY = 2,
    HILUM_LEVEL_SERIES = 3,
    HILUM_LEVEL_IMAGE = 4
};

enum {
    HILUM_KEY_FUZZY = 1, /* PN: any component group, any order, pinyin and initials too */
    /* TM: its range and the range of its date are one period (PS3.4 C.2.2.2.5, to be negotiated). Without
     * it date and time match each for itself. */
    HILUM_KEY_COMBINED = 2
};

/* One matching key. value is UTF-8 as in the identifier: wild cards * and ?, ranges a-b, UID lists by
 * backslash; NULL or "": universal. Frozen for the major. */
struct hilum_catalog_key {
    uint32_t tag;   /* (group << 16) | element */
    uint32_t flags; /* HILUM_KEY_* */
    const char *value;
};

/* A question. Borrowed until open() has returned. */
struct hilum_catalog_query {
    uint32_t size;
    uint32_t level;                       /* HILUM_LEVEL_* of the answers */
    const struct hilum_catalog_key *keys; /* of this level and above */
    uint32_t n_keys, n_returns;
    const uint32_t *returns; /* tags whose values will be asked for */
    int32_t order;           /* 0: index order; HILUM_ORDER_* */
    uint32_t limit;          /* answers at most; 0: no limit */
    const char *after;       /* keyset cursor from a previous answer, or NULL */
};
enum { HILUM_ORDER_INDEX = 0, HILUM_ORDER_NEWEST = 1 };

typedef struct hilum_cursor hilum_cursor;

/* A stored object, for retrieval. Strings are borrowed until the callback returns. */
struct hilum_object_ref {
    uint32_t size, reserved;
    int64_t instance; /* the kernel's number of the instance: pass it back */
    const char *sop_class, *sop_instance, *transfer_syntax;
    const char *study_uid, *series_uid;
    uint64_t length; /* bytes of the stored object */
};
typedef hilum_rc (*hilum_object_cb)(void *arg, const struct hilum_object_ref *object);

typedef struct hilum_principal hilum_principal; /* who asks; borrowed from the exchange */

/* What the kernel offers. Any thread; a cursor one thread at a time. */
struct hilum_catalog_api {
    uint32_t size, reserved;
    /* HILUM_EINVAL: a key's value is not of its VR's form, or a required unique key is missing (the
     * reason says which tag). Answers the principal may not see are left out. */
    hilum_rc (*open)(hilum_self *self, const hilum_principal *who,
                     const struct hilum_catalog_query *query, hilum_cursor **out);
    /* 1: an answer, 0: no more, negative: error. No snapshot or lock is held between calls. */
    hilum_rc (*next)(hilum_cursor *cursor);
    /* Value of a return key in the current answer, UTF-8, backslash between values; "" if empty; NULL: the
     * catalogue does not keep this attribute. Borrowed until the next call. */
    const char *(*value)(hilum_cursor *cursor, uint32_t tag);
    /* Keyset cursor after the current answer, for `after`. Borrowed until the next call. */
    const char *(*position)(hilum_cursor *cursor);
    void (*close)(hilum_cursor *cursor);
    /* Objects below the given unique keys (PatientID with IssuerOfPatientID, Study, Series, SOP Instance
     * UIDs; lists by backslash), in series and instance number order, with the overlays' state frozen at
     * the call: *as_of is passed to the sending calls, so that an edit meanwhile never mixes identities. */
    hilum_rc (*objects)(hilum_self *self, const hilum_principal *who,
                        const struct hilum_catalog_key *keys, uint32_t n_keys, int64_t *as_of,
                        hilum_object_cb each, void *arg);
    /* Is this attribute kept at this level (a matching key that is not would match all)? 1 or 0. */
    int32_t (*has_attribute)(uint32_t level, uint32_t tag);
    /* Would open() take this key's value at this level? 1 or 0; 1 for what is not kept there. Asks nothing of the
     * database: for telling a peer which of its keys were at fault. */
    int32_t (*takes_key)(uint32_t level, const struct hilum_catalog_key *key);
    /* The i-th attribute kept at this level, those of the levels above included; 0 past the last. */
    uint32_t (*attribute_at)(uint32_t level, uint32_t i);
    /* since 1.1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
