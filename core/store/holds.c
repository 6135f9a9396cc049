/* Objects being read are not erased under their readers.
 *
 * A list of what is open for reading, few entries at a time. Erasing looks and erases under the
 * same lock.
 *
 * One lock for all objects: it is taken at each open and close, for a few pointers. An erasure
 * holds it for one unlink.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/store/frame_map.h"
#include "core/store/mappings.h"
#include "core/store/store_internal.h"

#include <string.h>

#include "core/base/error.h"

/* `key` is borrowed from the reader, who removes the hold before it goes. */
void hl_hold_add(struct hl_store *store, struct hl_hold *hold,
                 const struct hl_store_provider *provider, const char *key)
{
    *hold = (struct hl_hold){.provider = provider, .key = key};
    pthread_mutex_lock(&store->holds_lock);
    hold->next = store->holds;
    hold->at = &store->holds;
    if (hold->next != NULL)
        hold->next->at = &hold->next;
    store->holds = hold;
    pthread_mutex_unlock(&store->holds_lock);
}

void hl_hold_remove(struct hl_store *store, struct hl_hold *hold)
{
    pthread_mutex_lock(&store->holds_lock); /* neighbours move our `at` too */
    if (hold->at != NULL)
        *hold->at = hold->next;
    if (hold->at != NULL && hold->next != NULL)
        hold->next->at = hold->at;
    hold->at = NULL;
    pthread_mutex_unlock(&store->holds_lock);
}

/* With the lock. */
static bool is_held(const struct hl_store *store, const struct hl_store_provider *provider,
                    const char *key)
{
    for (const struct hl_hold *hold = store->holds; hold != NULL; hold = hold->next) {
        if (hold->provider == provider && strcmp(hold->key, key) == 0)
            return true;
    }
    return false;
}

/* Order: the mark (blocks, so without the lock), then look and erase in one go, then what was
 * derived from it. */
hilum_rc hl_store_erase(struct hl_store *store, const char *name, const char *key)
{
    const struct hl_store_provider *provider = hl_provider_find(store, name);
    if (provider == NULL) /* its plugin is not loaded: the object is still there */
        return hl_fail(HILUM_EAGAIN, "%s: its store %s is not there", key, name);
    hilum_rc marked = hl_unflushed_mark(store);
    if (marked != HILUM_OK)
        return marked;
    pthread_mutex_lock(&store->holds_lock);
    hilum_rc rc =
        is_held(store, provider, key) ? hl_fail(HILUM_EAGAIN, "%s: is being read", key) : HILUM_OK;
    /* Within the lock: nobody begins to read what is about to go. */
    if (rc == HILUM_OK)
        rc = provider->table->erase(provider->instance, key);
    if (rc == HILUM_OK)
        hl_frame_map_erase(store->derived, name, key);
    pthread_mutex_unlock(&store->holds_lock);
    hl_mappings_drop(
        store->mappings); /* a map would keep the space; whose it is is not worth a look */
    return rc;
}
