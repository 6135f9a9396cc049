/* One run of `hilum`, from words to exit status: the server's commands are asked for first, then the words
 * are matched against them. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/cli/cli.h"

/* A list of commands is there at once or not at all; progress on something that is no terminal
 * comes a line a second. */
enum { LIST_MS = 10000, PLAIN_PROGRESS_MS = 1000 };

/* All of one run; lists and answers are borrowed from `answer`. */
struct run {
    struct hl_cli_options options;
    FILE *out, *err;
    struct hl_client client;
    json_t *answer; /* of `commands` */
    const json_t *list;
    bool is_tty, has_progress_line, has_view;
    size_t width; /* of the terminal results go to; 0: none */
    int64_t last_progress_ms;
};

/* The reason of the last failure, and the status to end with. */
static int complain(struct run *run, int status)
{
    fprintf(run->err, "hilum: %s\n", hl_error());
    return status;
}

static void print_buf(FILE *to, struct hl_buf *text)
{
    fwrite(text->data ? text->data : "", 1, text->len, to);
    hl_buf_fini(text);
}

/* One value a line, so that `| while read` and jq both work on a stream. */
static void print_json(FILE *to, const json_t *value)
{
    json_dumpf(value, to, JSON_COMPACT | JSON_ENCODE_ANY);
    fputc('\n', to);
    fflush(to);
}

/* ---- answers */

static void clear_progress_line(struct run *run)
{
    if (run->has_progress_line)
        fputs("\r\033[K", run->err);
    run->has_progress_line = false;
}

/* To stderr, so that a redirected result stays clean. */
static void show_progress(struct run *run, const json_t *progress)
{
    json_int_t done = json_integer_value(json_object_get(progress, "done"));
    json_int_t total = json_integer_value(json_object_get(progress, "total"));
    int64_t now = hl_mono_ms();
    bool is_due = run->is_tty || now - run->last_progress_ms >= PLAIN_PROGRESS_MS ||
                  (total > 0 && done >= total);
    if (run->options.is_json || !is_due)
        return;
    run->last_progress_ms = now;
    struct hl_buf line = {0};
    hl_cli_render_item(json_object_get(progress, "text"), &line);
    line.len -= line.len > 0; /* its newline */
    if (total > 0)
        hl_buf_printf(&line, "  %lld/%lld (%lld%%)", (long long)done, (long long)total,
                      (long long)(done * 100 / total));
    else if (done > 0)
        hl_buf_printf(&line, "  %lld", (long long)done);
    clear_progress_line(run);
    print_buf(run->err, &line);
    run->has_progress_line = run->is_tty;
    if (!run->is_tty)
        fputc('\n', run->err);
    fflush(run->err);
}

static void show_item(struct run *run, const json_t *item)
{
    struct hl_buf text = {0};
    if (run->options.is_json) {
        print_json(run->out, item);
        return;
    }
    hl_cli_render_item(item, &text);
    print_buf(run->out, &text);
    fflush(run->out);
}

/* What the server made of its result for people. */
static void show_view(struct run *run, const json_t *view)
{
    struct hl_buf text = {0};
    run->has_view = true;
    if (run->options.is_json)
        return;
    hl_cli_render(view, run->width, &text);
    print_buf(run->out, &text);
}

static int show_result(struct run *run, const json_t *result)
{
    struct hl_buf text = {0};
    const json_t *code = json_object_get(result, "exit_code");
    if (run->options.is_json) {
        print_json(run->out, result);
    } else if (!run->has_view) {
        hl_cli_render(result, run->width, &text);
        print_buf(run->out, &text);
    }
    return json_is_integer(code) ? (int)json_integer_value(code) : HL_CLI_DONE;
}

static int show_error(struct run *run, const json_t *error)
{
    struct hl_buf text = {0};
    if (run->options.is_json) {
        print_json(run->err, error);
        return HL_CLI_FAILED;
    }
    hl_cli_render_item(json_object_get(error, "text"), &text);
    fprintf(run->err, "hilum: %s", hl_buf_str(&text));
    hl_buf_fini(&text);
    return HL_CLI_FAILED;
}

/* Shows one line of the server. true when it was the last; then *status is set. */
static bool show_line(struct run *run, const json_t *line, int *status)
{
    const json_t *progress = json_object_get(line, "progress"),
                 *item = json_object_get(line, "item");
    const json_t *result = json_object_get(line, "result"), *error = json_object_get(line, "error");
    const json_t *view = json_object_get(line, "view");
    if (progress)
        show_progress(run, progress);
    else
        clear_progress_line(run);
    if (item)
        show_item(run, item);
    if (view)
        show_view(run, view);
    if (result)
        *status = show_result(run, result);
    if (error)
        *status = show_error(run, error);
    return result || error;
}

