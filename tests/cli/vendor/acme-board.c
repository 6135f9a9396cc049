/* acme-board: a private SOP class that is a notice board of the department. N-CREATE pins a note (its Text Value), N-GET reads
 * one, N-SET changes it, N-DELETE takes it down, C-FIND tells all of them, N-ACTION 1 clears the board. Notes outlive the server.
 * SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hilum/host.h"

#define BOARD_CLASS "2.25.273984710293847102938471029384710293847"

enum { NOTES = 100, UID = 65, TEXT = 256, SOP_INSTANCE = 0x00080018, TEXT_VALUE = 0x0040A160 };

struct note {
    char uid[UID], text[TEXT]; /* uid "": free */
};

struct board {
    const struct hilum_host *host;
    hilum_self *self;
    pthread_mutex_t lock;
    struct note notes[NOTES];
};

/* ---- notes; under the lock ---- */

static struct note *find(struct board *b, const char *uid)
{
    for (int i = 0; i < NOTES; i++)
        if (strcmp(b->notes[i].uid, uid) == 0)
            return &b->notes[i];
    return NULL;
}

/* Durable when it returns HILUM_OK: only then the peer hears success. */
static hilum_rc keep(struct board *b, const struct note *note)
{
    char key[16], value[UID + TEXT + 2];
    snprintf(key, sizeof key, "note-%d", (int)(note - b->notes));
    snprintf(value, sizeof value, "%s %s", note->uid, note->text);
    return b->host->value_put(b->self, key, value);
}

static uint16_t put_down(struct board *b, struct note *note, const char *uid, const char *text)
{
    struct note before = *note;
    snprintf(note->uid, UID, "%s", uid);
    snprintf(note->text, TEXT, "%s", text);
    if (keep(b, note) == HILUM_OK)
        return HILUM_STATUS_SUCCESS;
    *note = before;
    return HILUM_STATUS_PROCESSING_FAILURE;
}

/* ---- requests ---- */

static uint16_t create(struct board *b, const char *uid, const char *text)
{
    if (!*uid)
        return HILUM_STATUS_INVALID_ARGUMENT; /* who pins it names it */
    if (!text)
        return HILUM_STATUS_MISSING_ATTRIBUTE;
    if (find(b, uid))
        return HILUM_STATUS_DUPLICATE_INSTANCE;
    struct note *free_one = find(b, "");
    return free_one ? put_down(b, free_one, uid, text) : HILUM_STATUS_PROCESSING_FAILURE;
}

static uint16_t change(struct board *b, const char *uid, const char *text)
{
    struct note *note = *uid ? find(b, uid) : NULL;
    if (!note)
        return HILUM_STATUS_NO_SUCH_INSTANCE;
    return text ? put_down(b, note, uid, text) : HILUM_STATUS_MISSING_ATTRIBUTE;
}

static uint16_t take_down(struct board *b, const char *uid)
{
    struct note *note = *uid ? find(b, uid) : NULL;
    return note ? put_down(b, note, "", "") : HILUM_STATUS_NO_SUCH_INSTANCE;
}

static uint16_t clear(struct board *b)
{
    uint16_t status = HILUM_STATUS_SUCCESS;
    for (int i = 0; i < NOTES; i++)
        if (b->notes[i].uid[0] && status == HILUM_STATUS_SUCCESS)
            status = put_down(b, &b->notes[i], "", "");
    return status;
}

static uint16_t run(struct board *b, const struct hilum_dimse_request *request, const char *text)
{
    switch (request->command_field) {
    case HILUM_N_CREATE: return create(b, request->sop_instance, text);
    case HILUM_N_SET: return change(b, request->sop_instance, text);
    case HILUM_N_DELETE: return take_down(b, request->sop_instance);
    case HILUM_N_ACTION: return request->action_type == 1 ? clear(b) : HILUM_STATUS_NO_SUCH_ACTION;
    default: return HILUM_STATUS_UNRECOGNIZED_OPERATION;
    }
}

/* One response with a note in it. */
static hilum_rc show(const struct board *b, hilum_exchange *exchange, const struct note *note,
                     uint16_t status)
{
    const struct hilum_dicom_api *dicom = b->host->dicom;
    hilum_dataset *data = dicom->dataset_new();
    hilum_rc rc = data ? dicom->put_tag(data, TEXT_VALUE, note->text) : HILUM_ENOMEM;
    if (rc == HILUM_OK && status == HILUM_STATUS_PENDING)
        rc = dicom->put_tag(data, SOP_INSTANCE, note->uid);
    if (rc == HILUM_OK)
        rc = dicom->respond(exchange, status, data, NULL, NULL);
    dicom->dataset_free(data);
    return rc;
}

