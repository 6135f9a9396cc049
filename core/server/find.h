/* What `study find` and `peer find` share: the same options and the same columns, whoever's studies they are.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SERVER_FIND_H
#define HL_SERVER_FIND_H

#include <stdint.h>

#include "core/control/control.h"

enum { HL_FIND_KEYS = 7, HL_FIND_COLUMNS = 9, HL_FIND_LIMIT = 100 };

/* An option and the attribute it is matched against; flags: HILUM_KEY_... */
struct hl_find_key {
    const char *option;
    uint32_t tag, flags;
};
struct hl_find_column {
    const char *name;
    uint32_t tag;
};
extern const struct hl_find_key hl_find_keys[HL_FIND_KEYS]; /* commands_catalog.c */
extern const struct hl_find_column hl_find_columns[HL_FIND_COLUMNS];

/* Declarations of the options but `name`, whose words differ. */
#define HL_FIND_ARGS                                                                               \
    {"patient-id", HL_ARG_TEXT, false, false, "PatientID", NULL},                                  \
        {"accession", HL_ARG_TEXT, false, false, "AccessionNumber", NULL},                         \
        {"date", HL_ARG_TEXT, false, false, "StudyDate or range: 20260101-20260131", NULL},        \
        {"modality", HL_ARG_TEXT, false, false, "a modality in the study: CT", NULL},              \
        {"description", HL_ARG_TEXT, false, false, "StudyDescription, * and ?", NULL},             \
        {"uid", HL_ARG_TEXT, false, false, "StudyInstanceUID", NULL},                              \
    {                                                                                              \
        "limit", HL_ARG_INT, false, false, "answers at most (100)", NULL                           \
    }

#endif