/* Without a deadline: an import may take a day, and ^C closes the socket, which cancels it. */
static int show_answers(struct run *run)
{
    int status = HL_CLI_NO_SERVER;
    bool is_last = false;
    while (!is_last) {
        json_t *line;
        if (hl_client_read(&run->client, -1, &line) != HILUM_OK) {
            clear_progress_line(run);
            return complain(run, HL_CLI_NO_SERVER);
        }
        is_last = show_line(run, line, &status);
        json_decref(line);
    }
    return status;
}

/* ---- commands */

/* Which server was named by the command line wins over what the environment says. */
static hilum_rc open_client(struct run *run)
{
    struct hl_cli_options *options = &run->options;
    const char *from_env = getenv("HILUM_SERVER");
    if (!options->server && !options->socket && !options->data && from_env && *from_env)
        options->server = from_env;
    if (options->server)
        return hl_client_open_remote(options, &run->client);
    struct hl_buf path = {0};
    hl_client_path(options, &path);
    hilum_rc rc = hl_client_open(hl_buf_str(&path), &run->client);
    hl_buf_fini(&path);
    return rc;
}

/* The connection stays open for the command itself. */
static int connect_and_list(struct run *run)
{
    hilum_rc rc = open_client(run);
    json_t *none = json_object();
    if (rc == HILUM_OK)
        rc = hl_client_send(&run->client, "commands", none);
    json_decref(none);
    if (rc == HILUM_OK)
        rc = hl_client_read(&run->client, LIST_MS, &run->answer);
    if (rc != HILUM_OK)
        return complain(run, HL_CLI_NO_SERVER);
    const json_t *error = json_object_get(run->answer, "error");
    if (error)
        return show_error(run, error);
    run->list = json_object_get(json_object_get(run->answer, "result"), "commands");
    return HL_CLI_DONE;
}

static int no_command(struct run *run, char *const *words, int n)
{
    struct hl_buf hint = {0};
    hl_cli_suggest(run->list, words, n, &hint);
    fprintf(run->err, "hilum: no command \"%s%s%s\"%s\n", words[0],
            n > 1 && words[1][0] != '-' ? " " : "", n > 1 && words[1][0] != '-' ? words[1] : "",
            hl_buf_str(&hint));
    hl_buf_fini(&hint);
    return HL_CLI_USAGE;
}

static int print_help(struct run *run, const json_t *command)
{
    struct hl_buf text = {0};
    if (command)
        hl_cli_help_command(command, &text);
    else
        hl_cli_help(run->list, &text);
    print_buf(run->out, &text);
    return HL_CLI_DONE;
}

static int help(struct run *run, char *const *words, int n)
{
    int used;
    if (n == 0)
        return print_help(run, NULL);
    const json_t *command = hl_cli_match(run->list, words, n, &used);
    return command ? print_help(run, command) : no_command(run, words, n);
}

static int bad_usage(struct run *run, const json_t *command)
{
    struct hl_buf usage = {0};
    complain(run, HL_CLI_USAGE);
    hl_cli_usage_line(command, &usage);
    print_buf(run->err, &usage);
    return HL_CLI_USAGE;
}

static void show_own_line(void *arg, const json_t *line)
{
    int ignored;
    (void)show_line(arg, line, &ignored);
}

/* The files are here and the server is not: they are sent. Other arguments are about files of the server's. */
static int upload(struct run *run, const char *path, const json_t *args)
{
    json_t *result = NULL;
    if (json_object_size(args) != 1) {
        hl_fail(HILUM_EINVAL,
                "files of this machine are sent as they are: leave the other "
                "arguments out, or name a path of the server, " HL_CLI_ON_SERVER "/path");
        return complain(run, HL_CLI_USAGE);
    }
    hilum_rc rc = hl_cli_upload(&run->client, path, show_own_line, run, &result);
    clear_progress_line(run);
    if (rc != HILUM_OK)
        return complain(run, rc == HILUM_ECLOSED ? HL_CLI_NO_SERVER : HL_CLI_FAILED);
    int status = show_result(run, result);
    json_decref(result);
    return status;
}

/* From another machine a path is one of this machine, unless it says that it is the server's: "server:/path". `*here`:
 * one of this machine whose files are to be sent; HILUM_EINVAL: one that only the server could do something with. */
