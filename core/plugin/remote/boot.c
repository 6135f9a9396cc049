/* A worker's way to its first call, and the descriptor the first one sends.
 *
 * Runs on the thread that has made the worker busy: the one that opens the plugin, or any caller
 * that finds its worker gone. What a worker says of itself is a stranger's word: lists are
 * bounded, and a later worker must say what the first one said, since proxies were built from
 * that. SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/plugin/remote/state.h"

enum {
    BOOT_MS = 30000,
    MAX_GRANTS = 64,
    MAX_LIST = 256,
    REPLY_AT = sizeof(struct hl_wire_head) + HL_WIRE_REASON
};

/* ---- requests ---- */

static const struct hl_node *member(const struct hl_node *group, const char *name)
{
    return group ? hl_node_get(group, name) : NULL;
}

/* The jail's limits travel in the first message, so that nothing of the plugin has run before
 * it. */
static void write_open(const struct hl_remote *remote, struct hl_wire *wire)
{
    const struct hl_node *read = member(member(remote->plugin->entry, "limits"), "read");
    uint32_t n = read ? (uint32_t)read->n_children : 0;
    hl_wire_put_text(wire, HILUM_VERSION);
    hl_wire_put_u32(wire, remote->may_be_weak ? HL_WIRE_MAY_BE_WEAK : 0);
    hl_wire_put_u64(wire, remote->memory);
    hl_wire_put_text(wire, remote->plugin->file);
    hl_wire_put_u32(wire, n);
    for (uint32_t i = 0; i < n; i++)
        hl_wire_put_text(wire, read->children[i]->text);
}

/* Values the server has parsed and checked; a text's length is bounded by hl_wire_put_text. */
static void write_option(const struct hilum_self *plugin, const struct hilum_option *option,
                         struct hl_wire *wire)
{
    const char *at = (const char *)plugin->conf + option->offset, *text = NULL;
    uint64_t number = 0;
    uint32_t flag;
    switch (option->type & 0xFFu) {
    case HILUM_OPT_INT:
    case HILUM_OPT_BYTES:
    case HILUM_OPT_MSEC: memcpy(&number, at, sizeof number); break;
    case HILUM_OPT_BOOL:
        memcpy(&flag, at, sizeof flag);
        number = flag;
        break;
    default: memcpy(&text, at, sizeof text);
    }
    hl_wire_put_u64(wire, number);
    hl_wire_put_text(wire, text);
}

static void write_init(const struct hl_remote *remote, struct hl_wire *wire)
{
    const struct hilum_self *plugin = remote->plugin;
    const struct hilum_option *options = plugin->plugin->options;
    uint32_t n = 0;
    while (options && options[n].key)
        n++;
    hl_wire_put_text(wire, plugin->host->data_dir);
    hl_wire_put_u32(wire, n);
    for (uint32_t i = 0; i < n; i++)
        write_option(plugin, &options[i], wire);
}

/* Compared byte by byte, behind the reason. A file that was replaced under a running server is
 * found here. */
static hilum_rc keep_or_compare(struct hl_buf *kept, const struct hl_wire *wire)
{
    const unsigned char *said = wire->bytes + REPLY_AT;
    size_t n = wire->len - REPLY_AT;
    if (!kept->data) {
        hl_buf_add(kept, said, n);
        return kept->failed ? hl_fail(HILUM_ENOMEM, "worker: no memory") : HILUM_OK;
    }
    if (kept->len == n && memcmp(kept->data, said, n) == 0)
        return HILUM_OK;
    return hl_fail(HILUM_ECONFLICT, "another description than at first: the file was replaced; "
                                    "restart the server to use the new one");
}

hilum_rc hl_remote_step(struct hl_remote *remote, struct hl_process *process,
                        enum hl_wire_type step)
{
    static const char *const names[] = {"", "loading", "init", "start", "a call", "fini"};
    hilum_rc rc = HILUM_OK;
    hl_wire_begin(&process->wire, step, ++process->number, 0);
    if (step == HL_WIRE_OPEN)
        write_open(remote, &process->wire);
    else if (step == HL_WIRE_INIT)
        write_init(remote, &process->wire);
    else if (step == HL_WIRE_END)
        hl_wire_put_u32(&process->wire, (uint32_t)remote->deadline_ms);
    if (!hl_process_exchange(process, remote->plugin->id, hl_mono_ms() + BOOT_MS, &rc))
        return hl_remote_crashed(process, rc, names[step]);
    if (rc == HILUM_OK && step == HL_WIRE_OPEN)
        rc = keep_or_compare(&remote->description, &process->wire);
    if (rc == HILUM_OK && step == HL_WIRE_INIT)
        rc = keep_or_compare(&remote->capabilities, &process->wire);
    return rc;
}

