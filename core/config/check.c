/* Every fault of a merged configuration, found by walking it beside the schema.
 * Knows kinds and references; nothing of what a key switches. SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/buf.h"
#include "core/config/peers.h"
#include "core/config/schema.h"
#include "core/config/tree.h"

/* What the walk carries along. The configuration is written to once only, where a relative file
 * becomes an absolute one; it is not published yet, so nobody reads beside us. */
struct check {
    struct hl_config *config;
    struct hl_faults *faults;
};

/* A walk over the values, not over the table: every key that is there is judged, which is what finds
 * unknown ones; required keys are looked for per group afterwards. Faults never stop the walk. */

/* What a kind accepts. `fits` may be NULL: the type is all. */
struct kind {
    const char *expected;
    enum hl_node_type type;
    bool (*fits)(struct check *check, const struct hl_option *option, struct hl_node *node);
};

static void check_group(struct check *check, const struct hl_node *group, const char *path);

/* Names end up in file names, hook names and log lines, so what needs quoting anywhere is left
 * out. */
static bool fits_name(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    size_t n = strlen(node->text);
    for (const char *p = node->text; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_.-/", *p))
            return false;
    return n > 0 && n <= 63; /* with its NUL in 64 bytes, as tables of peers by name have them */
}

/* Choices are kept as "a|b|c" so that the table stays one line a key; no array to build or free. */
static bool fits_choice(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check;
    size_t n = strlen(node->text);
    for (const char *p = option->choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == n && strncmp(p, node->text, n) == 0)
            return true;
    return false;
}

static bool fits_int(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check;
    return node->integer >= option->min && node->integer <= option->max;
}

static bool fits_bytes(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check;
    uint64_t parsed = 0;
    if (node->type != HL_NODE_INT &&
        (node->type != HL_NODE_TEXT || hl_parse_bytes(node->text, &parsed) != HILUM_OK))
        return false;
    int64_t value = node->type == HL_NODE_INT ? node->integer : (int64_t)parsed;
    if (value == 0 && (option->flags & HL_OPTION_OR_ZERO))
        return true;
    return value >= option->min && (option->max == 0 || value <= option->max);
}

static bool fits_ms(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check;
    int64_t value = 0;
    /* A bare number has no unit, and 60 may be meant in seconds, minutes or days. */
    if (node->type == HL_NODE_INT
            ? node->integer != 0
            : node->type != HL_NODE_TEXT || hl_parse_ms(node->text, &value) != HILUM_OK)
        return false;
    return value >= option->min && value <= (option->max > 0 ? option->max : HL_MS_MAX);
}

static bool fits_aet(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    size_t n = strlen(node->text);
    for (const char *p = node->text; *p; p++)
        if (*p < ' ' || *p > '~' || *p == '\\')
            return false;
    /* Surrounding spaces are not significant (PS3.5 6.2) and would never match. */
    return n > 0 && n <= 16 && node->text[0] != ' ' && node->text[n - 1] != ' ';
}

static bool fits_listen(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    const char *colon = node->type == HL_NODE_TEXT ? strrchr(node->text, ':') : NULL;
    size_t n = colon ? (size_t)(colon - node->text) : 0;
    char host[64], *rest;
    uint8_t ignored[16];
    if (!colon || n >= sizeof host || !isdigit((unsigned char)colon[1]))
        return false;
    /* Port 0 lets the system choose one: tests and demos run beside anything. */
    long port = strtol(colon + 1, &rest, 10);
    bool is_v6 = n > 2 && node->text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(is_v6 ? n - 2 : n), node->text + is_v6);
    bool is_host = n == 0 || (is_v6 == (strchr(host, ':') != NULL) &&
                              hl_address_parse(host, ignored) == HILUM_OK);
    return is_host && !*rest && port >= 0 && port <= 65535;
}

/* The parser is the judge here as in the other fits_ functions: what is accepted is what will be
 * understood later. */
