/* Answers of commands as people read them, made from what programs read. Knows no command's
 * work.
 *
 * Takes JSON and gives JSON: the shape tells `hilum` what to print (a text, lines, a table).
 * Members that are missing read as empty or 0, so that an older part's answer is shown, too.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

#include "core/dicom/dcmtk/dataset.h"
#include "core/dicom/uid.h"

#include <stdio.h>
#include <string.h>

/* More reasons than fit a line are counted: `--full` has them all. */
enum { WHYS_SHOWN = 4 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

static long long number_of(const json_t *object, const char *key)
{
    return (long long)json_integer_value(json_object_get(object, key));
}

/* Takes what the buffer holds as one text. hl_json_text: what a peer said may be no UTF-8,
 * which jansson would refuse. */
static json_t *taken_text(struct hl_buf *text)
{
    json_t *value = hl_json_text(hl_buf_str(text));
    hl_buf_fini(text);
    return value;
}

static void set_text(json_t *view, const char *key, struct hl_buf *text)
{
    json_object_set_new(view, key, taken_text(text));
}

/* "3 studies", "1 study". */
static void add_count(struct hl_buf *out, long long n, const char *one, const char *many)
{
    hl_buf_printf(out, "%s%lld %s", out->len ? ", " : "", n, n == 1 ? one : many);
}

/* In powers of 1,024 and said so (KiB), as the configuration's sizes are. */
static void add_size(struct hl_buf *out, long long bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit < 5; unit++)
        value /= 1024;
    hl_buf_printf(out, unit ? ", %.1f %s" : ", %.0f %s", value, units[unit]);
}

/* ---- status ---- */

static json_t *archive_line(const json_t *record)
{
    struct hl_buf line = {0};
    add_count(&line, number_of(record, "patients"), "patient", "patients");
    add_count(&line, number_of(record, "studies"), "study", "studies");
    add_count(&line, number_of(record, "series"), "series", "series");
    add_count(&line, number_of(record, "instances"), "object", "objects");
    add_size(&line, number_of(record, "bytes"));
    return taken_text(&line);
}

/* What came since the start; only what happened is named. */
static json_t *received_line(const json_t *store)
{
    static const char *const parts[] = {"duplicates", "held", "refused", "discarded", "repaired"};
    struct hl_buf line = {0};
    add_count(&line, number_of(store, "objects"), "object", "objects");
    add_size(&line, number_of(store, "bytes"));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (number_of(store, parts[i]) > 0)
            hl_buf_printf(&line, ", %lld %s", number_of(store, parts[i]), parts[i]);
    return taken_text(&line);
}

static json_t *associations_line(const json_t *associations)
{
    struct hl_buf line = {0};
    hl_buf_printf(&line, "%lld open, %lld accepted and %lld rejected since the start",
                  number_of(associations, "open"), number_of(associations, "accepted"),
                  number_of(associations, "rejected"));
    return taken_text(&line);
}

/* Jobs of every type count: to the reader they are what still has to leave. */
static json_t *deliveries_line(const json_t *record)
{
    struct hl_buf line = {0};
    hl_buf_printf(&line, "%lld waiting, %lld running, %lld failed",
                  number_of(record, "jobs_waiting"), number_of(record, "jobs_running"),
                  number_of(record, "jobs_failed"));
    return taken_text(&line);
}

/* Nothing where nothing waits. */
static void need(json_t *list, long long n, const char *what, const char *command)
{
    struct hl_buf line = {0};
    if (n == 0)
        return;
    hl_buf_printf(&line, "%lld %s: hilum %s", n, what, command);
    json_array_append_new(list, taken_text(&line));
}

static void need_health(json_t *list, const char *part, const char *health)
{
    struct hl_buf line = {0};
    if (strcmp(health, "ok") == 0)
        return;
    hl_buf_printf(&line, "%s: %s", part, health);
    json_array_append_new(list, taken_text(&line));
}

