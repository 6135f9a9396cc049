/* The audit record's seals, for the files of this folder that deal with them. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_SERVER_AUDIT_H
#define HL_SERVER_AUDIT_H

#include <sys/types.h>

#include "core/audit/chain.h"
#include "core/server/server.h"

/* Where seals are appended to. Of the configuration, else <data>/audit-seals.jsonl. */
void hl_audit_seals_path(struct hl_server *server, char *out, size_t size);
/* Calls each() per seal in order. *whole (may be NULL): how long the file is without a last
 * line that was cut short. HILUM_ENOTFOUND: no file. An error of each() ends it and is
 * returned. Any thread: lines are only ever appended. */
hilum_rc hl_audit_seals_each(const char *path,
                             hilum_rc (*each)(void *arg, const struct hl_seal *seal), void *arg,
                             off_t *whole);
/* What follows the seal `before`, up to row `until`; INT64_MAX: as many as one seal takes. Not
 * signed. out->rows 0: there is nothing new. */
hilum_rc hl_audit_seal_make(struct hl_server *server, const struct hl_seal *before, int64_t until,
                            struct hl_seal *out);
/* The public key of this server's seals, in hex; made with the first. */
hilum_rc hl_audit_key(struct hl_server *server, char out[HL_SEAL_KEY]);

#endif
