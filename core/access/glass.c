/* SPDX-License-Identifier: Apache-2.0 */
#include "core/access/glass.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"

enum { OPEN_MAX = 1024 };

struct open_glass {
    struct hl_glass glass;
    char user[128];
    int64_t until_us; /* past: free */
};

struct hl_glasses {
    pthread_mutex_t lock;
    size_t used; /* places ever taken: mostly a few, and asked for with every request */
    struct open_glass open[OPEN_MAX];
};

hilum_rc hl_glasses_new(struct hl_glasses **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return hl_fail(HILUM_ENOMEM, "no memory for broken glass");
    pthread_mutex_init(&(*out)->lock, NULL);
    return HILUM_OK;
}

void hl_glasses_free(struct hl_glasses *all)
{
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all);
}

static bool is_same(const struct hl_glass *a, const struct hl_glass *b)
{
    return strcmp(a->study_uid, b->study_uid) == 0 && strcmp(a->patient_id, b->patient_id) == 0 &&
           strcmp(a->issuer, b->issuer) == 0;
}

/* Holds the lock. The same one, else a free one; NULL: there is none for him. */
static struct open_glass *place_for(struct hl_glasses *all, const char *user,
                                    const struct hl_glass *glass, int64_t now)
{
    struct open_glass *room = NULL;
    size_t n = 0;
    for (size_t i = 0; i < all->used; i++) {
        struct open_glass *open = &all->open[i];
        bool is_his = open->until_us > now && strcmp(open->user, user) == 0;
        if (is_his && is_same(&open->glass, glass))
            return open;
        n += is_his;
        if (open->until_us <= now && room == NULL)
            room = open;
    }
    if (n >= HL_GLASSES_OF_ONE)
        return NULL;
    return room == NULL && all->used < OPEN_MAX ? &all->open[all->used++] : room;
}

hilum_rc hl_glass_break(struct hl_glasses *all, const char *user, const struct hl_glass *glass,
                        int64_t until_us)
{
    if (strlen(user) >= sizeof all->open[0].user)
        return hl_fail(HILUM_EINVAL, "break glass: the account's name is too long");
    pthread_mutex_lock(&all->lock);
    struct open_glass *open = place_for(all, user, glass, hl_now_us());
    if (open != NULL) {
        open->glass = *glass;
        open->until_us = until_us;
        snprintf(open->user, sizeof open->user, "%s", user);
    }
    pthread_mutex_unlock(&all->lock);
    return open != NULL
               ? HILUM_OK
               : hl_fail(HILUM_EFULL, "break glass: too many are open; wait until some end");
}

size_t hl_glasses_of(struct hl_glasses *all, const char *user, struct hl_glass *out)
{
    int64_t now = hl_now_us();
    size_t n = 0;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < all->used && n < HL_GLASSES_OF_ONE; i++)
        if (all->open[i].until_us > now && strcmp(all->open[i].user, user) == 0)
            out[n++] = all->open[i].glass;
    pthread_mutex_unlock(&all->lock);
    return n;
}
