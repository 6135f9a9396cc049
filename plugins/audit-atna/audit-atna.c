/* audit-atna: the audit record to a collector of the house, by syslog (PS3.15 A.5, A.6). The record itself is the queue:
 * what has left is a number kept in the database. SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "atna.h"

#define AT(member) offsetof(struct atna_conf, member)

static const struct hilum_option options[] = {
    {"collector", HILUM_OPT_STR, AT(collector), "udp:127.0.0.1:514", NULL,
     "Where to: \"tls:HOST:6514\", \"tcp:HOST:PORT\", \"udp:HOST:514\"."},
    {"ca", HILUM_OPT_PATH, AT(ca), NULL, NULL,
     "PEM bundle the collector's certificate must chain to; default the system's."},
    {"certificate", HILUM_OPT_PATH, AT(certificate), NULL, NULL,
     "Our certificate for the collector, PEM."},
    {"key", HILUM_OPT_PATH, AT(key), NULL, NULL, "Its private key, PEM."},
    {"server_name", HILUM_OPT_STR, AT(server_name), "", NULL,
     "Name the collector's certificate must carry; empty: HOST."},
    {"source", HILUM_OPT_STR, AT(source), "HILUM", NULL, "AuditSourceID: what we are called."},
    {"site", HILUM_OPT_STR, AT(site), "", NULL, "AuditEnterpriseSiteID."},
    {"from", HILUM_OPT_STR, AT(from), "now", "now|beginning",
     "The first time: rows from \"now\" on, or from the \"beginning\" of the record."},
    {"retry", HILUM_OPT_MSEC, AT(retry), "5s", "100ms..1h",
     "Pause after a failure; doubled each time, up to ten minutes."},
    {"timeout", HILUM_OPT_MSEC, AT(timeout), "10s", "1s..5m",
     "To connect, and for the collector to take what was sent."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* BATCH: rows between two notings of the cursor, so what a crash sends twice. PAUSE_MS: how
 * late a row is when all is well. RETRY_MAX_MS: how late the first one is when the collector
 * comes back. */
enum { BATCH = 200, PAUSE_MS = 500, RETRY_MAX_MS = 600000, WHY = 200 };

#define CURSOR "sent to"

/* Only is_stopping is touched by two threads; what is below the line is the thread's own.
 * message and frame are 30 KB each: here, not on its stack. */
struct atna {
    const struct hilum_host *host;
    hilum_self *self;
    const struct atna_conf *conf;
    struct transport *transport;
    char host_name[256];
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_stopping; /* under lock */
    /* ---- the thread's ---- */
    int64_t cursor, at; /* durable; of the row sent last */
    unsigned n;         /* rows of the batch */
    bool is_behind;     /* there are more */
    char why[WHY];
    struct text message, frame;
};

static void log_line(const struct atna *atna, int32_t level, const char *line)
{
    atna->host->log(atna->self, level, line);
}

/* ---- the cursor ---- */

/* A sink of 32 bytes: a number with its sign. */
static hilum_rc take_text(void *ctx, const void *bytes, uint64_t n)
{
    char *out = ctx;
    size_t have = strlen(out);
    if (have + n >= 32)
        return HILUM_EFULL;
    memcpy(out + have, bytes, (size_t)n);
    out[have + n] = '\0';
    return HILUM_OK;
}

static hilum_rc newest(void *arg, const struct hilum_audit_row *row)
{
    *(int64_t *)arg = row->id;
    return HILUM_OK;
}

/* Durable when it returns HILUM_OK; only then it counts in memory too. */
static hilum_rc cursor_put(struct atna *atna, int64_t at)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, at);
    hilum_rc rc = atna->host->value_put(atna->self, CURSOR, text);
    if (rc == HILUM_OK)
        atna->cursor = at;
    return rc;
}

/* Without a cursor (the first start) "now" is the newest row: an archive that has audited for
 * years does not flood a new collector. It is noted at once, or a restart before the first row
 * would jump over what came between. */
static hilum_rc cursor_get(struct atna *atna)
{
    char text[32] = "";
    struct hilum_sink sink = {.size = sizeof sink, .write = take_text, .ctx = text};
    hilum_rc rc = atna->host->value_get(atna->self, CURSOR, &sink);
    if (rc == HILUM_OK)
        atna->cursor = strtoll(text, NULL, 10);
    if (rc != HILUM_ENOTFOUND)
        return rc;
    int64_t last = 0;
    rc = strcmp(atna->conf->from, "now") == 0 ? atna->host->audit_rows(atna->self, 0, newest, &last)
                                              : HILUM_OK;
    return rc == HILUM_OK ? cursor_put(atna, last) : rc;
}

