/* Failures become answers: a status of PS3.4 B.2.3 and a reference a person can follow up.
 *
 * What a peer is told is short ASCII and has no patient data; what a person needs is kept under
 * the reference number: in the record, and in the log. SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>

#include "core/base/error.h"
#include "core/base/log.h"

/* PS3.4 B.2.3 has no status for "try again later": A700 is the one modalities retry on. 0110
 * is PS3.7's general failure, for what a retry will not mend. */
uint16_t hl_ingest_status(hilum_rc rc)
{
    switch (rc) {
    case HILUM_EFULL:
    case HILUM_EDENIED: /* a read-only medium: a person will mount it again */
    case HILUM_EIO:
    case HILUM_ENOMEM:
    case HILUM_EAGAIN:
    case HILUM_ETIMEDOUT:
    case HILUM_ECLOSED: return 0xA700; /* out of resources: the sender keeps it and tries again */
    default: return 0x0110;            /* processing failure */
    }
}

/* Statuses keep kinds apart that have the same words. */
static hilum_rc refusal_record(struct hl_ingest *ingest, const char *what, const char *whose,
                               const char *why)
{
    char kind[64];
    snprintf(kind, sizeof kind, "%04X %s", ingest->result.status, what);
    const char *peer = ingest->source.peer, *address = ingest->source.address;
    const struct hl_refusal refusal = {
        .peer = *peer || !address ? peer : address, .kind = kind, .what = whose, .why = why};
    return hl_record_refusal(ingest->store->record, &refusal, ingest->result.reference);
}

/* The reference is recorded before the answer, so that a person who is shown the comment finds
 * it. "%.40s, ref ": (0000,0902) is LO, 64 characters; 40 of words, 6 of ", ref ", 15 of the
 * reference. Repeats within a while share a reference and are logged quietly (told == 1), or
 * one broken modality would fill the log. */
hilum_rc hl_ingest_refuse(struct hl_ingest *ingest, hilum_rc rc, uint16_t status,
                          uint32_t offending, const char *what)
{
    struct hl_ingest_result *result = &ingest->result;
    char why[512], whose[160];
    snprintf(why, sizeof why, "%s: %s", what, hl_error());
    snprintf(whose, sizeof whose, "%s %s", ingest->source.kind, ingest->sop_instance);
    if (ingest->txn != NULL)
        ingest->provider->table->abort(ingest->provider->instance, ingest->txn);
    ingest->txn = NULL;
    ingest->rc = rc;
    *result = (struct hl_ingest_result){.status = status, .offending = offending};
    hilum_rc told = refusal_record(ingest, what, whose, why);
    if (told < 0)
        result->reference[0] = '\0'; /* the record is what fails: the log has the reason */
    snprintf(result->comment, sizeof result->comment,
             result->reference[0] ? "%.40s, ref %s" : "%.60s", what, result->reference);
    atomic_fetch_add(&ingest->store->refused, 1);
    hl_log(told == 1 ? HL_DEBUG : HL_WARN, "store", "%s from %s (%s) refused with %04X %s: %s",
           ingest->sop_instance, ingest->source.calling_aet, ingest->source.address, status,
           result->reference, why);
    return hl_fail(rc, "%s", why);
}

hilum_rc hl_ingest_fail(struct hl_ingest *ingest, const struct hl_store_provider *failed,
                        hilum_rc rc, const char *what)
{
    uint16_t status = hl_ingest_status(rc);
    if (failed != NULL)
        hl_health_fail(ingest->store, failed, rc);
    return hl_ingest_refuse(ingest, rc, status, 0, what);
}
