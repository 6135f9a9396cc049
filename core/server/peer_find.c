/* `hilum peer find`: studies at a peer, by its DICOMweb. Its answers are shown like our own; nothing of them is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/dcmtk/dataset.h"
#include "core/server/find.h"
#include "core/server/server.h"

enum { LIMIT_MAX = 10000 };

/* ---- the question ---- */

static void put_escaped(struct hl_buf *out, const char *text)
{
    for (const char *p = text; *p; p++)
        if (isalnum((unsigned char)*p) || strchr("-._*?", *p))
            hl_buf_byte(out, (uint8_t)*p);
        else
            hl_buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
}

/* What begins with what was typed, as people mean it; whoever writes * or ? says it himself. */
static void put_query(struct hl_call *call, uint32_t limit, struct hl_buf *out)
{
    hl_buf_printf(out, "limit=%u&includefield=StudyDescription,ModalitiesInStudy",
                  limit < LIMIT_MAX ? limit : LIMIT_MAX);
    for (size_t i = 0; i < HL_FIND_KEYS; i++) {
        const char *value = hl_call_text(call, hl_find_keys[i].option, NULL);
        if (!value || !*value)
            continue;
        hl_buf_printf(out, "&%s=", hl_dict_keyword(hl_find_keys[i].tag));
        put_escaped(out, value);
        if ((hl_find_keys[i].flags & HILUM_KEY_FUZZY) && !strpbrk(value, "*?"))
            hl_buf_text(out, "*");
    }
}

/* ---- the answers ---- */

static void put_name(const json_t *value, struct hl_buf *out)
{
    static const char *const groups[] = {"Alphabetic", "Ideographic", "Phonetic"};
    size_t pending = 0;
    for (size_t i = 0; i < 3; i++, pending++) {
        const char *group = json_string_value(json_object_get(value, groups[i]));
        if (!group)
            continue;
        for (; pending > 0; pending--)
            hl_buf_text(out, "=");
        hl_buf_text(out, group);
    }
}

/* Several values by backslash, as everywhere. */
static json_t *text_of(const json_t *study, uint32_t tag)
{
    struct hl_buf out = {0};
    char key[9];
    size_t i;
    json_t *value;
    snprintf(key, sizeof key, "%08X", (unsigned)tag);
    json_array_foreach(json_object_get(json_object_get(study, key), "Value"), i, value)
    {
        if (i > 0)
            hl_buf_text(&out, "\\");
        if (json_is_object(value))
            put_name(value, &out);
        else if (json_is_string(value))
            hl_buf_text(&out, json_string_value(value));
        else if (json_is_integer(value))
            hl_buf_printf(&out, "%lld", (long long)json_integer_value(value));
    }
    json_t *text = json_string(hl_buf_str(&out));
    hl_buf_fini(&out);
    return text;
}

static json_t *rows_of(const json_t *answer)
{
    json_t *rows = json_array(), *study;
    size_t i;
    json_array_foreach(answer, i, study)
    {
        json_t *row = json_object();
        for (size_t k = 0; k < HL_FIND_COLUMNS; k++)
            json_object_set_new(row, hl_find_columns[k].name,
                                text_of(study, hl_find_columns[k].tag));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* Who looked for whom, and where: patient data is asked of others in our name. */
static hilum_rc audit(struct hl_server *server, struct hl_call *call, const char *query, size_t n)
{
    char who[64];
    json_t *after = json_pack("{s:s, s:I}", "query", query, "answers", (json_int_t)n);
    char *text = after ? json_dumps(after, JSON_COMPACT) : NULL;
    hilum_rc rc = text ? hl_record_audit(server->record, hl_server_who(call, who, sizeof who),
                                         "peer.find", hl_call_text(call, "peer", ""), NULL, text)
                       : hl_fail(HILUM_ENOMEM, "out of memory");
    free(text);
    json_decref(after);
    return rc;
}

static hilum_rc search(struct hl_server *server, struct hl_call *call, const char *query,
                       json_t **out)
{
    struct hl_buf text = {0};
    struct hilum_sink sink = {.size = sizeof sink, .write = hl_buf_sink, .ctx = &text};
    const char *name = hl_call_text(call, "peer", "");
    struct hl_peers *peers = hl_server_peers(server);
    const struct hl_peer *peer = hl_peers_by_name(peers, name);
    hilum_rc rc = peer && peer->url
                      ? hl_server_search_peer(server, peer, query, &sink)
                      : hl_fail(HILUM_ENOTFOUND,
                                peer ? "peer %s has no url: nothing can be asked of it"
                                     : "%s: no such peer (see `hilum peer list`)",
                                name);
    hl_peers_unref(peers);
    *out = rc == HILUM_OK ? json_loadb(text.data, text.len, 0, NULL) : NULL;
    hl_buf_fini(&text);
    if (rc == HILUM_OK && !json_is_array(*out))
        rc = hl_fail(HILUM_EIO, "%s: the answer is no DICOM JSON", name);
    return rc;
}

static hilum_rc peer_find(void *ctx, struct hl_call *call)
{
    struct hl_buf query = {0};
    json_t *answer = NULL;
    uint32_t limit = 0;
    hilum_rc rc = hl_server_limit(call, HL_FIND_LIMIT, &limit);
    put_query(call, limit, &query);
    if (rc == HILUM_OK)
        rc = search(ctx, call, hl_buf_str(&query), &answer);
    if (rc == HILUM_OK)
        rc = audit(ctx, call, hl_buf_str(&query), json_array_size(answer));
    hl_buf_fini(&query);
    json_t *rows = rc == HILUM_OK ? rows_of(answer) : NULL;
    json_decref(answer);
    return rc == HILUM_OK ? hl_call_result_json(call, rows) : rc;
}

static const struct hl_command_arg args[] = {
    {"peer", HL_ARG_TEXT, true, true, "name of a peer with a url (hilum peer list)", NULL},
    {"name", HL_ARG_TEXT, true, false, "patient's name, from its beginning; * and ?", NULL},
    HL_FIND_ARGS,
    {0}};

/* Who may fetch a study from a peer may look for it there: the same action. */
hilum_rc hl_server_register_peer_find(struct hl_server *server)
{
    const struct hl_command command = {"peer find",  "Searches a peer for studies by QIDO-RS.",
                                       "study.send", args,
                                       peer_find,    server};
    return hl_control_register(server->control, &command);
}
