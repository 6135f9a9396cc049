/* Catalogue queries over N studies put in through hl_record_instances: p50 and p95, cold and warm, beside
 * the same at 10,000. Usage: bench_find [studies] [directory [reuse]]: a directory given is kept, and with a
 * third word only asked, not filled. SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/record/columns.h"
#include "core/record/record.h"
#include "tests/fake_host.h"

enum { BATCH = 1024, RUNS = 100, ANSWERS = 100 };

static const char *const families[] = {"SMITH", "SMIRNOW", "MUELLER", "JOHNSON", "BROWN",  "WANG",
                                       "ZHANG", "LI",      "TANAKA",  "KIM",     "GARCIA", "DUPONT",
                                       "ROSSI", "NOWAK",   "IVANOV",  "JENSEN"};
static const char *const modalities[] = {"CT", "MR", "US", "CR", "DX", "MG", "NM", "XA"};

struct bench {
    hilum_self *host;
    const struct hilum_database *db;
    void *instance;
    struct hl_record *record;
    unsigned studies;
    char dir[256];
};

static void must(hilum_rc rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s %s %s\n", what, hl_rc_name(rc), hl_error(), fake_host_reason());
    exit(1);
}

static void bench_open(struct bench *bench)
{
    const struct hl_record_options options = {.default_issuer = "H", .study_idle_ms = 60000};
    bench->host = fake_host_open(DB_SQLITE_SO, bench->dir, NULL);
    if (!bench->host)
        exit(1);
    bench->db = fake_host_cap(bench->host, HILUM_CAP_DATABASE, &bench->instance);
    must(hl_record_open(bench->db, bench->instance, &options, &bench->record), "open");
}

static void bench_close(struct bench *bench)
{
    hl_record_close(bench->record);
    fake_host_close(bench->host);
}

/* ---- filling ---------------------------------------------------------------------------------------------- */

/* Study i belongs to patient i * 3 / 5: some have several. */
static void study_fill(unsigned i, struct hl_attrs *attrs, struct hl_instance *row)
{
    char text[96];
    unsigned patient = (unsigned)((uint64_t)i * 3 / 5),
             day = (unsigned)((uint64_t)i * 2654435761u % 3650);
    struct {
        uint32_t tag;
        const char *prefix;
        unsigned value;
    } const numbers[] = {{HL_SOP_INSTANCE_UID, "1.2.840.99.4.", i},
                         {HL_SERIES_INSTANCE_UID, "1.2.840.99.3.", i},
                         {HL_STUDY_INSTANCE_UID, "1.2.840.99.2.", i},
                         {HL_PATIENT_ID, "PID", patient},
                         {HL_ACCESSION_NUMBER, "A", i},
                         {0x00200010, "", i}};
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
        snprintf(text, sizeof text, "%s%u", numbers[k].prefix, numbers[k].value);
        hl_attrs_set(attrs, numbers[k].tag, text);
    }
    snprintf(text, sizeof text, "%06u", i % 24 * 10000);
    hl_attrs_set(attrs, 0x00080030, text);
    snprintf(text, sizeof text, "%s%05u^GIVEN%u", families[patient % 16], patient * 7919 % 100000,
             patient % 1000);
    hl_attrs_set(attrs, HL_PATIENT_NAME, text);
    snprintf(text, sizeof text, "%04u%02u%02u", 2015 + day / 365, day % 365 / 31 + 1, day % 28 + 1);
    hl_attrs_set(attrs, HL_STUDY_DATE, text);
    hl_attrs_set(attrs, HL_MODALITY, modalities[i % 8]);
    hl_attrs_set(attrs, HL_SOP_CLASS_UID, "1.2.840.10008.5.1.4.1.1.2");
    hl_attrs_set(attrs, HL_PATIENT_SEX, patient % 2 ? "M" : "F");
    hl_attrs_set(attrs, 0x00081030, "CT thorax with contrast");
    hl_attrs_set(attrs, 0x00200011, "1");
    hl_attrs_set(attrs, 0x00200013, "1");
    *row = (struct hl_instance){.attrs = attrs,
                                .transfer_syntax = "1.2.840.10008.1.2.1",
                                .location = {.store = "fs", .length = 525000},
                                .peer = "BENCH",
                                .calling_aet = "BENCH",
                                .called_aet = "HILUM",
                                .address = "127.0.0.1"};
    snprintf(row->location.key, sizeof row->location.key, "%02x/%u", i % 256, i);
}

