/* QIDO-RS (PS3.18 10.6): the query of a URL to the catalogue, its rows to DICOM JSON.
 *
 * One query of the catalogue, the same as C-FIND makes: what is matched and how (wildcards,
 * ranges, names) is decided there once for both. Here a URL is read, and rows become JSON as they
 * come, a row in memory at a time.
 *
 * The answer is put together in http's memory: the headers (Warning, 204) depend on what comes
 * last. max_results bounds it.
 *
 * What the catalogue does not keep cannot be matched; the client is told by a Warning, not by an
 * error: a viewer that asks for one attribute too many still gets its worklist.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "web.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* READ_MAX: each costs opening and reading an object, of the order of a millisecond. The
 * others are more than any client has been seen to send. */
enum {
    KEYS_MAX = 128,
    RETURNS_MAX = 256,
    READ_MAX = 1000 /* objects, for attributes the catalogue does not keep */
};

/* Some 5 KiB, allocated: it does not belong on a stack of a worker. keys[] point into the
 * exchange, or into copies[]. */
struct search {
    const struct web_call *call;
    uint32_t level;
    struct hilum_catalog_key keys[KEYS_MAX];
    char *copies[KEYS_MAX]; /* of UID lists, whose separator differs */
    uint32_t returns[RETURNS_MAX];
    uint32_t n_keys, n_copies, n_returns;
    uint64_t limit, offset, n_found;
    struct web_extras extras;
    bool is_fuzzy, is_limited, has_ignored, has_more, is_xml;
    char boundary[33];
};

/* What is returned unasked (PS3.18 10.6.3-3 to -5), with the level that brings it. */
static const struct {
    uint32_t level, tag;
} defaults[] = {
    {HILUM_LEVEL_STUDY, 0x00080020},  {HILUM_LEVEL_STUDY, 0x00080030},
    {HILUM_LEVEL_STUDY, 0x00080050},  {HILUM_LEVEL_STUDY, 0x00080056},
    {HILUM_LEVEL_STUDY, 0x00080061},  {HILUM_LEVEL_STUDY, 0x00080090},
    {HILUM_LEVEL_STUDY, 0x00081030},  {HILUM_LEVEL_STUDY, 0x00100010},
    {HILUM_LEVEL_STUDY, 0x00100020},  {HILUM_LEVEL_STUDY, 0x00100030},
    {HILUM_LEVEL_STUDY, 0x00100040},  {HILUM_LEVEL_STUDY, 0x00200010},
    {HILUM_LEVEL_STUDY, 0x00201206},  {HILUM_LEVEL_STUDY, 0x00201208},
    {HILUM_LEVEL_SERIES, 0x00080060}, {HILUM_LEVEL_SERIES, 0x0008103E},
    {HILUM_LEVEL_SERIES, 0x00200011}, {HILUM_LEVEL_SERIES, 0x00201209},
    {HILUM_LEVEL_SERIES, 0x00400244}, {HILUM_LEVEL_SERIES, 0x00400245},
    {HILUM_LEVEL_IMAGE, 0x00080016},  {HILUM_LEVEL_IMAGE, 0x00080056},
    {HILUM_LEVEL_IMAGE, 0x00200013},  {HILUM_LEVEL_IMAGE, 0x00280008},
    {HILUM_LEVEL_IMAGE, 0x00280010},  {HILUM_LEVEL_IMAGE, 0x00280011},
    {HILUM_LEVEL_IMAGE, 0x00280100},
};

static bool is_uid_tag(const struct search *search, uint32_t tag)
{
    return strcmp(search->call->web->host->dicom->vr(tag), "UI") == 0;
}

/* Beyond RETURNS_MAX silently fewer are told: matching is not touched by it. */
static void add_return(struct search *search, uint32_t tag)
{
    for (uint32_t i = 0; i < search->n_returns; i++)
        if (search->returns[i] == tag)
            return;
    if (search->n_returns < RETURNS_MAX)
        search->returns[search->n_returns++] = tag;
}

