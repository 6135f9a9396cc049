/* One role as the configuration, or the shipped table, has it. For core/access only. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_ACCESS_ROLE_H
#define HL_ACCESS_ROLE_H

#include <stdint.h>

struct hl_config;
struct hl_node;

/* Its entry in the configuration's `roles`; NULL: it has none there. */
const struct hl_node *hl_role_node(const struct hl_config *config, const char *name);
/* Bits of its actions; 0: there is no such role. */
uint64_t hl_role_mask(const struct hl_config *config, const char *name);

#endif
