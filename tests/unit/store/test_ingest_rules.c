/* Rules on arrival and corrections on the way out, over the real store plugin and a record in memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/store/compress.h"
#include "core/store/store_internal.h"
#include "tests/unit/store/dataset_builder.h"
#include "tests/unit/store/ingest_fixture.h"

#define DEFLATED   "1.2.840.10008.1.2.1.99"
#define TEST(name) cmocka_unit_test_setup_teardown(name, pipeline_setup, pipeline_teardown)

static void image_bytes(unsigned seed, const char *uid, struct hl_buf *out)
{
    dataset_build(&(struct dataset){.sop_instance = uid,
                                    .study = "1.2.3",
                                    .series = "1.2.3.4",
                                    .seed = seed,
                                    .pixels = 20000},
                  out);
}

/* ---- rules -------------------------------------------------------------------------------------------------- */

struct rule {
    int32_t verdict;
    const char *edit_keyword, *edit_value;
    hilum_rc edit_rc;
    char seen[64];
};

static int32_t rule_run(void *arg, hilum_event *event)
{
    struct rule *rule = arg;
    const char *name = hl_event_text(event, "PatientName");
    snprintf(rule->seen, sizeof rule->seen, "%s", name != NULL ? name : "");
    if (rule->edit_keyword != NULL)
        rule->edit_rc = hl_event_edit(event, rule->edit_keyword, rule->edit_value);
    if (rule->verdict == HILUM_ACCEPT)
        hl_event_plan(event, "tag", "{\"label\":\"x\"}");
    if (rule->verdict != HILUM_PASS)
        hl_event_reason(event, "because");
    return rule->verdict;
}

static void rule_add(struct pipeline *p, const char *event, unsigned phase, struct rule *rule)
{
    struct hl_faults faults = {0};
    struct hl_hook_source source = {.hook = {.size = sizeof(struct hilum_hook),
                                             .phase = phase,
                                             .event = event,
                                             .name = "site/rule",
                                             .where = "calling_aet=CT1",
                                             .run = rule_run,
                                             .arg = rule,
                                             .threads = HILUM_PARALLEL}};
    assert_int_equal(hl_bus_replace(p->bus, "rules", &source, 1, NULL, NULL, false, &faults),
                     HILUM_OK);
    hl_faults_fini(&faults);
}

static void rule__rejecting_gives_0124_with_a_reference(void **state)
{
    struct pipeline *p = *state;
    static const char *const events[] = {"instance.offered", "instance.received"};
    for (size_t i = 0; i < 2; i++) {
        struct hl_ingest_result result;
        struct rule rule = {.verdict = HILUM_REJECT};
        rule_add(p, events[i], HILUM_FILTER, &rule);
        assert_true(image_send(p, "1.2.3", 1, &result) < 0);
        assert_int_equal(result.status, 0x0124);
        assert_string_equal(result.comment, "rejected by rule, ref TEST-0001");
        assert_non_null(strstr(p->record->last_why, "because"));
        assert_int_equal(pipeline_objects(p), 0);
        assert_string_equal(rule.seen, i == 0 ? "" : "Test^Patient");
    }
}

static void rule__deferring_gives_a700(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct rule rule = {.verdict = HILUM_DEFER};
    rule_add(p, "instance.offered", HILUM_FILTER, &rule);
    assert_true(image_send(p, "1.2.3", 1, &result) < 0);
    assert_int_equal(result.status, 0xA700);
}

static void rule__holding_stores_and_flags(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct rule rule = {.verdict = HILUM_HOLD};
    rule_add(p, "instance.received", HILUM_FILTER, &rule);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(result.status, 0);
    assert_true(result.is_held);
    assert_string_equal(p->record->rows[0].held_by, "site/rule");
}

static void rule__discarding_answers_success_keeps_nothing_and_is_audited(void **state)
{
    struct pipeline *p = *state;
    static const char *const events[] = {"instance.offered", "instance.received"};
    for (unsigned i = 0; i < 2; i++) {
        struct hl_ingest_result result;
        struct rule rule = {.verdict = HILUM_DISCARD};
        rule_add(p, events[i], HILUM_FILTER, &rule);
        assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
        assert_int_equal(result.status, 0);
        assert_int_equal(result.instance_id, 0);
        assert_int_equal(p->record->audits, i + 1);
        assert_int_equal(pipeline_objects(p), 0);
    }
    assert_int_equal(p->record->n, 0);
}

