/* What every `notifier` must do (hilum/notifier.h). SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/contract.h"

#include <string.h>

#include "hilum/notifier.h"

static struct hilum_notice notice_of(int64_t id, uint32_t kind, const char *text)
{
    return (struct hilum_notice){.size = sizeof(struct hilum_notice),
                                 .kind = kind,
                                 .id = id,
                                 .time_ms = 1764000000000,
                                 .severity = HILUM_SEVERITY_WARN,
                                 .name = "disk.low",
                                 .to = "",
                                 .text = text,
                                 .fields = "{\"free\":12}"};
}

static void table__says_what_it_takes(void **state)
{
    const struct hilum_notifier *t = ((struct provided *)*state)->table;
    assert_in_range(t->kinds, 1, HILUM_NOTICE_AUDIT | HILUM_NOTICE_ALERT | HILUM_NOTICE_EVENT);
}

/* Without a receiver it may fail, but with a code that says whether to come again. */
static void deliver__ends_and_says_whether_to_come_again(void **state)
{
    struct provided *p = *state;
    const struct hilum_notifier *t = p->table;
    for (uint32_t kind = 1; kind <= HILUM_NOTICE_EVENT; kind <<= 1) {
        struct hilum_notice notice = notice_of(kind, kind, "the disk is nearly full");
        if (t->kinds & kind)
            assert_in_range(t->deliver(p->self, &notice) + 100, 0, 100);
    }
}

static void deliver__takes_long_and_odd_texts(void **state)
{
    static char text[70000];
    struct provided *p = *state;
    const struct hilum_notifier *t = p->table;
    uint32_t kind = t->kinds & HILUM_NOTICE_ALERT ? HILUM_NOTICE_ALERT : t->kinds;
    memset(text, '%', sizeof text - 1);
    struct hilum_notice notice = notice_of(1, kind, text);
    assert_true(t->deliver(p->self, &notice) <= 0);
    notice = notice_of(2, kind, "\xE7\xA3\x81\xE7\x9B\x98\r\n.\r\nQUIT %s %n");
    assert_true(t->deliver(p->self, &notice) <= 0);
    assert_true(t->deliver(p->self, &notice) <= 0); /* delivered again */
}

static int run(void)
{
    const struct CMUnitTest tests[] = {PROVIDED_TEST(table__says_what_it_takes),
                                       PROVIDED_TEST(deliver__ends_and_says_whether_to_come_again),
                                       PROVIDED_TEST(deliver__takes_long_and_odd_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
    return contract_main(argc, argv, HILUM_CAP_NOTIFIER, run);
}
