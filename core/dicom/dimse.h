/* DIMSE messages (PS3.7) on the upper layer: command sets, messages, statuses. Knows nothing of SOP
 * classes' meaning, peers' permissions or storage. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_DIMSE_H
#define HL_DIMSE_H

#include "core/base/buf.h"
#include "core/dicom/ul/ul.h"

/* Command field values (PS3.7 E.1). A response is the request or-ed with 0x8000. */
enum {
    HL_C_STORE_RQ = 0x0001,
    HL_C_GET_RQ = 0x0010,
    HL_C_FIND_RQ = 0x0020,
    HL_C_MOVE_RQ = 0x0021,
    HL_C_ECHO_RQ = 0x0030,
    HL_N_EVENT_REPORT_RQ = 0x0100,
    HL_N_GET_RQ = 0x0110,
    HL_N_SET_RQ = 0x0120,
    HL_N_ACTION_RQ = 0x0130,
    HL_N_CREATE_RQ = 0x0140,
    HL_N_DELETE_RQ = 0x0150,
    HL_C_CANCEL_RQ = 0x0FFF,
    HL_RSP = 0x8000
};

enum { HL_OFFENDING_MAX = 8 }; /* (0000,0901): more are not told */
enum { HL_DIMSE_TAGS = 128 };  /* (0000,1005): longer lists are refused */

/* A command set, decoded. Fields that were absent are "" or 0; `has` tells the numeric ones. */
struct hl_dimse {
    uint16_t command_field, message_id, message_id_responded, priority, status;
    bool has_dataset; /* Command Data Set Type is not 0101 */
    bool has_counts;
    uint16_t remaining, completed, failed, warning;
    uint16_t originator_id; /* Move Originator Message ID; 0: absent */
    char sop_class[HL_UID_MAX], sop_instance[HL_UID_MAX];
    char move_destination[HL_AE_MAX], originator_aet[HL_AE_MAX];
    char comment[65];
    uint32_t offending[HL_OFFENDING_MAX]; /* Offending Elements; ends at the first 0 */
    uint16_t error_id, action_type, event_type;
    uint8_t context_id; /* presentation context it came on or goes out on */
    uint16_t n_attributes;
    uint32_t attributes[HL_DIMSE_TAGS]; /* Attribute Identifier List (0000,1005) */
};

/* Decodes a command set of n bytes (implicit VR little endian; PS3.7 6.3.1). HILUM_EINVAL says what. */
hilum_rc hl_dimse_parse(const uint8_t *bytes, size_t n, struct hl_dimse *out);
/* Appends the command set, group length first; `out->failed` without memory. Which fields are
 * written follows from the command (PS3.7 9.3, 10.3). */
void hl_dimse_encode(const struct hl_dimse *message, struct hl_buf *out);

/* The response to a request without data set: command, message ID, UIDs, action and event type, context. */
struct hl_dimse hl_dimse_response(const struct hl_dimse *request, uint16_t status);
/* FF00 and FF01 (PS3.7 C): more responses follow. */
bool hl_dimse_is_pending(uint16_t status);
/* The Error Comment: cut to 64, what is not printable ASCII becomes '?' (a command set has no character
 * set). NULL: none. */
void hl_dimse_set_comment(struct hl_dimse *message, const char *text);

/* Reads the next command set (at most 64 KiB). Errors as hl_ul_read. */
hilum_rc hl_dimse_read(struct hl_ul_assoc *assoc, struct hl_dimse *out);
/* Reads a data set piece by piece: each(arg, bytes, n); goes on reading (without calling) after each() failed
 * and returns that error at the end, so that the association stays in step. */
hilum_rc hl_dimse_read_dataset(struct hl_ul_assoc *assoc, const struct hl_dimse *command,
                               hilum_rc (*each)(void *arg, const void *bytes, size_t n), void *arg);
/* Sends a command set, and a data set held in memory if there is one. */
hilum_rc hl_dimse_write(struct hl_ul_assoc *assoc, const struct hl_dimse *message,
                        const void *dataset, size_t n);

/* hilum_rc -> DICOM status of a service (PS3.7 C, PS3.4 B.2.3): the one place that maps. */
uint16_t hl_dimse_status(hilum_rc rc, uint16_t command_field);

#endif
