/* Tables whose functions pass the gate: one a kind.
 *
 * Each function is the same four lines: through the gate, call, leave. They are written out
 * because their parameters differ; nothing else belongs here.
 *
 * A table that is handed out stays valid for the life of the host, whatever version is behind
 * it, and whoever holds it need not know of swaps. Kinds without a shim (below) are called
 * directly, and so a plugin that provides one changes by a restart.
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/base/error.h"
#include "core/plugin/gate.h"
#include "core/plugin/host.h"
#include "hilum/auth.h"
#include "hilum/hl7.h"
#include "hilum/notifier.h"
#include "hilum/operator.h"
#include "hilum/report.h"
#include "hilum/route.h"

/* `self` of every function below is the gate; `TABLE` is the table behind it. */
#define TABLE(type) ((const struct type *)(const void *)p.target->cap)
#define SELF        (p.target->instance)

/* ---- codec ---- */

static hilum_rc codec_info(void *self, const struct hilum_coded *coded, struct hilum_code_info *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_codec)->info(SELF, coded, out));
}

static hilum_rc codec_decode(void *self, const struct hilum_coded *coded,
                             const struct hilum_decode *wanted, void *dst, uint64_t dst_size,
                             struct hilum_frame *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_codec)->decode(SELF, coded, wanted, dst, dst_size, out));
}

/* The version behind the gate may be a newer one that no longer encodes. `encode` was asked
 * for at init; it may be NULL behind the gate all the same. */
static hilum_rc codec_encode(void *self, const struct hilum_frame *frame, const void *src,
                             uint64_t n, const struct hilum_encode *wanted, struct hilum_sink *out,
                             struct hilum_encoded *done)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    if (!TABLE(hilum_codec)->encode)
        return hl_gate_leave(&p, hl_fail(HILUM_EUNSUP, "this codec only decodes"));
    return hl_gate_leave(&p, TABLE(hilum_codec)->encode(SELF, frame, src, n, wanted, out, done));
}

/* A newer version behind the gate may have a shorter table than the one asked at init. */
static hilum_rc codec_repack(void *self, const struct hilum_coded *coded, const char *to,
                             struct hilum_sink *out, struct hilum_encoded *done)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    if (!HILUM_HAS(struct hilum_codec, p.target->cap->size, repack) || !TABLE(hilum_codec)->repack)
        return hl_gate_leave(&p, hl_fail(HILUM_EUNSUP, "this codec repacks nothing"));
    return hl_gate_leave(&p, TABLE(hilum_codec)->repack(SELF, coded, to, out, done));
}

/* Fills a copy of the plugin's table: optional members stay NULL where it has none. */
static void shim_codec(void *table)
{
    struct hilum_codec *codec = table;
    codec->info = codec_info;
    codec->decode = codec_decode;
    codec->encode = codec->encode ? codec_encode : NULL;
    codec->repack = codec->repack ? codec_repack : NULL;
}

/* ---- operator ---- */

static hilum_rc operator_plan(void *self, const char *parameters, const struct hilum_frame *in,
                              struct hilum_frame *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_operator)->plan(SELF, parameters, in, out));
}

static hilum_rc operator_apply(void *self, const char *parameters, const struct hilum_image *in,
                               uint32_t n, void *dst, uint64_t dst_size)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_operator)->apply(SELF, parameters, in, n, dst, dst_size));
}

static void shim_operator(void *table)
{
    struct hilum_operator *op = table;
    op->plan = operator_plan;
    op->apply = operator_apply;
}

/* ---- service ---- */

static hilum_rc service_handle(void *self, hilum_exchange *exchange)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_service)->handle(SELF, exchange));
}

static hilum_rc service_negotiate(void *self, const char *sop_class, const uint8_t *info,
                                  uint64_t length, uint8_t *answer, uint64_t capacity, uint64_t *n)
{
    struct hl_passage p;
    *n = 0;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    const struct hilum_service *service = TABLE(hilum_service);
    bool has = HILUM_HAS(struct hilum_service, service->cap.size, negotiate) && service->negotiate;
    return hl_gate_leave(
        &p,
        has ? service->negotiate(SELF, sop_class, info, length, answer, capacity, n) : HILUM_OK);
}

static void shim_service(void *table)
{
    struct hilum_service *service = table;
    service->handle = service_handle;
    service->negotiate = service->negotiate ? service_negotiate : NULL;
}

/* ---- route ---- */

static hilum_rc route_run(void *self, const struct hilum_http_api *api, hilum_http *http)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_route)->run(SELF, api, http));
}

static void shim_route(void *table)
{
    ((struct hilum_route *)table)->run = route_run;
}

/* ---- hl7 ---- */

static hilum_rc hl7_receive(void *self, const struct hilum_hl7_api *api, hilum_hl7_message *message,
                            struct hilum_hl7_answer *answer)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_hl7)->receive(SELF, api, message, answer));
}

