/* The log beside the objects: what people decided (edits now; deletions and merges later), one JSON line an
 * object of the store, so that it is as durable as they are and a lost catalogue can be rebuilt with it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/store_internal.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"

hilum_rc hl_store_log(struct hl_store *store, const char *json)
{
    const struct hl_store_provider *provider = &store->providers[0];
    char key[201];
    void *txn = NULL;
    /* keys sort by time; the number tells two of one microsecond apart */
    snprintf(key, sizeof key, HL_LOG_KEYS "%016llx-%06llu.json", (unsigned long long)hl_now_us(),
             (unsigned long long)atomic_fetch_add(&store->log_number, 1) % 1000000);
    hilum_rc rc = provider->table->begin(provider->instance, key, strlen(json) + 1, &txn);
    if (rc != HILUM_OK)
        return rc;
    rc = provider->table->append(provider->instance, txn, json, strlen(json));
    if (rc == HILUM_OK)
        rc = provider->table->append(provider->instance, txn, "\n", 1);
    if (rc == HILUM_OK)
        rc = provider->table->sync(provider->instance, &txn, 1);
    if (rc == HILUM_OK)
        return provider->table->commit(provider->instance, txn);
    provider->table->abort(provider->instance, txn);
    return rc;
}

void hl_store_log_edit(const char *patient_id, const char *issuer, const struct hl_attrs *changes,
                       const char *who, const char *why, struct hl_buf *json)
{
    const char *const names[] = {"patient_id", "issuer", "who", "why"};
    const char *const values[] = {patient_id, issuer, who, why};
    hl_buf_text(json, "{\"verb\":\"patient.edit\"");
    for (size_t i = 0; i < 4; i++) {
        hl_buf_printf(json, ",\"%s\":", names[i]);
        hl_buf_json_string(json, values[i] != NULL ? values[i] : "");
    }
    hl_buf_text(json, ",\"changes\":{");
    for (size_t i = 0; i < changes->n; i++) {
        hl_buf_printf(json, "%s\"%08X\":", i > 0 ? "," : "", changes->items[i].tag);
        hl_buf_json_string(json, changes->items[i].text);
    }
    hl_buf_text(json, "}}");
}