static void rule__planning_writes_its_plan_with_the_row(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct rule rule = {.verdict = HILUM_ACCEPT};
    rule_add(p, "instance.received", HILUM_FILTER, &rule);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(p->record->rows[0].n_plan, 1);
}

static bool contains(const struct hl_buf *bytes, const char *text)
{
    return memmem(bytes->data, bytes->len, text, strlen(text)) != NULL;
}

static void outgoing_take(struct pipeline *p, int64_t id, struct hl_buf *out)
{
    struct hl_outgoing *outgoing = NULL;
    size_t n = 1;
    assert_int_equal(hl_outgoing_open(p->store, id, 0, &outgoing), HILUM_OK);
    while (n > 0) {
        const void *bytes = NULL;
        assert_int_equal(hl_outgoing_next(outgoing, &bytes, &n), HILUM_OK);
        hl_buf_add(out, bytes, n);
    }
    if (strcmp(hl_outgoing_stored(outgoing)->transfer_syntax, DEFLATED) != 0)
        assert_int_equal(out->len, hl_outgoing_length(outgoing));
    hl_outgoing_close(outgoing);
}

static void rule__editing_changes_what_is_stored_and_tells_what_was(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0}, got = {0};
    struct rule rule = {.edit_keyword = "PatientName", .edit_value = "Other^Name"};
    rule_add(p, "instance.received", HILUM_TRANSFORM, &rule);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(rule.edit_rc, HILUM_OK);
    assert_string_equal(p->record->rows[0].patient, "Other^Name");
    outgoing_take(p, 1, &got);
    image_bytes(1, "1.2.3", &bytes);
    assert_true(contains(&got, "Other^Name"));
    assert_true(contains(&got, "Test^Patient")); /* in Original Attributes */
    assert_memory_equal(got.data + got.len - 20000, bytes.data + bytes.len - 20000, 20000);
    assert_int_equal(pipeline_objects(p), 1);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK); /* a resend is still one */
    assert_true(result.is_duplicate && !result.is_held);
    assert_int_equal(pipeline_objects(p), 1);
    hl_buf_fini(&bytes);
    hl_buf_fini(&got);
}

static void rule__editing_a_uid_is_denied(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct rule rule = {.edit_keyword = "StudyInstanceUID", .edit_value = "1.2.3.4"};
    rule_add(p, "instance.received", HILUM_TRANSFORM, &rule);
    assert_int_equal(image_send(p, "1.2.3", 1, &result), HILUM_OK);
    assert_int_equal(rule.edit_rc, HILUM_EDENIED);
}

/* Nothing is read back, so nothing need be durable yet: it shares the flush of its group. */
static void rule__compressing_does_not_sync_what_it_leaves(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest ingest = {.store = p->store,
                               .provider = &p->store->providers[0],
                               .hash = XXH3_createState(),
                               .transfer_syntax = EXPLICIT_LE,
                               .length = 1000,
                               .compress_rule = "small",
                               .compress_min = 2000,
                               .compress.transfer_syntax = "1.2.840.10008.1.2.5"};
    assert_non_null(ingest.hash);
    XXH3_128bits_reset(ingest.hash);
    assert_int_equal(hl_compress_arriving(&ingest), HILUM_OK); /* no transaction to sync either */
    assert_false(ingest.is_synced);
    XXH3_freeState(ingest.hash);
}

/* ---- corrections --------------------------------------------------------------------------------------------- */

static void overlay__reaches_what_leaves_and_pixels_stay(void **state)
{
    struct pipeline *p = *state;
    struct hl_ingest_result result;
    struct hl_buf bytes = {0}, got = {0};
    image_bytes(1, "1.2.3", &bytes);
    assert_int_equal(dataset_send(p, "1.2.3", &bytes, &result), HILUM_OK);
    p->record->overlays[0] =
        (struct hl_overlay){.tag = 0x00100010, .text = "王^小东", .who = "x", .why = "y"};
    p->record->overlays[1] = (struct hl_overlay){.tag = 0x00100020, .text = NULL};
    p->record->n_overlays = 2;
    outgoing_take(p, 1, &got);
    assert_true(contains(&got, "王^小东"));
    assert_true(contains(&got, "ISO_IR 192")); /* ASCII cannot say it */
    assert_memory_equal(got.data + got.len - 20000, bytes.data + bytes.len - 20000, 20000);
    hl_buf_fini(&bytes);
    hl_buf_fini(&got);
}

