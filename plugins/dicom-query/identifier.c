/* Identifiers against the rules of their information model (PS3.4 C.4.1.2, C.4.2.2, C.6). It knows
 * nothing of answers. SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

/* Command fields of PS3.7 E.1-1. */
enum { FIND_RQ = 0x0020, MOVE_RQ = 0x0021, GET_RQ = 0x0010 };
/* Bytes of the extended negotiation (PS3.4 C.5.1.1, C.5.2.1). */
enum { BYTE_RELATIONAL = 0, BYTE_COMBINED = 1, BYTE_FUZZY = 2 };

const struct query_model query_models[6] = {
    {"1.2.840.10008.5.1.4.1.2.1.1", HILUM_LEVEL_PATIENT, FIND_RQ},
    {"1.2.840.10008.5.1.4.1.2.1.2", HILUM_LEVEL_PATIENT, MOVE_RQ},
    {"1.2.840.10008.5.1.4.1.2.1.3", HILUM_LEVEL_PATIENT, GET_RQ},
    {"1.2.840.10008.5.1.4.1.2.2.1", HILUM_LEVEL_STUDY, FIND_RQ},
    {"1.2.840.10008.5.1.4.1.2.2.2", HILUM_LEVEL_STUDY, MOVE_RQ},
    {"1.2.840.10008.5.1.4.1.2.2.3", HILUM_LEVEL_STUDY, GET_RQ},
};

const struct query_model *query_model_of(const struct hilum_dimse_request *request)
{
    for (size_t i = 0; i < sizeof query_models / sizeof query_models[0]; i++)
        if (!strcmp(query_models[i].sop_class, request->sop_class) &&
            query_models[i].command == request->command_field)
            return &query_models[i];
    return NULL;
}

/* ---- levels ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    uint32_t unique_key;
} levels[] = {
    [HILUM_LEVEL_PATIENT] = {"PATIENT", TAG_PATIENT_ID},
    [HILUM_LEVEL_STUDY] = {"STUDY", TAG_STUDY},
    [HILUM_LEVEL_SERIES] = {"SERIES", TAG_SERIES},
    [HILUM_LEVEL_IMAGE] = {"IMAGE", TAG_SOP_INSTANCE},
};

uint32_t query_level(const char *text)
{
    for (uint32_t level = HILUM_LEVEL_PATIENT; level <= HILUM_LEVEL_IMAGE; level++)
        if (!strcmp(levels[level].text, text))
            return level;
    return 0;
}

const char *query_level_text(uint32_t level)
{
    return levels[level].text;
}

uint32_t query_unique_key(uint32_t level)
{
    return levels[level].unique_key;
}

/* ---- reading ---------------------------------------------------------------------------------- */

/* About the request or the server, not about what is looked for. xxxx0000 are group lengths,
 * which old toolkits send. */
static bool is_control(uint32_t tag)
{
    return (tag & 0xFFFF) == 0 || tag == TAG_CHARACTER_SET || tag == TAG_LEVEL ||
           tag == TAG_RETRIEVE_AET || tag == TAG_AVAILABILITY || tag == TAG_TIMEZONE;
}

__attribute__((format(printf, 3, 4))) static uint16_t say(char comment[COMMENT_SIZE],
                                                          uint16_t status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(comment, COMMENT_SIZE, format, arguments);
    va_end(arguments);
    return status;
}

/* The value is copied: what the dataset lends is good until it is asked again. */
static bool add_field(const struct hilum_dicom_api *api, hilum_dataset *data, uint32_t tag,
                      const char *vr, struct query_identifier *out)
{
    const char *value = strcmp(vr, "SQ") ? api->get_tag(data, tag) : NULL;
    struct query_field *field = &out->fields[out->n_fields];
    *field = (struct query_field){
        .tag = tag, .is_name = !strcmp(vr, "PN"), .is_time = !strcmp(vr, "TM")};
    field->value = strdup(value ? value : "");
    out->n_fields += field->value != NULL;
    return field->value != NULL;
}

/* Sequences are kept as keys without a value: they are told as unsupported, which they are
 * here. */
static uint16_t read_fields(const struct query *query, hilum_dataset *data,
                            struct query_identifier *out, char comment[COMMENT_SIZE])
{
    const struct hilum_dicom_api *api = query->host->dicom;
    uint32_t tag;
    char vr[3];
    out->fields = calloc(KEYS_MAX, sizeof *out->fields);
    if (!out->fields)
        return say(comment, STATUS_OUT_OF_RESOURCES, "out of memory");
    for (uint64_t i = 0; api->at(data, i, &tag, vr) == HILUM_OK; i++) {
        if (is_control(tag))
            continue;
        if (out->n_fields == KEYS_MAX)
            return say(comment, STATUS_OUT_OF_RESOURCES, "more keys than this server takes");
        if (!add_field(api, data, tag, vr, out))
            return say(comment, STATUS_OUT_OF_RESOURCES, "out of memory");
        out->has_unsupported |= !query->host->catalog->has_attribute(out->level, tag);
    }
    return 0;
}

const char *query_identifier_value(const struct query_identifier *identifier, uint32_t tag)
{
    for (uint32_t i = 0; i < identifier->n_fields; i++)
        if (identifier->fields[i].tag == tag)
            return identifier->fields[i].value;
    return "";
}

