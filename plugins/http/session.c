/* Who signed in: providers asked, sessions, a short memory of basic sign-ins, failures by address. All in memory: a
 * restart ends every session, a newer version of this plugin goes on with them. Secrets are kept as digests.
 * SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <fcntl.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* 4096 sessions are some 8 MiB, made with the first sign-in. 1024 addresses that failed
 * lately: one more pushes the oldest out. */
enum {
    DIGEST = 32,
    SESSIONS = 4096,
    RECALLED = 64,
    ADDRESSES = 1024,
    RECALL_MS = 60000,  /* a closed account's basic sign-in works no longer than this */
    RECHECK_MS = 60000, /* a session asks its provider again */
    FAILURES_MS = 300000
};

/* `digest` of the cookie's value: who reads our memory has no cookie. */
struct session {
    uint8_t digest[DIGEST];
    char csrf[HTTP_SECRET_TEXT];
    struct http_identity identity;
    int64_t begun_ms, used_ms, checked_ms; /* begun 0: free */
};

/* A basic sign-in whose password was right: kept by the digest of the header. */
struct recalled {
    uint8_t digest[DIGEST];
    struct http_identity identity;
    int64_t until_ms;
};

/* Of an address; since_ms: the first of them, and what a window of FAILURES_MS is counted
 * from. */
struct failures {
    char address[48];
    int64_t since_ms, n;
};

struct http_sessions {
    pthread_mutex_t lock;
    struct session *sessions; /* SESSIONS, made with the first */
    struct recalled recalled[RECALLED];
    struct failures failures[ADDRESSES];
    unsigned next_recalled, next_failure;
};

hilum_rc http_sessions_new(struct http_server *server)
{
    server->sessions = calloc(1, sizeof *server->sessions);
    if (server->sessions == NULL)
        return server->host->fail(server->self, HILUM_ENOMEM, "http: no memory for sessions");
    pthread_mutex_init(&server->sessions->lock, NULL);
    return HILUM_OK;
}

/* After the last request; what is to be kept was saved before (http_sessions_save). */
void http_sessions_free(struct http_server *server)
{
    struct http_sessions *all = server->sessions;
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all->sessions);
    free(all);
    server->sessions = NULL;
}

/* ---- from one version to the next ---- */

struct saved {
    uint64_t magic, size, process; /* size: of a session; another layout is another size */
};
static const uint64_t saved_magic = 0x31736E7373656C69;

/* Of this life of the process: since when it runs, in ticks since the machine started, and its
 * number. 0: not known. The file may only be read by the next version in the same process:
 * after a crash it is nobody's, and another process must not take on its sessions. */
static uint64_t process_now(void)
{
    char text[1024];
    unsigned long long begun = 0;
    FILE *f = fopen("/proc/self/stat", "re");
    size_t n = f != NULL ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f != NULL)
        fclose(f);
    text[n] = '\0';
    const char *at = strrchr(text, ')'); /* of its name; what we want is 20 words on */
    for (int i = 0; at != NULL && i < 20; i++)
        at = strchr(at + 1, ' ');
    if (at != NULL)
        begun = strtoull(at, NULL, 10);
    return begun != 0 ? (uint64_t)begun << 22 ^ (uint64_t)getpid() : 0;
}

static void saved_path(const struct http_server *server, char *out, size_t size)
{
    snprintf(out, size, "%s/http/sessions", server->host->data_dir(server->self));
}

/* Without it people sign in again, which is no reason not to go on. O_EXCL and 0600: cookies'
 * digests, names and roles are in it. */
void http_sessions_save(struct http_server *server)
{
    struct http_sessions *all = server->sessions;
    const struct saved head = {saved_magic, sizeof(struct session), process_now()};
    char path[4096];
    snprintf(path, sizeof path, "%s/http", server->host->data_dir(server->self));
    (void)mkdir(path, 0700);
    saved_path(server, path, sizeof path);
    unlink(path);
    int fd = head.process != 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL)
        return;
    fwrite(&head, sizeof head, 1, f);
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; all->sessions != NULL && i < SESSIONS; i++)
        if (all->sessions[i].begun_ms != 0)
            fwrite(&all->sessions[i], sizeof all->sessions[i], 1, f);
    pthread_mutex_unlock(&all->lock);
    if (fclose(f) != 0)
        unlink(path);
}

