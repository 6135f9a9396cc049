/* /auth/...: signing in and out with a password, the session's state, a new password. What pages need of it; programs
 * send a token or a basic sign-in with each request. SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A form of five fields. */
enum { FORM_MAX = 8192, FIELDS = 8 };

#define FORM "application/x-www-form-urlencoded"

/* fields point into text; values are decoded in place. */
struct form {
    char text[FORM_MAX + 1];
    struct {
        const char *name;
        char *value;
    } fields[FIELDS];
    unsigned n;
};

/* ---- forms ---- */

/* In place, in form->text, which is wiped with the passwords in it. Beyond FORM_MAX and FIELDS
 * nothing is read: names not found are refused by who needs them. */
static hilum_rc form_read(hilum_http *http, struct form *form)
{
    const struct http_server *server = http->server;
    size_t length = 0;
    uint64_t got = 1;
    if (strncasecmp(http->asked.content_type, FORM, strlen(FORM)) != 0)
        return server->host->fail(server->self, HILUM_EINVAL, "send " FORM);
    while (got > 0 && length < FORM_MAX) {
        hilum_rc rc = http_api.read(http, form->text + length, FORM_MAX - length, &got);
        if (rc != HILUM_OK)
            return rc;
        length += (size_t)got;
    }
    form->text[length] = '\0';
    char *rest = NULL;
    for (char *pair = strtok_r(form->text, "&", &rest); pair != NULL && form->n < FIELDS;
         pair = strtok_r(NULL, "&", &rest)) {
        char *value = strchr(pair, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        ptrdiff_t n = http_decode(value, strlen(value), true);
        if (n < 0)
            return server->host->fail(server->self, HILUM_EINVAL, "a field is not well-formed");
        value[n] = '\0';
        form->fields[form->n].name = pair;
        form->fields[form->n++].value = value;
    }
    return HILUM_OK;
}

static const char *field(const struct form *form, const char *name)
{
    for (unsigned i = 0; i < form->n; i++)
        if (strcmp(form->fields[i].name, name) == 0)
            return form->fields[i].value;
    return "";
}

/* ---- answers ---- */

static void audit(struct hilum_http *http, const char *action, const char *user)
{
    const struct http_server *server = http->server;
    server->host->audit(server->self, http->who, action, user, NULL);
}

/* Names of accounts and roles hold nothing that JSON escapes; what does is left out. */
static const char *plain(const char *text)
{
    return strpbrk(text, "\"\\") == NULL ? text : "";
}

/* Fits: 80 bytes of a user, 512 of roles. */
static hilum_rc answer_session(hilum_http *http, const char *user, const char *roles,
                               uint32_t flags, const char *csrf)
{
    char body[1200];
    int n = snprintf(
        body, sizeof body,
        "{\"user\":\"%s\",\"roles\":\"%s\",\"must_change_password\":%s,\"csrf\":\"%s\"}\n",
        plain(user), plain(roles), flags & HILUM_IDENTITY_MUST_CHANGE ? "true" : "false", csrf);
    return http_api.respond(http, 200, "application/json", body, (uint64_t)n);
}

/* HttpOnly: no script reads it. SameSite=Strict: no other site's page makes a browser send it. */
static hilum_rc cookie_set(hilum_http *http, const char *value, bool is_end)
{
    char text[200];
    snprintf(text, sizeof text, "hilum_session=%s; Path=/; HttpOnly; SameSite=Strict%s%s", value,
             http->is_tls || strncmp(http->asked.base_url, "https:", 6) == 0 ? "; Secure" : "",
             is_end ? "; Max-Age=0" : "");
    return http_api.add_header(http, "Set-Cookie", text);
}

static hilum_rc refuse(hilum_http *http, uint32_t status, const char *why)
{
    if (status == 429)
        http_api.add_header(http, "Retry-After", "60");
    return http_api.problem(http, status, HILUM_OK, why);
}

/* A password is not said aloud. 0: go on. */
static uint32_t not_now(hilum_http *http, const char **why)
{
    *why = "sign in over TLS";
    if (!http->is_private)
        return 403;
    *why = "too many failed sign-ins from this address; wait some minutes";
    return http_failures_are_many(http->server, http->address) ? 429 : 0;
}

/* ---- routes ---- */

static hilum_rc begin_session(hilum_http *http, const struct http_identity *identity)
{
    char cookie[HTTP_SECRET_TEXT], csrf[HTTP_SECRET_TEXT];
    /* Always a new one: what a browser had before is worth nothing now. */
    if (http->cookie != NULL)
        http_session_end(http->server, http->cookie);
    hilum_rc rc = http_session_begin(http->server, identity, cookie, csrf);
    if (rc == HILUM_OK)
        rc = cookie_set(http, cookie, false);
    audit(http, "sign in", identity->user);
    return rc == HILUM_OK
               ? answer_session(http, identity->user, identity->roles, identity->flags, csrf)
               : rc;
}

/* Sessions and cookies are more of an exchange than the contract of routes tells: of another server's nothing is known. */
static hilum_rc not_ours(const struct hilum_http_api *api, hilum_http *http)
{
    return api->problem(http, 501, HILUM_EUNSUP, "sign-in belongs to the server it came with");
}

/* The answer does not tell whether the account exists. */
static hilum_rc login(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_server *server = self;
    struct http_identity identity = {0};
    struct form form = {.n = 0};
    const char *why = NULL;
    if (api != &http_api)
        return not_ours(api, http);
    uint32_t status = not_now(http, &why);
    if (status != 0)
        return refuse(http, status, why);
    hilum_rc rc = form_read(http, &form);
    if (rc != HILUM_OK)
        return rc;
    const char *password = field(&form, "password");
    struct hilum_credentials shown = {.size = sizeof shown,
                                      .kind = HILUM_CRED_PASSWORD,
                                      .user = field(&form, "user"),
                                      .secret = password,
                                      .secret_length = strlen(password),
                                      .remote = http->address,
                                      .service = "http",
                                      .totp = field(&form, "totp"),
                                      .state = ""};
    rc = http_check(server, &shown, &identity);
    if (rc != HILUM_OK) {
        http_failure_note(server, http->address);
        audit(http, "sign in refused", shown.user);
    }
    gnutls_memset(form.text, 0, sizeof form.text);
    if (rc == HILUM_EAGAIN)
        return refuse(http, 503, "the directory of accounts cannot be reached");
    if (rc != HILUM_OK)
        return refuse(http, 401, "refused");
    return begin_session(http, &identity);
}

/* The cookie is taken from the browser in every case, also when there is no session any more. */
static hilum_rc logout(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    (void)self;
    if (api != &http_api)
        return not_ours(api, http);
    if (http->cookie != NULL) {
        http_session_end(http->server, http->cookie);
        audit(http, "sign out", http->user);
    }
    hilum_rc rc = cookie_set(http, "", true);
    return rc == HILUM_OK ? http_api.respond(http, 204, NULL, "", 0) : rc;
}

/* Of anybody who asks, without a session too: then user is empty, which is how a page knows
 * that it has to ask for a password. */
static hilum_rc session(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_identity identity = {0};
    char csrf[HTTP_SECRET_TEXT] = "";
    if (api != &http_api)
        return not_ours(api, http);
    if (http->cookie != NULL)
        (void)http_session_find(self, http->cookie, &identity, csrf);
    return answer_session(http, http->user, identity.roles, http->identity_flags, csrf);
}

/* The provider that has the account changes it. */
static hilum_rc change(struct http_server *server, const char *user, const char *old,
                       const char *fresh)
{
    const struct hilum_host *host = server->host;
    const struct hilum_cap *cap = NULL;
    void *instance = NULL;
    hilum_rc rc = HILUM_ENOTFOUND;
    for (uint32_t i = 0; rc == HILUM_ENOTFOUND &&
                         host->provider(server->self, HILUM_CAP_AUTH, i, &cap, &instance) == 0;
         i++) {
        const struct hilum_auth *auth = (const struct hilum_auth *)(const void *)cap;
        if (HILUM_HAS(struct hilum_auth, cap->size, change) && auth->change != NULL)
            rc = auth->change(instance, user, old, strlen(old), fresh, strlen(fresh));
        host->unpin(server->self, cap);
    }
    return rc;
}

/* All sessions of the account end, its own as well: whoever else knew the old password is out. */
static hilum_rc password(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_server *server = self;
    struct form form = {.n = 0};
    const char *why = NULL;
    if (api != &http_api)
        return not_ours(api, http);
    uint32_t status = not_now(http, &why);
    if (status != 0)
        return refuse(http, status, why);
    if (http->user[0] == '\0')
        return refuse(http, 401, "sign in first");
    hilum_rc rc = form_read(http, &form);
    if (rc == HILUM_OK)
        rc = change(server, http->user, field(&form, "old"), field(&form, "new"));
    gnutls_memset(form.text, 0, sizeof form.text);
    if (rc == HILUM_EDENIED)
        http_failure_note(server, http->address);
    if (rc != HILUM_OK)
        return rc;
    http_sessions_end(server, http->user);
    audit(http, "password changed", http->user);
    rc = cookie_set(http, "", true);
    return rc == HILUM_OK ? http_api.respond(http, 204, NULL, "", 0) : rc;
}

/* Over HTTP only: a person is there who can be asked for a reason. Permission `access.break`
 * and a reason; the host audits it. */
static hilum_rc break_glass(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct http_server *server = self;
    struct form form = {.n = 0};
    char body[80];
    int64_t until = 0;
    if (api != &http_api)
        return not_ours(api, http);
    hilum_rc rc = form_read(http, &form);
    if (rc != HILUM_OK)
        return rc;
    const struct hilum_glass what = {.size = sizeof what,
                                     .study_uid = field(&form, "study"),
                                     .patient_id = field(&form, "patient"),
                                     .issuer = field(&form, "issuer"),
                                     .reason = field(&form, "reason")};
    rc = server->host->break_glass(server->self, http->who, &what, &until);
    if (rc != HILUM_OK)
        return rc;
    int n = snprintf(body, sizeof body, "{\"until\":%lld}\n", (long long)until);
    return api->respond(http, 200, "application/json", body, (uint64_t)n);
}

static const struct hilum_route glass = {
    .cap = {.size = sizeof glass,
            .kind = HILUM_CAP_ROUTE,
            .threads = HILUM_PARALLEL,
            .name = "auth/break-glass"},
    .methods = "POST",
    .pattern = "/auth/break-glass",
    .permission = "access.break",
    .summary = "Shows for a while what the roles withhold: study, or patient and issuer; reason.",
    .body_max = FORM_MAX,
    .run = break_glass,
};

#define ROUTE(label, verb, path, limit, function, flag, what)                                      \
    {                                                                                              \
        .cap = {.size = sizeof(struct hilum_route),                                                \
                .kind = HILUM_CAP_ROUTE,                                                           \
                .threads = HILUM_PARALLEL,                                                         \
                .name = (label)},                                                                  \
        .methods = (verb), .pattern = (path), .summary = (what), .body_max = (limit),              \
        .flags = HILUM_ROUTE_ANONYMOUS | (flag), .run = (function),                                \
    }

static const struct hilum_route routes[] = {
    ROUTE("auth/login", "POST", "/auth/login", FORM_MAX, login, HILUM_ROUTE_NO_CSRF,
          "Signs in with user and password; begins a session."),
    ROUTE("auth/logout", "POST", "/auth/logout", FORM_MAX, logout, 0, "Ends the session."),
    ROUTE("auth/session", "GET", "/auth/session", 0, session, 0, "Who is signed in."),
    ROUTE("auth/password", "POST", "/auth/password", FORM_MAX, password, 0,
          "Changes the password: old and new; ends the account's sessions."),
};

hilum_rc http_signin_routes(struct http_server *server)
{
    hilum_rc rc = server->host->provide(server->self, &glass.cap, server);
    for (size_t i = 0; rc == HILUM_OK && i < sizeof routes / sizeof *routes; i++)
        rc = server->host->provide(server->self, &routes[i].cap, server);
    return rc;
}
