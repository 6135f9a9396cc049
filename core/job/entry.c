/* One journal entry: its event rebuilt, its hooks run one by one, its end written. Knows nothing
 * of threads.
 *
 * A worker owns the entry from the queue to its end, so nothing here is locked. What hooks
 * planned is taken from the event when all of them have run; the record writes traces, plans and
 * the mark in one transaction. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/job/internal.h"

/* Runs again after a failure, and entries ended in one transaction at most (notify.c's BATCH is
 * below it). */
enum { RETRIES = 3, ENDS_MAX = 512 };

/* One allocation: the texts lie behind the struct, and freeing one frees both. NULL: no memory. */
struct hl_entry *hl_entry_copy(const struct hl_journal_entry *journal)
{
    const char *fields = journal->fields ? journal->fields : "{}";
    const char *failed = journal->failed ? journal->failed : "";
    size_t n = strlen(fields) + 1, m = strlen(failed) + 1;
    struct hl_entry *entry = malloc(sizeof *entry + n + m);
    if (!entry) {
        return NULL;
    }
    memset(entry, 0, sizeof *entry);
    char *texts = (char *)(entry + 1);
    entry->journal = *journal;
    entry->journal.fields = memcpy(texts, fields, n);
    entry->journal.failed = memcpy(texts + n, failed, m);
    return entry;
}

void hl_entry_free(struct hl_entry *entry)
{
    if (entry) {
        hl_event_free(entry->event);
        hl_arena_fini(&entry->arena);
        free(entry);
    }
}

/* How `where` and rules reach attributes of the object the entry is about; lives as long as the
 * hooks run. */
struct resolving {
    const struct hl_jobs_env *env;
    const struct hl_journal_entry *journal;
};

static bool resolve(void *arg, const char *keyword, struct hl_buf *out)
{
    const struct resolving *resolving = arg;
    return resolving->env->resolve(resolving->env->arg, resolving->journal, keyword, out);
}

/* Which rule text decided, for `hilum explain`: a rule may have changed since. */
static const char *version_of(struct hl_jobs *jobs, struct hl_entry *entry, const char *hook)
{
    char version[17];
    if (!jobs->env.version || !jobs->env.version(jobs->env.arg, hook, version)) {
        return "";
    }
    return hl_arena_strdup(&entry->arena, version);
}

/* One hook by itself; `first` is where its steps will begin in the event's plan. */
static void hook_run(struct hl_jobs *jobs, struct hl_entry *entry, const char *name)
{
    struct hl_verdict verdict;
    struct hl_hook_result *result = &entry->results[entry->n_results];
    size_t before = hl_event_plan_count(entry->event);
    hilum_rc rc = hl_bus_dispatch_one(jobs->bus, entry->event, HILUM_NOTIFY, name, &verdict);
    if (rc == HILUM_ENOTFOUND || (rc >= 0 && verdict.matched == 0)) {
        return; /* unloaded meanwhile, or no longer wanted */
    }
    result->hook = name;
    result->version = version_of(jobs, entry, name);
    result->verdict = rc < 0 ? rc : verdict.verdict;
    result->reason = hl_arena_strdup(&entry->arena, rc < 0 ? hl_error() : verdict.reason);
    result->n_plan = hl_event_plan_count(entry->event) - before;
    entry->failed += result->verdict < 0;
    entry->n_results++;
}

/* The event may have moved its plan while it grew: pointers are taken when it is complete. */
static bool plans_take(struct hl_entry *entry)
{
    size_t n = hl_event_plan_count(entry->event), at = 0;
    if (n == 0) {
        return true;
    }
    struct hl_plan_step *steps = hl_arena_alloc(&entry->arena, n * sizeof *steps);
    if (!steps) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        steps[i] = *hl_event_plan_at(entry->event, i);
    }
    for (size_t i = 0; i < entry->n_results; i++) {
        entry->results[i].plan = steps + at;
        at += entry->results[i].n_plan;
    }
    return true;
}

static size_t count_lines(const char *text)
{
    size_t n = *text ? 1 : 0;
    for (; *text; text++) {
        n += *text == '\n';
    }
    return n;
}

/* `list` has a hook a line: those that match, or in a retry those that failed. false: no memory,
 * and nothing is recorded. */
static bool hooks_run(struct hl_jobs *jobs, struct hl_entry *entry, const char *list)
{
    size_t n = count_lines(list);
    char *names = hl_arena_strdup(&entry->arena, list), *rest = names;
    entry->results = hl_arena_alloc(&entry->arena, (n + 1) * sizeof *entry->results);
    if (!names || !entry->results) {
        return false;
    }
    for (char *name; (name = strsep(&rest, "\n")) && entry->n_results < n;) {
        if (*name) {
            hook_run(jobs, entry, name);
        }
    }
    return plans_take(entry);
}

