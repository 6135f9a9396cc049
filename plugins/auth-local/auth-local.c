/* auth-local: accounts with passwords, and tokens for programs, of this server. The plugin's options, its answers to
 * who somebody is, and its life.
 *
 * What an answer to a guesser must not tell is whether there is an account: an unknown name
 * costs the same time (a hash of nobody's password is compared) and counts as a failure like a
 * known one; the kernel tells the client the same of all refusals. Reasons differ in the log
 * only.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static const struct hilum_option options[] = {
    {"max_failures", HILUM_OPT_INT, offsetof(struct local_conf, max_failures), "5", "1..1000",
     "Wrong passwords in a row before a name is locked for a while."},
    {"lock_time", HILUM_OPT_MSEC, offsetof(struct local_conf, lock_time), "1m", "1s..24h",
     "How long; each further failure doubles it, up to an hour."},
    {NULL, 0, 0, NULL, NULL, NULL},
};

/* An hour at most: a name can be locked from outside by whoever knows it, so a lock must pass
 * by itself. */
enum { LOCK_MAX_MS = 3600000, TOKEN_ID = 16 };

#define TOKEN_PREFIX "hlm_"

/* ---- names that failed lately: in memory, so that a stranger cannot fill a disk ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Holds local->lock. NULL: it has not failed. A walk of 512 names is nothing beside a
 * password's hash. */
static struct failure *failure_of(struct local *local, const char *user)
{
    for (unsigned i = 0; i < FAILURES; i++)
        if (strcmp(local->failures[i].user, user) == 0 && *user != '\0')
            return &local->failures[i];
    return NULL;
}

/* Asked before the password is looked at, and counted for nothing: a locked name stays locked
 * as long, however often it is tried. */
static bool is_locked_out(struct local *local, const char *user)
{
    pthread_mutex_lock(&local->lock);
    const struct failure *failure = failure_of(local, user);
    bool is_locked = failure != NULL && failure->until_ms > now_ms();
    pthread_mutex_unlock(&local->lock);
    return is_locked;
}

/* A ring: a guesser with thousands of names pushes out others' failures; what then bounds him
 * is the address (http's max_sign_in_failures). */
static void failure_note(struct local *local, const char *user)
{
    pthread_mutex_lock(&local->lock);
    struct failure *failure = failure_of(local, user);
    if (failure == NULL) {
        failure = &local->failures[local->next_failure++ % FAILURES];
        *failure = (struct failure){0};
        snprintf(failure->user, sizeof failure->user, "%s", user);
    }
    failure->count++;
    int64_t lock = local->conf->lock_time;
    for (int64_t i = local->conf->max_failures; i < failure->count && lock < LOCK_MAX_MS; i++)
        lock *= 2;
    if (failure->count >= local->conf->max_failures)
        failure->until_ms = now_ms() + (lock < LOCK_MAX_MS ? lock : LOCK_MAX_MS);
    pthread_mutex_unlock(&local->lock);
}

/* "In a row": a right password begins anew. */
static void failure_forget(struct local *local, const char *user)
{
    pthread_mutex_lock(&local->lock);
    struct failure *failure = failure_of(local, user);
    if (failure != NULL)
        *failure = (struct failure){0};
    pthread_mutex_unlock(&local->lock);
}

/* ---- identities ---- */

/* A copy of what the file says, so that nothing is held while others are called. */
struct known {
    char user[NAME_MAX_LENGTH + 8], roles[512], scope[512], hash[130];
    char display[260], departments[512];
    uint32_t flags;
    int64_t expires;
    bool is_there, is_closed;
};

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* Texts longer than their place are cut: account_set bounds them, a file written by hand may
 * not. */
static struct known known_user(struct local *local, const char *user)
{
    struct known known = {0};
    pthread_mutex_lock(&local->lock);
    const json_t *account = account_find(local, user);
    if (account != NULL) {
        known.is_there = true;
        known.is_closed = json_is_true(json_object_get(account, "is_locked"));
        known.flags =
            json_is_true(json_object_get(account, "must_change")) ? HILUM_IDENTITY_MUST_CHANGE : 0;
        snprintf(known.user, sizeof known.user, "%s", user);
        snprintf(known.roles, sizeof known.roles, "%s", text_of(account, "roles"));
        snprintf(known.hash, sizeof known.hash, "%s", text_of(account, "hash"));
        snprintf(known.display, sizeof known.display, "%s", text_of(account, "display"));
        snprintf(known.departments, sizeof known.departments, "%s",
                 text_of(account, "departments"));
    }
    pthread_mutex_unlock(&local->lock);
    return known;
}

