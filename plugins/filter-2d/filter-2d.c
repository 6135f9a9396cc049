/* filter-2d: operators on flat pictures (hilum/operator.h). The plugin's tables and its life, and what all operators do
 * before and after. SPDX-License-Identifier: Apache-2.0 */
#include "filter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const struct filter_kind *const kinds[] = {
    &filter_smooth, &filter_sharpen,      &filter_unsharp, &filter_edge,
    &filter_clahe,  &filter_pseudocolour, &filter_subtract};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct state {
    struct filter_instance instances[KINDS];
};

hilum_rc filter_fail(const struct filter *filter, hilum_rc code, const char *format, ...)
{
    char why[300];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    return filter->host->fail(filter->self, code, why);
}

/* A text that looks like a number is none: parameters come from JSON, which has both. */
hilum_rc filter_number(const struct filter *filter, const json_t *parameters, const char *name,
                       double least, double most, double otherwise, double *out)
{
    const json_t *value = json_object_get(parameters, name);
    *out = value != NULL ? json_number_value(value) : otherwise;
    if (value == NULL || (json_is_number(value) && *out >= least && *out <= most))
        return HILUM_OK;
    return filter_fail(filter, HILUM_EINVAL, "%s: expected a number from %g to %g", name, least,
                       most);
}

/* NULL and "": none, an empty object. The caller's to decref. */
static hilum_rc parameters_read(const struct filter *filter, const char *text, json_t **out)
{
    *out = text != NULL && *text != '\0' ? json_loads(text, JSON_REJECT_DUPLICATES, NULL)
                                         : json_object();
    if (json_is_object(*out))
        return HILUM_OK;
    json_decref(*out);
    *out = NULL;
    return filter_fail(filter, HILUM_EINVAL, "parameters are no JSON object");
}

static hilum_rc check_frame(const struct filter *filter, const struct hilum_frame *frame)
{
    if (plane_takes(frame) && hilum_frame_bytes(frame) > 0)
        return HILUM_OK;
    return filter_fail(filter, HILUM_EUNSUP,
                       "filters take grey or RGB pictures of 8 or 16 bits, not this");
}

/* out->size is the caller's word on how much of the structure it knows, and is kept. */
hilum_rc filter_plan(void *self, const char *parameters_json, const struct hilum_frame *in,
                     struct hilum_frame *out)
{
    const struct filter_instance *f = self;
    json_t *parameters = NULL;
    uint32_t size = out->size;
    hilum_rc rc = check_frame(&f->filter, in);
    if (rc == HILUM_OK)
        rc = parameters_read(&f->filter, parameters_json, &parameters);
    if (rc != HILUM_OK)
        return rc;
    *out = *in;
    out->size = size != 0 ? size : in->size;
    if (f->kind->plan != NULL)
        rc = f->kind->plan(&f->filter, parameters, in, out);
    json_decref(parameters);
    return rc;
}

/* Plans again: what the caller got from plan() may have been for another picture. in[0] says
 * what comes out; the others only have to be of a kind that is taken. */
hilum_rc filter_apply(void *self, const char *parameters_json, const struct hilum_image *in,
                      uint32_t n, void *dst, uint64_t dst_size)
{
    const struct filter_instance *f = self;
    struct hilum_frame out = {.size = sizeof out};
    json_t *parameters = NULL;
    if (n != f->kind->table.n_inputs)
        return filter_fail(&f->filter, HILUM_EINVAL, "%s takes %u pictures",
                           f->kind->table.cap.name, f->kind->table.n_inputs);
    hilum_rc rc = filter_plan(self, parameters_json, in[0].frame, &out);
    for (uint32_t i = 1; rc == HILUM_OK && i < n; i++)
        rc = check_frame(&f->filter, in[i].frame);
    if (rc == HILUM_OK && dst_size < hilum_frame_bytes(&out))
        rc = filter_fail(&f->filter, HILUM_EINVAL, "the output has room for %llu bytes only",
                         (unsigned long long)dst_size);
    if (rc == HILUM_OK)
        rc = parameters_read(&f->filter, parameters_json, &parameters);
    if (rc == HILUM_OK)
        rc = f->kind->apply(&f->filter, parameters, in, dst);
    json_decref(parameters);
    return rc;
}

/* ---- life ---- */

static void filter_fini(void *state)
{
    free(state);
}

/* Each table has its own instance, so that `self` tells which filter is called. */
static hilum_rc filter_init(const struct hilum_host *host, hilum_self *self, const void *conf,
                            void **out)
{
    struct state *state = calloc(1, sizeof *state);
    hilum_rc rc = HILUM_OK;
    (void)conf;
    if (state == NULL)
        return host->fail(self, HILUM_ENOMEM, "filter-2d: no memory");
    for (size_t i = 0; rc == HILUM_OK && i < KINDS; i++) {
        state->instances[i] = (struct filter_instance){{host, self}, kinds[i]};
        rc = host->provide(self, &kinds[i]->table.cap, &state->instances[i]);
    }
    if (rc != HILUM_OK)
        free(state);
    else
        *out = state;
    return rc;
}

static const struct hilum_option options[] = {{NULL, 0, 0, NULL, NULL, NULL}};

static const char *const provides[] = {"operator:", NULL};

static const struct hilum_plugin plugin = {
    .magic = HILUM_MAGIC,
    .size = sizeof(struct hilum_plugin),
    .abi_major = HILUM_ABI_MAJOR,
    .abi_minor = HILUM_ABI_MINOR,
    .id = "filter-2d",
    .version = HILUM_VERSION,
    .vendor = "Hilum",
    .licence = "Apache-2.0",
    .options = options,
    .init = filter_init,
    .fini = filter_fini,
    .swap = HILUM_SWAP_RESTART,
    .provides = provides,
};

const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major, uint16_t host_minor)
{
    (void)host_minor;
    return host_major == HILUM_ABI_MAJOR ? &plugin : NULL;
}