void hl_entry_run(struct hl_jobs *jobs, struct hl_entry *entry)
{
    const struct hl_journal_entry *journal = &entry->journal;
    struct resolving resolving = {&jobs->env, journal};
    struct hl_buf matching = {0};
    bool is_good = true;
    entry->event = hl_event_from_json(journal->event, journal->fields);
    if (!entry->event) {
        hl_log(HL_ERROR, "job", "journal entry %lld: %s", (long long)journal->id, hl_error());
        return; /* closed without hooks: what cannot be read today cannot be read tomorrow */
    }
    hl_event_set_id(entry->event, journal->id);
    if (jobs->env.resolve) {
        hl_event_set_resolver(entry->event, resolve, NULL, &resolving);
    }
    if (*journal->failed) {
        is_good = hooks_run(jobs, entry, journal->failed);
    } else {
        hl_bus_matching(jobs->bus, entry->event, HILUM_NOTIFY, &matching);
        is_good = hooks_run(jobs, entry, hl_buf_str(&matching));
    }
    hl_event_set_resolver(entry->event, NULL, NULL, NULL);
    hl_buf_fini(&matching);
    if (!is_good) {
        entry->n_results = 0;
    }
    if (!is_good || (entry->failed && journal->attempts < RETRIES)) {
        int64_t ms = hl_jobs_options_now(jobs).notify_retry_ms << (journal->attempts & 15);
        entry->retry_us = hl_jobs_after(ms);
    }
}

/* ---- ends --------------------------------------------------------------------------------------- */

/* A rule that failed for good is an event, unless the event was about that already. */
static void failures_publish(struct hl_jobs *jobs, const struct hl_entry *entry)
{
    const struct hl_journal_entry *journal = &entry->journal;
    if (entry->retry_us || strcmp(journal->event, "rule.failed") == 0) {
        return;
    }
    for (size_t i = 0; i < entry->n_results; i++) {
        const struct hl_hook_result *result = &entry->results[i];
        struct hl_buf json = {0};
        int64_t id;
        if (result->verdict >= 0) {
            continue;
        }
        hl_buf_text(&json, "{\"rule\":");
        hl_buf_json_string(&json, result->hook);
        hl_buf_text(&json, ",\"reason\":");
        hl_buf_json_string(&json, result->reason ? result->reason : "");
        hl_buf_text(&json, ",\"event\":");
        hl_buf_json_string(&json, journal->event);
        hl_buf_printf(&json, ",\"entry\":%lld}", (long long)journal->id);
        hl_log(HL_WARN, "job", "rule %s gave up on journal entry %lld after %d retries",
               result->hook, (long long)journal->id, RETRIES);
        if (json.failed || hl_record_journal_append(jobs->record, "rule.failed", journal->study_uid,
                                                    hl_buf_str(&json), &id) < 0) {
            hl_log(HL_ERROR, "job", "rule.failed of entry %lld: %s", (long long)journal->id,
                   hl_error());
        }
        hl_buf_fini(&json);
    }
}

/* A plan the record refuses is the fault of the rules that made it, not of the entries beside it. */
static void results_refuse(struct hl_entry *entry, hilum_rc rc, const char *why)
{
    for (size_t i = 0; i < entry->n_results; i++) {
        if (entry->results[i].n_plan > 0) {
            entry->results[i].n_plan = 0;
            entry->results[i].verdict = rc;
            entry->results[i].reason = hl_arena_strdup(&entry->arena, why);
        }
    }
    entry->retry_us = 0;
}

/* Borrows the entry's results; it must live until the record has them. */
static struct hl_journal_end end_of(const struct hl_entry *entry)
{
    return (struct hl_journal_end){.id = entry->journal.id,
                                   .results = entry->results,
                                   .n = entry->n_results,
                                   .retry_us = entry->retry_us};
}

/* Alone, to find out whose plan it is that the record refuses. */
static bool end_one(struct hl_jobs *jobs, struct hl_entry *entry)
{
    struct hl_journal_end end = end_of(entry);
    hilum_rc rc = hl_record_journal_end(jobs->record, &end, 1);
    if (rc == HILUM_EINVAL) {
        results_refuse(entry, rc, hl_error());
        end = end_of(entry);
        rc = hl_record_journal_end(jobs->record, &end, 1);
    }
    if (rc >= 0) {
        failures_publish(jobs, entry);
    }
    return rc >= 0;
}

/* All in one transaction; only when that is refused as invalid one by one, which costs a flush
 * each. */
bool hl_entries_end(struct hl_jobs *jobs, struct hl_entry *const *entries, size_t n)
{
    struct hl_journal_end ends[ENDS_MAX] = {0};
    bool is_good = true;
    for (size_t i = 0; i < n && i < ENDS_MAX; i++) {
        ends[i] = end_of(entries[i]);
    }
    hilum_rc rc = hl_record_journal_end(jobs->record, ends, n);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        failures_publish(jobs, entries[i]);
    }
    for (size_t i = 0; i < n && rc == HILUM_EINVAL; i++) {
        is_good &= end_one(jobs, entries[i]);
    }
    if ((rc < 0 && rc != HILUM_EINVAL) || !is_good) {
        hl_log(HL_ERROR, "job", "ends of %zu journal entries: %s", n, hl_error());
        return false;
    }
    return true;
}
