/* The UIDs of DICOM by name and their properties (PS3.6 annex A, PS3.5 annex A): the one place where
 * UID literals live. It knows nothing of peers, of what is accepted, of codecs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DICOM_UID_H
#define HL_DICOM_UID_H

#include <stdbool.h>
#include <stddef.h>

/* Ours: derived from a UUID (PS3.5 B.2); tells which software wrote a file or opened an association. */
#define HL_UID_IMPLEMENTATION "2.25.56326789564209485669570881579115087894"

#define HL_UID_APPLICATION_CONTEXT         "1.2.840.10008.3.1.1.1"
#define HL_UID_VERIFICATION                "1.2.840.10008.1.1"
#define HL_UID_MEDIA_DIRECTORY             "1.2.840.10008.1.3.10"
#define HL_UID_STORAGE_COMMITMENT          "1.2.840.10008.1.20.1"
#define HL_UID_STORAGE_COMMITMENT_INSTANCE "1.2.840.10008.1.20.1.1"
#define HL_UID_INSTANCE_AVAILABILITY       "1.2.840.10008.5.1.4.33"
#define HL_UID_MPPS                        "1.2.840.10008.3.1.2.3.3"
#define HL_UID_MPPS_RETRIEVE               "1.2.840.10008.3.1.2.3.4"
#define HL_UID_MPPS_NOTIFICATION           "1.2.840.10008.3.1.2.3.5"
#define HL_UID_MODALITY_WORKLIST_FIND      "1.2.840.10008.5.1.4.31"
#define HL_UID_PATIENT_ROOT_FIND           "1.2.840.10008.5.1.4.1.2.1.1"
#define HL_UID_PATIENT_ROOT_MOVE           "1.2.840.10008.5.1.4.1.2.1.2"
#define HL_UID_PATIENT_ROOT_GET            "1.2.840.10008.5.1.4.1.2.1.3"
#define HL_UID_STUDY_ROOT_FIND             "1.2.840.10008.5.1.4.1.2.2.1"
#define HL_UID_STUDY_ROOT_MOVE             "1.2.840.10008.5.1.4.1.2.2.2"
#define HL_UID_STUDY_ROOT_GET              "1.2.840.10008.5.1.4.1.2.2.3"
#define HL_UID_STORAGE_PREFIX              "1.2.840.10008.5.1.4.1.1."

#define HL_UID_IMPLICIT_LITTLE_ENDIAN "1.2.840.10008.1.2"
#define HL_UID_EXPLICIT_LITTLE_ENDIAN "1.2.840.10008.1.2.1"
#define HL_UID_DEFLATED_LITTLE_ENDIAN "1.2.840.10008.1.2.1.99"
#define HL_UID_EXPLICIT_BIG_ENDIAN    "1.2.840.10008.1.2.2"
#define HL_UID_RLE_LOSSLESS           "1.2.840.10008.1.2.5"
#define HL_UID_JPEG_BASELINE          "1.2.840.10008.1.2.4.50"
#define HL_UID_JPEG_EXTENDED          "1.2.840.10008.1.2.4.51"
#define HL_UID_JPEG_LOSSLESS_SV1      "1.2.840.10008.1.2.4.70"
#define HL_UID_JPEG_LS_LOSSLESS       "1.2.840.10008.1.2.4.80"
#define HL_UID_JPEG_2000_LOSSLESS     "1.2.840.10008.1.2.4.90"
#define HL_UID_JPEG_XL                "1.2.840.10008.1.2.4.11" /* beginning of all of JPEG XL */
#define HL_UID_JPEG_XL_OF_JPEG        "1.2.840.10008.1.2.4.111"
#define HL_UID_HTJ2K_LOSSLESS         "1.2.840.10008.1.2.4.201"

enum hl_syntax_flag {
    HL_SYNTAX_IMPLICIT = 1,
    HL_SYNTAX_BIG_ENDIAN = 2,
    HL_SYNTAX_DEFLATED = 4,      /* the whole data set (PS3.5 A.5) */
    HL_SYNTAX_ENCAPSULATED = 8,  /* pixel data in fragments (PS3.5 A.4) */
    HL_SYNTAX_LOSSY = 16,        /* may lose: decoding need not give the original */
    HL_SYNTAX_VIDEO = 32,        /* one stream for all frames */
    HL_SYNTAX_FRAGMENTABLE = 64, /* one stream may be cut anywhere into fragments (PS3.5 8.4.1) */
    HL_SYNTAX_REFERENCED = 128,  /* pixel data elsewhere: JPIP, SMPTE ST 2110 */
    HL_SYNTAX_PRIVATE = 256,
    HL_SYNTAX_RETIRED = 512
};

struct hl_syntax {
    const char *uid;
    const char *name;
    unsigned flags; /* enum hl_syntax_flag */
};

struct hl_uid_entry {
    const char *uid;
    const char *name; /* PS3.6 keyword: "CTImageStorage" */
};

/* All functions are pure and callable from any thread; what they return is static. */

/* NULL for a UID that is no transfer syntax known here. */
const struct hl_syntax *hl_uid_syntax(const char *uid);
/* The UID of a transfer syntax given by UID or keyword; what is neither comes back as it is. */
const char *hl_uid_syntax_of(const char *uid_or_keyword);
/* The same for rules, which may say "jpegls", "htj2k", "j2k", "jpegxl", "rle", "jpeg-lossless", "explicit" and, with loss,
 * "jpeg", "jpegls-near", "j2k-lossy", "htj2k-lossy", "jpegxl-lossy"; "jpegxl-jpeg" is JPEG in JPEG XL. NULL: no syntax known here. */
const struct hl_syntax *hl_uid_syntax_named(const char *name);
/* All of them, in the order of the standard. Returns how many. */
size_t hl_uid_syntaxes(const struct hl_syntax **out);

/* The standard storage SOP classes, retired ones included, sorted by UID. Returns how many. */
size_t hl_uid_storage_classes(const struct hl_uid_entry **out);
/* A storage SOP class: in the table, or below the prefix all of them share, so that a class newer
 * than the table is stored like the others. */
bool hl_uid_is_storage(const char *uid);

/* The name of any UID known here; the UID itself when it is not. */
const char *hl_uid_name(const char *uid);

/* The form of PS3.5 9.1: 1-64 characters, digits and dots, no empty component, no leading zeros. */
bool hl_uid_is_valid(const char *uid);
/* Digits, dots and at most 64 of them: what every receiver copes with, and devices send. */
bool hl_uid_is_usable(const char *uid);

#endif