static bool fits_cidr(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    struct hl_cidr ignored;
    return hl_cidr_parse(node->text, &ignored) == HILUM_OK;
}

/* A switch or a group: the group is walked like any other, so its faults name their own lines. */
static bool fits_tls(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    if (node->type == HL_NODE_GROUP)
        check_group(check, node, option->path);
    return node->type == HL_NODE_GROUP || node->type == HL_NODE_BOOL;
}

/* Shape only. Whether we have a transfer syntax of that name is known to core/dicom, which is
 * above this folder. */
static bool fits_syntax(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    const char *p = node->text;
    size_t n = strlen(p);
    bool is_uid = isdigit((unsigned char)*p) && strspn(p, "0123456789.") == n && p[n - 1] != '.';
    bool is_word = isalpha((unsigned char)*p);
    for (; *p && is_word; p++)
        is_word = isalnum((unsigned char)*p);
    return n <= 64 && (is_uid || is_word);
}

static bool fits_time(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    int ignored;
    return hl_parse_day_minute(node->text, &ignored) == HILUM_OK;
}

/* Either case: it is pasted from openssl, browsers and vendors' sheets. */
static bool fits_sha256(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    return strlen(node->text) == 64 && strspn(node->text, "0123456789abcdefABCDEF") == 64;
}

static bool fits_mode(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)check, (void)option;
    size_t n = strlen(node->text);
    return n >= 3 && n <= 4 && strspn(node->text, "01234567") == n;
}

/* The path counts from the file that names it, wherever hilumd was started. */
static bool fits_file(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)option;
    const char *slash = strrchr(node->file, '/');
    if (node->text[0] != '/' && slash) {
        struct hl_buf path = {0};
        hl_buf_add(&path, node->file, (size_t)(slash - node->file) + 1);
        hl_buf_text(&path, node->text);
        const char *absolute = hl_arena_strdup(&check->config->arena, hl_buf_str(&path));
        hl_buf_fini(&path);
        if (absolute)
            node->text = absolute;
    }
    return access(node->text, R_OK) == 0;
}

/* A route to a peer one cannot call would fill the outbox for ever. */
static bool fits_peer(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    (void)option;
    const struct hl_node *peers = hl_node_get(check->config->root, "peers");
    for (size_t i = 0; peers && i < peers->n_children; i++) {
        const char *name = hl_node_text(peers->children[i], "name", NULL);
        if (name && strcmp(name, node->text) == 0)
            return hl_node_bool(peers->children[i], "enabled", true) &&
                   (hl_node_text(peers->children[i], "host", NULL) ||
                    hl_node_text(peers->children[i], "url", NULL));
    }
    return false;
}