/* Unlinked before it is believed. */
void http_sessions_load(struct http_server *server)
{
    struct http_sessions *all = server->sessions;
    struct saved head = {0};
    char path[4096];
    saved_path(server, path, sizeof path);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return;
    unlink(path);
    bool is_ours = fread(&head, sizeof head, 1, f) == 1 && head.magic == saved_magic &&
                   head.size == sizeof(struct session) && head.process == process_now();
    pthread_mutex_lock(&all->lock);
    if (is_ours && all->sessions == NULL)
        all->sessions = calloc(SESSIONS, sizeof *all->sessions);
    for (size_t i = 0; is_ours && all->sessions != NULL && i < SESSIONS; i++)
        if (fread(&all->sessions[i], sizeof all->sessions[i], 1, f) != 1) {
            all->sessions[i] = (struct session){0};
            break;
        }
    pthread_mutex_unlock(&all->lock);
    fclose(f);
}

/* ---- secrets ---- */

static void digest_of(const char *secret, uint8_t out[DIGEST])
{
    gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, strlen(secret), out);
}

/* 256 bits, hexadecimal. */
static bool secret_make(char out[HTTP_SECRET_TEXT])
{
    uint8_t random[32];
    if (gnutls_rnd(GNUTLS_RND_KEY, random, sizeof random) != 0)
        return false;
    for (size_t i = 0; i < sizeof random; i++)
        snprintf(out + 2 * i, 3, "%02x", random[i]);
    gnutls_memset(random, 0, sizeof random);
    return true;
}

/* ---- providers ---- */

static void copy(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text != NULL ? text : "");
}

static hilum_rc identity_take(void *arg, const struct hilum_identity *identity)
{
    struct http_identity *out = arg;
    copy(out->user, sizeof out->user, identity->user);
    copy(out->display, sizeof out->display, identity->display);
    copy(out->roles, sizeof out->roles, identity->roles);
    copy(out->departments, sizeof out->departments, identity->departments);
    copy(out->scope, sizeof out->scope, identity->scope);
    out->flags = identity->flags;
    out->expires = identity->expires;
    /* A list that does not fit would lose what narrows it. */
    return strlen(identity->scope) < sizeof out->scope && strlen(identity->user) < sizeof out->user
               ? HILUM_OK
               : HILUM_EINVAL;
}

/* The first provider that knows the account decides, also by refusing; they are asked in their
 * `order`. */
hilum_rc http_check(struct http_server *server, struct hilum_credentials *shown,
                    struct http_identity *out)
{
    const struct hilum_host *host = server->host;
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    hilum_rc rc = HILUM_AUTH_UNKNOWN;
    for (uint32_t i = 0; rc == HILUM_AUTH_UNKNOWN &&
                         host->provider(server->self, HILUM_CAP_AUTH, i, &cap, &instance) == 0;
         i++) {
        const struct hilum_auth *auth = (const struct hilum_auth *)(const void *)cap;
        if (auth->kinds & 1u << shown->kind)
            rc = auth->check(instance, shown, identity_take, out);
        host->unpin(server->self, cap);
    }
    return rc == HILUM_AUTH_UNKNOWN
               ? host->fail(server->self, HILUM_EDENIED, "no account, or no provider takes it")
               : rc;
}

/* As the account is now. False: closed, or nobody knows it any more. Roles that were taken
 * away work a minute at most (RECHECK_MS). */
