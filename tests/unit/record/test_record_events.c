/* Journal, plans, jobs, lanes, references, key-value, explain. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/bus/bus.h"
#include "core/record/record_private.h"
#include "tests/unit/record/fixture.h"

struct seen {
    unsigned n;
    int64_t ids[64], instance;
    char events[512], failed[128], lane[64], type[32], arguments[256];
    unsigned attempts;
};

static hilum_rc see_entry(void *arg, const struct hl_journal_entry *entry)
{
    struct seen *seen = arg;
    size_t n = strlen(seen->events);
    seen->ids[seen->n++ % 64] = entry->id;
    seen->attempts = entry->attempts;
    snprintf(seen->failed, sizeof seen->failed, "%s", entry->failed);
    snprintf(seen->events + n, sizeof seen->events - n, "%s ", entry->event);
    return HILUM_OK;
}

static hilum_rc see_job(void *arg, const struct hl_job *job)
{
    struct seen *seen = arg;
    seen->ids[seen->n++ % 64] = job->id;
    seen->instance = job->instance_id;
    seen->attempts = job->attempts;
    snprintf(seen->lane, sizeof seen->lane, "%s", job->lane);
    snprintf(seen->type, sizeof seen->type, "%s", job->type);
    snprintf(seen->arguments, sizeof seen->arguments, "%s", job->arguments);
    return HILUM_OK;
}

static hilum_rc see_lane(void *arg, const char *lane)
{
    struct seen *seen = arg;
    size_t n = strlen(seen->events);
    snprintf(seen->events + n, sizeof seen->events - n, "%s ", lane);
    return HILUM_OK;
}

static struct seen due(struct fixture *f)
{
    struct seen seen = {0};
    assert_int_equal(hl_record_journal_due(f->record, 0, 64, see_entry, &seen), HILUM_OK);
    return seen;
}

static struct seen claim(struct fixture *f, const char *lane, unsigned limit)
{
    struct seen seen = {0};
    assert_int_equal(hl_record_jobs_claim(f->record, lane, limit, 60000, see_job, &seen), HILUM_OK);
    return seen;
}

static const char *lanes(struct fixture *f, int64_t *next)
{
    static struct seen seen;
    seen = (struct seen){0};
    assert_int_equal(hl_record_lanes_due(f->record, see_lane, &seen, next), HILUM_OK);
    return seen.events;
}

static void count_wake(void *arg)
{
    ++*(unsigned *)arg; /* read after hl_record_close, which ends the thread that counts */
}

static void stored_instance__is_due_until_done(void **state)
{
    struct fixture *f = *state;
    unsigned woken = 0;
    hl_record_on_journal(f->record, count_wake, &woken);
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    struct seen seen = due(f);
    assert_string_equal(seen.events, "study.created instance.stored ");
    for (unsigned i = 0; i < seen.n; i++)
        assert_int_equal(hl_record_journal_done(f->record, seen.ids[i], NULL, 0, 0), HILUM_OK);
    assert_int_equal(due(f).n, 0);
    hl_record_close(f->record);
    f->record = NULL;
    assert_int_equal(woken, 1);
}

static bool wants_studies(void *arg, const char *event)
{
    (void)arg;
    return strcmp(event, "study.created") == 0;
}

static void event__that_nobody_wants_is_kept_as_handled_and_wakes_nobody(void **state)
{
    struct fixture *f = *state;
    const char *study = "1.2.3";
    unsigned woken = 0;
    hl_record_on_journal(f->record, count_wake, &woken);
    hl_record_on_wanted(f->record, wants_studies, NULL);
    sample_store(f, sample_new(1, "00100020", "P1", "0020000D", study, NULL));
    struct seen seen = due(f);
    assert_string_equal(seen.events, "study.created ");
    assert_int_equal(woken, 1);
    assert_int_equal(
        sql_int(f, "SELECT count(*) FROM journal WHERE event = 'instance.stored' AND state = 1"),
        1);
    sample_store(f, sample_new(2, "00100020", "P1", "0020000D", study, NULL));
    assert_int_equal(woken, 1);
    hl_record_on_wanted(f->record, NULL, NULL);
    sample_store(f, sample_new(3, "00100020", "P1", "0020000D", study, NULL));
    assert_string_equal(due(f).events, "study.created instance.stored ");
}