/* ---- one row ---- */

/* The patient as the catalogue knows him now, as PS3.15 A.5.3 asks of messages about studies.
 * NULL: the plugin's own rights, nobody asks for it. */
static void study_look_up(struct atna *atna, const char *uid, struct study *out)
{
    static const uint32_t returns[] = {0x00100020, 0x00100010, 0x00080050};
    const struct hilum_catalog_api *catalog = atna->host->catalog;
    const struct hilum_catalog_key key = {.tag = 0x0020000D, .value = uid};
    const struct hilum_catalog_query query = {.size = sizeof query,
                                              .level = HILUM_LEVEL_STUDY,
                                              .keys = &key,
                                              .n_keys = 1,
                                              .returns = returns,
                                              .n_returns = 3,
                                              .limit = 1};
    char *const outs[] = {out->patient_id, out->patient_name, out->accession};
    const size_t sizes[] = {sizeof out->patient_id, sizeof out->patient_name,
                            sizeof out->accession};
    hilum_cursor *cursor = NULL;
    if (catalog->open(atna->self, NULL, &query, &cursor) != HILUM_OK)
        return;
    if (catalog->next(cursor) == 1)
        for (size_t i = 0; i < 3; i++) {
            const char *value = catalog->value(cursor, returns[i]);
            snprintf(outs[i], sizes[i], "%s", value != NULL ? value : "");
        }
    catalog->close(cursor);
}

static bool is_stopping(struct atna *atna)
{
    pthread_mutex_lock(&atna->lock);
    bool is = atna->is_stopping;
    pthread_mutex_unlock(&atna->lock);
    return is;
}

/* What does not become a message is left behind with the others: nothing may stop the queue
 * for ever. Called by the host for each row, in order. HILUM_ECANCELLED ends the reading and
 * is no failure. */
static hilum_rc row_send(void *arg, const struct hilum_audit_row *row)
{
    struct atna *atna = arg;
    struct study study = {.patient_id = ""};
    if (atna->n == BATCH || is_stopping(atna)) {
        atna->is_behind = true;
        return HILUM_ECANCELLED;
    }
    if (atna_is_study(row))
        study_look_up(atna, row->what, &study);
    if (atna_message(atna->conf, row, &study, &atna->message)) {
        atna_frame(atna->host_name, row->at_us, &atna->message, &atna->frame);
        if (!transport_send(atna->transport, &atna->frame, atna->why))
            return HILUM_ECLOSED;
    } else if (atna->message.is_cut) {
        char line[80];
        snprintf(line, sizeof line, "audit row %" PRId64 " does not fit a message", row->id);
        log_line(atna, HILUM_LOG_ERROR, line);
    }
    atna->at = row->id;
    atna->n++;
    return HILUM_OK;
}

/* HILUM_OK: all that was there, or a batch of it, has left and that is noted. First sent, then
 * settled, then noted: the cursor is never ahead of what the other side's kernel has. */
static hilum_rc batch_send(struct atna *atna)
{
    atna->at = atna->cursor;
    atna->n = 0;
    atna->is_behind = false;
    if (!transport_is_open(atna->transport) && !transport_open(atna->transport, atna->why))
        return HILUM_ECLOSED;
    hilum_rc rc = atna->host->audit_rows(atna->self, atna->cursor, row_send, atna);
    if (rc != HILUM_OK && rc != HILUM_ECANCELLED && rc != HILUM_ECLOSED)
        snprintf(atna->why, WHY, "%s", atna->host->reason(atna->self));
    if (rc == HILUM_ECANCELLED)
        rc = HILUM_OK;
    if (rc == HILUM_OK && atna->n > 0 && !transport_settle(atna->transport, atna->why))
        rc = HILUM_ECLOSED;
    return rc == HILUM_OK && atna->n > 0 ? cursor_put(atna, atna->at) : rc;
}

/* ---- the thread ---- */

