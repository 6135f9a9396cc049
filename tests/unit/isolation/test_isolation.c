/* A plugin in workers works as one in process does, harms one call and nobody else, and cannot leave its jail.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/plugin/plugin.h"
#include "hilum/operator.h"
#include "hilum/renderer.h"
#include "hilum/report.h"
#include "tests/unit/isolation/bench.h"

enum { SIDE = 64, PIXELS = SIDE * SIDE };

static const struct hilum_codec *codec;
static void *instance;

static void bring_up(const char *name, const char *extra)
{
    bench_bring_up(name, extra);
    codec = hl_plugins_codec_for(plugins, "1.2.3.4", HILUM_CODEC_DECODES, 0, &instance);
}

static void assert_listed(const char *part)
{
    struct hl_buf json = {0};
    hl_plugins_list(plugins, &json);
    if (!strstr(hl_buf_str(&json), part))
        fail_msg("\"%s\" is not in %s", part, hl_buf_str(&json));
    hl_buf_fini(&json);
}

#define ISOLATED "isolation = \"process\"; "

/* ---- calls ---- */

static const struct hilum_frame frame = {.size = sizeof frame,
                                         .columns = SIDE,
                                         .rows = SIDE,
                                         .samples = 1,
                                         .bits_allocated = 8,
                                         .bits_stored = 8,
                                         .photometric = HILUM_PHOTO_MONOCHROME2};

/* In two fragments, as PS3.5 A.4 allows. */
static const struct hilum_decode *wish; /* NULL: the whole frame */
static hilum_rc decode(const char *word, unsigned char *dst, struct hilum_frame *out)
{
    unsigned char stream[PIXELS];
    memset(stream, ' ', sizeof stream);
    memcpy(stream, word, strlen(word));
    const struct hilum_fragment fragments[] = {{stream, 1000}, {stream + 1000, PIXELS - 1000}};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 2,
                                      .fragments = fragments,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &frame};
    *out = (struct hilum_frame){.size = sizeof *out};
    memset(dst, 0, PIXELS);
    return codec->decode(instance, &coded, wish, dst, PIXELS, out);
}

static void assert_works(void)
{
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    hilum_rc rc = decode("work", pixels, &out);
    if (rc != HILUM_OK)
        fail_msg("a good call: %s: %s", hl_rc_name(rc), hl_error());
    assert_int_equal(pixels[0], (unsigned char)~'w');
    assert_int_equal(pixels[PIXELS - 1], (unsigned char)~' ');
    assert_int_equal(out.rows, SIDE);
}

static void assert_costs_one_call(const char *word, hilum_rc expected, const char *reason)
{
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    hilum_rc rc = decode(word, pixels, &out);
    if (rc != expected || !strstr(hl_error(), reason))
        fail_msg("%s: %s: %s; expected %s with \"%s\"", word, hl_rc_name(rc), hl_error(),
                 hl_rc_name(expected), reason);
    assert_works();
}

static void isolated__codec_answers_as_in_process(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED "options = { greeting = \"good day\"; number = 5; };");
    assert_non_null(codec);
    assert_works();
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    if (decode("table", pixels, &out) != HILUM_OK)
        fail_msg("%s: see core/worker/table.c", hl_error());
    struct hilum_frame seen = {.size = sizeof seen};
    struct hilum_code_info about = {.size = sizeof about, .frame = &seen};
    const struct hilum_fragment fragment = {"options ", 8};
    const struct hilum_coded coded = {.size = sizeof coded,
                                      .n_fragments = 1,
                                      .fragments = &fragment,
                                      .transfer_syntax = "1.2.3.4",
                                      .declared = &frame};
    assert_int_equal(codec->info(instance, &coded, &about), HILUM_OK);
    assert_int_equal(about.levels, 5);
    assert_int_equal(about.layers, 1);
    assert_int_equal(about.tile_width, 8);
    assert_ptr_equal(about.frame, &seen);
    assert_int_equal(seen.columns, SIDE);
}

struct collected {
    unsigned char bytes[PIXELS];
    size_t n;
};

static hilum_rc collect(void *ctx, const void *bytes, uint64_t n)
{
    struct collected *collected = ctx;
    assert_true(n <= sizeof collected->bytes - collected->n);
    memcpy(collected->bytes + collected->n, bytes, n);
    collected->n += n;
    return HILUM_OK;
}