void query_identifier_fini(struct query_identifier *identifier)
{
    for (uint32_t i = 0; i < identifier->n_fields; i++)
        free(identifier->fields[i].value);
    free(identifier->fields);
}

/* ---- rules ------------------------------------------------------------------------------------ */

/* What the association's negotiation came to, not what this request wishes. */
static bool was_agreed(const struct hilum_dimse_request *request, unsigned byte)
{
    return request->extended && request->extended_length > byte && request->extended[byte] == 1;
}

static bool is_wild(const char *value)
{
    return strpbrk(value, "*?") != NULL;
}

/* Without relational queries the unique keys above the level name one entity each (PS3.4
 * C.4.1.2.2.1). *offending is the last looked at, also when all is well: only read where there
 * is a status. */
static uint16_t check_above(const struct query_identifier *identifier, uint32_t top,
                            uint32_t *offending, char comment[COMMENT_SIZE])
{
    for (uint32_t level = top; level < identifier->level; level++) {
        const char *value = query_identifier_value(identifier, query_unique_key(level));
        *offending = query_unique_key(level);
        if (!*value)
            return say(comment, STATUS_IDENTIFIER, "unique key of level %s is missing",
                       query_level_text(level));
        if (is_wild(value) || strchr(value, '\\'))
            return say(comment, STATUS_IDENTIFIER, "unique key of level %s must be a single value",
                       query_level_text(level));
    }
    return 0;
}

/* A retrieve names what it wants: one or several values at its level, never a pattern (PS3.4 C.4.2.1.4.2). */
static uint16_t check_retrieve(const struct query_identifier *identifier, uint32_t *offending,
                               char comment[COMMENT_SIZE])
{
    const char *value = query_identifier_value(identifier, query_unique_key(identifier->level));
    *offending = query_unique_key(identifier->level);
    if (*value && !is_wild(value))
        return 0;
    return say(comment, STATUS_IDENTIFIER, "unique key of level %s %s",
               query_level_text(identifier->level), *value ? "has a wild card" : "is missing");
}

/* A C-FIND is held against the keys above only; a retrieve has to name what it wants too. */
static uint16_t check(const struct query *query, hilum_exchange *exchange,
                      const struct query_model *model, const struct query_identifier *identifier,
                      char comment[COMMENT_SIZE])
{
    const struct hilum_dimse_request *request = query->host->dicom->request(exchange);
    uint32_t offending = 0;
    bool is_relational =
        !strcmp(query->conf->relational, "always") || was_agreed(request, BYTE_RELATIONAL);
    uint16_t status = is_relational ? 0 : check_above(identifier, model->top, &offending, comment);
    if (!status && model->command != FIND_RQ)
        status = check_retrieve(identifier, &offending, comment);
    if (status)
        query_offend(query, exchange, offending);
    return status;
}

void query_offend(const struct query *query, hilum_exchange *exchange, uint32_t tag)
{
    const struct hilum_dicom_api *api = query->host->dicom;
    if (HILUM_HAS(struct hilum_dicom_api, api->size, offend))
        api->offend(exchange, tag);
}

void query_offend_keys(const struct query *query, hilum_exchange *exchange, uint32_t level,
                       const struct hilum_catalog_key *keys, uint32_t n)
{
    const struct hilum_catalog_api *catalog = query->host->catalog;
    for (uint32_t i = 0; i < n && HILUM_HAS(struct hilum_catalog_api, catalog->size, takes_key);
         i++)
        if (!catalog->takes_key(level, &keys[i]))
            query_offend(query, exchange, keys[i].tag);
}

/* "always" is for modalities that cannot negotiate it; only C-FIND has a name to match. */
static bool is_fuzzy(const struct query *query, const struct hilum_dimse_request *request)
{
    if (strcmp(query->conf->fuzzy, "negotiated"))
        return !strcmp(query->conf->fuzzy, "always");
    return request->command_field == FIND_RQ && was_agreed(request, BYTE_FUZZY);
}

/* level 0 (no such text) is below every top: refused with the same words as a level of the
 * other model. */
uint16_t query_identifier_read(const struct query *query, hilum_exchange *exchange,
                               const struct query_model *model, struct query_identifier *out,
                               char comment[COMMENT_SIZE])
{
    const struct hilum_dicom_api *api = query->host->dicom;
    const struct hilum_dimse_request *request = api->request(exchange);
    hilum_dataset *data = api->identifier(exchange);
    *out = (struct query_identifier){.is_fuzzy = is_fuzzy(query, request),
                                     .is_combined = model->command == FIND_RQ &&
                                                    was_agreed(request, BYTE_COMBINED)};
    comment[0] = 0;
    if (!request->has_dataset)
        return say(comment, STATUS_IDENTIFIER, "no identifier");
    if (!data)
        return say(comment, STATUS_UNABLE, "identifier: %s", query->host->reason(query->self));
    const char *text = api->get_tag(data, TAG_LEVEL);
    out->level = query_level(text ? text : "");
    if (out->level < model->top) {
        query_offend(query, exchange, TAG_LEVEL);
        return say(comment, STATUS_IDENTIFIER, "no level of this model: \"%.16s\"",
                   text ? text : "");
    }
    uint16_t status = read_fields(query, data, out, comment);
    return status ? status : check(query, exchange, model, out, comment);
}