/* A list of UIDs has commas in a URL, backslashes in the catalogue (PS3.18 8.3.4.1). */
static const char *uid_list(struct search *search, const char *value)
{
    char *copy = strdup(value);
    if (copy == NULL)
        return NULL;
    search->copies[search->n_copies++] = copy;
    for (char *p = copy; *p != '\0'; p++)
        if (*p == ',')
            *p = '\\';
    return copy;
}

/* A copy only where commas are to be replaced; the exchange's own text is not ours to write
 * to. */
static hilum_rc add_key(struct search *search, uint32_t tag, const char *value)
{
    const struct hilum_host *host = search->call->web->host;
    if (search->n_keys == KEYS_MAX)
        return host->fail(search->call->web->self, HILUM_EINVAL, "too many matching attributes");
    bool is_name = strcmp(host->dicom->vr(tag), "PN") == 0;
    if (is_uid_tag(search, tag) && strchr(value, ',') != NULL)
        value = uid_list(search, value);
    if (value == NULL)
        return host->fail(search->call->web->self, HILUM_ENOMEM, "no memory for a search");
    search->keys[search->n_keys++] =
        (struct hilum_catalog_key){tag, is_name && search->is_fuzzy ? HILUM_KEY_FUZZY : 0, value};
    return HILUM_OK;
}

/* ---- the query of the URL ---- */

static hilum_rc bad(struct search *search, const char *name, const char *why)
{
    char text[160];
    snprintf(text, sizeof text, "%.60s: %s", name, why);
    return search->call->web->host->fail(search->call->web->self, HILUM_EINVAL, text);
}

/* Nine digits: no overflow, and more than max_results allows. */
static hilum_rc read_number(struct search *search, const char *name, const char *value,
                            uint64_t *out)
{
    if (*value == '\0' || strspn(value, "0123456789") != strlen(value) || strlen(value) > 9)
        return bad(search, name, "expected a number");
    *out = strtoull(value, NULL, 10);
    return HILUM_OK;
}

/* "PatientName", "00100010"; a path into sequences is known by its first attribute. 0: no attribute at all. */
static uint32_t attribute_tag(const struct search *search, const char *name, bool *is_path)
{
    const struct hilum_dicom_api *dicom = search->call->web->host->dicom;
    char first[80];
    size_t n = strcspn(name, ".");
    *is_path = name[n] == '.';
    if (n == 0 || n >= sizeof first)
        return 0;
    memcpy(first, name, n);
    first[n] = '\0';
    return dicom->tag(first);
}

static void add_extra(struct search *search, uint32_t tag)
{
    if (search->extras.n < WEB_EXTRAS)
        search->extras.tags[search->extras.n++] = tag;
    else
        search->has_ignored = true;
}

/* What the catalogue keeps, and what else is of this level. */
static void include_all(struct search *search)
{
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    uint32_t tag;
    for (uint32_t i = 0; (tag = catalog->attribute_at(search->level, i)) != 0; i++)
        add_return(search, tag);
    search->extras.has_all = search->level == HILUM_LEVEL_IMAGE;
    for (size_t i = 0; (tag = web_level_attribute(search->level, i)) != 0; i++)
        if (search->level != HILUM_LEVEL_IMAGE && !catalog->has_attribute(search->level, tag))
            add_extra(search, tag);
}

static hilum_rc read_includes(struct search *search, const char *value)
{
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    char name[160];
    for (const char *p = value; *p != '\0'; p += *p == ',') {
        size_t n = strcspn(p, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), p);
        p += n;
        bool is_path = false;
        if (strcmp(name, "all") == 0) {
            include_all(search);
            continue;
        }
        uint32_t tag = attribute_tag(search, name, &is_path);
        if (tag == 0)
            return bad(search, "includefield", "no such attribute");
        if (!is_path && catalog->has_attribute(search->level, tag))
            add_return(search, tag);
        else
            add_extra(search, tag); /* of a path: its whole sequence */
    }
    return HILUM_OK;
}

/* The parameter `fuzzymatching` was read before, since it decides how the keys before it are
 * matched too. */
