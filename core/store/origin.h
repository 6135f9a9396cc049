/* What an object's own file says of its arrival (see origin.c). Any thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_ORIGIN_H
#define HL_STORE_ORIGIN_H

#include <jansson.h>

#include "core/store/ingest.h"
#include "core/store/scan.h"

/* Appends the line; nothing where nothing is known (an import). digest_received: of data set and syntax as they came, where
 * what is written is something else by now; else NULL. */
void hl_origin_write(const struct hl_ingest_source *source, const uint8_t *digest_received,
                     struct hl_buf *out);
/* `head`: the bytes part10 was read from. NULL: none, or none of ours. The caller lets go of it. */
json_t *hl_origin_read(const uint8_t *head, const struct hl_part10 *part10);
/* "" where it says nothing; borrowed. Names: peer, calling, called, address, issuer, charset. */
const char *hl_origin_text(const json_t *origin, const char *name);
/* false: what lies there is what came. */
bool hl_origin_digest(const json_t *origin, uint8_t out[16]);

#endif
