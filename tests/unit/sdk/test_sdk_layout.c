/* The layout of ABI major 1 on 64-bit machines: an offset in this table never changes. A new member goes to
 * the end of its struct and gets a new line here; a line is never edited.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hilum/database.h"
#include "hilum/host.h"
#include "hilum/store.h"

#define AT(type, member, offset)                                                                   \
    {                                                                                              \
#type "." #member, offsetof(struct type, member), offset                                   \
    }
#define FROZEN(type, size)                                                                         \
    {                                                                                              \
        "sizeof " #type, sizeof(struct type), size                                                 \
    }

static const struct {
    const char *what;
    size_t found, expected;
} layout[] = {
    FROZEN(hilum_sink, 24),
    AT(hilum_sink, write, 8),
    FROZEN(hilum_cap, 24),
    AT(hilum_cap, kind, 4),
    AT(hilum_cap, threads, 8),
    AT(hilum_cap, name, 16),
    FROZEN(hilum_option, 40),
    AT(hilum_option, type, 8),
    AT(hilum_option, offset, 12),
    AT(hilum_option, fallback, 16),
    AT(hilum_option, range, 24),
    AT(hilum_option, help, 32),
    AT(hilum_plugin, magic, 0),
    AT(hilum_plugin, size, 4),
    AT(hilum_plugin, abi_major, 8),
    AT(hilum_plugin, abi_minor, 10),
    AT(hilum_plugin, conf_size, 12),
    AT(hilum_plugin, id, 16),
    AT(hilum_plugin, version, 24),
    AT(hilum_plugin, vendor, 32),
    AT(hilum_plugin, licence, 40),
    AT(hilum_plugin, abi_tag, 48),
    AT(hilum_plugin, options, 56),
    AT(hilum_plugin, needs, 64),
    AT(hilum_plugin, wants, 72),
    AT(hilum_plugin, init, 80),
    AT(hilum_plugin, start, 88),
    AT(hilum_plugin, drain, 96),
    AT(hilum_plugin, fini, 104),
    AT(hilum_plugin, swap, 112),
    AT(hilum_plugin, ready, 120),
    AT(hilum_plugin, hand_over, 128),
    AT(hilum_plugin, provides, 136),
    AT(hilum_hook, phase, 4),
    AT(hilum_hook, event, 8),
    AT(hilum_hook, name, 16),
    AT(hilum_hook, before, 24),
    AT(hilum_hook, after, 32),
    AT(hilum_hook, where, 40),
    AT(hilum_hook, run, 48),
    AT(hilum_hook, arg, 56),
    AT(hilum_hook, deadline_ms, 64),
    AT(hilum_hook, threads, 68),
    AT(hilum_call, arguments, 8),
    AT(hilum_call, result, 16),
    AT(hilum_call, progress, 40),
    AT(hilum_call, ctx, 48),
    AT(hilum_decl, type, 4),
    AT(hilum_decl, name, 8),
    AT(hilum_decl, summary, 16),
    AT(hilum_decl, fields, 24),
    AT(hilum_decl, permission, 32),
    AT(hilum_decl, job, 40),
    AT(hilum_decl, run, 48),
    AT(hilum_decl, read, 56),
    AT(hilum_decl, arg, 64),
    AT(hilum_decl, about, 72),
    AT(hilum_host, abi_major, 4),
    AT(hilum_host, version, 8),
    AT(hilum_host, log, 16),
    AT(hilum_host, provide, 56),
    AT(hilum_host, acquire, 80),
    AT(hilum_host, publish, 96),
    AT(hilum_host, event_text, 104),
    AT(hilum_host, event_reason, 136),
    AT(hilum_host, run_on_worker, 144),
    AT(hilum_host, dicom, 152),
    AT(hilum_host, catalog, 160),
    AT(hilum_host, store_scu, 176),
    AT(hilum_host, dicom_aet, 200),
    AT(hilum_host, metric_define, 328),
    AT(hilum_host, start_job, 384),
    AT(hilum_host, scu, 392),
    AT(hilum_host, listen, 400),
    AT(hilum_host, commands, 424),
    AT(hilum_host, check_roles, 432),
    FROZEN(hilum_value, 40),
    AT(hilum_database, dialect, 24),
    AT(hilum_database, open, 32),
    AT(hilum_database, begin, 104),
    AT(hilum_database, checkpoint, 152),
    AT(hilum_database, flush, 168),
    FROZEN(hilum_catalog_key, 16),
    AT(hilum_store, begin, 24),
    AT(hilum_store, sync, 40),
    AT(hilum_store, finish, 104),
    AT(hilum_store, space, 120),
    AT(hilum_store, note_read, 144),
    AT(hilum_service, sop_classes, 24),
    AT(hilum_service, handle, 32),
    AT(hilum_service, negotiate, 40),
};

static void layout__of_major_1_is_as_released(void **state)
{
    (void)state;
    if (sizeof(void *) != 8)
        skip(); /* the table is of 64-bit machines */
    for (size_t i = 0; i < sizeof layout / sizeof layout[0]; i++)
        if (layout[i].found != layout[i].expected)
            fail_msg("%s is %zu, released as %zu", layout[i].what, layout[i].found,
                     layout[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layout__of_major_1_is_as_released)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