static void appended_event__is_due_after_a_restart(void **state)
{
    struct fixture *f = *state;
    int64_t id = 0;
    assert_int_equal(hl_record_journal_append(f->record, "hl7.received", "1.2", "{\"a\":1}", &id),
                     HILUM_OK);
    hl_record_close(f->record);
    assert_int_equal(fixture_open(f), HILUM_OK);
    struct seen seen = due(f);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.ids[0], id);
}

static void failed_hook__loses_its_plan_and_is_named_for_the_retry(void **state)
{
    struct fixture *f = *state;
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    struct seen seen = due(f);
    const struct hl_plan_step step = {"site/a", 0, "send", "{\"to\":\"ARCHIVE\"}"};
    const struct hl_plan_step good = {"site/b", 0, "tag", "{\"label\":\"urgent\"}"};
    const struct hl_hook_result results[] = {{.hook = "site/a",
                                              .verdict = HILUM_EINTERNAL,
                                              .reason = "loop",
                                              .plan = &step,
                                              .n_plan = 1},
                                             {.hook = "site/b", .plan = &good, .n_plan = 1}};
    int64_t past = 1;
    assert_int_equal(hl_record_journal_done(f->record, seen.ids[1], results, 2, past), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job"), 0);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM label WHERE label = 'urgent'"), 1);
    seen = due(f);
    assert_int_equal(seen.n, 2);
    assert_string_equal(seen.failed, "site/a");
    assert_int_equal(seen.attempts, 1);
    int64_t later = hl_now_us() + 3600000000;
    assert_int_equal(hl_record_journal_done(f->record, seen.ids[1], results, 1, later), HILUM_OK);
    assert_int_equal(due(f).n, 1);
}

static void plan__written_twice_adds_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t instance = sample_store_id(f, sample_new(1, "00100020", "P1", NULL));
    struct seen seen = due(f);
    const struct hl_plan_step steps[] = {
        {"site/a", 0, "send", "{\"to\":\"ARCHIVE\",\"priority\":5}"},
        {"site/a", 1, "send", "{\"to\":\"WORKSTATION\"}"},
        {"site/a", 2, "compress", "{\"syntax\":\"x\"}"}};
    const struct hl_hook_result result = {.hook = "site/a", .plan = steps, .n_plan = 3};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(hl_record_journal_done(f->record, seen.ids[1], &result, 1, 0), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job"), 3);
    int64_t next;
    assert_string_equal(lanes(f, &next), "ARCHIVE WORKSTATION job:compress ");
    seen = claim(f, "ARCHIVE", 10);
    assert_int_equal(seen.n, 1);
    assert_string_equal(seen.type, "send");
    assert_int_equal(seen.instance, instance);
    assert_int_equal(seen.attempts, 1);
}

static void plan__that_makes_no_sense_is_einval_and_writes_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {"{}", "[]", "{\"to\":7}", "not json", "{\"to\":\"\"}"};
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    int64_t entry = due(f).ids[1];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct hl_plan_step steps[] = {{"r", 0, "send", "{\"to\":\"A\"}"},
                                             {"r", 1, "send", bad[i]}};
        const struct hl_hook_result result = {.hook = "r", .plan = steps, .n_plan = 2};
        assert_int_equal(hl_record_journal_done(f->record, entry, &result, 1, 0), HILUM_EINVAL);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM job"), 0);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM hook_trace"), 0);
}

static void filter_plan__is_written_with_the_instance(void **state)
{
    struct fixture *f = *state;
    const struct hl_plan_step step = {"routes/ct", 0, "send", "{\"to\":\"ARCHIVE\"}"};
    struct sample *sample = sample_new(1, "00100020", "P1", NULL);
    sample->row.plan = &step;
    sample->row.n_plan = 1;
    assert_int_equal(sample_store(f, sample), HL_OUTCOME_STORED);
    assert_int_equal(claim(f, "ARCHIVE", 1).n, 1);
}

