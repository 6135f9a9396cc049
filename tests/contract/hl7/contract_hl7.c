/* What every `hl7` handler must do (hilum/hl7.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <string.h>

#include "hilum/hl7.h"

/* A message told by its fields. */
struct hilum_hl7_message {
    const char *type;
    const char *fields[24]; /* path, text, path, text ... NULL */
};

static const char *text(hilum_hl7_message *message, const char *path)
{
    for (const char **f = message->fields; *f; f += 2)
        if (strcmp(f[0], path) == 0)
            return f[1];
    return NULL;
}

static uint32_t count(hilum_hl7_message *message, const char *path)
{
    uint32_t n = 0;
    for (const char **f = message->fields; *f; f += 2)
        n += strncmp(f[0], path, strlen(path)) == 0;
    return n > 0;
}

static const void *bytes(hilum_hl7_message *message, uint64_t *n)
{
    (void)message;
    *n = 9;
    return "MSH|^~\\&|\r";
}

static const char *type_of(hilum_hl7_message *message)
{
    return message->type;
}

static const char *source(hilum_hl7_message *message)
{
    (void)message;
    return "RIS";
}

static const struct hilum_hl7_api api = {.size = sizeof api,
                                         .text = text,
                                         .count = count,
                                         .bytes = bytes,
                                         .type = type_of,
                                         .source = source};

static hilum_rc receive(struct provided *p, hilum_hl7_message *message, uint32_t *error)
{
    const struct hilum_hl7 *t = p->table;
    struct kept said = {0}, segments = {0};
    struct hilum_hl7_answer answer = {
        .size = sizeof answer, .text = kept_sink(&said), .segments = kept_sink(&segments)};
    hilum_rc rc = t->receive(p->self, &api, message, &answer);
    /* Segments end with CR, as HL7 has it; the line for the operator is one line. */
    assert_true(segments.n == 0 || segments.bytes[segments.n - 1] == '\r');
    assert_true(said.n == 0 || !strpbrk((const char *)said.bytes, "\r\n"));
    *error = answer.error;
    kept_free(&said);
    kept_free(&segments);
    return rc;
}

/* "ADT^*" accepts "ADT^A08". */
static const char *an_accepted_type(const struct hilum_hl7 *t, char out[32])
{
    strncpy(out, t->accepts[0], 31);
    out[31] = '\0';
    if (out[strlen(out) - 1] == '*')
        strcpy(out + strlen(out) - 1, "A08");
    return out;
}

static void table__accepts_something(void **state)
{
    const struct hilum_hl7 *t = ((struct provided *)*state)->table;
    assert_non_null(t->accepts[0]);
    for (const char *const *type = t->accepts; *type; type++)
        assert_non_null(strchr(*type, '^'));
}

static void receive__answers_with_one_of_the_documented_results(void **state)
{
    char type[32];
    uint32_t error;
    struct provided *p = *state;
    hilum_hl7_message messages[] = {
        {an_accepted_type(p->table, type), {NULL}},
        {type, {"PID-3.1", "", "PID-5", "", NULL}},
        {type,
         {"PID-3.1", "42", "PID-3.4", "HOSP", "PID-5.1", "\xE7\x8E\x8B", "PID-30", "Y", "ORC-1",
          "NW", NULL}},
        {type, {"PID-3.1", "\"\"", "PID-5", "\"\"", NULL}},
    };
    for (unsigned i = 0; i < sizeof messages / sizeof *messages; i++) {
        hilum_rc rc = receive(p, &messages[i], &error);
        assert_true(rc <= HILUM_PASS_ON);
        assert_true(error == 0 || (error >= 100 && error <= 207));
        assert_true(rc != HILUM_OK || error == 0);
    }
}

static void receive__of_the_same_message_twice_is_no_failure(void **state)
{
    char type[32];
    uint32_t error;
    struct provided *p = *state;
    hilum_hl7_message message = {an_accepted_type(p->table, type),
                                 {"PID-3.1", "42", "PID-5.1", "Doe", "PID-30", "Y", NULL}};
    hilum_rc first = receive(p, &message, &error);
    assert_int_equal(receive(p, &message, &error), first);
}

static void compose__where_offered_refuses_what_it_does_not_make(void **state)
{
    struct provided *p = *state;
    const struct hilum_hl7 *t = p->table;
    struct kept kept = {0};
    struct hilum_sink sink = kept_sink(&kept);
    if (!t->compose)
        skip();
    assert_true(t->compose(p->self, "ZZZ^Z99", NULL, "{}", &sink) < 0);
    assert_true(!t->makes || !t->makes[0] ||
                t->compose(p->self, t->makes[0], NULL, "{", &sink) <= 0);
    kept_free(&kept);
}

static int run(void)
{
    const struct CMUnitTest tests[] = {
        PROVIDED_TEST(table__accepts_something),
        PROVIDED_TEST(receive__answers_with_one_of_the_documented_results),
        PROVIDED_TEST(receive__of_the_same_message_twice_is_no_failure),
        PROVIDED_TEST(compose__where_offered_refuses_what_it_does_not_make)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_HL7, run);
}
