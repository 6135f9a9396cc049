/* Attributes of stored instances for rules that run after the answer. SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

/* HILUM_ECANCELLED ends the list. */
static hilum_rc first_only(void *arg, const struct hilum_object_ref *object)
{
    *(int64_t *)arg = object->instance;
    return HILUM_ECANCELLED;
}

/* An event of a study has the attributes of its first object: what study and patient say is the same in all. */
static int64_t instance_of_study(struct hl_server *server, const char *study_uid)
{
    const struct hilum_catalog_key key = {0x0020000D, 0, study_uid};
    int64_t instance = 0, as_of = 0;
    hl_record_objects(server->record, &key, 1, NULL, &as_of, first_only, &instance);
    return instance;
}

/* On the threads of the journal's runners. false: there is no such object, or it does not have
 * the attribute. From the stored header with corrections applied, so that a late rule sees
 * what a peer would be sent; fields of the event itself are looked at before this is asked. */
bool hl_server_resolve_entry(void *arg, const struct hl_journal_entry *entry, const char *keyword,
                             struct hl_buf *out)
{
    struct hl_server *server = arg;
    int64_t instance = entry->instance_id;
    if (instance == 0 && entry->study_uid[0])
        instance = instance_of_study(server, entry->study_uid);
    if (instance == 0)
        return false;
    return hl_store_attribute(server->store, instance, keyword, out) == HILUM_OK;
}