static hilum_rc get(struct board *b, hilum_exchange *exchange, const char *uid)
{
    struct note copy = {{0}, {0}};
    pthread_mutex_lock(&b->lock);
    const struct note *note = *uid ? find(b, uid) : NULL;
    if (note)
        copy = *note;
    pthread_mutex_unlock(&b->lock);
    return note ? show(b, exchange, &copy, HILUM_STATUS_SUCCESS)
                : b->host->dicom->respond(exchange, HILUM_STATUS_NO_SUCH_INSTANCE, NULL, NULL,
                                          "no such note");
}

static hilum_rc tell_all(struct board *b, hilum_exchange *exchange)
{
    const struct hilum_dicom_api *dicom = b->host->dicom;
    hilum_rc rc = HILUM_OK;
    struct note *copies = malloc(sizeof b->notes); /* a slow peer holds up nobody else */
    if (!copies)
        return HILUM_ENOMEM;
    pthread_mutex_lock(&b->lock);
    memcpy(copies, b->notes, sizeof b->notes);
    pthread_mutex_unlock(&b->lock);
    for (int i = 0; i < NOTES && rc == HILUM_OK; i++) {
        if (!copies[i].uid[0])
            continue;
        rc = dicom->cancelled(exchange);
        if (rc == 1) {
            free(copies);
            return dicom->respond(exchange, HILUM_STATUS_CANCELLED, NULL, NULL, NULL);
        }
        if (rc == HILUM_OK)
            rc = show(b, exchange, &copies[i], HILUM_STATUS_PENDING);
    }
    free(copies);
    return rc == HILUM_OK ? dicom->respond(exchange, HILUM_STATUS_SUCCESS, NULL, NULL, NULL) : rc;
}

static hilum_rc handle(void *instance, hilum_exchange *exchange)
{
    struct board *b = instance;
    const struct hilum_dicom_api *dicom = b->host->dicom;
    const struct hilum_dimse_request *request = dicom->request(exchange);
    if (request->command_field == HILUM_N_GET)
        return get(b, exchange, request->sop_instance);
    if (request->command_field == HILUM_C_FIND)
        return tell_all(b, exchange);
    hilum_dataset *data = request->has_dataset ? dicom->identifier(exchange) : NULL;
    const char *text = data ? dicom->get_tag(data, TEXT_VALUE) : NULL;
    pthread_mutex_lock(&b->lock);
    uint16_t status = run(b, request, text);
    pthread_mutex_unlock(&b->lock);
    return dicom->respond(exchange, status, NULL, NULL, NULL);
}

/* ---- life ---- */

struct read {
    char text[UID + TEXT + 2];
    size_t n;
};

static hilum_rc take(void *ctx, const void *bytes, uint64_t n)
{
    struct read *read = ctx;
    if (n >= sizeof read->text - read->n)
        return HILUM_EFULL;
    memcpy(read->text + read->n, bytes, (size_t)n);
    read->n += (size_t)n;
    read->text[read->n] = '\0';
    return HILUM_OK;
}

static hilum_rc start(void *state)
{
    struct board *b = state;
    for (int i = 0; i < NOTES; i++) {
        char key[16];
        struct read read = {{0}, 0};
        struct hilum_sink sink = {.size = sizeof sink, .write = take, .ctx = &read};
        snprintf(key, sizeof key, "note-%d", i);
        hilum_rc rc = b->host->value_get(b->self, key, &sink);
        if (rc != HILUM_OK && rc != HILUM_ENOTFOUND)
            return rc;
        size_t n = strcspn(read.text, " ");
        if (n > 0 && n < UID && read.text[n] == ' ') {
            memcpy(b->notes[i].uid, read.text, n);
            snprintf(b->notes[i].text, TEXT, "%s", read.text + n + 1);
        }
    }
    return HILUM_OK;
}

static void fini(void *state)
{
    pthread_mutex_destroy(&((struct board *)state)->lock);
    free(state);
}

static hilum_rc init(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state)
{
    static const char *const classes[] = {BOARD_CLASS, NULL};
    static const struct hilum_service table = {
        .cap = {.size = sizeof table,
                .kind = HILUM_CAP_SERVICE,
                .threads = HILUM_PARALLEL,
                .name = "acme-board"},
        .sop_classes = classes,
        .handle = handle,
    };
    (void)conf;
    struct board *b = calloc(1, sizeof *b);
    if (!b)
        return host->fail(self, HILUM_ENOMEM, "no memory");
    b->host = host;
    b->self = self;
    pthread_mutex_init(&b->lock, NULL);
    hilum_rc rc = host->provide(self, &table.cap, b);
    if (rc == HILUM_OK)
        *state = b;
    else
        fini(b);
    return rc;
}

HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    static const struct hilum_plugin plugin = {
        .magic = HILUM_MAGIC,
        .size = sizeof plugin,
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .id = "acme-board",
        .version = "1.0.0",
        .vendor = "Acme",
        .licence = "MIT",
        .init = init,
        .start = start,
        .fini = fini,
    };
    (void)host_major;
    (void)host_minor;
    return &plugin;
}
