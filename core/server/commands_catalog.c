/* Commands about what is known: patients, studies, quarantine, references.
 *
 * Decisions about patients and quarantine are written, audited and saved beside the objects in
 * one unit of core/record; nothing here needs to be undone when a later step fails.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/find.h"
#include "core/server/server.h"

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/uid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SEND_MAX bounds one transaction: the jobs of a study are queued all or none. */
enum { SEND_MAX = 100000 };

const struct hl_find_key hl_find_keys[HL_FIND_KEYS] = {
    {"name", 0x00100010, HILUM_KEY_FUZZY}, {"patient-id", 0x00100020, 0},
    {"accession", 0x00080050, 0},          {"date", 0x00080020, 0},
    {"modality", 0x00080061, 0},           {"uid", 0x0020000D, 0},
    {"description", 0x00081030, 0},
};

const struct hl_find_column hl_find_columns[HL_FIND_COLUMNS] = {
    {"StudyDate", 0x00080020},
    {"PatientName", 0x00100010},
    {"PatientID", 0x00100020},
    {"AccessionNumber", 0x00080050},
    {"ModalitiesInStudy", 0x00080061},
    {"StudyDescription", 0x00081030},
    {"Series", 0x00201206},
    {"Instances", 0x00201208},
    {"StudyInstanceUID", 0x0020000D},
};

static json_t *study_row(hilum_cursor *cursor)
{
    json_t *row = json_object();
    for (size_t i = 0; row && i < HL_FIND_COLUMNS; i++) {
        const char *text = hl_cursor_value(cursor, hl_find_columns[i].tag);
        json_object_set_new(row, hl_find_columns[i].name, json_string(text ? text : ""));
    }
    return row;
}

/* Through the same query as a C-FIND, so that people and peers find the same. With the
 * caller's grants as the filter, as a peer's C-FIND has them. */
static hilum_rc study_find(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hilum_catalog_key keys[HL_FIND_KEYS];
    uint32_t returns[HL_FIND_COLUMNS], n = 0;
    for (size_t i = 0; i < HL_FIND_KEYS; i++) {
        const char *value = hl_call_text(call, hl_find_keys[i].option, NULL);
        if (value)
            keys[n++] =
                (struct hilum_catalog_key){hl_find_keys[i].tag, hl_find_keys[i].flags, value};
    }
    for (size_t i = 0; i < HL_FIND_COLUMNS; i++)
        returns[i] = hl_find_columns[i].tag;
    struct hilum_catalog_query query = {.size = sizeof query,
                                        .level = HILUM_LEVEL_STUDY,
                                        .keys = keys,
                                        .n_keys = n,
                                        .returns = returns,
                                        .n_returns = HL_FIND_COLUMNS};
    hilum_cursor *cursor = NULL;
    const struct hl_filter filter = hl_filter_of(hl_call_principal(call), "find");
    hilum_rc rc = hl_server_limit(call, HL_FIND_LIMIT, &query.limit);
    if (rc == HILUM_OK)
        rc = hl_record_find(server->record, &query, &filter, &cursor);
    json_t *rows = json_array();
    while (rc >= 0 && !hl_call_cancelled(call) && (rc = hl_cursor_next(cursor)) == 1)
        json_array_append_new(rows, study_row(cursor));
    hl_cursor_close(cursor);
    if (rc < 0) {
        json_decref(rows);
        return rc;
    }
    return hl_call_result_json(call, rows);
}

/* Objects of a study, collected before any is sent: numbers only. */
struct numbers {
    int64_t *items;
    size_t n, cap;
};

static hilum_rc collect(void *arg, const struct hilum_object_ref *object)
{
    struct numbers *numbers = arg;
    if (numbers->n == SEND_MAX)
        return hl_fail(HILUM_EINVAL, "more than %d objects: send the study series by series",
                       SEND_MAX);
    if (!hl_grow(&numbers->items, &numbers->cap, numbers->n, sizeof *numbers->items))
        return hl_fail(HILUM_ENOMEM, "out of memory");
    numbers->items[numbers->n++] = object->instance;
    return HILUM_OK;
}

