/* A store and a record in memory, in place of the kernel's, so that associations can be tested alone.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_DICOM_FAKE_H
#define TEST_DICOM_FAKE_H

#include <pthread.h>

#include "core/base/buf.h"
#include "core/config/config.h"
#include "core/store/ingest.h"
#include "hilum/service.h"

struct fake_object {
    char sop_class[65], sop_instance[65], transfer_syntax[65];
    struct hl_buf bytes;
};

struct hl_store {
    pthread_mutex_t lock;
    struct fake_object *objects;
    size_t n, cap;
    unsigned aborted;      /* ingests that ended in the middle */
    uint16_t refuse_begin; /* status hl_ingest_begin answers, 0: none */
    uint16_t refuse_end;   /* status hl_ingest_end answers, 0: none */
    char recoded[65];      /* the last syntax hl_outgoing_recode was asked for */
    size_t piece;          /* bytes of a piece of hl_outgoing_next; 0: all */
    struct hl_buf audit,
        journal; /* "who|action|what|after", "event|study|fields" and a newline each */
};

struct hl_store *fake_store_new(void);
void fake_store_free(struct hl_store *store);
/* Puts an object in; its number is returned (from 1). */
int64_t fake_store_add(struct hl_store *store, const char *sop_class, const char *sop_instance,
                       const char *transfer_syntax, const void *bytes, size_t n);
/* By UID; NULL if absent. */
const struct fake_object *fake_store_find(struct hl_store *store, const char *sop_instance);

/* One service in place of the plugin host; cast it to struct hl_plugins *. */
struct fake_services {
    const struct hilum_service *service;
    void *instance;
};

/* A configuration from text; faults are printed and end the program. */
struct hl_config *fake_config(const char *text);

#endif
