/* The hilum-plugin-check program: arguments, the process the plugin runs in, the contract
 * suites.
 *
 * The parent never opens the plugin: it forks, waits, and reads from shared memory how far the
 * child came. SPDX-License-Identifier: Apache-2.0 */
#include "core/check/check.h"

#include <ftw.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_FAULTS = 1, EXIT_USAGE = 2, DEFAULT_SECONDS = 60, SUITE_ARGS = HL_CHECK_OPTIONS + 3 };

static const char usage[] =
    "usage: hilum-plugin-check [--name ID] [--with OTHER.so]... [--seconds N] PLUGIN.so "
    "[key=value...]\n"
    "Asks of a plugin what Hilum asks of it, without a PACS: its file, descriptor and options, two "
    "lives\n"
    "from init to fini, and the contract suite of every kind of capability it provides.\n"
    "  --name ID      the plugin's id, where the file is not called ID.so\n"
    "  --with FILE    a plugin it needs, opened before it\n"
    "  --seconds N    that one step may take (60)\n"
    "  key=value      its options, as in a configuration file\n"
    "Exit status 0: sound, 1: faults were found, 2: wrong arguments.\n";

static int wrong(const char *what, const char *given)
{
    fprintf(stderr, "hilum-plugin-check: %s%s%s\n%s", what, given ? " " : "", given ? given : "",
            usage);
    return EXIT_USAGE;
}

/* Takes one option with its value. Negative: it is none. */
static int take_option(struct hl_check_request *request, const char *option, const char *value)
{
    if (strcmp(option, "--name") == 0)
        request->name = value;
    else if (strcmp(option, "--seconds") == 0)
        request->seconds = (int)strtol(value, NULL, 10);
    else if (strcmp(option, "--with") == 0 && request->n_others < HL_CHECK_OTHERS)
        request->others[request->n_others++] = value;
    else
        return -1;
    return 0;
}

/* 0, or the exit status after the reason was told. */
static int take_arguments(int argc, char **argv, struct hl_check_request *request)
{
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1]) {
            if (i + 1 >= argc || take_option(request, argv[i], argv[i + 1]) < 0)
                return wrong("does not know", argv[i]);
            i++;
        } else if (!request->file) {
            request->file = argv[i];
        } else if (strchr(argv[i], '=') && request->n_options < HL_CHECK_OPTIONS) {
            request->options[request->n_options++] = argv[i];
        } else {
            return wrong("expected key=value, found", argv[i]);
        }
    }
    if (!request->file)
        return wrong("names no plugin", NULL);
    if (request->seconds < 1)
        return wrong("--seconds: expected 1 or more", NULL);
    return 0;
}

/* Its exit status; -1 when it was killed, which has been told. */
static int wait_for(pid_t child, struct hl_check_state *state, const char *after)
{
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return EXIT_FAULTS;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
        hl_check_bad(state, "is not over in time%s", after);
    else if (WIFSIGNALED(status))
        hl_check_bad(state, "the process was killed by %s%s", strsignal(WTERMSIG(status)), after);
    return WIFSIGNALED(status) ? -1 : WEXITSTATUS(status);
}

/* The child ends by _exit: destructors of the plugin and its libraries are not what is asked
 * here. */
static void inspect(const struct hl_check_request *request, const char *work,
                    struct hl_check_state *state)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm((unsigned)request->seconds);
        hl_check_inspect(request, work, state);
        fflush(stdout);
        _exit(0); /* a destructor that aborts is met when the server ends, not here */
    }
    if (child < 0)
        hl_check_bad(state, "fork failed");
    else if (wait_for(child, state, "") == 0 && !state->is_over)
        hl_check_bad(state, "the plugin ended the process");
}

/* <prefix>/bin/hilum-plugin-check -> <prefix>/libexec/hilum/contract_KIND; a build tree has both in bin/. */
static bool suite_path(const char *kind, char *out, size_t size)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0)
        return false;
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(out, size, "%s/contract_%s", self, kind);
    if (access(out, X_OK) == 0)
        return true;
    snprintf(out, size, "%s/../libexec/hilum/contract_%s", self, kind);
    return access(out, X_OK) == 0;
}

/* In the child; the alarm is the suite's deadline, and exec keeps it. */
static void run_suite(const struct hl_check_request *request, const char *suite)
{
    char *argv[SUITE_ARGS];
    int n = 0;
    argv[n++] = (char *)(uintptr_t)suite;
    argv[n++] = (char *)(uintptr_t)request->file;
    for (int i = 0; i < request->n_options; i++)
        argv[n++] = (char *)(uintptr_t)request->options[i];
    argv[n] = NULL;
    alarm((unsigned)request->seconds);
    dup2(STDERR_FILENO, STDOUT_FILENO); /* the verdicts are ours, its words are for reading */
    execv(suite, argv);
    _exit(127);
}

/* A suite is a program of its own, found by name; a kind without one is skipped, not failed. */
static void check_kind(const struct hl_check_request *request, const char *kind,
                       struct hl_check_state *state)
{
    char suite[PATH_MAX + 64];
    snprintf(state->step, sizeof state->step, "contract of %s", kind);
    if (!suite_path(kind, suite, sizeof suite)) {
        printf("skip  %s: there is no suite for this kind; its table has been checked\n",
               state->step);
        return;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_suite(request, suite);
    int code = child < 0 ? EXIT_FAULTS : wait_for(child, state, "; what it said stands above");
    if (code == 0)
        hl_check_good(state, "every test of the suite passed");
    else if (code > 0)
        hl_check_bad(state,
                     "the suite failed; what it said stands above, and what it asks for in "
                     "share/hilum/sdk/contract/contract_%s.c",
                     kind);
}

enum { FILES = 16 }; /* open at once while removing */

/* Depth first, without following links: the plugin wrote there. */
static int remove_one(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

int main(int argc, char **argv)
{
    struct hl_check_request request = {.seconds = DEFAULT_SECONDS};
    char file[PATH_MAX], work[] = "/tmp/hilum-plugin-check-XXXXXX";
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return fputs(usage, stdout) < 0;
    int code = take_arguments(argc, argv, &request);
    if (code)
        return code;
    if (realpath(request.file, file))
        request.file = file;
    struct hl_check_state *state =
        mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (state == MAP_FAILED || !mkdtemp(work))
        return wrong("cannot make a directory below /tmp", NULL);
    inspect(&request, work, state);
    for (int i = 0; i < state->n_kinds && state->is_over; i++)
        check_kind(&request, state->kinds[i], state);
    (void)nftw(work, remove_one, FILES, FTW_DEPTH | FTW_PHYS);
    printf("%s: %d ok, %d faults\n", request.file, state->n_good, state->n_bad);
    return state->n_bad ? EXIT_FAULTS : 0;
}
