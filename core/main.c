/* hilumd: the command line, start, signals, stop. Nothing else lives here.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/server/server.h"

#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* For associations and for jobs each; plugins have PLUGIN_DRAIN_MS after that. A supervisor's
 * patience must be longer than all three (TimeoutStopSec in etc/systemd), else it kills what
 * was about to end. */
enum { DRAIN_MS = 15000, FILES = 65536 };

static const char usage[] =
    "usage: hilumd [options]\n"
    "\n"
    "  --data DIR        where studies and the catalogue are kept (storage.data, else "
    "/var/lib/hilum)\n"
    "  --config FILE     the shipped configuration (etc/hilum/hilum.cfg)\n"
    "  --conf-dir DIR    shipped additions (etc/hilum/conf.d)\n"
    "  --site DIR        yours: *.cfg, rules/*.lua, tables/*.csv (etc/hilum/local.d)\n"
    "  --extra FILE      one more file, read after all others\n"
    "  --plugin-dir DIR  Hilum's own plugins\n"
    "  --rules-dir DIR   Hilum's own rules\n"
    "  --check           report every fault of configuration, plugins, certificates, data\n"
    "                    directory and rules, then exit: 0 none, 1 some\n"
    "  --version, --help\n";

static const char main_file[] = "etc/hilum/hilum.cfg", main_packaged[] = "/etc/hilum/hilum.cfg";

/* What the command line said. The texts of `options` point into argv or into `paths`, which main
 * keeps for as long as the server runs. */
struct arguments {
    struct hl_server_options options;
    bool is_check;
    char paths[5][PATH_MAX];
};

/* Without /proc: the path as it is. */
static void beside_program(const char *relative, char out[PATH_MAX])
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    for (int up = 0; up < 2 && n > 0; up++)
        while (n > 0 && self[--n] != '/') {
        }
    snprintf(out, PATH_MAX, "%.*s/%s", n > 0 ? (int)n : 0, self, relative);
}

/* What was installed lies beside the program, wherever that was put; the configuration of a
 * packaged one lies in /etc. NULL: neither is there. What was asked for by an option must be
 * there, defaults may be absent. Two levels up from bin/hilumd, so that a tree that was
 * unpacked anywhere works as it is. */
static const char *installed(const char *relative, const char *otherwise, char out[PATH_MAX])
{
    beside_program(relative, out);
    if (access(out, R_OK) == 0)
        return out;
    snprintf(out, PATH_MAX, "%s", otherwise);
    return access(out, R_OK) == 0 ? out : NULL;
}

/* Filled before the options are read, so that each of them can be overridden alone. */
static void defaults(struct arguments *arguments)
{
    struct hl_server_options *o = &arguments->options;
    char(*paths)[PATH_MAX] = arguments->paths;
    *arguments = (struct arguments){0};
    o->paths.main = installed(main_file, main_packaged, paths[0]);
    o->paths.conf_dir = installed("etc/hilum/conf.d", "/etc/hilum/conf.d", paths[1]);
    o->paths.site_dir = installed("etc/hilum/local.d", "/etc/hilum/local.d", paths[2]);
    o->plugin_dir = installed(HILUM_LIBDIR "/hilum/plugins", "/usr/lib/hilum/plugins", paths[3]);
    o->rules_dir =
        installed(HILUM_DATADIR "/hilum/scripts/core", "/usr/share/hilum/scripts/core", paths[4]);
    if (!o->plugin_dir)
        o->plugin_dir = "/usr/lib/hilum/plugins"; /* named in the message that they are not there */
}

/* -1: go on; otherwise the exit code. */
static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {{"data", required_argument, NULL, 'd'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"conf-dir", required_argument, NULL, 'C'},
                                            {"site", required_argument, NULL, 's'},
                                            {"extra", required_argument, NULL, 'x'},
                                            {"plugin-dir", required_argument, NULL, 'p'},
                                            {"rules-dir", required_argument, NULL, 'r'},
                                            {"check", no_argument, NULL, 'k'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    struct hl_server_options *o = &arguments->options;
    defaults(arguments);
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'd': o->data_dir = optarg; break;
        case 'c': o->paths.main = optarg; break;
        case 'C': o->paths.conf_dir = optarg; break;
        case 's': o->paths.site_dir = optarg; break;
        case 'x': o->paths.extra = optarg; break;
        case 'p': o->plugin_dir = optarg; break;
        case 'r': o->rules_dir = optarg; break;
        case 'k': arguments->is_check = true; break;
        case 'v': printf("hilumd %s\n", HILUM_VERSION); return 0;
        case 'h': fputs(usage, stdout); return 0;
        default: fputs(usage, stderr); return 2;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "hilumd: %s: not an option\n%s", argv[optind], usage);
    return 2;
}

