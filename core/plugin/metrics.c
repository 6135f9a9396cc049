/* `lock` guards everything, for a few comparisons a call. What is defined is never taken away:
 * numbers stay valid for the life of the host, over swaps and new lives of a worker.
 *
 * Plugins' own numbers, three lists deep: owners, their metrics, the series of each (one a
 * combination of label values). Look-ups walk; the first two are short, the third is bounded
 * by HL_METRIC_SERIES.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/plugin/metrics.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/error.h"

/* One combination of labels' values. */
struct series {
    struct series *next;
    char labels[HL_METRIC_LABELS][HL_METRIC_TEXT + 1];
    double value; /* of a histogram: the sum */
    uint64_t count;
    uint64_t buckets[]; /* HISTOGRAM: n_bounds, each without what is in those before */
};

struct metric {
    uint32_t type;
    char name[HL_METRIC_NAME + 1];
    char shown[2 * HL_METRIC_NAME + 80]; /* what Prometheus knows it by */
    const char *help;
    char labels[HL_METRIC_LABELS][HL_METRIC_NAME + 1];
    uint32_t n_labels, n_bounds, n_series;
    double bounds[HL_METRIC_BOUNDS];
    struct series *series;
};

struct owner {
    struct owner *next;
    const char *id;
    struct metric *metrics[HL_METRICS_EACH];
    uint32_t n;
};

/* Everything lives as long as the host: 64 x 256 series a plugin at most. */
struct hl_metrics {
    pthread_mutex_t lock;
    struct owner *owners;
    struct hl_arena arena;
};

struct hl_metrics *hl_metrics_new(void)
{
    struct hl_metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics)
        pthread_mutex_init(&metrics->lock, NULL);
    return metrics;
}

void hl_metrics_free(struct hl_metrics *metrics)
{
    if (!metrics)
        return;
    pthread_mutex_destroy(&metrics->lock);
    hl_arena_fini(&metrics->arena);
    free(metrics);
}

/* ---- definitions ---- */

/* Small letters, digits and '_', a letter first: a name in Prometheus without quoting. */
static bool is_name(const char *name, size_t n)
{
    if (n == 0 || n > HL_METRIC_NAME || !islower((unsigned char)*name))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) && name[i] != '_')
            return false;
    return true;
}

/* "le" is a histogram's own (Prometheus); two labels of one name would be one. */
static hilum_rc read_labels(const struct hilum_metric *given, struct metric *metric)
{
    for (const char *at = given->labels; at && *at; at += *at == ',') {
        size_t n = strcspn(at, ",");
        bool is_new = is_name(at, n) && !(n == 2 && strncmp(at, "le", 2) == 0);
        for (uint32_t i = 0; is_new && i < metric->n_labels; i++)
            is_new = strlen(metric->labels[i]) != n || strncmp(metric->labels[i], at, n) != 0;
        if (!is_new || metric->n_labels == HL_METRIC_LABELS)
            return hl_fail(HILUM_EINVAL,
                           "metric %s: labels \"%s\": expected at most %d different names of small "
                           "letters, digits and '_', joined by ','",
                           metric->name, given->labels, HL_METRIC_LABELS);
        memcpy(metric->labels[metric->n_labels++], at, n);
        at += n;
    }
    return HILUM_OK;
}

static hilum_rc read_bounds(const struct hilum_metric *given, struct metric *metric)
{
    bool is_histogram = given->type == HILUM_METRIC_HISTOGRAM;
    bool is_good = is_histogram ? given->bounds && given->n_bounds > 0 : !given->n_bounds;
    for (uint32_t i = 0; is_good && i < given->n_bounds && i < HL_METRIC_BOUNDS; i++) {
        is_good = isfinite(given->bounds[i]) && (i == 0 || given->bounds[i] > given->bounds[i - 1]);
        metric->bounds[i] = given->bounds[i];
    }
    metric->n_bounds = given->n_bounds;
    return is_good && given->n_bounds <= HL_METRIC_BOUNDS
               ? HILUM_OK
               : hl_fail(HILUM_EINVAL,
                         "metric %s: bounds: expected 1 to %d ascending numbers for a histogram, "
                         "none for others",
                         metric->name, HL_METRIC_BOUNDS);
}