/* `fits` looks at the type itself, for values that may be written in two ways. */
enum { ANY_TYPE = -1 };
static const struct kind kinds[HL_KINDS] = {
    [HL_KIND_GROUP] = {"a group { ... }", HL_NODE_GROUP, NULL},
    [HL_KIND_GROUPS] = {"a list of groups ( { ... }, ... )", HL_NODE_LIST, NULL},
    [HL_KIND_FREE] = {"a group { ... }", HL_NODE_GROUP, NULL},
    [HL_KIND_TEXT] = {"text in quotes", HL_NODE_TEXT, NULL},
    [HL_KIND_NAME] = {"a name of at most 63 letters, digits and _ . - /", HL_NODE_TEXT, fits_name},
    [HL_KIND_CHOICE] = {"one of ", HL_NODE_TEXT, fits_choice},
    [HL_KIND_INT] = {"an integer", HL_NODE_INT, fits_int},
    [HL_KIND_BOOL] = {"true or false", HL_NODE_BOOL, NULL},
    [HL_KIND_BYTES] = {"a size such as \"64KiB\", \"4GiB\" or 4096", (enum hl_node_type)ANY_TYPE,
                       fits_bytes},
    [HL_KIND_MS] = {"a duration such as \"200ms\", \"5s\", \"10m\", \"24h\" or \"7d\"",
                    (enum hl_node_type)ANY_TYPE, fits_ms},
    [HL_KIND_AET] = {"an AE title of 1 to 16 ASCII characters", HL_NODE_TEXT, fits_aet},
    [HL_KIND_LISTEN] = {"\"ADDRESS:PORT\" such as \"0.0.0.0:11112\" or \"[::]:104\"",
                        (enum hl_node_type)ANY_TYPE, fits_listen},
    [HL_KIND_CIDR] = {"an address range such as \"10.0.0.0/8\" or \"fd00::/8\"", HL_NODE_TEXT,
                      fits_cidr},
    [HL_KIND_TLS] = {"true, false or a group { ... }", (enum hl_node_type)ANY_TYPE, fits_tls},
    [HL_KIND_FILE] = {"a readable file", HL_NODE_TEXT, fits_file},
    [HL_KIND_SYNTAX] = {"a UID or its keyword", HL_NODE_TEXT, fits_syntax},
    [HL_KIND_SHA256] = {"64 hexadecimal digits", HL_NODE_TEXT, fits_sha256},
    [HL_KIND_MODE] = {"an octal mode such as \"0600\"", HL_NODE_TEXT, fits_mode},
    [HL_KIND_TIME] = {"a time of day such as \"02:30\"", HL_NODE_TEXT, fits_time},
    [HL_KIND_PEER] = {"the name of a peer with a host or a url", HL_NODE_TEXT, fits_peer},
};

/* ---- the words of a fault: what was expected, what was found, what is nearest */

static void describe_choices(const char *choices, struct hl_buf *out)
{
    for (const char *p = choices; *p;) {
        size_t n = strcspn(p, "|");
        hl_buf_printf(out, "%s\"%.*s\"", p == choices ? "" : ", ", (int)n, p);
        p += n + (p[n] == '|');
    }
}

/* "one of " and an integer's range are completed from the option; a list says what each of its
 * members is. */
static void describe_expected(const struct hl_option *option, bool is_element, struct hl_buf *out)
{
    if ((option->flags & HL_OPTION_LIST) && !is_element)
        hl_buf_text(out, "a list ( ... ), each ");
    hl_buf_text(out, kinds[option->kind].expected);
    if (option->kind == HL_KIND_CHOICE)
        describe_choices(option->choices, out);
    if (option->kind == HL_KIND_INT)
        hl_buf_printf(out, " from %" PRId64 " to %" PRId64, option->min, option->max);
    char low[32], high[32];
    if (option->kind == HL_KIND_BYTES && (option->min > 0 || option->max > 0))
        hl_buf_printf(out, " from %s%s%s%s", hl_bytes_text(option->min, low, sizeof low),
                      option->max > 0 ? " to " : " on",
                      option->max > 0 ? hl_bytes_text(option->max, high, sizeof high) : "",
                      option->flags & HL_OPTION_OR_ZERO ? ", or 0" : "");
    if (option->kind == HL_KIND_MS)
        hl_buf_printf(out, " from %s to %s", hl_ms_text(option->min, low, sizeof low),
                      hl_ms_text(option->max > 0 ? option->max : HL_MS_MAX, high, sizeof high));
}

/* The first 256 names are enough for a suggestion, and the stack stays small. */
static const char *suggest_peer(const struct check *check, const char *word)
{
    const struct hl_node *peers = hl_node_get(check->config->root, "peers");
    const char *names[256];
    size_t n = 0;
    for (size_t i = 0; peers && i < peers->n_children && n < 256; i++)
        if ((names[n] = hl_node_text(peers->children[i], "name", NULL)))
            n++;
    const char *nearest = hl_nearest(word, names, n);
    return nearest && strcmp(nearest, word) != 0 ? nearest : NULL;
}

