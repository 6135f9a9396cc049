/* The codec of command sets, driven by one table of fields (PS3.7 6.3.1 and annex E). It knows
 * which field goes with which message and nothing of associations. SPDX-License-Identifier:
 * Apache-2.0 */
#include "core/dicom/dimse.h"

#include <stddef.h>
#include <string.h>

#include "core/base/error.h"

/* 0101 is the one value that says "no data set", any other says there is one (PS3.7 E.1). */
enum { NO_DATASET = 0x0101, HAS_DATASET = 0x0000 };
enum { HEAD = 8 }; /* tag and length */

enum kind { NUMBER, TEXT, UID, TAG, TAGS, DATASET };

/* When a field is written. Reading takes whatever comes. IF_SET: not "" or 0. PRIORITY: commands
 * that have one. COUNTS, REMAINING: of sub-operations. AFFECTED and REQUESTED: which of the two
 * UIDs the command speaks of. */
enum when { IF_SET, ALWAYS, REQUEST, RESPONSE, PRIORITY, COUNTS, REMAINING, AFFECTED, REQUESTED };

/* `offset` and `size` are those of the member of struct hl_dimse, so that one loop reads and one
 * writes all commands. */
struct field {
    uint16_t element; /* group 0000 */
    uint8_t kind, when;
    uint16_t offset, size; /* into struct hl_dimse */
};

#define FIELD(element, kind, when, member)                                                         \
    {                                                                                              \
        element, kind, when, offsetof(struct hl_dimse, member),                                    \
            sizeof(((struct hl_dimse *)0)->member)                                                 \
    }

/* Ascending, as they are written. */
static const struct field fields[] = {
    FIELD(0x0002, UID, AFFECTED, sop_class),
    FIELD(0x0003, UID, REQUESTED, sop_class),
    FIELD(0x0100, NUMBER, ALWAYS, command_field),
    FIELD(0x0110, NUMBER, REQUEST, message_id),
    FIELD(0x0120, NUMBER, RESPONSE, message_id_responded),
    FIELD(0x0600, TEXT, IF_SET, move_destination),
    FIELD(0x0700, NUMBER, PRIORITY, priority),
    FIELD(0x0800, DATASET, ALWAYS, has_dataset),
    FIELD(0x0900, NUMBER, RESPONSE, status),
    FIELD(0x0901, TAG, IF_SET, offending),
    FIELD(0x0902, TEXT, IF_SET, comment),
    FIELD(0x0903, NUMBER, IF_SET, error_id),
    FIELD(0x1000, UID, AFFECTED, sop_instance),
    FIELD(0x1001, UID, REQUESTED, sop_instance),
    FIELD(0x1002, NUMBER, IF_SET, event_type),
    FIELD(0x1005, TAGS, IF_SET, n_attributes),
    FIELD(0x1008, NUMBER, IF_SET, action_type),
    FIELD(0x1020, NUMBER, REMAINING, remaining),
    FIELD(0x1021, NUMBER, COUNTS, completed),
    FIELD(0x1022, NUMBER, COUNTS, failed),
    FIELD(0x1023, NUMBER, COUNTS, warning),
    FIELD(0x1030, TEXT, IF_SET, originator_aet),
    FIELD(0x1031, NUMBER, IF_SET, originator_id),
};
enum { N_FIELDS = sizeof fields / sizeof fields[0] };

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static void put16(struct hl_buf *out, uint16_t value)
{
    hl_buf_byte(out, (uint8_t)value);
    hl_buf_byte(out, (uint8_t)(value >> 8));
}

static void put32(struct hl_buf *out, uint32_t value)
{
    put16(out, (uint16_t)value);
    put16(out, (uint16_t)(value >> 16));
}

/* ---- reading ----------------------------------------------------------------------------------
 */

/* A walk of 23, some ten times a message. */
static const struct field *field_of(uint16_t element)
{
    for (size_t i = 0; i < N_FIELDS; i++)
        if (fields[i].element == element)
            return &fields[i];
    return NULL;
}

/* What is not printable ASCII becomes '?': a command set has no character set, and these texts reach logs, traces and
 * the catalogue, which takes UTF-8 only. */
static void read_text(const struct field *field, const uint8_t *value, size_t n, char *out)
{
    while (n && (value[n - 1] == ' ' || value[n - 1] == 0))
        n--;
    while (n && *value == ' ') {
        value++;
        n--;
    }
    if (n >= field->size)
        n = field->size - 1u;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(value[i] >= ' ' && value[i] < 127 ? value[i] : '?');
    out[n] = 0;
}

