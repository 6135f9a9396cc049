/* The `hilum` program: words to a request, answers to text. Everything about a command (arguments,
 * help) comes from the server's own list; this folder knows no command but `help`.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef HL_CLI_H
#define HL_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#include "core/base/buf.h"
#include "hilum/abi.h"

/* Exit status of `hilum`. A command may give its own by "exit_code" in its result. */
enum {
    HL_CLI_DONE = 0,
    HL_CLI_FAILED = 1,   /* the command was refused or failed, or found something wrong */
    HL_CLI_USAGE = 2,    /* no such command, or arguments it does not take */
    HL_CLI_NO_SERVER = 3 /* nobody answers, or the connection was lost */
};

struct hl_cli_options {
    const char *data, *socket; /* NULL: not given */
    const char *server, *token_file, *ca;
    bool is_json, is_help, is_version;
};

/* ---- client.c: the connection. One thread. */
struct hl_remote;
struct hl_client {
    int fd;
    struct hl_remote *remote; /* NULL: the socket; remote.h */
    struct hl_buf in;
    size_t taken; /* bytes of `in` already handed out */
};
/* Which socket: --socket, --data DIR/hilum.sock, $HILUM_SOCKET, /run/hilum/hilum.sock,
 * /var/lib/hilum/hilum.sock. */
void hl_client_path(const struct hl_cli_options *options, struct hl_buf *out);
/* HILUM_ECLOSED: nobody answers; HILUM_EDENIED. The reason says what to do. */
hilum_rc hl_client_open(const char *path, struct hl_client *out);
/* The server of options->server, by HTTP: it is reached with the first request. HILUM_EINVAL. */
hilum_rc hl_client_open_remote(const struct hl_cli_options *options, struct hl_client *out);
void hl_client_close(struct hl_client *client);
hilum_rc hl_client_send(struct hl_client *client, const char *command, json_t *args);
/* The next line as JSON (new reference). `ms` < 0: waits for ever. HILUM_ECLOSED, HILUM_ETIMEDOUT.
 */
hilum_rc hl_client_read(struct hl_client *client, int ms, json_t **out);

/* ---- command.c: words to a command. `list` is the server's array of commands. */
/* The command whose words begin argv, the longest; NULL if none. *used is how many words it took.
 */
const json_t *hl_cli_match(const json_t *list, char *const *words, int n, int *used);
/* Its arguments out of the rest. Global options may stand among them and go to *options.
 * HILUM_EINVAL with the reason; *out is new. */
hilum_rc hl_cli_args(const json_t *command, char *const *words, int n,
                     struct hl_cli_options *options, json_t **out);
/* Takes a global option at words[0]: how many words it used, 0 if it is none, -1 if its value is
 * missing. */
int hl_cli_global(char *const *words, int n, struct hl_cli_options *options);

/* Is the declared argument a path? */
bool hl_cli_is_path(const json_t *arg);
/* What a path of the server's begins with, when hilum runs on another machine. */
#define HL_CLI_ON_SERVER "server:"

/* ---- upload.c: files of this machine to a server elsewhere, by STOW-RS; one that is refused does not stop the others. */
/* tell: lines as the server would send them. *result: how many; new reference. HILUM_ECLOSED: the server is not
 * reached; HILUM_EDENIED; HILUM_ENOTFOUND: no such path here, with the reason. */
hilum_rc hl_cli_upload(struct hl_client *client, const char *path,
                       void (*tell)(void *arg, const json_t *line), void *arg, json_t **result);

/* ---- help.c */
void hl_cli_usage(struct hl_buf *out);                    /* without a server */
void hl_cli_help(const json_t *list, struct hl_buf *out); /* all commands */
void hl_cli_help_command(const json_t *command, struct hl_buf *out);
void hl_cli_usage_line(const json_t *command, struct hl_buf *out);
/* What "no such command" can add: commands that begin with the same word, or the nearest. */
void hl_cli_suggest(const json_t *list, char *const *words, int n, struct hl_buf *out);

/* ---- render.c: JSON for people. Control characters become U+FFFD: names out of DICOM objects must
 * not command a terminal. */
/* Empty members of objects and empty columns are left out. `width` > 0: tables are cut to so many columns,
 * long cells end in "…"; UIDs are never cut but go to a line of their own. 0: nothing is cut. */
void hl_cli_render(const json_t *value, size_t width, struct hl_buf *out);
void hl_cli_render_item(const json_t *item, struct hl_buf *out); /* one line */
/* Cuts `text` to `width` columns, the last of them "…", if it is longer. */
void hl_cli_cut(const char *text, size_t width, struct hl_buf *out);
void hl_cli_inline(const json_t *value, struct hl_buf *out); /* without an end of line */
bool hl_cli_is_empty(const json_t *value);                   /* null, "", [], {} */
bool hl_cli_is_table(const json_t *value);                   /* a list of objects only, not empty */
/* ---- table.c */
void hl_cli_table(const json_t *rows, size_t indent, size_t width, struct hl_buf *out);
/* Columns `text` takes on a terminal; wide East Asian characters take two. */
size_t hl_cli_width(const char *text);

/* ---- run.c: all of it; returns the exit status. */
int hl_cli_run(int argc, char *const *argv, FILE *out, FILE *err);

#endif