/* The words are cut in `out`, into which the answer points. */
static const char *suggest_choice(const struct hl_option *option, const char *word, char *out,
                                  size_t size)
{
    const char *words[16];
    size_t n = 0;
    snprintf(out, size, "%s", option->choices);
    char *rest = NULL;
    for (char *p = strtok_r(out, "|", &rest); p && n < 16; p = strtok_r(NULL, "|", &rest))
        words[n++] = p;
    return hl_nearest(word, words, n);
}

static void add_misfit(struct check *check, const struct hl_option *option,
                       const struct hl_node *node, bool is_element)
{
    int cause = errno; /* of access() in fits_file, called just before */
    struct hl_buf expected = {0};
    char found[80], room[256];
    const char *nearest = NULL;
    describe_expected(option, is_element, &expected);
    if (node->type == HL_NODE_TEXT && option->kind == HL_KIND_PEER)
        nearest = suggest_peer(check, node->text);
    if (node->type == HL_NODE_TEXT && option->kind == HL_KIND_CHOICE)
        nearest = suggest_choice(option, node->text, room, sizeof room);
    bool is_file = node->type == HL_NODE_TEXT && option->kind == HL_KIND_FILE;
    hl_faults_add(check->faults, node->file, node->line, "%s: expected %s, found %s%s%s%s%s%s%s",
                  option->path, hl_buf_str(&expected), hl_node_describe(node, found, sizeof found),
                  nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "",
                  is_file ? " (" : "", is_file ? strerror(cause) : "", is_file ? ")" : "");
    hl_buf_fini(&expected);
}

static void check_scalar(struct check *check, const struct hl_option *option, struct hl_node *node,
                         bool is_element)
{
    const struct kind *kind = &kinds[option->kind];
    bool is_type = (int)kind->type == ANY_TYPE || kind->type == node->type;
    if (!is_type || (kind->fits && !kind->fits(check, option, node)))
        add_misfit(check, option, node, is_element);
    else if (option->kind == HL_KIND_GROUP)
        check_group(check, node, option->path);
}

/* Elements are checked as what they are; a group among addresses is a listener with TLS. */
static void check_members(struct check *check, const struct hl_option *option,
                          const struct hl_node *list)
{
    char path[HL_CONFIG_PATH_MAX];
    snprintf(path, sizeof path, "%s[]", option->path);
    for (size_t i = 0; i < list->n_children; i++) {
        struct hl_node *child = list->children[i];
        bool may_be_group = option->kind == HL_KIND_GROUPS || option->kind == HL_KIND_LISTEN;
        if (child->type == HL_NODE_GROUP && may_be_group)
            check_group(check, child, path);
        else if (option->kind == HL_KIND_GROUPS)
            add_misfit(check, option, child, true);
        else
            check_scalar(check, option, child, true);
    }
}

/* The shape first (one value or a list of them), then what is in it. */
static void check_value(struct check *check, const struct hl_option *option, struct hl_node *node)
{
    bool is_list = (option->flags & HL_OPTION_LIST) || option->kind == HL_KIND_GROUPS;
    if (!is_list)
        check_scalar(check, option, node, false);
    else if (node->type == HL_NODE_LIST)
        check_members(check, option, node);
    else
        add_misfit(check, option, node, false);
}

static void add_unknown(struct check *check, const struct hl_node *node, const char *path)
{
    const char *known[64];
    size_t n = 0;
    for (size_t i = 0; i < hl_options_count && n < 64; i++)
        if ((known[n] = hl_option_key_in(&hl_options[i], path)))
            n++;
    const char *nearest = hl_nearest(node->name, known, n);
    hl_faults_add(check->faults, node->file, node->line,
                  "%s%s%s: expected a known key, found \"%.40s\"%s%s%s", path, *path ? "." : "",
                  node->name, node->name, nearest ? "; did you mean \"" : "",
                  nearest ? nearest : "", nearest ? "\"?" : "");
}