static hilum_rc hl7_compose(void *self, const char *type, hilum_event *cause,
                            const char *arguments_json, struct hilum_sink *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    if (!TABLE(hilum_hl7)->compose)
        return hl_gate_leave(&p, hl_fail(HILUM_EUNSUP, "this handler composes nothing"));
    return hl_gate_leave(&p, TABLE(hilum_hl7)->compose(SELF, type, cause, arguments_json, out));
}

static void shim_hl7(void *table)
{
    struct hilum_hl7 *hl7 = table;
    hl7->receive = hl7_receive;
    hl7->compose = hl7->compose ? hl7_compose : NULL;
}

/* ---- report ---- */

static hilum_rc report_write(void *self, const char *report_json, uint64_t n,
                             const struct hilum_report_source *source, struct hilum_sink *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_report)->write(SELF, report_json, n, source, out));
}

static hilum_rc report_parse(void *self, const void *document, uint64_t n,
                             struct hilum_sink *report_json)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    if (!TABLE(hilum_report)->parse)
        return hl_gate_leave(&p, hl_fail(HILUM_EUNSUP, "this report is only written"));
    return hl_gate_leave(&p, TABLE(hilum_report)->parse(SELF, document, n, report_json));
}

static void shim_report(void *table)
{
    struct hilum_report *report = table;
    report->write = report_write;
    report->parse = report->parse ? report_parse : NULL;
}

/* ---- notifier ---- */

static hilum_rc notifier_deliver(void *self, const struct hilum_notice *notice)
{
    struct hl_passage p;
    if (!hl_gate_enter(self, &p))
        return p.rc;
    return hl_gate_leave(&p, TABLE(hilum_notifier)->deliver(SELF, notice));
}

static void shim_notifier(void *table)
{
    ((struct hilum_notifier *)table)->deliver = notifier_deliver;
}

/* ---- making ---- */

struct shim {
    size_t size;
    void (*fill)(void *table);
};

/* Not here, and so neither counted nor replaced: store and database, which the kernel holds for as long as it runs;
 * renderer, whose scenes belong to the version that opened them; auth, whose callers are few and ask twice. */
static const struct shim shims[] = {
    [HILUM_CAP_CODEC] = {sizeof(struct hilum_codec), shim_codec},
    [HILUM_CAP_OPERATOR] = {sizeof(struct hilum_operator), shim_operator},
    [HILUM_CAP_SERVICE] = {sizeof(struct hilum_service), shim_service},
    [HILUM_CAP_ROUTE] = {sizeof(struct hilum_route), shim_route},
    [HILUM_CAP_HL7] = {sizeof(struct hilum_hl7), shim_hl7},
    [HILUM_CAP_REPORT] = {sizeof(struct hilum_report), shim_report},
    [HILUM_CAP_NOTIFIER] = {sizeof(struct hilum_notifier), shim_notifier},
};

/* Table and gate belong to the host and outlive the version they were made for. */
hilum_rc hl_shim_new(struct hl_plugins *host, struct hl_target *target,
                     const struct hilum_cap **shown, void **instance)
{
    const struct hilum_cap *cap = target->cap;
    const struct shim *shim = cap->kind < sizeof shims / sizeof *shims && shims[cap->kind].fill
                                  ? &shims[cap->kind]
                                  : NULL;
    *shown = cap;
    *instance = target->instance;
    if (!shim)
        return HILUM_OK;
    struct hilum_cap *table = hl_arena_alloc(&host->arena, shim->size);
    struct hl_gate *gate = table ? hl_gate_new(host, target) : NULL;
    if (!gate)
        return hl_fail(HILUM_ENOMEM, "%s: no memory", cap->name);
    /* Members the plugin's table is too short for stay NULL. */
    memcpy(table, cap, cap->size < shim->size ? cap->size : shim->size);
    shim->fill(table);
    table->size = (uint32_t)shim->size;
    table->threads = HILUM_PARALLEL; /* the gate serialises */
    *shown = table;
    *instance = gate;
    return HILUM_OK;
}

bool hl_shim_has(uint32_t kind)
{
    return kind < sizeof shims / sizeof *shims && shims[kind].fill;
}

/* ---- hooks and declarations ---- */

int32_t hl_shim_hook(void *gate, hilum_event *event)
{
    struct hl_passage p;
    /* As if the plugin were not loaded. */
    if (!hl_gate_enter(gate, &p))
        return HILUM_PASS;
    return hl_gate_leave(&p, p.target->run_hook(SELF, event));
}

hilum_rc hl_shim_run(void *gate, struct hilum_call *call)
{
    struct hl_passage p;
    if (!hl_gate_enter(gate, &p))
        return p.rc;
    return hl_gate_leave(&p, p.target->run(SELF, call));
}

hilum_rc hl_shim_read(void *gate, hilum_event *event, const char *path, struct hilum_sink *out)
{
    struct hl_passage p;
    if (!hl_gate_enter(gate, &p))
        return p.rc;
    return hl_gate_leave(&p, p.target->read(SELF, event, path, out));
}