static hilum_rc remote_args(const json_t *command, json_t *args, const char **here)
{
    size_t i, n = strlen(HL_CLI_ON_SERVER);
    json_t *arg;
    json_array_foreach(json_object_get(command, "args"), i, arg)
    {
        const char *name = json_string_value(json_object_get(arg, "name"));
        const char *path = json_string_value(json_object_get(args, name ? name : ""));
        const char *type = json_string_value(json_object_get(arg, "type"));
        if (!path || !hl_cli_is_path(arg))
            continue;
        if (strncmp(path, HL_CLI_ON_SERVER, n) == 0)
            json_object_set_new(args, name, json_string(path + n));
        else if (type && strcmp(type, "files") == 0)
            *here = path;
        else
            return hl_fail(
                HILUM_EINVAL,
                "%s: %s would be a path of the server, not of this machine; write " HL_CLI_ON_SERVER
                "/path if that is meant",
                name, path);
    }
    return HILUM_OK;
}

static int command(struct run *run, char *const *words, int n)
{
    int used, status;
    json_t *args = NULL;
    const char *here = NULL;
    const json_t *found = hl_cli_match(run->list, words, n, &used);
    if (!found)
        return no_command(run, words, n);
    if (hl_cli_args(found, words + used, n - used, &run->options, &args) != HILUM_OK)
        status = bad_usage(run, found);
    else if (run->options.is_help)
        status = print_help(run, found);
    else if (run->client.remote && remote_args(found, args, &here) != HILUM_OK)
        status = complain(run, HL_CLI_USAGE);
    else if (here)
        status = upload(run, here, args);
    else if (hl_client_send(&run->client, json_string_value(json_object_get(found, "name")),
                            args) != HILUM_OK)
        status = complain(run, HL_CLI_NO_SERVER);
    else
        status = show_answers(run);
    json_decref(args);
    return status;
}

/* Which server must be known before its commands are: global options are looked for everywhere
 * first. One that a command declares for itself (hl_cli_args asks it first) would be rare and is
 * documented. */
static int take_globals(struct run *run, char *const *words, int n)
{
    for (int i = 0; i < n && strcmp(words[i], "--") != 0; i++) {
        int used = hl_cli_global(words + i, n - i, &run->options);
        if (used < 0) {
            hl_fail(HILUM_EINVAL, "%s: expected a value", words[i]);
            return complain(run, HL_CLI_USAGE);
        }
    }
    return HL_CLI_DONE;
}

/* Where the command begins, behind global options. */
static int first_word(char *const *words, int n)
{
    struct hl_cli_options ignored = {0};
    int i = 0;
    for (int used = 1; i < n && used > 0; i += used > 0 ? used : 0)
        used = hl_cli_global(words + i, n - i, &ignored);
    return i;
}

static int usage_only(struct run *run, int status)
{
    struct hl_buf text = {0};
    hl_cli_usage(&text);
    print_buf(status == HL_CLI_DONE ? run->out : run->err, &text);
    return status;
}

static int dispatch(struct run *run, char *const *words, int n)
{
    /* `help` is ours alone: it must work for commands nobody has heard of. */
    bool is_help = n > 0 && strcmp(words[0], "help") == 0;
    if (n > 0 && words[0][0] == '-') {
        hl_fail(HILUM_EINVAL, "no option %s before a command", words[0]);
        complain(run, HL_CLI_USAGE);
        return usage_only(run, HL_CLI_USAGE);
    }
    if (n == 0 && !run->options.is_help)
        return usage_only(run, HL_CLI_USAGE);
    int status = connect_and_list(run);
    if (status != HL_CLI_DONE) {
        /* Help without a server is still help. */
        if (is_help || run->options.is_help)
            usage_only(run, HL_CLI_DONE);
        return status;
    }
    if (is_help || n == 0)
        return help(run, words + is_help, n - is_help);
    return command(run, words, n);
}

/* 0 where nobody looks: files and pipes get every character. */
static size_t terminal_width(FILE *to)
{
    struct winsize size = {0};
    if (!isatty(fileno(to)))
        return 0;
    return ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20 ? size.ws_col : 80;
}

int hl_cli_run(int argc, char *const *argv, FILE *out, FILE *err)
{
    struct run run = {.out = out, .err = err, .client = {.fd = -1}};
    run.is_tty = isatty(fileno(err));
    run.width = terminal_width(out);
    int status = take_globals(&run, argv, argc);
    if (status == HL_CLI_DONE && run.options.is_version) {
        fprintf(out, "hilum " HILUM_VERSION "\n");
        return HL_CLI_DONE;
    }
    int skip = first_word(argv, argc);
    if (status == HL_CLI_DONE)
        status = dispatch(&run, argv + skip, argc - skip);
    json_decref(run.answer);
    hl_client_close(&run.client);
    return status;
}