/* Two answers are asked for, to notice that the name is not unique. UID first: an accession
 * number that looks like a UID does not hide a study. No filter: the callers' actions are
 * about all studies. */
hilum_rc hl_server_find_study(struct hl_server *server, const char *which, char uid[65])
{
    static const uint32_t tags[] = {0x0020000D, 0x00080050};
    uint32_t study = 0x0020000D;
    if (*which == '\0') /* as a key it would match all */
        return hl_fail(HILUM_EINVAL, "study: expected a UID or accession number, found nothing");
    for (size_t i = 0; i < 2; i++) {
        struct hilum_catalog_key key = {tags[i], 0, which};
        struct hilum_catalog_query query = {.size = sizeof query,
                                            .level = HILUM_LEVEL_STUDY,
                                            .keys = &key,
                                            .n_keys = 1,
                                            .returns = &study,
                                            .n_returns = 1,
                                            .limit = 2};
        hilum_cursor *cursor = NULL;
        hilum_rc rc = hl_record_find(server->record, &query, NULL, &cursor);
        if (rc == HILUM_OK)
            rc = hl_cursor_next(cursor);
        if (rc == 1)
            snprintf(uid, 65, "%s", hl_cursor_value(cursor, study));
        hilum_rc more = rc == 1 ? hl_cursor_next(cursor) : 0;
        hl_cursor_close(cursor);
        if (more == 1)
            return hl_fail(HILUM_ECONFLICT,
                           "%s names more than one study: use the StudyInstanceUID", which);
        if (rc == 1)
            return HILUM_OK;
    }
    return hl_fail(HILUM_ENOTFOUND, "%s: no study with this UID or accession number", which);
}

/* Whoever has a UID knows of the study already: that it is there is no secret, what it is stays one. */
hilum_rc hl_server_study_of(struct hl_server *server, struct hl_call *call, const char *action,
                            char uid[65])
{
    char who[200], what[80];
    const struct hl_principal *principal = hl_call_principal(call);
    hilum_rc rc = hl_server_find_study(server, hl_call_text(call, "study", ""), uid);
    if (rc < 0)
        return rc;
    const struct hl_resource about = {.study_uid = uid};
    rc = hl_allow(principal, action, &about);
    if (rc != HILUM_EDENIED)
        return rc;
    snprintf(what, sizeof what, "%s refused", action);
    if (hl_record_audit(server->record, hl_principal_text(principal, who, sizeof who), what, uid,
                        NULL, NULL) < 0)
        hl_log(HL_ERROR, "server", "a refusal was not audited: %s", hl_error());
    return hl_fail(HILUM_EDENIED, "%s: %s: the roles do not reach this study", who, action);
}

/* Queued, not sent: `hilum job list` tells what becomes of it. A peer that cannot be sent to
 * is refused here, where somebody reads it. Current objects of this moment; one that arrives
 * later is a rule's business, or another command's. */
static hilum_rc study_send(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    const char *to = hl_call_text(call, "peer", "");
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, to);
    bool can_send = peer && (peer->host || peer->url);
    hl_peers_unref(peers);
    if (!can_send)
        return hl_fail(HILUM_ENOTFOUND,
                       peer ? "peer %s has neither host nor url: nothing can be sent to it"
                            : "%s: no such peer (see `hilum peer list`)",
                       to);
    char uid[65];
    hilum_rc rc = hl_server_study_of(server, call, "study.send", uid);
    if (rc < 0)
        return rc;
    struct numbers numbers = {0};
    int64_t as_of = 0;
    struct hilum_catalog_key key = {0x0020000D, 0, uid};
    rc = hl_record_objects(server->record, &key, 1, NULL, &as_of, collect, &numbers);
    char who[64];
    const struct hl_send_request request = {.to = to,
                                            .study_uid = uid,
                                            .who = hl_server_who(call, who, sizeof who),
                                            .instances = numbers.items,
                                            .n = numbers.n};
    if (rc >= 0)
        rc = hl_record_send_add(server->record, &request);
    json_t *result =
        json_pack("{s:s, s:s, s:I}", "study", uid, "to", to, "queued", (json_int_t)numbers.n);
    free(numbers.items);
    if (rc < 0) {
        json_decref(result);
        return rc;
    }
    return hl_call_result_json(call, result);
}