/* Without any file there is no plugin, and so neither a database nor a store: said before anything
 * is looked at, to who starts and to who checks. */
static bool is_configured(const struct hl_server_options *options)
{
    const struct hl_config_paths *paths = &options->paths;
    char self[PATH_MAX];
    if (paths->main || paths->conf_dir || paths->site_dir || paths->extra)
        return true;
    beside_program(main_file, self);
    fprintf(stderr, "hilumd: no configuration: looked for %s and %s; name one with --config\n",
            self, main_packaged);
    return false;
}

/* To standard error, one fault a line as "file:line: ...", and forgotten. */
static void print_faults(struct hl_faults *faults)
{
    for (const struct hl_fault *f = faults->first; f; f = f->next)
        fprintf(stderr, "%s\n", f->text);
    hl_faults_fini(faults);
}

/* `--check`: everything is read as a start would, but nothing is opened, bound or written that a
 * running server holds. */
static int check(const struct hl_server_options *options)
{
    struct hl_faults faults = {0};
    hilum_rc rc = hl_server_check(options, &faults);
    size_t count = faults.count;
    print_faults(&faults);
    if (rc < 0 && count == 0)
        fprintf(stderr, "hilumd: %s\n", hl_error());
    if (rc == HILUM_OK && count == 0)
        printf("configuration and rules are sound\n");
    return rc == HILUM_OK && count == 0 ? 0 : 1;
}

/* Waits for a signal: SIGHUP reloads, SIGTERM and SIGINT end. sigwait in a thread that has the
 * signals blocked: no handler runs anywhere, so nothing has to be safe in one. */
static void wait_for_end(struct hl_server *server, const sigset_t *signals)
{
    for (int number; sigwait(signals, &number) == 0;) {
        if (number != SIGHUP)
            return;
        struct hl_faults faults = {0};
        struct hl_buf notes = {0};
        hilum_rc rc = hl_server_reload(server, &faults, &notes);
        for (const struct hl_fault *f = faults.first; f; f = f->next)
            hl_log(HL_ERROR, "config", "%s", f->text);
        hl_log(rc == HILUM_OK ? HL_INFO : HL_ERROR, "config", "%s",
               rc == HILUM_OK ? "reloaded" : "not reloaded; the running configuration stays");
        hl_faults_fini(&faults);
        hl_buf_fini(&notes);
    }
}

/* The whole life of a server, on the main thread: plugins are loaded, reloaded and swapped from
 * threads that hl_server_start makes; this one only waits for signals. READY on standard output
 * is what tests and supervisors wait for; by then every listener is bound. */
static int serve(const struct hl_server_options *options)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before any thread: they inherit it */
    signal(SIGPIPE, SIG_IGN);
    struct hl_server server = {0};
    struct hl_faults faults = {0};
    hilum_rc rc = hl_server_start(&server, options, &faults);
    print_faults(&faults);
    if (rc < 0) {
        fprintf(stderr, "hilumd: %s\n", hl_error());
        return 1;
    }
    printf("READY dicom=%s%s\n", hl_scp_address(server.scp), hl_buf_str(&server.announced));
    fflush(stdout);
    wait_for_end(&server, &signals);
    hl_log(HL_INFO, "hilumd", "stopping: draining for up to %d s", DRAIN_MS / 1000);
    hl_server_stop(&server, DRAIN_MS);
    return 0;
}

/* A login shell gives 1024 files and allows more; as many as etc/systemd/hilum.service asks for, or what is allowed. A
 * failure leaves what there is, which is refused where it runs out. */
static void raise_file_limit(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= FILES)
        return;
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES;
    (void)setrlimit(RLIMIT_NOFILE, &files);
}

/* No file the server makes is readable by others, whatever the shell's umask was. */
int main(int argc, char **argv)
{
    umask(027);
    struct arguments arguments = {0};
    int code = read_arguments(argc, argv, &arguments);
    if (code >= 0)
        return code;
    if (!is_configured(&arguments.options))
        return 1;
    raise_file_limit();
    return arguments.is_check ? check(&arguments.options) : serve(&arguments.options);
}
