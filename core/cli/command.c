/* Words of a command line to a command and its arguments, by the server's tables.
 *
 * Pure but for getcwd: words and tables in, a JSON object of arguments out.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/cli/cli.h"
#include "core/config/config.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* How many words `name` has if all of them begin `words`, else 0. */
/* Word by word, not by prefix of the text: "study findings" is not "study find" with an argument. */
static int words_matched(const char *name, char *const *words, int n)
{
    for (int i = 0; i < n; i++) {
        size_t length = strcspn(name, " ");
        if (strlen(words[i]) != length || strncmp(name, words[i], length) != 0)
            return 0;
        if (!name[length])
            return i + 1;
        name += length + 1;
    }
    return 0;
}

const json_t *hl_cli_match(const json_t *list, char *const *words, int n, int *used)
{
    const json_t *best = NULL;
    size_t i;
    json_t *command;
    *used = 0;
    json_array_foreach(list, i, command)
    {
        int matched = words_matched(text_of(command, "name"), words, n);
        if (matched > *used) {
            *used = matched;
            best = command;
        }
    }
    return best;
}

/* The value of "--name value" or "--name=value"; *used counts the words. NULL: not this option. */
static const char *option_value(const char *name, char *const *words, int n, int *used)
{
    size_t length = strlen(name);
    if (strncmp(words[0], "--", 2) != 0 || strncmp(words[0] + 2, name, length) != 0)
        return NULL;
    const char *rest = words[0] + 2 + length;
    if (*rest && *rest != '=')
        return NULL;
    *used = *rest ? 1 : n > 1 ? 2 : -1;
    return *rest ? rest + 1 : n > 1 ? words[1] : "";
}

/* Used twice: before the server is known, and among a command's arguments to step over them. */
int hl_cli_global(char *const *words, int n, struct hl_cli_options *options)
{
    static const struct {
        const char *word;
        size_t offset;
    } flags[] = {
        {"--json", offsetof(struct hl_cli_options, is_json)},
        {"--help", offsetof(struct hl_cli_options, is_help)},
        {"-h", offsetof(struct hl_cli_options, is_help)},
        {"--version", offsetof(struct hl_cli_options, is_version)},
    };
    int used = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (strcmp(words[0], flags[i].word) != 0)
            continue;
        *(bool *)((char *)options + flags[i].offset) = true;
        return 1;
    }
    static const struct {
        const char *name;
        size_t offset;
    } values[] = {
        {"data", offsetof(struct hl_cli_options, data)},
        {"socket", offsetof(struct hl_cli_options, socket)},
        {"server", offsetof(struct hl_cli_options, server)},
        {"token-file", offsetof(struct hl_cli_options, token_file)},
        {"ca", offsetof(struct hl_cli_options, ca)},
    };
    for (size_t i = 0; used == 0 && i < sizeof values / sizeof *values; i++) {
        const char *value = option_value(values[i].name, words, n, &used);
        if (value)
            *(const char **)((char *)options + values[i].offset) = value;
    }
    return used;
}

bool hl_cli_is_path(const json_t *arg)
{
    const char *type = text_of(arg, "type");
    return strcmp(type, "path") == 0 || strcmp(type, "files") == 0;
}

/* Not realpath(): the path may name something that the command will make. */
static json_t *absolute_path(const char *path)
{
    char *here = *path != '/' ? getcwd(NULL, 0) : NULL;
    struct hl_buf out = {0};
    /* "server:/path" is for who comes from another machine (remote_args). */
    if (strncmp(path, HL_CLI_ON_SERVER, strlen(HL_CLI_ON_SERVER)) == 0) {
        free(here);
        return json_string(path);
    }
    hl_buf_printf(&out, "%s%s%s", here ? here : "", here ? "/" : "", path);
    json_t *value = json_string(hl_buf_str(&out));
    hl_buf_fini(&out);
    free(here);
    return value;
}

static hilum_rc set_int(json_t *args, const char *name, const char *text)
{
    char *rest;
    errno = 0;
    long long value = strtoll(text, &rest, 10);
    if (rest == text || *rest || errno)
        return hl_fail(HILUM_EINVAL, "%s: expected an integer, found \"%.40s\"", name, text);
    json_object_set_new(args, name, json_integer(value));
    return HILUM_OK;
}

/* Lists grow with each word; anything else is replaced by the last. */
static hilum_rc set_arg(json_t *args, const json_t *arg, const char *text)
{
    const char *name = text_of(arg, "name"), *type = text_of(arg, "type");
    if (strcmp(type, "int") == 0)
        return set_int(args, name, text);
    /* An empty path is a script's variable that is not set, not the folder it happens to run in. */
    if (hl_cli_is_path(arg) && *text == '\0')
        return hl_fail(HILUM_EINVAL, "%s: expected a path, found nothing", name);
    json_t *value = hl_cli_is_path(arg) ? absolute_path(text) : json_string(text);
    if (!value)
        return hl_fail(HILUM_EINVAL, "%s: expected UTF-8", name);
    if (strcmp(type, "texts") == 0) {
        json_t *list = json_object_get(args, name);
        if (!list) {
            list = json_array();
            json_object_set_new(args, name, list);
        }
        json_array_append_new(list, value);
    } else {
        json_object_set_new(args, name, value);
    }
    return HILUM_OK;
}