/* User time: what the kernel spends on syncing is the device's price, not ours. */
static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6;
}

static void fill(struct bench *bench, unsigned from, unsigned to)
{
    static struct hl_attrs attrs[BATCH];
    static struct hl_instance rows[BATCH];
    struct hl_instance *list[BATCH];
    int64_t start = hl_mono_ns();
    double cpu = cpu_seconds();
    for (unsigned i = from; i < to; i += BATCH) {
        unsigned n = to - i < BATCH ? to - i : BATCH;
        for (unsigned k = 0; k < n; k++) {
            study_fill(i + k, &attrs[k], &rows[k]);
            list[k] = &rows[k];
        }
        must(hl_record_instances(bench->record, list, n), "fill");
        for (unsigned k = 0; k < n; k++)
            hl_attrs_fini(&attrs[k]);
    }
    double seconds = (double)(hl_mono_ns() - start) / 1e9;
    printf("fill %u -> %u new studies, batches of %d: %.0f/s, %.4f ms user cpu each\n", from, to,
           BATCH, (to - from) / seconds, (cpu_seconds() - cpu) * 1000 / (to - from));
}

/* One instance a call into one series: what a C-STORE costs the catalogue. */
static void single_inserts(struct bench *bench)
{
    enum { N = 2000 };
    struct hl_instance row, *list = &row;
    int64_t start = hl_mono_ns();
    double cpu = cpu_seconds();
    for (unsigned i = 0; i < N; i++) {
        struct hl_attrs attrs = {0};
        char uid[64];
        study_fill(bench->studies + 1, &attrs, &row);
        snprintf(uid, sizeof uid, "1.2.840.99.5.%u.%u", bench->studies, i);
        hl_attrs_set(&attrs, HL_SOP_INSTANCE_UID, uid);
        snprintf(row.location.key, sizeof row.location.key, "one/%u/%u", bench->studies, i);
        must(hl_record_instances(bench->record, &list, 1), "insert");
        hl_attrs_fini(&attrs);
    }
    double seconds = (double)(hl_mono_ns() - start) / 1e9;
    printf("one by one into one series, each its own commit: %.0f/s, %.4f ms user cpu each\n",
           N / seconds, (cpu_seconds() - cpu) * 1000 / N);
}

