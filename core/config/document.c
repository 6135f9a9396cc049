/* The list of options for people, made from the schema so that it cannot be out of date.
 *
 * A pure function of the schema: no configuration is asked, so the page is the same at every
 * site. SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "core/config/schema.h"
#include "core/config/tree.h"

/* One word a kind; a kind without one would print "(null)", and the test that compares the page
 * would see it. */
static const char *const kind_words[HL_KINDS] = {
    [HL_KIND_GROUP] = "group",      [HL_KIND_GROUPS] = "groups",  [HL_KIND_FREE] = "group",
    [HL_KIND_TEXT] = "text",        [HL_KIND_NAME] = "name",      [HL_KIND_CHOICE] = "choice",
    [HL_KIND_INT] = "integer",      [HL_KIND_BOOL] = "boolean",   [HL_KIND_BYTES] = "size",
    [HL_KIND_MS] = "duration",      [HL_KIND_AET] = "AE title",   [HL_KIND_LISTEN] = "address",
    [HL_KIND_CIDR] = "CIDR",        [HL_KIND_TLS] = "TLS",        [HL_KIND_FILE] = "file",
    [HL_KIND_SYNTAX] = "UID",       [HL_KIND_SHA256] = "SHA-256", [HL_KIND_MODE] = "octal",
    [HL_KIND_TIME] = "time of day", [HL_KIND_PEER] = "peer",
};

/* Of sizes and durations; one that binds on one side only says which. */
static void add_range(const struct hl_option *option, struct hl_buf *out)
{
    char *(*text)(int64_t, char *, size_t) =
        option->kind == HL_KIND_MS ? hl_ms_text : hl_bytes_text;
    char low[32], high[32];
    if (option->kind != HL_KIND_MS && option->kind != HL_KIND_BYTES)
        return;
    if (option->max > 0)
        hl_buf_printf(out, " %s-%s", text(option->min, low, sizeof low),
                      text(option->max, high, sizeof high));
    else if (option->min > 0)
        hl_buf_printf(out, " from %s", text(option->min, low, sizeof low));
}

/* Short words: the table is read in a terminal as often as in a browser. */
static void add_type(const struct hl_option *option, struct hl_buf *out)
{
    hl_buf_text(out, option->flags & HL_OPTION_LIST ? "list of " : "");
    hl_buf_text(out, kind_words[option->kind]);
    if (option->kind == HL_KIND_INT)
        hl_buf_printf(out, " %" PRId64 "-%" PRId64, option->min, option->max);
    add_range(option, out);
    for (const char *p = option->choices; p && *p;) {
        size_t n = strcspn(p, "|");
        hl_buf_printf(out, "%s `%.*s`", p == option->choices ? ":" : ",", (int)n, p);
        p += n + (p[n] == '|');
    }
}

/* One line of the table of its section. */
static void add_row(const struct hl_option *option, struct hl_buf *out)
{
    hl_buf_printf(out, "| `%s` | ", option->path);
    add_type(option, out);
    if (option->flags & HL_OPTION_REQUIRED)
        hl_buf_text(out, " | required");
    else if (option->fallback)
        hl_buf_printf(out, " | `%s`", *option->fallback ? option->fallback : "\"\"");
    else
        hl_buf_text(out, " | ");
    hl_buf_printf(out, " | %s | %s |\n", option->flags & HL_OPTION_RELOAD ? "reload" : "restart",
                  option->help);
}

void hl_config_document(struct hl_buf *out)
{
    hl_buf_text(
        out,
        "# Options of hilum.cfg\n\n"
        "Generated from the schema in `core/config/schema.c`; a test keeps it equal. Sizes are "
        "written\n`4096`, `\"64KiB\"`, `\"4GiB\"`; durations `\"200ms\"`, `\"5s\"`, `\"10m\"`, "
        "`\"24h\"`, `\"7d\"`, at most 36500d. `reload` is applied by\n`hilum config reload`, "
        "`restart` at the "
        "next start. `a[].b` is the key `b` of each group in the list `a`.\n");
    for (size_t i = 0; i < hl_options_count; i++) {
        const struct hl_option *option = &hl_options[i];
        if (strpbrk(option->path, ".["))
            add_row(option, out);
        else
            hl_buf_printf(out,
                          "\n## %s\n\n%s\n\n| key | value | default | changes by | meaning |\n"
                          "|---|---|---|---|---|\n",
                          option->path, option->help);
        /* A key of its own on the top level is all there is to its section. */
        if (!strpbrk(option->path, ".[") && option->kind != HL_KIND_GROUP &&
            option->kind != HL_KIND_GROUPS)
            add_row(option, out);
    }
}