/* Brings a new process to the phase the plugin is in; on failure none is left running. */
hilum_rc hl_remote_boot(struct hl_remote *remote, struct hl_process *process)
{
    static const enum hl_wire_type steps[] = {HL_WIRE_OPEN, HL_WIRE_INIT, HL_WIRE_START};
    hilum_rc rc = hl_process_start(process, remote->keeper, remote->program);
    for (int i = 0; rc == HILUM_OK && i < 3 && i <= (int)remote->phase; i++)
        rc = hl_remote_step(remote, process, steps[i]);
    if (rc != HILUM_OK)
        hl_process_stop(process, NULL);
    return rc;
}

/* ---- the descriptor ---- */

/* NULL: the list is longer than any honest one, or there is no memory. */
static const char *const *read_list(struct hl_remote *remote, struct hl_wire *wire)
{
    uint32_t n = hl_wire_u32(wire);
    const char **list =
        n <= MAX_LIST ? hl_arena_alloc(&remote->plugin->arena, (n + 1u) * sizeof *list) : NULL;
    for (uint32_t i = 0; list && i < n; i++)
        list[i] = hl_remote_copy(remote, wire);
    return list;
}

static const struct hilum_option *read_options(struct hl_remote *remote, struct hl_wire *wire)
{
    uint32_t n = hl_wire_u32(wire);
    struct hilum_option *options =
        n <= MAX_LIST ? hl_arena_alloc(&remote->plugin->arena, (n + 1u) * sizeof *options) : NULL;
    for (uint32_t i = 0; options && i < n; i++) {
        options[i].key = hl_remote_copy(remote, wire);
        options[i].type = hl_wire_u32(wire);
        options[i].offset = hl_wire_u32(wire);
        options[i].fallback = hl_remote_copy(remote, wire);
        options[i].range = hl_remote_copy(remote, wire);
        options[i].help = hl_remote_copy(remote, wire);
    }
    return options;
}

/* Of the size of ours whatever the plugin's was: the members it had not are zero. */
static void read_rest(struct hl_remote *remote, struct hl_wire *wire, struct hilum_plugin *p)
{
    p->size = sizeof *p;
    p->conf_size = hl_wire_u32(wire);
    p->swap = hl_wire_u32(wire);
    if (!hl_wire_u32(wire))
        p->init = NULL;
    p->id = hl_remote_copy(remote, wire);
    p->version = hl_remote_copy(remote, wire);
    p->vendor = hl_remote_copy(remote, wire);
    p->licence = hl_remote_copy(remote, wire);
    p->abi_tag = hl_remote_copy(remote, wire);
    p->options = read_options(remote, wire);
    p->needs = read_list(remote, wire);
    p->wants = read_list(remote, wire);
}

/* The members that run code are ours, whatever the plugin has there. */
hilum_rc hl_remote_descriptor(struct hl_remote *remote, struct hl_wire *wire,
                              const struct hilum_plugin **out)
{
    struct hilum_plugin *p = hl_arena_alloc(&remote->plugin->arena, sizeof *p);
    *out = NULL;
    if (!p)
        return hl_fail(HILUM_ENOMEM, "worker: no memory");
    uint32_t in_force = hl_wire_u32(wire);
    /* The worker itself has refused what is too little. */
    if (!wire->bad && !(in_force & HL_JAIL_LANDLOCK))
        hl_log(HL_WARN, remote->plugin->id,
               "its workers can read every file the server can: this kernel has no Landlock");
    if (!wire->bad && !(in_force & HL_JAIL_SECCOMP))
        hl_log(HL_WARN, remote->plugin->id,
               "its workers can start programs and open sockets: this kernel has no seccomp");
    if (!hl_wire_u32(wire))
        return wire->bad ? hl_fail(HILUM_EINVAL, "a description that cannot be read") : HILUM_OK;
    p->magic = hl_wire_u32(wire);
    p->size = hl_wire_u32(wire);
    p->abi_major = (uint16_t)hl_wire_u32(wire);
    p->abi_minor = (uint16_t)hl_wire_u32(wire);
    *out = p;
    bool has_rest = wire->at < wire->len;
    if (has_rest) {
        p->init = hl_remote_init;
        p->start = hl_remote_start;
        p->fini = hl_remote_fini;
        read_rest(remote, wire, p);
    }
    bool is_whole = !has_rest || (p->options && p->needs && p->wants);
    return wire->bad || !is_whole ? hl_fail(HILUM_EINVAL, "a description that cannot be read")
                                  : HILUM_OK;
}
