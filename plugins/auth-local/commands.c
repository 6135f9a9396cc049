/* `hilum user ...` and `hilum token ...`: over the control socket, where only root and the server's own user are.
 * Passwords and tokens are made here and shown once: nobody types a secret into a command line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "accounts.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- small things ---- */

static const char *argument(const json_t *arguments, const char *name)
{
    const char *text = json_string_value(json_object_get(arguments, name));
    return text != NULL ? text : "";
}

/* Takes result over, NULL too: json_pack's only failure is memory. */
static hilum_rc answer(struct local *local, struct hilum_call *call, json_t *result)
{
    char *text = result != NULL ? json_dumps(result, JSON_COMPACT) : NULL;
    hilum_rc rc = text != NULL ? call->result.write(call->result.ctx, text, strlen(text))
                               : local_fail(local, HILUM_ENOMEM, "no memory for an answer");
    free(text);
    json_decref(result);
    return rc;
}

static hilum_rc bad_name(const struct local *local)
{
    return local_fail(local, HILUM_EINVAL,
                      "name: expected 1 to 64 letters, digits, '.', '_', '@', '-'");
}

/* A password somebody can read out: 20 characters of 32 letters, 100 bits. No l, 1, 0, o: they
 * are mistaken for each other on paper and by telephone. */
static void password_make(char out[25])
{
    static const char letters[] = "abcdefghijkmnpqrstuvwxyz23456789";
    size_t at = 0;
    for (unsigned i = 0; i < 20; i++) {
        if (i > 0 && i % 5 == 0)
            out[at++] = '-';
        out[at++] = letters[randombytes_uniform(32)];
    }
    out[at] = '\0';
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

typedef hilum_rc (*command)(struct local *local, const json_t *arguments, struct hilum_call *call);

/* ---- accounts ---- */

/* Looked for and added under one lock: two at once cannot both make it. */
static hilum_rc user_add(struct local *local, const char *name, const char *roles, const char *hash)
{
    json_t *users = json_object_get(local->root, "users");
    pthread_mutex_lock(&local->lock);
    hilum_rc rc = HILUM_OK;
    if (account_find(local, name) != NULL)
        rc = local_fail(local, HILUM_EEXISTS, "there is an account of that name");
    else if (json_object_set_new(
                 users, name,
                 json_pack("{s:s, s:s, s:b}", "roles", roles, "hash", hash, "must_change", 1)) != 0)
        rc = local_fail(local, HILUM_ENOMEM, "no memory for an account");
    else if ((rc = accounts_save(local)) != HILUM_OK)
        json_object_del(users, name);
    pthread_mutex_unlock(&local->lock);
    return rc;
}

/* An older host cannot say; then what is given is believed, as it was. */
static hilum_rc check_roles(const struct local *local, const char *roles, const char *scope)
{
    return HILUM_HAS(struct hilum_host, local->host->size, check_roles)
               ? local->host->check_roles(local->self, roles, scope)
               : HILUM_OK;
}

/* The hash is made before the lock is taken; the text is wiped from our stack, and what the
 * answer holds lives until it was sent. */
static hilum_rc user_create(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    char password[25], hash[128];
    const char *name = argument(arguments, "name"), *roles = argument(arguments, "roles");
    if (*roles == '\0')
        roles = argument(arguments, "role");
    if (json_is_true(json_object_get(arguments, "admin")))
        roles = "administrator";
    if (!account_name_is_good(name))
        return bad_name(local);
    if (*roles == '\0')
        return local_fail(local, HILUM_EINVAL,
                          "roles is missing: names of roles, separated by commas, or --admin; "
                          "without one an account may do nothing");
    hilum_rc rc = check_roles(local, roles, NULL);
    if (rc != HILUM_OK)
        return rc;
    password_make(password);
    rc = password_hash(local, password, strlen(password), hash);
    if (rc == HILUM_OK)
        rc = user_add(local, name, roles, hash);
    if (rc == HILUM_OK)
        rc = answer(local, call,
                    json_pack("{s:s, s:s, s:s, s:s}", "user", name, "roles", roles, "password",
                              password, "note", "shown once; to be changed at the first sign-in"));
    sodium_memzero(password, sizeof password);
    return rc;
}

static hilum_rc account_set(struct local *local, const char *name, const char *key, json_t *value)
{
    return account_change(local, name, json_pack("{s:o}", key, value));
}

/* One change, one saving: never the new hash without the duty to change it. */
static hilum_rc user_password(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    char password[25], hash[128];
    const char *name = argument(arguments, "name");
    password_make(password);
    hilum_rc rc = password_hash(local, password, strlen(password), hash);
    if (rc == HILUM_OK)
        rc = account_change(local, name, json_pack("{s:s, s:b}", "hash", hash, "must_change", 1));
    if (rc == HILUM_OK)
        rc = answer(local, call,
                    json_pack("{s:s, s:s, s:s}", "user", name, "password", password, "note",
                              "shown once; to be changed at the next sign-in"));
    sodium_memzero(password, sizeof password);
    return rc;
}

static hilum_rc user_roles(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)call;
    const char *roles = argument(arguments, "roles");
    hilum_rc rc = check_roles(local, roles, NULL);
    return rc != HILUM_OK
               ? rc
               : account_set(local, argument(arguments, "name"), "roles", json_string(roles));
}