static hilum_rc read_metric(const struct hilum_metric *given, struct metric *metric)
{
    bool is_whole = HILUM_HAS(struct hilum_metric, given->size, n_bounds);
    if (!is_whole || !given->name || !is_name(given->name, strlen(given->name)))
        return hl_fail(HILUM_EINVAL,
                       "metric \"%.*s\": expected its size, and a name of 1 to %d small letters, "
                       "digits and '_' that begins with a letter",
                       HL_METRIC_NAME, is_whole && given->name ? given->name : "", HL_METRIC_NAME);
    memcpy(metric->name, given->name, strlen(given->name));
    metric->type = given->type;
    if (given->type < HILUM_METRIC_COUNTER || given->type > HILUM_METRIC_HISTOGRAM)
        return hl_fail(HILUM_EINVAL, "metric %s: type %u is none", metric->name, given->type);
    hilum_rc rc = read_labels(given, metric);
    return rc == HILUM_OK ? read_bounds(given, metric) : rc;
}

/* A newer version may define what an older one did, but not change what it means. Names are
 * compared by who calls. */
static bool is_same(const struct metric *a, const struct metric *b)
{
    return a->type == b->type && a->n_labels == b->n_labels && a->n_bounds == b->n_bounds &&
           memcmp(a->labels, b->labels, sizeof a->labels) == 0 &&
           memcmp(a->bounds, b->bounds, a->n_bounds * sizeof *a->bounds) == 0;
}

/* With the lock. NULL: no memory. */
static struct owner *owner_of(struct hl_metrics *metrics, const char *id, bool may_make)
{
    struct owner *owner = metrics->owners;
    while (owner && strcmp(owner->id, id) != 0)
        owner = owner->next;
    if (owner || !may_make || !(owner = hl_arena_alloc(&metrics->arena, sizeof *owner)))
        return owner;
    owner->id = hl_arena_strdup(&metrics->arena, id);
    owner->next = metrics->owners;
    return owner->id ? (metrics->owners = owner) : NULL;
}

/* "acme" with "x_y" and "acme-x" with "y" would be one name. */
static const struct owner *other_with(const struct hl_metrics *metrics, const struct owner *owner,
                                      const char *shown)
{
    for (const struct owner *other = metrics->owners; other; other = other->next)
        for (uint32_t i = 0; other != owner && i < other->n; i++)
            if (strcmp(other->metrics[i]->shown, shown) == 0)
                return other;
    return NULL;
}

/* With the lock. */
static hilum_rc add(struct hl_metrics *metrics, struct owner *owner, struct metric *metric,
                    const char *help, uint32_t *number)
{
    for (uint32_t i = 0; i < owner->n; i++) {
        if (strcmp(owner->metrics[i]->name, metric->name) != 0)
            continue;
        *number = i + 1;
        return is_same(owner->metrics[i], metric)
                   ? HILUM_OK
                   : hl_fail(HILUM_ECONFLICT, "metric %s: was defined otherwise before",
                             metric->name);
    }
    if (owner->n == HL_METRICS_EACH)
        return hl_fail(HILUM_EFULL, "metric %s: a plugin has at most %d", metric->name,
                       HL_METRICS_EACH);
    snprintf(metric->shown, sizeof metric->shown, "hilum_plugin_%.100s_%s", owner->id,
             metric->name);
    for (char *c = metric->shown; *c; c++)
        if (*c == '-')
            *c = '_';
    const struct owner *other = other_with(metrics, owner, metric->shown);
    if (other)
        return hl_fail(HILUM_ECONFLICT, "metric %s: plugin %s has one that is shown as %s too",
                       metric->name, other->id, metric->shown);
    struct metric *kept = hl_arena_alloc(&metrics->arena, sizeof *kept);
    if (!kept)
        return hl_fail(HILUM_ENOMEM, "metric %s: no memory", metric->name);
    *kept = *metric;
    kept->help = help ? hl_arena_strndup(&metrics->arena, help, strnlen(help, 200)) : NULL;
    owner->metrics[owner->n++] = kept;
    *number = owner->n;
    return HILUM_OK;
}