static bool find_again(struct http_server *server, struct http_identity *identity)
{
    const struct hilum_host *host = server->host;
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    struct http_identity now = {0};
    hilum_rc rc = HILUM_ENOTFOUND;
    for (uint32_t i = 0;
         rc != HILUM_OK && host->provider(server->self, HILUM_CAP_AUTH, i, &cap, &instance) == 0;
         i++) {
        const struct hilum_auth *auth = (const struct hilum_auth *)(const void *)cap;
        if (HILUM_HAS(struct hilum_auth, cap->size, find) && auth->find != NULL)
            rc = auth->find(instance, identity->user, identity_take, &now);
        host->unpin(server->self, cap);
    }
    if (rc == HILUM_OK)
        *identity = now;
    return rc == HILUM_OK;
}

/* ---- basic sign-ins ---- */

/* With the password right a moment ago; whether the account is open is asked all the same. */
bool http_recall(struct http_server *server, const char *basic, struct http_identity *out)
{
    struct http_sessions *all = server->sessions;
    uint8_t digest[DIGEST];
    bool is_known = false;
    digest_of(basic, digest);
    pthread_mutex_lock(&all->lock);
    for (unsigned i = 0; i < RECALLED && !is_known; i++)
        if (all->recalled[i].until_ms > http_now_ms() &&
            gnutls_memcmp(all->recalled[i].digest, digest, DIGEST) == 0) {
            *out = all->recalled[i].identity;
            is_known = true;
        }
    pthread_mutex_unlock(&all->lock);
    return is_known && find_again(server, out);
}

/* After a password was right: argon2 for each request of a program would be a core for itself.
 * A digest, for a minute. */
void http_remember(struct http_server *server, const char *basic,
                   const struct http_identity *identity)
{
    struct http_sessions *all = server->sessions;
    pthread_mutex_lock(&all->lock);
    struct recalled *recalled = &all->recalled[all->next_recalled++ % RECALLED];
    digest_of(basic, recalled->digest);
    recalled->identity = *identity;
    recalled->until_ms = http_now_ms() + RECALL_MS;
    pthread_mutex_unlock(&all->lock);
}

/* ---- sessions ---- */

static bool is_over(const struct http_server *server, const struct session *session, int64_t now)
{
    return now - session->used_ms > server->conf->session_idle ||
           now - session->begun_ms > server->conf->session_life ||
           (session->identity.expires != 0 && session->identity.expires < time(NULL));
}

/* Holds all->lock. A free one, or one that is over; NULL: all are in use, or no memory. A
 * walk, under the lock: once a sign-in. */
static struct session *session_free_one(struct http_server *server)
{
    struct http_sessions *all = server->sessions;
    if (all->sessions == NULL)
        all->sessions = calloc(SESSIONS, sizeof *all->sessions);
    for (size_t i = 0; all->sessions != NULL && i < SESSIONS; i++)
        if (all->sessions[i].begun_ms == 0 || is_over(server, &all->sessions[i], http_now_ms()))
            return &all->sessions[i];
    return NULL;
}

/* The cookie's secret is kept as a digest only: who reads this memory, or a core of it, cannot
 * use it. The other secret (csrf) is told to the page and compared as it is. */
hilum_rc http_session_begin(struct http_server *server, const struct http_identity *identity,
                            char cookie[HTTP_SECRET_TEXT], char csrf[HTTP_SECRET_TEXT])
{
    struct http_sessions *all = server->sessions;
    if (!secret_make(cookie) || !secret_make(csrf))
        return server->host->fail(server->self, HILUM_EIO, "no random numbers");
    pthread_mutex_lock(&all->lock);
    struct session *session = session_free_one(server);
    if (session != NULL) {
        *session = (struct session){.identity = *identity};
        digest_of(cookie, session->digest);
        memcpy(session->csrf, csrf, HTTP_SECRET_TEXT);
        session->begun_ms = session->used_ms = session->checked_ms = http_now_ms();
    }
    pthread_mutex_unlock(&all->lock);
    return session != NULL ? HILUM_OK
                           : server->host->fail(server->self, HILUM_EFULL, "too many sessions");
}