/* US, 2 bytes; longer ones are read by their first, as DCMTK's do. */
static hilum_rc read_number(const struct field *field, const uint8_t *value, size_t n, void *out)
{
    if (n < 2)
        return hl_fail(HILUM_EINVAL, "command set: (0000,%04x) has %zu bytes instead of 2",
                       field->element, n);
    uint16_t number = get16(value);
    memcpy(out, &number, sizeof number);
    return HILUM_OK;
}

/* AT: group, then element, each little endian (PS3.5 6.2). */
static uint32_t get_tag(const uint8_t *p)
{
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void read_offending(const uint8_t *value, size_t n, uint32_t out[HL_OFFENDING_MAX])
{
    for (size_t i = 0; i < HL_OFFENDING_MAX && 4 * i + 4 <= n; i++)
        out[i] = get_tag(value + 4 * i);
}

/* A list cut short would ask for something else. */
static hilum_rc read_tags(const uint8_t *value, size_t n, struct hl_dimse *out)
{
    if (n % 4 || n / 4 > HL_DIMSE_TAGS)
        return hl_fail(HILUM_EINVAL, "command set: (0000,1005) of %zu bytes, at most %d tags of 4",
                       n, HL_DIMSE_TAGS);
    out->n_attributes = (uint16_t)(n / 4);
    for (size_t i = 0; i < n / 4; i++)
        out->attributes[i] = get_tag(value + 4 * i);
    return HILUM_OK;
}

static hilum_rc read_field(const struct field *field, const uint8_t *value, size_t n,
                           struct hl_dimse *out)
{
    void *member = (char *)out + field->offset;
    uint16_t type = NO_DATASET;
    hilum_rc rc = HILUM_OK;
    switch (field->kind) {
    case NUMBER:
        rc = read_number(field, value, n, member);
        out->has_counts |= field->when == COUNTS || field->when == REMAINING;
        return rc;
    case DATASET:
        rc = read_number(field, value, n, &type);
        out->has_dataset = type != NO_DATASET;
        return rc;
    case TAG: read_offending(value, n, out->offending); return HILUM_OK;
    case TAGS: return read_tags(value, n, out);
    /* 64 characters and a NUL that pads (PS3.5 9.1). */
    case UID:
        /* A UID cut to fit would be another UID. */
        if (n > HL_UID_MAX)
            return hl_fail(HILUM_EINVAL, "command set: (0000,%04x) is a UID of %zu bytes",
                           field->element, n);
        break;
    }
    read_text(field, value, n, member);
    return HILUM_OK;
}

/* All else has a meaning when absent; without a command there is nothing to answer. */
static hilum_rc check_message(const struct hl_dimse *message)
{
    if (!message->command_field)
        return hl_fail(HILUM_EINVAL, "command set: no Command Field (0000,0100)");
    return HILUM_OK;
}

/* Fields may come in any order and twice (the last wins): peers are lenient with each other
 * here, and nothing is gained by refusing. Unknown ones are passed over; every length is checked
 * against what is left before it is used. */
hilum_rc hl_dimse_parse(const uint8_t *bytes, size_t n, struct hl_dimse *out)
{
    memset(out, 0, sizeof *out);
    for (size_t at = 0; at < n;) {
        if (n - at < HEAD)
            return hl_fail(HILUM_EINVAL, "command set: %zu stray bytes at the end", n - at);
        uint16_t group = get16(bytes + at), element = get16(bytes + at + 2);
        uint32_t length = get32(bytes + at + 4);
        at += HEAD;
        if (group != 0)
            return hl_fail(HILUM_EINVAL, "command set: element (%04x,%04x) at offset %zu", group,
                           element, at - HEAD);
        if (length > n - at)
            return hl_fail(HILUM_EINVAL, "command set: (0000,%04x) of %u bytes, %zu are left",
                           element, length, n - at);
        const struct field *field = field_of(element);
        hilum_rc rc = field ? read_field(field, bytes + at, length, out) : HILUM_OK;
        if (rc)
            return rc;
        at += length;
    }
    return check_message(out);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Requests that name an object that is there already speak of Requested UIDs (PS3.7 E.1). */
static bool names_requested(uint16_t command)
{
    return command == HL_N_GET_RQ || command == HL_N_SET_RQ || command == HL_N_ACTION_RQ ||
           command == HL_N_DELETE_RQ;
}

/* Priority is said and not heeded: all are served as they come, as most systems do. */
static bool has_priority(uint16_t command)
{
    return command == HL_C_STORE_RQ || command == HL_C_FIND_RQ || command == HL_C_MOVE_RQ ||
           command == HL_C_GET_RQ;
}

bool hl_dimse_is_pending(uint16_t status)
{
    return (status & 0xFFFEu) == 0xFF00;
}

/* By bytes: numbers and tags are 0 when absent, texts begin with their NUL. */
static bool is_set(const struct field *field, const void *member)
{
    static const char zero[HL_UID_MAX + 1];
    bool is_number = field->kind == NUMBER || field->kind == TAG || field->kind == TAGS;
    return is_number ? memcmp(member, zero, field->size) != 0 : *(const char *)member != 0;
}

static bool is_written(const struct field *field, const struct hl_dimse *message)
{
    uint16_t command = message->command_field;
    bool is_response = command & HL_RSP || command == HL_C_CANCEL_RQ;
    switch (field->when) {
    case ALWAYS: return true;
    case REQUEST: return !is_response;
    case RESPONSE:
        /* C-CANCEL-RQ names the message it cancels and has no status. */
        return is_response && !(command == HL_C_CANCEL_RQ && field->element == 0x0900);
    case PRIORITY: return has_priority(command);
    case COUNTS: return message->has_counts;
    case REMAINING: /* absent from final responses but the cancelled one (PS3.7 9.1.4.1.6) */
        return message->has_counts &&
               (hl_dimse_is_pending(message->status) || message->status == 0xFE00);
    case REQUESTED:
        if (!names_requested(command))
            return false;
        break;
    case AFFECTED:
        if (names_requested(command))
            return false;
        break;
    }
    return is_set(field, (const char *)message + field->offset);
}

/* Even length: UIDs are padded by NUL, text by a space (PS3.5 6.2). */
static void write_text(const struct field *field, const char *text, struct hl_buf *out)
{
    size_t n = strnlen(text, field->size - 1u);
    put32(out, (uint32_t)(n + n % 2));
    hl_buf_add(out, text, n);
    if (n % 2)
        hl_buf_byte(out, field->kind == UID ? 0 : ' ');
}

static void write_number(uint16_t number, struct hl_buf *out)
{
    put32(out, 2);
    put16(out, number);
}

static void put_tag(uint32_t tag, struct hl_buf *out)
{
    put16(out, (uint16_t)(tag >> 16));
    put16(out, (uint16_t)tag);
}

static void write_tags(const uint32_t *tags, size_t n, struct hl_buf *out)
{
    put32(out, (uint32_t)(4 * n));
    for (size_t i = 0; i < n; i++)
        put_tag(tags[i], out);
}

static size_t count_offending(const uint32_t tags[HL_OFFENDING_MAX])
{
    size_t n = 0;
    while (n < HL_OFFENDING_MAX && tags[n])
        n++;
    return n;
}

static void write_field(const struct field *field, const struct hl_dimse *message,
                        struct hl_buf *out)
{
    const char *member = (const char *)message + field->offset;
    uint16_t number;
    put16(out, 0);
    put16(out, field->element);
    switch (field->kind) {
    case NUMBER:
        memcpy(&number, member, sizeof number);
        write_number(number, out);
        break;
    case DATASET: write_number(message->has_dataset ? HAS_DATASET : NO_DATASET, out); break;
    case TAG: write_tags(message->offending, count_offending(message->offending), out); break;
    case TAGS: write_tags(message->attributes, message->n_attributes, out); break;
    default: write_text(field, member, out);
    }
}

/* Group length is UL, the only one in a command set, and known last. */
void hl_dimse_encode(const struct hl_dimse *message, struct hl_buf *out)
{
    struct hl_buf body = {0};
    for (size_t i = 0; i < N_FIELDS; i++)
        if (is_written(&fields[i], message))
            write_field(&fields[i], message, &body);
    put32(out, 0); /* tag (0000,0000) */
    put32(out, 4);
    put32(out, (uint32_t)body.len);
    hl_buf_add(out, body.data, body.len);
    out->failed |= body.failed;
    hl_buf_fini(&body);
}

/* ---- responses -------------------------------------------------------------------------------- */

/* Affected SOP Instance too, where the request had a Requested one (PS3.7 10.1). */
struct hl_dimse hl_dimse_response(const struct hl_dimse *request, uint16_t status)
{
    struct hl_dimse response = {.command_field = request->command_field | HL_RSP,
                                .message_id_responded = request->message_id,
                                .status = status,
                                .action_type = request->action_type,
                                .event_type = request->event_type,
                                .context_id = request->context_id};
    memcpy(response.sop_class, request->sop_class, sizeof response.sop_class);
    memcpy(response.sop_instance, request->sop_instance, sizeof response.sop_instance);
    return response;
}

void hl_dimse_set_comment(struct hl_dimse *message, const char *text)
{
    size_t n = 0;
    for (; text && *text && n < sizeof message->comment - 1; text++)
        message->comment[n++] = (char)(*text >= ' ' && *text < 127 && *text != '\\' ? *text : '?');
    message->comment[n] = 0;
}
