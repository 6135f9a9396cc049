/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/store/ingest_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "tests/unit/store/dataset_builder.h"

void pipeline_open(struct pipeline *p)
{
    const char *intake = getenv("HILUM_TEST_INTAKE"); /* ctest runs both */
    const char *options[] = {intake != NULL ? intake : "intake=log", "segment=2MiB", "segments=3",
                             "memory=4MiB"};
    hilum_rc rc = provider_open(&p->provider, STORE_FS_SO, p->root, options, 4);
    if (rc != HILUM_OK)
        fail_msg("store-fs: %s", provider_reason());
    p->faulty.inner = p->provider.table;
    p->faulty.instance = p->provider.instance;
    const struct hl_store_provider providers[] = {{"fs", &faulty_table, &p->faulty}};
    rc = hl_store_open(providers, 1, p->record, p->bus, &p->options, &p->store);
    if (rc != HILUM_OK)
        fail_msg("store: %s", hl_error());
}

int pipeline_setup(void **state)
{
    struct pipeline *p = calloc(1, sizeof *p);
    hl_log_set_output(-1, false);
    strcpy(p->root, "/tmp/hilum-ingest-XXXXXX");
    assert_non_null(mkdtemp(p->root));
    p->record = fake_record_new();
    assert_int_equal(hl_bus_new(&p->bus), HILUM_OK);
    p->source = (struct hl_ingest_source){.peer = "CT1",
                                          .calling_aet = "CT1",
                                          .called_aet = "HILUM",
                                          .address = "127.0.0.1",
                                          .kind = "dimse"};
    pipeline_open(p);
    *state = p;
    return 0;
}

void pipeline_close(struct pipeline *p)
{
    hl_store_close(p->store);
    provider_close(&p->provider);
}

void pipeline_restart(struct pipeline *p)
{
    pipeline_close(p);
    pipeline_open(p);
}

void pipeline_child(struct pipeline *p, void (*work)(struct pipeline *p))
{
    int ends[2], status = 0;
    pipeline_close(p);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        p->record->has_flush = true;
        pipeline_open(p);
        work(p);
        bool is_written = write(ends[1], p->record->kv, sizeof p->record->kv) > 0;
        _exit(is_written ? 0 : 1);
    }
    assert_int_equal(read(ends[0], p->record->kv, sizeof p->record->kv), sizeof p->record->kv);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(ends[0]);
    close(ends[1]);
}

int pipeline_teardown(void **state)
{
    struct pipeline *p = *state;
    char command[128];
    hl_store_close(p->store);
    int open_txns = atomic_load(&p->faulty.open_txns),
        early = atomic_load(&p->faulty.success_before_sync);
    provider_close(&p->provider);
    hl_bus_free(p->bus);
    fake_record_free(p->record);
    snprintf(command, sizeof command, "rm -rf '%s'", p->root);
    if (system(command) != 0)
        return -1;
    free(p);
    assert_int_equal(open_txns, 0); /* nothing begun is forgotten, whatever failed */
    assert_int_equal(early, 0);
    return 0;
}

static void put_padded(struct hl_buf *b, uint32_t tag, const char *vr, const char *text)
{
    char padded[128];
    size_t n = strlen(text);
    memcpy(padded, text, n + 1);
    if (n & 1) {
        padded[n] = strcmp(vr, "UI") == 0 ? '\0' : ' ';
        put_head(b, tag, vr, (uint32_t)n + 1, false);
        hl_buf_add(b, padded, n + 1);
        return;
    }
    put_text(b, tag, vr, text);
}

void dataset_build(const struct dataset *dataset, struct hl_buf *out)
{
    put_padded(out, 0x00080016, "UI", CT_IMAGE);
    if (dataset->sop_instance != NULL)
        put_padded(out, 0x00080018, "UI", dataset->sop_instance);
    put_padded(out, 0x00080060, "CS", "CT");
    put_padded(out, 0x00100010, "PN", dataset->patient != NULL ? dataset->patient : "Test^Patient");
    put_padded(out, 0x00100020, "LO", "P1");
    if (dataset->study != NULL)
        put_padded(out, 0x0020000D, "UI", dataset->study);
    if (dataset->series != NULL)
        put_padded(out, 0x0020000E, "UI", dataset->series);
    put_us(out, 0x00280010, 16, false);
    put_head(out, 0x7FE00010, "OW", dataset->pixels, false);
    for (uint32_t i = 0; i < dataset->pixels; i++)
        hl_buf_byte(out, (uint8_t)(i * 13 + (i >> 8) + dataset->seed * 7));
}

hilum_rc dataset_send(struct pipeline *p, const char *sop_instance, const struct hl_buf *bytes,
                      struct hl_ingest_result *result)
{
    struct hl_ingest *ingest = NULL;
    hilum_rc rc =
        hl_ingest_begin(p->store, &p->source, CT_IMAGE, sop_instance, EXPLICIT_LE, &ingest, result);
    if (rc != HILUM_OK) {
        assert_null(ingest);
        return rc;
    }
    for (size_t at = 0; at < bytes->len; at += 1000)
        hl_ingest_data(ingest, bytes->data + at, bytes->len - at < 1000 ? bytes->len - at : 1000);
    return hl_ingest_end(ingest, result);
}

hilum_rc image_send(struct pipeline *p, const char *sop_instance, unsigned seed,
                    struct hl_ingest_result *result)
{
    struct hl_buf bytes = {0};
    dataset_build(&(struct dataset){.sop_instance = sop_instance,
                                    .study = "1.2.3",
                                    .series = "1.2.3.4",
                                    .seed = seed,
                                    .pixels = 20000},
                  &bytes);
    hilum_rc rc = dataset_send(p, sop_instance, &bytes, result);
    hl_buf_fini(&bytes);
    return rc;
}

struct seen {
    unsigned n;
    char keys[64][201];
};

static hilum_rc note_key(void *arg, const char *key, const struct hilum_object_info *info)
{
    struct seen *seen = arg;
    (void)info;
    if (strncmp(key, HL_LOG_KEYS, strlen(HL_LOG_KEYS)) == 0)
        return HILUM_OK;
    for (unsigned i = 0; i < seen->n; i++)
        if (strcmp(seen->keys[i], key) == 0)
            return HILUM_OK;
    assert_true(seen->n < sizeof seen->keys / sizeof seen->keys[0]);
    snprintf(seen->keys[seen->n++], sizeof seen->keys[0], "%s", key);
    return HILUM_OK;
}

/* Objects get their final names after the answer: between two listings one may go from pending to final. */
unsigned pipeline_objects(struct pipeline *p)
{
    struct seen seen = {0};
    const struct hilum_store *table = p->provider.table;
    assert_int_equal(table->pending(p->provider.instance, note_key, &seen), HILUM_OK);
    assert_int_equal(table->list(p->provider.instance, "", note_key, &seen), HILUM_OK);
    return seen.n;
}

bool pipeline_wait(struct pipeline *p, bool accepting)
{
    int64_t end = hl_mono_ms() + 10000;
    while (hl_mono_ms() < end) {
        if ((hl_store_health(p->store) == HILUM_OK) == accepting)
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}