/* ---- asking ------------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void key_text(const char *what, unsigned random, unsigned studies, char out[2][64])
{
    unsigned study = random % studies, month = random % 12 + 1, year = 2015 + random / 12 % 10;
    out[1][0] = '\0';
    if (strcmp(what, "PatientID") == 0)
        snprintf(out[0], 64, "PID%u", (unsigned)((uint64_t)study * 3 / 5));
    else if (strcmp(what, "StudyInstanceUID") == 0)
        snprintf(out[0], 64, "1.2.840.99.2.%u", study);
    else if (strcmp(what, "AccessionNumber") == 0)
        snprintf(out[0], 64, "A%u", study);
    else if (strcmp(what, "name prefix") == 0)
        snprintf(out[0], 64, "%.3s*", families[random % 16]);
    else if (strcmp(what, "name prefix, longer") == 0)
        snprintf(out[0], 64, "%s%02u*", families[random % 16], random % 100);
    else
        snprintf(out[0], 64, "%04u%02u01-%04u%02u31", year, month, year, month);
    if (strstr(what, "modality"))
        snprintf(out[1], 64, "%s", modalities[random % 8]);
}

static double ask(struct bench *bench, uint32_t tag, char values[2][64], int32_t order,
                  unsigned *answers)
{
    static const uint32_t returns[] = {
        HL_PATIENT_NAME, HL_PATIENT_ID, HL_STUDY_DATE, 0x00080030, HL_ACCESSION_NUMBER,
        0x00081030,      0x00080061,    0x00201206,    0x00201208, HL_STUDY_INSTANCE_UID};
    const struct hilum_catalog_key keys[] = {{.tag = tag, .value = values[0]},
                                             {.tag = 0x00080061, .value = values[1]}};
    const struct hilum_catalog_query query = {.size = sizeof query,
                                              .level = HILUM_LEVEL_STUDY,
                                              .keys = keys,
                                              .n_keys = 2,
                                              .returns = returns,
                                              .n_returns = sizeof returns / sizeof *returns,
                                              .order = order};
    hilum_cursor *cursor;
    int64_t start = hl_mono_ns();
    must(hl_record_find(bench->record, &query, NULL, &cursor), "find");
    for (*answers = 0; *answers < ANSWERS && hl_cursor_next(cursor) == 1; ++*answers)
        ;
    double ms = (double)(hl_mono_ns() - start) / 1e6;
    hl_cursor_close(cursor);
    return ms;
}

static const struct {
    const char *what;
    uint32_t tag;
    int32_t order;
} queries[] = {{"PatientID", HL_PATIENT_ID, 0},
               {"StudyInstanceUID", HL_STUDY_INSTANCE_UID, 0},
               {"AccessionNumber", HL_ACCESSION_NUMBER, 0},
               {"name prefix", HL_PATIENT_NAME, 0},
               {"name prefix, longer", HL_PATIENT_NAME, 0},
               {"month", HL_STUDY_DATE, 0},
               {"month, newest first", HL_STUDY_DATE, HILUM_ORDER_NEWEST},
               {"month and modality", HL_STUDY_DATE, 0}};

static void ask_all(struct bench *bench, const char *state)
{
    srand(7);
    for (size_t q = 0; q < sizeof queries / sizeof *queries; q++) {
        double ms[RUNS];
        unsigned answers = 0, total = 0;
        for (unsigned i = 0; i < RUNS; i++) {
            char values[2][64];
            key_text(queries[q].what, (unsigned)rand(), bench->studies, values);
            ms[i] = ask(bench, queries[q].tag, values, queries[q].order, &answers);
            total += answers;
        }
        double first = ms[0];
        qsort(ms, RUNS, sizeof *ms, compare);
        printf("%9u %-5s %-22s p50 %7.3f ms  p95 %7.3f ms  first %7.3f ms  answers %.1f\n",
               bench->studies, state, queries[q].what, ms[RUNS / 2], ms[RUNS * 95 / 100], first,
               (double)total / RUNS);
    }
}

/* The pages of the file leave the cache of the kernel; SQLite's own goes with the session. */
static void cold(struct bench *bench)
{
    char path[320];
    bench_close(bench);
    snprintf(path, sizeof path, "%s/catalog.db", bench->dir);
    int fd = open(path, O_RDONLY);
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
    int64_t start = hl_mono_ns();
    bench_open(bench);
    printf("%9u open: %.1f ms\n", bench->studies, (double)(hl_mono_ns() - start) / 1e6);
}

int main(int argc, char **argv)
{
    struct bench bench = {0};
    unsigned target = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    static const unsigned first = 10000;
    char command[320];
    struct stat info;
    setlinebuf(stdout);
    snprintf(bench.dir, sizeof bench.dir, "%s", argc > 2 ? argv[2] : "/tmp/hilum-bench-XXXXXX");
    if (argc <= 2 && !mkdtemp(bench.dir))
        return 1;
    bench_open(&bench);
    if (argc > 3) {
        bench.studies = target;
        cold(&bench);
        ask_all(&bench, "cold");
        ask_all(&bench, "warm");
        target = 0;
    }
    for (unsigned n = target < first ? target : first, done = 0; done < target;
         done = n, n = target) {
        fill(&bench, done, n);
        bench.studies = n;
        single_inserts(&bench);
        cold(&bench);
        ask_all(&bench, "cold");
        ask_all(&bench, "warm");
    }
    snprintf(command, sizeof command, "%s/catalog.db", bench.dir);
    if (stat(command, &info) == 0)
        printf("file %.1f MB\n", (double)info.st_size / 1e6);
    bench_close(&bench);
    snprintf(command, sizeof command, "rm -rf %s", bench.dir);
    return argc > 2 ? 0 : system(command);
}
