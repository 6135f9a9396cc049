/* A pipeline over a store plugin with faults to order and a record in memory. For tests of core/store.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INGEST_FIXTURE_H
#define TESTS_INGEST_FIXTURE_H

#include "core/store/ingest.h"
#include "tests/contract/store/provider.h"
#include "tests/unit/store/fake_record.h"
#include "tests/unit/store/faulty_store.h"

#define CT_IMAGE    "1.2.840.10008.5.1.4.1.1.2"
#define EXPLICIT_LE "1.2.840.10008.1.2.1"

struct pipeline {
    char root[64];
    struct provider provider;
    struct faulty_store faulty;
    struct hl_record *record;
    struct hl_bus *bus;
    struct hl_store *store;
    struct hl_store_options options;
    struct hl_ingest_source source;
};

int pipeline_setup(void **state);
int pipeline_teardown(void **state);
/* The two halves of a restart. */
void pipeline_close(struct pipeline *p);
void pipeline_open(struct pipeline *p);
/* Closes and opens the store (and the plugin), as a restart does; the record stays. */
void pipeline_restart(struct pipeline *p);

/* Runs `work` in a child that ends without a word; its record was in memory, so its rows are gone as after a power loss. What it
 * leaves in kv is kept. Closed before and after. */
void pipeline_child(struct pipeline *p, void (*work)(struct pipeline *p));

/* A CT data set in explicit little endian; `pixels` bytes of pixel data filled from seed. */
struct dataset {
    const char *sop_instance, *study, *series, *patient;
    unsigned seed;
    uint32_t pixels;
};
void dataset_build(const struct dataset *dataset, struct hl_buf *out);
/* Sends bytes in pieces as a peer would. Returns end's (or begin's) code. */
hilum_rc dataset_send(struct pipeline *p, const char *sop_instance, const struct hl_buf *bytes,
                      struct hl_ingest_result *result);
/* Build and send in one. */
hilum_rc image_send(struct pipeline *p, const char *sop_instance, unsigned seed,
                    struct hl_ingest_result *result);
/* Objects in the store, final and pending. */
unsigned pipeline_objects(struct pipeline *p);
/* Waits (10 s at most) until the store accepts objects (or, accepting false, until it does not). */
bool pipeline_wait(struct pipeline *p, bool accepting);

#endif