static void isolated__codec_encodes(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS] = {1, 2, 3};
    struct collected collected = {.n = 0};
    struct hilum_sink sink = {.size = sizeof sink, .write = collect, .ctx = &collected};
    struct hilum_encoded done = {.size = sizeof done};
    struct hilum_encode wanted = {.size = sizeof wanted, .transfer_syntax = "1.2.3.4"};
    bring_up("hostile", ISOLATED);
    assert_int_equal(codec->encode(instance, &frame, pixels, PIXELS, &wanted, &sink, &done),
                     HILUM_OK);
    assert_int_equal(collected.n, PIXELS);
    assert_int_equal(collected.bytes[1], 253);
    assert_string_equal(done.method, "ISO_TEST");
    assert_int_equal(done.is_lossy, 1);
    wanted.transfer_syntax = "1.2.3.5";
    assert_int_equal(codec->encode(instance, &frame, pixels, PIXELS, &wanted, &sink, &done),
                     HILUM_EUNSUP);
    assert_string_equal(hl_error(), "another syntax");
}

static void isolated__operator_answers_as_in_process(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *self;
    unsigned char pixels[2][PIXELS] = {{0}, {7}}, dst[2 * PIXELS];
    struct hilum_frame out = {.size = sizeof out};
    const struct hilum_image in[] = {{.size = sizeof *in, .frame = &frame, .pixels = pixels[0]},
                                     {.size = sizeof *in, .frame = &frame, .pixels = pixels[1]}};
    bring_up("hostile", ISOLATED);
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_OPERATOR, "wide", &cap, &self),
                     HILUM_OK);
    const struct hilum_operator *op = (const struct hilum_operator *)(const void *)cap;
    assert_string_equal(op->title, "Wide");
    assert_int_equal(op->n_inputs, 2);
    assert_int_equal(op->plan(self, "{}", &frame, &out), HILUM_OK);
    assert_int_equal(out.columns, 2 * SIDE);
    assert_int_equal(op->apply(self, "{}", in, 2, dst, sizeof dst), HILUM_OK);
    assert_int_equal(dst[0], 248);
    assert_int_equal(dst[1], 248);
    assert_int_equal(dst[2], 255);
    assert_int_equal(op->plan(self, "bad", &frame, &out), HILUM_EINVAL);
    assert_string_equal(hl_error(), "parameters: expected good ones");
    assert_int_equal(op->plan(self, "impossible", &frame, &out), HILUM_EINTERNAL);
    assert_int_equal(op->apply(self, "null", in, 2, dst, sizeof dst), HILUM_EINTERNAL);
    assert_int_equal(op->apply(self, "{}", in, 2, dst, sizeof dst), HILUM_OK);
    hl_plugins_unpin(plugins, cap);
}

static struct hl_buf document;

static hilum_rc add(void *ctx, const void *bytes, uint64_t n)
{
    hl_buf_add(ctx, bytes, n);
    return HILUM_OK;
}

/* More than one message holds. */
static hilum_rc attachment(void *ctx, const char *name, const char *media_type,
                           struct hilum_sink *out)
{
    static const char bytes[100000] = {'b', 'y', 't', 'e'};
    (void)ctx;
    assert_string_equal(name, "image:1");
    assert_string_equal(media_type, "image/png");
    return out->write(out->ctx, bytes, sizeof bytes);
}

static hilum_rc no_style(void *ctx, const char *name, struct hilum_sink *out)
{
    (void)ctx;
    (void)out;
    return hl_fail(HILUM_ENOTFOUND, "no style %s", name);
}

static const struct hilum_report_source source = {
    .size = sizeof source, .attachment = attachment, .style = no_style};

