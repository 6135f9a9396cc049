/* Names to addresses, with a deadline, for the requestor. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_UL_RESOLVE_H
#define HL_UL_RESOLVE_H

#include "hilum/abi.h"

#include <netinet/in.h>
#include <sys/socket.h>

enum { HL_UL_MAX_ADDRESSES = 8 };

struct hl_ul_addresses {
    struct sockaddr_storage list[HL_UL_MAX_ADDRESSES];
    size_t n;
};

/* IPv4 and IPv6, in the system's order. Addresses at once; names until the deadline (monotonic ms):
 * HILUM_ETIMEDOUT. HILUM_EIO: not found, with the resolver's reason. */
hilum_rc hl_ul_resolve(const char *host, uint16_t port, int64_t deadline,
                       struct hl_ul_addresses *out);

#endif
