/* A plugin's descriptor, options and tables as messages.
 *
 * Read by core/plugin/remote in the same order, with its own checks: what comes from here is
 * the word of a stranger. Lists are cut at MAX_LIST; a message that gets too long fails as a
 * whole. SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core/base/error.h"
#include "core/worker/worker.h"
#include "hilum/hl7.h"
#include "hilum/operator.h"
#include "hilum/renderer.h"
#include "hilum/report.h"
#include "hilum/route.h"

enum { MAX_LIST = 256 };

/* ---- the descriptor ---- */

/* A list that ends with NULL: its length, then its texts. */
static void put_list(struct hl_wire *out, const char *const *list)
{
    uint32_t n = 0;
    while (list && list[n] && n < MAX_LIST)
        n++;
    hl_wire_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++)
        hl_wire_put_text(out, list[i]);
}

/* Only what the server needs to read the configuration; the values come back with
 * HL_WIRE_INIT. */
static void put_options(struct hl_wire *out, const struct hilum_option *options)
{
    uint32_t n = 0;
    while (options && options[n].key && n < MAX_LIST)
        n++;
    hl_wire_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++) {
        hl_wire_put_text(out, options[i].key);
        hl_wire_put_u32(out, options[i].type);
        hl_wire_put_u32(out, options[i].offset);
        hl_wire_put_text(out, options[i].fallback);
        hl_wire_put_text(out, options[i].range);
        hl_wire_put_text(out, options[i].help);
    }
}

/* The server judges; here only so much is read as the numbers before it allow. */
static bool is_readable(const struct hilum_plugin *p)
{
    return p->magic == HILUM_MAGIC && p->abi_major == HILUM_ABI_MAJOR &&
           p->abi_minor <= HILUM_ABI_MINOR && HILUM_HAS(struct hilum_plugin, p->size, reserved);
}

/* What the server judges first comes first, so that a plugin of another ABI is refused with
 * its numbers and not with a broken message. */
void worker_put_descriptor(struct hl_wire *out, const struct hilum_plugin *p)
{
    hl_wire_put_u32(out, p != NULL);
    if (!p)
        return;
    hl_wire_put_u32(out, p->magic);
    hl_wire_put_u32(out, p->size);
    hl_wire_put_u32(out, p->abi_major);
    hl_wire_put_u32(out, p->abi_minor);
    if (!is_readable(p))
        return;
    hl_wire_put_u32(out, p->conf_size);
    hl_wire_put_u32(out, p->swap);
    hl_wire_put_u32(out, p->init != NULL);
    hl_wire_put_text(out, p->id);
    hl_wire_put_text(out, p->version);
    hl_wire_put_text(out, p->vendor);
    hl_wire_put_text(out, p->licence);
    hl_wire_put_text(out, p->abi_tag);
    put_options(out, p->options);
    put_list(out, p->needs);
    put_list(out, p->wants);
}

/* ---- options ---- */

/* A value of the plugin's options, as core/plugin/options.c would have written it. */
static hilum_rc read_option(struct hilum_self *self, const struct hilum_option *option)
{
    char *at = (char *)self->conf + option->offset;
    uint64_t number = hl_wire_u64(&self->in);
    const char *text = hl_wire_text(&self->in);
    int32_t flag = (int32_t)number;
    char *copy = NULL;
    switch (option->type & 0xFFu) {
    case HILUM_OPT_INT:
    case HILUM_OPT_BYTES:
    case HILUM_OPT_MSEC: memcpy(at, &number, sizeof number); return HILUM_OK;
    case HILUM_OPT_BOOL: memcpy(at, &flag, sizeof flag); return HILUM_OK;
    default:
        /* Lives as long as the process, as the contract says. */
        if (text && !(copy = strdup(text)))
            return HILUM_ENOMEM;
        memcpy(at, &copy, sizeof copy);
        return HILUM_OK;
    }
}

/* The server has checked offsets against conf_size (options.c). */
hilum_rc worker_read_options(struct hilum_self *self)
{
    uint32_t n = hl_wire_u32(&self->in);
    const struct hilum_option *option = self->plugin->options;
    free(self->conf);
    self->conf = calloc(1, self->plugin->conf_size + 1u);
    hilum_rc rc = self->conf ? HILUM_OK : HILUM_ENOMEM;
    for (uint32_t i = 0; rc == HILUM_OK && i < n; i++)
        rc = option[i].key ? read_option(self, &option[i]) : HILUM_EINVAL;
    if (rc == HILUM_OK && self->in.bad)
        rc = HILUM_EINVAL;
    return rc == HILUM_OK ? rc : hl_fail(rc, "options did not arrive");
}

/* ---- capabilities ---- */

/* Of every kind: whether the functions are there that the server will want to call, then what
 * the server needs to know without a call. A table that is too short is said to have none. */