/* The default store is `storage`, as it always was; another that takes nothing has its name there. */
static void need_stores(json_t *list, const json_t *stores)
{
    const json_t *store;
    size_t i;
    json_array_foreach(stores, i, store)
    {
        if (i > 0 && !json_is_true(json_object_get(store, "accepting"))) {
            struct hl_buf part = {0};
            hl_buf_printf(&part, "store %s", text_of(store, "store"));
            need_health(list, hl_buf_str(&part), text_of(store, "reason"));
            hl_buf_fini(&part);
        }
    }
}

/* What waits for a person, with the command that shows it. */
static json_t *needs_of(const json_t *status)
{
    const json_t *record = json_object_get(status, "record");
    json_t *list = json_array(), *rule;
    long long failures = 0;
    size_t i;
    json_array_foreach(json_object_get(status, "rules"), i, rule)
    {
        failures += number_of(rule, "failures");
    }
    if (json_is_true(json_object_get(status, "catalogue_lost")))
        json_array_append_new(
            list,
            json_string("the catalogue was lost and is not whole again: hilum archive rebuild"));
    need_health(list, "storage", text_of(status, "store_health"));
    need_stores(list, json_object_get(json_object_get(status, "store"), "stores"));
    need_health(list, "catalogue", text_of(status, "record_health"));
    need_health(list, "decisions beside the objects", text_of(status, "log_health"));
    need(list, number_of(record, "quarantine"), "in quarantine", "quarantine list");
    need(list, number_of(record, "conflicts"), "to be decided about identity", "patient conflicts");
    need(list, number_of(record, "jobs_failed"), "failed deliveries", "job list --state failed");
    need(list, failures, "failures of rules", "log --level warn");
    return list;
}

/* A lane that waits says until when and why. Rounded up, so that "in 0 s" never stands there. */
static json_t *destination_row(const json_t *lane)
{
    json_t *row = json_pack("{s:s, s:I, s:I, s:I}", "destination", text_of(lane, "lane"), "sending",
                            (json_int_t)number_of(lane, "running"), "sent",
                            (json_int_t)number_of(lane, "done"), "failed",
                            (json_int_t)number_of(lane, "failed"));
    long long pause = number_of(lane, "closed_ms");
    struct hl_buf state = {0};
    if (pause > 0)
        hl_buf_printf(&state, "next try in %lld s: %s", (pause + 999) / 1000,
                      text_of(lane, "error"));
    else
        hl_buf_text(&state, "ok");
    set_text(row, "state", &state);
    return row;
}

/* Without the version and the mean time: those are in the JSON. */
static json_t *rule_row(const json_t *rule)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I}", "rule", text_of(rule, "name"), "event",
                     text_of(rule, "event"), "where", text_of(rule, "where"), "calls",
                     (json_int_t)number_of(rule, "calls"), "failures",
                     (json_int_t)number_of(rule, "failures"));
}

static json_t *rows_of(const json_t *list, json_t *(*row)(const json_t *))
{
    json_t *rows = json_array(), *entry;
    size_t i;
    json_array_foreach(list, i, entry)
    {
        json_array_append_new(rows, row(entry));
    }
    return rows;
}

/* Health is said in one word where all is well; else what needs somebody is a list of commands
 * to type. */
