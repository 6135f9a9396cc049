/* A catalogue query as one statement a page. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_FIND_H
#define HL_RECORD_FIND_H

#include "core/record/grant.h"
#include "core/record/match.h"

enum { HL_ORDER_MAX = 8 };

/* Columns the answers are ordered by, and where the last answer stood. Its columns end with
 * row numbers, so that no two answers stand at the same place. */
struct hl_order {
    char signature; /* which driver: a position is good for the query it came from only */
    bool is_down;
    unsigned n;
    struct {
        char ref[24];
        bool is_text;
    } columns[HL_ORDER_MAX];
};

/* Filled by cursor.c, whose arena owns what it points to. */
struct hl_find {
    unsigned level;
    struct hilum_catalog_key *keys;   /* universal ones left out */
    const struct hl_column **columns; /* of the keys */
    unsigned n_keys;
    uint32_t *returns;
    unsigned n_returns;
    int order;
    struct hl_filter filter; /* what is withheld from who asks */
    struct hl_order by;      /* out */
};

/* Writes SELECT <order columns>, <returns> ... LIMIT limit. `after`: values of the order columns, or NULL.
 * HILUM_EINVAL: a key is not of its VR's form. */
hilum_rc hl_find_write(struct hl_find *find, const struct hilum_value *after, unsigned limit,
                       struct hl_sql *sql);

#endif
