/* Two lives of a plugin under the real plugin host. Runs in a child process (main.c), so a crash
 * ends the checks and not the checker; what it found until then lies in shared memory.
 * SPDX-License-Identifier: Apache-2.0 */
#include "core/check/check.h"
#include "core/check/empty.h"

#include <ctype.h>
#include <dirent.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/dicom/scp.h"
#include "core/plugin/plugin.h"

/* Drain may take so long, as in a server that stops. */
enum { DRAIN_MS = 5000 };

/* One life: from opening to close. */
struct life {
    const struct hl_check_request *request;
    struct hl_check_state *state;
    char config_path[512], data_dir[512], name[80];
    struct hl_bus *bus;
    struct hl_config *config;
    struct hl_plugins *plugins;
    struct hl_faults faults;
    json_t *listed; /* the entry of hl_plugins_list */
};

void hl_check_good(struct hl_check_state *state, const char *what)
{
    state->n_good++;
    printf("ok    %s: %s\n", state->step, what);
    fflush(stdout);
}

void hl_check_bad(struct hl_check_state *state, const char *format, ...)
{
    va_list args;
    state->n_bad++;
    printf("BAD   %s: ", state->step);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

/* What is being done now: the parent names it when the child does not come back. */
static void step(struct hl_check_state *state, const char *name)
{
    snprintf(state->step, sizeof state->step, "%s", name);
}

/* ---- what the server would lend ---- */

/* Lent functions refuse or answer plainly: a plugin must be able to start where nothing is there
 * yet. */
static hilum_rc nobody_may(void *arg, const char *plugin, const hilum_principal *who,
                           const char *action, const char *resource)
{
    (void)arg, (void)plugin, (void)who, (void)resource;
    return hl_fail(HILUM_EDENIED, "%s: nobody is here to be allowed anything", action);
}

static hilum_rc published(void *arg, const char *plugin, const char *event, const char *fields)
{
    (void)arg, (void)plugin, (void)event, (void)fields;
    return HILUM_OK;
}

static const char *no_address(void *arg)
{
    (void)arg;
    return "127.0.0.1:11112";
}

static const char *no_aet(void *arg)
{
    (void)arg;
    return "HILUM";
}

static hilum_rc announced(void *arg, const char *name, const char *value)
{
    (void)arg, (void)name, (void)value;
    return HILUM_OK;
}

/* An archive in which nothing has happened yet. */
static hilum_rc no_rows(void *arg, int64_t after,
                        hilum_rc (*each)(void *arg, const struct hilum_audit_row *row),
                        void *each_arg)
{
    (void)arg, (void)after, (void)each, (void)each_arg;
    return HILUM_OK;
}

static hilum_rc no_value_put(void *arg, const char *plugin, const char *key, const char *value)
{
    (void)arg, (void)plugin, (void)key, (void)value;
    return HILUM_OK;
}

static void lend(struct life *life)
{
    const struct hl_host_services services = {.dicom = hl_dicom_api(),
                                              .catalog = &hl_empty_catalog,
                                              .objects = &hl_empty_objects,
                                              .allow = nobody_may,
                                              .dicom_address = no_address,
                                              .dicom_aet = no_aet,
                                              .announce = announced,
                                              .audit_rows = no_rows,
                                              .value_put = no_value_put,
                                              .commands = &hl_empty_commands};
    hl_plugins_set_services(life->plugins, &services);
    hl_plugins_set_publish(life->plugins, published, NULL);
}

/* ---- the configuration ---- */

/* "dir/foo.so" -> "foo" */
static void name_of(const char *file, char *out, size_t size)
{
    const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
    const char *dot = strstr(base, ".so");
    snprintf(out, size, "%.*s", dot ? (int)(dot - base) : (int)strlen(base), base);
}

/* Numbers and booleans as they are, everything else in quotes. */
static void write_value(FILE *f, const char *value)
{
    bool is_number = *value && value[strspn(value, "+-0123456789")] == '\0';
    if (is_number || strcmp(value, "true") == 0 || strcmp(value, "false") == 0 || *value == '"')
        fputs(value, f);
    else
        fprintf(f, "\"%s\"", value);
}

static void write_entry(FILE *f, const char *name, const char *file)
{
    /* Trust and preview are the administrator's; what is checked here is the plugin. */
    fprintf(f, "{ name = \"%s\"; file = \"%s\"; trust = \"in-process\"; allow_preview = true;",
            name, file);
}

/* A configuration of this plugin alone, with those it needs; options go in as what
 * they look like: number, truth or text. */
static bool write_config(struct life *life)
{
    const struct hl_check_request *request = life->request;
    FILE *f = fopen(life->config_path, "w");
    if (!f)
        return false;
    fputs("plugins = (", f);
    for (int i = 0; i < request->n_others; i++) {
        char name[80];
        name_of(request->others[i], name, sizeof name);
        write_entry(f, name, request->others[i]);
        fputs(" }, ", f);
    }
    write_entry(f, life->name, request->file);
    fputs(" options = {", f);
    for (int i = 0; i < request->n_options; i++) {
        const char *equals = strchr(request->options[i], '=');
        fprintf(f, " %.*s = ", (int)(equals - request->options[i]), request->options[i]);
        write_value(f, equals + 1);
        fputs(";", f);
    }
    fputs(" }; } );\n", f);
    return fclose(f) == 0;
}

/* ---- the steps ---- */

static bool tell_faults(struct life *life)
{
    for (const struct hl_fault *fault = life->faults.first; fault; fault = fault->next)
        hl_check_bad(life->state, "%s", fault->text);
    return life->faults.first == NULL;
}

static bool open_plugin(struct life *life)
{
    struct hl_config_paths paths = {.main = life->config_path};
    step(life->state, "file");
    if (!write_config(life) || hl_bus_new(&life->bus) != HILUM_OK) {
        hl_check_bad(life->state, "%s: cannot be written", life->config_path);
        return false;
    }
    if (hl_config_load(&paths, &life->faults, &life->config) == HILUM_OK)
        (void)hl_plugins_open(life->config, "/nonexistent", life->data_dir, life->bus,
                              &life->faults, &life->plugins);
    return tell_faults(life) && life->plugins;
}

/* The entry of the plugin as `hilum plugin list` would show it now. */
static void look(struct life *life)
{
    struct hl_buf json = {0};
    hl_plugins_list(life->plugins, &json);
    json_t *all = json_loads(hl_buf_str(&json), 0, NULL);
    hl_buf_fini(&json);
    json_decref(life->listed);
    life->listed = json_incref(json_array_get(all, (size_t)life->request->n_others));
    json_decref(all);
}

static const char *said(const struct life *life, const char *key)
{
    const char *text = json_string_value(json_object_get(life->listed, key));
    return text ? text : "";
}

/* Lower case letters, digits and `marks`; not empty. */
static bool is_word(const char *text, const char *marks)
{
    for (const char *c = text; *c; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && !strchr(marks, *c))
            return false;
    return *text != '\0';
}

static void check_descriptor(struct life *life)
{
    struct hl_check_state *state = life->state;
    int before = state->n_bad;
    step(state, "descriptor");
    if (!is_word(said(life, "id"), "-"))
        hl_check_bad(state, "id \"%s\": expected lower case letters, digits and '-'",
                     said(life, "id"));
    if (!isdigit((unsigned char)said(life, "version")[0]))
        hl_check_bad(state, "version \"%s\": expected a number such as 1.0.0",
                     said(life, "version"));
    if (!*said(life, "vendor"))
        hl_check_bad(state, "vendor: expected who answers for this plugin, found nothing");
    if (!*said(life, "licence"))
        hl_check_bad(state, "licence: expected an SPDX expression or one sentence, found nothing");
    if (state->n_bad == before)
        hl_check_good(state, "identity, version, vendor and licence are stated");
}

/* An option without help cannot be in the generated list of options. */
static void check_options(struct life *life)
{
    struct hl_check_state *state = life->state;
    int before = state->n_bad;
    size_t i;
    json_t *option, *options = json_object_get(life->listed, "options");
    step(state, "options");
    json_array_foreach(options, i, option)
    {
        const char *key = json_string_value(json_object_get(option, "key"));
        const char *help = json_string_value(json_object_get(option, "help"));
        if (!is_word(key, "_"))
            hl_check_bad(state, "%s: expected lower case letters, digits and '_'", key);
        if (!help || !*help)
            hl_check_bad(state, "%s: help is missing; say in one sentence what it does", key);
    }
    if (state->n_bad == before)
        hl_check_good(state, json_array_size(options) ? "each is documented" : "none");
}

/* The plugin host's own word for it, with its reason when it is another. */
static bool is_in_state(struct life *life, const char *wanted)
{
    look(life);
    if (strcmp(said(life, "state"), wanted) == 0)
        return true;
    hl_check_bad(life->state, "%s", *said(life, "reason") ? said(life, "reason") : hl_error());
    return false;
}

/* "codec:1.2.840..." gives "codec": a suite is per kind. */
static void note_kinds(struct life *life)
{
    struct hl_check_state *state = life->state;
    size_t i;
    json_t *provided;
    json_array_foreach(json_object_get(life->listed, "provides"), i, provided)
    {
        char kind[32];
        const char *text = json_string_value(provided);
        bool is_known = false;
        snprintf(kind, sizeof kind, "%.*s", (int)strcspn(text, ":"), text);
        for (int k = 0; k < state->n_kinds; k++)
            is_known |= strcmp(state->kinds[k], kind) == 0;
        if (!is_known && state->n_kinds < HL_CHECK_KINDS)
            memcpy(state->kinds[state->n_kinds++], kind, sizeof kind);
    }
}

/* Init and start; only the first life is told line by line. */
static bool begin(struct life *life, bool is_first)
{
    struct hl_check_state *state = life->state;
    step(state, "init");
    lend(life);
    (void)hl_plugins_init(life->plugins, &life->faults);
    if (!tell_faults(life) || !is_in_state(life, "ready"))
        return false;
    note_kinds(life);
    if (is_first)
        hl_check_good(state, "provides, subscribes and declares");
    step(state, "start");
    (void)hl_plugins_start(life->plugins);
    if (!is_in_state(life, "running"))
        return false;
    if (is_first)
        hl_check_good(state, "runs");
    return true;
}

/* Also after a failure half way: NULL parts are fine. */
static void end(struct life *life)
{
    step(life->state, "drain and fini");
    if (life->plugins)
        hl_plugins_drain(life->plugins, DRAIN_MS);
    hl_plugins_close(life->plugins);
    hl_config_unref(life->config);
    hl_bus_free(life->bus);
    hl_faults_fini(&life->faults);
    json_decref(life->listed);
}

/* Entries of a folder of /proc/self. */
static int entries(const char *folder)
{
    int n = 0;
    DIR *dir = opendir(folder);
    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

/* One life. The same directory for both: a second start finds what the first one wrote. */
static bool live(const struct hl_check_request *request, const char *work, bool is_first,
                 struct hl_check_state *state)
{
    struct life life = {.request = request, .state = state};
    snprintf(life.config_path, sizeof life.config_path, "%s/check.cfg", work);
    snprintf(life.data_dir, sizeof life.data_dir, "%s", work);
    if (request->name)
        snprintf(life.name, sizeof life.name, "%s", request->name);
    else
        name_of(request->file, life.name, sizeof life.name);
    bool ok = open_plugin(&life);
    if (ok) {
        look(&life);
        if (is_first) {
            hl_check_good(state,
                          "owner and mode, binds at once, exports its entry and nothing else");
            check_descriptor(&life);
            check_options(&life);
        }
        ok = begin(&life, is_first);
    }
    end(&life);
    return ok;
}

/* Two lives: what is missing or left over after the first shows by counts of threads and files;
 * only the second tells leaks from what a library opens once. */
void hl_check_inspect(const struct hl_check_request *request, const char *work,
                      struct hl_check_state *state)
{
    int threads = entries("/proc/self/task");
    if (!live(request, work, true, state))
        goto out;
    if (entries("/proc/self/task") > threads)
        hl_check_bad(state, "%d threads still run after fini",
                     entries("/proc/self/task") - threads);
    else
        hl_check_good(state, "no thread is left");
    /* What the first life opened for good (a library's own files) is not the plugin's leak. */
    int files = entries("/proc/self/fd");
    if (!live(request, work, false, state))
        goto out;
    step(state, "a second life");
    if (entries("/proc/self/fd") > files)
        hl_check_bad(state, "%d files are left open", entries("/proc/self/fd") - files);
    else
        hl_check_good(state, "begins and ends like the first");
out:
    state->is_over = true;
}
