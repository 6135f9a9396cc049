/* Tickets inside core/bus: a hook that cannot answer yet suspends its event; somebody settles it later. It knows
 * nothing of verdicts' meaning. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_BUS_TICKET_H
#define HL_BUS_TICKET_H

#include <stdint.h>

#include "hilum/abi.h"

struct hl_tickets; /* all of one bus */

enum { HL_TICKET_REASON = 256, HL_TICKETS_MAX = 4096, HL_TICKET_MS_MAX = 60000 };

struct hl_tickets *hl_tickets_new(void); /* NULL: out of memory */
void hl_tickets_free(struct hl_tickets *tickets);

/* A new ticket; never 0. HILUM_EFULL: HL_TICKETS_MAX are open. */
hilum_rc hl_ticket_new(struct hl_tickets *tickets, uint32_t deadline_ms,
                       void (*on_cancel)(void *arg), void *arg, uint64_t *out);
/* Any thread. HILUM_ENOTFOUND: settled before, past its deadline, or there never was such a one. why: may be NULL. */
hilum_rc hl_ticket_settle(struct hl_tickets *tickets, uint64_t ticket, int32_t verdict,
                          const char *why);
/* Waits until it is settled or its deadline has passed; then it is gone. HILUM_OK: *verdict and `why` as settled.
 * HILUM_ETIMEDOUT: on_cancel has been called and settle() fails from now on. */
hilum_rc hl_ticket_wait(struct hl_tickets *tickets, uint64_t ticket, int32_t *verdict,
                        char why[HL_TICKET_REASON]);
/* As if its deadline had passed; without effect on one that is gone. */
void hl_ticket_cancel(struct hl_tickets *tickets, uint64_t ticket);

#endif
