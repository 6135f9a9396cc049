/* The commands, and what a request must look like to reach one. SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/control/private.h"

const char *hl_arg_type_name(enum hl_arg_type type)
{
    static const char *const names[] = {"text", "int", "bool", "texts", "path", "text", "files"};
    return names[type];
}

/* Where `name` is, or belongs: sorted on insertion, so that `commands` and help come in order
 * without another pass. */
static size_t place_of(const struct hl_control *control, const char *name)
{
    size_t i = 0;
    while (i < control->n_commands && strcmp(control->commands[i].name, name) < 0)
        i++;
    return i;
}

const struct hl_command *hl_control_find(const struct hl_control *control, const char *name)
{
    size_t i = place_of(control, name);
    bool is_there = i < control->n_commands && strcmp(control->commands[i].name, name) == 0;
    return is_there ? &control->commands[i] : NULL;
}

hilum_rc hl_control_lookup(const struct hl_control *control, const char *name,
                           const struct hl_command **out)
{
    *out = hl_control_find(control, name);
    if (*out)
        return HILUM_OK;
    const char *names[256];
    size_t n = 0;
    for (; n < control->n_commands && n < 256; n++)
        names[n] = control->commands[n].name;
    const char *nearest = hl_nearest(name, names, n);
    if (nearest)
        return hl_fail(HILUM_ENOTFOUND, "no command \"%.40s\"; did you mean \"%s\"?", name,
                       nearest);
    return hl_fail(HILUM_ENOTFOUND, "no command \"%.40s\"; `commands` lists them", name);
}

/* Small words only: they are typed, completed and matched word by word. */
static bool is_word_list(const char *name)
{
    for (const char *p = name; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '-' && *p != ' ')
            return false;
    return *name && *name != ' ' && *name != '-' && !strstr(name, "  ");
}

/* When a command is registered, so that a plugin's slip is told at its start and not to the
 * person who calls. */
static hilum_rc check_arg_table(const struct hl_command *command)
{
    bool is_closed = false; /* a positional list takes the rest: nothing can follow it */
    for (const struct hl_command_arg *arg = command->args; arg && arg->name; arg++) {
        if (!is_word_list(arg->name) || strchr(arg->name, ' ') || !arg->summary)
            return hl_fail(HILUM_EINVAL,
                           "command %s: argument \"%s\": expected a word and a summary",
                           command->name, arg->name);
        if (arg->is_positional && (is_closed || arg->type == HL_ARG_BOOL))
            return hl_fail(HILUM_EINVAL, "command %s: argument %s cannot be positional",
                           command->name, arg->name);
        is_closed = is_closed || (arg->is_positional && arg->type == HL_ARG_TEXTS);
        for (const struct hl_command_arg *other = command->args; other < arg; other++)
            if (strcmp(other->name, arg->name) == 0)
                return hl_fail(HILUM_EINVAL, "command %s: argument %s is there twice",
                               command->name, arg->name);
    }
    return HILUM_OK;
}

/* All checks are here, at start: a table that passes cannot fail a user later. */
hilum_rc hl_control_register(struct hl_control *control, const struct hl_command *command)
{
    assert(control->listen_fd < 0 && "commands are registered before the server starts");
    if (!command->name || !is_word_list(command->name) || !command->run || !command->summary)
        return hl_fail(HILUM_EINVAL,
                       "command \"%s\": expected a name in small letters, a summary and run",
                       command->name ? command->name : "");
    if (!hl_action_is_known(command->action))
        return hl_fail(HILUM_EINVAL, "command %s: action \"%s\" is not in core/access",
                       command->name, command->action ? command->action : "");
    hilum_rc rc = check_arg_table(command);
    if (rc != HILUM_OK)
        return rc;
    if (hl_control_find(control, command->name))
        return hl_fail(HILUM_EEXISTS, "command %s is registered already", command->name);
    if (!hl_grow(&control->commands, &control->cap_commands, control->n_commands, sizeof *command))
        return hl_fail(HILUM_ENOMEM, "registering command %s", command->name);
    size_t at = place_of(control, command->name);
    memmove(control->commands + at + 1, control->commands + at,
            (control->n_commands - at) * sizeof *command);
    control->commands[at] = *command;
    control->n_commands++;
    return HILUM_OK;
}

