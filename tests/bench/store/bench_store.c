/* How fast an object becomes durable through the pipeline, beside the durable probe in the same run. No
 * network: bytes come from memory in pieces of 64 KiB. Usage: bench_store [objects [rounds [dir]]].
 * SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/store/ingest.h"
#include "hilum/plugin.h"
#include "tests/bench/store/probe.h"
#include "tests/fake_host.h"

enum { IMAGE = 512 * 512 * 2, PIECE = 64 * 1024 };

#define CT_IMAGE    "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT_LE "1.2.840.10008.1.2.1"

static void element(struct hl_buf *b, uint32_t tag, const char *vr, const void *value, uint32_t n)
{
    const uint8_t head[] = {(uint8_t)(tag >> 16), (uint8_t)(tag >> 24), (uint8_t)tag,
                            (uint8_t)(tag >> 8)};
    const uint8_t length[] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
                              (uint8_t)(n >> 24)};
    hl_buf_add(b, head, 4);
    hl_buf_add(b, vr, 2);
    if (vr[0] == 'O')
        hl_buf_add(b, "\0\0", 2);
    hl_buf_add(b, length, vr[0] == 'O' ? 4 : 2);
    hl_buf_add(b, value, n);
}

static void uid_element(struct hl_buf *b, uint32_t tag, const char *uid)
{
    char padded[66] = {0};
    snprintf(padded, sizeof padded, "%s", uid);
    element(b, tag, "UI", padded, (uint32_t)(strlen(uid) + 1) & ~1u);
}

static void image_build(struct hl_buf *b, const char *sop, const char *study, const uint8_t *pixels)
{
    char series[80];
    snprintf(series, sizeof series, "%s.1", study);
    uid_element(b, 0x00080016, CT_IMAGE);
    uid_element(b, 0x00080018, sop);
    element(b, 0x00080020, "DA", "20261123", 8);
    element(b, 0x00080060, "CS", "CT", 2);
    element(b, 0x00100010, "PN", "Bench^Patient ", 14);
    element(b, 0x00100020, "LO", "B1", 2);
    uid_element(b, 0x0020000D, study);
    uid_element(b, 0x0020000E, series);
    element(b, 0x7FE00010, "OW", pixels, IMAGE);
}

struct run {
    struct hl_store *store;
    const uint8_t *pixels;
    unsigned n, next, faults;
};

static void image_send(struct run *run, unsigned i)
{
    static const struct hl_ingest_source source = {.peer = "BENCH",
                                                   .calling_aet = "BENCH",
                                                   .called_aet = "HILUM",
                                                   .address = "127.0.0.1",
                                                   .kind = "dimse"};
    char sop[64], study[64];
    struct hl_buf head = {0};
    struct hl_ingest *ingest = NULL;
    struct hl_ingest_result result;
    snprintf(sop, sizeof sop, "1.2.3.4.%u", i + 1);
    snprintf(study, sizeof study, "1.2.3.5.%u", i / 100 + 1);
    image_build(&head, sop, study, run->pixels);
    hilum_rc rc =
        hl_ingest_begin(run->store, &source, CT_IMAGE, sop, EXPLICIT_LE, &ingest, &result);
    for (size_t at = 0; rc == HILUM_OK && at < head.len; at += PIECE)
        rc = hl_ingest_data(ingest, head.data + at, head.len - at < PIECE ? head.len - at : PIECE);
    if (ingest != NULL)
        rc = hl_ingest_end(ingest, &result);
    if (rc != HILUM_OK && __atomic_fetch_add(&run->faults, 1, __ATOMIC_RELAXED) == 0)
        printf("# %04X %s\n", result.status, hl_error());
    hl_buf_fini(&head);
}

static void *sender(void *arg)
{
    struct run *run = arg;
    for (;;) {
        unsigned i = __atomic_fetch_add(&run->next, 1, __ATOMIC_RELAXED);
        if (i >= run->n)
            return NULL;
        image_send(run, i);
    }
}

/* The log's segments are made once in a server's life, in the background: that is not what is measured. */
static void segments_wait(const char *dir, const char *intake)
{
    char last[300];
    snprintf(last, sizeof last, "%s/objects/intake/segment-07", dir);
    for (int i = 0; strcmp(intake, "log") == 0 && access(last, F_OK) != 0 && i < 6000; i++)
        usleep(10000);
}