static hilum_rc read_parameter(struct search *search, const char *name, const char *value)
{
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    bool is_path = false;
    if (strcmp(name, "limit") == 0) {
        search->is_limited = true;
        return read_number(search, name, value, &search->limit);
    }
    if (strcmp(name, "offset") == 0)
        return read_number(search, name, value, &search->offset);
    if (strcmp(name, "includefield") == 0)
        return read_includes(search, value);
    if (strcmp(name, "fuzzymatching") == 0 || strcmp(name, "accept") == 0)
        return HILUM_OK;
    uint32_t tag = attribute_tag(search, name, &is_path);
    if (tag == 0)
        return bad(search, name, "no attribute and no parameter of a search");
    if (is_path || !catalog->has_attribute(search->level, tag)) {
        search->has_ignored = true;
        return HILUM_OK;
    }
    add_return(search, tag);
    return add_key(search, tag, value);
}

static hilum_rc read_query(struct search *search)
{
    const struct web_call *call = search->call;
    const char *name = NULL, *value = NULL;
    const char *fuzzy = call->api->query(call->http, "fuzzymatching", 0);
    search->is_fuzzy = fuzzy != NULL && strcmp(fuzzy, "true") == 0;
    hilum_rc rc = HILUM_OK;
    for (uint32_t i = 0; rc == HILUM_OK && call->api->query_at(call->http, i, &name, &value) == 0;
         i++)
        rc = read_parameter(search, name, value);
    return rc;
}

/* ---- the path of the URL ---- */

/* The path's UIDs are keys like others. A row of a study's series does not repeat the study's
 * attributes (they are known to who names it); a search of all series has them. */
static hilum_rc read_path(struct search *search)
{
    const struct web_call *call = search->call;
    const char *study = call->api->param(call->http, "study");
    const char *series = call->api->param(call->http, "series");
    hilum_rc rc = study != NULL ? add_key(search, TAG_STUDY, study) : HILUM_OK;
    if (rc == HILUM_OK && series != NULL)
        rc = add_key(search, TAG_SERIES, series);
    add_return(search, TAG_STUDY);
    if (search->level >= HILUM_LEVEL_SERIES)
        add_return(search, TAG_SERIES);
    if (search->level == HILUM_LEVEL_IMAGE)
        add_return(search, TAG_SOP_INSTANCE);
    /* Levels that the path fixes are known to whoever asks. */
    uint32_t above = series != NULL  ? HILUM_LEVEL_SERIES
                     : study != NULL ? HILUM_LEVEL_STUDY
                                     : HILUM_LEVEL_PATIENT;
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (defaults[i].level > above && defaults[i].level <= search->level)
            add_return(search, defaults[i].tag);
    return rc;
}

/* ---- answers ---- */

/* Retrieve URL (0008,1190), PS3.18 table 10.6.3-3: what a client follows without putting paths
 * together. */
static void put_url(const struct search *search, hilum_cursor *cursor, hilum_dataset *answer)
{
    const struct web_call *call = search->call;
    const struct hilum_catalog_api *catalog = call->web->host->catalog;
    char url[640];
    int n = snprintf(url, sizeof url, "%.300s" WEB_ROOT "/studies/%s",
                     call->api->request(call->http)->base_url, catalog->value(cursor, TAG_STUDY));
    if (search->level >= HILUM_LEVEL_SERIES)
        n += snprintf(url + n, sizeof url - (size_t)n, "/series/%s",
                      catalog->value(cursor, TAG_SERIES));
    if (search->level == HILUM_LEVEL_IMAGE)
        snprintf(url + n, sizeof url - (size_t)n, "/instances/%s",
                 catalog->value(cursor, TAG_SOP_INSTANCE));
    (void)call->web->host->dicom->put_tag(answer, TAG_RETRIEVE_URL, url);
}

/* Objects without pixels have no rows and columns; everything else is told to be empty. */
static bool is_only_where_present(uint32_t tag)
{
    return tag >> 16 == 0x0028;
}

static void fill(const struct search *search, hilum_cursor *cursor, hilum_dataset *answer)
{
    const struct hilum_dicom_api *dicom = search->call->web->host->dicom;
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    for (uint32_t i = 0; i < search->n_returns; i++) {
        uint32_t tag = search->returns[i];
        const char *value = catalog->value(cursor, tag);
        if ((value == NULL || *value == '\0') && is_only_where_present(tag))
            continue;
        /* A value that is not of its VR was stored so; an empty one still says that it was asked. */
        if (dicom->put_tag(answer, tag, value != NULL ? value : "") != HILUM_OK)
            (void)dicom->put_tag(answer, tag, "");
    }
    put_url(search, cursor, answer);
}

