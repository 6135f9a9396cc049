/* Stored objects as plugins see them: whole on their way out, their attributes, their bulk data; and objects on their
 * way in. Corrections are applied to all that leaves, what comes in takes the way every object takes. Knows nothing
 * of HTTP and of stores (preview). SPDX-License-Identifier: MIT */
#ifndef HILUM_OBJECT_H
#define HILUM_OBJECT_H

#include "hilum/catalog.h"
#include "hilum/codec.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hilum_object hilum_object; /* on its way out; one thread at a time */
typedef struct hilum_intake hilum_intake; /* on its way in; likewise */
struct hilum_source;                      /* hilum/renderer.h */

/* Where a piece of an object's data set lies, as it leaves. */
struct hilum_extent {
    uint32_t size;
    char vr[4];
    uint64_t offset, length; /* of the value; whole pixel data in fragments: see frames() */
};

/* What is known of an object's pixel data. */
struct hilum_frames {
    uint32_t size;
    uint32_t is_encapsulated;    /* frames are compressed streams of `transfer_syntax` */
    uint64_t n;                  /* 0: it has no pixels */
    uint64_t length;             /* bytes of one native frame */
    const char *transfer_syntax; /* it leaves in; borrowed until close() or convert() */
};

/* Borrowed until close(). */
struct hilum_object_names {
    uint32_t size, reserved;
    const char *sop_class, *sop_instance, *series_uid, *study_uid;
    const char *transfer_syntax; /* stored in */
};

/* Where an object comes from; borrowed for the call. Texts may be NULL. */
struct hilum_intake_source {
    uint32_t size, reserved;
    const char *kind;      /* at most 16 characters: "STOW-RS"; for events and audit */
    const char *user;      /* who sends; "" nobody in particular */
    const char *address;   /* numeric */
    const char *study_uid; /* the only study that will do; NULL: any */
};

/* What became of it. Texts are borrowed until intake_close(), never NULL. */
struct hilum_intake_result {
    uint32_t size;
    uint32_t
        status; /* as of C-STORE (PS3.4 B.2.3): 0 stored; Bxxx stored, with a warning; else not stored */
    uint32_t offending;   /* tag, 0: none */
    int32_t is_duplicate; /* was there before */
    int32_t is_held;      /* stored, in quarantine */
    uint32_t reserved;
    int64_t instance;
    const char *comment;                  /* ASCII, without patient data */
    const char *reference;                /* for `hilum explain`; "" on success */
    const char *sop_class, *sop_instance; /* "" where nothing told them */
    const char *study_uid, *series_uid;   /* "" where nothing was stored */
};

/* What the kernel offers. Any thread; one object, or one intake, one thread at a time. Of every struct that is filled in for
 * you (`out`) you say how long yours is: out->size = sizeof *out; no byte behind it is touched. */