/* What per-study rules mean by "own". */
static const char *const own_keys[] = {"display", "departments"};

static hilum_rc check_own(struct local *local, const json_t *arguments)
{
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (strlen(argument(arguments, own_keys[i])) > DISPLAY_MAX ||
            strpbrk(argument(arguments, own_keys[i]), "*?\\") != NULL)
            return local_fail(local, HILUM_EINVAL,
                              "expected a name, and departments by commas, of up to 256 bytes, "
                              "without wild cards");
    return HILUM_OK;
}

static hilum_rc user_describe(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    hilum_rc rc = check_own(local, arguments);
    (void)call;
    if (rc != HILUM_OK)
        return rc;
    json_t *changes = json_object();
    for (size_t i = 0; i < sizeof own_keys / sizeof *own_keys; i++)
        if (json_object_get(arguments, own_keys[i]) != NULL)
            json_object_set(changes, own_keys[i], json_object_get(arguments, own_keys[i]));
    return account_change(local, argument(arguments, "name"), changes);
}

/* "" takes it away. */
static hilum_rc user_certificate(struct local *local, const json_t *arguments,
                                 struct hilum_call *call)
{
    char lower[65] = "";
    const char *sha256 = argument(arguments, "sha256");
    size_t n = strlen(sha256);
    (void)call;
    if (n != 0 && (n != 64 || strspn(sha256, "0123456789abcdefABCDEF") != n))
        return local_fail(local, HILUM_EINVAL, "sha256: expected 64 hexadecimal digits");
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(sha256[i] >= 'A' && sha256[i] <= 'F' ? sha256[i] + 'a' - 'A' : sha256[i]);
    return account_set(local, argument(arguments, "name"), "certificate", json_string(lower));
}

/* Sessions end within a minute: so often http asks auth_find() again. */
static hilum_rc user_lock(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)call;
    return account_set(local, argument(arguments, "name"), "is_locked", json_true());
}

/* Both: opened by an administrator is opened, whichever it was. */
static hilum_rc user_unlock(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)call;
    const char *name = argument(arguments, "name");
    pthread_mutex_lock(&local->lock);
    for (unsigned i = 0; i < FAILURES; i++)
        if (strcmp(local->failures[i].user, name) == 0)
            local->failures[i] = (struct failure){0};
    pthread_mutex_unlock(&local->lock);
    return account_set(local, name, "is_locked", json_false());
}

/* Never the hash. */
static hilum_rc user_list(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)arguments;
    const char *name = NULL;
    json_t *account = NULL, *list = json_array();
    pthread_mutex_lock(&local->lock);
    json_object_foreach(json_object_get(local->root, "users"), name, account)
    {
        json_array_append_new(
            list,
            json_pack("{s:s, s:O, s:s, s:s, s:b, s:b}", "user", name, "roles",
                      json_object_get(account, "roles"), "display", text_of(account, "display"),
                      "departments", text_of(account, "departments"), "is_locked",
                      json_is_true(json_object_get(account, "is_locked")), "must_change",
                      json_is_true(json_object_get(account, "must_change"))));
    }
    pthread_mutex_unlock(&local->lock);
    return answer(local, call, list);
}

/* ---- tokens ---- */

