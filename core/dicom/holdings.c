/* What a peer would get over a context of one syntax, estimated from the newest objects and remembered for a
 * while. It knows nothing of negotiation. SPDX-License-Identifier: Apache-2.0 */
#include "core/dicom/holdings.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/dicom/uid.h"
#include "core/store/recode.h"
#include "core/store/unpack.h"

/* Pairs of class and syntax remembered: a hospital has some dozens. A minute is soon enough for
 * a preference. */
enum { HOLDINGS_MAX = 512, FRESH_MS = 60000 };

struct holding {
    char sop_class[65], syntax[65];
    uint64_t n;
};

/* `read_ms` is set before the catalogue is asked, so that one that fails is not asked again by
 * every association. */
struct hl_holdings {
    struct hl_record *record;
    pthread_mutex_t lock; /* of all below */
    struct holding *items;
    size_t n, cap;
    int64_t read_ms; /* 0: never */
};

/* Nothing is read before the first association asks. */
hilum_rc hl_holdings_new(struct hl_record *record, struct hl_holdings **out)
{
    struct hl_holdings *holdings = calloc(1, sizeof *holdings);
    if (!holdings)
        return hl_fail(HILUM_ENOMEM, "holdings: out of memory");
    holdings->record = record;
    pthread_mutex_init(&holdings->lock, NULL);
    *out = holdings;
    return HILUM_OK;
}

void hl_holdings_free(struct hl_holdings *holdings)
{
    if (!holdings)
        return;
    pthread_mutex_destroy(&holdings->lock);
    free(holdings->items);
    free(holdings);
}

static hilum_rc add(void *arg, const char *sop_class, const char *syntax, uint64_t n)
{
    struct hl_holdings *holdings = arg;
    if (holdings->n == HOLDINGS_MAX)
        return HILUM_OK;
    if (!hl_grow(&holdings->items, &holdings->cap, holdings->n, sizeof *holdings->items))
        return hl_fail(HILUM_ENOMEM, "holdings: out of memory");
    struct holding *holding = &holdings->items[holdings->n++];
    snprintf(holding->sop_class, sizeof holding->sop_class, "%s", sop_class);
    snprintf(holding->syntax, sizeof holding->syntax, "%s", syntax);
    holding->n = n;
    return HILUM_OK;
}

/* Under the lock, so that a crowd asks the catalogue once. A failure is no reason to refuse anybody. */
static void refresh(struct hl_holdings *holdings)
{
    int64_t now = hl_mono_ms();
    if (holdings->read_ms && now - holdings->read_ms < FRESH_MS)
        return;
    holdings->read_ms = now;
    holdings->n = 0;
    if (hl_record_holdings(holdings->record, add, holdings))
        hl_log(HL_WARN, "dicom", "what is held in which transfer syntax: %s", hl_error());
}

uint64_t hl_holdings_leaving(struct hl_holdings *holdings, const char *sop_class,
                             const char *syntax)
{
    uint64_t n = 0;
    pthread_mutex_lock(&holdings->lock);
    refresh(holdings);
    for (size_t i = 0; i < holdings->n; i++) {
        const struct holding *holding = &holdings->items[i];
        if (!strcmp(holding->sop_class, sop_class) &&
            (!strcmp(holding->syntax, syntax) || hl_recode_can(holding->syntax, syntax) ||
             hl_unpack_can(holding->syntax, syntax) || hl_repack_can(holding->syntax, syntax)))
            n += holding->n;
    }
    pthread_mutex_unlock(&holdings->lock);
    return n;
}
