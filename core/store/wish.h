/* Whether anybody waits for what is being made. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_STORE_WISH_H
#define HL_STORE_WISH_H

#include <stdbool.h>
#include <stddef.h>

#include "hilum/abi.h"

/* Who waits for something, to be asked now and then on the thread that makes it: HILUM_OK, go on; HILUM_ECANCELLED: nobody
 * does any more. go_on NULL: somebody always does. */
struct hl_wish {
    hilum_rc (*go_on)(void *arg);
    void *arg;
};
static inline hilum_rc hl_wish_ask(const struct hl_wish *wish)
{
    bool is_wanted = wish == NULL || wish->go_on == NULL || wish->go_on(wish->arg) == HILUM_OK;
    return is_wanted ? HILUM_OK : HILUM_ECANCELLED;
}

#endif
