/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/record/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"

struct fixture *fixture_new(const char *dir, const struct fake_option *options)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "%s", dir);
    f->host = fake_host_open(DB_SQLITE_SO, f->dir, options);
    assert_non_null(f->host);
    f->db = fake_host_cap(f->host, HILUM_CAP_DATABASE, &f->instance);
    return f;
}

hilum_rc fixture_open(struct fixture *f)
{
    const struct hl_record_options options = {
        .default_issuer = "HOSPITAL", .study_idle_ms = 60000, .erase_grace_ms = 0};
    return hl_record_open(f->db, f->instance, &options, &f->record);
}

void fixture_free(struct fixture *f)
{
    hl_record_close(f->record);
    fake_host_close(f->host);
    free(f);
}

int fixture_set_up(void **state)
{
    char dir[] = "/tmp/hilum-record-XXXXXX";
    assert_non_null(mkdtemp(dir));
    struct fixture *f = fixture_new(dir, NULL);
    assert_int_equal(fixture_open(f), HILUM_OK);
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    char command[192];
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    fixture_free(f);
    return system(command);
}

/* ---- samples ---------------------------------------------------------------------------------------------- */

static void uid_default(struct sample *sample, uint32_t tag, const char *format, unsigned number)
{
    char uid[64];
    snprintf(uid, sizeof uid, "1.2.826.%s.%u", format, number);
    if (!hl_attrs_get(&sample->attrs, tag))
        hl_attrs_set(&sample->attrs, tag, uid);
}

struct sample *sample_new(unsigned number, ...)
{
    struct sample *sample = calloc(1, sizeof *sample);
    va_list args;
    va_start(args, number);
    for (const char *tag; (tag = va_arg(args, const char *));)
        hl_attrs_set(&sample->attrs, (uint32_t)strtoul(tag, NULL, 16), va_arg(args, const char *));
    va_end(args);
    uid_default(sample, HL_SOP_INSTANCE_UID, "4", number);
    uid_default(sample, HL_SERIES_INSTANCE_UID, "3", number);
    uid_default(sample, HL_STUDY_INSTANCE_UID, "2", number);
    if (!hl_attrs_get(&sample->attrs, HL_SOP_CLASS_UID))
        hl_attrs_set(&sample->attrs, HL_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2");
    sample->row = (struct hl_instance){.attrs = &sample->attrs,
                                       .transfer_syntax = "1.2.840.10008.1.2.1",
                                       .location = {.store = "fs", .length = 1000},
                                       .peer = "CT1",
                                       .calling_aet = "CT1",
                                       .called_aet = "HILUM",
                                       .address = "127.0.0.1"};
    snprintf(sample->row.location.key, sizeof sample->row.location.key, "k%u", number);
    return sample;
}

void sample_free(struct sample *sample)
{
    hl_attrs_fini(&sample->attrs);
    free(sample);
}

int sample_store(struct fixture *f, struct sample *sample)
{
    struct hl_instance *row = &sample->row;
    hilum_rc rc = hl_record_instances(f->record, &row, 1);
    int outcome = rc == HILUM_OK ? (int)row->outcome : rc;
    if (rc != HILUM_OK)
        print_message("%s %s\n", hl_error(), fake_host_reason());
    sample_free(sample);
    return outcome;
}

int64_t sample_store_id(struct fixture *f, struct sample *sample)
{
    struct hl_instance *row = &sample->row;
    assert_int_equal(hl_record_instances(f->record, &row, 1), HILUM_OK);
    int64_t id = row->instance_id;
    sample_free(sample);
    return id;
}

/* ---- finding ---------------------------------------------------------------------------------------------- */

static void answers_join(hilum_cursor *cursor, uint32_t returned, char *text, size_t size)
{
    size_t n = 0;
    hilum_rc rc;
    while ((rc = hl_cursor_next(cursor)) == 1 && n < size - 80) {
        const char *value = hl_cursor_value(cursor, returned);
        n += (size_t)snprintf(text + n, size - n, "%s%s", n ? " " : "", value ? value : "NULL");
    }
    assert_int_equal(rc, 0);
}

const char *find_text(struct fixture *f, unsigned level, uint32_t returned, ...)
{
    static _Thread_local char text[65536];
    struct hilum_catalog_key keys[16];
    uint32_t n = 0;
    va_list args;
    va_start(args, returned);
    for (const char *tag; (tag = va_arg(args, const char *)); n++)
        keys[n] = (struct hilum_catalog_key){.tag = (uint32_t)strtoul(tag, NULL, 16),
                                             .flags = strchr(tag, '~')   ? HILUM_KEY_FUZZY
                                                      : strchr(tag, '+') ? HILUM_KEY_COMBINED
                                                                         : 0,
                                             .value = va_arg(args, const char *)};
    va_end(args);
    const struct hilum_catalog_query query = {.size = sizeof query,
                                              .level = level,
                                              .keys = keys,
                                              .n_keys = n,
                                              .returns = &returned,
                                              .n_returns = 1};
    hilum_cursor *cursor = NULL;
    text[0] = '\0';
    hilum_rc rc = hl_record_find(f->record, &query, NULL, &cursor);
    if (rc != HILUM_OK) {
        snprintf(text, sizeof text, "%s", hl_rc_name(rc));
        print_message("%s %s\n", hl_error(), fake_host_reason());
        return text;
    }
    answers_join(cursor, returned, text, sizeof text);
    hl_cursor_close(cursor);
    return text;
}

int64_t sql_int(struct fixture *f, const char *sql)
{
    void *session, *statement;
    struct hilum_value value = {.integer = -1};
    assert_int_equal(f->db->open(f->instance, HILUM_DB_READ, NULL, &session), HILUM_OK);
    assert_int_equal(f->db->prepare(session, sql, &statement), HILUM_OK);
    assert_int_equal(f->db->bind(statement, NULL, 0), HILUM_OK);
    if (f->db->step(statement) == 1)
        f->db->column(statement, 0, &value);
    f->db->finish(statement);
    f->db->close(session);
    return value.integer;
}

void sql_run(struct fixture *f, const char *sql)
{
    void *session;
    hl_record_close(f->record);
    assert_int_equal(f->db->open(f->instance, HILUM_DB_WRITE, NULL, &session), HILUM_OK);
    assert_int_equal(f->db->exec(session, sql), HILUM_OK);
    f->db->close(session);
    assert_int_equal(fixture_open(f), HILUM_OK);
}