static void put_codec(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_codec *codec = (const struct hilum_codec *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_codec, cap->size, encode) && codec->syntaxes;
    uint32_t n = 0;
    while (is_whole && codec->syntaxes[n].uid && n < MAX_LIST)
        n++;
    hl_wire_put_u32(out, is_whole && codec->info && codec->decode);
    hl_wire_put_u32(out, is_whole && codec->encode);
    hl_wire_put_u32(out, HILUM_HAS(struct hilum_codec, cap->size, repack) && codec->repack);
    hl_wire_put_u32(out, n);
    for (uint32_t i = 0; i < n; i++) {
        hl_wire_put_text(out, codec->syntaxes[i].uid);
        hl_wire_put_u32(out, codec->syntaxes[i].flags);
        hl_wire_put_u32(out, (uint32_t)codec->syntaxes[i].priority);
    }
}

static void put_operator(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_operator *op = (const struct hilum_operator *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_operator, cap->size, apply);
    hl_wire_put_u32(out, is_whole && op->plan && op->apply);
    hl_wire_put_text(out, is_whole ? op->title : NULL);
    hl_wire_put_text(out, is_whole ? op->parameters_schema : NULL);
    hl_wire_put_u32(out, is_whole ? op->n_inputs : 0);
}

static void put_report(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_report *report = (const struct hilum_report *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_report, cap->size, parse);
    hl_wire_put_u32(out, is_whole && report->write);
    hl_wire_put_u32(out, is_whole && report->parse);
    hl_wire_put_text(out, is_whole ? report->media_type : NULL);
    hl_wire_put_text(out, is_whole ? report->sop_class : NULL);
    hl_wire_put_text(out, is_whole ? report->file_suffix : NULL);
}

static void put_renderer(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_renderer *r = (const struct hilum_renderer *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_renderer, cap->size, close);
    hl_wire_put_u32(out, is_whole && r->open && r->render && r->close);
    hl_wire_put_u32(out, is_whole && r->query);
    hl_wire_put_text(out, is_whole ? r->modes : NULL);
    hl_wire_put_text(out, is_whole ? r->media_types : NULL);
    hl_wire_put_text(out, is_whole ? r->parameters_schema : NULL);
}

static void put_hl7(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_hl7 *hl7 = (const struct hilum_hl7 *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_hl7, cap->size, compose);
    hl_wire_put_u32(out, is_whole && hl7->receive);
    hl_wire_put_u32(out, is_whole && hl7->compose);
    put_list(out, is_whole ? hl7->accepts : NULL);
    put_list(out, is_whole ? hl7->makes : NULL);
}

static void put_route(struct hl_wire *out, const struct hilum_cap *cap)
{
    const struct hilum_route *route = (const struct hilum_route *)(const void *)cap;
    bool is_whole = HILUM_HAS(struct hilum_route, cap->size, run);
    hl_wire_put_u32(out, is_whole && route->run);
    hl_wire_put_text(out, is_whole ? route->methods : NULL);
    hl_wire_put_text(out, is_whole ? route->pattern : NULL);
    hl_wire_put_text(out, is_whole ? route->permission : NULL);
    hl_wire_put_text(out, is_whole ? route->summary : NULL);
    hl_wire_put_u64(out, is_whole ? route->body_max : 0);
    hl_wire_put_u32(out, is_whole ? route->flags : 0);
}

/* The functions themselves stay here; the server calls hook i by its number. */
static void put_hooks(const struct hilum_self *self, struct hl_wire *out)
{
    hl_wire_put_u32(out, self->n_hooks);
    for (uint32_t i = 0; i < self->n_hooks; i++) {
        const struct hilum_hook *hook = &self->hooks[i];
        hl_wire_put_text(out, hook->event);
        hl_wire_put_text(out, hook->name);
        hl_wire_put_text(out, hook->before);
        hl_wire_put_text(out, hook->after);
        hl_wire_put_text(out, hook->where);
        hl_wire_put_u32(out, hook->deadline_ms);
        hl_wire_put_u32(out, hook->threads);
    }
}

/* In the order of provide: the server names a capability by its place in this list. */
void worker_put_caps(struct hilum_self *self)
{
    struct hl_wire *out = &self->out;
    hl_wire_put_u32(out, self->n_caps);
    for (uint32_t i = 0; i < self->n_caps; i++) {
        const struct hilum_cap *cap = self->caps[i].cap;
        hl_wire_put_u32(out, cap->kind);
        hl_wire_put_u32(out, cap->threads);
        hl_wire_put_text(out, cap->name);
        if (cap->kind == HILUM_CAP_CODEC)
            put_codec(out, cap);
        else if (cap->kind == HILUM_CAP_OPERATOR)
            put_operator(out, cap);
        else if (cap->kind == HILUM_CAP_RENDERER)
            put_renderer(out, cap);
        else if (cap->kind == HILUM_CAP_HL7)
            put_hl7(out, cap);
        else if (cap->kind == HILUM_CAP_ROUTE)
            put_route(out, cap);
        else
            put_report(out, cap);
    }
    put_hooks(self, out);
}