static void claims__go_by_priority_then_age_and_lane(void **state)
{
    struct fixture *f = *state;
    int64_t ids[4];
    static const struct {
        const char *lane;
        int64_t due;
    } jobs[] = {{"A", 0}, {"A", 0}, {"B", 0}, {"A", INT64_C(1) << 60}};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(
            hl_record_job_add(f->record, "send", jobs[i].lane, 0, 0, "{}", jobs[i].due, &ids[i]),
            HILUM_OK);
    struct seen seen = claim(f, "A", 1);
    assert_int_equal(seen.ids[0], ids[0]);
    seen = claim(f, "A", 10);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.ids[0], ids[1]);
    int64_t next;
    assert_string_equal(lanes(f, &next), "B ");
    assert_true(next > 0);
}

static void lease__that_runs_out_makes_the_job_due_again(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    int64_t next;
    hl_record_job_add(f->record, "send", "A", 0, 0, "{}", 0, NULL);
    assert_int_equal(hl_record_jobs_claim(f->record, "A", 1, 0, see_job, &seen), HILUM_OK);
    assert_string_equal(lanes(f, &next), "A ");
    seen = claim(f, "A", 1);
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.attempts, 2);
}

static void job__that_fails_waits_or_is_failed_for_good(void **state)
{
    struct fixture *f = *state;
    int64_t id;
    hl_record_job_add(f->record, "send", "A", 0, 0, "{}", 0, &id);
    claim(f, "A", 1);
    struct hl_job_end end = {.id = id, .result = "refused", .retry_us = 1};
    assert_int_equal(hl_record_jobs_end(f->record, &end, 1), HILUM_OK);
    assert_int_equal(claim(f, "A", 1).n, 1);
    end.retry_us = 0;
    assert_int_equal(hl_record_jobs_end(f->record, &end, 1), HILUM_OK);
    assert_int_equal(claim(f, "A", 1).n, 0);
    assert_string_equal(due(f).events, "job.failed ");
    struct hl_buf json = {0};
    assert_int_equal(hl_record_jobs_list(f->record, "failed", 10, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "\"result\":\"refused\""));
    hl_buf_fini(&json);
    assert_int_equal(hl_record_job_retry(f->record, 0, "root"), HILUM_OK);
    assert_int_equal(claim(f, "A", 1).n, 1);
    end.is_done = true;
    assert_int_equal(hl_record_jobs_end(f->record, &end, 1), HILUM_OK);
    assert_int_equal(hl_record_job_retry(f->record, id, "root"), HILUM_ENOTFOUND);
}

static void job_groups__are_a_row_a_destination_and_study(void **state)
{
    struct fixture *f = *state;
    struct hl_buf json = {0};
    int64_t ids[3];
    for (unsigned i = 0; i < 3; i++)
        ids[i] = sample_store_id(f, sample_new(i, "00100020", "P1", "0020000D", "1.2", NULL));
    for (unsigned i = 0; i < 2; i++) {
        const struct hl_send_request request = {
            .to = i ? "B" : "A", .study_uid = "1.2", .who = "root", .instances = ids, .n = 3};
        assert_int_equal(hl_record_send_add(f->record, &request), HILUM_OK);
    }
    const struct hl_job_end end = {
        .id = claim(f, "A", 1).ids[0], .is_done = true, .result = "0000"};
    assert_int_equal(hl_record_jobs_end(f->record, &end, 1), HILUM_OK);
    assert_int_equal(hl_record_jobs_groups(f->record, NULL, 10, &json), HILUM_OK);
    static const char *const parts[] = {
        "{\"objects\":3,\"waiting\":3,\"bytes\":3000,", "\"lane\":\"B\"",
        "{\"objects\":3,\"waiting\":2,\"done\":1,\"bytes\":3000,", "\"lane\":\"A\""};
    for (size_t i = 0; i < 4; i++)
        if (!strstr(hl_buf_str(&json), parts[i]))
            fail_msg("%s not in %s", parts[i], hl_buf_str(&json));
    hl_buf_clear(&json);
    assert_int_equal(hl_record_jobs_groups(f->record, "done", 10, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "[{\"objects\":1,\"done\":1,"));
    hl_buf_fini(&json);
}