static void deflate_all(const struct hl_buf *plain, struct hl_buf *out)
{
    struct hl_deflating *deflating = NULL;
    assert_int_equal(hl_deflating_new(&deflating), HILUM_OK);
    assert_int_equal(hl_deflating_feed(deflating, plain->data, plain->len, out), HILUM_OK);
    assert_int_equal(hl_deflating_end(deflating, out), HILUM_OK);
    assert_int_equal(out->len % 2, 0);
    hl_deflating_free(deflating);
}

static void inflate_all(const struct hl_buf *deflated, struct hl_buf *out)
{
    z_stream stream = {.next_in = (Bytef *)deflated->data, .avail_in = (uInt)deflated->len};
    int state = inflateInit2(&stream, -15);
    while (state == Z_OK) {
        assert_true(hl_buf_reserve(out, 65536));
        stream.next_out = (Bytef *)out->data + out->len;
        stream.avail_out = 65536;
        state = inflate(&stream, Z_NO_FLUSH);
        out->len += 65536 - stream.avail_out;
    }
    inflateEnd(&stream);
    assert_int_equal(state, Z_STREAM_END);
    assert_true(stream.avail_in <= 1);
}

/* The corrected deflated object, inflated, is the corrected inflated one: whatever lies on the way. */
static void overlay__reaches_a_deflated_object_too(void **state)
{
    struct pipeline *p = *state;
    static const char *const syntaxes[] = {EXPLICIT_LE, DEFLATED};
    struct hl_buf plain = {0}, bytes[2] = {{0}}, left[2] = {{0}}, inflated = {0};
    image_bytes(1, "1.2.3", &plain);
    hl_buf_add(&bytes[0], plain.data, plain.len);
    deflate_all(&plain, &bytes[1]);
    for (size_t i = 0; i < 2; i++) {
        struct hl_ingest *ingest = NULL;
        struct hl_ingest_result result;
        p->record->n = 0; /* the second is as new as the first */
        p->record->n_overlays = 0;
        assert_int_equal(
            hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", syntaxes[i], &ingest, &result),
            HILUM_OK);
        hl_ingest_data(ingest, bytes[i].data, bytes[i].len);
        assert_int_equal(hl_ingest_end(ingest, &result), HILUM_OK);
        p->record->overlays[0] = (struct hl_overlay){.tag = 0x00100010, .text = "王^小东"};
        p->record->n_overlays = 1;
        outgoing_take(p, 1, &left[i]);
    }
    inflate_all(&left[1], &inflated);
    assert_true(contains(&inflated, "王^小东"));
    assert_int_equal(inflated.len, left[0].len);
    assert_memory_equal(inflated.data, left[0].data, inflated.len);
    for (size_t i = 0; i < 2; i++) {
        hl_buf_fini(&bytes[i]);
        hl_buf_fini(&left[i]);
    }
    hl_buf_fini(&plain);
    hl_buf_fini(&inflated);
}

static void overlay__of_a_damaged_deflated_object_is_refused(void **state)
{
    struct pipeline *p = *state;
    struct hl_inflated *inflated = NULL;
    struct hl_outgoing *outgoing = NULL;
    struct hl_ingest_result result;
    struct hl_buf plain = {0};
    uint8_t piece[512];
    size_t n = 0;
    image_bytes(1, "1.2.3", &plain); /* no deflated stream at all */
    assert_int_equal(dataset_send(p, "1.2.3", &plain, &result), HILUM_OK);
    assert_int_equal(hl_outgoing_open(p->store, 1, 0, &outgoing), HILUM_OK);
    assert_int_equal(hl_inflated_new(outgoing, &inflated), HILUM_OK);
    assert_int_equal(hl_inflated_next(inflated, piece, sizeof piece, &n), HILUM_ECORRUPT);
    assert_int_equal(hl_inflated_read(inflated, 100000, piece, 1), HILUM_ECORRUPT);
    hl_inflated_free(inflated);
    hl_outgoing_close(outgoing);
    hl_buf_fini(&plain);
}

