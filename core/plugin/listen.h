/* Listening sockets of plugins; the caller locks. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_LISTEN_H
#define HL_PLUGIN_LISTEN_H

#include <stdint.h>

#include "hilum/abi.h"

struct hl_listening; /* a list; NULL is empty */

/* As hilum_host.listen. *fd is a copy of the caller's own, to be closed by it; the same
 * address again gives another copy of the same socket. With port 0 that is so for another taker
 * (a version of `owner`) only: one that asks twice has two ports, the next one both in order. */
hilum_rc hl_listen(struct hl_listening **list, const char *owner, const void *taker,
                   const char *address, int32_t *fd, uint16_t *port);
/* Closes what is this owner's, NULL: everybody's. Copies plugins have stay open. */
void hl_listen_forget(struct hl_listening **list, const char *owner);

#endif