/* Not before the first answer: with none it is 204, which has no body. */
static hilum_rc begin(const struct search *search)
{
    const struct web_call *call = search->call;
    char type[WEB_LINE_MAX];
    if (!search->is_xml) {
        hilum_rc rc = call->api->begin(call->http, 200, WEB_JSON, HILUM_LENGTH_UNKNOWN);
        return rc == HILUM_OK ? call->api->write(call->http, "[", 1) : rc;
    }
    web_multipart_type(WEB_XML, search->boundary, type);
    return call->api->begin(call->http, 200, type, HILUM_LENGTH_UNKNOWN);
}

/* With what only the object itself knows. One that cannot be read is told without. Values are
 * copied first: the cursor's are good only until its next call. */
static hilum_rc read_extras(struct search *search, hilum_cursor *cursor, struct web_text *json)
{
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    static const uint32_t tags[3] = {TAG_STUDY, TAG_SERIES, TAG_SOP_INSTANCE};
    char uids[3][68];
    if (search->n_found >= READ_MAX) {
        search->has_ignored = true;
        return HILUM_OK;
    }
    for (size_t i = 0; i < 3; i++) {
        const char *value = catalog->value(cursor, tags[i]);
        snprintf(uids[i], sizeof uids[i], "%s", value != NULL ? value : "");
    }
    hilum_rc rc = web_extras_add(search->call, &search->extras, uids, json);
    search->has_ignored = search->has_ignored || rc != HILUM_OK;
    return rc == HILUM_ENOMEM ? rc : HILUM_OK;
}

/* A part of its own (PS3.18 10.6.3.1). */
static hilum_rc write_xml(struct search *search, const struct web_text *json)
{
    const struct web_call *call = search->call;
    struct web_text xml = {0};
    char line[WEB_LINE_MAX];
    web_text_add(&xml, line,
                 web_multipart_line(search->boundary, search->n_found == 0, WEB_XML, line));
    hilum_rc rc = web_xml(call->web->host->dicom, json->bytes, json->n, &xml);
    if (rc == HILUM_OK)
        rc = call->api->write(call->http, xml.bytes, xml.n);
    web_text_fini(&xml);
    return rc;
}

static hilum_rc write_json(struct search *search, const struct web_text *json)
{
    const struct web_call *call = search->call;
    hilum_rc rc = search->n_found > 0 ? call->api->write(call->http, ",", 1) : HILUM_OK;
    return rc == HILUM_OK ? call->api->write(call->http, json->bytes, json->n) : rc;
}

/* begin() comes after the row was made: one that fails is an error still. */
static hilum_rc write_answer(struct search *search, hilum_cursor *cursor)
{
    const struct hilum_dicom_api *dicom = search->call->web->host->dicom;
    hilum_dataset *answer = dicom->dataset_new();
    if (answer == NULL)
        return HILUM_ENOMEM;
    struct web_text json = {0};
    const struct hilum_sink sink = {.size = sizeof sink, .write = web_text_write, .ctx = &json};
    fill(search, cursor, answer);
    hilum_rc rc = dicom->json(answer, &sink);
    dicom->dataset_free(answer);
    if (rc == HILUM_OK && json.failed)
        rc = HILUM_ENOMEM;
    if (rc == HILUM_OK && (search->extras.n > 0 || search->extras.has_all))
        rc = read_extras(search, cursor, &json);
    if (rc == HILUM_OK && search->n_found == 0)
        rc = begin(search);
    if (rc == HILUM_OK)
        rc = search->is_xml ? write_xml(search, &json) : write_json(search, &json);
    web_text_fini(&json);
    search->n_found++;
    return rc;
}

/* The answers of this page; one more tells that there are more. Pages are skipped row by row:
 * a cursor only goes forward, and the offsets of viewers are small. */
