/* The chain over the audit record: a digest of rows over the digest before, as a signed line. Knows nothing of where rows
 * come from, so that a file of them is checked without a server.
 *
 * What it proves, and what not. Rows lie in a database that whoever owns the machine can edit. A
 * seal is a digest over all rows since the seal before, and over that seal's digest: to change a
 * row, every later seal has to be made anew, and those are elsewhere too (a file, the log) and
 * signed with a key. What is not proven: that the newest rows, not yet sealed, are untouched, and
 * that nobody who has the key itself lied.
 *
 * core/server/audit_seal.c makes seals, audit_commands.c verifies and exports, file.c checks
 * an export without a server (hilum-audit-verify).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_AUDIT_CHAIN_H
#define HL_AUDIT_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>
#include <sodium.h>

#include "hilum/abi.h"

/* HL_SEAL_LINE: all of a seal as JSON. */
enum {
    HL_SEAL_HEAD = 2 * crypto_hash_sha256_BYTES + 1,
    HL_SEAL_SIGNATURE = 2 * crypto_sign_BYTES + 1,
    HL_SEAL_KEY = 2 * crypto_sign_PUBLICKEYBYTES + 1, /* Ed25519, in hex */
    HL_SEAL_LINE = 600
};

/* All rows up to `last`: the head is SHA-256 over the head before (its length, its text) and
 * each row since: its number and time (8 bytes, big endian), then who, action, what, before,
 * after, each as length (8 bytes; all ones: absent) and text. `at` is part of what is signed
 * and not of the digest: two seals over the same rows have the same head. */
struct hl_seal {
    int64_t last, rows;                /* the last row, and how many this one adds */
    char at[32];                       /* when it was made */
    char head[HL_SEAL_HEAD];           /* hex; "" before the first */
    char signature[HL_SEAL_SIGNATURE]; /* hex; "": of before seals were signed */
};

/* A row as it is sealed. before, after: NULL: absent. */
struct hl_chain_row {
    int64_t id, at_us;
    const char *who, *action, *what, *before, *after;
};

struct hl_chain {
    crypto_hash_sha256_state state;
    int64_t last, rows;
};
/* begin; add for each row, numbers ascending; end. The state is the caller's and is used up by
 * end. */
void hl_chain_begin(struct hl_chain *chain, const struct hl_seal *before);
void hl_chain_add(struct hl_chain *chain, const struct hl_chain_row *row);
/* Fills last, rows and head. */
void hl_chain_end(struct hl_chain *chain, struct hl_seal *out);

/* secret: crypto_sign_SECRETKEYBYTES. */
void hl_seal_sign(struct hl_seal *seal, const unsigned char *secret);
/* Is it signed with the key (hex)? */
bool hl_seal_is_by(const struct hl_seal *seal, const char *key);

/* A line of JSON with its newline. As it lies in audit-seals.jsonl. read: false where a member
 * is missing or too long; others are passed over. */
void hl_seal_write(const struct hl_seal *seal, char line[HL_SEAL_LINE]);
bool hl_seal_read(const json_t *object, struct hl_seal *out);

/* What came of checking a file. */
struct hl_audit_checked {
    int64_t rows, seals, signed_seals, last;
    char key[HL_SEAL_KEY]; /* that the file names, or was given */
};
/* Checks a file of `hilum audit export`: every row is under a seal, every seal over the one before and signed. key: hex,
 * as it was noted elsewhere; NULL: the file's own, which tells only that it fits itself. HILUM_ECORRUPT, HILUM_EINVAL,
 * HILUM_EIO: the reason names the line. */
hilum_rc hl_audit_file_check(const char *path, const char *key, struct hl_audit_checked *out);

#endif
