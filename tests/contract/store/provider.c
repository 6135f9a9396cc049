/* A host of one plugin. SPDX-License-Identifier: Apache-2.0 */
#include "tests/contract/store/provider.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_reason[512];

const char *provider_reason(void)
{
    return last_reason;
}

static void host_log(hilum_self *self, int32_t level, const char *line)
{
    (void)self;
    if (level >= HILUM_LOG_WARN && getenv("HILUM_TEST_LOG") != NULL)
        fprintf(stderr, "# %s\n", line);
}

static hilum_rc host_fail(hilum_self *self, hilum_rc code, const char *why)
{
    (void)self;
    snprintf(last_reason, sizeof last_reason, "%s", why);
    return code;
}

static const char *host_reason(hilum_self *self)
{
    (void)self;
    return last_reason;
}

static hilum_rc host_provide(hilum_self *self, const struct hilum_cap *cap, void *instance)
{
    struct provider *provider = (struct provider *)(void *)self;
    if (cap->kind == HILUM_CAP_STORE) {
        provider->table = (const struct hilum_store *)(const void *)cap;
        provider->instance = instance;
    }
    return HILUM_OK;
}

static const char *value_of(const struct hilum_option *option, const char *root,
                            const char *const *options, int n)
{
    size_t key = strlen(option->key);
    for (int i = 0; i < n; i++) {
        if (strncmp(options[i], option->key, key) == 0 && options[i][key] == '=')
            return options[i] + key + 1;
    }
    return strcmp(option->key, "root") == 0 ? root : option->fallback;
}

static int64_t number_of(const char *text)
{
    char *end = NULL;
    int64_t value = strtoll(text, &end, 10);
    if (strcmp(end, "KiB") == 0)
        value <<= 10;
    else if (strcmp(end, "MiB") == 0)
        value <<= 20;
    else if (strcmp(end, "GiB") == 0)
        value <<= 30;
    return value;
}

static void option_write(void *conf, const struct hilum_option *option, const char *value)
{
    char *at = (char *)conf + option->offset;
    if (value == NULL)
        return;
    switch (option->type & 0xFFu) {
    case HILUM_OPT_INT:
    case HILUM_OPT_BYTES:
    case HILUM_OPT_MSEC: *(int64_t *)(void *)at = number_of(value); break;
    case HILUM_OPT_BOOL: *(int32_t *)(void *)at = strcmp(value, "true") == 0; break;
    default: *(const char **)(void *)at = value;
    }
}

hilum_rc provider_open(struct provider *provider, const char *so, const char *root,
                       const char *const *options, int n)
{
    memset(provider, 0, sizeof *provider);
    provider->module = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    if (provider->module == NULL)
        return host_fail(NULL, HILUM_ENOTFOUND, dlerror());
    const struct hilum_plugin *(*entry)(uint16_t, uint16_t) = NULL;
    void *symbol = dlsym(provider->module, "hilum_plugin_entry");
    if (symbol == NULL)
        return host_fail(NULL, HILUM_ENOTFOUND, "no hilum_plugin_entry");
    memcpy(&entry, &symbol, sizeof entry);
    provider->plugin = entry(HILUM_ABI_MAJOR, HILUM_ABI_MINOR);
    provider->conf = calloc(1, provider->plugin->conf_size);
    for (const struct hilum_option *o = provider->plugin->options; o->key != NULL; o++)
        option_write(provider->conf, o, value_of(o, root, options, n));
    provider->host = (struct hilum_host){
        .size = sizeof(struct hilum_host),
        .abi_major = HILUM_ABI_MAJOR,
        .abi_minor = HILUM_ABI_MINOR,
        .version = "test",
        .log = host_log,
        .fail = host_fail,
        .reason = host_reason,
        .provide = host_provide,
    };
    hilum_rc rc = provider->plugin->init(&provider->host, (hilum_self *)(void *)provider,
                                         provider->conf, &provider->state);
    if (rc == HILUM_OK)
        rc = provider->plugin->start(provider->state);
    if (rc != HILUM_OK) {
        free(provider->conf);
        provider->conf = NULL;
    }
    return rc;
}

void provider_close(struct provider *provider)
{
    if (provider->conf == NULL)
        return;
    provider->plugin->drain(provider->state, 10000);
    provider->plugin->fini(provider->state);
    free(provider->conf);
    memset(provider, 0, sizeof *provider);
}