json_t *hl_server_view_status(const json_t *status)
{
    const json_t *record = json_object_get(status, "record");
    struct hl_buf dicom = {0};
    hl_buf_printf(&dicom, "%s at %s", text_of(status, "aet"), text_of(status, "dicom"));
    json_t *view = json_pack("{s:s, s:o, s:s, s:s}", "version", text_of(status, "version"), "dicom",
                             taken_text(&dicom), "data", text_of(status, "data"), "running since",
                             text_of(status, "started"));
    json_t *needs = needs_of(status);
    if (json_array_size(needs) == 0)
        json_object_set_new(view, "health", json_string("ok"));
    json_object_set_new(view, "archive", archive_line(record));
    json_object_set_new(view, "received", received_line(json_object_get(status, "store")));
    json_object_set_new(view, "associations",
                        associations_line(json_object_get(status, "associations")));
    json_object_set_new(view, "deliveries", deliveries_line(record));
    /* Lists of one: so each need is a line of its own. */
    if (json_array_size(needs) > 0) {
        json_t *lines = json_array(), *line;
        size_t i;
        json_array_foreach(needs, i, line)
        {
            json_array_append_new(lines, json_pack("[O]", line));
        }
        json_object_set_new(view, "needs a person", lines);
    }
    json_decref(needs);
    json_object_set_new(
        view, "destinations",
        rows_of(json_object_get(json_object_get(status, "jobs"), "lanes"), destination_row));
    json_object_set_new(view, "rules", rows_of(json_object_get(status, "rules"), rule_row));
    return view;
}

/* What a rebuild cannot know is said each time: nobody reads a manual after losing a database. */
json_t *hl_server_view_rebuilt(const json_t *record)
{
    json_t *view = json_object();
    json_object_set_new(view, "archive", archive_line(record));
    json_object_set_new(
        view, "restored",
        json_string("objects and who sent them, decisions about patients, corrections, quarantine, "
                    "versions, labels, deliveries, sums of compression"));
    json_object_set_new(view, "not restored",
                        json_string("the audit record, values of rules and plugins, plugins' "
                                    "tables: from a backup (core/record/README.md)"));
    return view;
}

/* ---- store report ---- */

static void size_set(json_t *row, const char *key, long long bytes)
{
    struct hl_buf text = {0};
    add_size(&text, bytes);
    json_object_set_new(row, key, json_string(hl_buf_str(&text) + 2)); /* without ", " */
    hl_buf_fini(&text);
}

/* The mean counts what was left, too: trying costs as much as succeeding. */
static json_t *report_row(const json_t *sum)
{
    long long before = number_of(sum, "bytes_before"), after = number_of(sum, "bytes_after");
    long long n = number_of(sum, "done") + number_of(sum, "kept");
    json_t *row = json_object();
    json_object_set_new(row, "rule", json_string(text_of(sum, "rule")));
    json_object_set_new(row, "syntax", json_string(hl_uid_name(text_of(sum, "syntax"))));
    json_object_set_new(row, "objects", json_integer(number_of(sum, "done")));
    size_set(row, "before", before);
    size_set(row, "after", after);
    json_object_set_new(
        row, "saved",
        json_sprintf("%.1f %%", before ? 100.0 * (double)(before - after) / (double)before : 0));
    json_object_set_new(row, "left", json_integer(number_of(sum, "kept")));
    json_object_set_new(
        row, "ms an object",
        json_sprintf("%.1f", n ? (double)number_of(sum, "work_us") / 1000 / (double)n : 0));
    json_object_set_new(row, "originals waiting", json_integer(number_of(sum, "waiting")));
    json_object_set_new(row, "last left because", json_string(text_of(sum, "last_kept")));
    return row;
}

json_t *hl_server_view_store_report(const json_t *sums)
{
    json_t *rows = json_array();
    const json_t *sum;
    size_t i;
    json_array_foreach(sums, i, sum)
    {
        json_array_append_new(rows, report_row(sum));
    }
    return rows;
}

/* ---- study explain ---- */

/* Tag numbers become keywords; row versions are of no use to people. */
static void name_attribute(json_t *edit)
{
    const char *keyword = hl_dict_keyword((uint32_t)number_of(edit, "tag"));
    if (keyword)
        json_object_set_new(edit, "attribute", json_string(keyword));
    json_object_del(edit, "tag");
    json_object_del(edit, "version");
}

/* 0 and 1970 are how rows say "no" and "never". */
static void plain_words(json_t *row)
{
    const char *due = text_of(row, "ended");
    if (strncmp(due, "1970", 4) == 0)
        json_object_del(row, "ended");
    json_t *complete = json_object_get(row, "complete");
    if (complete)
        json_object_set_new(row, "complete", json_boolean(json_integer_value(complete)));
}