static json_t *retrieve_arguments(struct hl_call *call)
{
    static const char *const names[] = {"series", "instance"};
    json_t *arguments = json_pack("{s:s, s:s}", "study", hl_call_text(call, "study", ""), "from",
                                  hl_call_text(call, "peer", ""));
    for (size_t i = 0; arguments && i < 2; i++)
        if (*hl_call_text(call, names[i], ""))
            json_object_set_new(arguments, names[i], json_string(hl_call_text(call, names[i], "")));
    return arguments;
}

/* Audited before it is queued: a fetch that nobody answers for must not happen, the reverse
 * may. */
static hilum_rc retrieve_queue(struct hl_server *server, struct hl_call *call, json_t *arguments,
                               int64_t *id)
{
    char lane[80], who[64];
    char *text = json_dumps(arguments, JSON_COMPACT);
    snprintf(lane, sizeof lane, HL_LANE_RETRIEVE "%s", hl_call_text(call, "peer", ""));
    hilum_rc rc =
        text ? hl_record_audit(server->record, hl_server_who(call, who, sizeof who),
                               "study.retrieve", hl_call_text(call, "study", ""), NULL, text)
             : hl_fail(HILUM_ENOMEM, "out of memory");
    if (rc == HILUM_OK)
        rc = hl_record_job_add(server->record, "retrieve", lane, 0, 0, text, hl_now_us(), id);
    free(text);
    return rc;
}

/* The study need not be known here: that is the point of fetching it. */
static hilum_rc study_retrieve(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    const char *from = hl_call_text(call, "peer", "");
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, from);
    bool can_fetch = peer && peer->url && strlen(from) < HL_LANE_PEER_MAX;
    hl_peers_unref(peers);
    static const char *const uids[] = {"study", "series", "instance"};
    for (size_t i = 0; i < sizeof uids / sizeof *uids; i++)
        if (!hl_uid_is_usable(hl_call_text(call, uids[i], "1"))) /* asked for again and again */
            return hl_fail(HILUM_EINVAL, "%s: expected a UID such as 1.2.840.1, found \"%.70s\"",
                           uids[i], hl_call_text(call, uids[i], ""));
    if (!can_fetch)
        return hl_fail(HILUM_ENOTFOUND,
                       peer ? "peer %s has no url: nothing can be fetched from it"
                            : "%s: no such peer (see `hilum peer list`)",
                       from);
    json_t *arguments = retrieve_arguments(call);
    int64_t id = 0;
    hilum_rc rc = arguments ? retrieve_queue(server, call, arguments, &id)
                            : hl_fail(HILUM_ENOMEM, "out of memory");
    json_decref(arguments);
    return rc < 0 ? rc : hl_call_result_json(call, json_pack("{s:I}", "job", (json_int_t)id));
}

static bool sees_all(struct hl_call *call)
{
    return hl_filter_of(hl_call_principal(call), "study.explain").n == 0;
}