/* With nothing held: the callback may ask us again. */
static hilum_rc tell(const struct known *known, hilum_identity_cb each, void *arg)
{
    const struct hilum_identity identity = {.size = sizeof identity,
                                            .flags = known->flags,
                                            .user = known->user,
                                            .display = known->display[0] != '\0' ? known->display
                                                                                 : known->user,
                                            .roles = known->roles,
                                            .departments = known->departments,
                                            .scope = known->scope,
                                            .expires = known->expires};
    return each(arg, &identity);
}

/* A hash of nobody's password is compared where there is no account: that takes as long as a
 * wrong password. Made with the first sign-in, not in init: it costs as much as one. Two at
 * once make it twice, which does no harm. */
static hilum_rc other_make(struct local *local)
{
    char random[SECRET_TEXT], hash[128];
    pthread_mutex_lock(&local->lock);
    bool is_made = local->other[0] != '\0';
    pthread_mutex_unlock(&local->lock);
    if (is_made)
        return HILUM_OK;
    secret_make(random);
    hilum_rc rc = password_hash(local, random, strlen(random), hash);
    pthread_mutex_lock(&local->lock);
    if (rc == HILUM_OK)
        memcpy(local->other, hash, sizeof local->other);
    pthread_mutex_unlock(&local->lock);
    return rc;
}

static const char *hash_or_other(const struct local *local, const struct known *known)
{
    return known->hash[0] != '\0' ? known->hash : local->other;
}

/* In this order so that time tells nothing: the password is verified in every case, also of a
 * name that is locked or not there. A locked name is not counted further, or guessing would
 * lock for ever. */
static hilum_rc check_password(struct local *local, const struct hilum_credentials *shown,
                               hilum_identity_cb each, void *arg)
{
    if (!account_name_is_good(shown->user))
        return HILUM_AUTH_UNKNOWN;
    struct known known = known_user(local, shown->user);
    bool is_locked = is_locked_out(local, shown->user);
    if (other_make(local) != HILUM_OK)
        return HILUM_EAGAIN;
    bool is_right = shown->secret_length <= PASSWORD_MAX &&
                    password_verify(local, hash_or_other(local, &known), shown->secret,
                                    (size_t)shown->secret_length);
    if (known.is_there && is_right && !is_locked && !known.is_closed) {
        failure_forget(local, shown->user);
        return tell(&known, each, arg);
    }
    if (!is_locked)
        failure_note(local, shown->user);
    if (!known.is_there)
        return HILUM_AUTH_UNKNOWN;
    return local_fail(local, HILUM_EDENIED,
                      is_locked         ? "locked for a while after wrong passwords"
                      : known.is_closed ? "the account is locked"
                                        : "wrong password");
}

/* A bare name narrows what its peer may do, so it need not be proven; a passcode that is shown
 * is checked. PS3.7 D.3.3.7, user identity types 1 and 2. */
static hilum_rc check_dimse(struct local *local, const struct hilum_credentials *shown,
                            hilum_identity_cb each, void *arg)
{
    if (shown->secret != NULL)
        return check_password(local, shown, each, arg);
    struct known known = account_name_is_good(shown->user) ? known_user(local, shown->user)
                                                           : (struct known){.is_there = false};
    if (!known.is_there)
        return HILUM_AUTH_UNKNOWN;
    return known.is_closed ? local_fail(local, HILUM_EDENIED, "the account is locked")
                           : tell(&known, each, arg);
}

/* ---- certificates: by the digest of the whole ---- */

/* The TLS layer has verified that the peer holds its key; which authority signed it does not
 * matter here, the digest names one certificate. If two accounts had the same, the last in the
 * file would be it. */
static hilum_rc check_certificate(struct local *local, const struct hilum_credentials *shown,
                                  hilum_identity_cb each, void *arg)
{
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1], user[NAME_MAX_LENGTH + 1] = "";
    const char *name = NULL;
    json_t *account = NULL;
    if (shown->secret_length == 0)
        return HILUM_AUTH_UNKNOWN;
    crypto_hash_sha256(digest, shown->secret, shown->secret_length);
    sodium_bin2hex(hex, sizeof hex, digest, sizeof digest);
    pthread_mutex_lock(&local->lock);
    json_object_foreach(json_object_get(local->root, "users"), name, account)
    {
        if (strcmp(text_of(account, "certificate"), hex) == 0)
            snprintf(user, sizeof user, "%s", name);
    }
    pthread_mutex_unlock(&local->lock);
    if (user[0] == '\0')
        return HILUM_AUTH_UNKNOWN;
    struct known known = known_user(local, user);
    return !known.is_there || known.is_closed
               ? local_fail(local, HILUM_EDENIED, "the account is locked")
               : tell(&known, each, arg);
}