static void isolated__report_reads_its_source_from_here(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *self;
    struct hilum_sink sink = {.size = sizeof sink, .write = add, .ctx = &document};
    bring_up("hostile", ISOLATED "limits = { crashes = 100; };");
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_REPORT, "echo", &cap, &self), HILUM_OK);
    const struct hilum_report *report = (const struct hilum_report *)(const void *)cap;
    assert_string_equal(report->media_type, "text/plain");
    assert_null(report->sop_class);
    assert_int_equal(report->write(self, "image", 5, &source, &sink), HILUM_OK);
    assert_int_equal(document.len, 100005);
    assert_memory_equal(document.data, "imagebyte", 9);
    hl_buf_clear(&document);
    assert_int_equal(report->parse(self, "abcdef", 6, &sink), HILUM_OK);
    assert_int_equal(document.len, 3);
    /* What its source answers is the plugin's to deal with. */
    assert_int_equal(report->write(self, "style", 5, &source, &sink), HILUM_ENOTFOUND);
    assert_string_equal(hl_error(), "no style plain");
    assert_int_equal(report->write(self, "endless", 7, &source, &sink), HILUM_EFULL);
    assert_int_equal(report->write(self, "null", 4, &source, &sink), HILUM_EINTERNAL);
    hl_buf_clear(&document);
    assert_int_equal(report->write(self, "again", 5, &source, &sink), HILUM_OK);
    assert_int_equal(document.len, 5);
    hl_buf_fini(&document);
    hl_plugins_unpin(plugins, cap);
}

/* A series of three frames of 64 KiB, more than one message holds. */
static const struct hilum_frame large = {.size = sizeof large,
                                         .columns = 256,
                                         .rows = 256,
                                         .samples = 1,
                                         .bits_allocated = 8,
                                         .bits_stored = 8};

static hilum_rc slice_describe(void *ctx, uint32_t i, struct hilum_slice *out)
{
    (void)ctx;
    (void)i;
    out->sop_instance = "1.2.3";
    out->unit = "HU";
    out->frame = &large;
    return HILUM_OK;
}

static hilum_rc slice_read(void *ctx, uint32_t i, void *dst, uint64_t n)
{
    (void)ctx;
    assert_int_equal(n, 256 * 256);
    memset(dst, (int)i + 7, n);
    return HILUM_OK;
}

static const char *slice_text(void *ctx, uint32_t i, const char *path)
{
    (void)ctx;
    (void)i;
    return strcmp(path, "PatientID") == 0 ? "P1" : NULL;
}

static const struct hilum_renderer *renderer;
static void *renderer_self;

static hilum_rc draw(void *scene, const char *mode, uint32_t slice)
{
    struct hilum_sink sink = {.size = sizeof sink, .write = add, .ctx = &document};
    const struct hilum_view view = {
        .size = sizeof view, .width = 11, .slice = slice, .mode = mode, .media_type = "text/plain"};
    struct hilum_rendered done = {.size = sizeof done};
    hl_buf_clear(&document);
    hilum_rc rc = renderer->render(renderer_self, scene, &view, &sink, &done);
    if (rc == HILUM_OK)
        assert_int_equal(done.width, 11);
    return rc;
}

static void isolated__renderer_opens_its_scene_again_after_a_crash(void **state)
{
    (void)state;
    const struct hilum_cap *cap;
    void *scene, *other, *none;
    struct hilum_source series = {.size = sizeof series,
                                  .n_slices = 3,
                                  .study_uid = "1",
                                  .series_uid = "1.2",
                                  .modality = "CT",
                                  .describe = slice_describe,
                                  .read = slice_read,
                                  .text = slice_text};
    struct hilum_sink sink = {.size = sizeof sink, .write = add, .ctx = &document};
    bring_up("hostile", ISOLATED "limits = { crashes = 100; workers = 2; };");
    assert_int_equal(hl_plugins_acquire(plugins, HILUM_CAP_RENDERER, "pixel", &cap, &renderer_self),
                     HILUM_OK);
    renderer = (const struct hilum_renderer *)(const void *)cap;
    assert_int_equal(renderer->open(renderer_self, &series, &scene), HILUM_OK);
    assert_int_equal(renderer->open(renderer_self, &series, &other), HILUM_OK);
    assert_int_equal(draw(scene, "flat", 2), HILUM_OK);
    assert_string_equal(hl_buf_str(&document), "9 1.2.3 P1 HU 1");
    assert_int_equal(draw(scene, "flat", 0), HILUM_OK);
    assert_string_equal(hl_buf_str(&document), "7 1.2.3 P1 HU 2");
    assert_int_equal(draw(scene, "greedy", 0), HILUM_EINVAL);
    assert_int_equal(draw(scene, "null", 0), HILUM_EINTERNAL);
    /* A new scene of the same series: it has drawn nothing yet. */
    assert_int_equal(draw(scene, "flat", 0), HILUM_OK);
    assert_string_equal(hl_buf_str(&document), "7 1.2.3 P1 HU 1");
    assert_int_equal(draw(other, "flat", 1), HILUM_OK);
    assert_int_equal(draw(scene, "flat", 3), HILUM_EINVAL);
    hl_buf_clear(&document);
    assert_int_equal(renderer->query(renderer_self, scene, "{}", &sink), HILUM_OK);
    assert_string_equal(hl_buf_str(&document), "{}");
    assert_int_equal(draw(other, "exit", 0), HILUM_EINTERNAL);
    renderer->close(renderer_self, other);
    renderer->close(renderer_self, scene);
    series.modality = "US";
    assert_int_equal(renderer->open(renderer_self, &series, &none), HILUM_EUNSUP);
    assert_string_equal(hl_error(), "no ultrasound");
    hl_buf_fini(&document);
    hl_plugins_unpin(plugins, cap);
}