static hilum_rc study_explain(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    char uid[65];
    hilum_rc rc = hl_server_study_of(server, call, "study.explain", uid);
    /* What is not in the catalogue may have a history all the same: for who may see all of them. */
    if (rc == HILUM_ENOTFOUND && sees_all(call))
        rc = hl_record_explain_study(server->record, hl_call_text(call, "study", ""), &json);
    else if (rc == HILUM_OK)
        rc = hl_record_explain_study(server->record, uid, &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer_view(call, &json, hl_server_view_explain);
}

static hilum_rc study_versions(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    char uid[65];
    const char *which = hl_call_text(call, "study", "");
    hilum_rc rc = hl_server_study_of(server, call, "study.explain", uid);
    /* a SOP Instance UID is no study's: it is looked for as it stands */
    if (rc == HILUM_ENOTFOUND && sees_all(call)) {
        rc = hl_record_versions(server->record, which, &json);
        if (rc >= 0 && strcmp(hl_buf_str(&json), "[]") == 0)
            rc = hl_fail(HILUM_ENOTFOUND,
                         "%s: no study or instance with this UID or accession number, or it has "
                         "but one content",
                         which);
    } else if (rc == HILUM_OK)
        rc = hl_record_versions(server->record, uid, &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer(call, &json);
}

static hilum_rc explain(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    hilum_rc rc =
        hl_record_explain_reference(server->record, hl_call_text(call, "reference", ""), &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer(call, &json);
}

static bool is_digits(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789") == n;
}

/* Characters from `text` to the first of `ends` or the end. */
static size_t characters(const char *text, const char *ends)
{
    size_t n = 0;
    for (size_t i = strcspn(text, ends); i > 0; i--)
        n += (text[i - 1] & 0xC0) != 0x80;
    return n;
}

/* The longest of one value in characters, of a name in each of up to three groups of components (PS3.5 6.2). */
static bool has_room(const char *vr, const char *value)
{
    size_t most = strcmp(vr, "SH") == 0                            ? 16
                  : strcmp(vr, "LO") == 0 || strcmp(vr, "PN") == 0 ? 64
                                                                   : 0;
    const char *ends = strcmp(vr, "PN") == 0 ? "\\=" : "\\";
    unsigned groups = 1;
    for (const char *p = value; most > 0; p += strcspn(p, ends) + 1) {
        if (characters(p, ends) > most || groups > 3)
            return false;
        const char *end = p + strcspn(p, ends);
        if (*end == '\0')
            return true;
        groups = *end == '=' ? groups + 1 : 1;
    }
    return strlen(value) <= (size_t)4 * 64 * 3;
}

/* A backslash parts values, and a patient has one name, one ID and one issuer of it. */
static bool is_one_value(uint32_t tag)
{
    return tag == 0x00100010 || tag == 0x00100020 || tag == 0x00100021;
}

/* Forms of PS3.5 6.2 that a slip of the hand breaks: devices refuse what has them, or cut it. */
static hilum_rc check_value(const char *keyword, uint32_t tag, const char *value)
{
    const char *vr = hl_dict_vr(tag);
    size_t n = strlen(value);
    int month = n == 8 ? (value[4] - '0') * 10 + value[5] - '0' : 0;
    int day = n == 8 ? (value[6] - '0') * 10 + value[7] - '0' : 0;
    bool is_date = is_digits(value, 8) && month >= 1 && month <= 12 && day >= 1 && day <= 31;
    if (n > 0 && strcmp(vr, "DA") == 0 && !is_date)
        return hl_fail(HILUM_EINVAL, "%s: expected a date such as 19640229, found \"%.40s\"",
                       keyword, value);
    bool is_code = n <= 16 && strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _") == n;
    if (strcmp(vr, "CS") == 0 && !is_code)
        return hl_fail(HILUM_EINVAL,
                       "%s: expected up to 16 capital letters and digits, found \"%.40s\"", keyword,
                       value);
    if (strcmp(vr, "SQ") == 0)
        return hl_fail(HILUM_EINVAL, "%s: a sequence cannot be corrected here", keyword);
    if (is_one_value(tag) && strchr(value, '\\'))
        return hl_fail(HILUM_EINVAL, "%s: expected one value, without a backslash", keyword);
    if (!has_room(vr, value))
        return hl_fail(HILUM_EINVAL, "%s: the value is too long", keyword);
    return hl_value_check(keyword, tag, vr, value);
}

/* "PatientName=Li^Lei" -> one change. Group 0010 only, which is checked again where it is
 * written: studies and UIDs have no such verb. */
static hilum_rc add_change(struct hl_attrs *changes, const char *text)
{
    const char *equals = strchr(text, '=');
    char keyword[64] = "";
    if (equals && (size_t)(equals - text) < sizeof keyword)
        memcpy(keyword, text, (size_t)(equals - text));
    uint32_t tag = *keyword ? hl_dict_tag(keyword) : 0;
    if (!tag || tag >> 16 != 0x0010)
        return hl_fail(HILUM_EINVAL,
                       "%s: expected KEYWORD=VALUE with a patient attribute, such as "
                       "PatientName=Li^Lei",
                       text);
    hilum_rc rc = check_value(keyword, tag, equals + 1);
    return rc < 0 ? rc : hl_attrs_set(changes, tag, equals + 1);
}

/* The audit row with who and why is written in the transaction of the correction (record). */
static hilum_rc edit_patient(struct hl_server *server, struct hl_call *call,
                             const struct hl_attrs *changes)
{
    char who[64];
    if (*hl_call_text(call, "why", "") == '\0')
        return hl_fail(HILUM_EINVAL, "why: expected the reason, found nothing");
    hl_server_who(call, who, sizeof who);
    return hl_record_edit_patient(server->record, hl_call_text(call, "patient-id", ""),
                                  hl_call_text(call, "issuer", NULL), changes, who,
                                  hl_call_text(call, "why", ""));
}

/* All changes or none. The values go back in the answer to who typed them, and into no log. */
static hilum_rc patient_edit(void *ctx, struct hl_call *call)
{
    const char *texts[16];
    struct hl_attrs changes = {0};
    hilum_rc rc = HILUM_OK;
    size_t n = hl_call_texts(call, "set", texts, 16);
    if (n > 16)
        return hl_fail(HILUM_EINVAL, "at most 16 attributes at once, found %zu", n);
    for (size_t i = 0; i < n && rc == HILUM_OK; i++)
        rc = add_change(&changes, texts[i]);
    if (rc == HILUM_OK && n == 0)
        rc = hl_fail(HILUM_EINVAL, "nothing to change: name at least one KEYWORD=VALUE");
    if (rc == HILUM_OK)
        rc = edit_patient(ctx, call, &changes);
    hl_attrs_fini(&changes);
    if (rc < 0)
        return rc;
    json_t *changed = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(changed, hl_json_text(texts[i]));
    return hl_call_result_json(call, json_pack("{s:o, s:o}", "patient",
                                               hl_json_text(hl_call_text(call, "patient-id", "")),
                                               "changed", changed));
}

static hilum_rc patient_conflicts(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    hilum_rc rc = hl_record_conflicts(server->record, &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer(call, &json);
}

/* "same": the newcomer joins the known patient. "other": a person of its own with the same ID,
 * who will be told apart from now on. */
static hilum_rc patient_resolve(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    char who[64];
    int64_t conflict = hl_call_int(call, "conflict", 0);
    const char *decision = hl_call_text(call, "decision", "");
    hilum_rc rc =
        hl_record_resolve_conflict(server->record, conflict, strcmp(decision, "same") == 0,
                                   hl_server_who(call, who, sizeof who));
    return rc < 0 ? rc
                  : hl_call_result_json(call, json_pack("{s:I, s:s}", "conflict",
                                                        (json_int_t)conflict, "decided", decision));
}

static hilum_rc quarantine_list(void *ctx, struct hl_call *call)
{
    struct hl_server *server = ctx;
    struct hl_buf json = {0};
    hilum_rc rc = hl_record_quarantine_list(server->record, &json);
    if (rc < 0) {
        hl_buf_fini(&json);
        return rc;
    }
    return hl_server_answer(call, &json);
}

/* Where the site keeps versions, a released object with a known UID becomes one; otherwise it
 * replaces. `which` may be a study: all that is held of it, in one transaction. */
static hilum_rc quarantine_end(struct hl_server *server, struct hl_call *call, bool release)
{
    char who[64];
    uint64_t n = 0;
    const char *which = hl_call_text(call, "which", "");
    hl_server_who(call, who, sizeof who);
    enum hl_known_uid how =
        hl_store_duplicates(server->store) == HL_VERSION ? HL_KNOWN_VERSION : HL_KNOWN_REPLACE;
    hilum_rc rc = release ? hl_record_quarantine_release(server->record, which, who, how, &n)
                          : hl_record_quarantine_discard(server->record, which, who, &n);
    if (rc < 0)
        return rc;
    return hl_call_result_json(
        call, json_pack("{s:I}", release ? "released" : "discarded", (json_int_t)n));
}

static hilum_rc quarantine_release(void *ctx, struct hl_call *call)
{
    return quarantine_end(ctx, call, true);
}

static hilum_rc quarantine_discard(void *ctx, struct hl_call *call)
{
    return quarantine_end(ctx, call, false);
}

static const struct hl_command_arg find_args[] = {
    {"name", HL_ARG_TEXT, true, false, "patient's name: any script, pinyin, initials, * and ?",
     NULL},
    HL_FIND_ARGS,
    {0}};
static const struct hl_command_arg send_args[] = {
    {"study", HL_ARG_STUDY, true, true, "StudyInstanceUID or accession number", NULL},
    {"peer", HL_ARG_TEXT, true, true, "name of the destination (hilum peer list)", NULL},
    {0}};
static const struct hl_command_arg retrieve_args[] = {
    {"study", HL_ARG_TEXT, true, true, "StudyInstanceUID", NULL},
    {"peer", HL_ARG_TEXT, true, true, "name of a peer with a url (hilum peer list)", NULL},
    {"series", HL_ARG_TEXT, false, false, "SeriesInstanceUID, for one series only", NULL},
    {"instance", HL_ARG_TEXT, false, false, "SOPInstanceUID, for one object only", NULL},
    {0}};
static const struct hl_command_arg study_args[] = {
    {"study", HL_ARG_STUDY, true, true, "StudyInstanceUID or accession number", NULL}, {0}};
static const struct hl_command_arg versions_args[] = {
    {"study", HL_ARG_STUDY, true, true, "StudyInstanceUID, accession number or SOPInstanceUID",
     NULL},
    {0}};
static const struct hl_command_arg reference_args[] = {
    {"reference", HL_ARG_TEXT, true, true, "the number from a peer's error comment", NULL}, {0}};
static const struct hl_command_arg edit_args[] = {
    {"patient-id", HL_ARG_TEXT, true, true, "PatientID as it is now", NULL},
    {"set", HL_ARG_TEXTS, true, true, "KEYWORD=VALUE ..., e.g. PatientName=Li^Lei", NULL},
    {"issuer", HL_ARG_TEXT, false, false, "IssuerOfPatientID, where the ID alone is not unique",
     NULL},
    {"why", HL_ARG_TEXT, false, true, "the reason, kept in the audit record", NULL},
    {0}};
static const struct hl_command_arg resolve_args[] = {
    {"conflict", HL_ARG_INT, true, true, "number from `hilum patient conflicts`", NULL},
    {"decision", HL_ARG_TEXT, true, true,
     "same: join the known patient; other: a person of its own", "same|other"},
    {0}};
static const struct hl_command_arg which_args[] = {
    {"which", HL_ARG_TEXT, true, true, "SOPInstanceUID, StudyInstanceUID or quarantine number",
     NULL},
    {0}};

hilum_rc hl_server_register_catalog_commands(struct hl_server *server)
{
    const struct hl_command commands[] = {
        {"study find", "Lists studies.", "find", find_args, study_find, server},
        {"study send", "Queues a study for a destination.", "study.send", send_args, study_send,
         server},
        {"study retrieve", "Fetches a study from a peer by WADO-RS, or by what its via names.",
         "study.send", retrieve_args, study_retrieve, server},
        {"study explain", "Everything that happened to a study, and why.", "study.explain",
         study_args, study_explain, server},
        {"study versions",
         "Lists what came more than once with other content, and which is current.",
         "study.explain", versions_args, study_versions, server},
        {"explain", "What a reference number stands for.", "study.explain", reference_args, explain,
         server},
        {"patient edit", "Corrects a patient's attributes in all studies.", "patient.edit",
         edit_args, patient_edit, server},
        {"patient conflicts", "Lists identities that need a person's decision.", "patient.edit",
         NULL, patient_conflicts, server},
        {"patient resolve", "Decides an identity conflict.", "patient.edit", resolve_args,
         patient_resolve, server},
        {"quarantine list", "Lists what is held, and by which rule.", "quarantine.list", NULL,
         quarantine_list, server},
        {"quarantine release", "Lets held objects go on to rules and routes.", "quarantine.release",
         which_args, quarantine_release, server},
        {"quarantine discard", "Removes held objects; erased after the grace period.",
         "quarantine.release", which_args, quarantine_discard, server},
        {0}};
    return hl_control_register_all(server->control, commands);
}
