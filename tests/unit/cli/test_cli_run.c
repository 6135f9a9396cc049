/* The hilum program against a server in this process: words, output, exit status.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../control/server.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>

#include "core/cli/cli.h"

struct outcome {
    char out[32768], err[8192];
    int status;
};

static void read_back(const char *path, char *text, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
    unlink(path);
}

/* Runs `hilum ARGUMENTS` by a shell, with its socket in the environment. */
static struct outcome *hilum(const struct server *server, const char *arguments)
{
    static struct outcome o;
    char command[2048], out[128], err[128];
    snprintf(out, sizeof out, "%s/out", server->dir);
    snprintf(err, sizeof err, "%s/err", server->dir);
    snprintf(command, sizeof command, "HILUM_SOCKET=%s %s %s >%s 2>%s", server->path, HILUM_PROGRAM,
             arguments, out, err);
    int status = system(command);
    o.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    read_back(out, o.out, sizeof o.out);
    read_back(err, o.err, sizeof o.err);
    return &o;
}

static void list_of_objects__is_a_table_with_wide_characters(void **state)
{
    struct outcome *o = hilum(*state, "study find");
    assert_int_equal(o->status, 0);
    assert_string_equal(o->out, "patient  number  keys  exact\n"
                                "王小明        0     0  no\n"
                                "王小明        1     0  no\n");
    assert_string_equal(o->err, "");
}

static void words__become_arguments_by_the_servers_table(void **state)
{
    static const char *const same[] = {
        "--json study find P1 a b --limit 1 --exact",
        "study find --exact --limit=1 --json P1 a b",
        "study find --patient P1 --keys a --keys=b --exact --limit 1 --json",
        "study find --json --limit 1 --exact -- P1 a b",
    };
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct outcome *o = hilum(*state, same[i]);
        assert_string_equal(o->err, "");
        assert_int_equal(o->status, 0);
        assert_string_equal(o->out,
                            "[{\"patient\":\"P1\",\"number\":0,\"keys\":2,\"exact\":true}]\n");
    }
}

static void server__is_chosen_by_option_then_environment(void **state)
{
    struct server *server = *state;
    char arguments[256];
    snprintf(arguments, sizeof arguments, "--socket /nonexistent study find");
    assert_int_equal(hilum(server, arguments)->status, 3);
    snprintf(arguments, sizeof arguments, "study find --limit 0 --data %s", server->dir);
    assert_int_equal(hilum(server, arguments)->status, 0);
    snprintf(arguments, sizeof arguments, "--data=/nonexistent --socket=%s study find --limit 0",
             server->path);
    assert_string_equal(hilum(server, arguments)->out, "none\n");
}

static void no_server__says_how_to_get_one(void **state)
{
    struct outcome *o = hilum(*state, "--data /nonexistent status");
    assert_int_equal(o->status, 3);
    assert_string_equal(o->err,
                        "hilum: no hilumd answers at /nonexistent/hilum.sock: start it with "
                        "scripts/run.sh or name it with --data DIR or --socket PATH\n");
    o = hilum(*state, "--data /nonexistent help");
    assert_int_equal(o->status, 3);
    assert_non_null(strstr(o->out, "usage: hilum"));
}

static void failed_command__gives_its_reason_and_status_1(void **state)
{
    struct outcome *o = hilum(*state, "study refuse 1.2");
    assert_int_equal(o->status, 1);
    assert_string_equal(o->out, "");
    assert_string_equal(o->err, "hilum: no study \"1.2\xEF\xBF\xBD\"; see `study find`\n");
    o = hilum(*state, "--json study refuse 1.2");
    assert_int_equal(o->status, 1);
    assert_non_null(strstr(o->err, "{\"code\":\"HILUM_ENOTFOUND\""));
}

