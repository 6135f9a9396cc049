/* A record in a directory of its own, and instances to put in it. SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_RECORD_FIXTURE_H
#define TESTS_RECORD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "core/record/columns.h"
#include "core/record/record.h"
#include "tests/fake_host.h"

struct fixture {
    char dir[128];
    hilum_self *host;
    const struct hilum_database *db;
    void *instance;
    struct hl_record *record;
};

int fixture_set_up(void **state); /* cmocka set-up and tear-down */
int fixture_tear_down(void **state);
/* For other directories and other options. */
struct fixture *fixture_new(const char *dir, const struct fake_option *options);
void fixture_free(struct fixture *f); /* keeps the directory */
hilum_rc fixture_open(struct fixture *f);

/* An instance made of "tag=value" words in hexadecimal: sample_new("00100020", "P1", ..., NULL). UIDs not
 * given are derived from `number`. */
struct sample {
    struct hl_attrs attrs;
    struct hl_instance row;
};
struct sample *sample_new(unsigned number, ...) __attribute__((sentinel));
void sample_free(struct sample *sample);
/* Records it and frees it; the outcome, or a negative code. */
int sample_store(struct fixture *f, struct sample *sample);
int64_t sample_store_id(struct fixture *f, struct sample *sample);

/* Answers of a query as texts: values of `returned` joined by ' ', in order. keys: "tag", "value" ..., NULL. */
const char *find_text(struct fixture *f, unsigned level, uint32_t returned, ...)
    __attribute__((sentinel));
/* First column of the first row of a statement on the database itself; -1 when there is none. */
int64_t sql_int(struct fixture *f, const char *sql);
/* A script on the database itself; the record is closed meanwhile and another one afterwards. */
void sql_run(struct fixture *f, const char *sql);

#endif