hilum_rc hl_control_register_all(struct hl_control *control, const struct hl_command *commands)
{
    hilum_rc rc = HILUM_OK;
    for (; rc == HILUM_OK && commands->name; commands++)
        rc = hl_control_register(control, commands);
    return rc;
}

static const struct hl_command_arg *find_arg(const struct hl_command *command, const char *name)
{
    for (const struct hl_command_arg *arg = command->args; arg && arg->name; arg++)
        if (strcmp(arg->name, name) == 0)
            return arg;
    return NULL;
}

bool hl_command_is_by_study(const struct hl_command *command)
{
    for (const struct hl_command_arg *arg = command->args; arg && arg->name; arg++)
        if (arg->type == HL_ARG_STUDY)
            return true;
    return false;
}

hilum_rc hl_command_allow(const struct hl_principal *who, const struct hl_command *command)
{
    static const struct hl_resource some_study = {.study_uid = ""};
    return hl_allow(who, command->action, hl_command_is_by_study(command) ? &some_study : NULL);
}

static bool is_text_list(const json_t *value)
{
    size_t i;
    json_t *element;
    json_array_foreach(value, i, element)
    {
        if (!json_is_string(element))
            return false;
    }
    return json_is_array(value);
}

static bool is_choice(const char *choices, const char *text)
{
    size_t n = strlen(text);
    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strcspn(p, "|") == n && strncmp(p, text, n) == 0)
            return true;
    return false;
}

static bool fits_type(const struct hl_command_arg *arg, const json_t *value)
{
    switch (arg->type) {
    case HL_ARG_PATH:
    case HL_ARG_FILES:
    case HL_ARG_STUDY:
    case HL_ARG_TEXT: return json_is_string(value);
    case HL_ARG_INT: return json_is_integer(value);
    case HL_ARG_BOOL: return json_is_boolean(value);
    case HL_ARG_TEXTS: return is_text_list(value);
    }
    return false;
}

/* Refused, not ignored: a misspelt --exact must not become a wider search. */
static hilum_rc unknown_arg(const struct hl_command *command, const char *name)
{
    const char *names[64];
    size_t n = 0;
    for (const struct hl_command_arg *arg = command->args; arg && arg->name && n < 64; arg++)
        names[n++] = arg->name;
    const char *nearest = hl_nearest(name, names, n);
    return hl_fail(HILUM_EINVAL, "%s: no argument \"%.40s\"%s%s%s", command->name, name,
                   nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
}

/* Types and choices are exact: nothing is converted, so a script's "10" is told to be no
 * integer. */
hilum_rc hl_command_check_args(const struct hl_command *command, json_t *args)
{
    const char *name;
    json_t *value;
    json_object_foreach(args, name, value)
    {
        const struct hl_command_arg *arg = find_arg(command, name);
        if (!arg)
            return unknown_arg(command, name);
        if (!fits_type(arg, value))
            return hl_fail(HILUM_EINVAL, "%s: argument %s: expected %s", command->name, name,
                           hl_arg_type_name(arg->type));
        if (arg->choices && json_is_string(value) &&
            !is_choice(arg->choices, json_string_value(value)))
            return hl_fail(HILUM_EINVAL, "%s: argument %s: expected one of %s, found \"%.40s\"",
                           command->name, name, arg->choices, json_string_value(value));
    }
    for (const struct hl_command_arg *arg = command->args; arg && arg->name; arg++)
        if (arg->is_required && !json_object_get(args, arg->name))
            return hl_fail(HILUM_EINVAL, "%s: argument %s is missing: %s", command->name, arg->name,
                           arg->summary);
    return HILUM_OK;
}
