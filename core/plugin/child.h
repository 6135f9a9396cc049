/* Child processes on behalf of plugins (hilum_host.run_child). It knows which programs may run from its caller only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_PLUGIN_CHILD_H
#define HL_PLUGIN_CHILD_H

#include "hilum/host.h"

/* Runs child->argv and waits. argv[0] is an absolute path the caller has allowed. As documented of run_child. */
hilum_rc hl_child_run(const struct hilum_child *child, int32_t *status);

#endif
