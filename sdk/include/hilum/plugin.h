/* What a plugin exports: one function that returns one descriptor.
 * Knows nothing of what the plugin then provides. SPDX-License-Identifier: MIT */
#ifndef HILUM_PLUGIN_H
#define HILUM_PLUGIN_H

#include "hilum/abi.h"

#ifdef __cplusplus
extern "C" {
#endif

struct hilum_host;

/* Kinds of capability (struct hilum_cap.kind), and how many of a kind there may be. A preview kind may still
 * change its table: from outside Hilum's own folder it is refused unless the administrator wrote
 * `allow_preview = true` beside the plugin's name. */
enum {
    HILUM_CAP_STORE = 1,     /* hilum/store.h: many, by name */
    HILUM_CAP_DATABASE = 2,  /* hilum/database.h: exactly one */
    HILUM_CAP_SERVICE = 3,   /* hilum/service.h: one per SOP class */
    HILUM_CAP_CODEC = 4,     /* hilum/codec.h: many; by transfer syntax and priority */
    HILUM_CAP_ROUTE = 5,     /* hilum/route.h: one per method and pattern */
    HILUM_CAP_HL7 = 6,       /* hilum/hl7.h, preview: many, by name */
    HILUM_CAP_RENDERER = 7,  /* hilum/renderer.h, preview: many, by name */
    HILUM_CAP_OPERATOR = 8,  /* hilum/operator.h, preview: many, by name */
    HILUM_CAP_REPORT = 9,    /* hilum/report.h, preview: many, by name */
    HILUM_CAP_AUTH = 10,     /* hilum/auth.h, preview: a chain, by `order` */
    HILUM_CAP_NOTIFIER = 11, /* hilum/notifier.h, preview: many, by name */
    HILUM_CAP_CARRIER = 12   /* hilum/carrier.h, preview: many, by name */
};

/* Option types. The host parses, range-checks and writes the value at `offset` of the plugin's conf
 * struct; C types: STR, PATH, SECRET const char * (PATH absolute, relative ones are below the data
 * directory); INT, BYTES, MSEC int64_t; BOOL int32_t. Strings live as long as the plugin. */
enum {
    HILUM_OPT_STR = 1,
    HILUM_OPT_PATH = 2,
    HILUM_OPT_INT = 3,
    HILUM_OPT_BYTES = 4,
    HILUM_OPT_MSEC = 5,
    HILUM_OPT_BOOL = 6,
    HILUM_OPT_SECRET = 7,
    HILUM_OPT_REQUIRED = 0x100 /* or-ed in: no default, absence is a fault */
};

/* An element of an array that ends with key == NULL. Frozen for the whole major. */
struct hilum_option {
    const char *key;
    uint32_t type;        /* HILUM_OPT_* */
    uint32_t offset;      /* offsetof(struct my_conf, member) */
    const char *fallback; /* as it would be written in the file: "256MiB"; NULL: zero or NULL */
    const char *range;    /* "1..64", "4KiB..1GiB", "a|b|c", NULL: any */
    const char *help;     /* one sentence, shown by `hilum plugin list` and in the reference */
};

/* How a newer version takes a running one's place: not at all; brought up beside it; or, for one that holds what only one
 * can hold (a port), after it has been drained: the sockets of hilum_host.listen stay open meanwhile. */
enum { HILUM_SWAP_RESTART = 0, HILUM_SWAP_BESIDE = 1, HILUM_SWAP_HANDOVER = 2 };

/* The descriptor: who the plugin is, what it needs, its life. Static; the host reads it and never writes. Members of its
 * life are called by the host one at a time. */
struct hilum_plugin {
    uint32_t magic, size;          /* HILUM_MAGIC, sizeof(struct hilum_plugin) */
    uint16_t abi_major, abi_minor; /* major must equal the host's, minor must not exceed it */
    uint32_t conf_size;            /* the host allocates, zeroes and fills this much */
    const char *id;                /* "store-fs": kind-name, the name in the configuration */
    const char *version, *vendor;
    const char *licence; /* SPDX expression or one sentence */
    const char *abi_tag; /* NULL but for forks of the host */
    const struct hilum_option *options;
    const char *const
        *needs; /* plugins or "kind:name" capabilities that must start before; NULL-ended */
    const char *const *wants; /* the same, if present */
    /* Provides, subscribes, declares. HILUM_OK or an error with host->fail: the plugin is skipped with
     * its reason, or the server does not start where the configuration says `required`. */
    hilum_rc (*init)(const struct hilum_host *host, hilum_self *self, const void *conf,
                     void **state);
    /* Threads and sockets may appear from here. Every plugin's init has returned. */
    hilum_rc (*start)(void *state);
    /* No new work; finish or cancel what is under way within deadline_ms. */
    void (*drain)(void *state, uint32_t deadline_ms);
    /* Called once if init returned HILUM_OK; nothing of the plugin runs afterwards. */
    void (*fini)(void *state);
    uint32_t swap, reserved; /* HILUM_SWAP_* */
    /* Optional: every plugin has started; doors open here through which others are called: sockets whose
     * requests go to routes of other plugins. A plugin that has it is drained and ended before those that
     * have not. An error is that of start. */
    hilum_rc (*ready)(void *state);
    /* Optional, with swap = handover: called instead of drain when a newer version is about to take over. Closes its doors
     * within deadline_ms, so that the other can open them; what is under way may go on beside it. HILUM_OK: nothing is
     * left. HILUM_EAGAIN: something is; asked again, with 0, twice a second for up to an hour. Then, or when the server
     * stops, follow drain and fini. Any other error: it is drained at once. */
    hilum_rc (*hand_over)(void *state, uint32_t deadline_ms);
    /* Optional, NULL-ended: all that init will provide, as "kind:name"; "route:" is any of the kind, "store:{store}" the one
     * named by the text option `store`. What is not said here is refused then. `hilumd --check` runs no init and judges
     * by this whether a store, a database or a carrier will be there; of a plugin that says nothing it believes anything. */
    const char *const *provides;
    /* since 1.1: append here */
};

/* The only exported symbol. A function, since dlsym on data is not portable. The host passes its ABI so
 * that a plugin can return an older descriptor; NULL: cannot work with this host. */
HILUM_EXPORT const struct hilum_plugin *hilum_plugin_entry(uint16_t host_major,
                                                           uint16_t host_minor);

#ifdef __cplusplus
}
#endif
#endif