static hilum_rc write_answers(struct search *search, hilum_cursor *cursor)
{
    const struct hilum_catalog_api *catalog = search->call->web->host->catalog;
    hilum_rc rc = HILUM_OK;
    for (uint64_t i = 0; i < search->offset && (rc = catalog->next(cursor)) == 1; i++) {
    }
    if (rc < 0 || (rc == 0 && search->offset > 0))
        return rc;
    while ((rc = catalog->next(cursor)) == 1) {
        if (search->n_found == search->limit) {
            search->has_more = true;
            return HILUM_OK;
        }
        rc = write_answer(search, cursor);
        if (rc != HILUM_OK)
            return rc;
    }
    return rc;
}

static void warn(const struct search *search, const char *text)
{
    char value[300];
    snprintf(value, sizeof value, "299 %.100s" WEB_ROOT " \"%s\"",
             search->call->api->request(search->call->http)->base_url, text);
    (void)search->call->api->add_header(search->call->http, "Warning", value);
}

/* Nothing found is 204 (PS3.18 10.6.3-1). */
static hilum_rc finish(struct search *search)
{
    const struct web_call *call = search->call;
    if (search->has_more)
        warn(search, "The number of results exceeded the limit. Additional results can be "
                     "requested.");
    if (search->has_ignored)
        warn(search, "Attributes that are not kept at this level were neither matched nor "
                     "returned.");
    if (search->n_found == 0)
        return call->api->respond(call->http, 204, NULL, "", 0);
    char end[WEB_LINE_MAX] = "]";
    size_t n = search->is_xml ? web_multipart_line(search->boundary, false, NULL, end) : 1;
    hilum_rc rc = call->api->write(call->http, end, n);
    return rc == HILUM_OK ? call->api->end(call->http) : rc;
}

/* One more than the page, to know whether there are more without counting. Order: a worklist
 * without keys shows the newest studies first; everything else the order of an index, so that
 * pages fit together. */
static hilum_rc open_and_run(struct search *search)
{
    const struct web_call *call = search->call;
    const struct web *web = call->web;
    uint64_t max = (uint64_t)web->conf->max_results;
    if (!search->is_limited || search->limit > max)
        search->limit = max;
    struct hilum_catalog_query query = {
        .size = sizeof query,
        .level = search->level,
        .keys = search->keys,
        .n_keys = search->n_keys,
        .returns = search->returns,
        .n_returns = search->n_returns,
        .order = search->n_keys == 0 && search->level == HILUM_LEVEL_STUDY ? HILUM_ORDER_NEWEST
                                                                           : HILUM_ORDER_INDEX,
        .limit = (uint32_t)(search->offset + search->limit + 1),
    };
    hilum_cursor *cursor = NULL;
    hilum_rc rc =
        web->host->catalog->open(web->self, call->api->request(call->http)->who, &query, &cursor);
    if (rc == HILUM_OK)
        rc = write_answers(search, cursor);
    if (rc == HILUM_OK) {
        web_audit_query(call, search->n_found);
        rc = finish(search);
    }
    if (cursor != NULL)
        web->host->catalog->close(cursor);
    return rc;
}

/* The boundary comes from the request's trace: a search has no tag, as its answer changes with
 * every object stored. */
hilum_rc web_search(const struct web_call *call, uint32_t level)
{
    int form = web_json_or_xml(call);
    if (form < 0)
        return web_refuse(call, 406,
                          "searches are answered as application/dicom+json or multipart/related; "
                          "type=\"application/dicom+xml\"");
    struct search *search = calloc(1, sizeof *search);
    if (search == NULL)
        return HILUM_ENOMEM;
    search->call = call;
    search->level = level;
    search->is_xml = form == 1;
    struct web_tag tag = {0};
    web_tag_text(&tag, call->api->request(call->http)->trace_id);
    web_tag_boundary(call->web, &tag, search->boundary);
    hilum_rc rc = read_path(search);
    if (rc == HILUM_OK)
        rc = read_query(search);
    if (rc == HILUM_OK)
        rc = open_and_run(search);
    while (search->n_copies > 0)
        free(search->copies[--search->n_copies]);
    free(search);
    return rc;
}