/* Durable, or not there. Takes token over. */
static hilum_rc token_add(struct local *local, const char *id, json_t *token)
{
    json_t *tokens = json_object_get(local->root, "tokens");
    pthread_mutex_lock(&local->lock);
    hilum_rc rc = HILUM_OK;
    if (json_object_set_new(tokens, id, token) != 0)
        rc = local_fail(local, HILUM_ENOMEM, "no memory for a token");
    else if ((rc = accounts_save(local)) != HILUM_OK)
        json_object_del(tokens, id);
    pthread_mutex_unlock(&local->lock);
    return rc;
}

/* A century: whoever means for good says 0. */
enum { MAX_DAYS = 36500 };

/* The id is eight random bytes: two of the same would take each other's place, once in 2^32
 * tokens. days to seconds: within 64 bits by MAX_DAYS. */
static hilum_rc token_create(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    unsigned char random[8];
    char id[17], secret[SECRET_TEXT], hash[65], token[80];
    const char *name = argument(arguments, "name"), *roles = argument(arguments, "roles");
    /* `token create --role administrator`: a name of its own is for who has several. */
    if (*name == '\0')
        name = "token";
    if (*roles == '\0')
        roles = argument(arguments, "role");
    int64_t days = json_integer_value(json_object_get(arguments, "days"));
    if (!account_name_is_good(name))
        return bad_name(local);
    if (*roles == '\0')
        return local_fail(local, HILUM_EINVAL,
                          "roles is missing: names of roles, separated by commas; without one a "
                          "token may do nothing");
    if (days < 0 || days > MAX_DAYS)
        return local_fail(local, HILUM_EINVAL, "days: expected 1 to 36500, or 0: for good");
    if (check_own(local, arguments) != HILUM_OK ||
        check_roles(local, roles, argument(arguments, "scope")) != HILUM_OK)
        return HILUM_EINVAL;
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(id, sizeof id, random, sizeof random);
    secret_make(secret);
    secret_hash(secret, hash);
    snprintf(token, sizeof token, "hlm_%s_%s", id, secret);
    hilum_rc rc = token_add(local, id,
                            json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I}", "name", name, "roles",
                                      roles, "scope", argument(arguments, "scope"), "departments",
                                      argument(arguments, "departments"), "display",
                                      argument(arguments, "display"), "hash", hash, "expires",
                                      (json_int_t)(days > 0 ? time(NULL) + days * 86400 : 0)));
    if (rc == HILUM_OK)
        rc = answer(local, call,
                    json_pack("{s:s, s:s, s:s}", "id", id, "token", token, "note",
                              "shown once; send it as Authorization: Bearer"));
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(token, sizeof token);
    return rc;
}

/* Effective at once: each request with a token asks here. */
static hilum_rc token_revoke(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)call;
    json_t *tokens = json_object_get(local->root, "tokens");
    const char *id = argument(arguments, "id");
    pthread_mutex_lock(&local->lock);
    json_t *before = json_incref(token_find(local, id));
    hilum_rc rc = before == NULL
                      ? local_fail(local, HILUM_ENOTFOUND, "no such token; see `hilum token list`")
                      : HILUM_OK;
    if (rc == HILUM_OK) {
        json_object_del(tokens, id);
        rc = accounts_save(local);
        if (rc != HILUM_OK)
            json_object_set(tokens, id, before);
    }
    pthread_mutex_unlock(&local->lock);
    json_decref(before);
    return rc;
}

/* Ids tell which to revoke; what a token is was shown once and is not kept. */
static hilum_rc token_list(struct local *local, const json_t *arguments, struct hilum_call *call)
{
    (void)arguments;
    const char *id = NULL;
    json_t *token = NULL, *list = json_array();
    pthread_mutex_lock(&local->lock);
    json_object_foreach(json_object_get(local->root, "tokens"), id, token)
    {
        json_array_append_new(list, json_pack("{s:s, s:O, s:O, s:O, s:s, s:s, s:O}", "id", id,
                                              "name", json_object_get(token, "name"), "roles",
                                              json_object_get(token, "roles"), "scope",
                                              json_object_get(token, "scope"), "departments",
                                              text_of(token, "departments"), "display",
                                              text_of(token, "display"), "expires",
                                              json_object_get(token, "expires")));
    }
    pthread_mutex_unlock(&local->lock);
    return answer(local, call, list);
}

