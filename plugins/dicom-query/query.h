/* What the files of dicom-query share: the information models of PS3.4 C.6 and a checked identifier.
 *
 * A request goes through three hands: identifier.c reads it and holds it against its
 * information model, find.c or retrieve.c asks the catalogue, the kernel's association layer
 * sends. On the thread of its association, from the first byte to the last response; many
 * associations at once (HILUM_PARALLEL), and nothing is shared between them but the
 * configuration.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef DICOM_QUERY_H
#define DICOM_QUERY_H

#include <stdbool.h>

#include "hilum/host.h"

struct query_conf {
    int64_t max_answers;      /* of one C-FIND; 0: all */
    int64_t pending_interval; /* ms between pending responses of a retrieve */
    const char *relational;   /* "negotiated" or "always" */
    const char *fuzzy;        /* "negotiated", "always" or "never" */
};

/* Constant after init: no lock. */
struct query {
    const struct hilum_host *host;
    hilum_self *self;
    const struct query_conf *conf;
};

/* Statuses of PS3.4 C.4.1.1.4, C.4.2.1.5, C.4.3.1.4. */
enum {
    STATUS_SUCCESS = 0x0000,
    STATUS_PENDING = 0xFF00,
    STATUS_PENDING_UNSUPPORTED_KEYS = 0xFF01,
    STATUS_CANCELLED = 0xFE00,
    STATUS_NOT_AUTHORIZED = 0x0124,
    STATUS_OUT_OF_RESOURCES = 0xA700,
    STATUS_NO_MATCH_COUNT = 0xA701,
    STATUS_NO_SUBOPERATIONS = 0xA702,
    STATUS_DESTINATION_UNKNOWN = 0xA801,
    STATUS_IDENTIFIER = 0xA900,
    STATUS_SOME_FAILED = 0xB000,
    STATUS_UNABLE = 0xC000
};

enum {
    TAG_CHARACTER_SET = 0x00080005,
    TAG_SOP_INSTANCE = 0x00080018,
    TAG_LEVEL = 0x00080052,
    TAG_RETRIEVE_AET = 0x00080054,
    TAG_AVAILABILITY = 0x00080056,
    TAG_FAILED_INSTANCES = 0x00080058,
    TAG_TIMEZONE = 0x00080201,
    TAG_PATIENT_ID = 0x00100020,
    TAG_ISSUER = 0x00100021,
    TAG_STUDY = 0x0020000D,
    TAG_SERIES = 0x0020000E
};

/* KEYS_MAX: more than the catalogue keeps. COMMENT_SIZE: an Error Comment (0000,0902) is LO,
 * 64 characters. */
enum { KEYS_MAX = 512, COMMENT_SIZE = 65 };

/* One element of the identifier. */
struct query_field {
    uint32_t tag;
    bool is_name; /* VR PN */
    bool is_time; /* VR TM */
    char *value;  /* UTF-8, never NULL; owned by the identifier */
};

/* A request's identifier, read and found to match its SOP class. */
struct query_identifier {
    uint32_t level;   /* HILUM_LEVEL_* */
    bool is_fuzzy;    /* semantic matching of names was agreed */
    bool is_combined; /* ranges of a date and its time are one period, agreed */
    struct query_field *fields;
    uint32_t n_fields;    /* without level, character set, retrieve AE title, group lengths */
    bool has_unsupported; /* some field is not kept at this level: FF01 */
};

/* What a request asks for, from its SOP class UID. */
struct query_model {
    const char *sop_class;
    uint32_t top; /* highest level: HILUM_LEVEL_PATIENT or _STUDY */
    uint16_t command;
};
extern const struct query_model query_models[6];
/* NULL: the command is not that of the class. */
const struct query_model *query_model_of(const struct hilum_dimse_request *request);

/* "STUDY" -> HILUM_LEVEL_STUDY, 0 for none; and back. */
uint32_t query_level(const char *text);
const char *query_level_text(uint32_t level);
/* The unique key of a level (PS3.4 C.6.1.1, C.6.2.1). */
uint32_t query_unique_key(uint32_t level);

/* 0, or the status to answer with and why in comment. Free with query_identifier_fini in any
 * case. The offending element was told to the kernel then (query_offend). */
uint16_t query_identifier_read(const struct query *query, hilum_exchange *exchange,
                               const struct query_model *model, struct query_identifier *out,
                               char comment[COMMENT_SIZE]);
void query_identifier_fini(struct query_identifier *identifier);
/* Tells the peer that an element is at fault, where the host can (PS3.4 C.4.1.1.4). */
void query_offend(const struct query *query, hilum_exchange *exchange, uint32_t tag);
/* The same for each of these keys whose value the catalogue does not take. */
void query_offend_keys(const struct query *query, hilum_exchange *exchange, uint32_t level,
                       const struct hilum_catalog_key *keys, uint32_t n);
/* The value of a field, "" if it is not there. */
const char *query_identifier_value(const struct query_identifier *identifier, uint32_t tag);

/* Both answer the request in every case, unless the peer has gone (HILUM_ECLOSED). */
hilum_rc query_find(const struct query *query, hilum_exchange *exchange,
                    const struct query_model *model);
/* C-MOVE and C-GET. */
hilum_rc query_retrieve(const struct query *query, hilum_exchange *exchange,
                        const struct query_model *model);

#endif