static const char *verdict_word(long long verdict)
{
    switch (verdict) {
    case HILUM_PASS: return ""; /* what most say, and notify rules always */
    case HILUM_ACCEPT: return "accept";
    case HILUM_HOLD: return "hold";
    case HILUM_REJECT: return "reject";
    case HILUM_DEFER: return "defer";
    case HILUM_DISCARD: return "discard";
    default: return "failed";
    }
}

/* A copy: programs get the original. */
json_t *hl_server_view_explain(const json_t *explained)
{
    json_t *view = json_deep_copy(explained), *row;
    size_t i;
    plain_words(json_object_get(view, "study"));
    json_array_foreach(json_object_get(view, "jobs"), i, row)
    {
        plain_words(row);
    }
    json_array_foreach(json_object_get(view, "rules"), i, row)
    {
        json_object_set_new(row, "verdict", json_string(verdict_word(number_of(row, "verdict"))));
    }
    json_array_foreach(json_object_get(view, "edits"), i, row)
    {
        name_attribute(row);
    }
    return view;
}

/* ---- job list ---- */

/* "" while the lane is open. */
static const char *lane_error(const json_t *lanes, const char *name)
{
    size_t i;
    json_t *lane;
    json_array_foreach(lanes, i, lane)
    {
        if (strcmp(text_of(lane, "lane"), name) == 0 && number_of(lane, "closed_ms") > 0)
            return text_of(lane, "error");
    }
    return "";
}

/* A job whose destination is down was never tried itself: what the whole lane waits for is
 * told with it. Whole jobs and groups of jobs come here alike: a group has counts of states
 * instead of a state. */
json_t *hl_server_view_jobs(const json_t *jobs, const json_t *lanes)
{
    json_t *rows = json_array(), *job;
    size_t i;
    json_array_foreach(jobs, i, job)
    {
        json_t *row = json_copy(job);
        const char *why = lane_error(lanes, text_of(job, "lane"));
        bool is_waiting = strcmp(text_of(job, "state"), "waiting") == 0 ||
                          json_object_get(job, "waiting") != NULL;
        if (strncmp(text_of(job, "due"), "1970", 4) == 0) /* as soon as may be */
            json_object_del(row, "due");
        if (is_waiting && *why && !*text_of(job, "result"))
            json_object_set_new(row, "destination", hl_json_text(why));
        json_array_append_new(rows, row);
    }
    return rows;
}

/* ---- peer trace ---- */

/* Same SOP class and same reason: told once. Quadratic in at most 128 contexts (PS3.8 9.3.2.2:
 * odd numbers of a byte). */
static bool is_told(const json_t *contexts, size_t before, const json_t *context)
{
    for (size_t i = 0; i < before; i++) {
        const json_t *other = json_array_get(contexts, i);
        if (strcmp(text_of(other, "sop_class"), text_of(context, "sop_class")) == 0 &&
            strcmp(text_of(other, "why"), text_of(context, "why")) == 0)
            return true;
    }
    return false;
}

/* "62 accepted, 1 refused: CT Image Storage: no acceptable transfer syntax". At most WHYS_SHOWN
 * different reasons, of up to 128 contexts. */
static json_t *contexts_text(const json_t *contexts)
{
    struct hl_buf whys = {0}, line = {0};
    size_t i, accepted = 0, refused = 0, shown = 0, open = 0;
    json_t *context;
    json_array_foreach(contexts, i, context)
    {
        if (json_object_get(context, "accepted")) {
            accepted++;
            continue;
        }
        if (!json_object_get(context, "result")) { /* it never came to an answer */
            open++;
            continue;
        }
        refused++;
        if (is_told(contexts, i, context) || shown++ >= WHYS_SHOWN)
            continue;
        const char *name = text_of(context, "name");
        hl_buf_printf(&whys, "%s%s: %s", whys.len ? "; " : ": ",
                      *name ? name : text_of(context, "sop_class"), text_of(context, "why"));
    }
    if (accepted + refused > 0)
        hl_buf_printf(&line, "%zu accepted", accepted);
    if (open > 0)
        hl_buf_printf(&line, "%zu proposed", open);
    if (refused > 0)
        hl_buf_printf(&line, ", %zu refused%s", refused, hl_buf_str(&whys));
    if (shown > WHYS_SHOWN)
        hl_buf_printf(&line, "; and %zu more", shown - WHYS_SHOWN);
    hl_buf_fini(&whys);
    return taken_text(&line);
}