static int32_t notify(const char *word, const char *modality, size_t *steps)
{
    struct hl_verdict verdict;
    hilum_event *event = hl_event_new("instance.stored");
    hl_event_set_text(event, "harm", word);
    hl_event_set_text(event, "Modality", modality);
    hl_event_set_int(event, "size", 77);
    hl_bus_dispatch(bus, event, HILUM_NOTIFY, &verdict);
    *steps = hl_event_plan_count(event);
    hl_event_free(event);
    return verdict.verdict;
}

static void isolated__notify_hook_asks_for_its_event(void **state)
{
    (void)state;
    size_t steps;
    bring_up("hostile", ISOLATED "limits = { crashes = 100; };");
    assert_int_equal(notify("work", "CT", &steps), HILUM_PASS);
    assert_int_equal(steps, 1);
    /* Matched here: the worker is not woken for what nobody wants. */
    assert_int_equal(notify("null", "MR", &steps), HILUM_PASS);
    assert_int_equal(steps, 0);
    assert_int_equal(notify("edit", "CT", &steps), HILUM_EDENIED);
    assert_int_equal(notify("null", "CT", &steps), HILUM_EINTERNAL);
    assert_int_equal(steps, 0);
    assert_int_equal(notify("work", "CT", &steps), HILUM_PASS);
    assert_int_equal(steps, 1);
}

/* ---- harm ---- */

#define PATIENT "limits = { crashes = 100; deadline = \"1s\"; workers = 2; };"

static void harm__costs_one_call(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED PATIENT);
    /* Sanitisers turn signals into an exit of their own. */
    assert_costs_one_call("null", HILUM_EINTERNAL, "its worker ended by");
    assert_costs_one_call("loop", HILUM_ETIMEDOUT, "took longer than 1000 ms");
    assert_costs_one_call("fork", HILUM_EINTERNAL, "tried what no worker may");
    assert_costs_one_call("exec", HILUM_EINTERNAL, "tried what no worker may");
    assert_costs_one_call("destructor", HILUM_EINTERNAL, "its worker ended by");
    assert_costs_one_call("exit", HILUM_EINTERNAL, "ended by itself with status 3");
    assert_costs_one_call("close", HILUM_EINTERNAL, "its worker");
    assert_costs_one_call("nonsense", HILUM_EINTERNAL, "no message");
    assert_costs_one_call("lie", HILUM_EINTERNAL, "a frame that does not fit its memory");
    assert_int_equal(n_crashed, 9);
    assert_int_equal(n_quarantined, 0);
}

static void work__for_nobody_ends_without_blame(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    wish = &(struct hilum_decode){.size = sizeof *wish, .go_on = nobody_waits};
    bring_up("hostile", ISOLATED "limits = { deadline = \"100s\"; };");
    assert_int_equal(decode("loop", pixels, &out), HILUM_ECANCELLED);
    wish = NULL;
    assert_works();
    assert_int_equal(n_crashed, 0);
}

/* 0, 100, 200, 400 ms: whoever crashes all the time does not keep the machine busy with starting it. */
static void harm__in_a_row_is_started_again_later_and_later(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    bring_up("hostile", ISOLATED "limits = { crashes = 100; deadline = \"20s\"; workers = 1; };");
    int64_t begun = hl_mono_ms();
    for (int i = 0; i < 4; i++)
        assert_int_equal(decode("exit", pixels, &out), HILUM_EINTERNAL);
    int64_t after = hl_mono_ms();
    assert_true(after - begun >= 300);
    assert_works();
    assert_true(hl_mono_ms() - after >= 390);
    begun = hl_mono_ms(); /* a good call ends the row */
    assert_int_equal(decode("exit", pixels, &out), HILUM_EINTERNAL);
    assert_works();
    assert_true(hl_mono_ms() - begun < 790); /* of five in a row */
}

