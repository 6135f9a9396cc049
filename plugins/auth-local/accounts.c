/* Accounts and tokens in one file, and how their secrets are kept: passwords by argon2id, tokens, which are random
 * anyway, by BLAKE2b. SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

hilum_rc local_fail(const struct local *local, hilum_rc rc, const char *why)
{
    return local->host->fail(local->self, rc, why);
}

static hilum_rc fail_file(const struct local *local, const char *verb)
{
    char text[4300];
    snprintf(text, sizeof text, "%s %s: %s", verb, local->path, strerror(errno));
    return local_fail(local, HILUM_EIO, text);
}

/* ---- the file ---- */

static hilum_rc new_root(struct local *local)
{
    local->root = json_pack("{s:{}, s:{}}", "users", "tokens");
    return local->root != NULL ? HILUM_OK
                               : local_fail(local, HILUM_ENOMEM, "no memory for accounts");
}

/* Once, in init, before anybody asks. What is damaged is not begun anew: that would lock
 * everybody out, and let who damaged it make the first account. */
hilum_rc accounts_load(struct local *local)
{
    json_error_t error;
    char text[4300];
    if (access(local->path, F_OK) != 0 && errno == ENOENT)
        return new_root(local);
    local->root = json_load_file(local->path, JSON_REJECT_DUPLICATES, &error);
    if (local->root != NULL && json_is_object(json_object_get(local->root, "users")) &&
        json_is_object(json_object_get(local->root, "tokens")))
        return HILUM_OK;
    snprintf(text, sizeof text,
             "%s, line %d: %s; restore it, or remove it to begin without accounts", local->path,
             local->root == NULL ? error.line : 1,
             local->root == NULL ? error.text : "expected users and tokens");
    return local_fail(local, HILUM_EINVAL, text);
}

/* Without it a power loss may bring the old name back, and with it a password that was taken
 * away. */
static bool sync_parent(const char *path)
{
    char parent[4096];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL)
        *slash = '\0';
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool is_synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return is_synced;
}

/* Beside the file: rename() is atomic within one file system only. An old .part of a killed
 * life is overwritten. */
static bool write_new(const struct local *local, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool is_written =
        fd >= 0 && json_dumpfd(local->root, fd, JSON_INDENT(1)) == 0 && fsync(fd) == 0;
    if (fd >= 0 && close(fd) != 0)
        is_written = false;
    return is_written;
}

hilum_rc accounts_save(struct local *local)
{
    char part[4200];
    snprintf(part, sizeof part, "%s.part", local->path);
    if (!write_new(local, part) || rename(part, local->path) != 0 || !sync_parent(local->path))
        return fail_file(local, "write");
    return HILUM_OK;
}

json_t *account_find(const struct local *local, const char *user)
{
    return json_object_get(json_object_get(local->root, "users"), user);
}

json_t *token_find(const struct local *local, const char *id)
{
    return json_object_get(json_object_get(local->root, "tokens"), id);
}

hilum_rc account_change(struct local *local, const char *user, json_t *changes)
{
    pthread_mutex_lock(&local->lock);
    json_t *account = account_find(local, user), *before = json_copy(account);
    hilum_rc rc = HILUM_OK;
    if (account == NULL)
        rc = local_fail(local, HILUM_ENOTFOUND, "no such account; see `hilum user list`");
    else if (before == NULL || json_object_update(account, changes) != 0)
        rc = local_fail(local, HILUM_ENOMEM, "no memory for an account");
    else
        rc = accounts_save(local);
    if (rc != HILUM_OK && before != NULL)
        json_object_set(json_object_get(local->root, "users"), user, before);
    pthread_mutex_unlock(&local->lock);
    json_decref(before);
    json_decref(changes);
    return rc;
}

/* ---- what will do ---- */

/* Names stand in headers, logs and lists by commas. None begins with '-' (an option of a
 * command) or '.', '@'. */
bool account_name_is_good(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_LENGTH && strchr("-.@", *name) == NULL &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._@-") == n;
}

/* By length, not by kinds of characters (NIST SP 800-63B 5.1.1.2). A common word is allowed as
 * part of something longer. The copy is wiped; strcasestr needs its NUL. */
const char *password_fault(const char *user, const char *password, size_t n)
{
    static const char *const common[] = {"password", "123456", "qwerty", "hilum", "admin"};
    char text[PASSWORD_MAX + 1];
    if (n < PASSWORD_MIN)
        return "a password has 12 characters at least";
    if (n > PASSWORD_MAX || memchr(password, '\0', n) != NULL)
        return "a password has 1024 characters at most";
    memcpy(text, password, n);
    text[n] = '\0';
    const char *fault =
        strcasestr(text, user) != NULL ? "a password may not hold its account's name" : NULL;
    for (size_t i = 0; fault == NULL && i < sizeof common / sizeof *common; i++)
        if (strncasecmp(text, common[i], strlen(common[i])) == 0 && n < PASSWORD_MIN + 4)
            fault = "this password is among the first that are tried";
    sodium_memzero(text, sizeof text);
    return fault;
}

/* ---- secrets ---- */

/* INTERACTIVE: 64 MiB and about a tenth of a second, which a sign-in may take and a guesser
 * pays each time. The parameters are in the text, so hashes of before stay good when they
 * change. */
hilum_rc password_hash(struct local *local, const char *password, size_t n, char out[128])
{
    pthread_mutex_lock(&local->hashing);
    int failed = crypto_pwhash_str(out, password, n, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                   crypto_pwhash_MEMLIMIT_INTERACTIVE);
    pthread_mutex_unlock(&local->hashing);
    return failed ? local_fail(local, HILUM_ENOMEM, "no memory to hash a password") : HILUM_OK;
}

bool password_verify(struct local *local, const char *hash, const char *password, size_t n)
{
    pthread_mutex_lock(&local->hashing);
    bool is_right = crypto_pwhash_str_verify(hash, password, n) == 0;
    pthread_mutex_unlock(&local->hashing);
    return is_right;
}

void secret_make(char out[SECRET_TEXT])
{
    unsigned char random[32];
    randombytes_buf(random, sizeof random);
    sodium_bin2base64(out, SECRET_TEXT, random, sizeof random,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof random);
}

void secret_hash(const char *secret, char out[65])
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)secret, strlen(secret), NULL, 0);
    sodium_bin2hex(out, 65, hash, sizeof hash);
}
