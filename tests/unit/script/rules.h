/* A site directory with rules, a configuration and a bus, for the tests of core/script. Everything
 * is static inline so that each test program stays one file. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_RULES_H
#define TEST_RULES_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/script/script.h"

struct site {
    char dir[64];
    struct hl_bus *bus;
    struct hl_script *script;
    struct hl_config *config;
    struct hl_faults faults;
    char *text; /* the faults, a line each */
};

static inline void site_write(const struct site *site, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", site->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static const char SITE_CFG[] =
    "peers = ( { name = \"ARCHIVE\"; aet = \"ARCH\"; host = \"127.0.0.1\"; port = 104; },\n"
    "          { name = \"AI_LUNG\"; aet = \"AI\"; host = \"127.0.0.1\"; port = 105; } );\n";

static inline void site_configure(struct site *site, const char *more)
{
    char text[4096], path[128];
    snprintf(text, sizeof text, "%s%s", SITE_CFG, more);
    site_write(site, "site.cfg", text);
    struct hl_config_paths paths = {.site_dir = path};
    snprintf(path, sizeof path, "%s", site->dir);
    hl_config_unref(site->config);
    site->config = NULL;
    hilum_rc rc = hl_config_load(&paths, &site->faults, &site->config);
    for (const struct hl_fault *f = site->faults.first; f; f = f->next) {
        print_message("%s\n", f->text);
    }
    assert_int_equal(rc, HILUM_OK);
}

static inline void site_open(struct site *site, const struct hl_script_env *env)
{
    char path[128];
    *site = (struct site){0};
    hl_log_set_output(-1, true);
    snprintf(site->dir, sizeof site->dir, "/tmp/hilum-rules-XXXXXX");
    assert_non_null(mkdtemp(site->dir));
    snprintf(path, sizeof path, "%s/rules", site->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/tables", site->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(hl_bus_new(&site->bus), HILUM_OK);
    assert_int_equal(hl_script_new(site->bus, env, &site->script), HILUM_OK);
    site_configure(site, "");
}

/* Loads what is there; the faults are in site->text afterwards. */
static inline hilum_rc site_load(struct site *site, bool dry_run)
{
    struct hl_buf text = {0};
    hl_faults_fini(&site->faults);
    site->faults = (struct hl_faults){0};
    hilum_rc rc = hl_script_load(site->script, site->config, NULL, dry_run, &site->faults);
    for (const struct hl_fault *f = site->faults.first; f; f = f->next) {
        hl_buf_text(&text, f->text);
        hl_buf_byte(&text, '\n');
    }
    free(site->text);
    site->text = strdup(hl_buf_str(&text));
    hl_buf_fini(&text);
    return rc;
}

/* One file of rules that must load. */
static inline void site_rules(struct site *site, const char *lua)
{
    site_write(site, "rules/a.lua", lua);
    hilum_rc rc = site_load(site, false);
    if (rc < 0) {
        print_message("%s", site->text);
    }
    assert_int_equal(rc, HILUM_OK);
}

static inline void site_close(struct site *site)
{
    char command[128];
    hl_script_free(site->script);
    hl_bus_free(site->bus);
    hl_config_unref(site->config);
    hl_faults_fini(&site->faults);
    free(site->text);
    snprintf(command, sizeof command, "rm -r %s", site->dir);
    assert_int_equal(system(command), 0);
}

static inline hilum_event *ct_event(const char *name)
{
    hilum_event *event = hl_event_new(name);
    hl_event_set_text(event, "Modality", "CT");
    hl_event_set_text(event, "BodyPartExamined", "CHEST");
    hl_event_set_text(event, "calling_aet", "ER_CT1");
    hl_event_set_text(event, "PatientID", "");
    hl_event_set_int(event, "size", 524288);
    return event;
}

#endif