static void harm__tickets_and_tables_of_others_are_out_of_reach(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED PATIENT);
    assert_costs_one_call("settle", HILUM_EUNSUP, "no ticket for me");
    assert_costs_one_call("tables", HILUM_EDENIED, "no table for me");
    assert_int_equal(n_crashed, 0);
}

static void assert_metric(const char *line)
{
    struct hl_buf text = {0};
    hl_plugins_metrics(plugins, &text);
    if (!strstr(hl_buf_str(&text), line))
        fail_msg("\"%s\" is not in %s", line, hl_buf_str(&text));
    hl_buf_fini(&text);
}

static void isolated__counts_as_in_process(void **state)
{
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    for (int i = 0; i < 2; i++) {
        bring_up("hostile", i ? "trust = \"in-process\"; " : ISOLATED PATIENT);
        assert_int_equal(decode("count", pixels, &out), HILUM_OK);
        assert_metric("# HELP hilum_plugin_hostile_calls_total Calls that count.\n"
                      "# TYPE hilum_plugin_hostile_calls_total counter\n"
                      "hilum_plugin_hostile_calls_total{word=\"a \\\"word\\\"\"} 3\n");
        assert_metric("hilum_plugin_hostile_sizes_bucket{le=\"0.1\"} 0\n"
                      "hilum_plugin_hostile_sizes_bucket{le=\"1\"} 1\n"
                      "hilum_plugin_hostile_sizes_bucket{le=\"+Inf\"} 1\n"
                      "hilum_plugin_hostile_sizes_sum 0.5\n");
        assert_metric("hilum_plugins_running{plugin=\"hostile\"} 1\n");
        assert_metric("hilum_plugins_call_seconds_count{plugin=\"hostile\"} 1\n");
        if (i == 0) { /* a new worker counts on */
            assert_int_equal(decode("null", pixels, &out), HILUM_EINTERNAL);
            assert_int_equal(decode("count", pixels, &out), HILUM_OK);
            assert_metric("hilum_plugins_errors_total{plugin=\"hostile\"} 1\n");
            assert_metric("hilum_plugins_crashes_total{plugin=\"hostile\"} 1\n");
            assert_metric("_total{word=\"a \\\"word\\\"\"} 6\n");
            teardown(state);
            setup(state);
        }
    }
}

static void isolated__has_programs_run_by_the_server(void **state)
{
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    (void)state;
    bring_up("hostile", ISOLATED PATIENT "programs = ( \"/bin/sh\" );");
    if (decode("child", pixels, &out) != HILUM_OK)
        fail_msg("%s", hl_error());
    /* The call's deadline is the child's too, and the plugin lives to tell. */
    assert_costs_one_call("sleeper", HILUM_ETIMEDOUT, "/bin/sh: is not done in time");
    assert_int_equal(n_crashed, 0);
}

static void harm__talking_for_ever_ends_at_the_deadline(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED PATIENT);
    assert_costs_one_call("flood", HILUM_ETIMEDOUT, "took longer than 1000 ms");
}

static void harm__64_gigabytes_are_not_to_be_had(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    bring_up("hostile", ISOLATED PATIENT);
    /* ENOMEM, or the end of the worker where a sanitiser finds that too much. */
    assert_int_not_equal(decode("malloc", pixels, &out), HILUM_OK);
    assert_works();
}

static void harm__leak_ends_at_the_limit(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    int calls = 0;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    print_message("skipped: a sanitiser's address space cannot be limited\n");
    skip();
#endif
    bring_up("hostile", ISOLATED "limits = { crashes = 100; memory = \"512MiB\"; workers = 1; };");
    while (decode("leak", pixels, &out) == HILUM_OK && calls < 20)
        calls++;
    assert_in_range(calls, 2, 8);
    /* The worker that leaked is gone, so there is room again. */
    assert_int_equal(decode("leak", pixels, &out), HILUM_OK);
    assert_works();
}