static void wrong_words__are_usage_errors_that_help(void **state)
{
    static const char *const cases[][2] = {
        {"study", "no command \"study\"; there is: study find, study refuse"},
        {"stdy find", "no command \"stdy find\"; did you mean \"study find\"?"},
        {"qqqqqq", "no command \"qqqqqq\"; `hilum help` lists them"},
        {"study find --limt 3", "no option --limt; did you mean --limit?"},
        {"study find --limit x", "limit: expected an integer, found \"x\""},
        {"study find --limit", "--limit: expected a value"},
        {"study refuse", "uid is missing: study to refuse\nusage: hilum study refuse UID\n"},
        {"study refuse 1 2", "\"2\" is one argument too many"},
        {"--bogus", "no option --bogus before a command"},
        {"--data", "--data: expected a value"},
        {"", "usage: hilum [--data DIR | --socket PATH | --server URL]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome *o = hilum(*state, cases[i][0]);
        if (o->status != 2 || !strstr(o->err, cases[i][1]))
            fail_msg("hilum %s: %d %s", cases[i][0], o->status, o->err);
    }
}

static void choice__is_refused_by_the_server(void **state)
{
    struct outcome *o = hilum(*state, "study find --level image");
    assert_int_equal(o->status, 1);
    assert_non_null(strstr(o->err, "expected one of study|series"));
}

static void progress_and_items__are_shown_apart(void **state)
{
    struct outcome *o = hilum(*state, "work");
    assert_int_equal(o->status, 0);
    assert_string_equal(o->out, "0  x\n1  x\n2  x\ndone: 2\nwhere:\n  path: /x\n");
    assert_string_equal(o->err, "first  1/2 (50%)\nsecond  2/2 (100%)\n");
    o = hilum(*state, "work --json");
    assert_string_equal(
        o->out,
        "{\"row\":0,\"name\":\"x\"}\n{\"row\":1,\"name\":\"x\"}\n{\"row\":2,\"name\":\"x\"}\n"
        "{\"done\":2,\"where\":{\"path\":\"/x\"}}\n");
    assert_string_equal(o->err, "");
}

static void progress_on_a_terminal__is_one_line_that_changes(void **state)
{
    struct server *server = *state;
    char shown[1024], out_path[128];
    int master, slave;
    char *argv[] = {"--socket", server->path, "work", NULL};
    snprintf(out_path, sizeof out_path, "%s/out", server->dir);
    assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
    FILE *err = fdopen(slave, "w"), *out = fopen(out_path, "w");
    assert_int_equal(hl_cli_run(3, argv, out, err), 0);
    fflush(err);
    fclose(out);
    /* A terminal hands on what was written when it gets round to it, and in pieces. */
    static const char expected[] = "first  1/2 (50%)\r\033[Ksecond  2/2 (100%)\r\033[K";
    size_t got = 0;
    struct pollfd ready = {master, POLLIN, 0};
    while (got < sizeof expected - 1 && poll(&ready, 1, 5000) == 1) {
        ssize_t n = read(master, shown + got, sizeof shown - 1 - got);
        got += n > 0 ? (size_t)n : 0;
    }
    shown[got] = 0;
    assert_string_equal(shown, expected);
    fclose(err);
    close(master);
    unlink(out_path);
}

static void help__comes_from_the_server(void **state)
{
    struct outcome *o = hilum(*state, "help");
    assert_int_equal(o->status, 0);
    assert_non_null(strstr(o->out, "  study find    find studies\n"));
    assert_non_null(strstr(o->out, "  log           Shows the last lines of the server's log.\n"));
    o = hilum(*state, "help study find");
    assert_non_null(strstr(o->out, "usage: hilum study find [PATIENT] [KEYS...] [--limit N] "
                                   "[--exact] [--level study|series]\n"));
    assert_non_null(strstr(o->out, "  --limit N               at most so many\n"));
    assert_string_equal(hilum(*state, "study refuse --help")->out,
                        hilum(*state, "help study refuse")->out);
    assert_int_equal(hilum(*state, "help nothing")->status, 2);
}

static void version__needs_no_server(void **state)
{
    struct outcome *o = hilum(*state, "--version --data /nonexistent");
    assert_int_equal(o->status, 0);
    assert_string_equal(o->out, "hilum " HILUM_VERSION "\n");
}

static void interrupted_client__cancels_its_command(void **state)
{
    struct server *server = *state;
    pid_t pid = fork();
    if (pid == 0) {
        execl(HILUM_PROGRAM, "hilum", "--socket", server->path, "--json", "wait", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 20000 && atomic_load(&server->begun) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&server->begun), 1);
    kill(pid, SIGINT);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < 20000 && atomic_load(&server->cancelled) == 0; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&server->cancelled), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_test(list_of_objects__is_a_table_with_wide_characters),
        server_test(words__become_arguments_by_the_servers_table),
        server_test(server__is_chosen_by_option_then_environment),
        server_test(no_server__says_how_to_get_one),
        server_test(failed_command__gives_its_reason_and_status_1),
        server_test(wrong_words__are_usage_errors_that_help),
        server_test(choice__is_refused_by_the_server),
        server_test(progress_and_items__are_shown_apart),
        server_test(progress_on_a_terminal__is_one_line_that_changes),
        server_test(help__comes_from_the_server),
        server_test(version__needs_no_server),
        server_test(interrupted_client__cancels_its_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