/* ---- tokens: "hlm_ID_SECRET" ---- */

/* Of fixed length: an id that is no secret, to find it by, and a secret that is only compared
 * by its hash. */
static bool token_split(const struct hilum_credentials *shown, char id[TOKEN_ID + 1],
                        char secret[SECRET_TEXT])
{
    const char *text = shown->secret;
    size_t prefix = strlen(TOKEN_PREFIX), whole = prefix + TOKEN_ID + 1 + SECRET_TEXT - 1;
    if (shown->secret_length != whole || strncmp(text, TOKEN_PREFIX, prefix) != 0 ||
        text[prefix + TOKEN_ID] != '_')
        return false;
    memcpy(id, text + prefix, TOKEN_ID);
    id[TOKEN_ID] = '\0';
    memcpy(secret, text + prefix + TOKEN_ID + 1, SECRET_TEXT - 1);
    secret[SECRET_TEXT - 1] = '\0';
    return true;
}

/* HILUM_IDENTITY_SERVICE: no person, so nothing that is for persons (a password to change, a
 * session) applies. "token/NAME" is no name an account can have. */
static struct known known_token(struct local *local, const char *id)
{
    struct known known = {0};
    pthread_mutex_lock(&local->lock);
    const json_t *token = token_find(local, id);
    if (token != NULL) {
        known.is_there = true;
        known.flags = HILUM_IDENTITY_SERVICE;
        known.expires = json_integer_value(json_object_get(token, "expires"));
        snprintf(known.user, sizeof known.user, "token/%.64s", text_of(token, "name"));
        snprintf(known.roles, sizeof known.roles, "%s", text_of(token, "roles"));
        snprintf(known.scope, sizeof known.scope, "%s", text_of(token, "scope"));
        snprintf(known.display, sizeof known.display, "%s", text_of(token, "display"));
        snprintf(known.departments, sizeof known.departments, "%s", text_of(token, "departments"));
        snprintf(known.hash, sizeof known.hash, "%s", text_of(token, "hash"));
    }
    pthread_mutex_unlock(&local->lock);
    return known;
}

/* Expiry is by the wall clock, as it was promised. Not counted as failures here: a token
 * cannot be guessed, and its id is no name to lock. */
static hilum_rc check_token(struct local *local, const struct hilum_credentials *shown,
                            hilum_identity_cb each, void *arg)
{
    char id[TOKEN_ID + 1], secret[SECRET_TEXT], hash[65];
    if (!token_split(shown, id, secret))
        return HILUM_AUTH_UNKNOWN;
    struct known known = known_token(local, id);
    secret_hash(secret, hash);
    sodium_memzero(secret, sizeof secret);
    if (!known.is_there || strlen(known.hash) != 64 || sodium_memcmp(hash, known.hash, 64) != 0)
        return local_fail(local, HILUM_EDENIED, "no such token, or revoked");
    if (known.expires != 0 && known.expires < time(NULL))
        return local_fail(local, HILUM_EDENIED, "the token has expired");
    return tell(&known, each, arg);
}

/* HILUM_AUTH_UNKNOWN lets the next provider look; HILUM_EDENIED is the end. */
static hilum_rc auth_check(void *self, const struct hilum_credentials *shown,
                           hilum_identity_cb each, void *arg)
{
    switch (shown->kind) {
    case HILUM_CRED_PASSWORD: return check_password(self, shown, each, arg);
    case HILUM_CRED_BEARER: return check_token(self, shown, each, arg);
    case HILUM_CRED_DIMSE: return check_dimse(self, shown, each, arg);
    case HILUM_CRED_CERTIFICATE: return check_certificate(self, shown, each, arg);
    default: return HILUM_AUTH_UNKNOWN;
    }
}

/* Asked by http once a minute of a session, and with each basic sign-in it remembers, so that
 * a closed account ends both. */