/* false: it is time to go. Ends at once when atna_stop() says so. */
static bool pause_for(struct atna *atna, int64_t ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&atna->lock);
    while (!atna->is_stopping &&
           pthread_cond_timedwait(&atna->changed, &atna->lock, &until) != ETIMEDOUT)
        ;
    bool goes_on = !atna->is_stopping;
    pthread_mutex_unlock(&atna->lock);
    return goes_on;
}

/* A line when it changes, not with each attempt. */
static void tell_state(struct atna *atna, bool was_well, bool is_well)
{
    char line[WHY + 80];
    if (was_well && !is_well) {
        snprintf(line, sizeof line, "the collector does not get the audit record; it waits: %s",
                 atna->why);
        log_line(atna, HILUM_LOG_ERROR, line);
    } else if (!was_well && is_well) {
        log_line(atna, HILUM_LOG_INFO, "the collector gets the audit record again");
    }
}

/* The plugin's only thread. It ends between two rows; a send under way has its own deadline. */
static void *deliver(void *arg)
{
    struct atna *atna = arg;
    int64_t pause = atna->conf->retry;
    bool is_well = true, goes_on = true;
    while (goes_on) {
        bool was_well = is_well;
        is_well = batch_send(atna) == HILUM_OK;
        tell_state(atna, was_well, is_well);
        if (is_well) {
            pause = atna->conf->retry;
            goes_on = atna->is_behind ? !is_stopping(atna) : pause_for(atna, PAUSE_MS);
            continue;
        }
        goes_on = pause_for(atna, pause);
        pause = pause * 2 < RETRY_MAX_MS ? pause * 2 : RETRY_MAX_MS;
    }
    return NULL;
}

/* ---- life ---- */

/* Called by drain and again by fini, which is harmless: the second finds no thread. */
static void atna_stop(struct atna *atna)
{
    pthread_mutex_lock(&atna->lock);
    atna->is_stopping = true;
    pthread_cond_broadcast(&atna->changed);
    pthread_mutex_unlock(&atna->lock);
    if (atna->has_thread)
        pthread_join(atna->thread, NULL);
    atna->has_thread = false;
}

/* Also of one that never started: there is no thread to join. */
static void atna_fini(void *state)
{
    struct atna *atna = state;
    atna_stop(atna);
    transport_free(atna->transport);
    pthread_cond_destroy(&atna->changed);
    pthread_mutex_destroy(&atna->lock);
    free(atna);
}

/* The transport is checked here, so that a wrong `collector` is a fault of the configuration
 * and not of the first row. */
static hilum_rc atna_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                          void **state)
{
    char why[WHY] = "";
    struct atna *atna = calloc(1, sizeof *atna);
    if (atna == NULL)
        return host->fail(self, HILUM_ENOMEM, "audit-atna: no memory");
    atna->host = host;
    atna->self = self;
    atna->conf = conf;
    pthread_mutex_init(&atna->lock, NULL);
    pthread_cond_init(&atna->changed, NULL);
    if (gethostname(atna->host_name, sizeof atna->host_name - 1) != 0 || !*atna->host_name)
        snprintf(atna->host_name, sizeof atna->host_name, "-");
    atna->transport = transport_new(conf, why);
    if (atna->transport == NULL) {
        atna_fini(atna);
        return host->fail(self, HILUM_EINVAL, why);
    }
    *state = atna;
    return HILUM_OK;
}

/* The cursor needs the database, which is there from start on. */
static hilum_rc atna_start(void *state)
{
    struct atna *atna = state;
    hilum_rc rc = cursor_get(atna);
    if (rc != HILUM_OK)
        return rc;
    if (pthread_create(&atna->thread, NULL, deliver, atna) != 0)
        return atna->host->fail(atna->self, HILUM_ENOMEM, "audit-atna: no thread");
    pthread_setname_np(atna->thread, "audit-atna");
    atna->has_thread = true;
    return HILUM_OK;
}

/* Rows written after this are sent by the next life: the cursor is where it was. */
static void atna_drain(void *state, uint32_t deadline_ms)
{
    struct atna *atna = state;
    (void)deadline_ms;
    atna_stop(atna);
}

static const char *const provides[] = {NULL};

/* RESTART: two lives beside each other would send from one cursor, and every row twice. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct atna_conf),
    .id = "audit-atna",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = atna_init,
    .start = atna_start,
    .drain = atna_drain,
    .fini = atna_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
