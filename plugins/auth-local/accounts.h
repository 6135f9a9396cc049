/* What the files of auth-local share: accounts and tokens, in memory and in one file.
 *
 * All accounts and tokens are one JSON document, in memory and in auth-local/accounts.json of the
 * data directory (0600): a hospital has hundreds, and the whole is written anew with each change.
 * Who changes it: an administrator over the control socket (commands.c), and a user who changes a
 * password (auth-local.c).
 *
 * Two locks. `lock` guards the document and the failures and is held for moments, except while a
 * change is written. `hashing` is held for as long as a password takes, about a tenth of a
 * second, and never together with `lock`: what is needed of an account is copied out first
 * (struct known), so that a guesser slows other sign-ins by password and nothing else.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef AUTH_LOCAL_ACCOUNTS_H
#define AUTH_LOCAL_ACCOUNTS_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "hilum/host.h"

enum {
    NAME_MAX_LENGTH = 64,
    PASSWORD_MIN = 12,
    PASSWORD_MAX = 1024,
    FAILURES = 512, /* names that failed lately and are remembered */
    SECRET_TEXT = 44,
    DISPLAY_MAX = 256, /* bytes of a person's name, and of each list of departments */
    COMMANDS_N = 11
};

/* max_failures: in a row; lock_time: milliseconds. */
struct local_conf {
    int64_t max_failures, lock_time;
};

/* Of a name somebody tried, an account or not. until_ms: of the monotonic clock, so that
 * setting the clock opens nothing. */
struct failure {
    char user[NAME_MAX_LENGTH + 1];
    int64_t count, until_ms; /* locked until then */
};

struct local {
    const struct hilum_host *host;
    hilum_self *self;
    const struct local_conf *conf;
    char path[4096];      /* of the file */
    pthread_mutex_t lock; /* of the following */
    json_t *root;         /* {"users": {NAME: {...}}, "tokens": {ID: {...}}} */
    struct failure failures[FAILURES];
    unsigned next_failure;
    char other[128]; /* hash of nobody's password */
    /* Outlive their declaration: the host keeps pointers to them. */
    struct hilum_decl declared[COMMANDS_N];
    /* One at a time also bounds what guessing at many names at once costs: 64 MiB and one
     * core. */
    pthread_mutex_t hashing; /* one password at a time: each takes 64 MiB */
};

hilum_rc local_fail(const struct local *local, hilum_rc rc, const char *why);

/* ---- accounts.c ---- */

/* Reads the file; none is no accounts. HILUM_EINVAL: it is damaged, and nothing is changed. */
hilum_rc accounts_load(struct local *local);
/* Durable. Holds local->lock. What fails leaves the file as it was. Whole or not at all: a new
 * file, its bytes synced, put in the place of the old one, the folder synced. On error the
 * caller undoes its change in memory. */
hilum_rc accounts_save(struct local *local);
/* Borrowed while local->lock is held; NULL: none. A changed account may be another object:
 * look it up again each time. */
json_t *account_find(const struct local *local, const char *user);
json_t *token_find(const struct local *local, const char *id);
/* Sets members of an account, durably or not at all. Without local->lock. Takes changes over. HILUM_ENOTFOUND. */
hilum_rc account_change(struct local *local, const char *user, json_t *changes);
bool account_name_is_good(const char *name);
/* Why a password will not do; NULL: it will. */
const char *password_fault(const char *user, const char *password, size_t n);
/* Sets the hash. Takes a moment and 64 MiB; without local->lock. HILUM_ENOMEM. */
hilum_rc password_hash(struct local *local, const char *password, size_t n, char out[128]);
bool password_verify(struct local *local, const char *hash, const char *password, size_t n);
/* A secret of 32 random bytes as text, and the hash it is kept by. */
void secret_make(char out[SECRET_TEXT]);
/* Without salt and fast: a secret of 256 random bits cannot be guessed, so there is nothing to
 * slow down. */
void secret_hash(const char *secret, char out[65]);

/* ---- commands.c: init only ---- */
hilum_rc commands_declare(struct local *local);

#endif