/* Told at the line of the group: the missing key has none. */
static void check_required(struct check *check, const struct hl_node *group, const char *path)
{
    for (size_t i = 0; i < hl_options_count; i++) {
        const char *key = hl_option_key_in(&hl_options[i], path);
        if (!key || !(hl_options[i].flags & HL_OPTION_REQUIRED) || hl_node_get(group, key))
            continue;
        struct hl_buf expected = {0};
        describe_expected(&hl_options[i], false, &expected);
        hl_faults_add(check->faults, group->file, group->line, "%s: expected %s, found nothing",
                      hl_options[i].path, hl_buf_str(&expected));
        hl_buf_fini(&expected);
    }
}

/* `path` is that of the group as the schema writes it: "" for the root, "peers[]" for each
 * member of peers. */
static void check_group(struct check *check, const struct hl_node *group, const char *path)
{
    for (size_t i = 0; i < group->n_children; i++) {
        struct hl_node *child = group->children[i];
        char below[HL_CONFIG_PATH_MAX];
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", child->name);
        const struct hl_option *option = hl_option_find(below);
        if (option)
            check_value(check, option, child);
        else
            add_unknown(check, child, path);
    }
    check_required(check, group, path);
}

/* With an AE title alone anybody could be this peer: titles are not secrets. */
static void check_peer_source(struct check *check, const struct hl_node *peer)
{
    if (!hl_node_get(peer, "host") && !hl_node_get(peer, "cidr") &&
        !hl_node_get(peer, "certificate_sha256") && !hl_node_get(peer, "certificate_subject") &&
        !hl_node_get(peer, "certificate_san") && !hl_node_get(peer, "url"))
        hl_faults_add(check->faults, peer->file, peer->line,
                      "peers[]: expected host, url, cidr or certificate_sha256, found none; cidr = "
                      "( \"0.0.0.0/0\", \"::/0\" ) means any address");
}

static bool is_near(const char *url)
{
    return strncmp(url, "http://127.", 11) == 0 || strncmp(url, "http://localhost", 16) == 0 ||
           strncmp(url, "http://[::1]", 12) == 0;
}

/* "sftp://...": what a scheme means is its carrier's to say. */
static bool has_scheme(const char *url)
{
    size_t n = strspn(url, "abcdefghijklmnopqrstuvwxyz0123456789+.-");
    return n > 0 && strncmp(url + n, "://", 3) == 0;
}

/* A secret that leaves this machine in the clear is everybody's. */
static void check_peer_url(struct check *check, const struct hl_node *peer)
{
    const char *url = hl_node_text(peer, "url", NULL), *via = hl_node_text(peer, "via", "dicomweb");
    bool is_https = url && strncmp(url, "https://", 8) == 0;
    bool is_http = url && strncmp(url, "http://", 7) == 0;
    bool is_ours = strcmp(via, "dicomweb") == 0 || strcmp(via, "dimse") == 0;
    bool has_secret = hl_node_get(peer, "token_file") || hl_node_get(peer, "password_file");
    if (url && !is_https && !is_http && (is_ours || !has_scheme(url)))
        hl_faults_add(check->faults, peer->file, peer->line,
                      "peers[].url: expected %s, found \"%s\"",
                      is_ours ? "\"https://...\" or \"http://...\"" : "\"SCHEME://...\"", url);
    else if (is_http && has_secret && !is_near(url))
        hl_faults_add(
            check->faults, peer->file, peer->line,
            "peers[].url: a token or password needs https, unless it stays on this machine");
    if (has_secret && !url)
        hl_faults_add(check->faults, peer->file, peer->line,
                      "peers[]: token_file and password_file are for url, which is missing");
}

void hl_config_check(struct hl_config *config, struct hl_faults *faults)
{
    struct check check = {config, faults};
    check_group(&check, config->root, "");
    const struct hl_node *peers = hl_node_get(config->root, "peers");
    for (size_t i = 0; peers && peers->type == HL_NODE_LIST && i < peers->n_children; i++)
        if (peers->children[i]->type == HL_NODE_GROUP) {
            check_peer_source(&check, peers->children[i]);
            check_peer_url(&check, peers->children[i]);
        }
}
