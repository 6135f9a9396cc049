/* The byte layout is a promise: exports of years ago are checked by the program of today. It
 * changes only with a new number in the file's head ("audit": 1).
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/audit/chain.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the digest: lengths before texts, so that no two rows look like another two ---- */

static void add_number(struct hl_chain *chain, uint64_t number)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    crypto_hash_sha256_update(&chain->state, bytes, sizeof bytes);
}

/* Absent is told apart from empty: 2^64 - 1 is no length. */
static void add_text(struct hl_chain *chain, const char *text)
{
    size_t n = text != NULL ? strlen(text) : 0;
    add_number(chain, text != NULL ? n : UINT64_MAX);
    crypto_hash_sha256_update(&chain->state, (const uint8_t *)(text != NULL ? text : ""), n);
}

void hl_chain_begin(struct hl_chain *chain, const struct hl_seal *before)
{
    *chain = (struct hl_chain){.last = before->last};
    crypto_hash_sha256_init(&chain->state);
    add_text(chain, before->head);
}

void hl_chain_add(struct hl_chain *chain, const struct hl_chain_row *row)
{
    const char *const texts[] = {row->who, row->action, row->what, row->before, row->after};
    add_number(chain, (uint64_t)row->id);
    add_number(chain, (uint64_t)row->at_us);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        add_text(chain, texts[i]);
    chain->last = row->id;
    chain->rows++;
}

void hl_chain_end(struct hl_chain *chain, struct hl_seal *out)
{
    uint8_t digest[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&chain->state, digest);
    *out = (struct hl_seal){.last = chain->last, .rows = chain->rows};
    sodium_bin2hex(out->head, sizeof out->head, digest, sizeof digest);
}

/* ---- signatures: Ed25519 over what the line says ---- */

/* The first line says what kind of text it is: a signature cannot be passed off as one of
 * something else made with the same key. */
static size_t signed_text(const struct hl_seal *seal, char out[300])
{
    return (size_t)snprintf(out, 300, "hilum audit seal\n%s\n%" PRId64 "\n%" PRId64 "\n%s\n",
                            seal->at, seal->last, seal->rows, seal->head);
}

void hl_seal_sign(struct hl_seal *seal, const unsigned char *secret)
{
    unsigned char signature[crypto_sign_BYTES];
    char text[300];
    size_t n = signed_text(seal, text);
    crypto_sign_detached(signature, NULL, (const unsigned char *)text, n, secret);
    sodium_bin2hex(seal->signature, sizeof seal->signature, signature, sizeof signature);
}

/* Of exactly that length: a shorter key would be filled up with zeros. */
static bool hex_read(const char *hex, unsigned char *out, size_t size)
{
    size_t n = 0;
    return strlen(hex) == 2 * size &&
           sodium_hex2bin(out, size, hex, 2 * size, NULL, &n, NULL) == 0 && n == size;
}

/* False also for what cannot be read. */
bool hl_seal_is_by(const struct hl_seal *seal, const char *key)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], signature[crypto_sign_BYTES];
    char text[300];
    size_t n = signed_text(seal, text);
    return hex_read(key, public_key, sizeof public_key) &&
           hex_read(seal->signature, signature, sizeof signature) &&
           crypto_sign_verify_detached(signature, (const unsigned char *)text, n, public_key) == 0;
}

/* ---- lines ---- */

void hl_seal_write(const struct hl_seal *seal, char line[HL_SEAL_LINE])
{
    snprintf(line, HL_SEAL_LINE,
             "{\"at\":\"%s\",\"last\":%" PRId64 ",\"rows\":%" PRId64
             ",\"head\":\"%s\",\"signature\":\"%s\"}\n",
             seal->at, seal->last, seal->rows, seal->head, seal->signature);
}

/* A seal from before they were signed has no signature. */
bool hl_seal_read(const json_t *object, struct hl_seal *out)
{
    const char *at = NULL, *head = NULL, *signature = "";
    json_int_t last = 0, rows = 0;
    if (json_unpack((json_t *)(uintptr_t)object, "{s:s, s:I, s:I, s:s, s?s}", "at", &at, "last",
                    &last, "rows", &rows, "head", &head, "signature", &signature) != 0)
        return false;
    *out = (struct hl_seal){.last = last, .rows = rows};
    snprintf(out->at, sizeof out->at, "%s", at);
    snprintf(out->head, sizeof out->head, "%s", head);
    snprintf(out->signature, sizeof out->signature, "%s", signature);
    return strlen(at) < sizeof out->at && strlen(head) < sizeof out->head;
}