/* What happened to it in few words: why it was refused, how it ended, or that it goes on. */
static json_t *outcome(const json_t *association)
{
    struct hl_buf line = {0};
    hl_buf_text(&line, text_of(association, "result"));
    if (*text_of(association, "why"))
        hl_buf_printf(&line, ": %s", text_of(association, "why"));
    else if (json_is_true(json_object_get(association, "open")))
        hl_buf_text(&line, ", open");
    else if (*text_of(association, "ended"))
        hl_buf_printf(&line, ", %s", text_of(association, "ended"));
    const char *note = json_string_value(json_array_get(json_object_get(association, "notes"), 0));
    if (note)
        hl_buf_printf(&line, "; %s", note);
    return taken_text(&line);
}

/* "in", "out TLS". */
static json_t *way(const json_t *association)
{
    struct hl_buf line = {0};
    hl_buf_printf(&line, "%s%s", text_of(association, "direction"),
                  json_is_true(json_object_get(association, "tls")) ? " TLS" : "");
    return taken_text(&line);
}

/* The time is cut, not parsed: hl_time_text always writes the same form. */
static json_t *association_row(const json_t *association)
{
    struct hl_buf time = {0};
    hl_buf_printf(&time, "%.10s %.8s", text_of(association, "time"),
                  strlen(text_of(association, "time")) > 19 ? text_of(association, "time") + 11
                                                            : "");
    json_t *row = json_object();
    set_text(row, "time (UTC)", &time);
    json_object_set_new(row, "way", way(association));
    json_object_set_new(row, "calling", hl_json_text(text_of(association, "calling_aet")));
    json_object_set_new(row, "called", hl_json_text(text_of(association, "called_aet")));
    json_object_set_new(row, "address", hl_json_text(text_of(association, "address")));
    json_object_set_new(row, "result", outcome(association));
    json_t *messages = json_object_get(association, "messages");
    if (messages)
        json_object_set(row, "messages", messages);
    json_object_set_new(row, "contexts", contexts_text(json_object_get(association, "contexts")));
    return row;
}

json_t *hl_server_view_trace(const json_t *associations)
{
    return rows_of(associations, association_row);
}

/* One block an association: members, then its contexts as a table. */
json_t *hl_server_view_trace_full(const json_t *associations)
{
    json_t *view = json_object(), *association;
    size_t i;
    json_array_foreach(associations, i, association)
    {
        struct hl_buf title = {0};
        hl_buf_printf(&title, "association %zu", i + 1);
        json_object_set(view, hl_buf_str(&title), association);
        hl_buf_fini(&title);
    }
    return view;
}

/* ---- plugin list ---- */

static json_t *plugin_row(const json_t *plugin)
{
    static const char *const keys[] = {"id",      "state",    "version", "vendor",
                                       "licence", "provides", "needs",   "reason"};
    json_t *row = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(plugin, keys[i]);
        if (value)
            json_object_set(row, keys[i], value);
    }
    /* A plugin in quarantine runs, but serves nobody: that is the state people ask for. */
    if (json_is_true(json_object_get(plugin, "quarantined"))) {
        json_object_set_new(row, "state", json_string("quarantined"));
        json_object_set(row, "reason", json_object_get(plugin, "last_crash"));
    }
    return row;
}

json_t *hl_server_view_plugins(const json_t *plugins)
{
    return rows_of(plugins, plugin_row);
}
