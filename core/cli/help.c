/* Help, made of what the server says of its commands; only what holds for every server is
 * written here. SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/cli/cli.h"
#include "core/config/config.h"

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

/* The only help that is ours: what holds for every server. */
void hl_cli_usage(struct hl_buf *out)
{
    hl_buf_text(
        out,
        "usage: hilum [--data DIR | --socket PATH | --server URL] [--json] COMMAND [ARGUMENTS]\n"
        "       hilum help [COMMAND]\n"
        "       hilum --version\n\n"
        "  --data DIR     the server whose data directory is DIR\n"
        "  --socket PATH  the server that answers at PATH; default $HILUM_SOCKET, then\n"
        "                 /run/hilum/hilum.sock, then /var/lib/hilum/hilum.sock\n"
        "  --server URL   a server elsewhere, https://HOST[:PORT]; default $HILUM_SERVER\n"
        "  --token-file F where the token for it is; default: it is in $HILUM_TOKEN\n"
        "  --ca FILE      who its certificate is trusted from; default: who this machine trusts\n"
        "  --json         answers as JSON, one value a line\n\n"
        "exit status: 0 done; 1 failed, or something wrong was found; 2 no such command or\n"
        "argument; 3 no server answers\n");
}

/* At least one blank, however long what stands before. */
static void pad(struct hl_buf *out, size_t from, size_t to)
{
    hl_buf_printf(out, "%*s", (int)(to > from ? to - from : 1), "");
}

void hl_cli_help(const json_t *list, struct hl_buf *out)
{
    size_t i, widest = 0;
    json_t *command;
    hl_cli_usage(out);
    hl_buf_text(out, "\ncommands of this server:\n");
    json_array_foreach(list, i, command)
    {
        size_t n = strlen(text_of(command, "name"));
        widest = n > widest ? n : widest;
    }
    json_array_foreach(list, i, command)
    {
        const char *name = text_of(command, "name");
        hl_buf_printf(out, "  %s", name);
        pad(out, strlen(name), widest + 2);
        hl_buf_printf(out, "%s\n", text_of(command, "summary"));
    }
}

/* FILE..., --flag, --name N: as one would type it. */
static void add_arg_form(const json_t *arg, struct hl_buf *out)
{
    const char *name = text_of(arg, "name"), *type = text_of(arg, "type");
    if (json_is_true(json_object_get(arg, "positional"))) {
        for (const char *p = name; *p; p++)
            hl_buf_byte(out, *p >= 'a' && *p <= 'z' ? (uint8_t)(*p - 'a' + 'A') : (uint8_t)*p);
        hl_buf_text(out, strcmp(type, "texts") == 0 ? "..." : "");
    } else if (strcmp(type, "bool") == 0) {
        hl_buf_printf(out, "--%s", name);
    } else {
        const char *choices = text_of(arg, "choices");
        hl_buf_printf(out, "--%s %s", name,
                      *choices                   ? choices
                      : strcmp(type, "int") == 0 ? "N"
                                                 : "TEXT");
    }
}

void hl_cli_usage_line(const json_t *command, struct hl_buf *out)
{
    size_t i;
    json_t *arg;
    hl_buf_printf(out, "usage: hilum %s", text_of(command, "name"));
    json_array_foreach(json_object_get(command, "args"), i, arg)
    {
        bool is_required = json_is_true(json_object_get(arg, "required"));
        hl_buf_text(out, is_required ? " " : " [");
        add_arg_form(arg, out);
        hl_buf_text(out, is_required ? "" : "]");
    }
    hl_buf_text(out, "\n");
}

void hl_cli_help_command(const json_t *command, struct hl_buf *out)
{
    size_t i;
    json_t *arg;
    hl_cli_usage_line(command, out);
    hl_buf_printf(out, "\n%s\n", text_of(command, "summary"));
    if (json_array_size(json_object_get(command, "args")) > 0)
        hl_buf_text(out, "\n");
    json_array_foreach(json_object_get(command, "args"), i, arg)
    {
        size_t start = out->len;
        hl_buf_text(out, "  ");
        add_arg_form(arg, out);
        pad(out, out->len - start, 26);
        hl_buf_printf(out, "%s\n", text_of(arg, "summary"));
    }
}

void hl_cli_suggest(const json_t *list, char *const *words, int n, struct hl_buf *out)
{
    const char *names[256], *sep = "; there is: ";
    size_t count = 0, i;
    json_t *command;
    json_array_foreach(list, i, command)
    {
        const char *name = text_of(command, "name");
        size_t length = strcspn(name, " ");
        if (count < 256)
            names[count++] = name;
        if (strlen(words[0]) != length || strncmp(words[0], name, length) != 0)
            continue;
        hl_buf_printf(out, "%s%s", sep, name);
        sep = ", ";
    }
    /* The first word was right: its siblings are a better answer than a guess. */
    if (out->len > 0)
        return;
    struct hl_buf typed = {0};
    for (int w = 0; w < n && w < 3 && words[w][0] != '-'; w++)
        hl_buf_printf(&typed, "%s%s", w ? " " : "", words[w]);
    const char *nearest = hl_nearest(hl_buf_str(&typed), names, count);
    if (nearest)
        hl_buf_printf(out, "; did you mean \"%s\"?", nearest);
    else
        hl_buf_text(out, "; `hilum help` lists them");
    hl_buf_fini(&typed);
}