static void harm__a_thread_left_running_is_found(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    bring_up("hostile", ISOLATED "limits = { crashes = 100; workers = 1; };");
    assert_int_equal(decode("thread", pixels, &out), HILUM_OK);
    for (int64_t end = hl_mono_ms() + 20000; hl_mono_ms() < end;) {
        struct hl_buf json = {0};
        hl_plugins_list(plugins, &json);
        bool is_found = strstr(hl_buf_str(&json), "went on computing after its call") != NULL;
        hl_buf_fini(&json);
        if (is_found)
            break;
        usleep(20000);
    }
    assert_listed("went on computing after its call");
    assert_works();
}

static void harm__babble_neither_blocks_nor_floods(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED PATIENT);
    assert_works();
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    /* Lines that find no room are dropped; the call is answered. */
    assert_int_equal(decode("babble", pixels, &out), HILUM_OK);
    assert_works();
}

static void harm__quarantine_is_told_and_lasts(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    bring_up("hostile", ISOLATED "limits = { crashes = 3; };");
    for (int i = 0; i < 3; i++)
        assert_int_equal(decode("null", pixels, &out), HILUM_EINTERNAL);
    assert_int_equal(decode("work", pixels, &out), HILUM_ECLOSED);
    assert_non_null(strstr(hl_error(), "in quarantine after 3 crashes or more within 10 minutes"));
    assert_non_null(strstr(hl_error(), "hilum plugin enable hostile"));
    assert_int_equal(n_crashed, 3);
    assert_int_equal(n_quarantined, 1);
    assert_listed("\"quarantined\":true");
    assert_int_equal(hl_plugins_enable(plugins, "hostile"), HILUM_OK);
    assert_works();
}

/* Whoever sends damaged frames must not take the codec away from those who send good ones. */
static void harm__a_few_among_many_are_no_quarantine(void **state)
{
    (void)state;
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    bring_up("hostile", ISOLATED "limits = { crashes = 3; };");
    for (int i = 0; i < 60; i++)
        if (i % 12 == 11)
            assert_int_equal(decode("null", pixels, &out), HILUM_EINTERNAL);
        else
            assert_works();
    assert_int_equal(n_crashed, 5);
    assert_int_equal(n_quarantined, 0);
}

static void harm__before_the_first_call_skips_the_plugin(void **state)
{
    (void)state;
    bring_up("hostile-constructor", ISOLATED);
    assert_null(codec);
    assert_listed("in loading its worker ended by");
    teardown(state);
    setup(state);
    bring_up("hostile-init", ISOLATED);
    assert_null(codec);
    assert_listed("in init its worker ended by");
}

static void harm__at_the_end_is_only_told(void **state)
{
    (void)state;
    bring_up("hostile-fini", ISOLATED);
    assert_works();
}

static void harm__calls_after_fini_reach_nobody(void **state)
{
    (void)state;
    bring_up("hostile-late", ISOLATED);
    assert_non_null(codec);
    int64_t began = hl_mono_ms();
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_in_range(hl_mono_ms() - began, 0, 20000);
}

static void store__cannot_be_isolated(void **state)
{
    (void)state;
    bring_up("hostile-store", ISOLATED);
    assert_listed("a store cannot run in a process of its own");
}

/* ---- the jail ---- */

static void jail__no_sockets_files_processes(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED PATIENT);
    assert_costs_one_call("socket", HILUM_EDENIED, "no socket for me");
    assert_costs_one_call("read", HILUM_EDENIED, "no file for me");
    assert_costs_one_call("write", HILUM_EDENIED, "no file for me");
    assert_costs_one_call("kill", HILUM_EDENIED, "");
    assert_costs_one_call("shrink", HILUM_EDENIED, "");
    assert_int_equal(n_crashed, 0);
}

static void jail__a_granted_folder_is_read(void **state)
{
    (void)state;
    char path[128], extra[256];
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    snprintf(path, sizeof path, "%s/profile", directory);
    fclose(fopen(path, "w"));
    snprintf(extra, sizeof extra,
             ISOLATED "limits = { read = ( \"%s\" ); }; options = { greeting = \"%s\"; };",
             directory, path);
    bring_up("hostile", extra);
    assert_int_equal(decode("granted", pixels, &out), HILUM_OK);
}

/* The number of the only worker, from the list. */
static int worker_pid(void)
{
    struct hl_buf json = {0};
    hl_plugins_list(plugins, &json);
    const char *at = strstr(hl_buf_str(&json), "\"workers\":[");
    int pid = at ? atoi(at + strlen("\"workers\":[")) : 0;
    hl_buf_fini(&json);
    assert_true(pid > 0);
    return pid;
}