static double pipeline_run(const char *dir, const char *intake, unsigned n, unsigned threads,
                           const uint8_t *pixels, double *drained)
{
    const struct fake_option store_options[] = {{"intake", intake}, {NULL, NULL}};
    const struct fake_option no_options[] = {{NULL, NULL}};
    struct hl_record_options record_options = {.study_idle_ms = 60000};
    struct hl_store_options options = {.memory_budget = 64 << 20, .limits.header_limit = 4 << 20};
    struct run run = {.pixels = pixels, .n = n};
    struct hl_record *record = NULL;
    void *db = NULL, *fs = NULL;
    pthread_t ids[64];
    hilum_self *db_host = fake_host_open(DB_SQLITE_SO, dir, no_options);
    hilum_self *fs_host = fake_host_open(STORE_FS_SO, dir, store_options);
    const struct hilum_database *database = fake_host_cap(db_host, HILUM_CAP_DATABASE, &db);
    const struct hl_store_provider provider = {"fs", fake_host_cap(fs_host, HILUM_CAP_STORE, &fs),
                                               NULL};
    struct hl_store_provider providers[] = {provider};
    providers[0].instance = fs;
    if (hl_record_open(database, db, &record_options, &record) != HILUM_OK ||
        hl_store_open(providers, 1, record, NULL, &options, &run.store) != HILUM_OK)
        return -1;
    segments_wait(dir, intake);
    int64_t start = hl_mono_ns();
    for (unsigned t = 0; t < threads; t++)
        pthread_create(&ids[t], NULL, sender, &run);
    for (unsigned t = 0; t < threads; t++)
        pthread_join(ids[t], NULL);
    double seconds = (double)(hl_mono_ns() - start) / 1e9;
    hl_store_close(run.store);
    hl_record_close(record);
    fake_host_close(fs_host); /* cuts what is in the log */
    *drained = (double)n * 1e9 / (double)(hl_mono_ns() - start);
    fake_host_close(db_host);
    return run.faults == 0 ? (double)n / seconds : -1;
}

/* A new directory a run: ext4 is slow for minutes after a large rm -rf. */
static const char *dir_new(const char *base, const char *name, unsigned round, unsigned threads)
{
    static char dir[256];
    snprintf(dir, sizeof dir, "%s/%s-%u-%u-XXXXXX", base, name, threads, round);
    return mkdtemp(dir);
}

static void round_run(const char *base, unsigned round, unsigned n, unsigned threads,
                      const uint8_t *pixels)
{
    static const char *const modes[] = {"files", "log"};
    struct hl_buf object = {0};
    double drained = 0;
    image_build(&object, "1.2", "1.3", pixels);
    double probe =
        probe_run(dir_new(base, "probe", round, threads), object.data, object.len, n, threads);
    printf("%u sender%s  probe %7.0f obj/s", threads, threads > 1 ? "s" : " ", probe);
    for (size_t m = 0; m < 2; m++) {
        double rate = pipeline_run(dir_new(base, modes[m], round, threads), modes[m], n, threads,
                                   pixels, &drained);
        printf("   %s %7.0f (x%.2f, all cut %5.0f x%.2f)", modes[m], rate, rate / probe, drained,
               drained / probe);
        fflush(stdout);
    }
    printf("\n");
    hl_buf_fini(&object);
}

int main(int argc, char **argv)
{
    unsigned n = argc > 1 ? (unsigned)atoi(argv[1]) : 400,
             rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
    char base[200];
    uint8_t *pixels = malloc(IMAGE);
    snprintf(base, sizeof base, "%s/hilum-bench-XXXXXX", argc > 3 ? argv[3] : "/var/tmp");
    if (pixels == NULL || mkdtemp(base) == NULL) {
        fprintf(stderr, "bench_store: no directory %s\n", base);
        return 1;
    }
    for (unsigned i = 0; i < IMAGE; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 512);
    hl_log_set_level(HL_ERROR);
    printf("%u objects of %d bytes, FULL, warm cache, %s (remove it later: see ext4 trap)\n", n,
           IMAGE, base);
    for (unsigned r = 0; r < rounds; r++) {
        round_run(base, r, n, 1, pixels);
        round_run(base, r, n, 4, pixels);
    }
    free(pixels);
    return 0;
}