hilum_rc hl_metrics_define(struct hl_metrics *metrics, const char *owner,
                           const struct hilum_metric *given, uint32_t *number)
{
    struct metric metric = {0};
    *number = 0;
    hilum_rc rc = read_metric(given, &metric);
    if (rc != HILUM_OK)
        return rc;
    pthread_mutex_lock(&metrics->lock);
    struct owner *its = owner_of(metrics, owner, true);
    rc = its ? add(metrics, its, &metric, given->help, number)
             : hl_fail(HILUM_ENOMEM, "metric %s: no memory", metric.name);
    pthread_mutex_unlock(&metrics->lock);
    return rc;
}

/* ---- values ---- */

static struct series *find(const struct metric *metric, char (*labels)[HL_METRIC_TEXT + 1])
{
    struct series *series = metric->series;
    while (series && memcmp(series->labels, labels, sizeof series->labels) != 0)
        series = series->next;
    return series;
}

/* What does not fit as UTF-8 is cut between characters. */
static void take_label(const char *text, char out[HL_METRIC_TEXT + 1])
{
    size_t n = strnlen(text, HL_METRIC_TEXT + 1);
    if (n > HL_METRIC_TEXT)
        for (n = HL_METRIC_TEXT; n > 0 && ((unsigned char)text[n] & 0xC0) == 0x80;)
            n--;
    memcpy(out, text, n);
}

/* With the lock. NULL: no memory. Label values come from outside in the end (peers' titles):
 * beyond HL_METRIC_SERIES combinations all others are counted as "other", so that nobody can
 * fill the memory with them. */
static struct series *series_of(struct hl_metrics *metrics, struct metric *metric,
                                const char *const *labels)
{
    char texts[HL_METRIC_LABELS][HL_METRIC_TEXT + 1] = {{0}};
    for (uint32_t i = 0; i < metric->n_labels; i++)
        take_label(labels[i] ? labels[i] : "", texts[i]);
    struct series *series = find(metric, texts);
    if (!series && metric->n_series >= HL_METRIC_SERIES) {
        memset(texts, 0, sizeof texts);
        for (uint32_t i = 0; i < metric->n_labels; i++)
            memcpy(texts[i], "other", sizeof "other");
        series = find(metric, texts);
    }
    if (series)
        return series;
    series = hl_arena_alloc(&metrics->arena,
                            sizeof *series + metric->n_bounds * sizeof *series->buckets);
    if (!series)
        return NULL;
    memcpy(series->labels, texts, sizeof texts);
    series->next = metric->series;
    metric->series = series;
    metric->n_series++;
    return series;
}

/* Buckets are kept apart and added up when they are written. */
static void observe(const struct metric *metric, struct series *series, double value)
{
    uint32_t i = 0;
    while (i < metric->n_bounds && value > metric->bounds[i])
        i++;
    if (i < metric->n_bounds)
        series->buckets[i]++;
    series->count++;
}

/* With the lock. A value that is no number is refused, as it would stay in every sum for ever. */
static hilum_rc change_one(struct hl_metrics *metrics, struct metric *metric,
                           enum hl_metric_change change, const char *const *labels, double value)
{
    if (!isfinite(value) || (metric->type == HILUM_METRIC_COUNTER && value < 0))
        return hl_fail(HILUM_EINVAL, "metric %s: %g cannot be added", metric->name, value);
    if (change == HL_METRIC_SET && metric->type != HILUM_METRIC_GAUGE)
        return hl_fail(HILUM_EINVAL, "metric %s: only gauges are set", metric->name);
    if (metric->n_labels && !labels)
        return hl_fail(HILUM_EINVAL, "metric %s: expected %u labels", metric->name,
                       metric->n_labels);
    struct series *series = series_of(metrics, metric, labels);
    if (!series)
        return hl_fail(HILUM_ENOMEM, "metric %s: no memory", metric->name);
    if (metric->type == HILUM_METRIC_HISTOGRAM)
        observe(metric, series, value);
    series->value = change == HL_METRIC_SET ? value : series->value + value;
    return HILUM_OK;
}