/* ---- declarations ---- */

/* On whichever thread the command runs; the lock is taken by each where it needs it. */
static hilum_rc run(void *arg, struct hilum_call *call, command function)
{
    struct local *local = arg;
    json_t *arguments = json_loads(call->arguments, 0, NULL);
    hilum_rc rc = arguments != NULL ? function(local, arguments, call)
                                    : local_fail(local, HILUM_EINVAL, "expected a JSON object");
    json_decref(arguments);
    return rc;
}

#define RUN(function)                                                                              \
    static hilum_rc run_##function(void *arg, struct hilum_call *call)                             \
    {                                                                                              \
        return run(arg, call, function);                                                           \
    }
RUN(user_create)
RUN(user_password)
RUN(user_roles)
RUN(user_describe)
RUN(user_certificate)
RUN(user_lock)
RUN(user_unlock)
RUN(user_list)
RUN(token_create)
RUN(token_revoke)
RUN(token_list)

#define ABOUT(...)                                                                                 \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define COMMAND(function, command, arguments, sentence, words)                                     \
    {                                                                                              \
        .size = sizeof(struct hilum_decl), .type = HILUM_DECL_COMMAND, .name = (command),          \
        .summary = (sentence), .fields = (arguments), .permission = "user.manage",                 \
        .run = run_##function, .about = (words)                                                    \
    }
#define ACCOUNT     "name of the account"
#define ROLES       "names of roles, separated by commas"
#define DEPARTMENTS "departments, separated by commas: what \"own\" means in a role's studies"

/* The table is shared by all lives of the plugin and constant; arg is not, hence a copy. */
static const struct hilum_decl shared[] = {
    COMMAND(user_create, "user create", "name:text roles?:text admin?:bool role?:text",
            "Makes an account and prints its first password.",
            ABOUT("what it is to be called: letters, digits, '.', '_', '@', '-'", ROLES,
                  "the role administrator", "the same as ROLES")),
    COMMAND(user_password, "user password", "name:text", "Gives an account a new first password.",
            ABOUT(ACCOUNT)),
    COMMAND(user_roles, "user roles", "name:text roles:text",
            "Sets an account's roles, separated by commas.", ABOUT(ACCOUNT, ROLES)),
    COMMAND(user_describe, "user describe", "name:text display?:text departments?:text",
            "Says whose account it is (\"WANG^LI\") and of which departments.",
            ABOUT(ACCOUNT, "the person's name, as referring physicians are named: \"WANG^LI\"",
                  DEPARTMENTS)),
    COMMAND(user_certificate, "user certificate", "name:text sha256:text",
            "Signs in whoever shows this client certificate; \"\": nobody.",
            ABOUT(ACCOUNT, "fingerprint of the certificate, 64 hexadecimal digits")),
    COMMAND(user_lock, "user lock", "name:text", "Closes an account; its sessions end.",
            ABOUT(ACCOUNT)),
    COMMAND(user_unlock, "user unlock", "name:text", "Opens it again, also after wrong passwords.",
            ABOUT(ACCOUNT)),
    COMMAND(user_list, "user list", "", "Lists accounts.", NULL),
    COMMAND(token_create, "token create",
            "name?:text roles?:text scope?:text days?:int departments?:text display?:text "
            "role?:text",
            "Makes a token for a program and prints it.",
            ABOUT("what the program is called; default \"token\"", ROLES,
                  "actions it is narrowed to, separated by commas; default all its roles allow",
                  "how long it is good for; default for good", DEPARTMENTS,
                  "whose \"own\" studies it sees: a physician's name", "the same as ROLES")),
    COMMAND(token_revoke, "token revoke", "id:text", "Makes a token worthless.",
            ABOUT("its id, as `hilum token list` shows it")),
    COMMAND(token_list, "token list", "", "Lists tokens, without their secrets.", NULL),
};

hilum_rc commands_declare(struct local *local)
{
    hilum_rc rc = HILUM_OK;
    memcpy(local->declared, shared, sizeof shared);
    for (size_t i = 0; rc == HILUM_OK && i < sizeof shared / sizeof *shared; i++) {
        local->declared[i].arg = local;
        rc = local->host->declare(local->self, &local->declared[i]);
    }
    return rc;
}
