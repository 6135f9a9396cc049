/* The one list of attributes the catalogue keeps: INSERT, SELECT and WHERE are made from it. Required and
 * common optional keys of PS3.4 tables C.6-1 to C.6-5. Knows no statement. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_COLUMNS_H
#define HL_RECORD_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Tags the record names itself. */
enum {
    HL_SOP_CLASS_UID = 0x00080016,
    HL_SOP_INSTANCE_UID = 0x00080018,
    HL_STUDY_DATE = 0x00080020,
    HL_ACCESSION_NUMBER = 0x00080050,
    HL_MODALITY = 0x00080060,
    HL_PATIENT_NAME = 0x00100010,
    HL_PATIENT_ID = 0x00100020,
    HL_ISSUER_OF_PATIENT_ID = 0x00100021,
    HL_PATIENT_BIRTH_DATE = 0x00100030,
    HL_PATIENT_SEX = 0x00100040,
    HL_STUDY_INSTANCE_UID = 0x0020000D,
    HL_SERIES_INSTANCE_UID = 0x0020000E
};

/* How values of a column are stored and matched (PS3.4 C.2.2.2). */
enum hl_kind {
    HL_KIND_UID,  /* list of UIDs */
    HL_KIND_TEXT, /* single value, wild cards, case-sensitive */
    HL_KIND_NAME, /* PN: folded in a second column <name>_f, but the patient's own: table patient_name */
    HL_KIND_DATE, /* single, range */
    HL_KIND_TIME,
    HL_KIND_DATETIME,
    HL_KIND_INT /* IS, US: by number */
};

enum {
    HL_COLUMN_MANY = 1,    /* several values, by backslash: any may match */
    HL_COLUMN_KEPT = 2,    /* kept by the record itself, not copied from the header */
    HL_COLUMN_CONSTANT = 4 /* `name` is the value */
};

/* Table and column are the same name in SQL; HL_COLUMN_KEPT ones are written by code that
 * names them. */
struct hl_column {
    uint32_t tag;
    uint8_t level; /* HILUM_LEVEL_* */
    uint8_t kind;  /* enum hl_kind */
    uint8_t flags;
    const char *name;
    const char *keyword; /* PS3.6, for JSON */
};

/* By level, then in the order of the table. */
extern const struct hl_column hl_columns[];
extern const size_t hl_columns_count;

/* What an absent number is stored as: it sorts last. */
#define HL_NO_NUMBER INT64_MAX

/* The column a query at `level` sees for the tag: of this level or above. NULL: not kept. A
 * query at series level may ask for what study and patient have, never the other way round. */
const struct hl_column *hl_column_find(uint32_t level, uint32_t tag);
/* Table of a level and the letter that stands for it in statements. */
const char *hl_level_table(unsigned level);
char hl_level_letter(unsigned level);

#endif