hilum_rc hl_metrics_change(struct hl_metrics *metrics, const char *owner, uint32_t number,
                           enum hl_metric_change change, const char *const *labels, double value)
{
    pthread_mutex_lock(&metrics->lock);
    struct owner *its = owner_of(metrics, owner, false);
    hilum_rc rc =
        its && number > 0 && number <= its->n
            ? change_one(metrics, its->metrics[number - 1], change, labels, value)
            : hl_fail(HILUM_ENOTFOUND, "metric %u of %s: was never defined", number, owner);
    pthread_mutex_unlock(&metrics->lock);
    return rc;
}

/* ---- text ---- */

/* {peer="A",result="ok"}, with `le` where there is one. */
static void write_labels(const struct metric *metric, const struct series *series, const char *le,
                         struct hl_buf *out)
{
    const char *between = "{";
    for (uint32_t i = 0; i < metric->n_labels; i++, between = ",") {
        hl_buf_printf(out, "%s%s=\"", between, metric->labels[i]);
        for (const char *c = series->labels[i]; *c; c++) {
            if (*c == '"' || *c == '\\')
                hl_buf_byte(out, '\\');
            hl_buf_byte(out, *c == '\n' || *c == '\r' ? '_' : (uint8_t)*c);
        }
        hl_buf_byte(out, '"');
    }
    if (le)
        hl_buf_printf(out, "%sle=\"%s\"", between, le);
    if (metric->n_labels || le)
        hl_buf_byte(out, '}');
}

static void write_line(const char *name, const char *suffix, const struct metric *metric,
                       const struct series *series, double value, struct hl_buf *out)
{
    hl_buf_printf(out, "%s%s", name, suffix);
    write_labels(metric, series, NULL, out);
    hl_buf_printf(out, " %.17g\n", value);
}

/* Cumulative, as Prometheus wants them; "+Inf" is the count. */
static void write_histogram(const char *name, const struct metric *metric,
                            const struct series *series, struct hl_buf *out)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i <= metric->n_bounds; i++) {
        char le[32] = "+Inf";
        bool is_last = i == metric->n_bounds;
        if (!is_last)
            snprintf(le, sizeof le, "%g", metric->bounds[i]);
        seen = is_last ? series->count : seen + series->buckets[i];
        hl_buf_printf(out, "%s_bucket", name);
        write_labels(metric, series, le, out);
        hl_buf_printf(out, " %llu\n", (unsigned long long)seen);
    }
    write_line(name, "_sum", metric, series, series->value, out);
    write_line(name, "_count", metric, series, (double)series->count, out);
}

static void write_metric(const struct metric *metric, struct hl_buf *out)
{
    static const char *const types[] = {"", "counter", "gauge", "histogram"};
    const char *name = metric->shown;
    if (metric->help) {
        hl_buf_printf(out, "# HELP %s ", name);
        for (const char *c = metric->help; *c; c++)
            hl_buf_byte(out, *c == '\n' || *c == '\r' || *c == '\\' ? ' ' : (uint8_t)*c);
        hl_buf_byte(out, '\n');
    }
    hl_buf_printf(out, "# TYPE %s %s\n", name, types[metric->type]);
    for (const struct series *series = metric->series; series; series = series->next) {
        if (metric->type == HILUM_METRIC_HISTOGRAM)
            write_histogram(name, metric, series, out);
        else
            write_line(name, "", metric, series, series->value, out);
    }
}

/* With the lock for all of it, so that a histogram's buckets and count fit each other: some
 * ten thousand lines at the very most. */
void hl_metrics_write(struct hl_metrics *metrics, struct hl_buf *out)
{
    pthread_mutex_lock(&metrics->lock);
    for (const struct owner *owner = metrics->owners; owner; owner = owner->next)
        for (uint32_t i = 0; i < owner->n; i++)
            write_metric(owner->metrics[i], out);
    pthread_mutex_unlock(&metrics->lock);
}