struct hilum_object_api {
    uint32_t size, reserved;
    /* ---- out ---- */
    /* instance, as_of: from hilum_catalog_api.objects. who NULL: the plugin itself, for jobs. HILUM_EDENIED: `who` may not retrieve; HILUM_ENOTFOUND;
     * HILUM_ECORRUPT. */
    hilum_rc (*open)(hilum_self *self, const hilum_principal *who, int64_t instance, int64_t as_of,
                     hilum_object **out);
    void (*close)(hilum_object *object); /* NULL is fine */
    /* What it is. HILUM_OK always. */
    hilum_rc (*names)(hilum_object *object, struct hilum_object_names *out);
    /* Before anything is read: let it leave in this transfer syntax. HILUM_EUNSUP, HILUM_EINVAL: it has no such
     * form; it then can still leave as stored. */
    hilum_rc (*convert)(hilum_object *object, const char *transfer_syntax);
    /* Its whole Part 10 file (preamble and file meta information first), piece by piece: borrowed until the next
     * call; *n 0: the end. HILUM_ECORRUPT: the stored bytes are not what was stored; the last piece never came. */
    hilum_rc (*next)(hilum_object *object, const void **bytes, uint64_t *n);
    /* Its attributes as an object of the DICOM JSON Model (PS3.18 F). Binary values over 1 KiB and pixel data are
     * left where they are: bulk_url, '/' and the path of find() stand for them. HILUM_EFULL: more than 16 MiB
     * without these. */
    hilum_rc (*json)(hilum_object *object, const char *bulk_url, const struct hilum_sink *sink);
    /* Where a binary value lies. path: a tag, or tag/item/tag ("54000100/0/54001010"), items from 0.
     * HILUM_ENOTFOUND: no such element. */
    hilum_rc (*find)(hilum_object *object, const char *path, struct hilum_extent *out);
    /* HILUM_EINVAL: it has pixel data that cannot be taken apart. */
    hilum_rc (*frames)(hilum_object *object, struct hilum_frames *out);
    /* The i-th frame, from 0: prepares next_part(). HILUM_ENOTFOUND: there are fewer. */
    hilum_rc (*frame)(hilum_object *object, uint64_t i);
    /* The same, decoded to native little endian where it is compressed. Colours are those the data set
     * declares, YBR_ICT and YBR_RCT being RGB. HILUM_EUNSUP: no codec takes it, or it has no such form. */
    hilum_rc (*native_frame)(hilum_object *object, uint64_t i);
    /* A value found: prepares next_part(). */
    hilum_rc (*part)(hilum_object *object, const struct hilum_extent *extent);
    /* The next bytes of what frame() or part() chose; as next(). Its digest is not checked: that takes the whole. */
    hilum_rc (*next_part)(hilum_object *object, const void **bytes, uint64_t *n);
    /* ---- in ---- */
    /* A Part 10 file arrives: HILUM_EDENIED: `who` may not store. Free with intake_close in every case. */
    hilum_rc (*receive)(hilum_self *self, const hilum_principal *who,
                        const struct hilum_intake_source *source, hilum_intake **out);
    /* The next bytes. What is refused is swallowed to its end: the result tells. */
    hilum_rc (*intake_write)(hilum_intake *intake, const void *bytes, uint64_t n);
    /* No more bytes. Waits until it is durable and recorded, or refused. */
    void (*intake_end)(hilum_intake *intake, struct hilum_intake_result *out);
    /* Without intake_end before: it leaves nothing. NULL is fine. */
    void (*intake_close)(hilum_intake *intake);
    /* The i-th frame, from 0, in native form (struct hilum_frame), decoded where it is compressed, in any order;
     * borrowed until the next call for this object. *out says what it is. HILUM_ENOTFOUND:
     * no such frame; HILUM_EUNSUP: no codec knows it; HILUM_ECORRUPT: its stream is broken. */
    hilum_rc (*pixels)(hilum_object *object, uint64_t i, struct hilum_frame *out,
                       const void **pixels, uint64_t *n);
    /* HILUM_OK: whatever next() gives stays where it is until close(), *length bytes in all, so that all of it can leave
     * at once. HILUM_EUNSUP: it is made as it leaves. Before the first next(). */
    hilum_rc (*lends)(hilum_object *object, uint64_t *length);
    /* Its frames as what renderers draw (hilum/renderer.h): slice i is frame i + 1. `state`: a presentation state to
     * draw by, or NULL; it is left open as long as *out is in use. Borrowed until close() of `object`, or the next call
     * for it. HILUM_ENOTFOUND: it has no pixels. */
    hilum_rc (*source)(hilum_object *object, hilum_object *state, const struct hilum_source **out);
    /* Text of an attribute by keyword or path ("ReferencedSeriesSequence[0].SeriesInstanceUID"), UTF-8, backslash between
     * values. NULL: absent. Borrowed until the next call for this object. */
    const char *(*text)(hilum_object *object, const char *path);
    /* The i-th frame, from 0, as one code stream of wanted->transfer_syntax: prepares next_part(). As stored where it is
     * stored in that; else encoded anew, kept for who asks next. Where the syntax cannot lose, decoding yields the pixels of
     * native_frame() again, 4:2:2 with the colours of a pair in both its pixels. HILUM_EUNSUP: no codec keeps such
     * pixels, or it has no such form; HILUM_ECORRUPT: its stream is broken. */
    hilum_rc (*encoded_frame)(hilum_object *object, uint64_t i, const struct hilum_encode *wanted);
    /* Bytes of all that next() gives. HILUM_EUNSUP: nobody knows before it is made. */
    hilum_rc (*length)(hilum_object *object, uint64_t *n);
    /* Before the first next(): it leaves out the first n bytes. Then the digest is not checked where the object leaves as
     * stored. HILUM_EINVAL: there are fewer; HILUM_EUNSUP as of length(). */
    hilum_rc (*skip)(hilum_object *object, uint64_t n);
    /* The same of what next_part() gives, once it is prepared. */
    hilum_rc (*part_length)(hilum_object *object, uint64_t *n);
    hilum_rc (*skip_part)(hilum_object *object, uint64_t n);
    /* While frames of this object are decoded, made into others or drawn, go_on(arg) is asked now and then, on the thread
     * that waits for them: is there still somebody to have them? Anything but HILUM_OK ends it, with HILUM_ECLOSED; a
     * frame that others wait for as well is decoded all the same. NULL, as in the beginning: nobody is asked. */
    void (*while_wanted)(hilum_object *object, hilum_rc (*go_on)(void *arg), void *arg);
    /* since preview 1: append here */
};

#ifdef __cplusplus
}
#endif
#endif
