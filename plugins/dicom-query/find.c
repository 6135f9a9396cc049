/* C-FIND: keys to the catalogue, its rows to answers (PS3.4 C.4.1). SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query.h"

/* One C-FIND under way. */
struct finding {
    const struct query *query;
    hilum_exchange *exchange;
    struct query_identifier identifier;
    struct hilum_catalog_key *keys;
    uint32_t *returns;
    uint32_t n_keys, n_returns;
};

/* Combined matching (PS3.4 C.5.1.1) is of a date with its time: the flag stands on the time. */
static uint32_t flags_of(const struct query_identifier *identifier, const struct query_field *field)
{
    if (field->is_name && identifier->is_fuzzy)
        return HILUM_KEY_FUZZY;
    return field->is_time && identifier->is_combined ? HILUM_KEY_COMBINED : 0;
}

/* Fields with a value are matched, all fields are returned. What the catalogue does not keep can be neither:
 * it matches everything, and FF01 says so (PS3.4 C.2.2.1.3). */
static bool split_fields(struct finding *finding)
{
    const struct query_identifier *identifier = &finding->identifier;
    const struct hilum_catalog_api *catalog = finding->query->host->catalog;
    finding->keys = calloc(identifier->n_fields + 1, sizeof *finding->keys);
    finding->returns = calloc(identifier->n_fields + 1, sizeof *finding->returns);
    if (!finding->keys || !finding->returns)
        return false;
    for (uint32_t i = 0; i < identifier->n_fields; i++) {
        const struct query_field *field = &identifier->fields[i];
        if (!catalog->has_attribute(identifier->level, field->tag))
            continue;
        finding->returns[finding->n_returns++] = field->tag;
        if (*field->value)
            finding->keys[finding->n_keys++] =
                (struct hilum_catalog_key){field->tag, flags_of(identifier, field), field->value};
    }
    return true;
}

/* As the peer's principal: studies it may not see are not among the answers. */
static hilum_rc open_cursor(struct finding *finding, hilum_cursor **cursor)
{
    const struct hilum_host *host = finding->query->host;
    struct hilum_catalog_query query = {.size = sizeof query,
                                        .level = finding->identifier.level,
                                        .keys = finding->keys,
                                        .n_keys = finding->n_keys,
                                        .returns = finding->returns,
                                        .n_returns = finding->n_returns,
                                        .order = HILUM_ORDER_INDEX,
                                        .limit = (uint32_t)finding->query->conf->max_answers};
    if (!split_fields(finding))
        return HILUM_ENOMEM;
    query.keys = finding->keys;
    query.returns = finding->returns;
    query.n_keys = finding->n_keys;
    query.n_returns = finding->n_returns;
    return host->catalog->open(finding->query->self, host->dicom->principal(finding->exchange),
                               &query, cursor);
}

/* Every requested attribute is there, empty where nothing is known (PS3.4 C.4.1.1.3.2). */
static void fill_answer(const struct finding *finding, hilum_cursor *cursor, hilum_dataset *answer)
{
    const struct hilum_dicom_api *api = finding->query->host->dicom;
    const struct hilum_catalog_api *catalog = finding->query->host->catalog;
    const struct query_identifier *identifier = &finding->identifier;
    for (uint32_t i = 0; i < identifier->n_fields; i++) {
        uint32_t tag = identifier->fields[i].tag;
        const char *value =
            catalog->has_attribute(identifier->level, tag) ? catalog->value(cursor, tag) : NULL;
        /* A value that is not of its VR was stored so; an empty one still says that it was asked. */
        if (api->put_tag(answer, tag, value ? value : ""))
            (void)api->put_tag(answer, tag, "");
    }
    (void)api->put_tag(answer, TAG_LEVEL, query_level_text(identifier->level));
    (void)api->put_tag(answer, TAG_RETRIEVE_AET, api->request(finding->exchange)->called_aet);
    (void)api->put_tag(answer, TAG_AVAILABILITY, "ONLINE");
}

/* A data set a row: the association sends it before this returns. */
static hilum_rc send_answer(const struct finding *finding, hilum_cursor *cursor)
{
    const struct hilum_dicom_api *api = finding->query->host->dicom;
    hilum_dataset *answer = api->dataset_new();
    if (!answer)
        return HILUM_ENOMEM;
    fill_answer(finding, cursor, answer);
    uint16_t status =
        finding->identifier.has_unsupported ? STATUS_PENDING_UNSUPPORTED_KEYS : STATUS_PENDING;
    hilum_rc rc = api->respond(finding->exchange, status, answer, NULL, NULL);
    api->dataset_free(answer);
    return rc;
}

/* HILUM_ECANCELLED: the peer wants no more. Looks for a C-CANCEL before each answer: at most
 * one more leaves after it came. A peer that does not read holds its own thread here, and a
 * page of rows, no session of the catalogue. */
static hilum_rc send_answers(const struct finding *finding, hilum_cursor *cursor)
{
    const struct hilum_host *host = finding->query->host;
    hilum_rc rc;
    while ((rc = host->catalog->next(cursor)) == 1) {
        hilum_rc cancelled = host->dicom->cancelled(finding->exchange);
        if (cancelled)
            return cancelled == 1 ? HILUM_ECANCELLED : cancelled;
        rc = send_answer(finding, cursor);
        if (rc)
            return rc;
    }
    return rc;
}

/* PS3.4 table C.4-1. */
static uint16_t status_of(hilum_rc rc)
{
    switch (rc) {
    case HILUM_OK: return STATUS_SUCCESS;
    case HILUM_ECANCELLED: return STATUS_CANCELLED;
    case HILUM_EINVAL: return STATUS_IDENTIFIER;
    case HILUM_EDENIED: return STATUS_NOT_AUTHORIZED;
    case HILUM_ENOMEM:
    case HILUM_EFULL:
    case HILUM_EAGAIN: return STATUS_OUT_OF_RESOURCES;
    default: return STATUS_UNABLE;
    }
}

/* The final response comes after the cursor was closed: who gets it may ask again at once. */
static hilum_rc run(struct finding *finding)
{
    const struct hilum_host *host = finding->query->host;
    hilum_cursor *cursor = NULL;
    hilum_rc rc = open_cursor(finding, &cursor);
    if (!rc)
        rc = send_answers(finding, cursor);
    if (rc == HILUM_ECLOSED) {
        host->catalog->close(cursor);
        return rc;
    }
    char comment[COMMENT_SIZE] = "";
    if (rc && rc != HILUM_ECANCELLED)
        snprintf(comment, sizeof comment, "%s", host->reason(finding->query->self));
    if (rc == HILUM_EINVAL)
        query_offend_keys(finding->query, finding->exchange, finding->identifier.level,
                          finding->keys, finding->n_keys);
    if (cursor)
        host->catalog->close(cursor);
    return host->dicom->respond(finding->exchange, status_of(rc), NULL, NULL, comment);
}

/* On the association's thread, until the last answer has left. */
hilum_rc query_find(const struct query *query, hilum_exchange *exchange,
                    const struct query_model *model)
{
    struct finding finding = {.query = query, .exchange = exchange};
    char comment[COMMENT_SIZE];
    uint16_t status = query_identifier_read(query, exchange, model, &finding.identifier, comment);
    hilum_rc rc =
        status ? query->host->dicom->respond(exchange, status, NULL, NULL, comment) : run(&finding);
    free(finding.keys);
    free(finding.returns);
    query_identifier_fini(&finding.identifier);
    return rc;
}