/* An option the command declares. *used 0: it declares none such. */
static hilum_rc take_option(const json_t *declared, char *const *words, int n, json_t *args,
                            int *used)
{
    size_t i;
    json_t *arg;
    json_array_foreach(declared, i, arg)
    {
        const char *name = text_of(arg, "name");
        bool is_flag = strcmp(text_of(arg, "type"), "bool") == 0;
        if (is_flag && strncmp(words[0], "--", 2) == 0 && strcmp(words[0] + 2, name) == 0) {
            json_object_set_new(args, name, json_true());
            *used = 1;
            return HILUM_OK;
        }
        const char *value = is_flag ? NULL : option_value(name, words, n, used);
        if (value && *used < 0)
            return hl_fail(HILUM_EINVAL, "--%s: expected a value", name);
        if (value)
            return set_arg(args, arg, value);
    }
    return HILUM_OK;
}

/* The first place that is free; a list takes all that is left. */
static hilum_rc take_positional(const json_t *declared, const char *word, json_t *args)
{
    size_t i;
    json_t *arg;
    json_array_foreach(declared, i, arg)
    {
        bool is_list = strcmp(text_of(arg, "type"), "texts") == 0;
        bool is_given = json_object_get(args, text_of(arg, "name")) != NULL;
        if (json_is_true(json_object_get(arg, "positional")) && (is_list || !is_given))
            return set_arg(args, arg, word);
    }
    return hl_fail(HILUM_EINVAL, "\"%.80s\" is one argument too many", word);
}

/* Names are kept to 63 letters for the comparison: nobody mistypes longer ones. */
static hilum_rc unknown_option(const json_t *declared, const char *word)
{
    const char *names[64];
    size_t n = 0, i;
    json_t *arg;
    char bare[64];
    size_t length = strcspn(word + 2, "=");
    json_array_foreach(declared, i, arg)
    {
        if (n < 64)
            names[n++] = text_of(arg, "name");
    }
    memcpy(bare, word + 2, length < 63 ? length : 63);
    bare[length < 63 ? length : 63] = 0;
    const char *nearest = hl_nearest(bare, names, n);
    return hl_fail(HILUM_EINVAL, "no option --%s%s%s%s", bare, nearest ? "; did you mean --" : "",
                   nearest ? nearest : "", nearest ? "?" : "");
}

static hilum_rc take_word(const json_t *declared, char *const *words, int n,
                          struct hl_cli_options *options, json_t *args, int *used)
{
    /* The command's own options first, so that one called like a global option can be reached. */
    *used = 0;
    hilum_rc rc = take_option(declared, words, n, args, used);
    if (rc != HILUM_OK || *used > 0)
        return rc;
    *used = hl_cli_global(words, n, options);
    if (*used < 0)
        return hl_fail(HILUM_EINVAL, "%s: expected a value", words[0]);
    if (*used > 0)
        return HILUM_OK;
    *used = 1;
    if (strncmp(words[0], "--", 2) == 0)
        return unknown_option(declared, words[0]);
    return take_positional(declared, words[0], args);
}

/* The server checks again; here it costs no round trip and the usage line is at hand. */
static hilum_rc check_required(const json_t *declared, const json_t *args)
{
    size_t i;
    json_t *arg;
    json_array_foreach(declared, i, arg)
    {
        const char *name = text_of(arg, "name");
        if (json_is_true(json_object_get(arg, "required")) && !json_object_get(args, name))
            return hl_fail(HILUM_EINVAL, "%s is missing: %s", name, text_of(arg, "summary"));
    }
    return HILUM_OK;
}

hilum_rc hl_cli_args(const json_t *command, char *const *words, int n,
                     struct hl_cli_options *options, json_t **out)
{
    const json_t *declared = json_object_get(command, "args");
    hilum_rc rc = HILUM_OK;
    bool is_plain = false; /* after "--" every word is positional */
    *out = json_object();
    for (int i = 0, used = 0; rc == HILUM_OK && i < n; i += used) {
        used = 1;
        if (is_plain)
            rc = take_positional(declared, words[i], *out);
        else if (strcmp(words[i], "--") == 0)
            is_plain = true;
        else
            rc = take_word(declared, words + i, n - i, options, *out, &used);
    }
    if (rc == HILUM_OK && !options->is_help)
        rc = check_required(declared, *out);
    return rc;
}