/* Holds all->lock. */
static struct session *session_of(struct http_sessions *all, const char *cookie)
{
    uint8_t digest[DIGEST];
    digest_of(cookie, digest);
    for (size_t i = 0; all->sessions != NULL && i < SESSIONS; i++)
        if (all->sessions[i].begun_ms != 0 &&
            gnutls_memcmp(all->sessions[i].digest, digest, DIGEST) == 0)
            return &all->sessions[i];
    return NULL;
}

/* The provider is asked without the lock; the session may have ended meanwhile, and is looked
 * for again. */
bool http_session_find(struct http_server *server, const char *cookie, struct http_identity *out,
                       char csrf[HTTP_SECRET_TEXT])
{
    struct http_sessions *all = server->sessions;
    int64_t now = http_now_ms();
    bool is_stale = false;
    pthread_mutex_lock(&all->lock);
    struct session *session = session_of(all, cookie);
    if (session != NULL && is_over(server, session, now)) {
        *session = (struct session){0};
        session = NULL;
    }
    if (session != NULL) {
        session->used_ms = now;
        is_stale = now - session->checked_ms > RECHECK_MS;
        *out = session->identity;
        memcpy(csrf, session->csrf, HTTP_SECRET_TEXT);
    }
    pthread_mutex_unlock(&all->lock);
    if (session == NULL || !is_stale)
        return session != NULL;
    bool is_open = find_again(server, out);
    pthread_mutex_lock(&all->lock);
    session = session_of(all, cookie);
    if (session != NULL && !is_open)
        *session = (struct session){0};
    if (session != NULL && is_open) {
        session->identity = *out;
        session->checked_ms = now;
    }
    pthread_mutex_unlock(&all->lock);
    return is_open;
}

/* Of a cookie that is none: nothing. */
void http_session_end(struct http_server *server, const char *cookie)
{
    struct http_sessions *all = server->sessions;
    pthread_mutex_lock(&all->lock);
    struct session *session = session_of(all, cookie);
    if (session != NULL)
        *session = (struct session){0};
    pthread_mutex_unlock(&all->lock);
}

/* Remembered basic sign-ins end too. */
void http_sessions_end(struct http_server *server, const char *user)
{
    struct http_sessions *all = server->sessions;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; all->sessions != NULL && i < SESSIONS; i++)
        if (strcmp(all->sessions[i].identity.user, user) == 0)
            all->sessions[i] = (struct session){0};
    for (size_t i = 0; i < RECALLED; i++)
        if (strcmp(all->recalled[i].identity.user, user) == 0)
            all->recalled[i] = (struct recalled){0};
    pthread_mutex_unlock(&all->lock);
}

/* ---- failures ---- */

/* Holds all->lock. NULL: none lately. */
static struct failures *failures_of(struct http_sessions *all, const char *address)
{
    for (size_t i = 0; i < ADDRESSES; i++)
        if (strcmp(all->failures[i].address, address) == 0 &&
            http_now_ms() - all->failures[i].since_ms < FAILURES_MS)
            return &all->failures[i];
    return NULL;
}

/* Counted from the first one on for five minutes, whatever comes in between. */
void http_failure_note(struct http_server *server, const char *address)
{
    struct http_sessions *all = server->sessions;
    pthread_mutex_lock(&all->lock);
    struct failures *failures = failures_of(all, address);
    if (failures == NULL) {
        failures = &all->failures[all->next_failure++ % ADDRESSES];
        *failures = (struct failures){.since_ms = http_now_ms()};
        copy(failures->address, sizeof failures->address, address);
    }
    failures->n++;
    pthread_mutex_unlock(&all->lock);
}

/* By address, whatever names were tried: the names are bounded by the provider (auth-local). */
bool http_failures_are_many(struct http_server *server, const char *address)
{
    struct http_sessions *all = server->sessions;
    pthread_mutex_lock(&all->lock);
    const struct failures *failures = failures_of(all, address);
    bool are_many = failures != NULL && failures->n >= server->conf->max_sign_in_failures;
    pthread_mutex_unlock(&all->lock);
    return are_many;
}
