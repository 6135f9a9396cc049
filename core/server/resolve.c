/* Attributes of stored instances for rules that run after the answer. SPDX-License-Identifier: Apache-2.0 */
#include "core/server/server.h"

bool hl_server_resolve_entry(void *arg, const struct hl_journal_entry *entry, const char *keyword,
                             struct hl_buf *out)
{
    struct hl_server *server = arg;
    if (entry->instance_id == 0)
        return false;
    return hl_store_attribute(server->store, entry->instance_id, keyword, out) == HILUM_OK;
}