static hilum_rc auth_find(void *self, const char *user, hilum_identity_cb each, void *arg)
{
    struct known known = known_user(self, user);
    if (!known.is_there || known.is_closed)
        return HILUM_ENOTFOUND;
    return tell(&known, each, arg);
}

/* ---- a new password ---- */

/* Like a sign-in: the old password is guessed at here as well as there, and counted the same. */
static hilum_rc auth_change(void *self, const char *user, const void *old_secret,
                            uint64_t old_length, const void *new_secret, uint64_t new_length)
{
    struct local *local = self;
    struct known known = known_user(local, user);
    char hash[128];
    if (other_make(local) != HILUM_OK)
        return HILUM_EAGAIN;
    if (is_locked_out(local, user))
        return local_fail(local, HILUM_EDENIED, "locked for a while after wrong passwords");
    if (old_length > PASSWORD_MAX ||
        !password_verify(local, hash_or_other(local, &known), old_secret, (size_t)old_length) ||
        !known.is_there || known.is_closed) {
        failure_note(local, user);
        return local_fail(local, HILUM_EDENIED, "the old password is wrong");
    }
    const char *fault = password_fault(user, new_secret, (size_t)new_length);
    if (fault == NULL && old_length == new_length &&
        memcmp(old_secret, new_secret, old_length) == 0)
        fault = "the new password is the old one";
    if (fault != NULL)
        return local_fail(local, HILUM_EINVAL, fault);
    hilum_rc rc = password_hash(local, new_secret, (size_t)new_length, hash);
    return rc == HILUM_OK ? account_change(local, user,
                                           json_pack("{s:s, s:b}", "hash", hash, "must_change", 0))
                          : rc;
}

/* order 100 of 1000: a directory that is to be asked first takes a smaller number. The first
 * provider that knows a name decides. */
static const struct hilum_auth auth = {
    .cap = {.size = sizeof auth,
            .kind = HILUM_CAP_AUTH,
            .threads = HILUM_PARALLEL,
            .name = "local"},
    .order = 100,
    .kinds = 1u << HILUM_CRED_PASSWORD | 1u << HILUM_CRED_BEARER | 1u << HILUM_CRED_DIMSE |
             1u << HILUM_CRED_CERTIFICATE,
    .check = auth_check,
    .find = auth_find,
    .change = auth_change,
};

/* ---- life ---- */

/* No request is under way any more: the host has unpinned the table. */
static void local_fini(void *state)
{
    struct local *local = state;
    json_decref(local->root);
    pthread_mutex_destroy(&local->lock);
    pthread_mutex_destroy(&local->hashing);
    free(local);
}

/* mkdir only: what is there keeps its mode. */
static hilum_rc place_make(struct local *local)
{
    char text[4300];
    int n = snprintf(local->path, sizeof local->path, "%s/auth-local",
                     local->host->data_dir(local->self));
    if (n < 0 || (size_t)n + 16 > sizeof local->path)
        return local_fail(local, HILUM_EINVAL, "the data directory's path is too long");
    if (mkdir(local->path, 0700) != 0 && errno != EEXIST) {
        snprintf(text, sizeof text, "create %s: %s", local->path, strerror(errno));
        return local_fail(local, HILUM_EIO, text);
    }
    memcpy(local->path + n, "/accounts.json", sizeof "/accounts.json");
    return HILUM_OK;
}

/* A damaged file is a plugin that does not start, never one that starts without accounts. */
static hilum_rc local_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                           void **state)
{
    struct local *local = calloc(1, sizeof *local);
    if (local == NULL || sodium_init() < 0) {
        free(local);
        return host->fail(self, HILUM_ENOMEM, "auth-local: no memory, or no random numbers");
    }
    local->host = host;
    local->self = self;
    local->conf = conf;
    pthread_mutex_init(&local->lock, NULL);
    pthread_mutex_init(&local->hashing, NULL);
    hilum_rc rc = place_make(local);
    if (rc == HILUM_OK)
        rc = accounts_load(local);
    if (rc == HILUM_OK)
        rc = commands_declare(local);
    if (rc == HILUM_OK)
        rc = host->provide(self, &auth.cap, local);
    if (rc == HILUM_OK)
        *state = local;
    else
        local_fini(local);
    return rc;
}

static const char *const provides[] = {"auth:local", NULL};

/* RESTART: two lives beside each other would write the same file from two memories. */
static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .conf_size = sizeof(struct local_conf),
    .id = "auth-local",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = local_init,
    .fini = local_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