static void read_proc(int pid, const char *what, char *out, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (fd >= 0)
        close(fd);
    assert_true(n > 0);
    out[n] = '\0';
}

/* Writable is the socket and memory shared for this purpose, nothing on any disk. */
static void count_descriptor(int pid, const char *name, int *sockets)
{
    char what[64], link[64], target[128], info[512];
    snprintf(what, sizeof what, "fdinfo/%s", name);
    read_proc(pid, what, info, sizeof info);
    snprintf(link, sizeof link, "/proc/%d/fd/%s", pid, name);
    ssize_t n = readlink(link, target, sizeof target - 1);
    assert_true(n > 0);
    target[n] = '\0';
    long flags = strtol(strstr(info, "flags:") + 6, NULL, 8);
    bool is_socket = strncmp(target, "socket:", 7) == 0;
    *sockets += is_socket;
    if ((flags & O_ACCMODE) != O_RDONLY && !is_socket)
        assert_non_null(strstr(target, "/memfd:hilum-"));
}

static void jail__as_the_kernel_sees_it(void **state)
{
    (void)state;
    char text[4096];
    int sockets = 0;
    bring_up("hostile", ISOLATED "limits = { workers = 1; };");
    assert_works();
    int pid = worker_pid();
    read_proc(pid, "status", text, sizeof text);
    assert_non_null(strstr(text, "Seccomp:\t2"));
    assert_non_null(strstr(text, "NoNewPrivs:\t1"));
    assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
    assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
    snprintf(text, sizeof text, "/proc/%d/fd", pid);
    DIR *dir = opendir(text);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            count_descriptor(pid, entry->d_name, &sockets);
    closedir(dir);
    assert_int_equal(sockets, 1);
}

static void jail__workers_end_with_the_host(void **state)
{
    (void)state;
    bring_up("hostile", ISOLATED "limits = { workers = 1; };");
    assert_works();
    int pid = worker_pid();
    hl_plugins_drain(plugins, 1000);
    hl_plugins_close(plugins);
    plugins = NULL;
    assert_int_equal(kill(pid, 0), -1);
}

/* ---- many at once ---- */

static void *call_often(void *arg)
{
    unsigned char pixels[PIXELS];
    struct hilum_frame out;
    int *good = arg;
    for (int i = 0; i < 40; i++)
        if (i % 10 == 9)
            decode("null", pixels, &out);
        else
            *good += decode("work", pixels, &out) == HILUM_OK && pixels[0] == (unsigned char)~'w';
    return NULL;
}

static void load__others_lose_nothing(void **state)
{
    (void)state;
    pthread_t threads[4];
    int good[4] = {0};
    bring_up("hostile", ISOLATED "limits = { crashes = 100; workers = 3; };");
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, call_often, &good[i]);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(good[i], 36);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(isolated__codec_answers_as_in_process),
        T(isolated__codec_encodes),
        T(isolated__operator_answers_as_in_process),
        T(isolated__report_reads_its_source_from_here),
        T(isolated__renderer_opens_its_scene_again_after_a_crash),
        T(isolated__notify_hook_asks_for_its_event),
        T(harm__costs_one_call),
        T(work__for_nobody_ends_without_blame),
        T(harm__in_a_row_is_started_again_later_and_later),
        T(harm__tickets_and_tables_of_others_are_out_of_reach),
        T(isolated__counts_as_in_process),
        T(isolated__has_programs_run_by_the_server),
        T(harm__talking_for_ever_ends_at_the_deadline),
        T(harm__64_gigabytes_are_not_to_be_had),
        T(harm__leak_ends_at_the_limit),
        T(harm__a_thread_left_running_is_found),
        T(harm__babble_neither_blocks_nor_floods),
        T(harm__quarantine_is_told_and_lasts),
        T(harm__a_few_among_many_are_no_quarantine),
        T(harm__before_the_first_call_skips_the_plugin),
        T(harm__at_the_end_is_only_told),
        T(harm__calls_after_fini_reach_nobody),
        T(store__cannot_be_isolated),
        T(jail__no_sockets_files_processes),
        T(jail__a_granted_folder_is_read),
        T(jail__as_the_kernel_sees_it),
        T(jail__workers_end_with_the_host),
        T(load__others_lose_nothing),
    };
    if (!has_landlock()) {
        printf("skipped: this kernel has no Landlock, without which isolation = \"process\" "
               "refuses to start\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