/* Where the last bytes of output wait in zlib when all input is taken, the stream is whole all the same. */
static void deflated__is_read_to_its_end_in_any_pieces(void **state)
{
    struct pipeline *p = *state;
    for (unsigned zeros = 1000; zeros < 1400; zeros += 2) {
        struct hl_buf plain = {0}, deflated = {0};
        struct hl_ingest *ingest = NULL;
        struct hl_ingest_result result;
        put_text(&plain, 0x00080016, "UI", CT_IMAGE);
        put_text(&plain, 0x00080018, "UI", "1.2.3 ");
        put_text(&plain, 0x0020000D, "UI", "1.2 ");
        put_text(&plain, 0x0020000E, "UI", "1.2.1 ");
        put_head(&plain, 0xFFFCFFFC, "OB", zeros, false);
        for (unsigned i = 0; i < zeros; i++)
            hl_buf_byte(&plain, 0);
        deflate_all(&plain, &deflated);
        p->record->n = 0;
        assert_int_equal(
            hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", DEFLATED, &ingest, &result),
            HILUM_OK);
        hl_ingest_data(ingest, deflated.data, deflated.len);
        assert_int_equal(hl_ingest_end(ingest, &result), HILUM_OK);
        uint8_t *got = malloc(plain.len + 100);
        for (size_t behind = 1; behind < 10; behind += 4) {
            struct hl_outgoing *outgoing = NULL;
            struct hl_inflated *inflated = NULL;
            size_t n = 0;
            assert_int_equal(hl_outgoing_open(p->store, 1, 0, &outgoing), HILUM_OK);
            assert_int_equal(hl_inflated_new(outgoing, &inflated), HILUM_OK);
            assert_int_equal(hl_inflated_next(inflated, got, plain.len - behind, &n), HILUM_OK);
            assert_int_equal(n, plain.len - behind);
            if (hl_inflated_next(inflated, got + n, behind + 100, &n) != HILUM_OK)
                fail_msg("%u zeros, %zu from the end: %s", zeros, behind, hl_error());
            assert_int_equal(n, behind);
            assert_memory_equal(got, plain.data, plain.len);
            hl_inflated_free(inflated);
            hl_outgoing_close(outgoing);
        }
        free(got);
        hl_buf_fini(&plain);
        hl_buf_fini(&deflated);
    }
}

/* Text in sequences keeps its bytes; the character set must not change over its head, in implicit VR either. */
static void overlay__leaves_the_character_set_of_nested_text(void **state)
{
    struct pipeline *p = *state;
    static const char nested[] = "Gr\xE4\xF6\xDF"
                                 "e ";
    struct hl_buf bytes = {0}, got = {0};
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    put_implicit(&bytes, 0x00080005, "ISO_IR 100");
    put_implicit(&bytes, 0x00080016, CT_IMAGE);
    put_implicit(&bytes, 0x00080018, "1.2.3 ");
    put_tag(&bytes, 0x00081140, false);
    put32(&bytes, 8 + 8 + (uint32_t)strlen(nested), false);
    put_item(&bytes, 0xFFFEE000, 8 + (uint32_t)strlen(nested));
    put_implicit(&bytes, 0x00081030, nested);
    put_implicit(&bytes, 0x00100010, "M\xFCller");
    put_implicit(&bytes, 0x0020000D, "1.2 ");
    put_implicit(&bytes, 0x0020000E, "1.2.1 ");
    assert_int_equal(hl_ingest_begin(p->store, &p->source, CT_IMAGE, "1.2.3", "1.2.840.10008.1.2",
                                     &ingest, &result),
                     HILUM_OK);
    hl_ingest_data(ingest, bytes.data, bytes.len);
    assert_int_equal(hl_ingest_end(ingest, &result), HILUM_OK);
    p->record->overlays[0] = (struct hl_overlay){.tag = 0x00100010, .text = "王^小东"};
    p->record->n_overlays = 1;
    outgoing_take(p, 1, &got);
    assert_true(contains(&got, nested));
    assert_false(contains(&got, "ISO_IR 192"));
    hl_buf_fini(&bytes);
    hl_buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rule__rejecting_gives_0124_with_a_reference),
        TEST(rule__deferring_gives_a700),
        TEST(rule__holding_stores_and_flags),
        TEST(rule__discarding_answers_success_keeps_nothing_and_is_audited),
        TEST(rule__planning_writes_its_plan_with_the_row),
        TEST(rule__editing_changes_what_is_stored_and_tells_what_was),
        TEST(rule__editing_a_uid_is_denied),
        TEST(rule__compressing_does_not_sync_what_it_leaves),
        TEST(overlay__reaches_what_leaves_and_pixels_stay),
        TEST(overlay__reaches_a_deflated_object_too),
        TEST(overlay__of_a_damaged_deflated_object_is_refused),
        TEST(deflated__is_read_to_its_end_in_any_pieces),
        TEST(overlay__leaves_the_character_set_of_nested_text),
    };
    return cmocka_run_group_tests_name("ingest_rules", tests, NULL, NULL);
}
