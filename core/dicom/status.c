/* The one place that turns a hilum_rc into a DICOM status (PS3.7 annex C; PS3.4 B.2.3, C.4.1.1.4,
 * C.4.2.1.5, C.4.3.1.4).
 *
 * Who retries does so by the status: A7xx is "again later" to most modalities, Cxxx and 01xx
 * are not. So what may pass by itself is A700, and what the same request would meet again is
 * not.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/dimse.h"

enum {
    PROCESSING_FAILURE = 0x0110,
    CLASS_NOT_SUPPORTED = 0x0122,
    NOT_AUTHORIZED = 0x0124,
    NO_SUCH_INSTANCE = 0x0112,
    NO_SUCH_OPERATION = 0x0211,
    OUT_OF_RESOURCES = 0xA700,
    NO_SUBOPERATIONS = 0xA702,
    DESTINATION_UNKNOWN = 0xA801,
    DOES_NOT_MATCH = 0xA900,
    CANNOT_UNDERSTAND = 0xC000,
    CANCELLED = 0xFE00
};

/* Columns: C-STORE, C-FIND, C-MOVE and C-GET, everything else. */
struct row {
    hilum_rc rc;
    uint16_t store, find, retrieve, other;
};

/* C-FIND's A700, A900, C000 and C-MOVE's A702, A801, A900, C000 are those of PS3.4; N-services
 * take the general ones of PS3.7 C (0115 invalid argument value, 0213 resource limitation). */
static const struct row rows[] = {
    {HILUM_OK, 0, 0, 0, 0},
    {HILUM_EINVAL, CANNOT_UNDERSTAND, DOES_NOT_MATCH, DOES_NOT_MATCH, 0x0115},
    {HILUM_ENOMEM, OUT_OF_RESOURCES, OUT_OF_RESOURCES, NO_SUBOPERATIONS, 0x0213},
    {HILUM_EFULL, OUT_OF_RESOURCES, OUT_OF_RESOURCES, NO_SUBOPERATIONS, 0x0213},
    {HILUM_EAGAIN, OUT_OF_RESOURCES, OUT_OF_RESOURCES, NO_SUBOPERATIONS, 0x0213},
    {HILUM_EIO, OUT_OF_RESOURCES, CANNOT_UNDERSTAND, CANNOT_UNDERSTAND, PROCESSING_FAILURE},
    {HILUM_EDENIED, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED},
    {HILUM_EUNSUP, CLASS_NOT_SUPPORTED, CLASS_NOT_SUPPORTED, CLASS_NOT_SUPPORTED,
     NO_SUCH_OPERATION},
    {HILUM_ENOTFOUND, PROCESSING_FAILURE, CANNOT_UNDERSTAND, DESTINATION_UNKNOWN, NO_SUCH_INSTANCE},
    {HILUM_ECANCELLED, CANCELLED, CANCELLED, CANCELLED, CANCELLED},
};

/* Codes without a row are failures of ours: processing failure, never success. */
uint16_t hl_dimse_status(hilum_rc rc, uint16_t command_field)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].rc != rc)
            continue;
        switch (command_field & ~HL_RSP) {
        case HL_C_STORE_RQ: return rows[i].store;
        case HL_C_FIND_RQ: return rows[i].find;
        case HL_C_MOVE_RQ:
        case HL_C_GET_RQ: return rows[i].retrieve;
        default: return rows[i].other;
        }
    }
    return PROCESSING_FAILURE;
}
