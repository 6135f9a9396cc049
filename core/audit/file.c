/* A file of `hilum audit export`, checked line by line: its head, then rows, and a seal after those it is over.
 *
 * The file is from outside: every word of it is doubted, memory is one line. Without a key
 * from elsewhere it can only be held against itself, which the result says.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/audit/chain.h"
#include "core/base/error.h"

/* chain runs over the rows since `before`; line is for people, from 1. */
struct checking {
    const char *path, *key;
    struct hl_audit_checked *out;
    struct hl_seal before; /* the last seal that held */
    struct hl_chain chain;
    int64_t line;
};

static hilum_rc bad(const struct checking *checking, const char *why)
{
    return hl_fail(HILUM_ECORRUPT, "%s, line %" PRId64 ": %s", checking->path, checking->line, why);
}

/* A member that no digest is over could say anything. */
static bool seal_read_alone(const json_t *object, struct hl_seal *out)
{
    size_t n = json_object_get(object, "signature") != NULL ? 5 : 4;
    return json_object_size(object) == n && hl_seal_read(object, out);
}

/* {"audit": 1, "at": TIME, "key": HEX, "before": {...} or null} */
static hilum_rc head_read(struct checking *checking, const json_t *object)
{
    const char *key = json_string_value(json_object_get(object, "key"));
    const json_t *before = json_object_get(object, "before");
    if (json_integer_value(json_object_get(object, "audit")) != 1 || key == NULL)
        return hl_fail(HILUM_EINVAL, "%s: expected a file of `hilum audit export`", checking->path);
    if (checking->key != NULL && strcmp(checking->key, key) != 0)
        return bad(checking, "the file names another key");
    snprintf(checking->out->key, sizeof checking->out->key, "%s", key);
    if (json_is_object(before) && (!seal_read_alone(before, &checking->before) ||
                                   !hl_seal_is_by(&checking->before, checking->out->key)))
        return bad(checking, "the seal it begins after is not signed with the key");
    hl_chain_begin(&checking->chain, &checking->before);
    return HILUM_OK;
}

/* Ascending, with gaps: numbers that were never given are no sign of anything, a row that was
 * taken out changes the digest. */
static hilum_rc row_read(struct checking *checking, const json_t *object)
{
    json_int_t id = 0, at_us = 0;
    struct hl_chain_row row = {.before = NULL};
    if (json_unpack((json_t *)(uintptr_t)object, "{s:I, s:I, s:s, s:s, s:s, s?s, s?s!}", "row", &id,
                    "at_us", &at_us, "who", &row.who, "action", &row.action, "what", &row.what,
                    "before", &row.before, "after", &row.after) != 0)
        return bad(checking, "neither a row nor a seal");
    row.id = id;
    row.at_us = at_us;
    if (row.id <= checking->chain.last)
        return bad(checking, "a row out of order");
    hl_chain_add(&checking->chain, &row);
    checking->out->rows++;
    return HILUM_OK;
}

/* Unsigned ones may stand before the first signed one only, whose head covers them: otherwise
 * a signature could be left out to change what it was over. */
static hilum_rc seal_read(struct checking *checking, const json_t *object)
{
    struct hl_seal told, found;
    if (!seal_read_alone(object, &told))
        return bad(checking, "not a seal");
    hl_chain_end(&checking->chain, &found);
    if (found.last != told.last || found.rows != told.rows || strcmp(found.head, told.head) != 0)
        return bad(checking, "the rows before it are not what was sealed");
    bool is_signed = hl_seal_is_by(&told, checking->out->key);
    if (!is_signed && (told.signature[0] != '\0' || checking->out->signed_seals > 0))
        return bad(checking, "not signed with the key");
    checking->out->signed_seals += is_signed;
    checking->out->seals++;
    checking->out->last = told.last;
    checking->before = told;
    hl_chain_begin(&checking->chain, &told);
    return HILUM_OK;
}

/* A NUL ends what is digested and not what is shown: no line has one, as a byte or written out. */
static hilum_rc line_read(struct checking *checking, const char *line, size_t n)
{
    json_t *object = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const json_t *seal = json_object_get(object, "seal");
    hilum_rc rc = HILUM_OK;
    if (object == NULL)
        rc = bad(checking, "no JSON");
    else if (checking->line == 1)
        rc = head_read(checking, object);
    else if (seal != NULL)
        rc = json_object_size(object) == 1 ? seal_read(checking, seal)
                                           : bad(checking, "more than a seal");
    else
        rc = row_read(checking, object);
    json_decref(object);
    return rc;
}

/* The end: no rows after the last seal, and at least one signature. That later seals are
 * missing only whoever knows the number of the last row can say. */
hilum_rc hl_audit_file_check(const char *path, const char *key, struct hl_audit_checked *out)
{
    struct checking checking = {.path = path, .key = key, .out = out};
    char *line = NULL;
    size_t size = 0;
    ssize_t n;
    hilum_rc rc = HILUM_OK;
    *out = (struct hl_audit_checked){.rows = 0};
    FILE *f = sodium_init() >= 0 ? fopen(path, "re") : NULL;
    if (f == NULL)
        return hl_fail(HILUM_EIO, "open %s: %s", path, strerror(errno));
    while (rc == HILUM_OK && (n = getline(&line, &size, f)) >= 0) {
        checking.line++;
        rc = line_read(&checking, line, (size_t)n);
    }
    if (rc == HILUM_OK && ferror(f))
        rc = hl_fail(HILUM_EIO, "read %s: %s", path, strerror(errno));
    if (rc == HILUM_OK && checking.line == 0)
        rc = hl_fail(HILUM_EINVAL, "%s: expected a file of `hilum audit export`", path);
    if (rc == HILUM_OK && checking.chain.rows > 0)
        rc = bad(&checking, "rows without a seal over them: the file is cut short");
    if (rc == HILUM_OK && out->seals > 0 && out->signed_seals == 0)
        rc = bad(&checking, "no seal is signed");
    free(line);
    fclose(f);
    return rc;
}
