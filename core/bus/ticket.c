/* One list under one lock; a ticket is taken out by whoever waits for it, after it was settled
 * or too late, so it ends exactly once. Callbacks of plugins run outside the lock.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/bus/ticket.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/error.h"

/* A number, not a pointer, is given out: a plugin that settles twice, or after the deadline, is told so instead of
 * touching memory that is another's by then. */
struct ticket {
    struct ticket *next;
    uint64_t id;
    struct timespec until;
    bool is_settled;
    int32_t verdict;
    char why[HL_TICKET_REASON];
    void (*on_cancel)(void *arg);
    void *arg;
};

/* `settled` wakes all who wait: there are few, and each looks at its own ticket. */
struct hl_tickets {
    pthread_mutex_t lock;
    pthread_cond_t settled;
    struct ticket *first; /* few at a time: a walk is cheaper than a table */
    size_t n;
    uint64_t last;
};

struct hl_tickets *hl_tickets_new(void)
{
    struct hl_tickets *tickets = calloc(1, sizeof *tickets);
    if (!tickets)
        return NULL;
    pthread_mutex_init(&tickets->lock, NULL);
    hl_mono_cond_init(&tickets->settled);
    return tickets;
}

void hl_tickets_free(struct hl_tickets *tickets)
{
    if (!tickets)
        return;
    while (tickets->first) {
        struct ticket *ticket = tickets->first;
        tickets->first = ticket->next;
        free(ticket);
    }
    pthread_cond_destroy(&tickets->settled);
    pthread_mutex_destroy(&tickets->lock);
    free(tickets);
}

hilum_rc hl_ticket_new(struct hl_tickets *tickets, uint32_t deadline_ms,
                       void (*on_cancel)(void *arg), void *arg, uint64_t *out)
{
    struct ticket *ticket = calloc(1, sizeof *ticket);
    if (!ticket)
        return hl_fail(HILUM_ENOMEM, "no memory for a ticket");
    uint32_t ms = deadline_ms < HL_TICKET_MS_MAX ? deadline_ms : HL_TICKET_MS_MAX;
    ticket->until = hl_mono_timespec(hl_mono_ms() + ms);
    ticket->on_cancel = on_cancel;
    ticket->arg = arg;
    pthread_mutex_lock(&tickets->lock);
    if (tickets->n == HL_TICKETS_MAX) {
        pthread_mutex_unlock(&tickets->lock);
        free(ticket);
        return hl_fail(HILUM_EFULL, "%d events are suspended already", HL_TICKETS_MAX);
    }
    *out = ticket->id = ++tickets->last;
    ticket->next = tickets->first;
    tickets->first = ticket;
    tickets->n++;
    pthread_mutex_unlock(&tickets->lock);
    return HILUM_OK;
}

/* Where the ticket hangs, or NULL; under the lock. */
static struct ticket **find(struct hl_tickets *tickets, uint64_t id)
{
    for (struct ticket **at = &tickets->first; *at; at = &(*at)->next)
        if ((*at)->id == id)
            return at;
    return NULL;
}

/* Takes it out of the list; under the lock. */
static struct ticket *take(struct hl_tickets *tickets, struct ticket **at)
{
    struct ticket *ticket = *at;
    *at = ticket->next;
    tickets->n--;
    return ticket;
}

hilum_rc hl_ticket_settle(struct hl_tickets *tickets, uint64_t id, int32_t verdict, const char *why)
{
    pthread_mutex_lock(&tickets->lock);
    struct ticket **at = find(tickets, id);
    bool is_open = at && !(*at)->is_settled;
    if (is_open) {
        (*at)->is_settled = true;
        (*at)->verdict = verdict;
        snprintf((*at)->why, sizeof(*at)->why, "%s", why ? why : "");
        pthread_cond_broadcast(&tickets->settled);
    }
    pthread_mutex_unlock(&tickets->lock);
    return is_open ? HILUM_OK
                   : hl_fail(HILUM_ENOTFOUND,
                             "the ticket was settled before, or its deadline has passed");
}

/* The plugin is told, so that it can stop what it began for this event. */
static void give_up(struct ticket *ticket)
{
    if (ticket->on_cancel)
        ticket->on_cancel(ticket->arg);
    free(ticket);
}

hilum_rc hl_ticket_wait(struct hl_tickets *tickets, uint64_t id, int32_t *verdict,
                        char why[HL_TICKET_REASON])
{
    int error = 0;
    pthread_mutex_lock(&tickets->lock);
    struct ticket **at = find(tickets, id);
    if (!at) {
        pthread_mutex_unlock(&tickets->lock);
        return hl_fail(HILUM_ENOTFOUND, "there is no such ticket");
    }
    struct ticket *ticket = *at;
    while (!ticket->is_settled && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&tickets->settled, &tickets->lock, &ticket->until);
    bool is_settled = ticket->is_settled;
    (void)take(tickets, find(tickets, id)); /* others may have come or gone before it */
    pthread_mutex_unlock(&tickets->lock);
    if (!is_settled) {
        give_up(ticket); /* outside the lock: it is the plugin's code */
        return hl_fail(HILUM_ETIMEDOUT, "its ticket was not settled in time");
    }
    *verdict = ticket->verdict;
    snprintf(why, HL_TICKET_REASON, "%s", ticket->why);
    free(ticket);
    return HILUM_OK;
}

void hl_ticket_cancel(struct hl_tickets *tickets, uint64_t id)
{
    pthread_mutex_lock(&tickets->lock);
    struct ticket **at = find(tickets, id);
    struct ticket *ticket = at ? take(tickets, at) : NULL;
    pthread_mutex_unlock(&tickets->lock);
    if (ticket)
        give_up(ticket);
}