static void cancelled_job__is_not_claimed_and_stays_cancelled(void **state)
{
    struct fixture *f = *state;
    int64_t id;
    hl_record_job_add(f->record, "send", "A", 0, 0, "{}", 0, &id);
    claim(f, "A", 1);
    assert_int_equal(hl_record_job_cancel(f->record, id, "root"), HILUM_OK);
    const struct hl_job_end end = {.id = id, .is_done = true};
    assert_int_equal(hl_record_jobs_end(f->record, &end, 1), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT state FROM job"), 4);
    assert_int_equal(hl_record_job_cancel(f->record, 999, "root"), HILUM_ENOTFOUND);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM audit WHERE action = 'job.cancel'"), 1);
}

static hilum_rc refuse(struct fixture *f, const char *peer, const char *kind, const char *what,
                       const char *why, char reference[16])
{
    const struct hl_refusal refusal = {.peer = peer, .kind = kind, .what = what, .why = why};
    return hl_record_refusal(f->record, &refusal, reference);
}

static void refusal__is_explained_by_its_reference(void **state)
{
    struct fixture *f = *state;
    char reference[16], other[16];
    struct hl_buf json = {0};
    assert_int_equal(refuse(f, "CT1", "rule", "C-STORE", "rule \"x\"", reference), HILUM_OK);
    assert_int_equal(refuse(f, "CT1", "rule", "C-STORE", "y", other), HILUM_OK);
    assert_string_not_equal(reference, other);
    assert_int_equal(strlen(reference), 9);
    assert_int_equal(hl_record_explain_reference(f->record, reference, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "rule \\\"x\\\""));
    assert_int_equal(hl_record_explain_reference(f->record, "AAAA-AAAA", &json), HILUM_ENOTFOUND);
    hl_buf_fini(&json);
}

static void refusal__of_one_reason_is_one_row_and_a_count(void **state)
{
    struct fixture *f = *state;
    char first[16], reference[16], other[16];
    struct hl_buf json = {0};
    assert_int_equal(refuse(f, "CT1", "A", "object 0", "no", first), HILUM_OK);
    for (int i = 1; i <= 50; i++) {
        char what[32];
        snprintf(what, sizeof what, "object %d", i);
        assert_int_equal(refuse(f, "CT1", "A", what, "no", reference), 1);
        assert_string_equal(reference, first);
    }
    assert_int_equal(refuse(f, "CT2", "A", "object", "no", other), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM refusal"), 2);
    assert_int_equal(hl_record_explain_reference(f->record, first, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "\"what\":\"object 0\""));
    assert_non_null(strstr(hl_buf_str(&json), "{\"count\":50,"));
    assert_int_equal(hl_refusals_write(f->record, true), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM audit WHERE action = 'refused'"), 1);
    hl_buf_clear(&json);
    assert_int_equal(hl_record_explain_reference(f->record, first, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "{\"count\":50,"));
    assert_non_null(strstr(hl_buf_str(&json), "\"last_what\":\"object 50\""));
    /* a new window, a new number */
    assert_int_equal(refuse(f, "CT1", "A", "object", "no", reference), HILUM_OK);
    assert_string_not_equal(reference, first);
    hl_buf_fini(&json);
}

/* Ever new reasons, kinds, and peers. */
static void refusal__rows_are_bounded_whatever_a_peer_thinks_of(void **state)
{
    struct fixture *f = *state;
    char text[32], reference[16];
    struct hl_buf json = {0};
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "reason %d", i);
        assert_true(refuse(f, "CT1", "same kind", "object", text, reference) >= 0);
        hl_buf_clear(&json);
        assert_int_equal(hl_record_explain_reference(f->record, reference, &json), HILUM_OK);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM refusal"), 8);
    for (int i = 0; i < 500; i++) {
        snprintf(text, sizeof text, "kind %d", i);
        assert_true(refuse(f, "CT1", text, "object", "why", reference) >= 0);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM refusal"), 33);
    for (int i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "10.0.%d.%d", i / 250, i % 250);
        assert_true(refuse(f, text, "kind", "object", "why", reference) >= 0);
    }
    assert_int_equal(sql_int(f, "SELECT count(*) FROM refusal"), 513);
    hl_buf_fini(&json);
}

static void value__is_kept_replaced_and_removed(void **state)
{
    struct fixture *f = *state;
    struct hl_buf out = {0};
    assert_int_equal(hl_record_kv_get(f->record, "s", "k", &out), HILUM_ENOTFOUND);
    hl_record_kv_set(f->record, "s", "k", "1");
    hl_record_kv_set(f->record, "s", "k", "2");
    assert_int_equal(hl_record_kv_get(f->record, "s", "k", &out), HILUM_OK);
    assert_string_equal(hl_buf_str(&out), "2");
    hl_record_kv_set(f->record, "s", "k", NULL);
    assert_int_equal(hl_record_kv_get(f->record, "s", "k", &out), HILUM_ENOTFOUND);
    hl_buf_fini(&out);
}

static void explain__tells_arrivals_rules_and_jobs(void **state)
{
    struct fixture *f = *state;
    struct hl_buf json = {0};
    sample_store(f, sample_new(1, "00100020", "P1", "00080050", "ACC7", NULL));
    const struct hl_plan_step step = {"site/route", 0, "send", "{\"to\":\"ARCHIVE\"}"};
    const struct hl_hook_result result = {.hook = "site/route", .plan = &step, .n_plan = 1};
    hl_record_journal_done(f->record, due(f).ids[1], &result, 1, 0);
    assert_int_equal(hl_record_explain_study(f->record, "ACC7", &json), HILUM_OK);
    static const char *const parts[] = {"\"StudyInstanceUID\":\"1.2.826.2.1\"", "\"peer\":\"CT1\"",
                                        "\"rule\":\"site/route\"", "\"lane\":\"ARCHIVE\"",
                                        "\"plan\":[{\"verb\":\"send\""};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(hl_buf_str(&json), parts[i]))
            fail_msg("%s not in %s", parts[i], hl_buf_str(&json));
    assert_int_equal(hl_record_explain_study(f->record, "9.9", &json), HILUM_ENOTFOUND);
    hl_buf_fini(&json);
}

static hilum_rc erase_count(void *arg, const char *store, const char *key)
{
    assert_string_equal(store, "fs");
    assert_non_null(key);
    ++*(unsigned *)arg;
    return HILUM_OK;
}

static void housekeeping__completes_idle_studies_once_and_prunes(void **state)
{
    struct fixture *f = *state;
    unsigned erased = 0;
    hl_record_close(f->record);
    const struct hl_record_options options = {.study_idle_ms = -1000};
    assert_int_equal(hl_record_open(f->db, f->instance, &options, &f->record), HILUM_OK);
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(hl_record_housekeep(f->record, 86400000, erase_count, &erased), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event = 'study.complete'"), 1);
    struct seen seen = due(f);
    assert_int_equal(seen.n, 3);
    const struct hl_hook_result result = {.hook = "x"};
    for (unsigned i = 0; i < 2; i++)
        hl_record_journal_done(f->record, seen.ids[i], &result, 1, 0);
    /* 0: never; and what no clock can count is never too. */
    assert_int_equal(hl_record_housekeep(f->record, 0, erase_count, &erased), HILUM_OK);
    assert_int_equal(hl_record_housekeep(f->record, INT64_MAX, erase_count, &erased), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal"), 3);
    assert_int_equal(hl_record_housekeep(f->record, -1000, erase_count, &erased), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal"), 1); /* the unhandled one */
    assert_int_equal(sql_int(f, "SELECT count(*) FROM hook_trace"), 0);
    assert_int_equal(erased, 0);
}

static void housekeeping__ends_when_the_server_stops(void **state)
{
    struct fixture *f = *state;
    unsigned erased = 0;
    hl_record_close(f->record);
    const struct hl_record_options options = {.study_idle_ms = -1000};
    assert_int_equal(hl_record_open(f->db, f->instance, &options, &f->record), HILUM_OK);
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    hl_record_end_housekeeping(f->record);
    assert_int_equal(hl_record_housekeep(f->record, 86400000, erase_count, &erased), HILUM_OK);
    assert_int_equal(sql_int(f, "SELECT count(*) FROM journal WHERE event = 'study.complete'"), 0);
}

static void relocated__erases_the_old_object_after_its_row(void **state)
{
    struct fixture *f = *state;
    struct hl_stored stored;
    unsigned erased = 0;
    int64_t id = sample_store_id(f, sample_new(1, "00100020", "P1", NULL));
    const struct hl_location to = {.store = "fs", .key = "new", .length = 5};
    assert_int_equal(
        hl_record_relocate(f->record, id, &to, "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1"),
        HILUM_OK);
    assert_int_equal(hl_record_stored(f->record, "1.2.826.4.1", &stored), HILUM_OK);
    assert_string_equal(stored.location.key, "new");
    assert_int_equal(sql_int(f, "SELECT bytes FROM series"), 5);
    assert_int_equal(sql_int(f, "SELECT bytes FROM study"), 5);
    assert_int_equal(sql_int(f, "SELECT bytes FROM totals"), 5);
    /* Its digest as received is in no object: it must be told beside them. */
    assert_int_equal(sql_int(f, "SELECT count(*) FROM location WHERE object_key = 'new' AND "
                                "received_as = '1.2.840.10008.1.2.1'"),
                     1);
    bool has = false;
    hl_record_has_key(f->record, "fs", "k1", &has);
    assert_true(has);
    assert_int_equal(hl_record_housekeep(f->record, 86400000, erase_count, &erased), HILUM_OK);
    assert_int_equal(erased, 1);
    hl_record_has_key(f->record, "fs", "k1", &has);
    assert_false(has);
}

static void status__counts(void **state)
{
    struct fixture *f = *state;
    struct hl_buf json = {0};
    sample_store(f, sample_new(1, "00100020", "P1", NULL));
    assert_int_equal(hl_record_status(f->record, &json), HILUM_OK);
    assert_non_null(strstr(hl_buf_str(&json), "\"studies\":1"));
    assert_non_null(strstr(hl_buf_str(&json), "\"journal_waiting\":2"));
    assert_non_null(strstr(hl_buf_str(&json), "\"patients\":1"));
    hl_buf_fini(&json);
}

int main(void)
{
#define RECORD(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        RECORD(stored_instance__is_due_until_done),
        RECORD(event__that_nobody_wants_is_kept_as_handled_and_wakes_nobody),
        RECORD(job_groups__are_a_row_a_destination_and_study),
        RECORD(appended_event__is_due_after_a_restart),
        RECORD(failed_hook__loses_its_plan_and_is_named_for_the_retry),
        RECORD(plan__written_twice_adds_nothing),
        RECORD(plan__that_makes_no_sense_is_einval_and_writes_nothing),
        RECORD(filter_plan__is_written_with_the_instance),
        RECORD(claims__go_by_priority_then_age_and_lane),
        RECORD(lease__that_runs_out_makes_the_job_due_again),
        RECORD(job__that_fails_waits_or_is_failed_for_good),
        RECORD(cancelled_job__is_not_claimed_and_stays_cancelled),
        RECORD(refusal__is_explained_by_its_reference),
        RECORD(refusal__of_one_reason_is_one_row_and_a_count),
        RECORD(refusal__rows_are_bounded_whatever_a_peer_thinks_of),
        RECORD(value__is_kept_replaced_and_removed),
        RECORD(explain__tells_arrivals_rules_and_jobs),
        RECORD(housekeeping__completes_idle_studies_once_and_prunes),
        RECORD(housekeeping__ends_when_the_server_stops),
        RECORD(relocated__erases_the_old_object_after_its_row),
        RECORD(status__counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
