/* Matching keys of PS3.4 C.2.2.2 as conditions. Every text of a peer becomes a parameter, none a part of the
 * statement. Knows nothing of joins and cursors. SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_RECORD_MATCH_H
#define HL_RECORD_MATCH_H

#include "core/record/record_private.h"
#include "hilum/catalog.h"

/* A statement in the making. Parameters' texts live in the arena. Errors are gathered in
 * `failed` and `text.failed`, and asked for once, before it runs. */
struct hl_sql {
    struct hl_buf text;
    struct hl_arena arena;
    struct hilum_value *values;
    size_t n, cap;
    bool failed;   /* no memory */
    bool too_many; /* values: more than any database takes in one statement */
};
void hl_sql_fini(struct hl_sql *sql);
/* To be asked before a statement is run: HILUM_ENOMEM; HILUM_EFULL: it has more values than a statement may have. */
hilum_rc hl_sql_check(const struct hl_sql *sql);
/* Appends "?N" and the value it stands for. */
void hl_sql_bind_text(struct hl_sql *sql, const char *text, size_t n);
void hl_sql_bind_int(struct hl_sql *sql, int64_t integer);

/* No value, or nothing but '*': every row matches (C.2.2.2.3). */
bool hl_match_is_universal(const struct hilum_catalog_key *key);
bool hl_match_has_wildcard(const char *text, size_t n);
/* One value without wild cards (UIDs: any list): the key finds few rows by an index. An
 * estimate for choosing a plan: a wrong one costs time, not answers. */
bool hl_match_is_exact(const struct hl_column *column, const struct hilum_catalog_key *key);

/* Appends " AND (...)" for one key that is not universal; `ref` is the column as "s.accession". `date`: for a
 * time key with HILUM_KEY_COMBINED, the key of its date; else NULL. HILUM_EINVAL: not of the VR's form. */
hilum_rc hl_match_add(struct hl_sql *sql, const struct hl_column *column, const char *ref,
                      const struct hilum_catalog_key *key, const struct hilum_catalog_key *date);

/* Appends a condition: a physician's name column (ref, with its folded <ref>_f) holds the name, in any component group;
 * middle name, prefix and suffix may follow a name that has a given one. */
void hl_match_physician_add(struct hl_sql *sql, const char *ref, const char *name, size_t n);

/* One thing asked of a patient's name: some key of it, of a kind up to `max_kind`, matches `pattern`. */
struct hl_name_term {
    struct hl_buf pattern; /* folded, with '^' at its end unless '*' is there */
    int max_kind;
    bool is_gram; /* one or two Han characters anywhere: an equality on a key of kind 2 */
};
/* A person's name has fewer words; each costs a look into the table of keys. */
enum { HL_NAME_TERMS = 8 };
struct hl_name_match {
    struct hl_name_term terms[HL_NAME_TERMS]; /* all must hold */
    unsigned n;
};
/* Reads a PatientName key of one value. */
void hl_name_match_init(struct hl_name_match *match, const char *value, size_t n, bool is_fuzzy);
void hl_name_match_fini(struct hl_name_match *match);
/* Does the term begin with something to look up by? */
bool hl_name_term_has_prefix(const struct hl_name_term *term);
/* Appends the condition on <letter>.folded and <letter>.kind, in parentheses. */
void hl_name_term_add(struct hl_sql *sql, const struct hl_name_term *term, char letter);
/* Appends " AND ..." for a PatientName key as a filter on p.id, skipping the first `skip` terms. */
hilum_rc hl_match_name_add(struct hl_sql *sql, const struct hilum_catalog_key *key, unsigned skip);

#endif
