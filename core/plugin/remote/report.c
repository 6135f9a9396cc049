/* The proxy of a report writer. Its source stays here; the worker asks for pieces of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "hilum/report.h"

#include <string.h>

#include "core/base/error.h"
#include "core/plugin/remote/remote.h"

enum { MAX_ATTACHMENT = 256 * 1024 * 1024 };

struct remote_report {
    struct hilum_report table;
    struct hl_remote *remote;
    uint32_t index;
};

/* What a call under way may ask for. */
struct source {
    const struct hilum_report_source *source;
    struct hl_buf bytes; /* of what was asked for last */
};

/* A sink into `bytes`, which holds one piece of the source at a time. */
static hilum_rc keep(void *ctx, const void *bytes, uint64_t n)
{
    struct hl_buf *buf = ctx;
    if (n > MAX_ATTACHMENT || buf->len > MAX_ATTACHMENT - n)
        return hl_fail(HILUM_EFULL, "more than %d bytes", MAX_ATTACHMENT);
    hl_buf_add(buf, bytes, n);
    return buf->failed ? hl_fail(HILUM_ENOMEM, "no memory") : HILUM_OK;
}

static hilum_rc fetch(struct source *s, uint32_t what, struct hl_wire *question,
                      struct hl_wire *answer)
{
    const char *name = hl_wire_text(question);
    const char *media_type = what == HL_ASK_ATTACHMENT ? hl_wire_text(question) : NULL;
    struct hilum_sink sink = {.size = sizeof sink, .write = keep, .ctx = &s->bytes};
    hl_buf_clear(&s->bytes);
    if (!name || !s->source)
        return hl_fail(HILUM_ENOTFOUND, "there is no source");
    hilum_rc rc = what == HL_ASK_ATTACHMENT
                      ? s->source->attachment(s->source->ctx, name, media_type, &sink)
                      : s->source->style(s->source->ctx, name, &sink);
    hl_wire_put_u64(answer, s->bytes.len);
    return rc;
}

/* A worker asks for a piece, then for its bytes from any place on. */
static hilum_rc ask(void *arg, uint32_t what, struct hl_wire *question, struct hl_wire *answer)
{
    struct source *s = arg;
    if (what == HL_ASK_ATTACHMENT || what == HL_ASK_STYLE)
        return fetch(s, what, question, answer);
    uint64_t at = hl_wire_u64(question), left = at < s->bytes.len ? s->bytes.len - at : 0;
    if (what != HL_ASK_MORE || !left)
        return hl_fail(HILUM_EINVAL, "nothing is there to be asked for");
    hl_wire_put_bytes(answer, s->bytes.data + at, left < HL_WIRE_CHUNK ? left : HL_WIRE_CHUNK);
    return HILUM_OK;
}

static hilum_rc take(struct hl_process *process, uint64_t at, struct hilum_sink *out)
{
    struct hl_wire *wire = hl_process_wire(process);
    uint64_t n = hl_wire_u64(wire);
    if (wire->bad || n > HL_WIRE_DOCUMENT)
        return hl_remote_nonsense(process, "a document longer than its memory");
    return out->write(out->ctx, hl_process_memory(process) + at, n);
}

/* The document at 0, room for the result behind it at a page boundary. */
static hilum_rc run(const struct remote_report *report, enum hl_wire_op op, const void *document,
                    uint64_t n, const struct hilum_report_source *source, struct hilum_sink *out)
{
    struct source s = {.source = source};
    uint64_t at = hl_wire_align(n);
    hilum_rc rc = HILUM_OK;
    if (n > HL_WIRE_DOCUMENT)
        return hl_fail(HILUM_EINVAL, "a document of more than %d bytes", HL_WIRE_DOCUMENT);
    struct hl_process *process =
        hl_remote_begin(report->remote, op, report->index, at + HL_WIRE_DOCUMENT, &rc);
    if (!process)
        return rc;
    struct hl_wire *wire = hl_process_wire(process);
    memcpy(hl_process_memory(process), document, n);
    hl_wire_put_u64(wire, n);
    hl_wire_put_u64(wire, at);
    hl_wire_put_u64(wire, HL_WIRE_DOCUMENT);
    hl_remote_answers(process, ask, &s);
    if (hl_remote_run(process, &rc) && rc == HILUM_OK)
        rc = take(process, at, out);
    hl_remote_end(process);
    hl_buf_fini(&s.bytes);
    return rc;
}

static hilum_rc report_write(void *self, const char *report_json, uint64_t n,
                             const struct hilum_report_source *source, struct hilum_sink *out)
{
    return run(self, HL_OP_REPORT_WRITE, report_json, n, source, out);
}

static hilum_rc report_parse(void *self, const void *document, uint64_t n,
                             struct hilum_sink *report_json)
{
    return run(self, HL_OP_REPORT_PARSE, document, n, NULL, report_json);
}

hilum_rc hl_remote_report(struct hl_remote *remote, uint32_t index, const char *name,
                          struct hl_wire *wire, const struct hilum_cap **cap, void **instance)
{
    struct hl_arena *arena = hl_remote_arena(remote);
    struct remote_report *report = hl_arena_alloc(arena, sizeof *report);
    bool is_whole = hl_wire_u32(wire) != 0, parses = hl_wire_u32(wire) != 0;
    if (!report)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    report->remote = remote;
    report->index = index;
    report->table.cap = (struct hilum_cap){.size = sizeof report->table,
                                           .kind = HILUM_CAP_REPORT,
                                           .threads = HILUM_PARALLEL,
                                           .name = hl_arena_strdup(arena, name ? name : "")};
    report->table.media_type = hl_remote_copy(remote, wire);
    report->table.sop_class = hl_remote_copy(remote, wire);
    report->table.file_suffix = hl_remote_copy(remote, wire);
    report->table.write = is_whole ? report_write : NULL;
    report->table.parse = parses ? report_parse : NULL;
    if (wire->bad || !report->table.cap.name)
        return hl_fail(HILUM_EINVAL, "report %s: a table that cannot be read", name ? name : "");
    *cap = &report->table.cap;
    *instance = report;
    return HILUM_OK;
}
