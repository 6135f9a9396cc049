/* A site directory on disk for one test. SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_CONFIG_SITE_H
#define TEST_CONFIG_SITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/error.h"
#include "core/config/config.h"

struct site {
    char dir[64];
    struct hl_faults faults;
    struct hl_config *config;
    hilum_rc rc;
};

static inline int site_setup(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    strcpy(site->dir, "/tmp/hilum-site-XXXXXX");
    assert_non_null(mkdtemp(site->dir));
    *state = site;
    return 0;
}

static inline int site_teardown(void **state)
{
    struct site *site = *state;
    char command[128];
    hl_faults_fini(&site->faults);
    hl_config_unref(site->config);
    snprintf(command, sizeof command, "rm -rf %s", site->dir);
    int rc = system(command);
    free(site);
    return rc;
}

static inline void site_write(struct site *site, const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", site->dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static inline void site_load(struct site *site)
{
    struct hl_config_paths paths = {.site_dir = site->dir};
    site->rc = hl_config_load(&paths, &site->faults, &site->config);
}

/* One file, loaded. */
static inline void site_load_text(struct site *site, const char *text)
{
    site_write(site, "a.cfg", text);
    site_load(site);
}

/* Is there a fault that begins, after the directory, with `text`? */
static inline void assert_fault(const struct site *site, const char *text)
{
    for (const struct hl_fault *f = site->faults.first; f; f = f->next)
        if (strncmp(f->text, site->dir, strlen(site->dir)) == 0 &&
            strncmp(f->text + strlen(site->dir) + 1, text, strlen(text)) == 0)
            return;
    for (const struct hl_fault *f = site->faults.first; f; f = f->next)
        print_error("have: %s\n", f->text);
    fail_msg("no fault: %s", text);
}

static inline void assert_no_faults(const struct site *site)
{
    for (const struct hl_fault *f = site->faults.first; f; f = f->next)
        print_error("fault: %s\n", f->text);
    assert_int_equal(site->faults.count, 0);
    assert_int_equal(site->rc, HILUM_OK);
}

#define site_test(f) cmocka_unit_test_setup_teardown(f, site_setup, site_teardown)

#endif
